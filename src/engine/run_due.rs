//! The same work from a client: `CALL wf.run_due()`, for servers without the preloaded worker and for pg_cron.

use std::cell::RefCell;

use pgrx::prelude::*;

use super::work::{Next, WorkerState, tick};
use crate::pg::subtransaction::attempt;

thread_local! {
    /// Rounds of one CALL share what they have found out; the first round starts afresh.
    static STATE: RefCell<WorkerState> = RefCell::default();
}

/// One round of work in the caller's transaction. True if there may be more. Called by the procedure wf.run_due, which
/// commits after each round.
#[pg_extern(sql = false)]
fn run_round(first: bool) -> bool {
    let mut state = STATE.with_borrow_mut(|state| {
        if first {
            *state = WorkerState::new();
        }
        std::mem::take(state)
    });
    let next = tick(&mut state, &mut |body| {
        attempt(std::panic::AssertUnwindSafe(body))
    });
    STATE.with_borrow_mut(|kept| *kept = state);
    next == Next::More
}

/// Wakes this database's workers when the transaction commits.
#[pg_extern(sql = false)]
fn wake() {
    crate::worker::wake::on_commit();
}
