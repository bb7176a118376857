//! Events from outside (wf.signal, wf.push_button), and cancelling parts of a case (wf.cancel_step, wf.cancel_phase).

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use workflow_core::game::Settlement;
use workflow_core::{Error, ErrorCode};

use super::{OpenSteps, call, given};
use crate::engine::as_engine;
use crate::engine::enrol::free_for_call;
use crate::engine::versions::{version, workflow};
use crate::people::{must_be_theirs, must_see, step_run};
use crate::pg::acting::current_role;
use crate::pg::json::JsonbText;
use crate::pg::raise::raise_as;

/// Something has happened outside: moves the steps of a case that wait for it, or is kept for one that will.
#[pg_extern(sql = false)]
fn signal(case_id: Option<i64>, signal: Option<String>, data: Option<JsonbText>) -> OpenSteps {
    send(given("case_id", case_id), &given("signal", signal), data)
}

/// The same for the open case of a workflow about a row.
#[pg_extern(sql = false)]
fn signal_key(
    workflow: Option<&str>,
    key: Option<String>,
    signal: Option<String>,
    data: Option<JsonbText>,
) -> OpenSteps {
    let (name, key) = (given("workflow", workflow), given("key", key));
    let case = as_engine(|| open_case(name, &key));
    send(case, &given("signal", signal), data)
}

fn open_case(name: &str, key: &str) -> i64 {
    let row = workflow(name);
    let open = row.published.and_then(|published| {
        let version = version(published);
        let keys = version.subject.canonical_keys(&[key.to_owned()]);
        let (_, open) = free_for_call(&version, &keys);
        open.into_iter().next().map(|(_, case)| case)
    });
    open.unwrap_or_else(|| {
        raise_as(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("workflow \"{name}\" has no open case for {key}"),
            None,
            Some("wf.case_progress lists the cases; wf.start begins one.".to_owned()),
        )
    })
}

fn send(case: i64, signal: &str, data: Option<JsonbText>) -> OpenSteps {
    let data = data.map(|d| d.0);
    call(case, &|batch, index, facts| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        case.signal(signal, data.as_deref(), facts, &env, &mut batch.effects)
    })
}

/// Pushes a button that is on offer.
#[pg_extern(sql = false)]
fn push_button(case_id: Option<i64>, button: Option<String>, data: Option<JsonbText>) -> OpenSteps {
    let button = given("button", button);
    let data = data.map(|d| d.0);
    let caller = current_role();
    call(given("case_id", case_id), &|batch, index, facts| {
        let case = &batch.cases[index].case;
        let step = case.program.step_named(&button);
        if let Some(step) = step.filter(|step| !step.kind.brings_event()) {
            must_see(case.id, caller);
            return Err(Error::new(
                ErrorCode::State,
                format!("step \"{button}\" is a {}, not a button", step.kind.name()),
            )
            .hint("Settle it with wf.complete_step."));
        }
        let token = step_run(batch, index, &button, caller)?;
        must_be_theirs(batch, index, token, caller)?;
        let settlement = Settlement {
            outcome: None,
            data: data.as_deref(),
        };
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        case.settle(token, settlement, facts, &env, &mut batch.effects)
    })
}

/// Withdraws one open step run.
#[pg_extern(sql = false)]
fn cancel_step(case_id: Option<i64>, step: Option<String>, reason: Option<String>) -> OpenSteps {
    let step = given("step", step);
    let reason = reason.unwrap_or_else(|| "cancelled".to_owned());
    call(given("case_id", case_id), &|batch, index, _| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        let token = case.step_run(Some(&step))?;
        case.cancel_step(token, &reason, &env, &mut batch.effects)
    })
}

/// Withdraws what is open in a phase.
#[pg_extern(sql = false)]
fn cancel_phase(case_id: Option<i64>, phase: Option<String>, reason: Option<String>) -> OpenSteps {
    let phase = given("phase", phase);
    let reason = reason.unwrap_or_else(|| "cancelled".to_owned());
    call(given("case_id", case_id), &|batch, index, facts| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        case.cancel_phase(&phase, &reason, facts, &env, &mut batch.effects)
    })
}
