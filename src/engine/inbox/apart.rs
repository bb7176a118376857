//! Rows of the inbox that are not taken a whole batch at a time: one by one, because something among them takes long
//! (`slow`), or few, and written down first, because something has ended a process (`careful`).

use std::cell::Cell;
use std::time::Instant;

use super::blame::blame_entry;
use super::follow::{Enrol, process};
use super::takes_apart;
use super::unread::{self, Entry, Found, Taken};
use crate::engine::as_engine;
use crate::engine::careful::{self, Careful, Suspect};
use crate::engine::slow::{self, Lane};
use crate::engine::work::{Run, WorkerState};
use crate::settings;

/// Takes the next rows in a transaction of its own, in which `note` may write them down. Err: there are none to go on with;
/// true if packed ones were made into many.
fn take(
    state: &mut WorkerState,
    run: &mut Run<'_>,
    limit: i64,
    note: &dyn Fn(&[Entry]),
) -> Result<Vec<Entry>, bool> {
    let mut taken = Taken::default();
    let mut unpacked = false;
    let from = state.inbox_frontier;
    let looked = run(&mut || {
        as_engine(|| match unread::take(from, limit) {
            Found::Unpacked => unpacked = true,
            Found::Rows(found) => {
                if !found.entries.is_empty() {
                    note(&found.entries);
                }
                taken = found;
            }
        });
    });
    if looked.is_err() || unpacked {
        return Err(unpacked);
    }
    if taken.entries.is_empty() {
        if let Some(next) = taken.read_up_to {
            state.inbox_frontier = state.inbox_frontier.max(next);
        }
        return Err(false);
    }
    Ok(taken.entries)
}

/// Works on one small batch of the inbox, which is written down first. True if anything came of it.
pub fn work_carefully(careful: Careful, state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    let limit = settings::batch_size().min(careful::BATCH);
    let note = |entries: &[Entry]| careful.note(&careful::of_entries(entries));
    let entries = match take(state, run, limit, &note) {
        Ok(entries) => entries,
        Err(unpacked) => return unpacked,
    };
    let done = Cell::new(0);
    careful::together(
        careful,
        run,
        &entries,
        &|entry| Suspect::Changed(entry.xid, entry.id),
        &|part| {
            as_engine(|| {
                if unread::my_turn() {
                    done.set(done.get() + part.len() - process(part, &Enrol::Together).len());
                }
            });
        },
        &blame_entry,
        &takes_apart,
    );
    done.get() > 0
}

/// Works on one batch row by row, after something in the inbox has taken long: until that happens again, for a while, so
/// that what else is due gets its turn. Nothing is read while the inbox rests. True if anything came of it.
pub fn one_by_one(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    if slow::rest_of(Lane::Inbox).is_some() {
        return false;
    }
    let mut entries = match take(state, run, settings::batch_size(), &|_| {}) {
        Ok(entries) => entries,
        Err(unpacked) => return unpacked,
    };
    if entries.iter().any(|entry| entry.packed) {
        return run(&mut || as_engine(|| unread::unpack_all(&entries))).is_ok();
    }
    let start = Instant::now();
    let mut worked = false;
    // What waits for somebody's lock must not be the first again and again while others wait behind it.
    let last = |entry: &Entry| state.last_in_line.contains(&(entry.xid, entry.id));
    entries.sort_by_key(last);
    for entry in &entries {
        if start.elapsed() > slow::TURN {
            break;
        }
        let begun = Instant::now();
        let mut done = false;
        // Between these transactions another process may read the inbox. To look at a row twice does no harm.
        let result = run(&mut || {
            as_engine(|| {
                done = unread::my_turn()
                    && process(std::slice::from_ref(entry), &Enrol::Together).is_empty();
            });
        });
        match result {
            Ok(()) => {
                slow::went_well(Lane::Inbox);
                worked |= done;
            }
            Err(failure) if failure.is_interrupt() => return worked,
            Err(failure) => {
                worked |= run(&mut || blame_entry(entry, &failure)).is_ok() && !failure.will_pass();
                if failure.takes_long() {
                    slow::cost(Lane::Inbox, begun.elapsed());
                    state.last_in_line.insert((entry.xid, entry.id));
                    break;
                }
                if failure.is_shortage() {
                    break;
                }
            }
        }
    }
    worked
}

/// Looks at one row, if it is still there and nobody else is reading. One that stands for many is made into many.
pub fn alone(xid: i64, id: i64) {
    if !unread::my_turn() {
        return;
    }
    match unread::find(xid, id) {
        Some(entry) if entry.packed => unread::unpack_all(&[entry]),
        Some(entry) => drop(process(&[entry], &Enrol::Together)),
        None => {}
    }
}
