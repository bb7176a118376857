//! Disputes: of the whole claim, which puts its case on hold, and of a part of it, which does not.
//!
//! A workflow of kind on_hold may look into a dispute beside the case. When that one ends, the dispute is settled: its
//! hold is given an end, and the next tick releases the case, so that neither case waits for the other's lock.

use pgrx::AnyNumeric;
use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use workflow_core::game::Hold;

use super::by_hand::amount_given;
use crate::api::{act, actor, given, now, unknown_case};
use crate::engine::as_engine;
use crate::engine::batch::{Batch, lock_waiting};
use crate::holds;
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::raise::{internal, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, array, optional};
use crate::worker::wake;

/// The kind of the hold that a dispute places.
const KIND: &str = "dispute";
/// The signal that a case which looks into a dispute may wait for.
const SETTLED: &str = "dispute settled";

/// Who holds a case for a dispute.
fn holder(dispute: i64) -> String {
    format!("dispute {dispute}")
}

/// What is disputed in part of a case's claim, by disputes that are open; None: nothing.
fn disputed(case: i64) -> Option<String> {
    let rows = spi::query(
        "SELECT sum(d.amount)::text FROM wf.disputes AS d
         WHERE d.case_id = $1 AND d.settled_at IS NULL AND d.amount IS NOT NULL",
        &[arg(case)],
    );
    rows.first().and_then(|row| row.get(1))
}

/// Enters a dispute; gives back its number.
#[pg_extern(sql = false)]
fn dispute(case_id: Option<i64>, reason: Option<&str>, amount: Option<AnyNumeric>) -> i64 {
    let (case, reason) = (given("case_id", case_id), given("reason", reason));
    let amount = amount.map(|amount| amount_given("amount", Some(amount)));
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_see(case, caller);
        if lock_waiting(&[case]).is_empty() {
            unknown_case(case);
        }
        let rows = spi::query(
            "INSERT INTO wf.disputes (case_id, subject_id, key, amount, reason, opened_at, opened_by)
             SELECT c.case_id, v.subject_id, c.key, $2::text::numeric, $3, $4, $5
             FROM wf.cases AS c JOIN wf.versions AS v ON v.version_id = c.version_id WHERE c.case_id = $1
             RETURNING dispute_id",
            &[
                arg(case),
                optional(amount.as_deref()),
                arg(reason),
                arg(now()),
                arg(actor.as_str()),
            ],
        );
        let id: i64 = rows
            .first()
            .map_or_else(|| internal("no row for a dispute"), |row| row.must(1));
        let part = amount.as_ref().and_then(|_| disputed(case));
        act(&[case], &actor, &|batch, index, _| {
            let case = &mut batch.cases[index].case;
            case.dispute(id, reason, part.as_deref(), &mut batch.effects)
        });
        if amount.is_some() {
            return id;
        }
        let hold = Hold {
            reason: reason.to_owned(),
            ..holds::of_kind(KIND)
        };
        holds::place(&[case], &hold, &holder(id));
        // The case that looks into it, if its workflow names one: started just now.
        spi::query(
            "UPDATE wf.disputes AS d SET looked_into_by = (
                 SELECT max(l.case_id) FROM wf.case_links AS l
                 JOIN wf.cases AS c ON c.case_id = l.case_id
                 JOIN wf.versions AS v ON v.version_id = c.version_id
                 WHERE l.started_by = d.case_id AND c.ended_at IS NULL AND v.kind = 'on_hold')
             WHERE d.dispute_id = $1",
            &[arg(id)],
        );
        id
    })
}

/// Settles a dispute: its case goes on where it was.
#[pg_extern(sql = false)]
fn settle_dispute(dispute_id: Option<i64>, outcome: Option<&str>) {
    let (id, outcome) = (given("dispute_id", dispute_id), given("outcome", outcome));
    let actor = actor();
    as_engine(|| {
        let rows = spi::query(
            "SELECT d.case_id, d.looked_into_by, d.settled_at IS NOT NULL FROM wf.disputes AS d
             WHERE d.dispute_id = $1",
            &[arg(id)],
        );
        let Some(row) = rows.first() else {
            raise_as(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("dispute {id} does not exist"),
                None,
                Some("wf.disputes lists the disputes.".to_owned()),
            );
        };
        let (case, beside): (i64, Option<i64>) = (row.must(1), row.get(2));
        if row.must(3) {
            // The same call again is no error.
            return;
        }
        let both: Vec<i64> = beside.into_iter().chain([case]).collect();
        lock_waiting(&both);
        spi::query(
            "UPDATE wf.disputes AS d SET settled_at = $2, settled_by = $3, outcome = $4
             WHERE d.dispute_id = $1 AND d.settled_at IS NULL",
            &[arg(id), arg(now()), arg(actor.as_str()), arg(outcome)],
        );
        let part = disputed(case);
        act(&[case], &actor, &|batch, index, _| {
            holds::end_held_by(batch, &[(case, holder(id))]);
            let case = &mut batch.cases[index].case;
            case.dispute_settled(id, outcome, part.as_deref(), &mut batch.effects)
        });
        let Some(beside) = beside else { return };
        act(&[beside], &actor, &|batch, index, facts| {
            let env = batch.context.env();
            let case = &mut batch.cases[index].case;
            if case.state.is_over() {
                return Ok(());
            }
            let mut steps = case.program.steps.iter();
            if steps.any(|step| step.kind.signal() == Some(SETTLED)) {
                return case.signal(SETTLED, None, facts, &env, &mut batch.effects);
            }
            case.cancel(SETTLED, &mut batch.effects)
        });
    });
}

/// Cases that looked into disputes have ended: the disputes are settled, and their holds end with the next tick.
pub fn looked_into(batch: &mut Batch) {
    let ended = std::mem::take(&mut batch.effects.looked_into);
    let rows = spi::query(
        "UPDATE wf.disputes AS d SET settled_at = $3, settled_by = $4, outcome = n.outcome
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS outcome) AS n
         WHERE d.looked_into_by = n.case_id AND d.settled_at IS NULL RETURNING d.case_id, d.dispute_id",
        &[
            array(ended.iter().map(|(case, _)| *case)),
            array(ended.iter().map(|(_, outcome)| outcome.as_str())),
            arg(batch.context.now),
            arg(batch.actor.as_str()),
        ],
    );
    let settled: Vec<(i64, String)> = rows
        .iter()
        .map(|row| (row.must(1), holder(row.must(2))))
        .collect();
    if settled.is_empty() {
        return;
    }
    spi::query(
        "UPDATE wf.holds AS h SET until = $3
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS held_by) AS n
         WHERE h.case_id = n.case_id AND h.held_by = n.held_by AND h.released_at IS NULL",
        &[
            array(settled.iter().map(|(case, _)| *case)),
            array(settled.iter().map(|(_, by)| by.as_str())),
            arg(batch.context.now),
        ],
    );
    wake::on_commit();
}
