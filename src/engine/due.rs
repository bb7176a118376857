//! Due step runs: claimed in the order of their times, from a remembered frontier.

use chrono::{DateTime, Utc};

use super::as_engine;
use super::batch::{Batch, CASE};
use super::context;
use super::failures::{blame_case, halving};
use super::simulation;
use super::work::{Run, WorkerState};
use crate::pg::spi::{self, Rows};
use crate::pg::types::arg;
use crate::settings;

/// Works on one batch of due step runs. True if there were any.
pub fn work(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    let mut claimed: Vec<i64> = Vec::new();
    let mut reached = None;
    let from = state.frontier;
    let limit = settings::batch_size();
    let result = run(&mut || {
        as_engine(|| {
            let now = context::now();
            let due = claim(from, now, limit);
            // With a full batch there may be more at its last time; with less, everything up to now is taken.
            let full = due.len() as i64 == limit;
            let last = || due.iter().map(|row| row.must(RUN_AT)).max();
            reached = if full { last() } else { Some(now) };
            let batch = Batch::of(due, "engine");
            claimed = batch.cases.iter().map(|c| c.case.id).collect();
            process(batch, Batch::run_ahead);
        });
    });
    match result {
        Ok(()) => {
            if let Some(reached) = reached {
                state.frontier = reached;
            }
            !claimed.is_empty()
        }
        Err(failure) if failure.is_interrupt() || claimed.is_empty() => false,
        Err(_) => halving(
            run,
            &claimed,
            &|ids| as_engine(|| process(Batch::load_free(ids, "engine"), Batch::run)),
            &|id, failure| blame_case(*id, failure),
        ),
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

fn process(mut batch: Batch, run: fn(&mut Batch)) {
    if !batch.cases.is_empty() {
        run(&mut batch);
        batch.flush();
    }
}
