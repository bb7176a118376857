//! wf.hold, wf.release and wf.release_hold.

use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use workflow_core::game::{Hold, PLAIN};

use super::kinds;
use crate::api::{OpenSteps, actor, given, now, open_steps, unknown_case};
use crate::engine::as_engine;
use crate::engine::batch::lock_waiting;
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, instant_from_pg, optional};

/// Puts a case on hold, perhaps until a time.
#[pg_extern(sql = false)]
fn hold(
    case_id: Option<i64>,
    reason: Option<String>,
    until: Option<TimestampWithTimeZone>,
    kind: Option<String>,
) -> OpenSteps {
    let case = given("case_id", case_id);
    let reason = reason.unwrap_or_else(|| "on hold".to_owned());
    let until = until.map(|at| instant_from_pg(at.into()));
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_see(case, caller);
        let kind = kinds::named(kind.as_deref().unwrap_or(PLAIN));
        if lock_waiting(&[case]).is_empty() {
            unknown_case(case);
        }
        let hold = Hold {
            kind: kind.name,
            reason,
            blocks: kind.blocks,
            clock: kind.clock,
            from: now(),
            until,
        };
        super::place(&[case], &hold, &actor);
        open_steps(case)
    })
}

/// Ends the holds of a case: those of a kind, or all that do not need a manager's word for it.
#[pg_extern(sql = false)]
fn release(case_id: Option<i64>, kind: Option<String>) -> OpenSteps {
    let case = given("case_id", case_id);
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_see(case, caller);
        if let Some(kind) = &kind {
            kinds::named(kind);
        }
        if lock_waiting(&[case]).is_empty() {
            unknown_case(case);
        }
        let open = open(case, kind.as_deref());
        let guarded = open.iter().filter(|hold| hold.by_managers);
        match (&kind, guarded.clone().next()) {
            (Some(kind), Some(first)) => kinds::refuse_agents(kind, &first.reason, case, caller),
            // Nobody ends such a hold by the way.
            (None, Some(first)) if guarded.count() == open.len() => {
                kinds::refuse_agents(&first.kind, &first.reason, case, caller);
                raise_as(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("case {case} stays on hold: {}", first.reason),
                    Some(format!(
                        "A hold of kind \"{}\" is ended only by name.",
                        first.kind
                    )),
                    Some(format!("Call wf.release({case}, '{}').", first.kind)),
                );
            }
            _ => {}
        }
        let named = kind.is_some();
        let ids: Vec<i64> = open
            .iter()
            .filter(|hold| named || !hold.by_managers)
            .map(|hold| hold.id)
            .collect();
        if ids.is_empty() {
            must_be_open(case);
        }
        super::end(&ids, None, &actor);
        open_steps(case)
    })
}

/// Ends one hold.
#[pg_extern(sql = false)]
fn release_hold(hold_id: Option<i64>, reason: Option<&str>) -> OpenSteps {
    let id = given("hold_id", hold_id);
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let rows = spi::query(
            "SELECT h.case_id FROM wf.holds AS h WHERE h.hold_id = $1",
            &[arg(id)],
        );
        let Some(case) = rows.first().map(|row| row.must::<i64>(1)) else {
            raise_as(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("hold {id} does not exist"),
                None,
                Some("wf.holds lists the holds.".to_owned()),
            );
        };
        must_see(case, caller);
        lock_waiting(&[case]);
        // One that has ended meanwhile is no error.
        if let Some(hold) = open(case, None).into_iter().find(|hold| hold.id == id) {
            if hold.by_managers {
                kinds::refuse_agents(&hold.kind, &hold.reason, case, caller);
            }
            super::end(&[id], reason, &actor);
        }
        open_steps(case)
    })
}

/// An open hold, as far as ending it goes.
struct Open {
    id: i64,
    kind: String,
    reason: String,
    by_managers: bool,
}

fn open(case: i64, kind: Option<&str>) -> Vec<Open> {
    let rows = spi::query(
        "SELECT h.hold_id, h.kind, h.reason, coalesce(k.released_by = 'manager', false)
         FROM wf.holds AS h LEFT JOIN wf.hold_kinds AS k ON k.kind = h.kind
         WHERE h.case_id = $1 AND h.released_at IS NULL AND ($2 IS NULL OR h.kind = $2) ORDER BY h.hold_id",
        &[arg(case), optional(kind)],
    );
    rows.iter()
        .map(|row| Open {
            id: row.must(1),
            kind: row.must(2),
            reason: row.must(3),
            by_managers: row.must(4),
        })
        .collect()
}

/// A call on a case that has ended is refused, whether there is anything to release or not.
fn must_be_open(case: i64) {
    crate::api::act(&[case], "", &|batch, index, _| {
        batch.cases[index].case.must_be_open()
    });
}
