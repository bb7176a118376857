//! The other verbs: advance, branch, cancel, hold, release, retry, skip.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::{act, actor, call, given, now, open_steps, unknown_case};
use crate::engine::as_engine;
use crate::people::must_be_theirs;
use crate::pg::acting::current_role;
use crate::pg::spi;
use crate::pg::types::{arg, instant_from_pg, optional};

/// Does now what is scheduled for later.
#[pg_extern(sql = false)]
fn advance(
    case_id: Option<i64>,
    step: Option<String>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
    call(given("case_id", case_id), &|batch, index, _| {
        let token = batch.cases[index].case.step_run(step.as_deref())?;
        let env = batch.context.env();
        batch.cases[index].case.advance(token, &env)
    })
}

/// Takes a named leg of a question, a task with outcomes, or a decision.
#[pg_extern(sql = false)]
fn branch(
    case_id: Option<i64>,
    step: Option<String>,
    leg: Option<String>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
    let (step, leg) = (given("step", step), given("leg", leg));
    let caller = current_role();
    call(given("case_id", case_id), &|batch, index, facts| {
        let token = batch.cases[index].case.step_run(Some(&step))?;
        must_be_theirs(batch, index, token, caller)?;
        let env = batch.context.env();
        batch.cases[index]
            .case
            .branch(token, &leg, facts, &env, &mut batch.effects)
    })
}

/// Ends a case for good.
#[pg_extern(sql = false)]
fn cancel(
    case_id: Option<i64>,
    reason: Option<String>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
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

/// Puts a case on hold, perhaps until a time.
#[pg_extern(sql = false)]
fn hold(
    case_id: Option<i64>,
    reason: Option<String>,
    until: Option<TimestampWithTimeZone>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
    let case = given("case_id", case_id);
    let reason = reason.unwrap_or_else(|| "on hold".to_owned());
    let until = until.map(|at| instant_from_pg(at.into()));
    let actor = actor();
    as_engine(|| {
        let held = act(&[case], &actor, &|batch, index, _| {
            batch.cases[index].case.hold(&reason, &mut batch.effects)
        });
        if held == 0 {
            unknown_case(case);
        }
        // The same hold again is no error and no second hold.
        spi::query(
            "INSERT INTO wf.holds (case_id, reason, until, held_at, held_by)
             SELECT $1, $2, $3, $4, $5
             WHERE NOT EXISTS (SELECT FROM wf.holds AS h
                               WHERE h.case_id = $1 AND h.released_at IS NULL AND h.reason = $2
                                 AND h.until IS NOT DISTINCT FROM $3)",
            &[
                arg(case),
                arg(reason.as_str()),
                optional(until),
                arg(now()),
                arg(actor.as_str()),
            ],
        );
        crate::worker::wake::on_commit();
        open_steps(case)
    })
}

/// Ends all holds of a case.
#[pg_extern(sql = false)]
fn release(
    case_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
    let case = given("case_id", case_id);
    let actor = actor();
    as_engine(|| {
        let released = act(&[case], &actor, &|batch, index, _| {
            batch.cases[index].case.release(&mut batch.effects)
        });
        if released == 0 {
            unknown_case(case);
        }
        spi::query(
            "UPDATE wf.holds AS h SET released_at = $2, released_by = $3
             WHERE h.case_id = $1 AND h.released_at IS NULL",
            &[arg(case), arg(now()), arg(actor.as_str())],
        );
        open_steps(case)
    })
}

/// Takes up a step run that has failed.
#[pg_extern(sql = false)]
fn retry(
    case_id: Option<i64>,
    step: Option<String>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
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
fn skip(
    case_id: Option<i64>,
    step: Option<String>,
    reason: Option<String>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(state, String),
        name!(step, Option<String>),
        name!(visit, Option<i32>),
        name!(due_at, Option<TimestampWithTimeZone>),
        name!(task_id, Option<i64>),
    ),
> {
    let step = given("step", step);
    let caller = current_role();
    call(given("case_id", case_id), &|batch, index, facts| {
        let token = batch.cases[index].case.step_run(Some(&step))?;
        must_be_theirs(batch, index, token, caller)?;
        let env = batch.context.env();
        batch.cases[index]
            .case
            .skip(token, reason.as_deref(), facts, &env, &mut batch.effects)
    })
}
