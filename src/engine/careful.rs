//! Working carefully, for a while after a worker or the whole server has ended in the middle of its work.
//!
//! The SQL of a case may have done it: by ending its own process, by eating all memory, by a crash of some library. Its step
//! run would still be due, and do it again and again. So what is about to be worked on is written to wf.suspects first, in
//! a transaction of its own. What the next worker finds there its predecessor was at when it ended: it works on that piece
//! by piece, and writes each down alone. A due step run that is alone when the process ends has had a failed attempt, and
//! is parked as an incident after `ATTEMPTS` of them; so are changed rows and messages.
//!
//! As long as nothing has ended, none of this is done: a worker asks once, when it starts.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::as_engine;
use super::deferred::Messages;
use super::due::Steps;
use super::duty;
use super::failures::{blame_case, blame_message, halving};
use super::inbox;
use super::inbox::unread::{self, Entry};
use super::work::{Run, WorkerState};
use crate::pg::spi;
use crate::pg::subtransaction::Failure;
use crate::pg::types::{Char, arg, array};
use crate::settings;

/// For how long after the last unclean end, as far as it is known.
const PERIOD: Duration = Duration::from_secs(600);
/// What a batch takes at most: so many are worked on one by one after the next end.
pub const BATCH: i64 = 100;
/// How often a process may end over one case before it is parked, if `workflow_engine.max_attempts` is not less. Each time
/// may be a crash of the server.
const ATTEMPTS: i32 = 3;

/// A worker that works carefully.
#[derive(Clone, Copy, Debug)]
pub struct Careful {
    /// Its number in its database: nobody else has it while it lives.
    worker: i16,
    until: Instant,
}

/// Something that may end the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspect {
    /// A case, for its due step runs.
    Steps(i64),
    /// A case, for its messages that are to be rendered.
    Messages(i64),
    /// A row of wf.inbox: transaction and number.
    Changed(i64, i64),
}

impl Suspect {
    fn columns(self) -> (Char, i64, i64) {
        match self {
            Self::Steps(case) => (Char(b's'), 0, case),
            Self::Messages(case) => (Char(b'm'), 0, case),
            Self::Changed(xid, id) => (Char(b'i'), xid, id),
        }
    }

    fn of(entry: &Entry) -> Self {
        Self::Changed(entry.xid, entry.id)
    }
}

/// Whether a worker that starts now is to work carefully: because its predecessor has fallen, because the server has
/// crashed, or because somebody has left suspects. In a transaction. False while the extension's tables are those of an
/// earlier version.
pub fn begin(worker: u32, predecessor_fell: bool) -> Option<Careful> {
    let known = "SELECT pg_catalog.to_regclass('wf.suspects') IS NOT NULL";
    if !(spi::query(known, &[]).first()).is_some_and(|row| row.must::<bool>(1)) {
        return None;
    }
    let rows = spi::query(
        "SELECT NOT EXISTS (SELECT FROM wf.calm), EXISTS (SELECT FROM wf.suspects)",
        &[],
    );
    let row = rows.first()?;
    let (crashed, suspects): (bool, bool) = (row.must(1), row.must(2));
    (crashed || suspects || predecessor_fell).then(|| Careful {
        worker: i16::try_from(worker).unwrap_or(i16::MAX),
        until: Instant::now() + PERIOD,
    })
}

/// Ends the time of care when it is over.
pub fn end_in_time(state: &mut WorkerState, run: &mut Run<'_>) {
    if state.careful.is_some_and(|c| c.until <= Instant::now()) {
        let ended = run(&mut || {
            as_engine(|| {
                drop(spi::query(
                    "INSERT INTO wf.calm SELECT true WHERE NOT EXISTS (SELECT FROM wf.calm) ON CONFLICT DO NOTHING",
                    &[],
                ));
            });
        });
        if ended.is_ok() {
            state.careful = None;
        }
    }
}

impl Careful {
    /// Writes down what is about to be worked on together.
    pub fn note(self, suspects: &[Suspect]) {
        self.write(suspects, 0);
    }

    /// Writes down what is about to be worked on alone, which may be noted with others.
    pub fn note_alone(self, suspect: Suspect) {
        self.write(&[suspect], 1);
    }

    fn write(self, suspects: &[Suspect], tries: i16) {
        let columns: Vec<_> = suspects.iter().map(|s| s.columns()).collect();
        spi::query(
            "INSERT INTO wf.suspects AS s (worker, kind, xid, id, tries)
             SELECT $1, n.kind, n.xid, n.id, $5
             FROM ROWS FROM (unnest($2::\"char\"[]), unnest($3::bigint[]), unnest($4::bigint[])) AS n (kind, xid, id)
             ON CONFLICT (worker, kind, xid, id) DO UPDATE SET tries = s.tries + excluded.tries",
            &[
                arg(self.worker),
                array(columns.iter().map(|c| c.0)),
                array(columns.iter().map(|c| c.1)),
                array(columns.iter().map(|c| c.2)),
                arg(tries),
            ],
        );
    }

    /// It has been worked on, or is known not to have ended the process.
    pub fn clear(self, suspects: &[Suspect]) {
        let columns: Vec<_> = suspects.iter().map(|s| s.columns()).collect();
        spi::query(
            "DELETE FROM wf.suspects AS s
             USING ROWS FROM (unnest($2::\"char\"[]), unnest($3::bigint[]), unnest($4::bigint[])) AS n (kind, xid, id)
             WHERE s.worker = $1 AND s.kind = n.kind AND s.xid = n.xid AND s.id = n.id",
            &[
                arg(self.worker),
                array(columns.iter().map(|c| c.0)),
                array(columns.iter().map(|c| c.1)),
                array(columns.iter().map(|c| c.2)),
            ],
        );
    }

    /// What predecessors have left: who they were, with how often it was alone. Those of workers that there are no more
    /// are the first one's.
    fn leftovers(self) -> Vec<(Suspect, i16)> {
        spi::query(
            "UPDATE wf.suspects AS s SET worker = $1 WHERE $1 = 1 AND s.worker > $2",
            &[
                arg(self.worker),
                arg(i32::try_from(settings::workers_per_database()).unwrap_or(i32::MAX)),
            ],
        );
        let rows = spi::query(
            "SELECT s.kind, s.xid, s.id, s.tries FROM wf.suspects AS s WHERE s.worker = $1
             ORDER BY s.tries, s.kind, s.xid, s.id LIMIT $2",
            &[arg(self.worker), arg(BATCH)],
        );
        let suspect = |kind: Char, xid: i64, id: i64| match kind.0 {
            b'i' => Suspect::Changed(xid, id),
            b'm' => Suspect::Messages(id),
            _ => Suspect::Steps(id),
        };
        rows.iter()
            .map(|row| (suspect(row.must(1), row.must(2), row.must(3)), row.must(4)))
            .collect()
    }
}

/// Works on what predecessors have left, piece by piece. True if there was any.
pub fn leftovers(careful: Careful, run: &mut Run<'_>) -> bool {
    let mut found = Vec::new();
    if run(&mut || found = as_engine(|| careful.leftovers())).is_err() {
        return false;
    }
    for (suspect, tries) in &found {
        // A step run counts its attempts itself, and waits between them.
        let over = matches!(suspect, Suspect::Steps(_)) && *tries > 0;
        if over || i32::from(*tries) >= attempts() {
            let _ = run(&mut || as_engine(|| blame(careful, *suspect)));
        } else if !alone(careful, *suspect, run) {
            break;
        }
    }
    !found.is_empty()
}

/// Works on one suspect alone, having written that down. False when a person interrupts it.
fn alone(careful: Careful, suspect: Suspect, run: &mut Run<'_>) -> bool {
    if run(&mut || as_engine(|| careful.note_alone(suspect))).is_err() {
        return false;
    }
    let done = run(&mut || {
        as_engine(|| {
            match suspect {
                Suspect::Steps(case) => drop(duty::alone::<Steps>(case)),
                Suspect::Messages(case) => drop(duty::alone::<Messages>(case)),
                Suspect::Changed(xid, id) => inbox::alone(xid, id),
            }
            careful.clear(&[suspect]);
        });
    });
    match done {
        Ok(()) => true,
        Err(failure) => {
            // It has failed, but not ended the process.
            let interrupted = failure.is_interrupt();
            let _ = run(&mut || {
                as_engine(|| {
                    if !interrupted {
                        accuse(suspect, &failure);
                    }
                    careful.clear(&[suspect]);
                });
            });
            !interrupted
        }
    }
}

/// Counts an ordinary failure.
fn accuse(suspect: Suspect, failure: &Failure) {
    match suspect {
        Suspect::Steps(case) => blame_case(case, failure),
        Suspect::Messages(case) => blame_message(case, failure),
        Suspect::Changed(xid, id) => {
            if let Some(entry) = unread::find(xid, id) {
                inbox::blame_entry(&entry, failure);
            }
        }
    }
}

/// Counts the end of a process.
fn blame(careful: Careful, suspect: Suspect) {
    let failure = Failure::process_ended();
    match suspect {
        // Nothing of it may be asked again.
        Suspect::Changed(xid, id) => {
            if let Some(entry) = unread::find(xid, id) {
                inbox::park(&entry, entry.keys.first().map(String::as_str), &failure);
            }
        }
        _ => accuse(suspect, &failure),
    }
    careful.clear(&[suspect]);
}

/// How often a process may end over one suspect.
pub fn attempts() -> i32 {
    ATTEMPTS.min(settings::max_attempts())
}

/// Works on noted suspects together, in halves after a failure. `of` gives the note of an item. False when it was
/// interrupted.
pub fn together<T>(
    careful: Careful,
    run: &mut Run<'_>,
    items: &[T],
    of: &dyn Fn(&T) -> Suspect,
    work: &dyn Fn(&[T]),
    blame: &dyn Fn(&T, &Failure),
    leave: &dyn Fn(&Failure) -> bool,
) -> bool {
    let cleared = Cell::new(0);
    let clear = |part: &[T]| {
        let suspects: Vec<Suspect> = part.iter().map(of).collect();
        as_engine(|| careful.clear(&suspects));
        cleared.set(cleared.get() + part.len());
    };
    let went_on = halving(
        run,
        items,
        &|part| {
            work(part);
            clear(part);
        },
        &|item, failure| {
            blame(item, failure);
            clear(std::slice::from_ref(item));
        },
        leave,
    );
    // What is left for the next tick is noted anew then.
    if cleared.get() != items.len() {
        let _ = run(&mut || clear(items));
    }
    went_on
}

/// The notes of rows of the inbox.
pub fn of_entries(entries: &[Entry]) -> Vec<Suspect> {
    entries.iter().map(Suspect::of).collect()
}
