//! Background workers: the launcher, one or more workers a database, and how they are woken.
//!
//! The launcher (`launcher`) starts the workers (`database_worker`), which run the engine's ticks in transactions of
//! their own (`transaction`). Backends wake them on commit (`wake`) through a block of atomics (`shared`).

mod database_worker;
mod drop_database;
mod functions;
mod launcher;
mod process;
mod shared;
mod transaction;
pub mod wake;

use std::cell::Cell;

use pgrx::pg_sys;
use shared::Slot;

thread_local! {
    /// The slot of this process, if it is a worker.
    static MY_SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// The slot of this process, if it is a worker.
fn my_slot() -> Option<&'static Slot> {
    MY_SLOT.get()
}

fn set_my_slot(slot: &'static Slot) {
    MY_SLOT.set(Some(slot));
}

/// Everything that happens when the library is preloaded. A library that is loaded later runs no workers, and no hook.
pub fn preload() {
    // SAFETY: a global of the postmaster. pg_upgrade's servers must be left alone.
    if unsafe { pg_sys::IsBinaryUpgrade } {
        return;
    }
    shared::request();
    drop_database::install();
    launcher::register();
}
