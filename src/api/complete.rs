//! wf.complete and wf.complete_step: settling what is open to a person.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use workflow_core::game::Settlement;

use super::{OpenSteps, act, actor, call, given, open_steps};
use crate::engine::as_engine;
use crate::people::{must_be_theirs, must_see, sees, step_run};
use crate::pg::acting::current_role;
use crate::pg::json::JsonbText;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::arg;

/// Settles a task by its id.
#[pg_extern(sql = false)]
fn complete(task_id: Option<i64>, outcome: Option<String>, data: Option<JsonbText>) -> OpenSteps {
    let task = given("task_id", task_id);
    let data = data.map(|d| d.0);
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let Some((case, _, _)) = open_task(task) else {
            return settled_before(task, outcome.as_deref(), &actor, caller);
        };
        let found = std::cell::Cell::new(false);
        act(&[case], &actor, &|batch, index, facts| {
            // Looked up again: the task may have been settled while we waited for the case.
            let tokens = &batch.cases[index].case.tokens;
            let Some(token) = tokens.iter().position(|t| t.task_id == Some(task)) else {
                found.set(false);
                return Ok(());
            };
            found.set(true);
            must_be_theirs(batch, index, token, caller)?;
            let settlement = Settlement {
                outcome: outcome.as_deref(),
                data: data.as_deref(),
            };
            let env = batch.context.env();
            batch.cases[index]
                .case
                .settle(token, settlement, facts, &env, &mut batch.effects)
        });
        if found.get() {
            open_steps(case)
        } else {
            settled_before(task, outcome.as_deref(), &actor, caller)
        }
    })
}

fn open_task(task: i64) -> Option<(i64, i16, i16)> {
    let rows = spi::query(
        "SELECT t.case_id, t.step_no, t.visit FROM wf.tasks AS t WHERE t.task_id = $1",
        &[arg(task)],
    );
    rows.first()
        .map(|row| (row.must(1), row.must(2), row.must(3)))
}

/// A call repeated after it took effect (a lost answer, a double click) is no error; a different one is. What has become of
/// the task is for those who see its case, and whoever settled it.
fn settled_before(task: i64, outcome: Option<&str>, actor: &str, caller: Oid) -> OpenSteps {
    let rows = spi::query(
        "SELECT h.case_id, h.event::text, h.outcome, h.actor = $2 FROM wf.history AS h
         WHERE h.task_id = $1 AND h.event IN ('step_done', 'step_skipped', 'step_cancelled')
         ORDER BY h.history_id DESC LIMIT 1",
        &[arg(task), arg(actor)],
    );
    let Some(row) = rows.first() else {
        raise_as(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("task {task} does not exist"),
            None,
            Some("wf.worklist lists the open tasks.".to_owned()),
        );
    };
    let (case, event): (i64, String) = (row.must(1), row.must(2));
    let done: Option<String> = row.get(3);
    if !row.must::<bool>(4) {
        must_see(case, caller);
    }
    if event == "step_done" && (outcome.is_none() || outcome == done.as_deref()) {
        return open_steps(case);
    }
    let how = match event.as_str() {
        "step_done" => "is already settled",
        "step_skipped" => "was skipped",
        _ => "was withdrawn",
    };
    raise_as(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("task {task} of case {case} {how}"),
        done.map(|outcome| format!("Outcome \"{outcome}\".")),
        Some("wf.case_timeline shows what happened; wf.worklist lists the open tasks.".to_owned()),
    )
}

/// Settles the open run of a step.
#[pg_extern(sql = false)]
fn complete_step(
    case_id: Option<i64>,
    step: Option<String>,
    outcome: Option<String>,
    data: Option<JsonbText>,
) -> OpenSteps {
    let (case, step) = (given("case_id", case_id), given("step", step));
    let data = data.map(|d| d.0);
    let (actor, caller) = (actor(), current_role());
    call(case, &|batch, index, facts| {
        let token = match batch.cases[index].case.step_run(Some(&step)) {
            Ok(token) => token,
            // The same call again is no error.
            Err(_) if done_before(case, &step, outcome.as_deref(), &actor, caller) => {
                return Ok(());
            }
            Err(_) => step_run(batch, index, &step, caller)?,
        };
        must_be_theirs(batch, index, token, caller)?;
        let settlement = Settlement {
            outcome: outcome.as_deref(),
            data: data.as_deref(),
        };
        let env = batch.context.env();
        batch.cases[index]
            .case
            .settle(token, settlement, facts, &env, &mut batch.effects)
    })
}

/// Whether the last run of a step was settled with this outcome, as far as the caller may know: by them, or in a case that
/// they see.
fn done_before(case: i64, step: &str, outcome: Option<&str>, actor: &str, caller: Oid) -> bool {
    let rows = spi::query(
        "SELECT h.outcome, h.actor = $3 FROM wf.history AS h
         JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
         WHERE h.case_id = $1 AND s.name = $2 AND h.event = 'step_done' ORDER BY h.history_id DESC LIMIT 1",
        &[arg(case), arg(step), arg(actor)],
    );
    rows.first().is_some_and(|row| {
        let done: Option<String> = row.get(1);
        done.is_some_and(|done| outcome.is_none_or(|outcome| outcome == done))
            && (row.must(2) || sees(case, caller))
    })
}
