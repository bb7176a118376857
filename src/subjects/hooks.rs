//! The server's callbacks that the ERP side listens to, registered once in each backend that needs them.
//!
//! Nothing in a callback may fail: they only count, mark and drop. The one that writes, before commit, does so with
//! the checks of `buffer::flush`.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::prelude::*;

use super::{buffer, subject};

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Relations whose changes make a trigger's resolved columns stale.
    static TRACKED: RefCell<Vec<Oid>> = const { RefCell::new(Vec::new()) };
    static TRACKED_GENERATION: Cell<u64> = const { Cell::new(1) };
    static ANY_GENERATION: Cell<u64> = const { Cell::new(1) };
}

/// Registers the callbacks, once for the life of the backend.
pub fn register() {
    if REGISTERED.replace(true) {
        return;
    }
    // SAFETY: plain registrations of functions with the C signatures that the server expects.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relation), Datum::null());
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

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction(
    event: pg_sys::XactEvent::Type,
    _arg: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            buffer::flush_before_commit();
        }
        pg_sys::XactEvent::XACT_EVENT_COMMIT
        | pg_sys::XactEvent::XACT_EVENT_ABORT
        | pg_sys::XactEvent::XACT_EVENT_PREPARE => {
            if event != pg_sys::XactEvent::XACT_EVENT_COMMIT {
                // A month made by this transaction is gone with it, or not there before it is committed.
                crate::engine::partitions::forget();
            }
            buffer::clear();
            subject::forget_checks();
        }
        _ => {}
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _this: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut std::ffi::c_void,
) {
    match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => buffer::subtransaction_committed(),
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => {
            crate::engine::partitions::forget();
            buffer::subtransaction_aborted();
            subject::forget_checks();
        }
        _ => {}
    }
}
