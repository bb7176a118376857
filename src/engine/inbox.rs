//! Changed ERP rows: what the inbox says has changed is read as it is now, and what follows is derived from that.
//! An event that was missed or comes twice does no harm.
//!
//! One process at a time reads the inbox of a database, so that two of them cannot start a case for the same row.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::as_engine;
use super::batch::Batch;
use super::enrol::enrol;
use super::failures::halving;
use super::versions::version;
use super::work::{Run, WorkerState};
use crate::pg::spi;
use crate::pg::subtransaction::Failure;
use crate::pg::types::{arg, array, array_of};
use crate::settings;
use crate::subjects::{self, subject};

/// A row of wf.inbox.
#[derive(Clone, Debug)]
pub struct Entry {
    pub xid: i64,
    pub id: i64,
    pub subject: i32,
    pub key: Option<String>,
    pub op: String,
    pub watch: Option<i32>,
    pub watched: Option<String>,
}

/// Works on one batch of the inbox. True if there was any.
pub fn work(state: &mut WorkerState, run: &mut Run<'_>) -> bool {
    let mut entries: Vec<Entry> = Vec::new();
    let mut next = None;
    let mut done = 0;
    let from = state.inbox_frontier;
    let limit = settings::batch_size();
    let result = run(&mut || {
        as_engine(|| {
            let (taken, xmin) = take(from, limit);
            entries = taken;
            let left = process(&entries, true);
            done = entries.len() - left.len();
            next = xmin.map(|xmin| {
                let full = entries.len() as i64 == limit;
                let last = entries.last().filter(|_| full).map_or(xmin, |e| e.xid);
                left.iter()
                    .copied()
                    .min()
                    .map_or(xmin.min(last), |l| xmin.min(last).min(l))
            });
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
        Err(_) => halving(
            run,
            &entries,
            &|part| as_engine(|| drop(process(part, true))),
            &blame_entry,
        ),
    }
}

/// The next rows, and the oldest transaction that was still running when they were read: everything before it has
/// been seen. None and no rows while another process is reading.
fn take(from: i64, limit: i64) -> (Vec<Entry>, Option<i64>) {
    let waiting =
        "SELECT 1 FROM wf.inbox AS i WHERE i.xid >= $1::text::xid8 AND i.failed_at IS NULL LIMIT 1";
    let from = from.to_string();
    let xmin = "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8";
    let first_look: Option<i64> = spi::query(xmin, &[]).first().map(|row| row.must(1));
    if spi::query(waiting, &[arg(from.as_str())]).is_empty() {
        return (Vec::new(), first_look);
    }
    let turn = "SELECT pg_catalog.pg_try_advisory_xact_lock('wf.inbox'::pg_catalog.regclass::pg_catalog.oid::pg_catalog.int8)";
    if !spi::query(turn, &[])
        .first()
        .is_some_and(|row| row.must::<bool>(1))
    {
        return (Vec::new(), None);
    }
    // Taken before the rows are read: a transaction that was running then may still commit behind them.
    let xmin: Option<i64> = spi::query(xmin, &[]).first().map(|row| row.must(1));
    let rows = spi::query(
        "SELECT i.xid::text::int8, i.inbox_id, i.subject_id, i.key, i.op::text, i.watch_id, i.watched
         FROM wf.inbox AS i WHERE i.xid >= $1::text::xid8 AND i.failed_at IS NULL
         ORDER BY i.xid, i.inbox_id LIMIT $2",
        &[arg(from.as_str()), arg(limit)],
    );
    let entries = rows
        .iter()
        .map(|row| Entry {
            xid: row.must(1),
            id: row.must(2),
            subject: row.must(3),
            key: row.get(4),
            op: row.must(5),
            watch: row.get(6),
            watched: row.get(7),
        })
        .collect();
    (entries, xmin)
}

/// Derives what follows from some rows and removes them. Gives back the transactions of those left for later because
/// somebody is at the case.
fn process(entries: &[Entry], enrol: bool) -> Vec<i64> {
    if entries.is_empty() {
        return Vec::new();
    }
    // In the order in which they came, so that cases get their numbers in that order.
    let mut keys: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let mut unresolved: BTreeMap<i32, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        match (&entry.key, entry.op.as_str()) {
            (Some(key), _) => {
                keys.entry(entry.subject).or_default().push(key.clone());
            }
            (None, "e") => subject::quarantine(
                entry.subject,
                "a trigger did not find the key columns of the table; they were renamed or dropped",
            ),
            (None, "w") => unresolved.entry(entry.subject).or_default().push(entry),
            (None, _) => note_all_open(entry.subject),
        }
    }
    for (subject, entries) in unresolved {
        let noted: Vec<(i32, &str)> = entries
            .iter()
            .filter_map(|e| Some((e.watch?, e.watched.as_deref()?)))
            .collect();
        let resolved = subjects::inbox::resolve_watched(&noted);
        keys.entry(subject)
            .or_default()
            .extend(resolved.into_iter().flatten());
    }
    let mut busy: HashSet<(i32, String)> = HashSet::new();
    for (subject, keys) in &keys {
        let mut seen = HashSet::new();
        let keys: Vec<&str> = keys
            .iter()
            .map(String::as_str)
            .filter(|k| seen.insert(*k))
            .collect();
        for key in changed(*subject, &keys, enrol) {
            busy.insert((*subject, key));
        }
    }
    let (left, done): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|e| {
        e.key
            .as_ref()
            .is_some_and(|key| busy.contains(&(e.subject, key.clone())))
    });
    remove(&done);
    left.iter().map(|e| e.xid).collect()
}

fn remove(entries: &[&Entry]) {
    if entries.is_empty() {
        return;
    }
    spi::query(
        "DELETE FROM wf.inbox AS i
         USING ROWS FROM (unnest($1::bigint[]), unnest($2::bigint[])) AS n(xid, inbox_id)
         WHERE i.xid = n.xid::text::xid8 AND i.inbox_id = n.inbox_id",
        &[
            array(entries.iter().map(|e| e.xid)),
            array(entries.iter().map(|e| e.id)),
        ],
    );
    // What had failed for these keys before is settled with them.
    let keys = || {
        [
            array(entries.iter().map(|e| e.subject)),
            array_of(entries.iter().map(|e| e.key.as_deref())),
        ]
    };
    spi::query(
        "UPDATE wf.failures AS f SET resolved_at = wf.now()
         FROM ROWS FROM (unnest($1::int[]), unnest($2::text[])) AS n(subject_id, key)
         WHERE f.subject_id = n.subject_id AND f.key = n.key AND f.resolved_at IS NULL",
        &keys(),
    );
    spi::query(
        "DELETE FROM wf.inbox AS i
         USING ROWS FROM (unnest($1::int[]), unnest($2::text[])) AS n(subject_id, key)
         WHERE i.subject_id = n.subject_id AND i.key = n.key AND i.failed_at IS NOT NULL",
        &keys(),
    );
}

/// The whole table is gone, or something changed that names no key: look at every open case of the subject.
fn note_all_open(subject: i32) {
    spi::query(
        "INSERT INTO wf.inbox (subject_id, key, op)
         SELECT DISTINCT s.subject_id, s.key, 'r'::\"char\" FROM wf.case_subjects AS s
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NULL
         WHERE s.subject_id = $1 AND s.slot = 0",
        &[arg(subject)],
    );
    crate::worker::wake::on_commit();
}

/// What follows from changed rows of one subject. Gives back the keys whose cases somebody is at.
fn changed(subject_id: i32, keys: &[&str], enrol: bool) -> Vec<String> {
    if subject::find(subject_id).is_none_or(|s| s.broken.is_some()) {
        return Vec::new();
    }
    let open = spi::query(
        "SELECT s.case_id, s.key FROM unnest($2::text[]) AS k(key) JOIN wf.case_subjects AS s
         ON s.subject_id = $1 AND s.key = k.key AND s.slot = 0
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NULL",
        &[arg(subject_id), array(keys.iter().copied())],
    );
    let open: HashMap<i64, String> = open.iter().map(|row| (row.must(1), row.must(2))).collect();
    let mut ids: Vec<i64> = open.keys().copied().collect();
    ids.extend(ended_with_messages(subject_id, keys));
    let mut batch = Batch::load_free(&ids, "engine");
    let mut busy = Vec::new();
    for (case, key) in &open {
        if batch.find(*case).is_none() {
            busy.push(key.clone());
        }
    }
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
        enrol_by_rules(subject_id, &free);
    }
    busy
}

/// Cases that have ended while a message of theirs (`done_when: queued`) still waits for its sender.
fn ended_with_messages(subject_id: i32, keys: &[&str]) -> Vec<i64> {
    let rows = spi::query(
        "SELECT DISTINCT o.case_id
         FROM unnest($2::text[]) AS k(key)
         JOIN wf.case_subjects AS s ON s.subject_id = $1 AND s.key = k.key
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NOT NULL
         JOIN wf.outbox AS o ON o.case_id = s.case_id AND o.state = 'queued'",
        &[arg(subject_id), array(keys.iter().copied())],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

/// Starts cases where the start rule of an enabled workflow of this subject holds.
fn enrol_by_rules(subject_id: i32, keys: &[&str]) {
    let rows = spi::query(
        "SELECT v.version_id FROM wf.workflows AS w JOIN wf.versions AS v ON v.workflow_id = w.workflow_id
         WHERE w.enabled AND v.state = 'published' AND v.subject_id = $1 ORDER BY w.workflow_id",
        &[arg(subject_id)],
    );
    let versions: Vec<i32> = rows.iter().map(|row| row.must(1)).collect();
    for id in versions {
        enrol(&version(id), keys, "engine");
    }
}

/// An inbox row that cannot be worked on. If only a start rule is to blame, the open cases still get what they need;
/// otherwise the row stays unread, so that nothing leaves for a subject whose state cannot be told.
fn blame_entry(entry: &Entry, failure: &Failure) {
    let without_enrolling = crate::pg::subtransaction::attempt(|| {
        as_engine(|| drop(process(std::slice::from_ref(entry), false)));
    });
    as_engine(|| {
        if without_enrolling.is_err() {
            spi::query(
                "UPDATE wf.inbox AS i SET failed_at = wf.now()
                 WHERE i.xid = $1::text::xid8 AND i.inbox_id = $2",
                &[arg(entry.xid.to_string()), arg(entry.id)],
            );
        }
        let place = entry
            .key
            .as_ref()
            .map_or(String::new(), |key| format!(", key {key}"));
        let name = subject::find(entry.subject).map_or(String::new(), |s| s.name.clone());
        spi::query(
            "INSERT INTO wf.failures (at, subject_id, key, sqlstate, message, detail, hint)
             VALUES (wf.now(), $1, $6, $2, $3, $4, $5)",
            &[
                arg(entry.subject),
                arg(failure.sqlstate.as_str()),
                arg(format!("subject \"{name}\"{place}: {}", failure.message)),
                crate::pg::types::optional(failure.detail.as_deref()),
                arg(failure.hint.clone().unwrap_or_else(|| {
                    "Mend the workflow's conditions or the row, then call wf.reconcile.".to_owned()
                })),
                crate::pg::types::optional(entry.key.as_deref()),
            ],
        );
    });
}
