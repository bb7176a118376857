//! The same work from a client: `CALL wf.run_due()`, for servers without the preloaded worker and for pg_cron.

use std::cell::{Cell, RefCell};

use pgrx::prelude::*;

use super::as_engine;
use super::work::{BUSY, Next, WorkerState, tick};
use crate::audit::seal;
use crate::pg::standby;
use crate::pg::subtransaction::attempt;

/// How often a CALL looks again for what somebody else is at: about two seconds in all.
const LOOKS: u32 = 100;

thread_local! {
    /// Rounds of one CALL share what they have found out; the first round starts afresh.
    static STATE: RefCell<WorkerState> = RefCell::default();
    /// How often this CALL may still look again.
    static LOOKS_LEFT: Cell<u32> = const { Cell::new(LOOKS) };
}

/// One round of work in the caller's transaction. True if there may be more. Called by the procedure wf.run_due, which
/// commits after each round.
#[pg_extern(sql = false)]
fn run_round(first: bool) -> bool {
    if first {
        standby::require_primary("wf.run_due");
        // What every piece of work would fail with, and be tried again: a library that does not fit.
        as_engine(|| ());
        STATE.set(WorkerState::new());
        LOOKS_LEFT.set(LOOKS);
    }
    // As the caller: in the first round there may be some that wait in the caller's transaction.
    crate::pg::acting::check_at_once();
    let mut state = STATE.take();
    let next = tick(&mut state, &mut |body| {
        attempt(std::panic::AssertUnwindSafe(body)).map_err(|failure| {
            if failure.is_interrupt() {
                failure.raise();
            }
            failure
        })
    });
    STATE.set(state);
    match next {
        Next::More => true,
        Next::Idle(Some(BUSY)) => look_again(),
        Next::Idle(_) => seal_some(),
    }
}

/// What has been done is sealed at the end of the CALL, if history is. True if there may be more to seal.
fn seal_some() -> bool {
    as_engine(|| seal::top().is_some() && seal::seal_some())
}

/// A worker is at what is due. The caller wants it done when the CALL is over, so the worker gets a while.
fn look_again() -> bool {
    let left = LOOKS_LEFT.get();
    if left == 0 {
        return false;
    }
    LOOKS_LEFT.set(left - 1);
    // SAFETY: a plain sleep; the transaction holds no lock of ours, for the round found nothing to do.
    unsafe { pg_sys::pg_usleep(20_000) };
    pg_sys::check_for_interrupts!();
    true
}

/// Wakes this database's workers when the transaction commits.
#[pg_extern(sql = false)]
fn wake() {
    crate::worker::wake::on_commit();
}
