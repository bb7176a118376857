//! What applications call: start, complete and the other verbs of a running case.
//!
//! Each call checks everything before it changes anything, takes effect in the caller's transaction, and returns the
//! case's open steps. It locks the case first and waits for it. What follows by itself (the next automatic steps) runs
//! in the same call; should that fail, the call still holds and the worker takes over, with its attempts and incidents.

#![allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]

mod calls;
mod complete;
mod flow;
mod start;
mod subjects;

use std::cell::Cell;
use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::name;
use pgrx::pg_sys::{self, Oid};
use workflow_core::Error;
use workflow_core::game::Facts;

use crate::engine::batch::Batch;
use crate::engine::{as_engine, context};
use crate::pg::acting::{current_role, role_name, session_role};
use crate::pg::raise::{raise, raise_as};
use crate::pg::rows::Rows;
use crate::pg::spi;
use crate::pg::subtransaction::{Failure, attempt};
use crate::pg::types::{arg, instant_to_pg};

/// The rows that every call returns: the case's open steps after it.
pub type OpenSteps = Rows<(
    name!(case_id, i64),
    name!(state, String),
    name!(step, Option<String>),
    name!(visit, Option<i32>),
    name!(due_at, Option<TimestampWithTimeZone>),
    name!(task_id, Option<i64>),
)>;

/// A timestamptz for a result row.
pub fn timestamp(at: DateTime<Utc>) -> TimestampWithTimeZone {
    // Inside PostgreSQL's range by construction: it came from there.
    TimestampWithTimeZone::try_from(instant_to_pg(at))
        .unwrap_or_else(|_| TimestampWithTimeZone::positive_infinity())
}

/// An argument that must not be NULL.
pub fn given<T>(name: &str, value: Option<T>) -> T {
    value.unwrap_or_else(|| {
        raise_as(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("argument {name} must not be null"),
            Some("It has no default.".to_owned()),
            Some(format!("Give {name} a value.")),
        )
    })
}

/// Who acts, for history: the role that logged in, and the effective one if it is another.
pub fn actor() -> String {
    let (session, current) = (unmistakable(session_role()), unmistakable(current_role()));
    if session == current {
        session
    } else {
        format!("{session} as {current}")
    }
}

/// The name of a role, in quotes where it could be taken for two of them, or for the engine.
fn unmistakable(role: Oid) -> String {
    let name = role_name(role);
    if name == "engine" || name.contains(" as ") || name.starts_with('"') {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name
    }
}

/// The rows that a call returns.
pub fn open_steps(case: i64) -> OpenSteps {
    let rows = spi::query(
        "SELECT c.state::text, coalesce(s.name, CASE WHEN t.step_no = 0 THEN 'start' END), t.visit,
                coalesce(t.due_at, t.run_at), k.task_id
         FROM wf.cases AS c
         LEFT JOIN wf.case_steps AS t ON t.case_id = c.case_id AND t.step_no >= 0
         LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
         LEFT JOIN wf.tasks AS k ON k.case_id = t.case_id AND k.step_no = t.step_no AND k.visit = t.visit
         WHERE c.case_id = $1 ORDER BY t.step_no, t.visit",
        &[arg(case)],
    );
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                case,
                row.must(1),
                row.get(2),
                row.get::<i16>(3).map(i32::from),
                row.get(4).map(timestamp),
                row.get(5),
            )
        })
        .collect();
    Rows::new(rows)
}

/// The error of a call on a case that does not exist.
pub fn unknown_case(case: i64) -> ! {
    raise_as(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        format!("case {case} does not exist"),
        None,
        Some("wf.case_progress lists the cases.".to_owned()),
    )
}

/// What a call does to the case at an index of the batch.
pub type Act<'a> = dyn Fn(&mut Batch, usize, &Facts<'_>) -> Result<(), Error> + 'a;

/// Acts on cases and lets them run on. Cases that do not exist are passed over. Returns the number there are.
///
/// The running on is tried in a subtransaction. If the database raises an error there, the acts are done without it.
pub fn act(cases: &[i64], actor: &str, op: &Act<'_>) -> usize {
    act_and(true, cases, actor, op)
}

/// The same, but what is due after it is left to the workers, or to the next wf.run_due.
pub fn act_only(cases: &[i64], actor: &str, op: &Act<'_>) -> usize {
    act_and(false, cases, actor, op)
}

fn act_and(run_on: bool, cases: &[i64], actor: &str, op: &Act<'_>) -> usize {
    let found = Cell::new(0);
    let whole = |run_on: bool| -> Result<(), Error> {
        let mut batch = Batch::load(cases, actor);
        found.set(batch.cases.len());
        for indexes in batch.by_version().into_values() {
            let Some(answers) = batch.ask_watch(&indexes) else {
                continue;
            };
            for (position, index) in indexes.into_iter().enumerate() {
                op(&mut batch, index, &answers.facts(position))?;
            }
        }
        if run_on {
            batch.run();
        }
        batch.flush();
        Ok(())
    };
    let try_it = |run_on: bool| attempt(AssertUnwindSafe(|| whole(run_on)));
    let result = match try_it(run_on) {
        Err(failure) if run_on && !failure.is_interrupt() && !must_repeat(&failure) => {
            try_it(false)
        }
        tried => tried,
    };
    let result = result.unwrap_or_else(|failure| {
        if !must_repeat(&failure) {
            failure.raise();
        }
        raise_as(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
            Some(
                "Somebody has moved the case on since this transaction took its snapshot."
                    .to_owned(),
            ),
            Some("Run the transaction again.".to_owned()),
        )
    });
    if let Err(error) = result {
        raise(error);
    }
    found.get()
}

/// Whether a case was moved on by somebody after a transaction that keeps its snapshot had taken it. What of that it would
/// change again, PostgreSQL refuses to; of what is new and in its way, it sees no more than that.
fn must_repeat(failure: &Failure) -> bool {
    // SAFETY: a variable of the backend, which has one thread.
    let fixed = unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32;
    let in_the_way = || failure.sqlstate == "23505" && failure.message.contains("case_steps_pkey");
    fixed && (failure.sqlstate == "40001" || in_the_way())
}

/// Acts on one case, as a user's call does; raises if there is no such case.
pub fn call(case: i64, op: &Act<'_>) -> OpenSteps {
    let actor = actor();
    as_engine(|| {
        if act(&[case], &actor, op) == 0 {
            unknown_case(case);
        }
        open_steps(case)
    })
}

/// The engine's time, for calls that note it.
pub fn now() -> DateTime<Utc> {
    context::now()
}
