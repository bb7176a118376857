//! wf.claim_task, release_task, delegate_task, reassign_task: a task changes hands. Each leaves a row of history with
//! who did it, from whom, to whom and why.

use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use super::config::{must_be_person, must_exist};
use super::record::{alert, history};
use super::rights::{Task, locked, person_named, who_calls};
use super::sight::{must_see, sees};
use crate::api::{actor, given, now, timestamp};
use crate::engine::as_engine;
use crate::pg::acting::{acts_for, current_role, role_name};
use crate::pg::raise::raise_as;
use crate::pg::rows::Rows;
use crate::pg::spi;
use crate::pg::types::{arg, optional};

type Assigned = Rows<(
    name!(task_id, i64),
    name!(case_id, i64),
    name!(step, String),
    name!(participant, Option<String>),
    name!(claimed_by, Option<String>),
    name!(substitute, Option<String>),
    name!(due_at, Option<TimestampWithTimeZone>),
)>;

/// The row that every call returns.
fn assigned(task: &Task) -> Assigned {
    let rows = spi::query(
        "SELECT t.participant, t.claimed_by, t.substitute, t.due_at FROM wf.tasks AS t WHERE t.task_id = $1",
        &[arg(task.id)],
    );
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                task.id,
                task.case,
                task.step.clone(),
                row.get(1),
                row.get(2),
                row.get(3),
                row.get(4).map(timestamp),
            )
        })
        .collect();
    Rows::new(rows)
}

/// Takes a task to work on it.
#[pg_extern(sql = false)]
fn claim_task(task_id: Option<i64>, participant: Option<String>) -> Assigned {
    let task = given("task_id", task_id);
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let task = locked(task);
        let person = match participant {
            Some(name) => {
                must_act_for(&name, caller);
                name
            }
            None => who_calls(caller),
        };
        if task.claimed_by.as_deref() == Some(&person) {
            return assigned(&task);
        }
        if let Some(other) = &task.claimed_by {
            must_see(task.case, caller);
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("task {} of case {} is with {other} already", task.id, task.case),
                None,
                Some("Ask them to give it back (wf.release_task), or a manager to reassign it (wf.reassign_task).".to_owned()),
            );
        }
        task.must_be_of(caller);
        if person_named(&person).is_some() && !task.is_for(&person) {
            raise_as(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("task {} of case {} is not for {person}", task.id, task.case),
                Some(format!(
                    "It is for \"{}\".",
                    task.participant.as_deref().unwrap_or_default()
                )),
                Some("Have it delegated (wf.delegate_task), or put them into the queue (wf.set_members).".to_owned()),
            );
        }
        set_claim(&task, Some(&person), None);
        history(
            &task,
            "task_claimed",
            &actor,
            task.participant.as_deref(),
            Some(&person),
            None,
        );
        assigned(&task)
    })
}

/// An application may act for a person: one that has no role of its own, or whose role it may act for.
fn must_act_for(name: &str, caller: Oid) {
    must_exist([name]);
    must_be_person(
        name,
        "A task is claimed by a person; wf.reassign_task gives it to a queue.",
    );
    let role = person_named(name).and_then(|person| person.role);
    if let Some(role) = role
        && !acts_for(caller, role)
    {
        raise_as(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("you do not act for \"{name}\""),
            Some(format!(
                "That takes membership in role {}; you are {}.",
                role_name(role),
                role_name(caller)
            )),
            Some("Claim it for yourself, or have a manager reassign it.".to_owned()),
        );
    }
}

fn set_claim(task: &Task, person: Option<&str>, substitute: Option<&str>) {
    spi::query(
        "UPDATE wf.tasks AS t SET claimed_by = $2, substitute = coalesce($3, t.substitute) WHERE t.task_id = $1",
        &[arg(task.id), optional(person), optional(substitute)],
    );
}

/// Whether the caller may hand any task on: whoever may call wf.reassign_task.
pub fn is_manager(caller: Oid) -> bool {
    let rows = spi::query(
        "SELECT pg_catalog.has_function_privilege($1, 'wf.reassign_task(bigint, text, text)', 'EXECUTE')",
        &[arg(caller)],
    );
    rows.first().is_some_and(|row| row.must(1))
}

/// Gives a task back.
#[pg_extern(sql = false)]
fn release_task(task_id: Option<i64>, reason: Option<String>) -> Assigned {
    let task = given("task_id", task_id);
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let task = locked(task);
        if !is_manager(caller) && (task.claimed_by.is_some() || !sees(task.case, caller)) {
            task.must_be_of(caller);
        }
        let Some(person) = task.claimed_by.as_deref() else {
            // The same call again is no error.
            return assigned(&task);
        };
        set_claim(&task, None, None);
        history(
            &task,
            "task_released",
            &actor,
            Some(person),
            task.participant.as_deref(),
            reason.as_deref(),
        );
        assigned(&task)
    })
}

/// Lets another person do it.
#[pg_extern(sql = false)]
fn delegate_task(
    task_id: Option<i64>,
    participant: Option<String>,
    reason: Option<String>,
) -> Assigned {
    let (task, to) = (given("task_id", task_id), given("participant", participant));
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_exist([to.as_str()]);
        must_be_person(
            &to,
            "Only a person can do a task; wf.reassign_task gives it to a queue.",
        );
        let task = locked(task);
        if !is_manager(caller) {
            task.must_be_of(caller);
        }
        if task.claimed_by.as_deref() == Some(&to) {
            return assigned(&task);
        }
        let substitute = substitute(&to);
        set_claim(&task, Some(&to), substitute.as_deref());
        history(
            &task,
            "task_delegated",
            &actor,
            task.holder(),
            Some(&to),
            reason.as_deref(),
        );
        alert(&task, "delegated", &to);
        if let Some(substitute) = substitute {
            alert(&task, "delegated", &substitute);
        }
        assigned(&task)
    })
}

/// Gives it to another person or queue for good.
#[pg_extern(sql = false)]
fn reassign_task(
    task_id: Option<i64>,
    participant: Option<String>,
    reason: Option<String>,
) -> Assigned {
    let (task, to) = (given("task_id", task_id), given("participant", participant));
    let actor = actor();
    as_engine(|| {
        must_exist([to.as_str()]);
        let task = locked(task);
        if task.claimed_by.is_none() && task.participant.as_deref() == Some(&to) {
            return assigned(&task);
        }
        let substitute = substitute(&to);
        spi::query(
            "UPDATE wf.tasks AS t SET participant = $2, claimed_by = NULL, substitute = $3, escalated_to = NULL
             WHERE t.task_id = $1",
            &[arg(task.id), arg(to.as_str()), optional(substitute.as_deref())],
        );
        history(
            &task,
            "task_reassigned",
            &actor,
            task.holder(),
            Some(&to),
            reason.as_deref(),
        );
        alert(&task, "reassigned", &to);
        if let Some(substitute) = substitute {
            alert(&task, "reassigned", &substitute);
        }
        assigned(&task)
    })
}

/// Who stands in for a participant now, if it is away.
fn substitute(participant: &str) -> Option<String> {
    let rows = spi::query(
        "SELECT wf._substitute($1, $2)",
        &[arg(participant), arg(now())],
    );
    rows.first().and_then(|row| row.get(1))
}
