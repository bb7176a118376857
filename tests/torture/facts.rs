//! What the database says about a version of a job: the same that the engine asks PostgreSQL, told without it.

use std::rc::Rc;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use workflow_core::calendar::{Calendar, Calendars, Zones};
use workflow_core::game::Facts;
use workflow_core::program::Read;
use workflow_core::row::{ColumnType, Columns, Row};
use workflow_core::{Error, ErrorCode};

use crate::trace::time;

/// Everything is in UTC here, and no date rolls.
pub struct Nothing;

impl Zones for Nothing {
    fn to_utc(&self, _: &str, local: NaiveDateTime) -> Result<DateTime<Utc>, Error> {
        Ok(local.and_utc())
    }

    fn to_local(&self, _: &str, at: DateTime<Utc>) -> Result<NaiveDateTime, Error> {
        Ok(at.naive_utc())
    }
}

impl Calendars for Nothing {
    fn calendar(&self, name: &str) -> Result<Rc<Calendar>, Error> {
        Err(Error::new(
            ErrorCode::Calendar,
            format!("no calendar {name}"),
        ))
    }
}

/// The answers to one read.
#[derive(PartialEq)]
pub struct Answers {
    found: bool,
    conditions: Vec<bool>,
    columns: Columns,
    values: Vec<Option<String>>,
}

impl Answers {
    /// What a version of a job answers; None for one that is deleted.
    pub fn of(read: &Read, job: Option<&Value>) -> Self {
        Self {
            found: job.is_some(),
            conditions: read.conditions.iter().map(|c| holds(c, job)).collect(),
            columns: Columns::new(read.columns.iter().map(|c| (c.clone(), kind(c)))),
            values: read.columns.iter().map(|c| value(c, job)).collect(),
        }
    }

    pub fn facts(&self) -> Facts<'_> {
        Facts {
            found: self.found,
            conditions: &self.conditions,
            row: Row {
                columns: &self.columns,
                values: &self.values,
            },
        }
    }
}

/// The conditions that `flows` writes.
fn holds(condition: &str, job: Option<&Value>) -> bool {
    let Some(job) = job else { return false };
    condition
        .split(" AND ")
        .all(|part| match part.split_once(" = ") {
            Some(("state", state)) => job["state"].as_str() == Some(state.trim_matches('\'')),
            Some(("flow", flow)) => job["flow"].as_i64() == flow.parse().ok(),
            None if part == "c1" || part == "c2" => job[part] == Value::Bool(true),
            _ => panic!("a condition that nobody wrote: {condition}"),
        })
}

fn kind(column: &str) -> ColumnType {
    match column {
        "id" | "flow" | "touched" | "v" => ColumnType::Number,
        "ready_at" => ColumnType::TimestampTz,
        "c1" | "c2" => ColumnType::Bool,
        "state" | "email" => ColumnType::Text,
        other => panic!("the table job has no column {other}"),
    }
}

fn value(column: &str, job: Option<&Value>) -> Option<String> {
    let value = &job?[column];
    if column == "ready_at" {
        return time(value).map(|at| at.timestamp_micros().to_string());
    }
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
