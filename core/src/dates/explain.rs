//! A date rule in words: what it counts from, how far, and why it did not stay where it fell.

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

use super::{Anchor, AnchorValue, DateContext, DateRule};
use crate::calendar::Roll;
use crate::error::Error;

/// A local date as people read it.
const DAY: &str = "%a %Y-%m-%d";
/// A local time as people read it.
const TIME: &str = "%a %Y-%m-%d %H:%M";

/// A local time; its time of day only where it is not midnight.
pub fn local_text(at: NaiveDateTime) -> String {
    let midnight = at.time() == chrono::NaiveTime::MIN;
    at.format(if midnight { DAY } else { TIME }).to_string()
}

impl DateRule {
    /// The rule as a phrase: `11 months before end_date`, `10 business days after the step before it`.
    pub fn phrase(&self) -> String {
        let anchor = match &self.anchor {
            Anchor::CaseStart => "the start of the case".to_owned(),
            Anchor::PreviousDone => "the step before it".to_owned(),
            Anchor::Step(name) => format!("step \"{name}\""),
            Anchor::Subject(column) => column.clone(),
        };
        let parts = [
            (i64::from(self.months), "month"),
            (i64::from(self.days), "day"),
            (i64::from(self.business_days), "business day"),
            (self.hours, "hour"),
            (self.minutes, "minute"),
        ];
        let counted: Vec<_> = parts.iter().filter(|(n, _)| *n != 0).collect();
        let one_way = counted.iter().all(|(n, _)| *n < 0) || counted.iter().all(|(n, _)| *n > 0);
        let texts: Vec<String> = counted
            .iter()
            .map(|(n, unit)| {
                let many = if n.unsigned_abs() == 1 { "" } else { "s" };
                let sign = if !one_way && *n < 0 { "minus " } else { "" };
                format!("{sign}{} {unit}{many}", n.unsigned_abs())
            })
            .collect();
        let mut phrase = match counted.first() {
            None => format!("at {anchor}"),
            Some((n, _)) if one_way && *n < 0 => format!("{} before {anchor}", texts.join(" and ")),
            Some(_) => format!("{} after {anchor}", texts.join(" and ")),
        };
        if let Some(time) = self.time {
            phrase.push_str(&time.format(", at %H:%M").to_string());
        }
        phrase
    }

    /// How the date came about, from the anchor's value to the roll, in full sentences' worth of clauses.
    ///
    /// # Errors
    /// As [`DateRule::resolve`].
    pub fn story(
        &self,
        anchor: AnchorValue,
        ctx: &DateContext<'_>,
    ) -> Result<(DateTime<Utc>, String), Error> {
        let at = self.resolve(anchor, ctx)?;
        let local = ctx.zones.to_local(ctx.zone, at)?;
        let from = match anchor {
            AnchorValue::Instant(at) => ctx.zones.to_local(ctx.zone, at)?.format(TIME).to_string(),
            AnchorValue::LocalDate(day) => day.format(DAY).to_string(),
            AnchorValue::LocalTimestamp(at) => local_text(at),
        };
        let mut story = format!("{} ({from})", self.phrase());
        let calendar = self.calendar.as_deref().unwrap_or(ctx.default_calendar);
        if self.business_days != 0 {
            story.push_str(&format!(", calendar {calendar}"));
        }
        let unrolled = Self {
            roll: Some(Roll::None),
            ..self.clone()
        };
        let fell = ctx
            .zones
            .to_local(ctx.zone, unrolled.resolve(anchor, ctx)?)?;
        if fell.date() != local.date() {
            let roll = self.effective_roll(ctx.default_roll).label();
            let year = if fell.year() == local.year() {
                "%a %m-%d"
            } else {
                DAY
            };
            story.push_str(&format!(
                " is {}, closed in calendar {calendar}; roll {roll}: {}",
                fell.format(DAY),
                local.format(year)
            ));
        }
        story.push_str(&format!("; zone {}", ctx.zone));
        Ok((at, story))
    }
}

impl Roll {
    /// The name that stands in documents.
    pub fn label(self) -> &'static str {
        match self {
            Roll::None => "none",
            Roll::Following => "following",
            Roll::Preceding => "preceding",
            Roll::ModifiedFollowing => "modified_following",
            Roll::ModifiedPreceding => "modified_preceding",
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;
    use crate::calendar::testing::{ShippedCalendars, utc};
    use crate::dates::testing::in_amsterdam;

    fn story(rule: &str, anchor: AnchorValue) -> String {
        let rule: DateRule = serde_json::from_str(rule).unwrap();
        let calendars = ShippedCalendars::new();
        let ctx = in_amsterdam(&calendars, "TARGET", Roll::Following);
        let (at, story) = rule.story(anchor, &ctx).unwrap();
        assert_eq!(at, rule.resolve(anchor, &ctx).unwrap());
        story
    }

    fn day(year: i32, month: u32, day: u32) -> AnchorValue {
        AnchorValue::LocalDate(NaiveDate::from_ymd_opt(year, month, day).unwrap())
    }

    #[test]
    fn s13_a_story_names_anchor_offset_roll_and_zone() {
        assert_eq!(
            story(
                r#"{"anchor": "subject.end_date", "months": -11}"#,
                day(2027, 1, 31)
            ),
            "11 months before end_date (Sun 2027-01-31) is Sat 2026-02-28, closed in calendar TARGET; \
             roll following: Mon 03-02; zone Europe/Amsterdam"
        );
        assert_eq!(
            story(
                r#"{"anchor": "subject.due_date", "days": 30, "roll": "modified_following", "time": "09:30"}"#,
                day(2026, 5, 1)
            ),
            "30 days after due_date, at 09:30 (Fri 2026-05-01) is Sun 2026-05-31, closed in calendar TARGET; \
             roll modified_following: Fri 05-29; zone Europe/Amsterdam"
        );
    }

    #[test]
    fn s15_a_story_names_the_calendar_that_counts_business_days() {
        let from = AnchorValue::Instant(utc("2026-04-01 10:00"));
        assert_eq!(
            story(r#"{"business_days": 5, "calendar": "NL"}"#, from),
            "5 business days after the step before it (Wed 2026-04-01 12:00), calendar NL; zone Europe/Amsterdam"
        );
        assert_eq!(
            story(r#"{"anchor": "step.x", "hours": 1, "minutes": -5}"#, from),
            "1 hour and minus 5 minutes after step \"x\" (Wed 2026-04-01 12:00); zone Europe/Amsterdam"
        );
    }
}
