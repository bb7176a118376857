//! The calendars that come with the extension, computed: TARGET and NL. `sql/11_calendar_data.sql` is made from here
//! (`scripts/make-calendar-data`), and a test holds the two together. Other calendars are loaded by users.

use std::ops::RangeInclusive;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::Calendar;
use crate::error::Error;

/// The years that the extension ships.
pub const SHIPPED_YEARS: RangeInclusive<i32> = 2020..=2040;

/// The shipped calendars, by name in alphabetical order.
pub const SHIPPED: [Shipped; 2] = [
    Shipped {
        name: "NL",
        description: "Public holidays of the Netherlands",
        holidays: netherlands,
    },
    Shipped {
        name: "TARGET",
        description: "Closing days of the euro payment system",
        holidays: target,
    },
];

/// A calendar that comes with the extension. Saturday and Sunday are closed in all of them.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    pub name: &'static str,
    pub description: &'static str,
    /// The holidays of a year, by day and without doubles; those that fall on a weekend are among them.
    pub holidays: fn(i32) -> Vec<Holiday>,
}

impl Shipped {
    /// The ISO weekdays that every shipped calendar is closed on.
    pub const CLOSED_WEEKDAYS: [u8; 2] = [6, 7];

    /// The calendar of [`SHIPPED_YEARS`], as a fresh installation has it.
    ///
    /// # Errors
    /// None in practice: the years and weekdays are sound.
    pub fn calendar(&self) -> Result<Calendar, Error> {
        let holidays = SHIPPED_YEARS
            .flat_map(|year| (self.holidays)(year))
            .map(|holiday| holiday.day);
        Calendar::new(self.name, Self::CLOSED_WEEKDAYS, SHIPPED_YEARS, holidays)
    }
}

/// A day off and what it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holiday {
    pub day: NaiveDate,
    pub name: &'static str,
}

/// Easter Sunday in the Gregorian calendar, by the anonymous algorithm that J. Meeus prints in "Astronomical
/// Algorithms", chapter 8. None before 1583, when that calendar did not exist yet, and after 9999.
#[must_use]
pub fn easter(year: i32) -> Option<NaiveDate> {
    if !(1583..=9999).contains(&year) {
        return None;
    }
    let a = year % 19;
    let (b, c) = (year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    NaiveDate::from_ymd_opt(year, month.unsigned_abs(), day.unsigned_abs())
}

/// The closing days of TARGET: six a year since 2002 (European Central Bank).
#[must_use]
pub fn target(year: i32) -> Vec<Holiday> {
    collect([
        fixed(year, 1, 1, "New Year's Day"),
        before_easter(year, 2, "Good Friday"),
        after_easter(year, 1, "Easter Monday"),
        fixed(year, 5, 1, "Labour Day"),
        fixed(year, 12, 25, "Christmas Day"),
        fixed(year, 12, 26, "Second Christmas Day"),
    ])
}

/// The public holidays of the Netherlands, since 2014 (Algemene termijnenwet; King's Day took the place of Queen's
/// Day then). Good Friday is none. Liberation Day is a day off for most people in every fifth year only.
#[must_use]
pub fn netherlands(year: i32) -> Vec<Holiday> {
    let kings_day = NaiveDate::from_ymd_opt(year, 4, 27).and_then(|day| {
        if day.weekday() == Weekday::Sun {
            day.pred_opt()
        } else {
            Some(day)
        }
    });
    collect([
        fixed(year, 1, 1, "New Year's Day"),
        after_easter(year, 1, "Easter Monday"),
        named(kings_day, "King's Day"),
        if year % 5 == 0 {
            fixed(year, 5, 5, "Liberation Day")
        } else {
            None
        },
        after_easter(year, 39, "Ascension Day"),
        after_easter(year, 50, "Whit Monday"),
        fixed(year, 12, 25, "Christmas Day"),
        fixed(year, 12, 26, "Second Christmas Day"),
    ])
}

fn named(day: Option<NaiveDate>, name: &'static str) -> Option<Holiday> {
    day.map(|day| Holiday { day, name })
}

fn fixed(year: i32, month: u32, day: u32, name: &'static str) -> Option<Holiday> {
    named(NaiveDate::from_ymd_opt(year, month, day), name)
}

fn before_easter(year: i32, days: u64, name: &'static str) -> Option<Holiday> {
    named(
        easter(year).and_then(|sunday| sunday.checked_sub_days(Days::new(days))),
        name,
    )
}

fn after_easter(year: i32, days: u64, name: &'static str) -> Option<Holiday> {
    named(
        easter(year).and_then(|sunday| sunday.checked_add_days(Days::new(days))),
        name,
    )
}

/// In order, one holiday a day: 5 May 2005 was both Liberation Day and Ascension Day.
fn collect<const N: usize>(days: [Option<Holiday>; N]) -> Vec<Holiday> {
    let mut days: Vec<Holiday> = days.into_iter().flatten().collect();
    days.sort_by_key(|holiday| holiday.day);
    days.dedup_by_key(|holiday| holiday.day);
    days
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    /// What `sql/11_calendar_data.sql` has to say.
    fn shipped_sql() -> String {
        let (first, last) = (SHIPPED_YEARS.start(), SHIPPED_YEARS.end());
        let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let rows = |rows: Vec<String>| rows.join(",\n    ");
        let calendars = SHIPPED
            .iter()
            .map(|c| {
                format!(
                    "({}, {}, '{{6,7}}', true)",
                    quote(c.name),
                    quote(c.description)
                )
            })
            .collect();
        let names: Vec<String> = SHIPPED
            .iter()
            .map(|c| format!("({})", quote(c.name)))
            .collect();
        let holidays = SHIPPED
            .iter()
            .flat_map(|c| {
                SHIPPED_YEARS
                    .flat_map(|year| (c.holidays)(year))
                    .map(|h| (c.name, h))
            })
            .map(|(name, h)| format!("({}, '{}', {}, true)", quote(name), h.day, quote(h.name)))
            .collect();
        let mut sql = String::new();
        writeln!(
            sql,
            "-- The calendars that come with the extension, {first} to {last}: TARGET (closing days of the euro payment system)\n\
             -- and NL. Made by scripts/make-calendar-data from core/src/calendar/shipped.rs; a test compares them."
        )
        .unwrap();
        writeln!(
            sql,
            "INSERT INTO wf.calendars (calendar, description, closed_weekdays, shipped) VALUES\n    {};",
            rows(calendars)
        )
        .unwrap();
        writeln!(
            sql,
            "INSERT INTO wf.calendar_years (calendar, year, shipped)\n    \
             SELECT c.calendar, y.year, true\n    \
             FROM (VALUES {}) AS c (calendar), pg_catalog.generate_series({first}, {last}) AS y (year);",
            names.join(", ")
        )
        .unwrap();
        writeln!(
            sql,
            "INSERT INTO wf.holidays (calendar, day, name, shipped) VALUES\n    {};",
            rows(holidays)
        )
        .unwrap();
        sql
    }

    #[test]
    fn shipped_calendar_data_is_what_the_generator_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../sql/11_calendar_data.sql");
        if std::env::var_os("WRITE_CALENDAR_DATA").is_some() {
            std::fs::write(path, shipped_sql()).unwrap();
        }
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            on_disk == shipped_sql(),
            "sql/11_calendar_data.sql is stale: run scripts/make-calendar-data"
        );
    }

    #[test]
    fn easter_falls_on_the_known_days() {
        for (year, day) in [
            (1583, "1583-04-10"),
            (1818, "1818-03-22"), // the earliest day it can fall on
            (1943, "1943-04-25"), // the latest
            (1954, "1954-04-18"),
            (1981, "1981-04-19"),
            (2000, "2000-04-23"),
            (2019, "2019-04-21"),
            (2024, "2024-03-31"),
            (2026, "2026-04-05"),
            (2027, "2027-03-28"),
            (2038, "2038-04-25"),
            (2049, "2049-04-18"),
        ] {
            assert_eq!(easter(year), Some(date(day)));
        }
        assert_eq!(easter(1582), None);
        assert_eq!(easter(10_000), None);
        for day in (1583..=9999).filter_map(easter) {
            assert_eq!(day.weekday(), Weekday::Sun);
            assert!(
                (3, 22) <= (day.month(), day.day()) && (day.month(), day.day()) <= (4, 25),
                "{day}"
            );
        }
    }

    #[test]
    fn s15_target_2026_and_nl_2026_are_the_published_days() {
        let days = |holidays: Vec<Holiday>| {
            holidays
                .iter()
                .map(|h| h.day.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            days(target(2026)),
            [
                "2026-01-01",
                "2026-04-03",
                "2026-04-06",
                "2026-05-01",
                "2026-12-25",
                "2026-12-26"
            ]
        );
        assert_eq!(
            days(netherlands(2026)),
            [
                "2026-01-01",
                "2026-04-06",
                "2026-04-27",
                "2026-05-14",
                "2026-05-25",
                "2026-12-25",
                "2026-12-26"
            ]
        );
    }

    #[test]
    fn dutch_kings_day_moves_off_sunday_and_liberation_day_comes_every_fifth_year() {
        let has = |year, day: &str, name| {
            netherlands(year).contains(&Holiday {
                day: date(day),
                name,
            })
        };
        assert!(
            has(2025, "2025-04-26", "King's Day"),
            "27 April 2025 is a Sunday"
        );
        assert!(
            has(2031, "2031-04-26", "King's Day"),
            "27 April 2031 is a Sunday"
        );
        assert!(
            has(2024, "2024-04-27", "King's Day"),
            "a Saturday does not move it"
        );
        for year in SHIPPED_YEARS {
            assert_eq!(
                netherlands(year).iter().any(|h| h.name == "Liberation Day"),
                year % 5 == 0,
                "{year}"
            );
            assert!(!netherlands(year).iter().any(|h| h.name == "Good Friday"));
        }
    }

    #[test]
    fn two_holidays_on_one_day_are_one_row() {
        // Easter was on 27 March then, so Ascension Day was on 5 May.
        assert_eq!(
            netherlands(2005)
                .iter()
                .filter(|h| h.day == date("2005-05-05"))
                .count(),
            1
        );
    }
}
