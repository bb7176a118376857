//! How long ended cases and months of history are kept, and removing what is older.
//!
//! A worker does so little by little: it walks over the cases in the order of their numbers, and then over the tables that
//! have rows of cases, for most of these have no index by the case. What a removed case leaves: its amounts (charges), that
//! its rows have had a case of the workflow, so that no start rule takes them again, what persons said about contact, and
//! its history without words, until the month is dropped.
//!
//! Not removed: a case with a message that has not left, one that waits for another or is waited for by one that is open,
//! and the last case of a default strategy, which says how that came out.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use pgrx::PgSqlErrorCode;
use pgrx::datum::{Date, Interval, TimestampWithTimeZone};
use pgrx::prelude::*;

use super::{note, protect, reads_committed, seal, take_turn, words};
use crate::api::{actor, given, now, timestamp};
use crate::engine::as_engine;
use crate::engine::partitions;
use crate::engine::versions::find_workflow;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array, interval_text, optional};

/// Rows that a worker looks at in one transaction.
const CHUNK: i64 = 10_000;

/// Which cases are over for longer than they are kept at $1: from wf.cases AS c.
const DUE: &str = "JOIN LATERAL (SELECT r.keep FROM wf.retention AS r
                   WHERE r.what = 'cases' AND (r.workflow_id = c.workflow_id OR r.workflow_id IS NULL)
                   ORDER BY r.workflow_id NULLS LAST LIMIT 1) AS r ON c.ended_at < $1 - r.keep
     WHERE NOT EXISTS (SELECT FROM wf.outbox AS o
                       WHERE o.case_id = c.case_id AND o.state IN ('deferred', 'queued', 'leased'))
       AND NOT EXISTS (SELECT FROM wf.case_links AS l JOIN wf.cases AS k ON k.case_id = l.case_id
                       WHERE l.started_by = c.case_id AND k.ended_at IS NULL)
       AND NOT EXISTS (SELECT FROM wf.case_links AS l JOIN wf.cases AS k ON k.case_id = l.started_by
                       WHERE l.case_id = c.case_id AND k.ended_at IS NULL)
       AND NOT EXISTS (SELECT FROM wf.case_subjects AS m
                       JOIN wf.strategies AS s ON s.key = m.key AND s.subject_id = m.subject_id AND s.case_id = m.case_id
                       WHERE m.case_id = c.case_id)";

/// The tables that have rows of cases, by what people call them and by their keys. Charges are amounts, and stay.
const OF_CASES: [(&str, &str, &str); 9] = [
    ("messages", "outbox", "message_id"),
    ("notes", "notes", "note_id"),
    ("documents", "documents", "document_id"),
    ("alerts", "notifications", "notification_id"),
    ("holds", "holds", "hold_id"),
    ("errors", "failures", "failure_id"),
    ("promises", "promises", "promise_id"),
    ("disputes", "disputes", "dispute_id"),
    ("assignments", "assignments", "assignment_id"),
];

/// Where a worker is on its way through what may be removed.
#[derive(Clone, Copy, Default)]
pub struct Way {
    /// 0: cases; then the tables of `OF_CASES`, the log of contacts, and the months.
    stage: usize,
    /// The last number that was looked at.
    from: i64,
}

/// Whether there is any rule.
pub fn is_wanted() -> bool {
    !spi::query("SELECT 1 FROM wf.retention AS r LIMIT 1", &[]).is_empty()
}

/// One piece of the way, in a transaction of a worker's: so many rows, of one table or of several. False: the way is at its
/// end, and begins anew another time.
pub fn go_on(way: &mut Way) -> bool {
    if !reads_committed() || !take_turn(false) {
        return true;
    }
    let contacts = OF_CASES.len() + 1;
    let mut left = CHUNK;
    while left > 0 {
        let (table, key) = match way.stage {
            0 => ("cases", "case_id"),
            stage if stage < contacts => (OF_CASES[stage - 1].1, OF_CASES[stage - 1].2),
            stage if stage == contacts => ("contact_log", "contact_id"),
            _ => {
                drop_months("engine");
                *way = Way::default();
                return false;
            }
        };
        let Some((upto, rows)) = next(table, key, way.from, left) else {
            way.stage += 1;
            way.from = 0;
            continue;
        };
        match way.stage {
            0 => {
                remove(way.from, upto, "engine");
            }
            stage if stage < contacts => sweep(table, key, way.from, upto),
            _ => sweep_contacts(way.from, upto),
        }
        way.from = upto;
        left -= rows;
    }
    true
}

/// The number at which the next piece of a table ends, and how many rows it has; None: there is nothing after `from`.
fn next(table: &str, key: &str, from: i64, rows: i64) -> Option<(i64, i64)> {
    let sql = format!(
        "SELECT pg_catalog.max(n.id), pg_catalog.count(*) FROM (
             SELECT t.{key} AS id FROM wf.{table} AS t WHERE t.{key} > $1 ORDER BY t.{key} LIMIT $2) AS n"
    );
    let found = spi::query(&sql, &[arg(from), arg(rows)]);
    found
        .first()
        .and_then(|row| Some((row.get(1)?, row.must(2))))
}

/// Removes the cases in a range of numbers whose time is over, and that nobody is at. Gives back how many.
fn remove(from: i64, upto: i64, actor: &str) -> usize {
    let sql = format!(
        "SELECT c.case_id FROM wf.cases AS c {DUE} AND c.case_id > $2 AND c.case_id <= $3
         ORDER BY c.case_id FOR UPDATE OF c SKIP LOCKED"
    );
    let rows = spi::query(&sql, &[arg(now()), arg(from), arg(upto)]);
    let cases: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    drop(rows);
    if cases.is_empty() {
        return 0;
    }
    words::erase(&cases, actor, true);
    let all = || [array(cases.iter().copied())];
    // That a row has had a case of the workflow, and how it came out, is all that start rules ask.
    spi::query(
        "DELETE FROM wf.case_subjects AS s USING wf.cases AS c
         WHERE s.case_id = ANY ($1) AND c.case_id = s.case_id AND s.slot <> 0
           AND coalesce(s.departure ->> 'outcome', c.outcome) = 'stopped'",
        &all(),
    );
    spi::query(
        "UPDATE wf.case_subjects AS s
         SET departure = pg_catalog.jsonb_build_object('at', coalesce(s.departure -> 'at', pg_catalog.to_jsonb(c.ended_at)),
                                                       'outcome', coalesce(s.departure ->> 'outcome', c.outcome))
         FROM wf.cases AS c WHERE s.case_id = ANY ($1) AND c.case_id = s.case_id",
        &all(),
    );
    spi::query(
        "DELETE FROM wf.case_links AS l WHERE l.case_id = ANY ($1) OR l.started_by = ANY ($1)",
        &all(),
    );
    spi::query(
        "DELETE FROM wf.cases AS c WHERE c.case_id = ANY ($1)",
        &all(),
    );
    cases.len()
}

/// Removes rows of cases that are gone.
fn sweep(table: &str, key: &str, from: i64, upto: i64) {
    let sql = format!(
        "DELETE FROM wf.{table} AS t
         WHERE t.{key} > $1 AND t.{key} <= $2 AND t.case_id IS NOT NULL
           AND NOT EXISTS (SELECT FROM wf.cases AS c WHERE c.case_id = t.case_id)"
    );
    spi::query(&sql, &[arg(from), arg(upto)]);
}

/// Contacts count for limits as long as a policy looks back; what was said about contact stays.
fn sweep_contacts(from: i64, upto: i64) {
    spi::query(
        "DELETE FROM wf.contact_log AS t
         WHERE t.contact_id > $1 AND t.contact_id <= $2 AND t.event IN ('attempt', 'conversation') AND t.case_id IS NOT NULL
           AND t.at < $3 - pg_catalog.make_interval(days => 1 + (
                   SELECT coalesce(pg_catalog.max(p.lookback_days), 0) FROM wf.contact_policies AS p))
           AND NOT EXISTS (SELECT FROM wf.cases AS c WHERE c.case_id = t.case_id)",
        &[arg(from), arg(upto), arg(now())],
    );
}

/// A month of history whose time is over.
struct Month {
    first: NaiveDate,
    table: String,
    /// Cases that are still open and have rows in it.
    open: i64,
}

impl Month {
    fn name(&self) -> String {
        self.first.format("%Y-%m-%d").to_string()
    }
}

fn due_months() -> Vec<Month> {
    let rows = spi::query(
        "SELECT r.keep::text FROM wf.retention AS r WHERE r.what = 'history'",
        &[],
    );
    let Some(keep) = rows.first().map(|row| row.must::<String>(1)) else {
        return Vec::new();
    };
    let mut due = Vec::new();
    for table in protect::months() {
        let Some(first) = month_of(&table) else {
            continue;
        };
        let past = spi::query(
            "SELECT ($1::date + interval '1 month') AT TIME ZONE 'UTC' <= $2 - $3::interval",
            &[
                arg(first.format("%Y-%m-%d").to_string()),
                arg(now()),
                arg(keep.as_str()),
            ],
        );
        if !past.first().is_some_and(|row| row.must(1)) {
            break;
        }
        let open = spi::query_planned_freely(
            &format!(
                "SELECT pg_catalog.count(*) FROM wf.cases AS c
                 WHERE c.ended_at IS NULL AND EXISTS (SELECT FROM wf.{table} AS h WHERE h.case_id = c.case_id)"
            ),
            &[],
        );
        let open = open.first().map_or(0, |row| row.must(1));
        due.push(Month { first, table, open });
    }
    due
}

fn month_of(table: &str) -> Option<NaiveDate> {
    let (year, month) = table.strip_prefix("history_")?.split_once('_')?;
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, 1)
}

/// Drops the months whose time is over and in which no open case has a row; the caller has the turn.
fn drop_months(actor: &str) {
    let due: Vec<Month> = due_months().into_iter().filter(|m| m.open == 0).collect();
    if due.is_empty() {
        return;
    }
    // So that the chain tells of all rows that go.
    seal::seal_all(actor);
    for month in due {
        let rows = spi::query_planned_freely(
            &format!("SELECT pg_catalog.count(*) FROM wf.{}", month.table),
            &[],
        );
        let rows = rows.first().map_or(0, |row| row.must::<i64>(1));
        spi::execute_once(&format!("DROP TABLE wf.{}", month.table));
        seal::add_dropped(&month.name(), actor);
        let detail = serde_json::json!({ "rows": rows }).to_string();
        note(actor, "history dropped", Some(&month.name()), None, &detail);
    }
    partitions::forget();
}

/// Says how long something is kept.
#[pg_extern(sql = false)]
fn set_retention(keep: Option<Interval>, workflow: Option<&str>, what: Option<&str>) {
    let what = given("what", what);
    let actor = actor();
    let refused = |message: String, hint: &str| -> ! {
        raise_as(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            message,
            None,
            Some(hint.to_owned()),
        )
    };
    if what != "cases" && what != "history" {
        refused(
            format!("there is nothing called \"{what}\" to keep"),
            "Say cases, or history.",
        );
    }
    if what == "history" && workflow.is_some() {
        refused(
            "history is kept by months, of all workflows".to_owned(),
            "Leave the workflow out.",
        );
    }
    as_engine(|| {
        let id = workflow.map(|name| match find_workflow(name) {
            Some(found) => found.id,
            None => raise_as(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("workflow \"{name}\" does not exist"),
                None,
                Some("wf.workflow_stats lists the workflows.".to_owned()),
            ),
        });
        let keep = keep.map(interval_text);
        if let Some(keep) = &keep {
            let rows = spi::query("SELECT $1::interval > interval '0'", &[arg(keep.as_str())]);
            if !rows.first().is_some_and(|row| row.must(1)) {
                refused(
                    "nothing can be kept for no time".to_owned(),
                    "Give an interval such as '7 years', or null to keep it for ever.",
                );
            }
        }
        spi::query(
            "DELETE FROM wf.retention AS r WHERE r.what = $1 AND r.workflow_id IS NOT DISTINCT FROM $2",
            &[arg(what), optional(id)],
        );
        if let Some(keep) = &keep {
            spi::query(
                "INSERT INTO wf.retention (what, workflow_id, keep, set_at, set_by)
                 VALUES ($1, $2, $3::interval, $4, $5)",
                &[
                    arg(what),
                    optional(id),
                    arg(keep.as_str()),
                    arg(now()),
                    arg(actor.as_str()),
                ],
            );
        }
        let detail = serde_json::json!({ "what": what, "keep": keep }).to_string();
        note(&actor, "retention set", workflow, None, &detail);
        crate::worker::wake::on_commit();
    });
}

type Row = (
    String,
    Option<String>,
    Option<NaiveDate>,
    i64,
    Option<DateTime<Utc>>,
    Option<String>,
);

/// What goes by the rules as things stand.
fn would_go() -> Vec<Row> {
    let mut sql = format!(
        "WITH due AS MATERIALIZED (SELECT c.case_id, c.workflow_id, c.ended_at FROM wf.cases AS c {DUE})
         SELECT 'cases', w.name, pg_catalog.count(*), pg_catalog.min(d.ended_at), 0 AS position
         FROM due AS d LEFT JOIN wf.workflows AS w ON w.workflow_id = d.workflow_id GROUP BY w.name"
    );
    for (position, (what, table, _)) in (1..).zip(OF_CASES) {
        sql.push_str(&format!(
            " UNION ALL SELECT '{what}', w.name, pg_catalog.count(*), NULL, {position}
              FROM due AS d JOIN wf.{table} AS t ON t.case_id = d.case_id
              LEFT JOIN wf.workflows AS w ON w.workflow_id = d.workflow_id GROUP BY w.name"
        ));
    }
    sql.push_str(" ORDER BY 2, 5");
    let rows = spi::query_planned_freely(&sql, &[arg(now())]);
    let mut all: Vec<Row> = rows
        .iter()
        .map(|row| (row.must(1), row.get(2), None, row.must(3), row.get(4), None))
        .collect();
    drop(rows);
    for month in due_months() {
        let rows = spi::query_planned_freely(
            &format!(
                "SELECT pg_catalog.count(*), pg_catalog.min(h.at) FROM wf.{} AS h",
                month.table
            ),
            &[],
        );
        let note =
            (month.open > 0).then(|| format!("stays: {} open cases have rows in it", month.open));
        if let Some(row) = rows.first() {
            let (count, oldest) = (row.must(1), row.get(2));
            all.push((
                "history".to_owned(),
                None,
                Some(month.first),
                count,
                oldest,
                note,
            ));
        }
    }
    all
}

/// Tells what goes by the rules, and removes it unless the run is dry.
#[pg_extern(sql = false)]
#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]
fn apply_retention(
    dry_run: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(what, String),
        name!(workflow, Option<String>),
        name!(month, Option<Date>),
        name!(rows, i64),
        name!(oldest, Option<TimestampWithTimeZone>),
        name!(note, Option<String>),
    ),
> {
    let dry = given("dry_run", dry_run);
    let actor = actor();
    as_engine(|| {
        if !dry && !reads_committed() {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "nothing can be removed in this transaction",
                Some("Above READ COMMITTED it does not see what has come meanwhile.".to_owned()),
                Some(
                    "Call wf.apply_retention in a transaction of level READ COMMITTED.".to_owned(),
                ),
            );
        }
        take_turn(true);
        let rows = would_go();
        if !dry {
            let removed = remove(0, i64::MAX, &actor);
            for (_, table, key) in OF_CASES {
                sweep(table, key, 0, i64::MAX);
            }
            sweep_contacts(0, i64::MAX);
            if removed > 0 {
                let detail = serde_json::json!({ "cases": removed }).to_string();
                note(&actor, "cases removed", None, None, &detail);
            }
            drop_months(&actor);
        }
        let rows = rows
            .into_iter()
            .map(|(what, workflow, month, rows, oldest, note)| {
                let month =
                    month.and_then(|m| Date::new(m.year(), u8::try_from(m.month()).ok()?, 1).ok());
                (what, workflow, month, rows, oldest.map(timestamp), note)
            });
        TableIterator::new(rows.collect::<Vec<_>>())
    })
}
