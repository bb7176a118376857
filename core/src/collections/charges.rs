//! Fees and interest: how much, for which days, and when nothing at all.
//!
//! Interest is counted by whole days where the subject is, from the day after which it was last charged (or from
//! `since`) up to yesterday: today is not over, and counts the next time. A day that a suspension touches does not
//! count, then or later. So no day is ever counted twice, and none of a breathing space afterwards.

use chrono::{Days, NaiveDate};

use crate::template::number::Decimal;
use crate::{Error, ErrorCode};

/// A time in which nothing accrues, in whole days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// Its first day.
    pub from: NaiveDate,
    /// Its last day; None: it goes on.
    pub until: Option<NaiveDate>,
    /// Why, as people read it: `breathing space`, or the reason of a hold.
    pub reason: String,
}

impl Suspension {
    fn covers(&self, day: NaiveDate) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }
}

/// What is to be charged, before it is known for which days. Amounts are plain decimal numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sum {
    /// An amount.
    Fee { amount: String },
    /// A yearly rate in percent of a principal.
    Interest {
        principal: String,
        rate: String,
        /// The first day that counts if nothing has been charged before.
        since: NaiveDate,
        /// Days of a year: 365, or 360 where that is the custom.
        days_in_year: u16,
    },
}

/// What a charge came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assessed {
    /// So much; for interest with the first day, the day after the last, and how many days counted.
    Charged {
        amount: String,
        days: Option<(NaiveDate, NaiveDate, i64)>,
    },
    /// Nothing, for it is suspended today; the reason.
    Suspended(String),
    /// Nothing: the amount is zero, or no day counts.
    Nothing,
}

/// Works out a charge on a day. `charged_until`: the day after the last one that interest was charged for.
///
/// # Errors
/// [`ErrorCode::Input`] for an amount below zero, or with more digits than can be calculated with.
pub fn assess(
    sum: &Sum,
    decimals: u32,
    today: NaiveDate,
    charged_until: Option<NaiveDate>,
    suspensions: &[Suspension],
) -> Result<Assessed, Error> {
    if let Some(suspended) = suspensions.iter().find(|s| s.covers(today)) {
        return Ok(Assessed::Suspended(suspended.reason.clone()));
    }
    match sum {
        Sum::Fee { amount } => {
            let amount = number("amount", amount)?;
            let rounded = amount.rounded(decimals).ok_or_else(too_long)?;
            Ok(charged(rounded, None))
        }
        Sum::Interest {
            principal,
            rate,
            since,
            days_in_year,
        } => {
            let from = charged_until.map_or(*since, |until| until.max(*since));
            let days = days_that_count(from, today, suspensions);
            let (principal, rate) = (number("principal", principal)?, number("rate", rate)?);
            if days == 0 {
                return Ok(Assessed::Nothing);
            }
            let amount = interest(principal, rate, days, *days_in_year, decimals);
            let amount = amount.ok_or_else(too_long)?;
            Ok(charged(amount, Some((from, today, days))))
        }
    }
}

/// Principal times rate times days, divided once and rounded once.
fn interest(
    principal: Decimal,
    rate: Decimal,
    days: i64,
    days_in_year: u16,
    decimals: u32,
) -> Option<Decimal> {
    let yearly = principal.times(rate)?;
    let whole = yearly.times(Decimal::from(days))?;
    whole.divided_and_rounded(Decimal::from(i64::from(days_in_year) * 100), decimals)
}

fn charged(amount: Decimal, days: Option<(NaiveDate, NaiveDate, i64)>) -> Assessed {
    if amount.is_zero() {
        return Assessed::Nothing;
    }
    Assessed::Charged {
        amount: amount.to_string(),
        days,
    }
}

/// The days from `from` up to `to`, that one excluded, which no suspension touches.
fn days_that_count(from: NaiveDate, to: NaiveDate, suspensions: &[Suspension]) -> i64 {
    let mut spans: Vec<(NaiveDate, NaiveDate)> = suspensions
        .iter()
        .map(|s| {
            let after = s.until.and_then(|day| day.checked_add_days(Days::new(1)));
            (s.from.max(from), after.unwrap_or(to).min(to))
        })
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort_unstable();
    let mut days = 0;
    let mut day = from;
    for (start, end) in spans {
        days += (start - day).num_days().max(0);
        day = day.max(end);
    }
    days + (to - day).num_days().max(0)
}

fn number(what: &str, text: &str) -> Result<Decimal, Error> {
    let number = Decimal::parse(text).ok_or_else(too_long)?;
    if text.starts_with('-') && !number.is_zero() {
        return Err(Error::new(
            ErrorCode::Input,
            format!("the {what} to charge is {text}, below zero"),
        )
        .hint("Give an expression that is never negative, as greatest(…, 0); wf.waive_charge takes a charge back."));
    }
    Ok(number)
}

fn too_long() -> Error {
    Error::new(
        ErrorCode::Input,
        "the charge has more digits than can be calculated with",
    )
    .hint("Round its amount, or charge less often.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn rest(from: &str, until: Option<&str>) -> Suspension {
        Suspension {
            from: day(from),
            until: until.map(day),
            reason: "breathing space".to_owned(),
        }
    }

    fn interest_on(principal: &str, rate: &str, since: &str, basis: u16) -> Sum {
        Sum::Interest {
            principal: principal.to_owned(),
            rate: rate.to_owned(),
            since: day(since),
            days_in_year: basis,
        }
    }

    fn amount(assessed: Result<Assessed, Error>) -> (String, i64) {
        match assessed.unwrap() {
            Assessed::Charged { amount, days } => (amount, days.map_or(0, |d| d.2)),
            other => (format!("{other:?}"), 0),
        }
    }

    #[test]
    fn interest_counts_whole_days_up_to_yesterday_and_rounds_once() {
        let year = interest_on("1000", "8", "2025-01-01", 365);
        let at = |sum: &Sum, today: &str| amount(assess(sum, 2, day(today), None, &[]));
        assert_eq!(at(&year, "2026-01-01"), ("80.00".to_owned(), 365));
        assert_eq!(at(&year, "2025-01-02"), ("0.22".to_owned(), 1));
        assert_eq!(at(&year, "2025-01-01"), ("Nothing".to_owned(), 0));
        // 0.005 goes up, and 1/3 of a cent away.
        let cent = interest_on("22.8125", "8", "2025-01-01", 365);
        assert_eq!(at(&cent, "2025-01-02").0, "0.01");
        let yen = interest_on("100000", "3.65", "2025-01-01", 365);
        assert_eq!(
            amount(assess(&yen, 0, day("2025-01-02"), None, &[])).0,
            "10"
        );
    }

    #[test]
    fn no_digit_of_a_twenty_digit_principal_is_lost() {
        let sum = interest_on("99999999999999999.99", "8.25", "2025-01-01", 360);
        assert_eq!(
            amount(assess(&sum, 2, day("2025-12-27"), None, &[])).0,
            "8250000000000000.00"
        );
    }

    #[test]
    fn fv_18_days_of_a_suspension_never_count_not_even_afterwards() {
        let sum = interest_on("36500", "1", "2026-05-01", 365);
        let rests = [rest("2026-05-04", Some("2026-05-18"))];
        let on = |today: &str, until: Option<&str>| {
            amount(assess(&sum, 2, day(today), until.map(day), &rests))
        };
        assert_eq!(on("2026-05-04", None).0, "Suspended(\"breathing space\")");
        assert_eq!(on("2026-05-18", None).0, "Suspended(\"breathing space\")");
        assert_eq!(on("2026-05-19", None), ("3.00".to_owned(), 3));
        assert_eq!(on("2026-05-29", None), ("13.00".to_owned(), 13));
        assert_eq!(
            on("2026-05-29", Some("2026-05-19")),
            ("10.00".to_owned(), 10)
        );
        // What was charged up to today is not charged again.
        assert_eq!(on("2026-05-29", Some("2026-05-29")).0, "Nothing");
    }

    #[test]
    fn suspensions_that_overlap_are_taken_off_once() {
        let sum = interest_on("36500", "1", "2026-01-01", 365);
        let rests = [
            rest("2026-01-10", Some("2026-01-20")),
            rest("2026-01-15", Some("2026-01-25")),
            rest("2026-01-16", Some("2026-01-17")),
            rest("2025-12-01", Some("2026-01-02")),
        ];
        let left = amount(assess(&sum, 2, day("2026-02-01"), None, &rests));
        assert_eq!(left, ("13.00".to_owned(), 31 - 16 - 2));
    }

    #[test]
    fn fees_are_rounded_and_never_negative() {
        let fee = |amount: &str| Sum::Fee {
            amount: amount.to_owned(),
        };
        let today = day("2026-05-19");
        let at = |text: &str| amount(assess(&fee(text), 2, today, None, &[])).0;
        assert_eq!(at("40"), "40.00");
        assert_eq!(at("40.005"), "40.01");
        assert_eq!(at("0.000"), "Nothing");
        let error = assess(&fee("-1"), 2, today, None, &[]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Input);
        assert!(error.message.contains("below zero"), "{error:?}");
        assert!(assess(&fee(&"9".repeat(60)), 2, today, None, &[]).is_err());
    }
}
