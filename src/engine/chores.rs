//! What can wait: the next month of history, sealing what has happened, and removing what is kept no longer. A worker looks for it every few seconds, however
//! busy it is, and does one piece of each then, so that it takes its share and no more.

use std::time::{Duration, Instant};

use super::work::Run;
use super::{as_engine, context, partitions};
use crate::audit::{retention, seal};
use crate::pg::spi;

/// How often a worker looks for chores, and does one piece of each.
const EVERY: Duration = Duration::from_secs(10);
/// How often it seals, unless there is more than one block of rows: a small block is verified as dearly as a large one.
const SEALS: Duration = Duration::from_secs(60);
/// How many full blocks it seals at a time: ten thousand rows take some two tenths of a second.
const BLOCKS: usize = 5;
/// How long a worker rests that has been at everything which may be removed.
const REST: Duration = Duration::from_secs(3600);

/// A worker's chores.
pub struct Chores {
    looked: Instant,
    seals_from: Option<Instant>,
    way: retention::Way,
    rests_until: Option<Instant>,
    /// There is more to remove.
    busy: bool,
}

impl Chores {
    /// None of them for a while: a worker that has just begun has something better to do.
    pub fn new() -> Self {
        Self {
            looked: Instant::now(),
            seals_from: None,
            way: retention::Way::default(),
            rests_until: None,
            busy: false,
        }
    }

    /// How long an idle worker may sleep: not for long in the middle of a chore.
    pub fn nap(&self, otherwise: Option<Duration>) -> Option<Duration> {
        if self.busy {
            Some(otherwise.unwrap_or(EVERY).min(EVERY))
        } else {
            otherwise
        }
    }

    /// Does a piece of each, if it is time. Only reads where none of this is used.
    pub fn now_and_then(&mut self, run: &mut Run<'_>) {
        if self.looked.elapsed() < EVERY {
            return;
        }
        self.looked = Instant::now();
        let (mut seals, mut removes) = (false, false);
        let looked = run(&mut || {
            as_engine(|| {
                // The library may be newer than what is installed.
                let there = spi::query(
                    "SELECT pg_catalog.to_regclass('wf.retention') IS NOT NULL",
                    &[],
                );
                if there.first().is_some_and(|row| row.must(1)) {
                    partitions::ensure_ahead(context::now());
                    seals = seal::top().is_some();
                    removes = retention::is_wanted();
                }
            });
        });
        if looked.is_err() {
            return;
        }
        self.busy &= removes;
        if seals && self.seals_from.is_none_or(|from| from <= Instant::now()) {
            let mut more = true;
            for _ in 0..BLOCKS {
                // A failure is in the server log; the next time comes soon.
                let sealed = run(&mut || more = as_engine(seal::seal_some));
                if sealed.is_err() || !more {
                    break;
                }
            }
            self.seals_from = (!more).then(|| Instant::now() + SEALS);
        }
        if removes && self.rests_until.is_none_or(|until| until <= Instant::now()) {
            let way = self.way;
            let (mut on, mut goes_on) = (way, true);
            let result = run(&mut || {
                on = way;
                goes_on = as_engine(|| retention::go_on(&mut on));
            });
            if result.is_ok() {
                self.way = on;
                self.busy = goes_on;
                self.rests_until = (!goes_on).then(|| Instant::now() + REST);
            }
        }
    }
}
