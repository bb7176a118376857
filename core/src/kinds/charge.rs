//! A step that adds to what is owed: a fee, or interest.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, StepKind, Then};
use crate::finding::Findings;
use crate::row::ColumnType;

/// Charges a fee or interest: a row of wf.charges, in whole days and decimal numbers. Nothing accrues in a breathing
/// space.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Whether it is a fee or interest.
    pub charge: Type,
    /// Fee: the amount; SQL expression over the subject's details, `vars` and `answers`.
    #[serde(default)]
    pub amount: Option<String>,
    /// Interest: the rate a year in percent; SQL expression.
    #[serde(default)]
    pub rate: Option<String>,
    /// Interest: what it is counted on; SQL expression.
    #[serde(default)]
    pub principal: Option<String>,
    /// Interest: the first day that counts, for the first charge; SQL expression that gives a date, the day on which the
    /// case started if absent. Later charges go on where the last one ended.
    #[serde(default)]
    pub since: Option<String>,
    /// Interest: how many days a year has; 365 if absent.
    #[serde(default = "days_in_year")]
    pub days_in_year: u16,
    /// The currency; SQL expression, such as the column's name or `'EUR'`.
    #[serde(default)]
    pub currency: Option<String>,
    /// Decimals of the currency, to which the charge is rounded; 2 if absent.
    #[serde(default = "decimals")]
    pub decimals: u8,
    /// What people read of it; the step's description if absent.
    #[serde(default)]
    pub label: Option<String>,
}

/// What a step charges.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// A fixed amount, each time that the step is reached.
    Fee,
    /// A rate for the days since it was last charged.
    Interest,
}

fn days_in_year() -> u16 {
    365
}

fn decimals() -> u8 {
    2
}

/// The most decimals that any currency has.
const MOST_DECIMALS: u8 = 8;

impl StepKind for Charge {
    fn name(&self) -> &'static str {
        "charge"
    }
    fn values(&self) -> Vec<(&'static str, &str, ColumnType)> {
        let number = ColumnType::Number;
        [
            ("amount", &self.amount, number),
            ("rate", &self.rate, number),
            ("principal", &self.principal, number),
            ("since", &self.since, ColumnType::Date),
            ("currency", &self.currency, ColumnType::Text),
        ]
        .into_iter()
        .filter_map(|(field, sql, kind)| Some((field, sql.as_deref()?, kind)))
        .collect()
    }
    fn charges(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        type Fields<'a> = &'a [(&'a str, &'a Option<String>)];
        let (needed, forbidden): (Fields<'_>, Fields<'_>) = match self.charge {
            Type::Fee => (
                &[("amount", &self.amount)],
                &[
                    ("rate", &self.rate),
                    ("principal", &self.principal),
                    ("since", &self.since),
                ],
            ),
            Type::Interest => (
                &[("rate", &self.rate), ("principal", &self.principal)],
                &[("amount", &self.amount)],
            ),
        };
        let what = match self.charge {
            Type::Fee => "a fee",
            Type::Interest => "interest",
        };
        for (field, value) in needed {
            if value.is_none() {
                findings.error(
                    place,
                    format!("{what} needs {field}"),
                    format!("Give {field} an SQL expression, for example a column or a number."),
                );
            }
        }
        for (field, value) in forbidden {
            if value.is_some() {
                findings.error(
                    place,
                    format!("{what} has no {field}"),
                    format!("Remove {field}, or charge something else."),
                );
            }
        }
        if !(360..=366).contains(&self.days_in_year) {
            findings.error(
                place,
                format!("days_in_year is {}", self.days_in_year),
                "Let days_in_year be between 360 and 366.",
            );
        }
        if self.decimals > MOST_DECIMALS {
            findings.error(
                place,
                format!("decimals is {}", self.decimals),
                format!("Let decimals be at most {MOST_DECIMALS}."),
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Charge(self)
    }
}
