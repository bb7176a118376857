//! Dates that move because a case stood still for a while.

use chrono::{DateTime, Days, Utc};

use super::{DateContext, DateRule};
use crate::calendar::{Calendar, Roll};
use crate::error::Error;
use chrono::NaiveDate;

impl DateRule {
    /// A date of this rule after a stretch of time that does not count. Dates in whole days move by the days between
    /// the local dates of `from` and `to`, or by the open days between them (`business`), keep their time of day, and
    /// are rolled onto an open day anew; exact ones (hours and minutes) move by the exact time.
    ///
    /// # Errors
    /// Those of [`DateRule::resolve`].
    pub fn later(
        &self,
        at: DateTime<Utc>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        business: bool,
        ctx: &DateContext<'_>,
    ) -> Result<DateTime<Utc>, Error> {
        if self.is_exact() {
            let moved = at.checked_add_signed(to - from);
            return moved.ok_or_else(|| self.out_of_range());
        }
        let local = ctx.zones.to_local(ctx.zone, at)?;
        let first = ctx.zones.to_local(ctx.zone, from)?.date();
        let last = ctx.zones.to_local(ctx.zone, to)?.date();
        let days = u64::try_from((last - first).num_days()).unwrap_or(0);
        if days == 0 {
            return Ok(at);
        }
        let roll = self.effective_roll(ctx.default_roll);
        let mut day = if business {
            let calendar = ctx.calendars.calendar(self.calendar_name(ctx))?;
            let open = open_days(&calendar, first, last)?;
            calendar.add_business_days(local.date(), open)?
        } else {
            let day = local.date().checked_add_days(Days::new(days));
            day.ok_or_else(|| self.out_of_range())?
        };
        if roll != Roll::None {
            let calendar = ctx.calendars.calendar(self.calendar_name(ctx))?;
            day = calendar.roll(day, roll)?;
        }
        if day == local.date() {
            return Ok(at);
        }
        ctx.zones.to_utc(ctx.zone, day.and_time(local.time()))
    }

    fn calendar_name<'a>(&'a self, ctx: &DateContext<'a>) -> &'a str {
        self.calendar.as_deref().unwrap_or(ctx.default_calendar)
    }
}

/// The open days after `first` up to and including `last`.
fn open_days(calendar: &Calendar, first: NaiveDate, last: NaiveDate) -> Result<i32, Error> {
    let mut count = 0;
    for day in first.iter_days().skip(1).take_while(|day| *day <= last) {
        count += i32::from(calendar.is_open(day)?);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::testing::{ShippedCalendars, TzZones, amsterdam};
    use crate::dates::testing::in_amsterdam;

    #[track_caller]
    fn moved(rule: &str, at: &str, from: &str, to: &str, business: bool) -> String {
        let rule: DateRule = serde_json::from_str(rule).unwrap();
        let calendars = ShippedCalendars::new();
        let ctx = in_amsterdam(&calendars, "TARGET", Roll::Following);
        let later = rule.later(
            amsterdam(at),
            amsterdam(from),
            amsterdam(to),
            business,
            &ctx,
        );
        let local = crate::calendar::Zones::to_local(&TzZones, "Europe/Amsterdam", later.unwrap());
        local.unwrap().format("%a %Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn s8_a_stretch_of_ten_days_in_days_and_in_business_days() {
        let (from, to) = ("2026-06-05 10:00", "2026-06-15 10:00");
        for (at, days, business) in [
            (
                "2026-06-10 00:00",
                "Mon 2026-06-22 00:00",
                "Thu 2026-06-18 00:00",
            ),
            (
                "2026-06-17 00:00",
                "Mon 2026-06-29 00:00",
                "Thu 2026-06-25 00:00",
            ),
        ] {
            assert_eq!(moved(r#"{"days": 30}"#, at, from, to, false), days);
            assert_eq!(moved(r#"{"days": 30}"#, at, from, to, true), business);
        }
    }

    #[test]
    fn a_stretch_within_a_day_moves_exact_dates_only() {
        let (from, to) = ("2026-06-05 10:00", "2026-06-05 12:30");
        let at = "2026-06-06 09:00";
        assert_eq!(
            moved(r#"{"days": 1}"#, at, from, to, false),
            "Sat 2026-06-06 09:00"
        );
        assert_eq!(
            moved(r#"{"hours": 23}"#, at, from, to, true),
            "Sat 2026-06-06 11:30"
        );
    }

    #[test]
    fn the_time_of_day_stays_over_a_change_of_clocks() {
        let (from, to) = ("2026-03-20 10:00", "2026-03-30 10:00");
        let rule = r#"{"days": 1, "time": "09:00", "roll": "none"}"#;
        assert_eq!(
            moved(rule, "2026-03-21 09:00", from, to, false),
            "Tue 2026-03-31 09:00"
        );
    }

    #[test]
    fn a_stretch_over_a_week_end_has_no_open_days() {
        let (from, to) = ("2026-06-05 18:00", "2026-06-07 18:00");
        let at = "2026-06-10 00:00";
        assert_eq!(
            moved(r#"{"days": 1}"#, at, from, to, true),
            "Wed 2026-06-10 00:00"
        );
    }
}
