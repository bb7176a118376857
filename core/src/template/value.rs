//! The values that a template works with, and what a name in it can see: the row, the case, the loop.
//!
//! Values borrow from the row and from the compiled text wherever they can; a column is looked up and read only when the
//! template names it.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value as Json;

use super::number::{self, Decimal};

/// A text: borrowed, or made while rendering.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

/// A number: the text it came as, or the result of a calculation.
#[derive(Clone, Debug)]
pub(super) enum Num<'a> {
    /// Always in plain notation.
    Plain(Text<'a>),
    Exact(Decimal),
}

impl Num<'_> {
    pub(super) fn decimal(&self) -> Option<Decimal> {
        match self {
            Self::Plain(text) => Decimal::parse(text),
            Self::Exact(decimal) => Some(*decimal),
        }
    }

    /// How much text it is; nothing for one that is calculated with already.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Exact(_) => 0,
        }
    }

    pub(super) fn is_zero(&self) -> bool {
        match self {
            Self::Plain(text) => number::is_zero(text),
            Self::Exact(decimal) => decimal.is_zero(),
        }
    }

    pub(super) fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let exact = self
            .decimal()
            .zip(other.decimal())
            .and_then(|(left, right)| left.compare(right));
        exact.unwrap_or_else(|| number::compare(&self.to_string(), &other.to_string()))
    }
}

impl fmt::Display for Num<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(text),
            Self::Exact(decimal) => decimal.fmt(f),
        }
    }
}

/// Where a loop is; `loop` in a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    pub(super) index0: usize,
    pub(super) length: usize,
}

/// One value.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    /// SQL NULL, JSON null, `none`.
    None,
    Bool(bool),
    Text(Text<'a>),
    Num(Num<'a>),
    Date(NaiveDate),
    /// A date and a time of day in the subject's zone.
    Stamp(NaiveDateTime),
    /// An array or an object of the case's own JSON.
    Json(&'a Json),
    List(Rc<[Val<'a>]>),
    Map(Rc<[(Text<'a>, Val<'a>)]>),
    /// `row`: the subject's columns.
    Row,
    /// One of `subjects`: the columns of a row that the case concerns, by its place among them.
    Subject(usize),
    /// `case`: the facts of the case.
    Case,
    Loop(Loop),
}

impl<'a> Val<'a> {
    pub(super) fn integer(value: usize) -> Self {
        Self::Num(Num::Exact(Decimal::from(
            i64::try_from(value).unwrap_or(i64::MAX),
        )))
    }

    pub(super) fn borrowed(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }

    /// A number from its text; a text that is none (`NaN`, `1e300`) stays a text.
    pub(super) fn number(text: &'a str) -> Self {
        if number::is_plain(text) {
            Self::Num(Num::Plain(Text::Borrowed(text)))
        } else {
            Self::borrowed(text)
        }
    }

    /// A value of JSON that lives as long as the rendering.
    pub(super) fn json(value: &'a Json) -> Self {
        match value {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => Self::number(number.as_str()),
            Json::String(text) => Self::borrowed(text),
            Json::Array(_) | Json::Object(_) => Self::Json(value),
        }
    }

    /// A value of JSON that was read on the way, such as a jsonb column. The reader bounds how deep it nests.
    pub(super) fn owned_json(value: Json) -> Self {
        match value {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => {
                let text = number.as_str().to_owned();
                let plain = number::is_plain(&text);
                if plain {
                    Self::Num(Num::Plain(text.into()))
                } else {
                    Self::Text(text.into())
                }
            }
            Json::String(text) => Self::Text(text.into()),
            Json::Array(items) => Self::List(items.into_iter().map(Self::owned_json).collect()),
            Json::Object(entries) => Self::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.into(), Self::owned_json(value)))
                    .collect(),
            ),
        }
    }

    /// What `if` makes of it: nothing, empty, zero and false are false.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Text(text) => !text.is_empty(),
            Self::Num(number) => !number.is_zero(),
            Self::Json(Json::Array(items)) => !items.is_empty(),
            Self::Json(Json::Object(entries)) => !entries.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Date(_)
            | Self::Stamp(_)
            | Self::Json(_)
            | Self::Row
            | Self::Subject(_)
            | Self::Case
            | Self::Loop(_) => true,
        }
    }

    /// What it is, for messages: "a text", "a number".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "nothing (null)",
            Self::Bool(_) => "true or false",
            Self::Text(_) => "a text",
            Self::Num(_) => "a number",
            Self::Date(_) => "a date",
            Self::Stamp(_) => "a timestamp",
            Self::Json(Json::Array(_)) | Self::List(_) => "a list",
            Self::Json(_) | Self::Map(_) => "an object",
            Self::Row | Self::Subject(_) => "the whole row",
            Self::Case => "the whole case",
            Self::Loop(_) => "the loop",
        }
    }

    /// The number of characters, elements or entries.
    pub(super) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.chars().count()),
            Self::Json(Json::Array(items)) => Some(items.len()),
            Self::Json(Json::Object(entries)) => Some(entries.len()),
            Self::List(items) => Some(items.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// The value as it is printed; None for what has no one way to print (lists, objects).
    pub(super) fn print(&self, out: &mut dyn fmt::Write) -> Option<fmt::Result> {
        Some(match self {
            Self::None => Ok(()),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Text(text) => out.write_str(text),
            Self::Num(number) => write!(out, "{number}"),
            Self::Date(date) => write!(out, "{date}"),
            Self::Stamp(stamp) => write!(out, "{stamp}"),
            Self::Json(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Row
            | Self::Subject(_)
            | Self::Case
            | Self::Loop(_) => return None,
        })
    }
}

/// A date in ISO notation, `2026-04-01`.
pub(super) fn parse_date(text: &str) -> Option<NaiveDate> {
    // A fixed form, so that nothing is guessed; years beyond four digits stay texts.
    (text.len() == 10).then(|| text.parse().ok())?
}

/// A timestamp without zone in ISO notation, with a blank or a T, seconds and fraction optional.
pub(super) fn parse_stamp(text: &str) -> Option<NaiveDateTime> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes().get(10), Some(b' ' | b'T')) {
        return None;
    }
    Some(parse_date(date)?.and_time(time.parse().ok()?))
}
