//! Date rules: an anchor, an offset, a roll, a time of day, and out comes one instant.
//!
//! A rule is always computed from its anchor in one go and never from an earlier result, so that 31 January plus two
//! months is 31 March. When a message may leave after that is not decided here but by the contact window
//! ([`crate::window`]); which days are open, by the calendar ([`crate::calendar`]).

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::calendar::{Calendars, Roll, YEARS, Zones};
use crate::error::{Error, ErrorCode};

mod anchor;
mod explain;
mod shift;

pub use anchor::{Anchor, AnchorValue, anchor_from_row};
pub use explain::local_text;

/// When something happens: an anchor and an offset from it. Whole days (months, days, business days) land at local
/// midnight in the subject's zone, or at `time`, and are rolled onto an open day; hours and minutes are exact and
/// never rolled. Without any offset the moment of the anchor itself counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DateRule {
    /// What to count from; `previous_done` if omitted.
    #[serde(default)]
    pub anchor: Anchor,
    /// Calendar months after the anchor; negative: before it. A day that the month lacks becomes its last day.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub months: i32,
    /// Calendar days after the anchor, counted after the months; negative: before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub days: i32,
    /// Days on which the calendar is open, counted after months and days; negative: before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub business_days: i32,
    /// Exact hours after the anchor; negative: before it. Not together with whole days or `time`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hours: i64,
    /// Exact minutes after the anchor; negative: before it. Not together with whole days or `time`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub minutes: i64,
    /// Time of day in the subject's zone, `HH:MM`; local midnight if omitted.
    #[serde(default, with = "time_of_day", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_of_day::schema")]
    pub time: Option<NaiveTime>,
    /// What happens to a date on a closed day; the workflow's own roll if omitted. A rule without any offset from
    /// `case_start` or `previous_done` happens at once and is rolled only if it has a roll of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll: Option<Roll>,
    /// The calendar that says which days are open; the workflow's own if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
}

/// What a rule is computed with, for one case.
#[derive(Clone, Copy)]
pub struct DateContext<'a> {
    /// The subject's time zone.
    pub zone: &'a str,
    pub zones: &'a dyn Zones,
    pub calendars: &'a dyn Calendars,
    /// The calendar of a rule that names none.
    pub default_calendar: &'a str,
    /// The roll of a rule that names none.
    pub default_roll: Roll,
}

/// A rule may not count further than this many months; the other limits are a century too, or 20 years for business
/// days, which no calendar knows further ahead. Beyond, it is a slip of the keyboard.
const MAX_MONTHS: u64 = 1_200;
const MAX_DAYS: u64 = 36_500;
const MAX_BUSINESS_DAYS: u64 = 5_000;
const MAX_HOURS: u64 = MAX_DAYS * 24;
const MAX_MINUTES: u64 = MAX_HOURS * 60;

impl DateRule {
    /// What is contradictory or out of range in this rule, as (message, hint); empty if it is sound. Whether its
    /// step, column and calendar exist is not checked here.
    #[must_use]
    pub fn findings(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut add = |message: String, hint: &str| found.push((message, hint.to_owned()));
        if self.is_exact() {
            if self.counts_days() {
                add(
                    "hours and minutes cannot be combined with months, days or business_days"
                        .to_owned(),
                    "Hours and minutes count exactly from the anchor's moment, the others to a day: use one or the other.",
                );
            }
            if self.time.is_some() {
                add(
                    "hours and minutes cannot be combined with time".to_owned(),
                    "Leave out time, or count in days.",
                );
            }
            if self.roll.is_some_and(|roll| roll != Roll::None) || self.calendar.is_some() {
                add(
                    "roll and calendar have no effect on hours and minutes".to_owned(),
                    "An offset in hours and minutes is exact: leave out roll and calendar, or count in days.",
                );
            }
        }
        for (field, value, most) in [
            ("months", i64::from(self.months), MAX_MONTHS),
            ("days", i64::from(self.days), MAX_DAYS),
            (
                "business_days",
                i64::from(self.business_days),
                MAX_BUSINESS_DAYS,
            ),
            ("hours", self.hours, MAX_HOURS),
            ("minutes", self.minutes, MAX_MINUTES),
        ] {
            if value.unsigned_abs() > most {
                add(
                    format!("{field} is {value}, out of range"),
                    &format!("Give {field} between -{most} and {most}."),
                );
            }
        }
        found
    }

    /// Whether computing this rule asks a calendar, so that the calendar has to exist and know the years.
    #[must_use]
    pub fn needs_calendar(&self, default_roll: Roll) -> bool {
        self.business_days != 0 || self.effective_roll(default_roll) != Roll::None
    }

    /// The instant that this rule gives for one value of its anchor.
    ///
    /// # Errors
    /// [`ErrorCode::Anchor`] if the result leaves the years 1 to 9999; [`ErrorCode::Calendar`] if the calendar does
    /// not exist or does not know a year on the way; [`ErrorCode::TimeZone`] for an unknown zone;
    /// [`ErrorCode::Definition`] if the rule contradicts itself (see [`DateRule::findings`]).
    pub fn resolve(
        &self,
        anchor: AnchorValue,
        ctx: &DateContext<'_>,
    ) -> Result<DateTime<Utc>, Error> {
        if self.is_exact() {
            return self.resolve_exactly(anchor, ctx);
        }
        let (date, clock) = match anchor {
            AnchorValue::LocalDate(date) => (date, NaiveTime::MIN),
            AnchorValue::LocalTimestamp(at) => (at.date(), at.time()),
            AnchorValue::Instant(at)
                if self.is_bare() && self.effective_roll(ctx.default_roll) == Roll::None =>
            {
                return Ok(at);
            }
            AnchorValue::Instant(at) => {
                let local = ctx.zones.to_local(ctx.zone, at)?;
                (local.date(), local.time())
            }
        };
        let day = self.resolve_day(date, ctx)?;
        match anchor {
            // Not by way of the local time: in the hour that occurs twice that would not give the same instant.
            AnchorValue::Instant(at) if self.is_bare() && day == date => Ok(at),
            _ => {
                let time = if self.is_bare() {
                    clock
                } else {
                    self.time.unwrap_or(NaiveTime::MIN)
                };
                ctx.zones.to_utc(ctx.zone, day.and_time(time))
            }
        }
    }

    fn resolve_exactly(
        &self,
        anchor: AnchorValue,
        ctx: &DateContext<'_>,
    ) -> Result<DateTime<Utc>, Error> {
        if self.counts_days() || self.time.is_some() {
            return Err(Error::new(
                ErrorCode::Definition,
                "hours and minutes cannot be combined with months, days, business_days or time",
            ));
        }
        let at = match anchor {
            AnchorValue::Instant(at) => at,
            AnchorValue::LocalDate(date) => {
                ctx.zones.to_utc(ctx.zone, date.and_time(NaiveTime::MIN))?
            }
            AnchorValue::LocalTimestamp(at) => ctx.zones.to_utc(ctx.zone, at)?,
        };
        let minutes = self
            .hours
            .checked_mul(60)
            .and_then(|minutes| minutes.checked_add(self.minutes));
        minutes
            .and_then(TimeDelta::try_minutes)
            .and_then(|offset| at.checked_add_signed(offset))
            .filter(|at| YEARS.contains(&at.year()))
            .ok_or_else(|| self.out_of_range())
    }

    fn resolve_day(&self, anchor: NaiveDate, ctx: &DateContext<'_>) -> Result<NaiveDate, Error> {
        let months = Months::new(self.months.unsigned_abs());
        let days = Days::new(u64::from(self.days.unsigned_abs()));
        let counted = if self.months < 0 {
            anchor.checked_sub_months(months)
        } else {
            anchor.checked_add_months(months)
        };
        let counted = counted.and_then(|d| {
            if self.days < 0 {
                d.checked_sub_days(days)
            } else {
                d.checked_add_days(days)
            }
        });
        let counted = counted
            .filter(|d| YEARS.contains(&d.year()))
            .ok_or_else(|| self.out_of_range())?;
        if !self.needs_calendar(ctx.default_roll) {
            return Ok(counted);
        }
        let calendar = ctx
            .calendars
            .calendar(self.calendar.as_deref().unwrap_or(ctx.default_calendar))?;
        calendar.roll(
            calendar.add_business_days(counted, self.business_days)?,
            self.effective_roll(ctx.default_roll),
        )
    }

    /// The roll that this rule is subject to. "At once" means at once, on a Sunday too, unless the rule itself says
    /// otherwise; and hours are exact.
    fn effective_roll(&self, default_roll: Roll) -> Roll {
        match self.roll {
            _ if self.is_exact() => Roll::None,
            Some(roll) => roll,
            None if self.is_bare()
                && matches!(self.anchor, Anchor::CaseStart | Anchor::PreviousDone) =>
            {
                Roll::None
            }
            None => default_roll,
        }
    }

    fn is_exact(&self) -> bool {
        self.hours != 0 || self.minutes != 0
    }

    fn counts_days(&self) -> bool {
        self.months != 0 || self.days != 0 || self.business_days != 0
    }

    /// Neither offset nor time of day: the moment of the anchor itself.
    fn is_bare(&self) -> bool {
        !self.is_exact() && !self.counts_days() && self.time.is_none()
    }

    #[cold]
    fn out_of_range(&self) -> Error {
        Error::new(
            ErrorCode::Anchor,
            format!("the date counted from \"{}\" is out of range", self.anchor),
        )
        .detail("Dates run from year 1 to year 9999.")
        .hint("Correct the anchor's date or the rule's offset.")
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The number that these ASCII digits write; None if one of them is no digit. For up to nine of them.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u32::from(byte - b'0'))
    })
}

/// Minutes since midnight from `HH:MM`, 00:00 to 24:00.
pub(crate) fn parse_hh_mm(text: &str) -> Option<u16> {
    let [h1, h2, b':', m1, m2] = *text.as_bytes() else {
        return None;
    };
    let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
    if minutes > 59 {
        None
    } else {
        u16::try_from(hours * 60 + minutes)
            .ok()
            .filter(|all| *all <= 24 * 60)
    }
}

/// An optional time of day as `HH:MM`.
mod time_of_day {
    use serde::{Deserializer, Serializer, de};

    use super::*;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<NaiveTime>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| format!("{:02}:{:02}", time.hour(), time.minute()))
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<NaiveTime>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        parse_hh_mm(&text)
            .and_then(|minutes| {
                NaiveTime::from_num_seconds_from_midnight_opt(u32::from(minutes) * 60, 0)
            })
            .map(Some)
            .ok_or_else(|| {
                de::Error::custom(format!(
                    "\"{text}\" is no time of day: expected \"HH:MM\", 00:00 to 23:59"
                ))
            })
    }

    pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "null"], "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" })
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
