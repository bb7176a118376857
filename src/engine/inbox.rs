//! Changed ERP rows: what the inbox says has changed is read as it is now, and what follows is derived from that.
//! An event that was missed or comes twice does no harm.
//!
//! One process at a time reads the inbox of a database, so that two of them cannot start a case for the same row.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;

use super::as_engine;
use super::batch::Batch;
use super::enrol::enrol;
use super::failures::halving;
use super::members;
use super::unread::{self, Entry, Found};
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
                let left = process(&entries, true);
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
        // One of many is to blame, and which one shows among single rows only.
        Err(_) if entries.iter().any(|e| e.packed) => {
            run(&mut || as_engine(|| unread::unpack_all(&entries))).is_ok()
        }
        Err(_) => {
            let worked = Cell::new(false);
            let whole = halving(
                run,
                &entries,
                &|part| {
                    as_engine(|| drop(process(part, true)));
                    worked.set(true);
                },
                &|entry, failure| {
                    // A lock that somebody holds is nobody's mistake: the row stays unread until it is free.
                    if !failure.is_contention() {
                        blame_entry(entry, failure);
                        worked.set(true);
                    }
                },
            );
            whole && worked.get()
        }
    }
}

/// Derives what follows from some rows and removes them. Gives back the transactions of those left for later because
/// somebody is at the case.
fn process(entries: &[Entry], enrol: bool) -> Vec<i64> {
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
fn changed(subject_id: i32, keys: &[&str], enrol: bool) -> Vec<String> {
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
    for cases in batch.by_version().into_values() {
        let Some(answers) = batch.ask_watch(&cases) else {
            continue;
        };
        let env = batch.context.env();
        for (position, case) in cases.into_iter().enumerate() {
            let case = &mut batch.cases[case].case;
            let facts = answers.facts(position);
            if case.state.is_over() {
                case.subject_changed_after_end(&facts, &mut batch.effects);
            } else {
                case.subject_changed(&facts, &env, &mut batch.effects);
            }
        }
    }
    batch.flush();
    if enrol {
        let free: Vec<&str> = keys
            .iter()
            .copied()
            .filter(|k| !busy.iter().any(|b| b == k))
            .collect();
        busy.extend(enrol_by_rules(subject_id, &free));
        busy.extend(strategy::settle(subject_id, &free));
    }
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

/// Starts cases where the start rule of an enabled workflow of this subject holds. Gives back the
/// keys of rows that would join a case that somebody is at.
fn enrol_by_rules(subject_id: i32, keys: &[&str]) -> Vec<String> {
    let rows = spi::query(
        "SELECT v.version_id FROM wf.workflows AS w JOIN wf.versions AS v ON v.workflow_id = w.workflow_id
         WHERE w.enabled AND v.state = 'published' AND v.subject_id = $1 ORDER BY w.workflow_id",
        &[arg(subject_id)],
    );
    let versions: Vec<i32> = rows.iter().map(|row| row.must(1)).collect();
    let mut busy = Vec::new();
    for id in versions {
        enrol(&version(id), keys, "engine", &mut busy);
    }
    busy
}

/// An inbox row that cannot be worked on. If only a start rule is to blame, the open cases still get what they need;
/// otherwise the row stays unread, so that nothing leaves for a row of the ERP whose state cannot be told. A watched row
/// that gives no key could be about any: then nothing of the subject leaves.
fn blame_entry(entry: &Entry, failure: &Failure) {
    let without_enrolling = attempt(AssertUnwindSafe(|| {
        as_engine(|| drop(process(std::slice::from_ref(entry), false)));
    }));
    let resolved = attempt(AssertUnwindSafe(|| {
        as_engine(|| resolve(std::slice::from_ref(entry)))
    }));
    let resolved = resolved.ok().into_iter().flatten().flatten().next();
    let key = entry.keys.first().or(resolved.as_ref()).map(String::as_str);
    as_engine(|| {
        if without_enrolling.is_err() {
            unread::park(entry, key);
        }
        let place = key.map_or(String::new(), |key| format!(", key {key}"));
        let name = subject::find(entry.subject).map_or(String::new(), |s| s.name.clone());
        spi::query(
            "INSERT INTO wf.failures (at, subject_id, key, sqlstate, message, detail, hint)
             VALUES (wf.now(), $1, $6, $2, $3, $4, $5)",
            &[
                arg(entry.subject),
                arg(failure.sqlstate.as_str()),
                arg(format!("subject \"{name}\"{place}: {}", failure.message)),
                optional(failure.detail.as_deref()),
                arg(failure.hint.clone().unwrap_or_else(|| {
                    "Mend the workflow's conditions or the row, then call wf.reconcile.".to_owned()
                })),
                optional(key),
            ],
        );
    });
}
