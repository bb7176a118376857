//! Numbers for new cases, and whether there may be any: whoever drops a workflow waits until no start of it is under way,
//! and whoever starts looks again, once it has the lock, whether the workflow is still there.
//!
//! The lock is one of those that the server takes on objects of the catalogue. Starts share it; it costs them no statement,
//! for what they look at comes with the one that they make anyway.

use std::ffi::CStr;

use pgrx::pg_sys::{self, Oid};
use workflow_core::{Error, ErrorCode};

use super::versions::Version;
use crate::pg::raise::raise;
use crate::pg::sequence;
use crate::pg::spi;
use crate::pg::types::arg;

const TABLE: &CStr = c"workflows";
const SCHEMA: &CStr = c"wf";

/// What comes of the wish to start cases of a workflow.
pub enum Start {
    /// Numbers for them. The workflow stays until the transaction ends.
    Numbers(Vec<i64>),
    /// Somebody is dropping it.
    Busy,
    /// It has been dropped.
    Dropped,
}

/// Numbers for new cases of a version. Waits for somebody who is dropping the workflow only if asked to.
pub fn start(version: &Version, count: usize, wait: bool) -> Start {
    if count == 0 {
        return Start::Numbers(Vec::new());
    }
    let (class, id) = (table(), object(version.workflow_id));
    let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: locks of the transaction on an object that is there, or not; nothing depends on that.
    unsafe {
        if wait {
            pg_sys::LockDatabaseObject(class, id, 0, mode);
        } else if !pg_sys::ConditionalLockDatabaseObject(class, id, 0, mode) {
            return Start::Busy;
        }
    }
    // With a snapshot that is older than the lock, only a lock on the row tells whether it has changed.
    // SAFETY: a variable of the backend, which has one thread.
    let fixed = unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32;
    let sql = if fixed {
        "SELECT 'wf.cases_case_id_seq'::pg_catalog.regclass::pg_catalog.oid FROM wf.workflows AS w
         WHERE w.workflow_id = $1 AND w.dropped_at IS NULL FOR SHARE"
    } else {
        "SELECT 'wf.cases_case_id_seq'::pg_catalog.regclass::pg_catalog.oid FROM wf.workflows AS w
         WHERE w.workflow_id = $1 AND w.dropped_at IS NULL"
    };
    let rows = spi::query(sql, &[arg(version.workflow_id)]);
    let Some(numbers) = rows.first().map(|row| row.must::<Oid>(1)) else {
        return Start::Dropped;
    };
    Start::Numbers((0..count).map(|_| sequence::next(numbers)).collect())
}

/// Numbers for new cases that a call starts. Raises 42704 if the workflow has just been dropped.
pub fn numbers(version: &Version, count: usize) -> Vec<i64> {
    match start(version, count, true) {
        Start::Numbers(numbers) => numbers,
        Start::Busy | Start::Dropped => raise(dropped(version)),
    }
}

/// The error of a start that comes too late.
pub fn dropped(version: &Version) -> Error {
    let name = &version.program.document.name;
    Error::new(
        ErrorCode::Unknown,
        format!("workflow \"{name}\" does not exist"),
    )
    .detail("It has just been dropped.")
    .hint("Create it anew with wf.define or wf.import.")
}

/// Waits until no start of a workflow is under way, and keeps new ones waiting until the transaction ends.
pub fn keep_from_starting(workflow: i32) {
    let mode = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;
    // SAFETY: as in `start`.
    unsafe { pg_sys::LockDatabaseObject(table(), object(workflow), 0, mode) };
}

fn table() -> Oid {
    // SAFETY: catalogue look-ups with constant names; 0 for what is not there.
    unsafe {
        let schema = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
        pg_sys::get_relname_relid(TABLE.as_ptr(), schema)
    }
}

fn object(workflow: i32) -> Oid {
    Oid::from(workflow.unsigned_abs())
}
