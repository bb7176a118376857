//! What a template can see: the subject's row by column name, and the engine's own names.

use std::rc::Rc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde_json::Value as Json;

use super::value::{Val, parse_date, parse_stamp};
use crate::error::Error;
use crate::row::{ColumnType, Row};

/// The names that mean the same in every template. They hide a column of the same name, which is then `row.<column>`.
pub const ENGINE_NAMES: [&str; 7] = [
    "row", "case", "vars", "answers", "today", "step", "subjects",
];

/// The fields of `case`.
pub(super) const CASE_FIELDS: [&str; 6] =
    ["id", "workflow", "key", "account", "tenant", "started_at"];

/// Turns a moment into the date and time on the clock of the subject's zone.
pub type ToLocal<'a> = dyn Fn(DateTime<Utc>) -> Result<NaiveDateTime, Error> + 'a;

/// The facts of a case that a text may mention: `{{ case.id }}`, `{{ case.started_at | date }}`.
#[derive(Clone, Copy, Debug)]
pub struct CaseFacts<'a> {
    /// The case's number.
    pub id: i64,
    /// The workflow's name.
    pub workflow: &'a str,
    /// The subject's key as text.
    pub key: &'a str,
    /// The account the subject belongs to, if the binding names one.
    pub account: Option<&'a str>,
    /// The tenant the subject belongs to, if the binding names one.
    pub tenant: Option<&'a str>,
    /// When the case started; shown in the subject's zone.
    pub started_at: DateTime<Utc>,
}

/// All that one rendering works on.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The subject's details; every column is a name in the template.
    pub row: Row<'a>,
    /// The rows that the case concerns, if it may concern several: `{% for claim in subjects %}`.
    pub subjects: &'a [Row<'a>],
    /// The case itself.
    pub case: CaseFacts<'a>,
    /// The case's own variables, a JSON object or null.
    pub vars: &'a Json,
    /// What was answered so far, by question, a JSON object or null.
    pub answers: &'a Json,
    /// The date in the subject's zone.
    pub today: NaiveDate,
    /// The name of the step that is at work.
    pub step: &'a str,
    /// The subject's zone, for columns that are moments and for `case.started_at`.
    pub to_local: &'a ToLocal<'a>,
}

impl<'a> Scope<'a> {
    /// The value of a name; None if there is none, an error if its column cannot be read.
    pub(super) fn name(&self, name: &str) -> Result<Option<Val<'a>>, String> {
        Ok(Some(match name {
            "row" => Val::Row,
            "case" => Val::Case,
            "vars" => Val::json(self.vars),
            "answers" => Val::json(self.answers),
            "today" => Val::Date(self.today),
            "step" => Val::borrowed(self.step),
            "subjects" => Val::List((0..self.subjects.len()).map(Val::Subject).collect()),
            column => return self.column(column),
        }))
    }

    /// The value of a column; None if there is no such column.
    pub(super) fn column(&self, name: &str) -> Result<Option<Val<'a>>, String> {
        self.column_of(self.row, name)
    }

    /// The value of a column of one of the case's rows.
    fn column_of(&self, row: Row<'a>, name: &str) -> Result<Option<Val<'a>>, String> {
        let Row { columns, values } = row;
        let Some(position) = columns.position(name) else {
            return Ok(None);
        };
        let (Some(Some(text)), Some(of_type)) =
            (values.get(position), columns.column_type(position))
        else {
            return Ok(Some(Val::None));
        };
        let value = match of_type {
            ColumnType::Text => Val::borrowed(text),
            ColumnType::Bool => Val::Bool(matches!(text.as_str(), "t" | "true")),
            ColumnType::Number => Val::number(text),
            // `infinity` and years beyond four digits have no calendar date; they stay what they are.
            ColumnType::Date => parse_date(text).map_or(Val::borrowed(text), Val::Date),
            ColumnType::Timestamp => parse_stamp(text).map_or(Val::borrowed(text), Val::Stamp),
            ColumnType::TimestampTz => {
                match text.parse().ok().and_then(DateTime::from_timestamp_micros) {
                    Some(moment) => self.local(moment)?,
                    None => Val::borrowed(text),
                }
            }
            ColumnType::Json => Val::owned_json(
                serde_json::from_str(text)
                    .map_err(|e| format!("column \"{name}\" is not JSON that can be read ({e})"))?,
            ),
        };
        Ok(Some(value))
    }

    /// A field of `case`; None if there is no such field.
    pub(super) fn case_field(&self, name: &str) -> Result<Option<Val<'a>>, String> {
        let optional = |text: Option<&'a str>| text.map_or(Val::None, Val::borrowed);
        Ok(Some(match name {
            "id" => Val::Num(super::value::Num::Exact(self.case.id.into())),
            "workflow" => Val::borrowed(self.case.workflow),
            "key" => Val::borrowed(self.case.key),
            "account" => optional(self.case.account),
            "tenant" => optional(self.case.tenant),
            "started_at" => self.local(self.case.started_at)?,
            _ => return Ok(None),
        }))
    }

    /// Whether a name exists.
    pub(super) fn has(&self, name: &str) -> bool {
        ENGINE_NAMES.contains(&name) || self.row.columns.position(name).is_some()
    }

    /// The size of a column that has to be parsed whenever it is named.
    pub(super) fn bytes_to_parse(&self, name: &str) -> usize {
        Self::bytes_of(self.row, name)
    }

    /// The same for a column of one of the case's rows.
    pub(super) fn bytes_to_parse_of(&self, subject: usize, name: &str) -> usize {
        let row = self.subjects.get(subject);
        row.map_or(0, |row| Self::bytes_of(*row, name))
    }

    fn bytes_of(row: Row<'_>, name: &str) -> usize {
        match row.get(name) {
            Some((_, ColumnType::Text)) | None => 0,
            Some((text, _)) => text.len(),
        }
    }

    /// Every name that a template could have meant.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let columns: &'a [String] = self.row.columns.names();
        columns.iter().map(String::as_str).chain(ENGINE_NAMES)
    }

    fn local(&self, moment: DateTime<Utc>) -> Result<Val<'a>, String> {
        (self.to_local)(moment)
            .map(Val::Stamp)
            .map_err(|error| error.message)
    }
}

/// A field or element of a value by name; None if it has no such field. `Err` if it has no fields at all.
pub(super) fn field<'a>(
    scope: &Scope<'a>,
    value: &Val<'a>,
    name: &str,
) -> Result<Option<Val<'a>>, String> {
    match value {
        Val::Row => scope.column(name),
        Val::Subject(position) => match scope.subjects.get(*position) {
            Some(row) => scope.column_of(*row, name),
            None => Ok(None),
        },
        Val::Case => scope.case_field(name),
        Val::Json(json) => Ok(json.get(name).map(Val::json)),
        Val::Map(entries) => Ok(entries
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value.clone())),
        Val::Loop(at) => Ok(match name {
            "index" => Some(Val::integer(at.index0 + 1)),
            "index0" => Some(Val::integer(at.index0)),
            "revindex" => Some(Val::integer(at.length - at.index0)),
            "length" => Some(Val::integer(at.length)),
            "first" => Some(Val::Bool(at.index0 == 0)),
            "last" => Some(Val::Bool(at.index0 + 1 == at.length)),
            _ => None,
        }),
        // As with a missing field: `vars.address.city` when there are no vars.
        Val::None => Ok(None),
        other => Err(format!("{} has no field \"{name}\"", other.kind())),
    }
}

/// An element by position, from the end if negative; None if there is none. `Err` if the value has no elements.
pub(super) fn element<'a>(value: &Val<'a>, position: i64) -> Result<Option<Val<'a>>, String> {
    let length = match value {
        Val::Json(Json::Array(items)) => items.len(),
        Val::List(items) => items.len(),
        Val::None => return Ok(None),
        other => return Err(format!("{} has no elements by position", other.kind())),
    };
    let position = usize::try_from(position)
        .ok()
        .or_else(|| length.checked_sub(usize::try_from(position.unsigned_abs()).ok()?));
    let Some(position) = position else {
        return Ok(None);
    };
    Ok(match value {
        Val::Json(Json::Array(items)) => items.get(position).map(Val::json),
        Val::List(items) => items.get(position).cloned(),
        _ => None,
    })
}

/// The elements of a list, or the keys of an object; None for nothing; `Err` if the value cannot be walked over.
pub(super) fn elements<'a>(value: &Val<'a>) -> Result<Rc<[Val<'a>]>, String> {
    Ok(match value {
        Val::None => Rc::new([]),
        Val::List(items) => items.clone(),
        Val::Json(Json::Array(items)) => items.iter().map(Val::json).collect(),
        Val::Json(Json::Object(entries)) => entries.keys().map(|key| Val::borrowed(key)).collect(),
        Val::Map(entries) => entries
            .iter()
            .map(|(key, _)| Val::Text(key.clone()))
            .collect(),
        other => return Err(format!("{} is not a list", other.kind())),
    })
}
