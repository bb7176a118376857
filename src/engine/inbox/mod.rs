//! Changed ERP rows: what the inbox says has changed is read as it is now, and what follows is derived from that.
//! An event that was missed or comes twice does no harm.
//!
//! One process at a time reads the inbox of a database, so that two of them cannot start a case for the same row.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use super::as_engine;
use super::batch::Batch;
use super::careful::{self, Careful, Suspect};
use super::enrol::enrol;
use super::failures::halving;
use super::members;
use super::slow::{self, Lane};
use super::unread::{self, Entry, Found, Taken};
use super::versions::version;
use super::work::{Run, WorkerState};
use crate::accounts::strategy;
use crate::pg::spi;
use crate::pg::subtransaction::{Failure, attempt};
use crate::pg::types::{arg, array, optional};
use crate::settings;
use crate::subjects::{self, subject};

/// Works on one batch of the inbox. True if there was any.
pub fn work(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    if slow::is_slow(Lane::Inbox) {
        return one_by_one(state, run);
    }
    state.last_in_line.clear();
    if let Some(careful) = state.careful {
        return work_carefully(careful, state, run);
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

/// The same in small batches, each of which is written down first.
fn work_carefully(careful: Careful, state: &mut WorkerState, run: &mut Run<'_>) -> bool {
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

/// The same, row by row, after something in the inbox has taken long: until that happens again, for a while, so that
/// what else is due gets its turn. Nothing is read while the inbox rests.
fn one_by_one(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
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

/// How the workflows of a subject are asked whether they take rows.
enum Enrol {
    /// One after the other; what one of them raises is raised.
    Together,
    /// Each by itself, so that one whose rule fails stands in no other's way; with what they raised.
    Apart(RefCell<Vec<(Option<i32>, Failure)>>),
    /// Not at all.
    No,
}

impl Enrol {
    /// Asks a workflow.
    fn ask(&self, workflow: Option<i32>, body: impl FnOnce() -> Vec<String>) -> Vec<String> {
        let failed = match self {
            Self::Together => return body(),
            Self::No => return Vec::new(),
            Self::Apart(failed) => failed,
        };
        match attempt(AssertUnwindSafe(body)) {
            Ok(busy) => busy,
            // A lock that somebody holds is no workflow's mistake.
            Err(failure) if failure.is_interrupt() || failure.will_pass() => failure.raise(),
            Err(failure) => {
                failed.borrow_mut().push((workflow, failure));
                Vec::new()
            }
        }
    }
}

/// Derives what follows from some rows and removes them. Gives back the transactions of those left for later because
/// somebody is at the case.
fn process(entries: &[Entry], enrol: &Enrol) -> Vec<i64> {
    if entries.is_empty() {
        return Vec::new();
    }
    for entry in entries {
        match entry.op {
            b'e' => subject::quarantine(
                entry.subject,
                "a trigger did not find the key columns of the table; they were renamed or dropped",
            ),
            // The whole table is gone: look at every open case.
            _ if entry.keys.is_empty() && entry.watched.is_empty() => {
                subjects::inbox::append_all_open(entry.subject);
            }
            _ => {}
        }
    }
    let resolved = resolve(entries);
    let keys_of = |position: usize| {
        let entry: &Entry = &entries[position];
        entry.keys.iter().chain(&resolved[position])
    };
    // In the order in which they came, so that cases get their numbers in that order.
    let mut by_subject: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate() {
        by_subject.entry(entry.subject).or_default().push(position);
    }
    let mut left = Vec::new();
    let mut later = Vec::new();
    let mut done = Vec::new();
    for (subject, positions) in &by_subject {
        let mut seen = HashSet::new();
        let keys: Vec<&str> = positions
            .iter()
            .flat_map(|position| keys_of(*position))
            .map(String::as_str)
            .filter(|key| seen.insert(*key))
            .collect();
        let busy: HashSet<String> = changed(*subject, &keys, enrol).into_iter().collect();
        let mut settled = keys;
        settled.retain(|key| !busy.contains(*key));
        unread::settle(*subject, &settled);
        for position in positions {
            let entry = &entries[*position];
            if busy.is_empty() || !keys_of(*position).any(|key| busy.contains(key)) {
                done.push(entry);
            } else if entry.packed || entry.keys.is_empty() {
                // What it says of other keys is done; of these it is said again.
                let kept = keys_of(*position).filter(|key| busy.contains(*key));
                later.extend(kept.map(|key| (entry, key.as_str())));
                done.push(entry);
            } else {
                left.push(entry.xid);
            }
        }
    }
    unread::leave(&later);
    unread::remove(&done);
    left
}

/// The keys that the watched rows of each entry give.
fn resolve(entries: &[Entry]) -> Vec<Vec<String>> {
    let mut owners = Vec::new();
    let mut noted: Vec<(i32, &str)> = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        for watched in &entry.watched {
            owners.push(position);
            noted.push((entry.watch.unwrap_or_default(), watched));
        }
    }
    let mut keys = vec![Vec::new(); entries.len()];
    if noted.is_empty() {
        return keys;
    }
    let found = subjects::inbox::resolve_watched(&noted);
    for (position, key) in owners.into_iter().zip(found) {
        keys[position].extend(key);
    }
    keys
}

/// What follows from changed rows of one subject. Gives back the keys whose cases somebody is at.
fn changed(subject_id: i32, keys: &[&str], enrol: &Enrol) -> Vec<String> {
    if subject::find(subject_id).is_none_or(|s| s.broken.is_some()) {
        return Vec::new();
    }
    let open = spi::query(
        "SELECT s.case_id, s.key FROM unnest($2::text[]) AS k(key) JOIN wf.case_subjects AS s
         ON s.subject_id = $1 AND s.key = k.key AND s.slot = 0 AND s.departure IS NULL
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NULL",
        &[arg(subject_id), array(keys.iter().copied())],
    );
    // A case may concern several of the keys.
    let open: Vec<(i64, String)> = open.iter().map(|row| (row.must(1), row.must(2))).collect();
    let mut ids: Vec<i64> = open.iter().map(|(case, _)| *case).collect();
    ids.extend(ended_with_messages(subject_id, keys));
    let mut batch = Batch::load_free(&ids, "engine");
    let mut busy = Vec::new();
    for (case, key) in &open {
        if batch.find(*case).is_none() {
            busy.push(key.clone());
        }
    }
    members::look(&mut batch);
    let mut over = Vec::new();
    for cases in batch.by_version().into_values() {
        let Some(answers) = batch.ask_watch(&cases) else {
            continue;
        };
        let env = batch.context.env();
        for (position, case) in cases.into_iter().enumerate() {
            let case = &mut batch.cases[case].case;
            let facts = answers.facts(position);
            if case.state.is_over() {
                over.push(case.id);
                case.subject_changed_after_end(&facts, &mut batch.effects);
            } else {
                case.subject_changed(&facts, &env, &mut batch.effects);
            }
        }
    }
    over.retain(|id| batch.effects.suppressions.iter().any(|s| s.case_id == *id));
    batch.flush();
    busy.extend(still_there(subject_id, keys, &over));
    let free: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|k| !busy.iter().any(|b| b == k))
        .collect();
    busy.extend(enrol_by_rules(subject_id, &free, enrol));
    busy.extend(enrol.ask(None, || strategy::settle(subject_id, &free)));
    busy
}

/// Cases that have ended while a message of theirs (`done_when: queued`) still waits for its sender.
fn ended_with_messages(subject_id: i32, keys: &[&str]) -> Vec<i64> {
    let rows = spi::query(
        "SELECT DISTINCT o.case_id
         FROM unnest($2::text[]) AS k(key)
         JOIN wf.case_subjects AS s ON s.subject_id = $1 AND s.key = k.key AND s.departure IS NULL
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NOT NULL
         JOIN wf.outbox AS o ON o.case_id = s.case_id AND o.state = 'queued'",
        &[arg(subject_id), array(keys.iter().copied())],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

/// The keys of ended cases whose messages were to stay here, and of which a sender is just leasing one: should its
/// transaction be rolled back, nothing else would keep that message from leaving.
fn still_there(subject_id: i32, keys: &[&str], cases: &[i64]) -> Vec<String> {
    if cases.is_empty() {
        return Vec::new();
    }
    let rows = spi::query(
        "SELECT DISTINCT s.key FROM unnest($2::text[]) AS k(key)
         JOIN wf.case_subjects AS s ON s.subject_id = $1 AND s.key = k.key AND s.departure IS NULL
         JOIN wf.outbox AS o ON o.case_id = s.case_id AND o.state IN ('deferred', 'queued')
         WHERE s.case_id = ANY ($3)",
        &[
            arg(subject_id),
            array(keys.iter().copied()),
            array(cases.iter().copied()),
        ],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

/// Starts cases where the start rule of an enabled workflow of this subject holds. Gives back the
/// keys of rows that would join a case that somebody is at.
fn enrol_by_rules(subject_id: i32, keys: &[&str], how: &Enrol) -> Vec<String> {
    let rows = spi::query(
        "SELECT v.version_id, w.workflow_id FROM wf.workflows AS w JOIN wf.versions AS v ON v.workflow_id = w.workflow_id
         WHERE w.enabled AND v.state = 'published' AND v.subject_id = $1 ORDER BY w.workflow_id",
        &[arg(subject_id)],
    );
    let versions: Vec<(i32, i32)> = rows.iter().map(|r| (r.must(1), r.must(2))).collect();
    let mut busy = Vec::new();
    for (id, workflow) in versions {
        busy.extend(how.ask(Some(workflow), || {
            let mut busy = Vec::new();
            enrol(&version(id), keys, "engine", &mut busy);
            busy
        }));
    }
    busy
}

/// An inbox row that cannot be worked on. If only a start rule is to blame, the open cases still get what they need, and the
/// other workflows still take the row;
/// otherwise the row stays unread, so that nothing leaves for a row of the ERP whose state cannot be told. A watched row
/// that gives no key could be about any: then nothing of the subject leaves. What is nobody's mistake stays as it is, to be
/// read again; and what takes long is not tried with each workflow.
pub fn blame_entry(entry: &Entry, failure: &Failure) {
    if failure.will_pass() {
        return;
    }
    let enrol = if failure.takes_long() {
        Enrol::No
    } else {
        Enrol::Apart(RefCell::default())
    };
    let worked = attempt(AssertUnwindSafe(|| {
        as_engine(|| drop(process(std::slice::from_ref(entry), &enrol)));
    }));
    if let Err(held) = &worked
        && held.will_pass()
    {
        // The row stays unread until then.
        held.clone().raise();
    }
    let resolved = attempt(AssertUnwindSafe(|| {
        as_engine(|| resolve(std::slice::from_ref(entry)))
    }));
    let resolved = resolved.ok().into_iter().flatten().flatten().next();
    let key = entry.keys.first().or(resolved.as_ref()).map(String::as_str);
    as_engine(|| {
        if worked.is_err() {
            unread::park(entry, key);
            note(entry.subject, key, None, failure);
            return;
        }
        match enrol {
            Enrol::Apart(failed) => {
                for (workflow, failure) in failed.into_inner() {
                    note(entry.subject, key, workflow, &failure);
                }
            }
            Enrol::Together | Enrol::No => note(entry.subject, key, None, failure),
        }
    });
}

/// A row that is not to be looked at any more, for what it does.
pub fn park(entry: &Entry, key: Option<&str>, failure: &Failure) {
    unread::park(entry, key);
    note(entry.subject, key, None, failure);
}

/// Notes that a row could not be looked at, or not for one workflow.
fn note(subject: i32, key: Option<&str>, workflow: Option<i32>, failure: &Failure) {
    let place = key.map_or(String::new(), |key| format!(", key {key}"));
    let name = subject::find(subject).map_or(String::new(), |s| s.name.clone());
    spi::query(
        "INSERT INTO wf.failures (at, subject_id, key, workflow_id, sqlstate, message, detail, hint)
         SELECT wf.now(), $1, $6, $7, $2,
                $3 || coalesce((SELECT ', workflow \"' || w.name || '\"' FROM wf.workflows AS w WHERE w.workflow_id = $7), '') || $8,
                $4, $5",
        &[
            arg(subject),
            arg(failure.sqlstate.as_str()),
            arg(format!("subject \"{name}\"{place}")),
            optional(failure.detail.as_deref()),
            arg(failure.hint.clone().unwrap_or_else(|| {
                "Mend the workflow's conditions or the row, then call wf.reconcile.".to_owned()
            })),
            optional(key),
            optional(workflow),
            arg(format!(": {}", failure.message)),
        ],
    );
}
