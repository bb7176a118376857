//! Working calendars: which days are open, counting business days, rolling a date onto an open day.
//!
//! Also the two services that date rules ask of their surroundings: calendars by name ([`Calendars`]) and time zone
//! arithmetic ([`Zones`]). Where the days come from is not decided here: the shell reads `wf.calendars`,
//! `wf.calendar_years` and `wf.holidays`; [`shipped`] computes the ones that come with the extension.

use std::rc::Rc;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode};

pub mod shipped;
#[cfg(test)]
pub(crate) mod testing;

/// The years that dates may lie in. PostgreSQL's text form of a date has four digits and no `BC` in exactly these.
pub const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// Gives calendars by name.
pub trait Calendars {
    /// The calendar of this name; an [`ErrorCode::Calendar`] error if there is none.
    fn calendar(&self, name: &str) -> Result<Rc<Calendar>, Error>;
}

/// Time zone arithmetic. The shell does it with PostgreSQL's own zone database, so that there is only one.
pub trait Zones {
    /// The instant of a local time. A local time that a forward change skips is read with the offset before the
    /// change (02:30 becomes 03:30); one that occurs twice is standard time, the second: as PostgreSQL reads them.
    fn to_utc(&self, zone: &str, local: NaiveDateTime) -> Result<DateTime<Utc>, Error>;

    /// What the clock on the wall shows at an instant.
    fn to_local(&self, zone: &str, at: DateTime<Utc>) -> Result<NaiveDateTime, Error>;
}

/// What happens to a date that falls on a closed day. The names are those of the financial conventions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Roll {
    /// The date stays where it is.
    None,
    /// The next open day.
    #[default]
    Following,
    /// The open day before.
    Preceding,
    /// The next open day, or the one before if the next lies in another month.
    ModifiedFollowing,
    /// The open day before, or the next one if the one before lies in another month.
    ModifiedPreceding,
}

/// A calendar with its open days as one bitmap a known year. Asking it allocates nothing unless it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    name: String,
    /// In ascending order.
    years: Vec<Year>,
}

impl Calendar {
    /// A calendar from its weekly closed days (ISO: 1 is Monday, 7 Sunday), the years it knows, and its holidays in
    /// any order. Holidays in years that are not known are passed over: such a year stays unknown.
    ///
    /// # Errors
    /// [`ErrorCode::Calendar`] if a weekday is not 1 to 7, no weekday is left open, or a year is not 1 to 9999.
    pub fn new(
        name: impl Into<String>,
        closed_weekdays: impl IntoIterator<Item = u8>,
        years: impl IntoIterator<Item = i32>,
        holidays: impl IntoIterator<Item = NaiveDate>,
    ) -> Result<Self, Error> {
        let name = name.into();
        let wrong = |what: String| {
            Error::new(ErrorCode::Calendar, format!("calendar \"{name}\" {what}")).hint(
                "Weekdays are numbered from 1, Monday, to 7, Sunday; years run from 1 to 9999.",
            )
        };
        let mut closed = 0u8;
        for weekday in closed_weekdays {
            if !(1..=7).contains(&weekday) {
                return Err(wrong(format!(
                    "is closed on weekday {weekday}, which does not exist"
                )));
            }
            closed |= 1 << (weekday - 1);
        }
        if closed == 0x7f {
            return Err(wrong("is closed on all seven weekdays".to_owned()));
        }
        let mut known: Vec<i32> = years.into_iter().collect();
        known.sort_unstable();
        known.dedup();
        if let Some(year) = known.iter().find(|year| !YEARS.contains(year)) {
            return Err(wrong(format!("has the year {year}, which is out of range")));
        }
        let mut years: Vec<Year> = known
            .into_iter()
            .map(|year| Year::new(year, closed))
            .collect();
        for day in holidays {
            if let Ok(at) = years.binary_search_by_key(&day.year(), |y| y.year)
                && let Some(year) = years.get_mut(at)
            {
                year.close(day.ordinal0());
            }
        }
        Ok(Self { name, years })
    }

    /// The name that definitions refer to.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the holidays of this year are known, so that dates in it can be computed.
    #[must_use]
    pub fn knows(&self, year: i32) -> bool {
        self.find(year).is_some()
    }

    /// Whether a day is a business day.
    ///
    /// # Errors
    /// [`ErrorCode::Calendar`] if the year is not known: unknown never means "no holidays".
    pub fn is_open(&self, date: NaiveDate) -> Result<bool, Error> {
        Ok(self.year(date.year())?.is_open(date.ordinal0()))
    }

    /// The n-th business day after a date, or before it for a negative n. The date itself does not count and may be
    /// closed; n = 0 leaves it as it is.
    ///
    /// # Errors
    /// [`ErrorCode::Calendar`] if the way leads through a year that is not known.
    pub fn add_business_days(&self, date: NaiveDate, n: i32) -> Result<NaiveDate, Error> {
        let next = match n {
            0 => return Ok(date),
            1.. => date.succ_opt(),
            _ => date.pred_opt(),
        };
        let next = next.ok_or_else(|| self.unknown_year(date.year()))?;
        if n > 0 {
            self.nth_from(next, n.unsigned_abs())
        } else {
            self.nth_back_from(next, n.unsigned_abs())
        }
    }

    /// Moves a date that falls on a closed day, as `roll` says. The result of anything but [`Roll::None`] is open.
    ///
    /// # Errors
    /// [`ErrorCode::Calendar`] if a year that had to be looked at is not known.
    pub fn roll(&self, date: NaiveDate, roll: Roll) -> Result<NaiveDate, Error> {
        // The modified forms look for a day in the same month, hence in the same year: a step at the end of
        // December does not need next year's holidays.
        let same_month = |day: Option<u32>| {
            day.and_then(|ordinal0| date.with_ordinal0(ordinal0))
                .filter(|d| d.month0() == date.month0())
        };
        let ordinal0 = date.ordinal0();
        match roll {
            Roll::None => Ok(date),
            Roll::Following => self.nth_from(date, 1),
            Roll::Preceding => self.nth_back_from(date, 1),
            Roll::ModifiedFollowing => {
                match same_month(self.year(date.year())?.nth_from(ordinal0, 1).ok()) {
                    Some(day) => Ok(day),
                    None => self.nth_back_from(date, 1),
                }
            }
            Roll::ModifiedPreceding => {
                match same_month(self.year(date.year())?.nth_back_from(ordinal0, 1).ok()) {
                    Some(day) => Ok(day),
                    None => self.nth_from(date, 1),
                }
            }
        }
    }

    /// The n-th open day from `date` on, itself included. Ends at the latest in the first year that is not known.
    fn nth_from(&self, date: NaiveDate, n: u32) -> Result<NaiveDate, Error> {
        let (mut year, mut from, mut left) = (date.year(), date.ordinal0(), n);
        loop {
            match self.year(year)?.nth_from(from, left) {
                Ok(ordinal0) => return self.date(year, ordinal0),
                Err(still) => left = still,
            }
            (year, from) = (year + 1, 0);
        }
    }

    /// The n-th open day from `date` backwards, itself included.
    fn nth_back_from(&self, date: NaiveDate, n: u32) -> Result<NaiveDate, Error> {
        let (mut year, mut from, mut left) = (date.year(), date.ordinal0(), n);
        loop {
            match self.year(year)?.nth_back_from(from, left) {
                Ok(ordinal0) => return self.date(year, ordinal0),
                Err(still) => left = still,
            }
            (year, from) = (year - 1, Year::LAST);
        }
    }

    fn date(&self, year: i32, ordinal0: u32) -> Result<NaiveDate, Error> {
        NaiveDate::from_yo_opt(year, ordinal0 + 1).ok_or_else(|| self.unknown_year(year))
    }

    fn find(&self, year: i32) -> Option<&Year> {
        // The years of most calendars have no hole, so this finds nearly every one at once.
        let first = self.years.first()?.year;
        let guess = usize::try_from(year.checked_sub(first)?).ok()?;
        match self.years.get(guess) {
            Some(found) if found.year == year => Some(found),
            _ => self
                .years
                .binary_search_by_key(&year, |y| y.year)
                .ok()
                .and_then(|at| self.years.get(at)),
        }
    }

    fn year(&self, year: i32) -> Result<&Year, Error> {
        self.find(year).ok_or_else(|| self.unknown_year(year))
    }

    #[cold]
    fn unknown_year(&self, year: i32) -> Error {
        let error = Error::new(
            ErrorCode::Calendar,
            format!("calendar \"{}\" does not know the year {year}", self.name),
        )
        .hint(format!(
            "Load its holidays: SELECT wf.load_holidays('{}', {year}, {year}, ARRAY[...]::date[]).",
            self.name.replace('\'', "''")
        ));
        match (self.years.first(), self.years.last()) {
            (Some(first), Some(last)) => error.detail(format!(
                "It knows {} of the years {} to {}.",
                if self.years.len() as i64 == i64::from(last.year - first.year) + 1 {
                    "all"
                } else {
                    "some"
                },
                first.year,
                last.year
            )),
            _ => error.detail("It knows no year at all."),
        }
    }
}

/// The open days of one year: bit `ordinal0 % 64` of word `ordinal0 / 64`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Year {
    year: i32,
    open: [u64; 6],
}

impl Year {
    /// The last bit that can be set: 31 December of a leap year, counted from 0.
    const LAST: u32 = 365;

    fn new(year: i32, closed_weekdays: u8) -> Self {
        let mut this = Self { year, open: [0; 6] };
        let days = NaiveDate::from_ymd_opt(year, 1, 1)
            .into_iter()
            .flat_map(|first| first.iter_days());
        for day in days.take_while(|day| day.year() == year) {
            if closed_weekdays >> day.weekday().num_days_from_monday() & 1 == 0
                && let Some(word) = this.open.get_mut(day.ordinal0() as usize / 64)
            {
                *word |= 1 << (day.ordinal0() % 64);
            }
        }
        this
    }

    fn close(&mut self, ordinal0: u32) {
        if let Some(word) = self.open.get_mut(ordinal0 as usize / 64) {
            *word &= !(1 << (ordinal0 % 64));
        }
    }

    fn is_open(&self, ordinal0: u32) -> bool {
        self.open
            .get(ordinal0 as usize / 64)
            .is_some_and(|word| word >> (ordinal0 % 64) & 1 == 1)
    }

    /// The n-th open day (n >= 1) from a day on, or how many are still to be found after this year.
    fn nth_from(&self, ordinal0: u32, n: u32) -> Result<u32, u32> {
        let (mut left, mut mask) = (n, u64::MAX << (ordinal0 % 64));
        for (base, word) in (0u32..384)
            .step_by(64)
            .zip(self.open)
            .skip(ordinal0 as usize / 64)
        {
            let mut days = word & mask;
            mask = u64::MAX;
            if days.count_ones() >= left {
                for _ in 1..left {
                    days &= days - 1;
                }
                return Ok(base + days.trailing_zeros());
            }
            left -= days.count_ones();
        }
        Err(left)
    }

    /// The n-th open day (n >= 1) from a day backwards, or how many are still to be found before this year.
    fn nth_back_from(&self, ordinal0: u32, n: u32) -> Result<u32, u32> {
        let (mut left, mut mask) = (n, u64::MAX >> (63 - ordinal0 % 64));
        for (base, word) in (0u32..384)
            .step_by(64)
            .zip(self.open)
            .take(ordinal0 as usize / 64 + 1)
            .rev()
        {
            let mut days = word & mask;
            mask = u64::MAX;
            if days.count_ones() >= left {
                for _ in 1..left {
                    days &= !(1 << (63 - days.leading_zeros()));
                }
                return Ok(base + 63 - days.leading_zeros());
            }
            left -= days.count_ones();
        }
        Err(left)
    }
}

#[cfg(test)]
mod tests;
