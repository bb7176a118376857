//! The other verbs: advance, branch, cancel, retry, skip.

use pgrx::prelude::*;

use super::{OpenSteps, call, given};
use crate::people::{must_be_theirs, step_run};
use crate::pg::acting::current_role;

/// Does now what is scheduled for later.
#[pg_extern(sql = false)]
fn advance(case_id: Option<i64>, step: Option<String>) -> OpenSteps {
    call(given("case_id", case_id), &|batch, index, _| {
        let token = batch.cases[index].case.step_run(step.as_deref())?;
        let env = batch.context.env();
        batch.cases[index].case.advance(token, &env)
    })
}

/// Takes a named leg of a question, a task with outcomes, or a decision.
#[pg_extern(sql = false)]
fn branch(case_id: Option<i64>, step: Option<String>, leg: Option<String>) -> OpenSteps {
    let (step, leg) = (given("step", step), given("leg", leg));
    let caller = current_role();
    call(given("case_id", case_id), &|batch, index, facts| {
        let token = step_run(batch, index, &step, caller)?;
        must_be_theirs(batch, index, token, caller)?;
        let env = batch.context.env();
        batch.cases[index]
            .case
            .branch(token, &leg, facts, &env, &mut batch.effects)
    })
}

/// Ends a case for good.
#[pg_extern(sql = false)]
fn cancel(case_id: Option<i64>, reason: Option<String>) -> OpenSteps {
    let reason = reason.unwrap_or_else(|| "cancelled".to_owned());
    call(given("case_id", case_id), &|batch, index, _| {
        let case = &mut batch.cases[index].case;
        // The same call again is no error.
        if case.state.is_over() && case.reason.as_deref() == Some(&reason) {
            return Ok(());
        }
        case.cancel(&reason, &mut batch.effects)
    })
}

/// Takes up a step run that has failed.
#[pg_extern(sql = false)]
fn retry(case_id: Option<i64>, step: Option<String>) -> OpenSteps {
    call(given("case_id", case_id), &|batch, index, facts| {
        let token = batch.cases[index].case.step_run(step.as_deref())?;
        let env = batch.context.env();
        batch.cases[index]
            .case
            .retry(token, facts, &env, &mut batch.effects)
    })
}

/// Leaves a step out.
#[pg_extern(sql = false)]
fn skip(case_id: Option<i64>, step: Option<String>, reason: Option<String>) -> OpenSteps {
    let step = given("step", step);
    let caller = current_role();
    call(given("case_id", case_id), &|batch, index, facts| {
        let token = step_run(batch, index, &step, caller)?;
        must_be_theirs(batch, index, token, caller)?;
        let env = batch.context.env();
        batch.cases[index]
            .case
            .skip(token, reason.as_deref(), facts, &env, &mut batch.effects)
    })
}
