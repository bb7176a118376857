//! What has happened stays as it was: history is only ever added to, can be sealed by a chain of hashes, and loses personal
//! words and whole months by functions that leave their mark.
//!
//! * `seal`: blocks over committed rows, made behind the engine's back, so that nothing waits for them
//! * `verify`: what was changed since
//! * `protect`: switching that on and off
//! * `erase`: personal words of an account; `words`: those in history
//! * `retention`: cases and months whose time is over
//!
//! Who writes history is the engine's business (`engine/write.rs`); that nobody rewrites it is a trigger's
//! (sql/59_audit.sql), which asks here whether one of these functions is at it.

mod erase;
pub mod protect;
pub mod retention;
pub mod seal;
mod verify;
mod words;

use std::cell::Cell;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::lock::{lock, try_lock};
use crate::pg::spi;
use crate::pg::types::{arg, optional};
use crate::settings;

thread_local! {
    /// Whether a function of this module is just rewriting rows that are otherwise only added to.
    static REWRITING: Cell<bool> = const { Cell::new(false) };
}

/// Closes what `rewriting` has opened, on errors too.
struct Closing(bool);

impl Drop for Closing {
    fn drop(&mut self) {
        REWRITING.set(self.0);
    }
}

/// Runs a body whose statements may change history and its seals: statements of ours alone, for nothing of users may run
/// in it.
fn rewriting<T>(body: impl FnOnce() -> T) -> T {
    let _closing = Closing(REWRITING.replace(true));
    body()
}

/// What the trigger asks.
#[pg_extern(sql = false)]
fn may_rewrite() -> bool {
    REWRITING.get()
}

/// Notes what was done that belongs to no case; `detail` is the text of a JSON object. Without a reason of its own it has that
/// of the session, as calls on cases do.
pub fn note(actor: &str, act: &str, object: Option<&str>, reason: Option<&str>, detail: &str) {
    let of_session = match reason {
        None if actor != "engine" => settings::reason(),
        _ => None,
    };
    spi::query(
        "INSERT INTO wf.audit_log (actor, act, object, reason, detail) VALUES ($1, $2, $3, $4, $5::jsonb)",
        &[
            arg(actor),
            arg(act),
            optional(object),
            optional(reason.or(of_session.as_deref())),
            arg(detail),
        ],
    );
}

/// Sealing, erasing and dropping take turns, until the transaction ends: each has to know what is sealed. Workers do not
/// wait for theirs. False: another one is at it.
fn take_turn(wait: bool) -> bool {
    const SEALS: &str = "history seals";
    if wait {
        lock(SEALS);
        return true;
    }
    try_lock(SEALS)
}

/// Whether each statement sees what has committed before it, which sealing relies on.
fn reads_committed() -> bool {
    // SAFETY: a variable of the server.
    unsafe { pg_sys::XactIsoLevel < pg_sys::XACT_REPEATABLE_READ as i32 }
}
