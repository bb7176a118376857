//! Background workers: the launcher, one or more workers a database, and how they are woken.

pub mod shared;
pub mod wake;

use std::cell::Cell;

use shared::Slot;

thread_local! {
    /// The slot of this process, if it is a worker.
    static MY_SLOT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// The slot of this process, if it is a worker.
fn my_slot() -> Option<&'static Slot> {
    MY_SLOT.get()
}
