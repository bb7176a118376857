//! What the engine wrote about each case and what clients asked of it, transaction by transaction, as the triggers of
//! `sql/torture.sql` kept it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use workflow_engine_tests::Session;

/// A row that the engine wrote.
#[derive(Debug)]
pub struct Written {
    /// The table, without schema.
    pub table: String,
    /// INSERT, UPDATE or DELETE.
    pub op: String,
    pub row: Value,
}

/// All that one transaction did about a case, in order.
#[derive(Debug)]
pub struct Group {
    pub xid: String,
    /// When it began, which is the engine's time in it.
    pub now: DateTime<Utc>,
    /// What a client asked for; None: the engine by itself, or a sender's report.
    pub call: Option<Value>,
    pub written: Vec<Written>,
    /// The newest version of the job that it can have seen.
    pub upto: Option<i64>,
}

impl Group {
    /// Whether all that it did was to change one step run.
    pub fn is_one_step_run(&self) -> bool {
        matches!(self.written.as_slice(), [one] if one.table == "case_steps" && one.op == "UPDATE")
    }

    /// Whether tokens come or go in it.
    pub fn moves(&self) -> bool {
        let of_tokens = |w: &Written| w.table == "case_steps" && w.op != "UPDATE";
        self.written.iter().any(of_tokens)
    }
}

/// The versions of a job: from the first on, each a row, or None for one that is deleted.
pub type Versions = BTreeMap<i64, Option<Value>>;

fn number(text: &str) -> i64 {
    text.parse().expect("a number")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("the server writes JSON")
}

fn instant(micros: &str) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(number(micros)).expect("a time in range")
}

/// A time as it stands in a row of JSON.
pub fn time(value: &Value) -> Option<DateTime<Utc>> {
    let text = value.as_str()?;
    let parsed = DateTime::parse_from_rfc3339(text);
    Some(
        parsed
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .to_utc(),
    )
}

/// The transactions on the cases of a range of ids, by case, in the order in which they had the case.
pub fn groups(shop: &mut Session, from: i64, to: i64) -> BTreeMap<i64, Vec<Group>> {
    let mut cases: BTreeMap<i64, Vec<(i64, Group)>> = BTreeMap::new();
    let group = |nth: &str, xid: &str, at: &str| {
        let group = Group {
            xid: xid.to_owned(),
            now: instant(at),
            call: None,
            written: Vec::new(),
            upto: None,
        };
        (number(nth), group)
    };
    for row in shop.rows(&format!(
        "SELECT case_id, nth, xid, (extract(epoch FROM at) * 1000000)::bigint, what, op, it, upto
         FROM trace WHERE case_id BETWEEN {from} AND {to} ORDER BY case_id, nth"
    )) {
        let groups = cases.entry(number(&row[0])).or_default();
        if groups.last().is_none_or(|(_, last)| last.xid != row[2]) {
            assert!(
                groups.iter().all(|(_, group)| group.xid != row[2]),
                "transaction {} had case {}, gave it away, and had it again",
                row[2],
                row[0]
            );
            groups.push(group(&row[1], &row[2], &row[3]));
        }
        let (_, group) = groups.last_mut().expect("one was pushed");
        group.upto = group.upto.max(row[7].parse().ok());
        group.written.push(Written {
            table: row[4].clone(),
            op: row[5].clone(),
            row: json(&row[6]),
        });
    }
    for row in shop.rows(&format!(
        "SELECT case_id, nth, xid, (extract(epoch FROM at) * 1000000)::bigint, call
         FROM call WHERE case_id BETWEEN {from} AND {to} ORDER BY case_id, nth"
    )) {
        let groups = cases.entry(number(&row[0])).or_default();
        let known = groups.iter().position(|(_, group)| group.xid == row[2]);
        // One that had nothing to write has its place all the same.
        let index = known.unwrap_or_else(|| {
            groups.push(group(&row[1], &row[2], &row[3]));
            groups.len() - 1
        });
        let call = &mut groups[index].1.call;
        assert!(call.is_none(), "one call a transaction");
        *call = Some(json(&row[4]));
    }
    cases
        .into_iter()
        .map(|(case, mut groups)| {
            groups.sort_by_key(|(nth, _)| *nth);
            (case, groups.into_iter().map(|(_, group)| group).collect())
        })
        .collect()
}

/// Every version of every job.
pub fn versions(shop: &mut Session) -> BTreeMap<i64, Versions> {
    let mut jobs: BTreeMap<i64, Versions> = BTreeMap::new();
    for row in shop.rows("SELECT id, v, job::text FROM job_version") {
        let version = (row[2] != "null").then(|| json(&row[2]));
        let job = jobs.entry(number(&row[0])).or_default();
        job.insert(number(&row[1]), version);
    }
    jobs
}
