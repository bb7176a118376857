//! What follows from changed rows: open cases look at theirs, rows that a workflow takes get one, and strategies settle.
//! Who is at a case is not waited for: what concerns it stays unread.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;

use super::unread::{self, Entry};
use crate::accounts::strategy;
use crate::engine::batch::Batch;
use crate::engine::enrol::enrol;
use crate::engine::members;
use crate::engine::versions::version;
use crate::pg::spi;
use crate::pg::subtransaction::{Failure, attempt};
use crate::pg::types::{arg, array};
use crate::subjects::{self, subject};

/// How the workflows of a subject are asked whether they take rows.
pub enum Enrol {
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
pub fn process(entries: &[Entry], enrol: &Enrol) -> Vec<i64> {
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
pub fn resolve(entries: &[Entry]) -> Vec<Vec<String>> {
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

/// Cases that have ended while a message of theirs (`done_when: queued`) still waits for its sender, or may come back from it.
fn ended_with_messages(subject_id: i32, keys: &[&str]) -> Vec<i64> {
    let rows = spi::query(
        "SELECT DISTINCT o.case_id
         FROM unnest($2::text[]) AS k(key)
         JOIN wf.case_subjects AS s ON s.subject_id = $1 AND s.key = k.key AND s.departure IS NULL
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NOT NULL
         JOIN wf.outbox AS o ON o.case_id = s.case_id AND o.state IN ('queued', 'leased')",
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
