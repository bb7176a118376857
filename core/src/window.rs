//! Contact windows: on which weekdays and between which hours of the customer's day a message may leave.
//!
//! A window goes by the weekday alone; holidays do not close it, they move steps ([`crate::calendar`]). Its two
//! boundaries on a day are instants, read from local times as [`Zones`] does: in the night of a clock change a
//! boundary that is skipped or occurs twice is one instant like any other, and the window opens once.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::Zones;
use crate::dates::parse_hh_mm;
use crate::error::{Error, ErrorCode};

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// When messages may leave: on these days, from `from` (included) to `to` (excluded) in the customer's zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Text", into = "Text")]
pub struct ContactWindow {
    days: Weekdays,
    /// Minutes since midnight.
    from: u16,
    /// Minutes since midnight, up to 1440.
    to: u16,
}

/// When messages may leave, in the time zone of the customer.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ContactWindow")]
struct Text {
    /// Weekdays and ranges of them, separated by commas: `mon-fri`, `mon,wed,sat`, `mon-sun`.
    #[schemars(regex(
        pattern = r"^(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?( *, *(mon|tue|wed|thu|fri|sat|sun)(-(mon|tue|wed|thu|fri|sat|sun))?)*$"
    ))]
    days: String,
    /// Opens at this local time, `HH:MM`.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    from: String,
    /// Closes at this local time, `HH:MM`, up to 24:00; later than `from`.
    #[schemars(regex(pattern = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    to: String,
}

impl TryFrom<Text> for ContactWindow {
    type Error = Error;

    fn try_from(text: Text) -> Result<Self, Error> {
        let time = |field: &str, text: &str| {
            parse_hh_mm(text).ok_or_else(|| {
                let message = format!("\"{text}\" in \"{field}\" is no time of day: expected \"HH:MM\", 00:00 to 24:00");
                Error::new(ErrorCode::Definition, message)
            })
        };
        let (from, to) = (time("from", &text.from)?, time("to", &text.to)?);
        if from >= to {
            let message = format!(
                "contact window opens at {} and closes at {}: \"from\" must be before \"to\"",
                text.from, text.to
            );
            return Err(Error::new(ErrorCode::Definition, message));
        }
        Ok(Self {
            days: text.days.parse()?,
            from,
            to,
        })
    }
}

impl From<ContactWindow> for Text {
    fn from(window: ContactWindow) -> Self {
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        Self {
            days: window.days.to_string(),
            from: time(window.from),
            to: time(window.to),
        }
    }
}

impl ContactWindow {
    /// When a message that is ready at `at` may leave, and when the window closes after that. Inside a window this
    /// is `at` itself; outside, the next opening.
    ///
    /// # Errors
    /// [`ErrorCode::TimeZone`] for an unknown zone, [`ErrorCode::Anchor`] at the end of the range of dates.
    pub fn opening(
        &self,
        at: DateTime<Utc>,
        zone: &str,
        zones: &dyn Zones,
    ) -> Result<(DateTime<Utc>, DateTime<Utc>), Error> {
        let today = zones.to_local(zone, at)?.date();
        // Within eight days every weekday has come by once. A clock change may swallow a window in the middle of
        // the night, but not the one a week later.
        for day in today.iter_days().take(15).filter(|day| self.days.has(*day)) {
            let closes = self.boundary(day, self.to, zone, zones)?;
            if closes <= at {
                continue;
            }
            let opens = self.boundary(day, self.from, zone, zones)?;
            // A day that the clocks leave out, as Apia's 30 December 2011, would be read as the next one.
            if opens > at && zones.to_local(zone, opens)?.date() != day {
                continue;
            }
            if opens < closes {
                return Ok((opens.max(at), closes));
            }
        }
        Err(Error::new(
            ErrorCode::Anchor,
            "the contact window does not open again before dates end",
        ))
    }

    fn boundary(
        &self,
        day: NaiveDate,
        minutes: u16,
        zone: &str,
        zones: &dyn Zones,
    ) -> Result<DateTime<Utc>, Error> {
        let local = match NaiveTime::from_num_seconds_from_midnight_opt(u32::from(minutes) * 60, 0)
        {
            Some(time) => Some(day.and_time(time)),
            None => day.succ_opt().map(|next| next.and_time(NaiveTime::MIN)),
        };
        let local = local.ok_or_else(|| {
            Error::new(
                ErrorCode::Anchor,
                "the contact window lies beyond the range of dates",
            )
        })?;
        zones.to_utc(zone, local)
    }
}

/// A set of weekdays; bit 0 is Monday. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Weekdays(u8);

impl Weekdays {
    fn has(self, day: NaiveDate) -> bool {
        self.0 >> day.weekday().num_days_from_monday() & 1 == 1
    }
}

impl FromStr for Weekdays {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |name: &str| {
            NAMES.iter().position(|n| *n == name).ok_or_else(|| {
                let message = format!(
                    "unknown weekday \"{name}\" in \"{text}\": expected mon, tue, wed, thu, fri, sat or sun, as in \"mon-fri\" or \"mon,wed,sat\""
                );
                Error::new(ErrorCode::Definition, message)
            })
        };
        let mut days = 0u8;
        for part in text.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            // Through the end of the week if need be: sun-thu.
            let length = (last + 7 - first) % 7;
            for day in first..=first + length {
                days |= 1 << (day % 7);
            }
        }
        Ok(Self(days))
    }
}

impl fmt::Display for Weekdays {
    /// The days from Monday on, three or more in a row as a range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let days: Vec<usize> = (0..7).filter(|day| self.0 >> day & 1 == 1).collect();
        for run in days.chunk_by(|a, b| a + 1 == *b) {
            let names: Vec<&str> = run
                .iter()
                .filter_map(|day| NAMES.get(*day).copied())
                .collect();
            match names.as_slice() {
                [first, _, .., last] => parts.push(format!("{first}-{last}")),
                few => parts.extend(few.iter().map(|name| (*name).to_owned())),
            }
        }
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests;
