//! Holds on cases: placing, releasing, running out, and the kinds of holds there are.
//!
//! The rows of wf.holds are kept here; what a hold does to its case is for the rules (`workflow_core::game::hold`). The
//! case is locked before its holds are looked at, so that of two who release at once the second sees what is left.
//!
//! * `verbs`: what people call    * `kinds`: what each kind stops, and who may end it

#![allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]

mod kinds;
mod verbs;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use workflow_core::game::{Block, Clock, Effects, Hold};
use workflow_core::{Error, ErrorCode};

use crate::api::{act, now};
use crate::engine::batch::Batch;
use crate::pg::raise::internal;
use crate::pg::spi::{self, RowRef, Rows};
use crate::pg::subtransaction::attempt;
use crate::pg::types::{arg, array, array_of, optional};

/// The columns of a hold, as `hold_of` reads them; the alias of wf.holds is h.
const HOLD: &str = "h.case_id, h.kind, h.reason, pg_catalog.array_to_string(h.blocks, ','), h.clock, h.held_at, h.until";

fn hold_of(row: RowRef<'_>) -> Hold {
    let blocks: String = row.must(4);
    Hold {
        kind: row.must(2),
        reason: row.must(3),
        blocks: blocks.split(',').filter_map(Block::from_label).collect(),
        clock: Clock::from_label(&row.must::<String>(5))
            .unwrap_or_else(|| internal("an unknown clock of a hold")),
        from: row.must(6),
        until: row.get(7),
    }
}

/// Holds by case.
type ByCase = HashMap<i64, Vec<Hold>>;

fn by_case(rows: &Rows) -> ByCase {
    let mut map = ByCase::new();
    for row in rows.iter() {
        map.entry(row.must(1)).or_default().push(hold_of(row));
    }
    map
}

/// The holds of some cases that have not ended.
fn open_holds(cases: &[i64]) -> ByCase {
    let sql = format!(
        "SELECT {HOLD} FROM wf.holds AS h
         WHERE h.case_id = ANY ($1) AND h.released_at IS NULL ORDER BY h.hold_id"
    );
    by_case(&spi::query(&sql, &[array(cases.iter().copied())]))
}

/// Puts cases on hold, which are locked. The same hold again is no second one. One statement for all of them, and the
/// moves that follow.
pub fn place(cases: &[i64], hold: &Hold, actor: &str) {
    let labels: Vec<&str> = hold.blocks.iter().map(|b| b.label()).collect();
    let rows = spi::query(
        "INSERT INTO wf.holds (case_id, kind, reason, blocks, clock, until, held_at, held_by)
         SELECT n.case_id, $2, $3, pg_catalog.string_to_array($4, ','), $5, $6, $7, $8
         FROM unnest($1::bigint[]) AS n (case_id)
         WHERE NOT EXISTS (SELECT FROM wf.holds AS h
                           WHERE h.case_id = n.case_id AND h.released_at IS NULL AND h.kind = $2 AND h.reason = $3
                             AND h.until IS NOT DISTINCT FROM $6)
         RETURNING case_id",
        &[
            array(cases.iter().copied()),
            arg(hold.kind.as_str()),
            arg(hold.reason.as_str()),
            arg(labels.join(",")),
            arg(hold.clock.label()),
            optional(hold.until),
            arg(hold.from),
            arg(actor),
        ],
    );
    let new: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    if !new.is_empty() {
        act(&new, actor, &|batch, index, _| {
            batch.cases[index].case.hold(hold, &mut batch.effects)
        });
    }
    crate::worker::wake::on_commit();
}

/// Ends holds of cases that are locked.
pub fn end(holds: &[i64], why: Option<&str>, actor: &str) {
    let sql = format!(
        "UPDATE wf.holds AS h SET released_at = $2, released_by = $3, release_reason = $4
         WHERE h.hold_id = ANY ($1) AND h.released_at IS NULL RETURNING {HOLD}"
    );
    let rows = spi::query(
        &sql,
        &[
            array(holds.iter().copied()),
            arg(now()),
            arg(actor),
            optional(why),
        ],
    );
    let ended = by_case(&rows);
    let mut cases: Vec<i64> = ended.keys().copied().collect();
    cases.sort_unstable();
    if cases.is_empty() {
        return;
    }
    let left = open_holds(&cases);
    act(&cases, actor, &|batch, index, facts| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        let of = |map: &ByCase| map.get(&case.id).cloned().unwrap_or_default();
        let (ended, left) = (of(&ended), of(&left));
        case.release(&ended, &left, Ok(facts), &env, &mut batch.effects)
    });
}

/// Ends the holds that have run out, of cases that nobody else is at; for the worker's tick. Gives back how many cases
/// there were.
pub fn release_expired() -> usize {
    let rows = spi::query_in_order(
        "SELECT h.case_id FROM wf.holds AS h
         WHERE h.released_at IS NULL AND h.until <= wf.now() ORDER BY h.until LIMIT 1000",
        &[],
    );
    let mut cases: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    cases.sort_unstable();
    cases.dedup();
    if cases.is_empty() {
        return 0;
    }
    let mut batch = Batch::load_free(&cases, "engine");
    let locked: Vec<i64> = batch.cases.iter().map(|c| c.case.id).collect();
    let sql = format!(
        "UPDATE wf.holds AS h SET released_at = $2, released_by = 'engine'
         WHERE h.case_id = ANY ($1) AND h.released_at IS NULL AND h.until <= $2 RETURNING {HOLD}"
    );
    let now = batch.context.now;
    let ended = by_case(&spi::query(
        &sql,
        &[array(locked.iter().copied()), arg(now)],
    ));
    release_in(&mut batch, &ended);
    batch.flush();
    locked.len()
}

/// Lets the cases of a batch know which of their holds have ended. The rows of the subjects are read only where dates
/// move; one that cannot be read keeps no case on hold.
fn release_in(batch: &mut Batch, ended: &ByCase) {
    let cases: Vec<i64> = ended.keys().copied().collect();
    if cases.is_empty() {
        return;
    }
    let left = open_holds(&cases);
    let of = |map: &ByCase, id: i64| map.get(&id).cloned().unwrap_or_default();
    for mut indexes in batch.by_version().into_values() {
        indexes.retain(|index| ended.contains_key(&batch.cases[*index].case.id));
        let moving: Vec<usize> = indexes
            .iter()
            .copied()
            .filter(|index| {
                let case = &batch.cases[*index].case;
                case.release_moves_dates(&of(ended, case.id))
            })
            .collect();
        let asked = if moving.is_empty() {
            Ok(None)
        } else {
            attempt(AssertUnwindSafe(|| batch.ask_watch(&moving)))
        };
        let (answers, error) = match asked {
            Ok(answers) => (answers, None),
            Err(failure) if failure.is_interrupt() => failure.raise(),
            Err(failure) => (None, Some(failure.message)),
        };
        let unknown = Error::new(
            ErrorCode::State,
            error.unwrap_or_else(|| "the subject's row was not read".to_owned()),
        )
        .hint("Mend the cause, then call wf.retry.");
        for index in indexes {
            let position = moving.iter().position(|i| *i == index);
            let facts = answers.as_ref().zip(position).map(|(a, p)| a.facts(p));
            let env = batch.context.env();
            let case = &mut batch.cases[index].case;
            let (ended, left) = (of(ended, case.id), of(&left, case.id));
            let facts = facts.as_ref().ok_or(&unknown);
            // A case that has ended has no holds.
            let _ = case.release(&ended, &left, facts, &env, &mut batch.effects);
        }
    }
}

/// Writes rows for holds that the batch has placed on its cases.
pub fn insert(holds: &[(i64, Hold)], by: &str) {
    if holds.is_empty() {
        return;
    }
    let blocks = |hold: &Hold| {
        let labels: Vec<&str> = hold.blocks.iter().map(|b| b.label()).collect();
        labels.join(",")
    };
    spi::query(
        "INSERT INTO wf.holds (case_id, kind, reason, blocks, clock, until, held_at, held_by)
         SELECT n.case_id, n.kind, n.reason, pg_catalog.string_to_array(n.blocks, ','), n.clock, n.until, n.held_at, $8
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS kind, unnest($3::text[]) AS reason,
                      unnest($4::text[]) AS blocks, unnest($5::text[]) AS clock, unnest($6::timestamptz[]) AS until,
                      unnest($7::timestamptz[]) AS held_at) AS n",
        &[
            array(holds.iter().map(|(case, _)| *case)),
            array(holds.iter().map(|(_, h)| h.kind.as_str())),
            array(holds.iter().map(|(_, h)| h.reason.as_str())),
            array(holds.iter().map(|(_, h)| blocks(h))),
            array(holds.iter().map(|(_, h)| h.clock.label())),
            array_of(holds.iter().map(|(_, h)| h.until)),
            array(holds.iter().map(|(_, h)| h.from)),
            arg(by),
        ],
    );
}

/// Ends the holds that somebody has on cases of the batch.
pub fn end_those_of(batch: &mut Batch, cases: &[i64], holder: &str) {
    if cases.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE wf.holds AS h SET released_at = $2, released_by = $3
         WHERE h.case_id = ANY ($1) AND h.released_at IS NULL AND h.held_by = $3 RETURNING {HOLD}"
    );
    let rows = spi::query(
        &sql,
        &[
            array(cases.iter().copied()),
            arg(batch.context.now),
            arg(holder),
        ],
    );
    release_in(batch, &by_case(&rows));
}

/// Ends holds on cases of the batch, each by the case and who holds it.
pub fn end_held_by(batch: &mut Batch, holds: &[(i64, String)]) {
    if holds.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE wf.holds AS h SET released_at = $3, released_by = h.held_by
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS held_by) AS n
         WHERE h.case_id = n.case_id AND h.released_at IS NULL AND h.held_by = n.held_by RETURNING {HOLD}"
    );
    let rows = spi::query(
        &sql,
        &[
            array(holds.iter().map(|(case, _)| *case)),
            array(holds.iter().map(|(_, by)| by.as_str())),
            arg(batch.context.now),
        ],
    );
    release_in(batch, &by_case(&rows));
}

/// A hold of a kind from now on; the reason is the kind.
pub fn of_kind(kind: &str) -> Hold {
    let kind = kinds::named(kind);
    Hold {
        reason: kind.name.clone(),
        kind: kind.name,
        blocks: kind.blocks,
        clock: kind.clock,
        from: now(),
        until: None,
    }
}

/// Keeps the messages of quiet cases here, or lets them go again: part of writing a batch, after the messages. What a
/// sender is just leasing has been handed over before.
pub fn write(effects: &Effects, now: DateTime<Utc>) {
    let quiets = &effects.quiets;
    if quiets.is_empty() {
        return;
    }
    let sql = "WITH found AS (
             SELECT o.message_id, n.reason
             FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS reason) AS n
             JOIN wf.outbox AS o ON o.case_id = n.case_id
             WHERE CASE WHEN n.reason IS NULL THEN o.state = 'deferred' AND o.not_before = 'infinity'
                        ELSE o.state IN ('deferred', 'queued') END
             FOR UPDATE OF o SKIP LOCKED)
         UPDATE wf.outbox AS o
         SET state = 'deferred', not_before = CASE WHEN f.reason IS NULL THEN $3 ELSE 'infinity' END, reason = f.reason
         FROM found AS f WHERE o.message_id = f.message_id";
    spi::query(
        sql,
        &[
            array(quiets.iter().map(|q| q.case_id)),
            array_of(quiets.iter().map(|q| q.reason.as_deref())),
            arg(now),
        ],
    );
    crate::worker::wake::on_commit();
}

/// The sender gives messages back while their cases are to be quiet: they stay here, too.
pub fn keep_quiet(cases: &[i64]) {
    spi::query(
        "UPDATE wf.outbox AS o
         SET state = 'deferred', not_before = 'infinity', reason = 'on hold: ' || (c.memory #>> '{stopped,communication}')
         FROM wf.cases AS c
         WHERE c.case_id = ANY ($1) AND c.memory #>> '{stopped,communication}' IS NOT NULL
           AND o.case_id = c.case_id AND o.state = 'queued'",
        &[array(cases.iter().copied())],
    );
}
