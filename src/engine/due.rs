//! Due step runs: claimed in the order of their times, from a remembered frontier.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::batch::{Batch, CASE};
use super::careful::Suspect;
use super::context;
use super::duty::{self, Duty};
use super::failures::{Due, blame_case, put_off};
use super::simulation;
use super::work::{Run, WorkerState};
use crate::pg::spi::{self, Rows};
use crate::pg::subtransaction::Failure;
use crate::pg::types::arg;

/// Works on one batch of due step runs. True if there were any.
pub fn work(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    let mut steps = Steps {
        from: state.frontier,
        reached: None,
    };
    let outcome = duty::work(&mut steps, state.careful, run);
    // Otherwise not all of what was claimed may have had its turn.
    if let (true, Some(reached)) = (outcome.complete, steps.reached) {
        state.frontier = reached;
    }
    outcome.worked
}

/// Step runs that are due at this time or later.
pub struct Steps {
    from: DateTime<Utc>,
    /// Up to when all of them have been claimed.
    reached: Option<DateTime<Utc>>,
}

impl Duty for Steps {
    fn claim(&mut self, limit: i64) -> Batch {
        let now = context::now();
        let due = claim(self.from, now, limit);
        // With a full batch there may be more at its last time; with less, everything up to now is taken.
        let full = due.len() as i64 == limit;
        let last = || due.iter().map(|row| row.must(RUN_AT)).max();
        self.reached = if full { last() } else { Some(now) };
        Batch::of(due, "engine")
    }

    fn process_claimed(batch: Batch) -> bool {
        fire(batch, Batch::run_ahead)
    }

    fn process(batch: Batch) -> bool {
        fire(batch, Batch::run)
    }

    fn suspect(case: i64) -> Suspect {
        Suspect::Steps(case)
    }

    fn blame(case: i64, failure: &Failure) {
        blame_case(case, failure);
    }

    fn put_off(cases: &[i64], by: Duration) {
        put_off(Due::Steps, cases, by);
    }
}

/// Where `claim` returns the time of the due token.
const RUN_AT: i32 = 10;

/// Cases with a due token, locked, with the time of the token: those that nobody else is at. Assigns no transaction id
/// when nothing is due. A case may come twice, for two tokens.
fn claim(from: DateTime<Utc>, now: DateTime<Utc>, limit: i64) -> Rows {
    let scope = simulation::scope();
    let sql = format!(
        "SELECT {CASE}, t.run_at
         FROM wf.case_steps AS t JOIN wf.cases AS c ON c.case_id = t.case_id
         WHERE t.state = 'scheduled' AND t.run_at >= $1 AND t.run_at <= $2{scope}
         ORDER BY t.run_at LIMIT $3 FOR UPDATE OF c SKIP LOCKED"
    );
    spi::query_in_order(&sql, &[arg(from), arg(now), arg(limit)])
}

fn fire(mut batch: Batch, run: fn(&mut Batch)) -> bool {
    if batch.cases.is_empty() {
        return false;
    }
    run(&mut batch);
    batch.flush();
    true
}
