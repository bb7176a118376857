//! The rows of the inbox: which ones a batch takes, and how they leave it. What follows from them is `follow`'s.
//!
//! A row stands for one changed row of the ERP, or, packed, for up to a thousand of a bulk statement. While a packed row
//! is unread, no message of its whole subject leaves, so packed rows do not stay for long: they are taken first; when
//! there are too many of them, or when something in one cannot be worked on now, they are unpacked into single rows,
//! each of which holds back its own subject's row alone.

use crate::pg::lock::try_lock;
use crate::pg::spi::{self, RowRef};
use crate::pg::types::{Char, arg, array, array_of, optional};

/// With more packed rows of changes than this unread, they are unpacked before anything is looked at: what a worker
/// looks at in about ten seconds, against less than one for unpacking as many.
const BACKLOG: i64 = 256;
/// Packed rows that one transaction unpacks at most.
const UNPACK: i64 = 100;

/// A row of wf.inbox.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The transaction that wrote it.
    pub xid: i64,
    pub id: i64,
    pub subject: i32,
    /// wf.inbox.op
    pub op: u8,
    pub watch: Option<i32>,
    /// Whether it stands for several changed rows.
    pub packed: bool,
    /// The keys that it names.
    pub keys: Vec<String>,
    /// The watched rows that give keys (see `subjects::inbox::resolve_watched`).
    pub watched: Vec<String>,
}

/// Rows in the order in which they came.
#[derive(Default)]
pub struct Taken {
    pub entries: Vec<Entry>,
    /// The transaction from which on rows may be unread that are not among the entries. None: nothing was looked at,
    /// for another process is reading.
    pub read_up_to: Option<i64>,
}

/// What there is to do about the inbox.
pub enum Found {
    /// These rows are to be looked at.
    Rows(Taken),
    /// So many packed rows were unpacked instead.
    Unpacked,
}

macro_rules! rows_that {
    ($condition:literal) => {
        concat!(
            "SELECT i.xid::text::int8, i.inbox_id, i.subject_id, i.op, i.watch_id, i.key, i.watched, i.packed,
                    i.keys, i.watched_rows
             FROM wf.inbox AS i WHERE ",
            $condition
        )
    };
}
const PACKED_ROWS: &str = rows_that!(
    "i.xid >= $1::text::xid8 AND i.packed IS NOT NULL ORDER BY i.xid, i.inbox_id LIMIT $2"
);
const SINGLE_ROWS: &str = rows_that!(
    "i.xid >= $1::text::xid8 AND i.packed IS NULL AND i.failed_at IS NULL ORDER BY i.xid, i.inbox_id LIMIT $2"
);
const ONE_ROW: &str =
    rows_that!("i.xid = $1::text::xid8 AND i.inbox_id = $2 AND i.failed_at IS NULL");

/// Takes the next rows of transactions from `from` on: for about `limit` changed rows of packed and of single ones
/// each, so that neither waits for the other's backlog. One process at a time, until its transaction ends.
pub fn take(from: i64, limit: i64) -> Found {
    let waiting = "SELECT 1 FROM wf.inbox AS i WHERE i.xid >= $1::text::xid8 AND i.failed_at IS NULL ORDER BY i.xid LIMIT 1";
    let first = from.to_string();
    let first = first.as_str();
    let before_looking = oldest_running();
    if spi::query_in_order(waiting, &[arg(first)]).is_empty() {
        return Found::Rows(Taken {
            entries: Vec::new(),
            read_up_to: before_looking,
        });
    }
    if !my_turn() {
        return Found::Rows(Taken::default());
    }
    // Taken before the rows are read: a transaction that was running then may still commit behind them.
    let mut read_up_to = oldest_running();
    // Rows of wf.reconcile are about the whole subject anyway.
    let backlog = spi::query(
        "SELECT FROM wf.inbox AS i WHERE i.xid >= $1::text::xid8 AND i.packed IS NOT NULL AND i.op <> 'r' LIMIT $2",
        &[arg(first), arg(BACKLOG + 1)],
    );
    if backlog.len() as i64 > BACKLOG {
        unpack_some(first);
        return Found::Unpacked;
    }
    let mut entries = Vec::new();
    for sql in [PACKED_ROWS, SINGLE_ROWS] {
        let rows = spi::query(sql, &[arg(first), arg(limit)]);
        let mut rows = rows.iter().map(entry);
        let mut budget = limit;
        let mut taken = 0;
        while budget > 0
            && let Some(entry) = rows.next()
        {
            budget -= entry.keys.len().max(entry.watched.len()).max(1) as i64;
            taken += 1;
            entries.push(entry);
        }
        if taken == limit || rows.next().is_some() {
            let last = entries.last().map(|entry: &Entry| entry.xid);
            read_up_to = read_up_to.min(last);
        }
    }
    Found::Rows(Taken {
        entries,
        read_up_to,
    })
}

/// Whether this process is the one that reads the inbox, until its transaction ends.
pub fn my_turn() -> bool {
    try_lock("inbox")
}

/// The oldest transaction that is still running: what comes later than this look was written by it or a later one.
fn oldest_running() -> Option<i64> {
    let rows = spi::query(
        "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8",
        &[],
    );
    rows.first().map(|row| row.must(1))
}

/// A row that is unread and has not failed, if it is still there.
pub fn find(xid: i64, id: i64) -> Option<Entry> {
    let rows = spi::query(ONE_ROW, &[arg(xid.to_string()), arg(id)]);
    rows.first().map(entry)
}

fn entry(row: RowRef<'_>) -> Entry {
    let list = |one: i32, many: i32, packed: bool| -> Vec<String> {
        if packed {
            let texts: Option<Vec<Option<String>>> = row.get(many);
            texts.into_iter().flatten().flatten().collect()
        } else {
            row.get(one).into_iter().collect()
        }
    };
    let packed = row.get::<i32>(8).is_some();
    Entry {
        xid: row.must(1),
        id: row.must(2),
        subject: row.must(3),
        op: row.must::<Char>(4).0,
        watch: row.get(5),
        packed,
        keys: list(6, 9, packed),
        watched: list(7, 10, packed),
    }
}

/// Makes single rows of some packed ones.
fn unpack_some(first: &str) {
    let rows = spi::query(
        "SELECT i.xid::text::int8, i.inbox_id FROM wf.inbox AS i
         WHERE i.xid >= $1::text::xid8 AND i.packed IS NOT NULL AND i.op <> 'r' LIMIT $2",
        &[arg(first), arg(UNPACK)],
    );
    unpack(rows.iter().map(|row| (row.must(1), row.must(2))).collect());
}

/// Makes single rows of the packed ones among these.
pub fn unpack_all(entries: &[Entry]) {
    unpack(
        entries
            .iter()
            .filter(|e| e.packed)
            .map(|e| (e.xid, e.id))
            .collect(),
    );
}

/// The new rows are this transaction's, behind whatever has been read up to.
fn unpack(ids: Vec<(i64, i64)>) {
    spi::query(
        "WITH gone AS (
             DELETE FROM wf.inbox AS i
             USING ROWS FROM (unnest($1::bigint[]), unnest($2::bigint[])) AS n(xid, inbox_id)
             WHERE i.xid = n.xid::text::xid8 AND i.inbox_id = n.inbox_id AND i.packed IS NOT NULL
             RETURNING i.*)
         INSERT INTO wf.inbox (subject_id, key, op, watch_id, watched, at)
         SELECT g.subject_id, u.key, g.op, g.watch_id, u.watched, g.at
         FROM gone AS g, ROWS FROM (unnest(g.keys), unnest(g.watched_rows)) AS u(key, watched)",
        &[
            array(ids.iter().map(|id| id.0)),
            array(ids.iter().map(|id| id.1)),
        ],
    );
}

/// Leaves keys unread of rows that will be removed otherwise, each in a row of its own.
pub fn leave(keys: &[(&Entry, &str)]) {
    if keys.is_empty() {
        return;
    }
    spi::query(
        "INSERT INTO wf.inbox (subject_id, key, op, watch_id)
         SELECT * FROM ROWS FROM (unnest($1::int[]), unnest($2::text[]), unnest($3::\"char\"[]), unnest($4::int[]))",
        &[
            array(keys.iter().map(|(entry, _)| entry.subject)),
            array(keys.iter().map(|(_, key)| *key)),
            array(keys.iter().map(|(entry, _)| Char(entry.op))),
            array_of(keys.iter().map(|(entry, _)| entry.watch)),
        ],
    );
}

/// Removes rows that have been looked at.
pub fn remove(entries: &[&Entry]) {
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
}

/// What had failed for keys before is settled when they have been looked at.
pub fn settle(subject: i32, keys: &[&str]) {
    if keys.is_empty() {
        return;
    }
    let args = || [arg(subject), array(keys.iter().copied())];
    spi::query(
        "UPDATE wf.failures AS f SET resolved_at = wf.now() FROM unnest($2::text[]) AS n(key)
         WHERE f.subject_id = $1 AND f.key = n.key AND f.resolved_at IS NULL",
        &args(),
    );
    spi::query(
        "DELETE FROM wf.inbox AS i USING unnest($2::text[]) AS n(key)
         WHERE i.subject_id = $1 AND i.key = n.key AND i.failed_at IS NOT NULL",
        &args(),
    );
}

/// A row that cannot be looked at stays, but is not taken again. With a key it holds back that row of the ERP alone.
pub fn park(entry: &Entry, key: Option<&str>) {
    spi::query(
        "UPDATE wf.inbox AS i SET failed_at = wf.now(), key = $3
         WHERE i.xid = $1::text::xid8 AND i.inbox_id = $2",
        &[arg(entry.xid.to_string()), arg(entry.id), optional(key)],
    );
}
