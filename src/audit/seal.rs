//! Sealing history: blocks of rows under a chain of hashes, made by whoever has time for it.
//!
//! Nothing is asked of those who write history. A block is made of rows that have committed and are in none yet. Ids come
//! from a sequence, so that a transaction that commits late brings rows below the last id seen; such ids are kept as gaps,
//! and looked for again each time. A gap is closed once no transaction can fill it any more, so that a row that somebody
//! puts there later is found out:
//!
//! * Whoever had drawn the id when it was missed held a lock on wf.history then. Once all these holders are gone, it has
//!   ended or is prepared, and had a transaction id by then; the next id at that moment is the gap's horizon.
//! * Once every transaction before the horizon has ended, the row is there or never will be.
//!
//! In a restored database the horizon may lie ahead of all transactions: then those that it waited for were elsewhere.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

use super::{reads_committed, take_turn};
use crate::api::actor;
use crate::engine::as_engine;
use crate::pg::raise::raise_as;
use crate::pg::spi::{self, RowRef};
use crate::pg::types::{arg, array};

/// The most rows that one transaction of a worker seals.
const ROWS: i64 = 10_000;

/// Who is writing to history now: the virtual transactions that hold the lock of an INSERT.
fn holders() -> Vec<String> {
    let rows = spi::query(
        "SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks AS l
         WHERE l.locktype = 'relation' AND l.relation = 'wf.history'::pg_catalog.regclass::pg_catalog.oid
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
           AND l.mode = 'RowExclusiveLock' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()",
        &[],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

/// Up to which id rows are sealed; None: history is not being sealed.
pub fn top() -> Option<i64> {
    spi::query(
        "SELECT p.top FROM wf.history_protection AS p WHERE p.active",
        &[],
    )
    .first()
    .map(|row| row.must(1))
}

/// Seals some rows, as a worker does: without waiting. Gives back whether there may be more.
pub fn seal_some() -> bool {
    if !reads_committed() || !take_turn(false) {
        return false;
    }
    top().is_some_and(|top| seal(top, "engine") >= ROWS)
}

/// Seals everything that can be sealed; the caller has the turn. Gives back how many rows.
pub fn seal_all(actor: &str) -> i64 {
    let mut sealed = 0;
    while let Some(top) = top() {
        let rows = seal(top, actor);
        sealed += rows;
        if rows < ROWS {
            break;
        }
    }
    sealed
}

/// The rows of a month that go into a block.
struct Rows {
    month: String,
    ids: String,
    count: i64,
}

fn seal(top: i64, actor: &str) -> i64 {
    let holding = holders();
    // From here on in statements of their own: each sees what has committed before it.
    let over = gaps_that_are_over(&holding);
    let (blocks, next) = unsealed(top);
    // After the rows were read: whoever holds a number below `next` and was not seen is among them, or has ended since.
    let holding = holders();
    if !over.is_empty() {
        spi::query(
            "DELETE FROM wf.history_gaps AS g WHERE g.ids::text = ANY ($1)",
            &[array(over.iter().map(String::as_str))],
        );
    }
    if blocks.is_empty() {
        return 0;
    }
    note_gaps(&blocks, top, next, &holding);
    for block in &blocks {
        add_block(block, actor);
    }
    spi::query(
        "UPDATE wf.history_protection AS p SET top = $1",
        &[arg(next)],
    );
    blocks.iter().map(|block| block.count).sum()
}

/// Gaps that nobody can fill any more: all who held their numbers have ended, and what they wrote can be seen.
fn gaps_that_are_over(holding: &[String]) -> Vec<String> {
    spi::query(
        "UPDATE wf.history_gaps AS g SET horizon = pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
         WHERE g.horizon IS NULL AND NOT g.holders && $1::text[]",
        &[array(holding.iter().map(String::as_str))],
    );
    let over = spi::query(
        "SELECT g.ids::text FROM wf.history_gaps AS g
         WHERE g.horizon <= pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())
            OR g.horizon > pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())",
        &[],
    );
    over.iter().map(|row| row.must(1)).collect()
}

/// What can be seen and is in no seal yet, of each month; and up to which number that has been looked for.
fn unsealed(top: i64) -> (Vec<Rows>, i64) {
    let found = spi::query(
        "SELECT n.month::text, pg_catalog.range_agg(pg_catalog.int8range(n.history_id, n.history_id, '[]'))::text,
                pg_catalog.count(*), pg_catalog.max(n.history_id)
         FROM (SELECT pg_catalog.date_trunc('month', f.at AT TIME ZONE 'UTC')::date AS month, f.history_id
               FROM ((SELECT h.at, h.history_id FROM wf.history AS h
                      WHERE h.history_id > $1 ORDER BY h.history_id LIMIT $2)
                     UNION ALL
                     SELECT h.at, h.history_id
                     FROM wf.history_gaps AS g CROSS JOIN LATERAL unnest(g.ids) AS r (ids)
                     JOIN wf.history AS h ON h.history_id >= pg_catalog.lower(r.ids) AND h.history_id < pg_catalog.upper(r.ids)) AS f) AS n
         GROUP BY n.month ORDER BY n.month",
        &[arg(top), arg(ROWS)],
    );
    let next = found.iter().map(|row| row.must::<i64>(4)).max();
    let block = |row: RowRef<'_>| Rows {
        month: row.must(1),
        ids: row.must(2),
        count: row.must(3),
    };
    let blocks = found.iter().map(block).collect();
    (blocks, next.unwrap_or(top).max(top))
}

/// What is sealed now is missing no longer; what was not seen up to `next` is, while those who hold numbers have not ended.
fn note_gaps(blocks: &[Rows], top: i64, next: i64, holding: &[String]) {
    let ids = || array(blocks.iter().map(|block| block.ids.as_str()));
    let found = "(SELECT pg_catalog.range_agg(u.ids::int8multirange) AS ids FROM unnest($1::text[]) AS u (ids)) AS f";
    spi::query(
        &format!("DELETE FROM wf.history_gaps AS g USING {found} WHERE g.ids <@ f.ids"),
        &[ids()],
    );
    spi::query(
        &format!(
            "UPDATE wf.history_gaps AS g SET ids = g.ids - f.ids FROM {found} WHERE g.ids && f.ids"
        ),
        &[ids()],
    );
    spi::query(
        &format!(
            "INSERT INTO wf.history_gaps (ids, holders)
             SELECT m.missing, $4 FROM (
                 SELECT pg_catalog.int8multirange(pg_catalog.int8range($2, $3, '(]')) - f.ids AS missing FROM {found}) AS m
             WHERE NOT pg_catalog.isempty(m.missing)"
        ),
        &[
            ids(),
            arg(top),
            arg(next),
            array(holding.iter().map(String::as_str)),
        ],
    );
}

fn add_block(block: &Rows, actor: &str) {
    spi::query(
        "INSERT INTO wf.history_seals (block, kind, month, ids, row_count, sealed_at, sealed_by, hash, marks, salts)
         SELECT n.block, 'rows', n.month, n.ids, l.count, n.at, $4,
                wf._seal_hash(p.hash, n.block, 'rows', n.month, n.ids, l.count, n.at, $4, l.leaves), l.marks, n.salts
         FROM (SELECT coalesce((SELECT pg_catalog.max(s.block) FROM wf.history_seals AS s), 0) + 1 AS block,
                      $1::date AS month, $2::int8multirange AS ids, pg_catalog.clock_timestamp() AS at,
                      (SELECT pg_catalog.string_agg(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()), '')
                       FROM pg_catalog.generate_series(1, $3)) AS salts
               OFFSET 0) AS n
         LEFT JOIN wf.history_seals AS p ON p.block = n.block - 1
         CROSS JOIN LATERAL (
             SELECT pg_catalog.count(*) AS count, pg_catalog.string_agg(l.leaf, '' ORDER BY l.history_id) AS leaves,
                    pg_catalog.string_agg(pg_catalog.substr(l.leaf, 1, 4), '' ORDER BY l.history_id) AS marks
             FROM wf._history_leaves(n.month, n.ids, n.salts) AS l) AS l",
        &[
            arg(block.month.as_str()),
            arg(block.ids.as_str()),
            arg(block.count),
            arg(actor),
        ],
    );
}

/// A month of history is gone: its blocks stay in the chain, with who dropped it and when. The caller has the turn.
pub fn add_dropped(month: &str, actor: &str) {
    spi::query(
        "INSERT INTO wf.history_seals (block, kind, month, ids, row_count, sealed_at, sealed_by, hash)
         SELECT n.block, 'dropped', n.month, n.ids, n.row_count, n.at, $2,
                wf._seal_hash(p.hash, n.block, 'dropped', n.month, n.ids, n.row_count, n.at, $2, NULL)
         FROM (SELECT (SELECT pg_catalog.max(s.block) FROM wf.history_seals AS s) + 1 AS block, g.month, g.ids, g.row_count,
                      pg_catalog.clock_timestamp() AS at
               FROM (SELECT s.month, pg_catalog.range_agg(s.ids) AS ids, pg_catalog.sum(s.row_count)::bigint AS row_count
                     FROM wf.history_seals AS s
                     WHERE s.month = $1::date AND s.kind = 'rows'
                       AND NOT EXISTS (SELECT FROM wf.history_seals AS d
                                       WHERE d.month = s.month AND d.kind = 'dropped' AND d.block > s.block)
                     GROUP BY s.month) AS g
               OFFSET 0) AS n
         LEFT JOIN wf.history_seals AS p ON p.block = n.block - 1",
        &[arg(month), arg(actor)],
    );
}

/// Seals all that can be.
#[pg_extern(sql = false)]
fn seal_history() -> i64 {
    let actor = actor();
    as_engine(|| {
        if !reads_committed() {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "history cannot be sealed in this transaction",
                Some(
                    "Above READ COMMITTED it does not see which rows have committed meanwhile."
                        .to_owned(),
                ),
                Some("Call wf.seal_history in a transaction of level READ COMMITTED.".to_owned()),
            );
        }
        take_turn(true);
        if top().is_none() {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "history is not sealed in this database",
                None,
                Some("Call wf.protect_history() first.".to_owned()),
            );
        }
        seal_all(&actor)
    })
}
