//! Between the inbox and keys: the noted rows of watched tables, and a whole table at once.

use std::collections::HashMap;
use std::ffi::CString;

use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;

use super::append::{self, PACK, Tag, Text};
use super::bind::require_owner;
use super::subject::{self, Subject};
use super::{keys, watch};
use crate::api::given;
use crate::engine::as_engine;
use crate::pg::acting::{as_user, current_role};
use crate::pg::spi;
use crate::pg::types::{Char, arg, array};

/// Keys that reconcile writes at once.
const BATCH: i64 = 10_000;

/// The keys of noted rows of watched tables: inbox rows with op `w` and no key, as (watch_id, watched).
///
/// One result for each, in order; None when the row gives no key or its watch is gone. Evaluated in one statement a
/// watch, as the subject's owner; an expression that fails raises its own error.
pub fn resolve_watched(rows: &[(i32, &str)]) -> Vec<Option<String>> {
    let mut resolved = vec![None; rows.len()];
    let mut by_watch: HashMap<i32, Vec<usize>> = HashMap::new();
    for (position, (watch, _)) in rows.iter().enumerate() {
        by_watch.entry(*watch).or_default().push(position);
    }
    for (watch, positions) in by_watch {
        let Some((subject, sql)) = resolver(watch) else {
            continue;
        };
        let found: Vec<Option<String>> = spi::connected(|| {
            as_user(subject.owner, || {
                let _styles = keys::PinnedStyles::new();
                spi::query_planned_freely(&sql, &[array(positions.iter().map(|p| rows[*p].1))])
                    .iter()
                    .map(|row| row.get(1))
                    .collect()
            })
        });
        for (position, key) in positions.into_iter().zip(found) {
            resolved[position] = key.filter(|key| key.len() <= keys::LONGEST);
        }
    }
    resolved
}

fn resolver(watch: i32) -> Option<(std::rc::Rc<Subject>, String)> {
    struct Row {
        subject: i32,
        relation: Oid,
        name: Option<String>,
        expression: String,
        columns: Vec<(String, i16, String)>,
    }
    let row = as_engine(|| {
        spi::query(
            "SELECT w.subject_id, w.relation::pg_catalog.oid, c.relname::pg_catalog.text, w.key_expression, \
                    w.columns, w.column_attnums, w.column_types \
             FROM wf.watches AS w LEFT JOIN pg_catalog.pg_class AS c \
               ON c.oid OPERATOR(pg_catalog.=) w.relation::pg_catalog.oid \
             WHERE w.watch_id OPERATOR(pg_catalog.=) $1",
            &[arg(watch)],
        )
        .first()
        .map(|row| {
            let names = row.must::<Vec<Option<String>>>(5).into_iter().flatten();
            let numbers = row.must::<Vec<Option<i16>>>(6).into_iter().flatten();
            let types = row.must::<Vec<Option<String>>>(7).into_iter().flatten();
            Row {
                subject: row.must(1),
                relation: row.must(2),
                name: row.get(3),
                expression: row.must(4),
                columns: names
                    .zip(numbers)
                    .zip(types)
                    .map(|((name, number), type_name)| (name, number, type_name))
                    .collect(),
            }
        })
    })?;
    let subject = subject::find(row.subject)?;
    if subject.broken.is_some() {
        return None;
    }
    let columns: Vec<(String, String)> = row
        .columns
        .into_iter()
        .map(|(name, number, bound)| {
            // as it is now, for the ERP may have widened the column since
            let now = subject::table_column(row.relation, &name, number, &bound)
                .map(|(_, oid)| keys::type_name(oid));
            (name, now.unwrap_or(bound))
        })
        .collect();
    let table = row.name.unwrap_or_else(|| "watched".to_owned());
    let sql = watch::resolve_sql(&subject, &table, &row.expression, &columns);
    Some((subject, sql))
}

/// Has the worker look at every row of the subject; see sql/26_subjects_functions.sql.
///
/// # Errors
/// 42704 unknown subject, 42501 not yours, 55000 when the binding is out of order.
#[pg_extern(sql = false)]
fn reconcile(subject: Option<&str>) -> i64 {
    let subject = subject::by_name(given("subject", subject));
    require_owner(&subject.name, subject.owner, current_role());
    subject.require_usable();
    let looked_at = append_all(&subject);
    as_engine(|| {
        append_orphans(&subject);
        settle_keyless(&subject);
    });
    crate::worker::wake::on_commit();
    looked_at
}

/// Has the worker look at all rows of a subject, or of one account.
pub fn append_all_of(subject: &Subject, account: Option<&str>) {
    let column = subject.roles.account.as_deref();
    let account = account.zip(column).map(|(account, column)| {
        let column = keys::column_sql("d", column);
        let account = pgrx::spi::quote_literal(account);
        format!("({column})::pg_catalog.text OPERATOR(pg_catalog.=) {account}")
    });
    append_keys(subject, account.as_deref().unwrap_or("true"));
    crate::worker::wake::on_commit();
}

fn append_all(subject: &Subject) -> i64 {
    append_keys(subject, "true")
}

/// Reads the keys as the owner, a batch at a time, and appends them as the engine.
fn append_keys(subject: &Subject, condition: &str) -> i64 {
    let sql = format!(
        "SELECT {} FROM {} AS d WHERE {} AND {condition}",
        subject.key_expression("d"),
        subject.details,
        subject.has_key("d")
    );
    spi::connected(|| {
        let portal = as_user(subject.owner, || open(&sql));
        let mut looked_at = 0;
        loop {
            let found: Vec<String> = as_user(subject.owner, || {
                let _styles = keys::PinnedStyles::new();
                // SAFETY: an open portal of this connection.
                unsafe { pg_sys::SPI_cursor_fetch(portal, true, BATCH) };
                // SAFETY: the globals that the fetch has just set.
                let rows = unsafe { spi::Rows::take() };
                rows.iter().filter_map(|row| row.get(1)).collect()
            });
            if found.is_empty() {
                break;
            }
            looked_at += found.len() as i64;
            as_engine(|| append::packed(again(subject), Text::Key, &found));
        }
        // SAFETY: opened above.
        unsafe { pg_sys::SPI_cursor_close(portal) };
        looked_at
    })
}

fn open(sql: &str) -> pg_sys::Portal {
    let text = CString::new(sql).unwrap_or_default();
    // SAFETY: a statement without parameters; the plan is copied into the portal.
    unsafe {
        pg_sys::SPI_cursor_open_with_args(
            std::ptr::null(),
            text.as_ptr(),
            0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null(),
            false,
            0,
        )
    }
}

/// Open cases whose row the details no longer show must be looked at too: their stop rules may say so. Counted by key
/// rather than joined, for what this transaction has just written has no statistics.
fn append_orphans(subject: &Subject) {
    spi::query_planned_freely(
        "INSERT INTO wf.inbox (subject_id, op, packed, keys) \
         SELECT $1, $2, pg_catalog.count(*), pg_catalog.array_agg(o.key) \
         FROM (SELECT k.key, (pg_catalog.row_number() OVER () OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) $3 AS part \
               FROM (SELECT cs.key, true AS open FROM wf.case_subjects AS cs \
                     JOIN wf.cases AS c ON c.case_id OPERATOR(pg_catalog.=) cs.case_id AND c.ended_at IS NULL \
                     WHERE cs.subject_id OPERATOR(pg_catalog.=) $1 AND cs.slot OPERATOR(pg_catalog.=) 0 \
                     UNION ALL \
                     SELECT pg_catalog.unnest(i.keys), false FROM wf.inbox AS i \
                     WHERE i.subject_id OPERATOR(pg_catalog.=) $1 AND i.op OPERATOR(pg_catalog.=) $2 \
                       AND i.xid OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()) AS k (key, open) \
               GROUP BY k.key HAVING pg_catalog.bool_and(k.open)) AS o \
         GROUP BY o.part",
        &[arg(subject.id), arg(Char(b'r')), arg(PACK as i64)],
    );
}

/// The whole table is gone, or something changed that names no key: look at every open case of the subject.
pub fn append_all_open(subject: i32) {
    spi::query_planned_freely(
        "INSERT INTO wf.inbox (subject_id, op, packed, keys) \
         SELECT $1, $2, pg_catalog.count(*), pg_catalog.array_agg(o.key) \
         FROM (SELECT cs.key, (pg_catalog.row_number() OVER () OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) $3 AS part \
               FROM wf.case_subjects AS cs \
               JOIN wf.cases AS c ON c.case_id OPERATOR(pg_catalog.=) cs.case_id AND c.ended_at IS NULL \
               WHERE cs.subject_id OPERATOR(pg_catalog.=) $1 AND cs.slot OPERATOR(pg_catalog.=) 0 \
               GROUP BY cs.key) AS o \
         GROUP BY o.part",
        &[arg(subject), arg(Char(b'r')), arg(PACK as i64)],
    );
    crate::worker::wake::on_commit();
}

/// Rows that gave no key and could not be looked at: now that each row of the subject is looked at, they say no more.
fn settle_keyless(subject: &Subject) {
    spi::query(
        "DELETE FROM wf.inbox AS i \
         WHERE i.subject_id OPERATOR(pg_catalog.=) $1 AND i.key IS NULL AND i.failed_at IS NOT NULL",
        &[arg(subject.id)],
    );
    spi::query(
        "UPDATE wf.failures AS f SET resolved_at = wf.now() \
         WHERE f.subject_id OPERATOR(pg_catalog.=) $1 AND f.key IS NULL AND f.resolved_at IS NULL",
        &[arg(subject.id)],
    );
}

/// What an inbox row of reconcile's says.
fn again(subject: &Subject) -> Tag {
    Tag {
        subject: subject.id,
        op: b'r',
        watch: 0,
    }
}
