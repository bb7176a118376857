//! Numbers, amounts and dates the way readers of a language write them, from the Unicode CLDR by way of ICU4X.
//!
//! No digit is ever dropped: an amount with more decimals than its currency has is shown with all of them.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use fixed_decimal::Decimal as Fixed;
use icu_calendar::cal::Gregorian;
use icu_datetime::FixedCalendarDateTimeFormatter as Formatter;
use icu_datetime::fieldsets::{YMD, YMDT};
use icu_datetime::input::{Date, DateTime, Time};
use icu_datetime::options::YearStyle;
use icu_decimal::DecimalFormatter;
use icu_locale_core::Locale;

use super::{locale, money};

/// Languages that a thread keeps ready. Locales come from data, so there may be any number of them.
const KEPT_LANGUAGES: usize = 64;

/// How long a date is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// 4/1/2026
    Short,
    /// Apr 1, 2026
    Medium,
    /// April 1, 2026
    Long,
    /// 2026-04-01
    Iso,
}

impl Style {
    pub(super) const NAMES: [&'static str; 4] = ["short", "medium", "long", "iso"];

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "short" => Self::Short,
            "medium" => Self::Medium,
            "long" => Self::Long,
            "iso" => Self::Iso,
            _ => return None,
        })
    }
}

/// Everything needed to write for one language; the parts are made when first used.
pub(super) struct Formats {
    tag: String,
    locale: Locale,
    decimal: OnceCell<DecimalFormatter>,
    dates: [OnceCell<Formatter<Gregorian, YMD>>; 3],
    stamps: [OnceCell<Formatter<Gregorian, YMDT>>; 3],
}

thread_local! {
    static READY: RefCell<HashMap<String, Rc<Formats>>> = RefCell::default();
}

impl Formats {
    /// The formats for a normalized tag. A tag that Unicode does not know gets those of its language, or neutral ones.
    pub(super) fn of(tag: &str) -> Rc<Self> {
        READY.with(|ready| {
            if let Some(found) = ready.borrow().get(tag) {
                return found.clone();
            }
            let made = Rc::new(Self::new(tag));
            let mut ready = ready.borrow_mut();
            if ready.len() >= KEPT_LANGUAGES {
                ready.clear();
            }
            ready.insert(tag.to_owned(), made.clone());
            made
        })
    }

    fn new(tag: &str) -> Self {
        let locale = locale::fallbacks(tag)
            .find_map(|tag| Locale::try_from_str(tag).ok())
            .unwrap_or(Locale::UNKNOWN);
        Self {
            tag: tag.to_owned(),
            locale,
            decimal: OnceCell::new(),
            dates: Default::default(),
            stamps: Default::default(),
        }
    }

    /// A number in plain notation with grouping and the language's decimal mark; at least `places` decimals.
    pub(super) fn number(&self, plain: &str, places: i16) -> Result<String, String> {
        let mut number: Fixed = plain
            .parse()
            .map_err(|e| format!("{plain} is not a number that can be formatted ({e})"))?;
        // Padding to fewer decimals than there are would cut off their zeros.
        let given = plain
            .split_once('.')
            .map_or(0, |(_, fraction)| fraction.len());
        number
            .absolute
            .pad_end(-places.max(i16::try_from(given).unwrap_or(places)));
        Ok(self.decimal()?.format(&number).to_string())
    }

    /// An amount with its currency, which is three capital letters. At least the currency's decimals, and all given ones.
    pub(super) fn money(&self, plain: &str, code: &str) -> Result<String, String> {
        let plain = if plain.contains('.') {
            plain.trim_end_matches('0').trim_end_matches('.')
        } else {
            plain
        };
        let places = money::decimals(code);
        let unsigned = plain.strip_prefix('-');
        let (language, region) = (locale::language(&self.tag), locale::region(&self.tag));
        if (language, region) == ("de", Some("at")) {
            // Austria groups amounts of money with points, other numbers with blanks; ICU4X knows the latter only.
            let german = Self::of("de");
            let digits = german.number(unsigned.unwrap_or(plain), places)?;
            return Ok(money::assemble(code, language, region, &digits, unsigned));
        }
        let digits = self.number(unsigned.unwrap_or(plain), places)?;
        let signed = unsigned.map(|_| self.number(plain, places)).transpose()?;
        Ok(money::assemble(
            code,
            language,
            region,
            &digits,
            signed.as_deref(),
        ))
    }

    /// A date in the given style.
    pub(super) fn date(&self, date: NaiveDate, style: Style) -> Result<String, String> {
        let (slot, fields) = match style {
            Style::Iso => return Ok(date.to_string()),
            Style::Short => (0, YMD::short().with_year_style(YearStyle::Full)),
            Style::Medium => (1, YMD::medium().with_year_style(YearStyle::Full)),
            Style::Long => (2, YMD::long().with_year_style(YearStyle::Full)),
        };
        let formatter = self.dates.get(slot).ok_or("no such style")?;
        let made = match formatter.get() {
            Some(made) => made,
            None => {
                let made = Formatter::try_new((&self.locale).into(), fields)
                    .map_err(|e| self.failed(&e))?;
                formatter.get_or_init(|| made)
            }
        };
        Ok(made.format(&gregorian(date)?).to_string())
    }

    /// A date and time, to the minute, in the given style; to the second in ISO.
    pub(super) fn stamp(&self, stamp: NaiveDateTime, style: Style) -> Result<String, String> {
        let (slot, fields) = match style {
            Style::Iso => return Ok(stamp.format("%Y-%m-%dT%H:%M:%S").to_string()),
            Style::Short => (
                0,
                YMD::short().with_year_style(YearStyle::Full).with_time_hm(),
            ),
            Style::Medium => (
                1,
                YMD::medium()
                    .with_year_style(YearStyle::Full)
                    .with_time_hm(),
            ),
            Style::Long => (
                2,
                YMD::long().with_year_style(YearStyle::Full).with_time_hm(),
            ),
        };
        let formatter = self.stamps.get(slot).ok_or("no such style")?;
        let made = match formatter.get() {
            Some(made) => made,
            None => {
                let made = Formatter::try_new((&self.locale).into(), fields)
                    .map_err(|e| self.failed(&e))?;
                formatter.get_or_init(|| made)
            }
        };
        let part = |value: u32| u8::try_from(value).unwrap_or(0);
        let time = Time::try_new(
            part(stamp.hour()),
            part(stamp.minute()),
            part(stamp.second()),
            0,
        )
        .map_err(|e| format!("{stamp} cannot be formatted ({e})"))?;
        Ok(made
            .format(&DateTime {
                date: gregorian(stamp.date())?,
                time,
            })
            .to_string())
    }

    fn decimal(&self) -> Result<&DecimalFormatter, String> {
        if let Some(made) = self.decimal.get() {
            return Ok(made);
        }
        let made = DecimalFormatter::try_new((&self.locale).into(), Default::default())
            .map_err(|e| self.failed(&e))?;
        Ok(self.decimal.get_or_init(|| made))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> String {
        format!("locale \"{}\" has no formats ({error})", self.tag)
    }
}

fn gregorian(date: NaiveDate) -> Result<Date<Gregorian>, String> {
    let part = |value: u32| u8::try_from(value).unwrap_or(0);
    Date::try_new_gregorian(date.year(), part(date.month()), part(date.day()))
        .map_err(|e| format!("{date} cannot be formatted ({e})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(tag: &str, amount: &str, code: &str) -> String {
        Formats::of(tag).money(amount, code).expect("an amount")
    }

    #[test]
    fn amounts_are_written_as_the_language_writes_them() {
        for (tag, amount, code, expected) in [
            ("en", "1000.00", "EUR", "€1,000.00"),
            ("en", "-1000", "USD", "-$1,000.00"),
            ("nl", "1000.00", "EUR", "€ 1.000,00"),
            ("nl", "-1000.00", "EUR", "€ -1.000,00"),
            ("nl", "1000", "USD", "US$ 1.000,00"),
            ("de", "1000", "EUR", "1.000,00 €"),
            ("de", "-1000", "EUR", "-1.000,00 €"),
            ("de-at", "1000", "EUR", "€ 1.000,00"),
            ("de-ch", "1000", "CHF", "CHF 1'000.00"),
            ("fr", "1000", "EUR", "1\u{202f}000,00 €"),
            ("en", "1000", "CHF", "CHF 1,000.00"),
            ("en-gb", "12.5", "GBP", "£12.50"),
            ("ja", "1000", "JPY", "¥1,000"),
            ("en", "1.5", "KWD", "KWD 1.500"),
            ("en", "5", "BHD", "BHD 5.000"),
            ("pt-br", "-5", "BRL", "-R$ 5,00"),
            ("en", "1", "XYZ", "XYZ 1.00"),
            ("de", "1", "XYZ", "1,00 XYZ"),
        ] {
            assert_eq!(money(tag, amount, code), expected, "{tag} {amount} {code}");
        }
    }

    #[test]
    fn no_digit_of_an_amount_is_dropped() {
        assert_eq!(
            money("en", "12345678901234567890.12", "EUR"),
            "€12,345,678,901,234,567,890.12"
        );
        assert_eq!(money("en", "0.005", "EUR"), "€0.005");
        assert_eq!(money("en", "1.2300", "EUR"), "€1.23");
        assert_eq!(money("en", "1.5", "JPY"), "¥1.5");
        assert_eq!(money("en", "10.00", "JPY"), "¥10");
        assert_eq!(money("en", "1000000", "JPY"), "¥1,000,000");
        assert_eq!(
            Formats::of("nl").number("1234.5670", 0).as_deref(),
            Ok("1.234,5670")
        );
    }

    #[test]
    fn dates_are_written_as_the_language_writes_them() {
        let date = NaiveDate::from_ymd_opt(2026, 4, 1).expect("a date");
        for (tag, style, expected) in [
            ("en", Style::Short, "4/1/2026"),
            ("en", Style::Medium, "Apr 1, 2026"),
            ("en", Style::Long, "April 1, 2026"),
            ("en-gb", Style::Medium, "1 Apr 2026"),
            ("nl", Style::Medium, "1 apr 2026"),
            ("nl", Style::Long, "1 april 2026"),
            ("de", Style::Long, "1. April 2026"),
            ("fr", Style::Long, "1 avril 2026"),
            ("xx-nowhere", Style::Iso, "2026-04-01"),
        ] {
            assert_eq!(
                Formats::of(tag).date(date, style).as_deref(),
                Ok(expected),
                "{tag} {style:?}"
            );
        }
        let stamp = date.and_hms_opt(13, 30, 0).expect("a time");
        assert_eq!(
            Formats::of("nl").stamp(stamp, Style::Medium).as_deref(),
            Ok("1 apr 2026, 13:30")
        );
        assert_eq!(
            Formats::of("de").stamp(stamp, Style::Iso).as_deref(),
            Ok("2026-04-01T13:30:00")
        );
    }

    #[test]
    fn any_text_for_a_locale_gives_some_format() {
        let date = NaiveDate::from_ymd_opt(2026, 4, 1).expect("a date");
        for tag in [
            "",
            "-",
            "xx",
            "q-q-q",
            "nl-be-u-nu-arab",
            "zz-zz-zz",
            "日本",
            "nl--",
            "a-very-long-tag-that-is-none",
        ] {
            let formats = Formats::of(tag);
            assert!(formats.number("1234.5", 0).is_ok(), "{tag}");
            assert!(formats.date(date, Style::Long).is_ok(), "{tag}");
        }
    }
}
