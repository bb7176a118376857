//! Tests of templates as their callers see them, by theme; here is what they share.

mod definitions;
mod fuzz;
mod hostile;
mod random;
mod rendering;
mod values;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::{CaseFacts, Limits, Rendered, Scope, TemplateSource, Templates};
use crate::error::Error;
use crate::row::{ColumnType, Columns, Row};

/// A row, a case and its JSON, to render with.
pub(super) struct World {
    pub(super) columns: Columns,
    pub(super) values: Vec<Option<String>>,
    pub(super) vars: Value,
    pub(super) answers: Value,
}

pub(super) fn amsterdam(moment: DateTime<Utc>) -> Result<NaiveDateTime, Error> {
    Ok(moment
        .with_timezone(&chrono_tz::Europe::Amsterdam)
        .naive_local())
}

impl World {
    pub(super) fn of(columns: &[(&str, ColumnType, Option<&str>)]) -> Self {
        Self {
            columns: Columns::new(
                columns
                    .iter()
                    .map(|(name, of_type, _)| ((*name).to_owned(), *of_type)),
            ),
            values: columns
                .iter()
                .map(|(_, _, value)| value.map(str::to_owned))
                .collect(),
            vars: json!({}),
            answers: json!({}),
        }
    }

    /// An unpaid invoice.
    pub(super) fn invoice() -> Self {
        use ColumnType::{Bool, Date, Json, Number, Text, Timestamp, TimestampTz};
        let mut world = Self::of(&[
            ("number", Text, Some("2026-0042")),
            ("customer_name", Text, Some("Jansen & Zn.")),
            ("open_amount", Number, Some("1210.50")),
            ("big_amount", Number, Some("12345678901234567890.12")),
            ("nothing_open", Number, Some("0.00")),
            ("currency", Text, Some("EUR")),
            ("due_date", Date, Some("2026-04-01")),
            ("paid_on", Date, None),
            ("phone", Text, None),
            ("disputed", Bool, Some("f")),
            ("booked_at", Timestamp, Some("2026-03-30 23:45:00")),
            // 2026-03-30 22:30 UTC, which is 31 March 00:30 in Amsterdam
            ("sent_at", TimestampTz, Some("1774909800000000")),
            (
                "lines",
                Json,
                Some(r#"[{"text":"Chairs","amount":"1000.00"},{"text":"Table","amount":210.50}]"#),
            ),
            ("Claim-ID", Text, Some("C7")),
        ]);
        world.vars = json!({"iban": "NL91ABNA0417164300", "level": 2, "claims": [
            {"number": "C1", "amount": 100.10}, {"number": "C2", "amount": 0.20}]});
        world.answers = json!({"extend": "yes"});
        world
    }

    pub(super) fn render_with(
        &self,
        templates: &Templates,
        name: &str,
        locale: Option<&str>,
    ) -> Result<Rendered, Error> {
        self.render_all(templates, name, locale, &[])
    }

    fn render_all(
        &self,
        templates: &Templates,
        name: &str,
        locale: Option<&str>,
        subjects: &[Row<'_>],
    ) -> Result<Rendered, Error> {
        let started_at = DateTime::from_timestamp(1_775_000_000, 0).expect("a moment");
        let scope = Scope {
            row: Row {
                columns: &self.columns,
                values: &self.values,
            },
            subjects,
            case: CaseFacts {
                id: 7,
                workflow: "dunning",
                key: "42",
                account: Some("A-1"),
                tenant: None,
                started_at,
            },
            vars: &self.vars,
            answers: &self.answers,
            today: NaiveDate::from_ymd_opt(2026, 5, 4).expect("a date"),
            step: "level_1",
            to_local: &amsterdam,
        };
        templates.render(name, locale, &scope)
    }

    /// Renders a text on its own, about these rows.
    pub(super) fn render_about(&self, text: &str, subjects: &[Row<'_>]) -> Result<String, Error> {
        let mut templates = Templates::default();
        templates.add_inline("t", text).expect("a text");
        Ok(self.render_all(&templates, "t", None, subjects)?.body)
    }

    /// Renders a text on its own.
    pub(super) fn render(&self, text: &str) -> Result<String, Error> {
        self.render_limited(text, Limits::default())
    }

    pub(super) fn render_limited(&self, text: &str, limits: Limits) -> Result<String, Error> {
        let mut templates = Templates::default();
        templates.set_limits(limits);
        if let Err(finding) = templates.add_inline("t", text) {
            let error = Error::new(crate::ErrorCode::Template, finding.message);
            return Err(Error {
                hint: finding.hint,
                ..error
            });
        }
        Ok(self.render_with(&templates, "t", None)?.body)
    }
}

/// Templates from the JSON of a document.
pub(super) fn sources(document: Value) -> IndexMap<String, TemplateSource> {
    serde_json::from_value(document).expect("templates")
}

/// What a text renders to for the invoice.
#[track_caller]
pub(super) fn expect(text: &str, expected: &str) {
    match World::invoice().render(text) {
        Ok(rendered) => assert_eq!(rendered, expected, "{text}"),
        Err(error) => panic!("{text}: {error} {:?}", error.hint),
    }
}

/// The error that a text gives for the invoice, when it is compiled or rendered.
#[track_caller]
pub(super) fn refused(text: &str) -> Error {
    match World::invoice().render(text) {
        Ok(rendered) => panic!("{text} rendered as {rendered:?}"),
        Err(error) => error,
    }
}
