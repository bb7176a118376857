//! Payment plans: instalments with their days, which of them are paid, and what comes next.
//!
//! What has been paid is told from what is open, never counted from payments: the difference to what was open when the
//! plan was agreed covers the instalments in their order.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::template::number::Decimal;
use crate::{Error, ErrorCode};

/// An instalment, as it stands in the case's vars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instalment {
    pub due: NaiveDate,
    /// A plain decimal number.
    pub amount: String,
}

/// A plan, as it stands in the case's vars under `plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What was open when it was agreed.
    pub open: String,
    pub instalments: Vec<Instalment>,
}

/// How far a plan's reminders have come; what the rules must remember of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Up to which instalment the debtor has been reminded.
    #[serde(default)]
    pub reminded: usize,
    /// Up to which one it was said that it is overdue.
    #[serde(default)]
    pub noticed: usize,
    /// Whether the plan has been changed since the step last looked at it.
    #[serde(default)]
    pub updated: bool,
}

/// An instalment that is not paid in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpaid {
    /// Its number, from 1.
    pub number: usize,
    pub instalment: Instalment,
    /// What of it is not paid yet.
    pub missing: String,
}

/// When an instalment's reminder is due, and from when on it is overdue.
pub type Moments = (DateTime<Utc>, DateTime<Utc>);

/// What comes next in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Every instalment is paid.
    Kept,
    /// So many are overdue that the plan is broken.
    Broken(Unpaid),
    /// This one is overdue.
    Overdue(Unpaid),
    /// This one is due soon.
    Remind(Unpaid),
    /// Nothing until then; None: all has been said, and only a payment changes anything.
    Wait(Option<DateTime<Utc>>),
}

fn number(text: &str) -> Result<Decimal, Error> {
    Decimal::parse(text).ok_or_else(|| {
        Error::new(
            ErrorCode::Input,
            format!("{text} is no amount that can be calculated with"),
        )
        .hint("Give a plain decimal number.")
    })
}

fn out_of_digits() -> Error {
    Error::new(
        ErrorCode::Input,
        "the amounts of the plan have more digits than can be calculated with",
    )
}

impl Plan {
    /// A plan for what is open now.
    ///
    /// # Errors
    /// [`ErrorCode::Input`] for days that do not come one after the other or lie behind, amounts that are not above
    /// zero, and more in all than is open.
    pub fn agree(
        open: &str,
        instalments: Vec<Instalment>,
        today: NaiveDate,
    ) -> Result<Self, Error> {
        let refused = |message: String, hint: &str| {
            Err(Error::new(ErrorCode::Input, message).hint(hint.to_owned()))
        };
        let Some(first) = instalments.first() else {
            return refused(
                "the plan has no instalments".to_owned(),
                "Give at least one day with an amount.",
            );
        };
        if first.due < today {
            return refused(
                format!(
                    "the first instalment is due on {}, which is past",
                    first.due
                ),
                "Let it be due today or later.",
            );
        }
        let mut sum = Decimal::from(0);
        for (i, instalment) in instalments.iter().enumerate() {
            let amount = number(&instalment.amount)?;
            if amount.is_zero() || instalment.amount.starts_with('-') {
                return refused(
                    format!("instalment {} is {}", i + 1, instalment.amount),
                    "Give an amount above zero.",
                );
            }
            if i > 0 && instalments[i - 1].due >= instalment.due {
                return refused(
                    format!("instalment {} is not due after the one before it", i + 1),
                    "Give the days in order, each once.",
                );
            }
            sum = sum.plus(amount).ok_or_else(out_of_digits)?;
        }
        let left = number(open)?.minus(sum).ok_or_else(out_of_digits)?;
        if left.is_negative() {
            return refused(
                format!("the instalments are {sum} in all, and {open} is open"),
                "Give no more than what is open.",
            );
        }
        Ok(Self {
            open: open.to_owned(),
            instalments,
        })
    }

    /// The instalments that are not covered by what has been paid since, with what is missing of each.
    ///
    /// # Errors
    /// [`ErrorCode::Input`] for amounts that cannot be calculated with.
    pub fn unpaid(&self, open: &str) -> Result<Vec<Unpaid>, Error> {
        let mut paid = number(&self.open)?
            .minus(number(open)?)
            .ok_or_else(out_of_digits)?;
        let mut unpaid = Vec::new();
        for (i, instalment) in self.instalments.iter().enumerate() {
            let amount = number(&instalment.amount)?;
            let left = paid.minus(amount).ok_or_else(out_of_digits)?;
            if left.is_negative() {
                // Nothing of it is paid, or more is open than there was.
                let whole = paid.is_zero() || paid.is_negative();
                let missing = match left.negated() {
                    _ if whole => instalment.amount.clone(),
                    Some(rest) => rest.to_string(),
                    None => return Err(out_of_digits()),
                };
                unpaid.push(Unpaid {
                    number: i + 1,
                    instalment: instalment.clone(),
                    missing,
                });
                paid = Decimal::from(0);
            } else {
                paid = left;
            }
        }
        Ok(unpaid)
    }
}

/// What comes next, and what the rules have to remember then. `moments` are those of `unpaid`, in order; `broken_at`:
/// with so many overdue the plan is broken.
pub fn next(
    unpaid: &[Unpaid],
    moments: &[Moments],
    progress: Progress,
    broken_at: Option<usize>,
    now: DateTime<Utc>,
) -> (Next, Progress) {
    let Some(first) = unpaid.first() else {
        return (Next::Kept, progress);
    };
    let overdue = moments
        .iter()
        .filter(|(_, overdue)| *overdue <= now)
        .count();
    if broken_at.is_some_and(|most| overdue >= most) {
        return (Next::Broken(first.clone()), progress);
    }
    let mut soonest: Option<DateTime<Utc>> = None;
    for (one, (remind, overdue)) in unpaid.iter().zip(moments) {
        if progress.noticed < one.number {
            if *overdue <= now {
                let noticed = one.number;
                let progress = Progress {
                    noticed,
                    reminded: progress.reminded.max(noticed),
                    ..progress
                };
                return (Next::Overdue(one.clone()), progress);
            }
            soonest = Some(soonest.map_or(*overdue, |at| at.min(*overdue)));
        }
        if progress.reminded < one.number {
            if *remind <= now {
                let reminded = one.number;
                return (
                    Next::Remind(one.clone()),
                    Progress {
                        reminded,
                        ..progress
                    },
                );
            }
            soonest = Some(soonest.map_or(*remind, |at| at.min(*remind)));
        }
    }
    (Next::Wait(soonest), progress)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::testing::utc;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn instalments(list: &[(&str, &str)]) -> Vec<Instalment> {
        list.iter()
            .map(|(due, amount)| Instalment {
                due: day(due),
                amount: (*amount).to_owned(),
            })
            .collect()
    }

    fn plan() -> Plan {
        let list = [
            ("2026-06-01", "300"),
            ("2026-07-01", "300"),
            ("2026-08-03", "400.50"),
        ];
        Plan::agree("1000.50", instalments(&list), day("2026-05-10")).unwrap()
    }

    fn left(open: &str) -> Vec<(usize, String)> {
        let unpaid = plan().unpaid(open).unwrap();
        unpaid.into_iter().map(|u| (u.number, u.missing)).collect()
    }

    #[test]
    fn fv_09_what_is_paid_is_told_from_what_is_open() {
        let all = [
            (1, "300".to_owned()),
            (2, "300".to_owned()),
            (3, "400.50".to_owned()),
        ];
        assert_eq!(left("1000.50"), all);
        // A charge since: more is open than there was.
        assert_eq!(left("1040.50"), all);
        assert_eq!(left("900.50")[0], (1, "200.00".to_owned()));
        assert_eq!(left("700.50"), all[1..]);
        assert_eq!(left("500.5")[0], (2, "100.00".to_owned()));
        assert_eq!(left("0"), []);
    }

    #[test]
    fn a_plan_has_days_in_order_and_no_more_than_is_open() {
        let refused = |list: &[(&str, &str)]| {
            Plan::agree("100", instalments(list), day("2026-05-10"))
                .unwrap_err()
                .message
        };
        assert!(refused(&[]).contains("no instalments"));
        assert!(refused(&[("2026-05-09", "1")]).contains("is past"));
        assert!(refused(&[("2026-06-01", "0.00")]).contains("instalment 1 is 0.00"));
        assert!(refused(&[("2026-06-01", "-5")]).contains("instalment 1 is -5"));
        assert!(refused(&[("2026-06-02", "1"), ("2026-06-01", "1")]).contains("instalment 2"));
        assert!(refused(&[("2026-06-01", "100.01")]).contains("100.01 in all, and 100"));
    }

    #[test]
    fn fv_10_each_instalment_is_reminded_of_once_and_said_to_be_overdue_once() {
        let moments: Vec<Moments> = ["06", "07", "08"]
            .iter()
            .map(|m| {
                (
                    utc(&format!("2026-{m}-01 00:00")),
                    utc(&format!("2026-{m}-05 00:00")),
                )
            })
            .collect();
        let unpaid = plan().unpaid("1000.50").unwrap();
        let mut progress = Progress::default();
        let mut at = |now: &str, broken: Option<usize>| {
            let (next, after) = super::next(&unpaid, &moments, progress, broken, utc(now));
            progress = after;
            match next {
                Next::Remind(u) => format!("remind {}", u.number),
                Next::Overdue(u) => format!("overdue {}", u.number),
                Next::Broken(u) => format!("broken {}", u.number),
                Next::Wait(at) => at.map_or("wait".to_owned(), |t| t.format("%m-%d").to_string()),
                Next::Kept => "kept".to_owned(),
            }
        };
        assert_eq!(at("2026-05-10 12:00", None), "06-01");
        assert_eq!(at("2026-06-01 00:00", None), "remind 1");
        assert_eq!(at("2026-06-01 00:00", None), "06-05");
        assert_eq!(at("2026-06-05 00:00", None), "overdue 1");
        assert_eq!(at("2026-06-05 00:00", None), "07-01");
        assert_eq!(at("2026-07-05 00:00", Some(2)), "broken 1");
        assert_eq!(at("2026-07-05 00:00", None), "overdue 2");
        // An overdue one is not reminded of any more.
        assert_eq!(at("2026-07-05 00:00", None), "08-01");
        assert_eq!(at("2026-09-01 00:00", None), "overdue 3");
        assert_eq!(at("2026-09-01 00:00", None), "wait");
    }
}
