//! For tests: the shipped calendars, and time zones from chrono-tz in PostgreSQL's reading of skipped and doubled
//! local times.

use std::rc::Rc;

use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::shipped::SHIPPED;
use super::{Calendar, Calendars, Zones};
use crate::error::{Error, ErrorCode};

/// The calendars as a fresh installation has them.
pub(crate) struct ShippedCalendars(Vec<Rc<Calendar>>);

impl ShippedCalendars {
    pub(crate) fn new() -> Self {
        Self(
            SHIPPED
                .iter()
                .map(|c| Rc::new(c.calendar().unwrap()))
                .collect(),
        )
    }
}

impl Calendars for ShippedCalendars {
    fn calendar(&self, name: &str) -> Result<Rc<Calendar>, Error> {
        let found = self.0.iter().find(|c| c.name() == name);
        found.cloned().ok_or_else(|| {
            Error::new(
                ErrorCode::Calendar,
                format!("calendar \"{name}\" does not exist"),
            )
        })
    }
}

/// Zones from chrono-tz.
pub(crate) struct TzZones;

impl TzZones {
    fn zone(name: &str) -> Result<Tz, Error> {
        name.parse().map_err(|_| {
            Error::new(
                ErrorCode::TimeZone,
                format!("time zone \"{name}\" does not exist"),
            )
        })
    }
}

impl Zones for TzZones {
    fn to_utc(&self, zone: &str, local: NaiveDateTime) -> Result<DateTime<Utc>, Error> {
        let tz = Self::zone(zone)?;
        let outside = || Error::new(ErrorCode::Anchor, "out of range");
        Ok(match tz.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(_, at) => at.to_utc(),
            LocalResult::None => {
                // No gap is longer than a day, so 25 hours before is before the gap.
                let before = local
                    .checked_sub_signed(TimeDelta::hours(25))
                    .ok_or_else(outside)?;
                let offset = tz
                    .from_local_datetime(&before)
                    .latest()
                    .ok_or_else(outside)?
                    .offset()
                    .fix();
                local
                    .checked_sub_offset(offset)
                    .ok_or_else(outside)?
                    .and_utc()
            }
        })
    }

    fn to_local(&self, zone: &str, at: DateTime<Utc>) -> Result<NaiveDateTime, Error> {
        Ok(at.with_timezone(&Self::zone(zone)?).naive_local())
    }
}

/// A date from `2026-04-01`.
pub(crate) fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A local time from `2026-04-01 08:00`.
pub(crate) fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap()
}

/// An instant from `2026-04-01 08:00`, UTC.
pub(crate) fn utc(text: &str) -> DateTime<Utc> {
    local(text).and_utc()
}

/// An instant from a local time in Amsterdam.
pub(crate) fn amsterdam(text: &str) -> DateTime<Utc> {
    TzZones.to_utc("Europe/Amsterdam", local(text)).unwrap()
}

#[test]
fn s14_skipped_and_doubled_local_times_are_read_as_postgresql_reads_them() {
    // The right-hand side is what PostgreSQL 15 answers to `timestamp '...' AT TIME ZONE '...'`.
    for (zone, skipped_or_doubled, at) in [
        ("Europe/Amsterdam", "2026-03-29 02:30", "2026-03-29 01:30"),
        ("Europe/Amsterdam", "2026-10-25 02:30", "2026-10-25 01:30"),
        ("Africa/Cairo", "2026-04-24 00:00", "2026-04-23 22:00"),
        ("America/Havana", "2026-11-01 00:30", "2026-11-01 05:30"),
        ("Pacific/Apia", "2011-12-30 10:00", "2011-12-30 20:00"),
        (
            "Australia/Lord_Howe",
            "2026-04-05 01:45",
            "2026-04-04 15:15",
        ),
    ] {
        assert_eq!(
            TzZones.to_utc(zone, local(skipped_or_doubled)).unwrap(),
            utc(at),
            "{zone}"
        );
    }
}
