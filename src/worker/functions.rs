//! What SQL sees of the workers: `wf.workers()`, and the call with which the install script announces itself.
//! Their declarations are in sql/15_workers.sql and sql/99_announce.sql.
#![allow(
    clippy::type_complexity,
    reason = "the form in which pgrx returns a table"
)]

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use pgrx::prelude::*;

use super::shared::{self, State};
use super::wake;

/// On commit the launcher starts workers for this database, and those that run look anew.
#[pg_extern(sql = false)]
fn announce() {
    wake::announce_on_commit();
}

/// The launcher and the workers of all databases; no rows when the library is not preloaded.
#[pg_extern(sql = false)]
fn workers() -> TableIterator<
    'static,
    (
        name!(pid, Option<i32>),
        name!(database, Option<String>),
        name!(state, &'static str),
        name!(last_tick, Option<TimestampWithTimeZone>),
    ),
> {
    let mut rows = Vec::new();
    if let Some(shared) = shared::get() {
        let pid = shared.launcher.pid.load(Ordering::Acquire);
        if pid != 0 {
            rows.push((Some(pid), None, "launcher", None));
        }
        for slot in &shared.slots {
            let (database, state) = (slot.database(), slot.state());
            if database == pg_sys::Oid::INVALID || state == State::Free {
                continue;
            }
            let pid = slot.occupant.pid.load(Ordering::Acquire);
            let last = slot.last_tick.load(Ordering::Acquire);
            rows.push((
                (pid != 0).then_some(pid),
                database_name(database),
                state.name(),
                (last != 0)
                    .then(|| TimestampWithTimeZone::try_from(last).ok())
                    .flatten(),
            ));
        }
    }
    TableIterator::new(rows)
}

fn database_name(database: pg_sys::Oid) -> Option<String> {
    // SAFETY: returns a palloc'ed C string, or null for a database that is gone.
    unsafe {
        let name = pg_sys::get_database_name(database);
        (!name.is_null()).then(|| CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}
