//! The server's callbacks that the ERP side listens to, registered once in each backend that needs them.
//!
//! Nothing in a callback may fail: they only count, mark and drop. The one that writes, before commit, does so with
//! the checks of `buffer::flush`.

use std::cell::Cell;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::{buffer, subject};
use crate::pg::relations;

thread_local! {
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Registers the callbacks, once for the life of the backend.
pub fn register() {
    relations::listen();
    if REGISTERED.replace(true) {
        return;
    }
    // SAFETY: plain registrations of functions with the C signatures that the server expects.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
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
