//! Due step runs: claimed in the order of their times, from a remembered frontier.
//!
//! A step run's place in the queue is the moment from which on the engine may act on it: its date, or, if that had passed by
//! then, when the case came to the step. So what comes late comes to the end of the queue, and not among the dead entries
//! of those that have been done, which an old snapshot keeps. What a date is planned for is the rules' and is not touched.

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

/// The time of a step run's place in the queue, for rows `t` of wf.case_steps; the index case_steps_run_at has the same.
/// Null dates, which it takes for the time of entry, have to be excluded.
pub const ACTS_AT: &str = "greatest(t.run_at, t.entered_at)";

/// A place in the queue of step runs: those of one time come in the order of their cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub at: DateTime<Utc>,
    pub case: i64,
}

impl Place {
    /// Before all others.
    pub const FIRST: Self = Self::of_time(DateTime::<Utc>::MIN_UTC);

    /// Before everything that is due at this time.
    pub const fn of_time(at: DateTime<Utc>) -> Self {
        Self { at, case: i64::MIN }
    }
}

/// Step runs that are due at this place or behind it.
pub struct Steps {
    from: Place,
    /// Up to where all of them have been claimed.
    reached: Option<Place>,
}

impl Duty for Steps {
    fn claim(&mut self, limit: i64) -> Batch {
        let now = context::now();
        let due = claim(self.from, now, limit);
        // Behind a full batch there may be more; with less, everything up to now is taken.
        let full = due.len() as i64 == limit;
        let place = |row: spi::RowRef<'_>| Place {
            at: row.must(TIME),
            case: row.must(CASE_ID),
        };
        self.reached = if full {
            due.iter().map(place).max()
        } else {
            Some(Place::of_time(now))
        };
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

/// Where `claim` returns the case and the time of the due token.
const CASE_ID: i32 = 1;
const TIME: i32 = 11;

/// Cases with a due token, locked, with the time of the token's place: those that nobody else is at. Assigns no transaction
/// id when nothing is due. A case may come twice, for two tokens.
fn claim(from: Place, now: DateTime<Utc>, limit: i64) -> Rows {
    let scope = simulation::scope();
    let sql = format!(
        "SELECT {CASE}, {ACTS_AT}
         FROM wf.case_steps AS t JOIN wf.cases AS c ON c.case_id = t.case_id
         WHERE t.state = 'scheduled' AND t.run_at IS NOT NULL
           AND ({ACTS_AT}, t.case_id) >= ($1, $2) AND {ACTS_AT} <= $3{scope}
         ORDER BY {ACTS_AT}, t.case_id LIMIT $4 FOR UPDATE OF c SKIP LOCKED"
    );
    spi::query_in_order(&sql, &[arg(from.at), arg(from.case), arg(now), arg(limit)])
}

fn fire(mut batch: Batch, run: fn(&mut Batch)) -> bool {
    if batch.cases.is_empty() {
        return false;
    }
    run(&mut batch);
    batch.flush();
    true
}
