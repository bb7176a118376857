//! What has kept the engine waiting: versions whose SQL ran out of time or waited for a lock in vain, and the inbox if
//! something of the kind happened while it was read.
//!
//! One such case in a batch costs the whole batch its time. So for a while a process works on the cases of that version
//! apart from the others, one by one, and does not go on with the next one after a failure of that kind before everyone
//! else has had their turn. Where one after the other fails, the rest of the version waits as well: for four times as
//! long as that has cost, and doubling, so that such a version gets a fifth of a process's time and less.
//!
//! A process finds this out for itself; nothing of it is stored.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::pg::subtransaction::Failure;

/// How long it is remembered after it last happened.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How long a tick goes on with what is worked on one by one.
pub const TURN: Duration = Duration::from_secs(5);
/// For each second that it has cost, so many of rest.
const REST: u32 = 4;
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What is worked on one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The cases of a version.
    Version(i32),
    /// The changed rows in wf.inbox.
    Inbox,
}

struct Known {
    until: Instant,
    /// Failures of this kind without a success between them.
    in_a_row: u32,
    rests_until: Option<Instant>,
}

thread_local! {
    static KNOWN: RefCell<HashMap<Lane, Known>> = RefCell::default();
}

/// Whether its work is to be done one by one.
pub fn is_slow(lane: Lane) -> bool {
    KNOWN.with_borrow_mut(|known| {
        if known.is_empty() {
            return false;
        }
        let now = Instant::now();
        known.retain(|_, what| what.until > now);
        known.contains_key(&lane)
    })
}

/// How long its work is left alone from now on.
pub fn rest_of(lane: Lane) -> Option<Duration> {
    KNOWN.with_borrow(|known| {
        let until = known.get(&lane)?.rests_until?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    })
}

/// A batch with work of it has run out of time; who in it is to blame is not known yet.
pub fn mark(lane: Lane) {
    KNOWN.with_borrow_mut(|known| {
        let until = Instant::now() + REMEMBERED;
        let fresh = Known {
            until,
            in_a_row: 0,
            rests_until: None,
        };
        known.entry(lane).or_insert(fresh).until = until;
    });
}

/// One piece of it has failed in this way, by itself, and that took so long.
pub fn cost(lane: Lane, took: Duration) {
    mark(lane);
    KNOWN.with_borrow_mut(|known| {
        if let Some(what) = known.get_mut(&lane) {
            what.in_a_row += 1;
            if what.in_a_row > 1 {
                let rest = took.saturating_mul(REST << (what.in_a_row - 2).min(8));
                what.rests_until = Some(Instant::now() + rest.min(LONGEST_REST));
            }
        }
    });
}

/// One piece of it went well.
pub fn went_well(lane: Lane) {
    KNOWN.with_borrow_mut(|known| {
        if let Some(what) = known.get_mut(&lane) {
            what.in_a_row = 0;
            what.rests_until = None;
        }
    });
}

/// Remembers a failure of a batch, if it is of this kind and it is known whose it is. True if the batch is to be left for
/// the next tick, which will take those cases apart.
pub fn takes_apart(failure: &Failure) -> bool {
    if let (true, Some(whose)) = (failure.takes_long(), failure.whose) {
        mark(Lane::Version(whose.version));
        return true;
    }
    false
}
