//! The engine's shell: reads what a batch of cases needs, lets the rules decide in memory, writes what follows.
//!
//! * `context`: the clock, zones and calendars that the rules ask for
//! * `versions`: published versions, compiled, kept by id
//! * `question`: what users' SQL is asked about a group of cases, and how it runs
//! * `reads`: what the database says about subjects' rows, as the workflow's owner
//! * `known`: which of that a batch has at hand
//! * `batch`: cases loaded under their locks, and the waves of firing
//! * `write`: a batch's effects, one statement for each kind of row that changes; `new_rows`: those that come into being;
//!   `partitions`: the months of history
//! * `enrol`: which rows may get a case; `starting`: their numbers, and that no workflow goes while its cases start
//! * `another`: cases that steps start; `awaited`: those that steps wait for
//! * `milestones`: conditions without which steps do not go on; `sections`: in which one case is at a time
//! * `members`: the rows of cases that concern several
//! * `erp_update`, `sql_call`: what steps do in the owner's name
//! * `simulation`: what differs while the future is tried out
//! * `chores`: what can wait, such as sealing history
//! * `inbox`, `due`, `deferred`: the three kinds of work; `duty`: what the last two go about in the same way; `work`: one
//!   tick of all three
//! * `failures`: what to do about errors; `slow`: what is worked on one by one because it takes long
//! * `careful`: what is written down before it is begun, after something has ended a process

mod another;
pub mod awaited;
pub mod batch;
pub mod careful;
mod chores;
pub mod context;
pub mod deferred;
pub mod due;
mod duty;
pub mod enrol;
pub mod erp_update;
pub mod failures;
pub mod inbox;
pub mod known;
pub mod members;
mod milestones;
mod new_rows;
pub mod partitions;
pub mod question;
pub mod reads;
pub mod run_due;
mod sections;
pub mod simulation;
pub mod slow;
pub mod sql_call;
pub mod starting;
pub mod versions;
pub mod work;
mod write;

use std::cell::Cell;

use pgrx::pg_sys::Oid;

use crate::pg::acting::as_role;
use crate::pg::extension::{extension, other_version};
use crate::pg::raise::internal;
use crate::pg::{spi, sqlstate, standby};

thread_local! {
    static KNOWN_EXTENSION: Cell<Option<Oid>> = const { Cell::new(None) };
}

/// Drops everything remembered about definitions: the extension was dropped and created again.
pub fn forget() {
    versions::forget();
    context::forget();
    partitions::forget();
    crate::pg::arrays::forget();
    spi::forget();
}

/// Runs `body` as the owner of the engine's tables, with an SPI connection.
///
/// # Errors
/// 55000 when the extension's schema is of a version that this library does not know. On a standby 25006, when `body`
/// writes, with the advice to ask the primary.
pub fn as_engine<T>(body: impl FnOnce() -> T) -> T {
    let extension = extension();
    let oid = extension.map(|found| found.oid);
    if KNOWN_EXTENSION.replace(oid) != oid {
        forget();
    }
    let Some(extension) = extension else {
        internal("the extension is not installed in this database");
    };
    if !extension.fits {
        other_version();
    }
    sqlstate::keep(|| standby::advise(|| spi::connected(|| as_role(extension.owner, body))))
}
