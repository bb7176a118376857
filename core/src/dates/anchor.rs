//! Anchors: what a date rule counts from, as it stands in a document and as it is read from a subject's row.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::digits;
use crate::calendar::YEARS;
use crate::error::{Error, ErrorCode};
use crate::row::{ColumnType, Row};

/// What a date rule counts from. In documents one string: `case_start`, `previous_done`, `step.<name>` or
/// `subject.<column>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Anchor {
    /// The moment the case started.
    CaseStart,
    /// The moment the step before was done.
    #[default]
    PreviousDone,
    /// The moment the step of this name was last done.
    Step(String),
    /// The date or timestamp in this column of the subject.
    Subject(String),
}

impl FromStr for Anchor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match (text, text.split_once('.')) {
            ("case_start", _) => Ok(Self::CaseStart),
            ("previous_done", _) => Ok(Self::PreviousDone),
            (_, Some(("step", name))) if !name.is_empty() => Ok(Self::Step(name.to_owned())),
            (_, Some(("subject", column))) if !column.is_empty() => {
                Ok(Self::Subject(column.to_owned()))
            }
            _ => Err(Error::new(
                ErrorCode::Definition,
                format!(
                    "unknown anchor \"{text}\": expected \"case_start\", \"previous_done\", \"step.<name>\" or \"subject.<column>\""
                ),
            )),
        }
    }
}

impl TryFrom<String> for Anchor {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Anchor> for String {
    fn from(anchor: Anchor) -> Self {
        anchor.to_string()
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaseStart => f.write_str("case_start"),
            Self::PreviousDone => f.write_str("previous_done"),
            Self::Step(name) => write!(f, "step.{name}"),
            Self::Subject(column) => write!(f, "subject.{column}"),
        }
    }
}

impl JsonSchema for Anchor {
    fn schema_name() -> Cow<'static, str> {
        "Anchor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "x-step": "anchor",
            "pattern": r"^(case_start|previous_done|step\..+|subject\..+)$",
            "description": "What a date counts from: `case_start`, `previous_done` (the step before was done), `step.<name>` (that step was done), or `subject.<column>` (a date or timestamp column of the subject)."
        })
    }
}

/// What an anchor turned out to be, for one case. Those of one kind compare by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnchorValue {
    /// A moment: a step was done, the case started, a `timestamptz` column.
    Instant(DateTime<Utc>),
    /// A `date` column: a day in the subject's zone.
    LocalDate(NaiveDate),
    /// A `timestamp` column: a time on the clock in the subject's zone.
    LocalTimestamp(NaiveDateTime),
}

/// The anchor in a column of the subject; None if it is NULL.
///
/// # Errors
/// [`ErrorCode::Anchor`] if there is no such column, it is not a date or timestamp, or its value is infinite or
/// outside the years 1 to 9999.
pub fn anchor_from_row(row: &Row<'_>, column: &str) -> Result<Option<AnchorValue>, Error> {
    let wrong = |message: String| Err(Error::new(ErrorCode::Anchor, message));
    let Some(position) = row.columns.position(column) else {
        return wrong(format!("the subject has no column \"{column}\""));
    };
    let kind = row
        .columns
        .column_type(position)
        .unwrap_or(ColumnType::Text);
    let parse: fn(&str) -> Option<AnchorValue> = match kind {
        ColumnType::Date => |text| parse_date(text.as_bytes()).map(AnchorValue::LocalDate),
        ColumnType::Timestamp => |text| parse_timestamp(text).map(AnchorValue::LocalTimestamp),
        ColumnType::TimestampTz => |text| {
            let at = DateTime::from_timestamp_micros(text.parse().ok()?)?;
            YEARS
                .contains(&at.year())
                .then_some(AnchorValue::Instant(at))
        },
        ColumnType::Text | ColumnType::Bool | ColumnType::Number | ColumnType::Json => {
            return Err(Error::new(
                ErrorCode::Anchor,
                format!(
                    "column \"{column}\" cannot be an anchor, it is neither a date nor a timestamp"
                ),
            )
            .hint(
                "Give the column a date type in the subject's details, with a cast for example.",
            ));
        }
    };
    let Some(text) = row.values.get(position).and_then(Option::as_deref) else {
        return Ok(None);
    };
    match parse(text) {
        Some(value) => Ok(Some(value)),
        None => Err(Error::new(
            ErrorCode::Anchor,
            format!("column \"{column}\" holds \"{text}\", which no date can be counted from"),
        )
        .detail("Dates run from year 1 to year 9999; infinity and years BC are none.")
        .hint("Correct the value, or leave it NULL.")),
    }
}

/// `2026-04-01` and nothing else: a longer year, a trailing BC and infinity fall through.
fn parse_date(text: &[u8]) -> Option<NaiveDate> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else {
        return None;
    };
    let year = digits(&[y1, y2, y3, y4])?;
    NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        digits(&[m1, m2])?,
        digits(&[d1, d2])?,
    )
    .filter(|date| YEARS.contains(&date.year()))
}

/// `2026-04-01 13:30:00`, with up to six decimals.
fn parse_timestamp(text: &str) -> Option<NaiveDateTime> {
    let (date, time) = text.split_once(' ')?;
    let (time, decimals) = time.split_once('.').unwrap_or((time, ""));
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *time.as_bytes() else {
        return None;
    };
    if decimals.len() > 6 {
        return None;
    }
    let micros = (decimals.len()..6).try_fold(digits(decimals.as_bytes())?, |micros, _| {
        micros.checked_mul(10)
    })?;
    let time = NaiveTime::from_hms_micro_opt(
        digits(&[h1, h2])?,
        digits(&[m1, m2])?,
        digits(&[s1, s2])?,
        micros,
    )?;
    Some(parse_date(date.as_bytes())?.and_time(time))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::calendar::testing::{date, local, utc};
    use crate::row::Columns;

    #[test]
    fn an_anchor_is_one_string_and_an_unknown_one_lists_the_four_forms() {
        for (text, anchor) in [
            ("case_start", Anchor::CaseStart),
            ("previous_done", Anchor::PreviousDone),
            ("step.level_1", Anchor::Step("level_1".to_owned())),
            ("subject.Due.Date", Anchor::Subject("Due.Date".to_owned())),
        ] {
            assert_eq!(text.parse::<Anchor>().unwrap(), anchor);
            assert_eq!(serde_json::to_value(&anchor).unwrap(), json!(text));
            assert_eq!(
                serde_json::from_value::<Anchor>(json!(text)).unwrap(),
                anchor
            );
        }
        for text in [
            "",
            "step",
            "step.",
            "subject.",
            "invoice.due_date",
            "Case_start",
        ] {
            let error = serde_json::from_value::<Anchor>(json!(text))
                .unwrap_err()
                .to_string();
            for form in [
                "\"case_start\"",
                "\"previous_done\"",
                "\"step.<name>\"",
                "\"subject.<column>\"",
                text,
            ] {
                assert!(error.contains(form), "{error}");
            }
        }
    }

    fn read(kind: ColumnType, value: Option<&str>) -> Result<Option<AnchorValue>, Error> {
        let columns = Columns::new([("d".to_owned(), kind)]);
        let values = [value.map(str::to_owned)];
        anchor_from_row(
            &Row {
                columns: &columns,
                values: &values,
            },
            "d",
        )
    }

    #[test]
    fn an_anchor_is_read_from_each_kind_of_date_column() {
        let stamp = date("2026-04-01")
            .and_hms_micro_opt(13, 30, 0, 120_000)
            .unwrap();
        assert_eq!(
            read(ColumnType::Date, Some("2026-04-01")).unwrap(),
            Some(AnchorValue::LocalDate(date("2026-04-01")))
        );
        assert_eq!(
            read(ColumnType::Timestamp, Some("2026-04-01 13:30:00.12")).unwrap(),
            Some(AnchorValue::LocalTimestamp(stamp))
        );
        assert_eq!(
            read(ColumnType::Timestamp, Some("2026-04-01 13:30:00")).unwrap(),
            Some(AnchorValue::LocalTimestamp(local("2026-04-01 13:30")))
        );
        let at = utc("2026-04-01 11:30") + TimeDelta::microseconds(7);
        let micros = at.timestamp_micros().to_string();
        assert_eq!(
            read(ColumnType::TimestampTz, Some(&micros)).unwrap(),
            Some(AnchorValue::Instant(at))
        );
        for kind in [
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::TimestampTz,
        ] {
            assert_eq!(read(kind, None).unwrap(), None);
        }
    }

    #[test]
    fn a_date_that_is_none_is_refused_with_its_column() {
        for (kind, text) in [
            (ColumnType::Date, "infinity"),
            (ColumnType::Date, "-infinity"),
            (ColumnType::Date, "0044-03-15 BC"),
            (ColumnType::Date, "0000-01-01"),
            (ColumnType::Date, "12026-04-01"),
            (ColumnType::Date, "2026-02-30"),
            (ColumnType::Date, "2026-é1-1"),
            (ColumnType::Timestamp, "infinity"),
            (ColumnType::Timestamp, "0044-03-15 12:00:00 BC"),
            (ColumnType::Timestamp, "12026-04-01 12:00:00"),
            (ColumnType::Timestamp, "2026-04-01 25:00:00"),
            (ColumnType::Timestamp, "2026-04-01 12:00:00.1234567"),
            (ColumnType::TimestampTz, "infinity"),
            (ColumnType::TimestampTz, "9223372036854775807"),
            (ColumnType::TimestampTz, "-9223372036854775808"),
            (ColumnType::TimestampTz, "253402300800000000"),
        ] {
            let error = read(kind, Some(text)).unwrap_err();
            assert_eq!(error.code, ErrorCode::Anchor);
            assert!(
                error.message.contains("\"d\"") && error.message.contains(text),
                "{error}"
            );
            assert!(error.detail.unwrap().contains("9999") && error.hint.is_some());
        }
    }

    #[test]
    fn a_column_that_is_missing_or_no_date_is_refused_even_when_null() {
        for kind in [
            ColumnType::Text,
            ColumnType::Bool,
            ColumnType::Number,
            ColumnType::Json,
        ] {
            for value in [None, Some("2026-04-01")] {
                let error = read(kind, value).unwrap_err();
                assert!(
                    error.message.contains("column \"d\"") && error.message.contains("neither"),
                    "{error}"
                );
            }
        }
        let columns = Columns::default();
        let error = anchor_from_row(
            &Row {
                columns: &columns,
                values: &[],
            },
            "due",
        )
        .unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            (ErrorCode::Anchor, "the subject has no column \"due\"")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,24}", kind in 0usize..3) {
            let kind = [ColumnType::Date, ColumnType::Timestamp, ColumnType::TimestampTz][kind];
            let _ = read(kind, Some(&text));
            let _ = text.parse::<Anchor>();
        }
    }
}
