//! Due step runs: claimed in the order of their times, from a remembered frontier.

use chrono::{DateTime, Utc};

use super::as_engine;
use super::batch::{Apart, Batch, CASE};
use super::careful::{self, Careful, Suspect};
use super::context;
use super::failures::{blame_case, halving, one_by_one, put_off};
use super::work::{Run, WorkerState};
use super::{simulation, slow};
use crate::pg::spi::{self, Rows};
use crate::pg::subtransaction::Failure;
use crate::pg::types::arg;
use crate::settings;

/// Works on one batch of due step runs. True if there were any.
pub fn work(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    if let Some(careful) = state.careful {
        return work_carefully(careful, state.frontier, run);
    }
    let mut claimed: Vec<i64> = Vec::new();
    let mut apart: Vec<Apart> = Vec::new();
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
            let mut batch = Batch::of(due, "engine");
            apart = batch.set_apart();
            claimed = batch.cases.iter().map(|c| c.case.id).collect();
            process(batch, Batch::run_ahead);
        });
    });
    match result {
        Ok(()) if apart.is_empty() => {
            if let Some(reached) = reached {
                state.frontier = reached;
            }
            !claimed.is_empty()
        }
        // The frontier stays where it is, for not all of these may get their turn.
        Ok(()) => {
            let work = |id| {
                as_engine(|| alone(id));
                true
            };
            one_by_one(run, &apart, None, &work, &blame_case, &put_off) || !claimed.is_empty()
        }
        Err(failure) if failure.is_interrupt() => false,
        // Whose it is may not be known: then it was a lock of ours that somebody holds.
        Err(failure) if failure.takes_long() => slow::takes_apart(&failure),
        Err(_) if claimed.is_empty() => false,
        Err(_) => halving(
            run,
            &claimed,
            &|ids| as_engine(|| process(Batch::load_free(ids, "engine"), Batch::run)),
            &|id, failure| blame_case(*id, failure),
            &slow::takes_apart,
        ),
    }
}

/// The same in small batches, each of which is written down first.
fn work_carefully(careful: Careful, from: DateTime<Utc>, run: &mut Run<'_>) -> bool {
    let mut claimed: Vec<i64> = Vec::new();
    let mut apart: Vec<Apart> = Vec::new();
    let limit = settings::batch_size().min(careful::BATCH);
    let noted = run(&mut || {
        as_engine(|| {
            let mut batch = Batch::of(claim(from, context::now(), limit), "engine");
            apart = batch.set_apart();
            claimed = batch.cases.iter().map(|c| c.case.id).collect();
            if !claimed.is_empty() {
                let suspects: Vec<_> = claimed.iter().copied().map(Suspect::Steps).collect();
                careful.note(&suspects);
            }
        });
    });
    if noted.is_err() || claimed.is_empty() && apart.is_empty() {
        return false;
    }
    let went_on = careful::together(
        careful,
        run,
        &claimed,
        &|id| Suspect::Steps(*id),
        &|ids| as_engine(|| process(Batch::load_free(ids, "engine"), Batch::run)),
        &|id, failure| blame_case(*id, failure),
        &slow::takes_apart,
    );
    let clear = |id| as_engine(|| careful.clear(&[Suspect::Steps(id)]));
    let note = |id| as_engine(|| careful.note_alone(Suspect::Steps(id)));
    let work = |id| {
        as_engine(|| alone(id));
        clear(id);
        true
    };
    let blame = |id, failure: &Failure| {
        blame_case(id, failure);
        clear(id);
    };
    went_on && one_by_one(run, &apart, Some(&note), &work, &blame, &put_off) || !claimed.is_empty()
}

/// Works on what is due of one case, if nobody else is at it.
pub fn alone(case: i64) {
    process(Batch::load_free(&[case], "engine"), Batch::run);
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
