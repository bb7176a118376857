//! Which relations may have changed their definition since somebody looked: what is remembered of a table is thrown away
//! when the server says so, as its own caches do.
//!
//! Nothing in the callback may fail: it only counts.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Relations whose changes make something stale that is remembered of them.
    static TRACKED: RefCell<Vec<Oid>> = const { RefCell::new(Vec::new()) };
    static TRACKED_GENERATION: Cell<u64> = const { Cell::new(1) };
    static ANY_GENERATION: Cell<u64> = const { Cell::new(1) };
}

/// Listens from now on, for the life of the backend.
pub fn listen() {
    if !REGISTERED.replace(true) {
        // SAFETY: a plain registration of a function with the C signature that the server expects.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), Datum::null()) };
    }
}

/// From now on a change of this relation's definition raises `tracked_generation`.
pub fn track(relation: Oid) {
    TRACKED.with_borrow_mut(|tracked| {
        if !tracked.contains(&relation) {
            tracked.push(relation);
        }
    });
}

/// Grows when a tracked relation may have changed its definition.
pub fn tracked_generation() -> u64 {
    TRACKED_GENERATION.get()
}

/// Grows when any relation may have changed its definition.
pub fn any_generation() -> u64 {
    ANY_GENERATION.get()
}

#[pg_guard]
unsafe extern "C-unwind" fn on_relation(_arg: Datum, relation: Oid) {
    ANY_GENERATION.set(ANY_GENERATION.get() + 1);
    let ours = relation == Oid::INVALID
        || TRACKED.with(|tracked| {
            tracked
                .try_borrow()
                .map_or(true, |tracked| tracked.contains(&relation))
        });
    if ours {
        TRACKED_GENERATION.set(TRACKED_GENERATION.get() + 1);
    }
}
