//! Promises to pay: made by a call, looked at when their row changes and when their time is over.
//!
//! A promise keeps its case on hold (kind `promise`) until it is over. When that is stands in an index of wf.promises,
//! which the worker's look asks as it asks the others; the rules remember the rest with the case, so that a change of
//! the row costs no statement for it.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use pgrx::AnyNumeric;
use pgrx::PgSqlErrorCode;
use pgrx::datum::Date;
use pgrx::prelude::*;
use workflow_core::game::{Hold, Made, PromiseState, Promised};
use workflow_core::{Error, ErrorCode};

use super::by_hand::amount_given;
use crate::api::{act, actor, given, now, unknown_case};
use crate::engine::batch::Batch;
use crate::engine::failures::halving;
use crate::engine::work::Run;
use crate::engine::{as_engine, simulation};
use crate::holds;
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::raise::{internal, raise, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of, optional};
use crate::settings;

/// The kind of the hold that a promise places.
const KIND: &str = "promise";

/// Who holds a case for a promise.
fn holder(promise: i64) -> String {
    format!("promise {promise}")
}

/// A date of SQL as the rules take it.
pub fn day(date: Date) -> NaiveDate {
    let (month, day) = (u32::from(date.month()), u32::from(date.day()));
    NaiveDate::from_ymd_opt(date.year(), month, day).unwrap_or(NaiveDate::MAX)
}

/// Enters a promise to pay, and puts its case on hold until it is over. Gives back its number.
#[pg_extern(sql = false)]
fn promise(
    case_id: Option<i64>,
    amount: Option<AnyNumeric>,
    due: Option<Date>,
    grace: Option<i32>,
) -> i64 {
    let case = given("case_id", case_id);
    let (amount, due) = (amount_given("amount", amount), day(given("due", due)));
    let grace = grace.map(|days| {
        u16::try_from(days)
            .ok()
            .filter(|d| *d <= 366)
            .unwrap_or_else(|| {
                raise(
                    Error::new(ErrorCode::Input, format!("grace is {days}"))
                        .hint("Give business days, from 0 to 366."),
                )
            })
    });
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_see(case, caller);
        let id = next_id();
        let made = std::cell::RefCell::new(None);
        let found = act(&[case], &actor, &|batch, index, facts| {
            let promised = Promised {
                id,
                amount: &amount,
                due,
                grace,
            };
            let env = batch.context.env();
            let loaded = &mut batch.cases[index];
            let new = loaded
                .case
                .promise(&promised, facts, &env, &mut batch.effects)?;
            let row = (loaded.version.subject.id, loaded.case.key.clone());
            made.replace(Some((row, new)));
            Ok(())
        });
        let Some((row, made)) = made.take().filter(|_| found > 0) else {
            unknown_case(case);
        };
        insert(id, case, &row, &amount, due, &made, &actor);
        let currency = made
            .currency
            .as_deref()
            .map_or(String::new(), |c| format!(" {c}"));
        let hold = Hold {
            reason: format!("promise {id}: {amount}{currency} by {due}"),
            until: Some(made.breaks_at),
            ..holds::of_kind(KIND)
        };
        holds::place(&[case], &hold, &holder(id));
        id
    })
}

fn next_id() -> i64 {
    let rows = spi::query(
        "SELECT pg_catalog.nextval('wf.promises_promise_id_seq')",
        &[],
    );
    rows.first()
        .map_or_else(|| internal("no number for a promise"), |row| row.must(1))
}

fn insert(
    id: i64,
    case: i64,
    row: &super::charges::RowKey,
    amount: &str,
    due: NaiveDate,
    made: &Made,
    actor: &str,
) {
    spi::query(
        "INSERT INTO wf.promises (promise_id, case_id, subject_id, key, amount, currency, due_on, grace, open_before,
                                  breaks_at, made_at, made_by)
         OVERRIDING SYSTEM VALUE
         VALUES ($1, $2, $3, $4, $5::text::numeric, $6, $7::text::date, $8, $9::text::numeric, $10, $11, $12)",
        &[
            arg(id),
            arg(case),
            arg(row.0),
            arg(row.1.as_str()),
            arg(amount),
            optional(made.currency.as_deref()),
            arg(due.to_string()),
            arg(i32::from(made.grace)),
            arg(made.open.as_str()),
            arg(made.breaks_at),
            arg(now()),
            arg(actor),
        ],
    );
}

/// Takes a promise back; its hold ends.
#[pg_extern(sql = false)]
fn withdraw_promise(promise_id: Option<i64>) {
    let id = given("promise_id", promise_id);
    let actor = actor();
    as_engine(|| {
        let rows = spi::query(
            "SELECT p.case_id, p.state FROM wf.promises AS p WHERE p.promise_id = $1",
            &[arg(id)],
        );
        let Some(row) = rows.first() else {
            raise_as(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("promise {id} does not exist"),
                None,
                Some("wf.promises lists the promises.".to_owned()),
            );
        };
        let (case, state): (i64, String) = (row.must(1), row.must(2));
        if state == PromiseState::Withdrawn.label() {
            // The same call again is no error.
            return;
        }
        act(&[case], &actor, &|batch, index, _| {
            let case = &mut batch.cases[index].case;
            if case.withdraw_promise(id, &mut batch.effects) {
                return Ok(());
            }
            Err(
                Error::new(ErrorCode::State, format!("promise {id} is {state}"))
                    .hint("Only a promise that is open can be taken back."),
            )
        });
    });
}

/// Writes what has become of promises in a batch, and ends their holds: before the batch itself is written.
pub fn write(batch: &mut Batch) {
    let ends = std::mem::take(&mut batch.effects.promises);
    spi::query(
        "UPDATE wf.promises AS p
         SET state = n.state, paid = n.paid::numeric, breaks_at = coalesce(n.again_at, p.breaks_at),
             ended_at = CASE WHEN n.again_at IS NULL THEN $5 END, ended_by = CASE WHEN n.again_at IS NULL THEN $6 END
         FROM (SELECT unnest($1::bigint[]) AS promise_id, unnest($2::text[]) AS state, unnest($3::text[]) AS paid,
                      unnest($4::timestamptz[]) AS again_at) AS n
         WHERE p.promise_id = n.promise_id",
        &[
            array(ends.iter().map(|e| e.id)),
            array(ends.iter().map(|e| e.state.label())),
            array_of(ends.iter().map(|e| e.paid.as_deref())),
            array_of(ends.iter().map(|e| e.again_at)),
            arg(batch.context.now),
            arg(batch.actor.as_str()),
        ],
    );
    let over: Vec<(i64, String)> = ends
        .iter()
        .filter(|end| end.again_at.is_none())
        .map(|end| (end.case_id, holder(end.id)))
        .collect();
    holds::end_held_by(batch, &over);
}

/// Looks at the promises whose time is over. True if there were any.
pub fn settle_due(run: &mut Run<'_>) -> bool {
    let mut claimed: Vec<i64> = Vec::new();
    let result = run(&mut || {
        as_engine(|| {
            claimed = claim(now());
            settle(&claimed);
        });
    });
    match result {
        Ok(()) => !claimed.is_empty(),
        Err(failure) if failure.is_interrupt() || claimed.is_empty() => false,
        Err(_) => halving(
            run,
            &claimed,
            &|cases| as_engine(|| settle(cases)),
            &|case, _| as_engine(|| postpone(*case)),
            &|_| false,
        ),
    }
}

/// Cases with a promise whose time is over, locked: those that nobody else is at.
fn claim(now: DateTime<Utc>) -> Vec<i64> {
    let scope = simulation::scope();
    let sql = format!(
        "SELECT c.case_id FROM wf.promises AS p JOIN wf.cases AS c ON c.case_id = p.case_id
         WHERE p.state = 'open' AND p.breaks_at <= $1{scope}
         ORDER BY p.breaks_at LIMIT $2 FOR UPDATE OF c SKIP LOCKED"
    );
    let rows = spi::query_in_order(&sql, &[arg(now), arg(settings::batch_size())]);
    rows.iter().map(|row| row.must(1)).collect()
}

fn settle(cases: &[i64]) {
    if cases.is_empty() {
        return;
    }
    let mut batch = Batch::load_free(cases, "engine");
    for indexes in batch.by_version().into_values() {
        let Some(answers) = batch.ask_watch(&indexes) else {
            continue;
        };
        let env = batch.context.env();
        for (position, index) in indexes.into_iter().enumerate() {
            let case = &mut batch.cases[index].case;
            case.look_at_promises(&answers.facts(position), &env, &mut batch.effects);
        }
    }
    batch.flush();
}

/// What is open on the row of a case cannot be read: its promises are looked at again in an hour.
fn postpone(case: i64) {
    spi::query(
        "UPDATE wf.promises AS p SET breaks_at = $2
         WHERE p.case_id = $1 AND p.state = 'open' AND p.breaks_at <= $3",
        &[arg(case), arg(now() + TimeDelta::hours(1)), arg(now())],
    );
}
