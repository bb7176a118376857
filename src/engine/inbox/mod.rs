//! Changed ERP rows: what the inbox says has changed is read as it is now, and what follows is derived from that.
//! An event that was missed or comes twice does no harm.
//!
//! * here: a batch of rows as a whole, and what its failure leads to
//! * `apart`: rows one by one, because something in the inbox takes long, or may end the process
//! * `unread`: which rows a batch takes, and how they leave the inbox
//! * `follow`: what follows from them
//! * `blame`: rows that cannot be looked at
//!
//! One process at a time reads the inbox of a database, so that two of them cannot start a case for the same row.

mod apart;
mod blame;
mod follow;
pub mod unread;

use std::cell::Cell;

use super::as_engine;
use super::failures::halving;
use super::slow::{self, Lane};
use super::work::{Run, WorkerState};
use crate::pg::subtransaction::Failure;
use crate::settings;

pub use apart::alone;
pub use blame::{blame_entry, park};
use follow::{Enrol, process};
use unread::{Entry, Found};

/// Works on one batch of the inbox. True if there was any.
pub fn work(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    if slow::is_slow(Lane::Inbox) {
        return apart::one_by_one(state, run);
    }
    state.last_in_line.clear();
    if let Some(careful) = state.careful {
        return apart::work_carefully(careful, state, run);
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = None;
    let mut done = 0;
    let from = state.inbox_frontier;
    let limit = settings::batch_size();
    let result = run(&mut || {
        as_engine(|| match unread::take(from, limit) {
            Found::Unpacked => done = 1,
            Found::Rows(taken) => {
                entries = taken.entries;
                let left = process(&entries, &Enrol::Together);
                done = entries.len() - left.len();
                next = taken
                    .read_up_to
                    .map(|xid| left.iter().copied().fold(xid, i64::min));
            }
        });
    });
    match result {
        Ok(()) => {
            if let Some(next) = next {
                state.inbox_frontier = state.inbox_frontier.max(next);
            }
            done > 0
        }
        Err(failure) if failure.is_interrupt() || entries.is_empty() => false,
        Err(failure) if failure.takes_long() => takes_apart(&failure),
        // One of many is to blame, and which one shows among single rows only.
        Err(_) if entries.iter().any(|e| e.packed) => {
            run(&mut || as_engine(|| unread::unpack_all(&entries))).is_ok()
        }
        Err(_) => {
            // What is left unread is no reason to come back at once.
            let done = Cell::new(false);
            halving(
                run,
                &entries,
                &|part| {
                    as_engine(|| drop(process(part, &Enrol::Together)));
                    done.set(true);
                },
                &|entry, failure| {
                    blame_entry(entry, failure);
                    done.set(done.get() || !failure.will_pass());
                },
                &takes_apart,
            );
            done.get()
        }
    }
}

/// After a failure that cost much time the inbox is read row by row.
fn takes_apart(failure: &Failure) -> bool {
    if failure.takes_long() {
        slow::mark(Lane::Inbox);
    }
    failure.takes_long()
}
