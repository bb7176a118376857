//! Reading sealed history again: what was changed, removed or inserted since, by whomever.
//!
//! Blocks are read one by one, with the hash that their rows come to now. Then all rows are counted by their months, for a
//! row that was put among sealed ones stands in no block. Whoever makes the chain anew as a whole is found by a hash that
//! was kept elsewhere.

use pgrx::prelude::*;

use super::take_turn;
use crate::engine::as_engine;
use crate::pg::spi;
use crate::pg::types::{arg, optional};

/// A row of what wf.verify_history tells.
struct Finding {
    bad: bool,
    finding: &'static str,
    block: Option<i32>,
    history: Option<i64>,
    case: Option<i64>,
    rows: Option<i64>,
    detail: String,
}

/// Something that is not as it was.
fn problem(finding: &'static str, block: Option<i32>, detail: impl Into<String>) -> Finding {
    Finding {
        bad: true,
        finding,
        block,
        history: None,
        case: None,
        rows: None,
        detail: detail.into(),
    }
}

/// How much there is of something that is in order.
fn count(finding: &'static str, rows: i64, detail: impl Into<String>) -> Finding {
    Finding {
        bad: false,
        finding,
        block: None,
        history: None,
        case: None,
        rows: Some(rows),
        detail: detail.into(),
    }
}

/// Tells what was changed since it was sealed.
#[pg_extern(sql = false)]
#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]
fn verify_history(
    head: Option<&str>,
    from_block: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(status, &'static str),
        name!(finding, &'static str),
        name!(block, Option<i32>),
        name!(history_id, Option<i64>),
        name!(case_id, Option<i64>),
        name!(rows, Option<i64>),
        name!(detail, String),
    ),
> {
    as_engine(|| {
        // Nobody seals, erases or drops meanwhile.
        take_turn(true);
        let mut found = Vec::new();
        blocks(from_block.unwrap_or(1), &mut found);
        strangers(&mut found);
        erased(&mut found);
        if let Some(head) = head {
            kept_head(head, &mut found);
        }
        found.sort_by_key(|f| !f.bad);
        let rows = found.into_iter().map(|f| {
            (
                if f.bad { "problem" } else { "ok" },
                f.finding,
                f.block,
                f.history,
                f.case,
                f.rows,
                f.detail,
            )
        });
        TableIterator::new(rows.collect::<Vec<_>>())
    })
}

/// A block as it stands in the chain.
struct Block {
    number: i32,
    month: String,
    rows: bool,
    count: i64,
    dropped: bool,
}

fn blocks(from: i32, found: &mut Vec<Finding>) {
    let rows = spi::query(
        "SELECT s.block, s.month::text, s.kind = 'rows', s.row_count,
                EXISTS (SELECT FROM wf.history_seals AS d
                        WHERE d.month = s.month AND d.kind = 'dropped' AND d.block > s.block)
         FROM wf.history_seals AS s ORDER BY s.block",
        &[],
    );
    let blocks: Vec<Block> = rows
        .iter()
        .map(|row| Block {
            number: row.must(1),
            month: row.must(2),
            rows: row.must(3),
            count: row.must(4),
            dropped: row.must(5),
        })
        .collect();
    drop(rows);
    let (mut sealed, mut dropped) = (0, 0);
    for (position, block) in (1..).zip(&blocks) {
        if block.number != position {
            let detail = format!(
                "Block {position} is not there; the next one is {}.",
                block.number
            );
            found.push(problem("chain", Some(position), detail));
            break;
        }
        match (block.rows, block.dropped) {
            (true, true) => dropped += block.count,
            (true, false) => sealed += block.count,
            (false, _) => {}
        }
        if block.number >= from {
            found.extend(look_at(block));
        }
    }
    let detail = format!("in {} blocks", blocks.len());
    found.push(count("sealed", sealed, detail));
    if dropped > 0 {
        let detail = "in months that were dropped; their blocks are still in the chain (see wf.history_blocks)";
        found.push(count("dropped", dropped, detail));
    }
}

/// What one block's rows come to now.
fn look_at(block: &Block) -> Option<Finding> {
    let gone = block.rows && block.dropped;
    let rows = spi::query(
        "SELECT l.count, l.ids, l.changed, l.first_changed,
                $2 OR s.hash = wf._seal_hash(p.hash, s.block, s.kind, s.month, s.ids, s.row_count, s.sealed_at, s.sealed_by, l.leaves),
                (SELECT h.case_id FROM wf.history AS h WHERE h.history_id = l.first_changed LIMIT 1)
         FROM wf.history_seals AS s
         LEFT JOIN wf.history_seals AS p ON p.block = s.block - 1
         -- Read from where they are stored once, and not for each row.
         CROSS JOIN LATERAL (SELECT s.marks || '' AS marks, s.salts || '' AS salts OFFSET 0) AS m
         CROSS JOIN LATERAL (
             SELECT pg_catalog.count(*) AS count, pg_catalog.count(DISTINCT l.history_id) AS ids,
                    pg_catalog.string_agg(l.leaf, '' ORDER BY l.history_id) AS leaves,
                    pg_catalog.count(*) FILTER (
                        WHERE pg_catalog.substr(l.leaf, 1, 4) <> pg_catalog.substr(m.marks, l.place * 4 + 1, 4)) AS changed,
                    pg_catalog.min(l.history_id) FILTER (
                        WHERE pg_catalog.substr(l.leaf, 1, 4) <> pg_catalog.substr(m.marks, l.place * 4 + 1, 4)) AS first_changed
             FROM wf._history_leaves(s.month, CASE WHEN s.kind = 'rows' AND NOT $2 THEN s.ids ELSE '{}' END, m.salts) AS l) AS l
         WHERE s.block = $1",
        &[arg(block.number), arg(gone)],
    );
    let row = rows.first()?;
    let (count, ids, changed): (i64, i64, i64) = (row.must(1), row.must(2), row.must(3));
    let of = format!(
        "of {} rows of {} in block {}",
        block.count,
        &block.month[..7],
        block.number
    );
    let mut bad = None;
    if block.rows && !gone && ids < block.count {
        let (history, missing) = first_missing(block.number);
        bad = Some(Finding {
            history,
            rows: Some(missing),
            ..problem(
                "removed",
                Some(block.number),
                format!("{missing} {of} are gone; the first is named."),
            )
        });
    } else if count > ids {
        // Told by the count of months, with its number.
        bad = None;
    } else if changed > 0 {
        bad = Some(Finding {
            history: row.get(4),
            case: row.get(6),
            rows: Some(changed),
            ..problem(
                "changed",
                Some(block.number),
                format!("{changed} {of} are not as they were sealed; the first is named."),
            )
        });
    } else if !row.must::<bool>(5) {
        bad = Some(problem(
            "chain",
            Some(block.number),
            "The block's own row, or that of the block before it, is not as it was made.",
        ));
    }
    bad
}

/// The first of the rows of a block that is not there, and how many are not.
fn first_missing(block: i32) -> (Option<i64>, i64) {
    let rows = spi::query_planned_freely(
        "SELECT pg_catalog.min(i.id), pg_catalog.count(*)
         FROM wf.history_seals AS s CROSS JOIN LATERAL unnest(s.ids) AS r (ids)
         CROSS JOIN LATERAL pg_catalog.generate_series(pg_catalog.lower(r.ids), pg_catalog.upper(r.ids) - 1) AS i (id)
         LEFT JOIN wf.history AS h ON h.history_id = i.id AND h.at >= s.month::timestamp AT TIME ZONE 'UTC'
              AND h.at < (s.month + interval '1 month') AT TIME ZONE 'UTC'
         WHERE s.block = $1 AND h.history_id IS NULL",
        &[arg(block)],
    );
    rows.first()
        .map_or((None, 0), |row| (row.get(1), row.must(2)))
}

/// Rows that stand in no block, although what came before and after them is sealed.
fn strangers(found: &mut Vec<Finding>) {
    let rows = spi::query_planned_freely(
        "WITH known AS MATERIALIZED (
             SELECT coalesce((SELECT p.top FROM wf.history_protection AS p), 0) AS top,
                    coalesce((SELECT pg_catalog.range_agg(g.ids) FROM wf.history_gaps AS g), '{}') AS gaps),
         sealed AS MATERIALIZED (
             SELECT s.month, pg_catalog.range_agg(s.ids) AS ids, pg_catalog.sum(s.row_count) AS count
             FROM wf.history_seals AS s
             WHERE s.kind = 'rows' AND NOT EXISTS (
                 SELECT FROM wf.history_seals AS d WHERE d.month = s.month AND d.kind = 'dropped' AND d.block > s.block)
             GROUP BY s.month),
         there AS MATERIALIZED (
             SELECT n.month, n.sealed, pg_catalog.count(*) AS count
             FROM (SELECT pg_catalog.date_trunc('month', h.at AT TIME ZONE 'UTC')::date AS month,
                          h.history_id <= k.top AND NOT h.history_id <@ k.gaps AS sealed
                   FROM wf.history AS h CROSS JOIN known AS k) AS n
             GROUP BY n.month, n.sealed)
         SELECT t.month::text, t.sealed, t.count, coalesce(s.count, 0)::bigint,
                CASE WHEN t.sealed AND t.count > coalesce(s.count, 0) THEN (
                    SELECT pg_catalog.min(h.history_id) FROM wf.history AS h CROSS JOIN known AS k
                    WHERE h.at >= t.month::timestamp AT TIME ZONE 'UTC'
                      AND h.at < (t.month + interval '1 month') AT TIME ZONE 'UTC'
                      AND h.history_id <= k.top AND NOT h.history_id <@ k.gaps
                      AND (s.ids IS NULL OR NOT h.history_id <@ s.ids
                           OR EXISTS (SELECT FROM wf.history AS o
                                      WHERE o.history_id = h.history_id AND (o.tableoid, o.ctid) <> (h.tableoid, h.ctid)))) END
         FROM there AS t LEFT JOIN sealed AS s ON s.month = t.month
         ORDER BY t.month",
        &[],
    );
    let mut unsealed = 0;
    for row in rows.iter() {
        let (month, is_sealed): (String, bool) = (row.must(1), row.must(2));
        let (there, sealed): (i64, i64) = (row.must(3), row.must(4));
        if !is_sealed {
            unsealed += there;
        } else if there > sealed {
            let history: Option<i64> = row.get(5);
            let case = history.and_then(case_of);
            found.push(Finding {
                history,
                case,
                rows: Some(there - sealed),
                ..problem(
                    "inserted",
                    None,
                    format!(
                        "{} rows of {} were put among sealed ones; the first is named.",
                        there - sealed,
                        &month[..7]
                    ),
                )
            });
        }
    }
    let detail = "since the last block; workers seal them by and by, wf.seal_history at once";
    found.push(count("not sealed", unsealed, detail));
}

fn case_of(history: i64) -> Option<i64> {
    spi::query(
        "SELECT h.case_id FROM wf.history AS h WHERE h.history_id = $1 LIMIT 1",
        &[arg(history)],
    )
    .first()
    .map(|row| row.must(1))
}

/// Rows whose words were erased are as the erasure left them, which is itself a sealed row of history.
fn erased(found: &mut Vec<Finding>) {
    let rows = spi::query(
        "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE e.bad),
                pg_catalog.min(e.history_id) FILTER (WHERE e.bad)
         FROM (SELECT e.history_id,
                      e.left_over <> pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.json_build_array(
                          CASE WHEN h.event IN ('dispute_settled', 'step_cancelled') THEN h.outcome END, h.detail)::text, 'UTF8')) AS bad
               FROM wf.erased_words AS e JOIN wf.history AS h ON h.history_id = e.history_id
               UNION ALL
               SELECT n.first, true
               FROM (SELECT e.erasure, pg_catalog.min(e.history_id) AS first,
                            pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(
                                pg_catalog.int8send(e.history_id) || e.left_over, '' ORDER BY e.history_id)), 'hex') AS digest
                     FROM wf.erased_words AS e GROUP BY e.erasure) AS n
               LEFT JOIN wf.history AS r ON r.history_id = n.erasure AND r.event = 'case_erased'
               WHERE r.detail ->> 'digest' IS DISTINCT FROM n.digest
                 -- The erasure itself may have gone with its month.
                 AND (r.history_id IS NOT NULL
                      OR NOT EXISTS (SELECT FROM wf.history_seals AS s WHERE s.kind = 'dropped' AND s.ids @> n.erasure))) AS e",
        &[],
    );
    let Some(row) = rows.first() else { return };
    let (all, bad): (i64, i64) = (row.must(1), row.must(2));
    if bad > 0 {
        let history: Option<i64> = row.get(3);
        found.push(Finding {
            history,
            case: history.and_then(case_of),
            rows: Some(bad),
            ..problem(
                "changed",
                None,
                "Rows whose words were erased are not as the erasure left them; the first is named.",
            )
        });
    }
    if all > 0 {
        let detail = "their words were erased; all else in them is as it was sealed";
        found.push(count("erased", all - bad, detail));
    }
}

/// A hash that was kept elsewhere.
fn kept_head(head: &str, found: &mut Vec<Finding>) {
    let rows = spi::query(
        "SELECT s.block FROM wf.history_seals AS s WHERE pg_catalog.encode(s.hash, 'hex') = pg_catalog.lower(pg_catalog.btrim($1))",
        &[optional(Some(head))],
    );
    found.push(match rows.first() {
        Some(row) => Finding {
            block: row.get(1),
            ..count("head", 1, "the hash that was kept stands in the chain")
        },
        None => problem(
            "head",
            None,
            "The hash that was kept does not stand in the chain: it was made anew, or its end was cut off.",
        ),
    });
}

/// The end of the chain, to be kept elsewhere.
#[pg_extern(sql = false)]
#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]
fn history_head() -> TableIterator<
    'static,
    (
        name!(block, Option<i32>),
        name!(hash, Option<String>),
        name!(rows, Option<i64>),
        name!(sealed_at, Option<TimestampWithTimeZone>),
    ),
> {
    as_engine(|| {
        let rows = spi::query(
            "SELECT s.block, pg_catalog.encode(s.hash, 'hex'),
                    (SELECT pg_catalog.sum(r.row_count)::bigint FROM wf.history_seals AS r WHERE r.kind = 'rows'), s.sealed_at
             FROM wf.history_seals AS s ORDER BY s.block DESC LIMIT 1",
            &[],
        );
        let head = rows.first().map_or((None, None, None, None), |row| {
            (
                row.get(1),
                row.get(2),
                row.get(3),
                row.get(4).map(crate::api::timestamp),
            )
        });
        TableIterator::once(head)
    })
}
