//! Numbers as templates see them: exact decimals, never floating point.
//!
//! A column's number stays the text that PostgreSQL wrote, so that printing it loses no digit; only arithmetic turns it
//! into a scaled integer. How a number looks in a language is in `formats`.

use std::cmp::Ordering;
use std::fmt;

/// Digits that an `i128` always holds; longer numbers can be printed and compared, not calculated with.
const MAX_DIGITS: usize = 38;

/// Decimals that a division keeps at most, as PostgreSQL does for small numerics.
const DIVISION_SCALE: u32 = 16;

/// Whether a text is a number in plain notation: `-12.50`, no exponent, no `NaN`.
pub(super) fn is_plain(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole) && fraction.is_none_or(digits)
}

/// Orders two plain numbers of any length by value: `1.0` equals `1.00`.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (left, right) = (Plain::of(left), Plain::of(right));
    match (left.negative, right.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => left.compare_magnitude(&right),
        (true, true) => right.compare_magnitude(&left),
    }
}

/// Whether a plain number is zero.
pub(super) fn is_zero(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0' | b'.' | b'-'))
}

/// The parts of a plain number without the zeros that do not count.
struct Plain<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> Plain<'a> {
    fn of(text: &'a str) -> Self {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let (whole, fraction) = (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        let zero = whole.is_empty() && fraction.is_empty();
        Self {
            negative: text.starts_with('-') && !zero,
            whole,
            fraction,
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        // Fractions without trailing zeros order like words: "5" < "50…1" because a prefix comes first.
        let whole = self
            .whole
            .len()
            .cmp(&other.whole.len())
            .then_with(|| self.whole.cmp(other.whole));
        whole.then_with(|| self.fraction.cmp(other.fraction))
    }
}

/// A number that can be calculated with: `units / 10^scale`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    units: i128,
    scale: u32,
}

impl Decimal {
    /// Reads a plain number; None if it has more digits than can be calculated with.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_DIGITS + 2 || !is_plain(text) {
            return None;
        }
        let negative = text.starts_with('-');
        let (mut units, mut scale, mut after_point) = (0_i128, 0, false);
        for byte in text.bytes() {
            match byte {
                b'.' => after_point = true,
                b'0'..=b'9' => {
                    units = units
                        .checked_mul(10)?
                        .checked_add(i128::from(byte - b'0'))?;
                    scale += u32::from(after_point);
                }
                _ => {}
            }
        }
        Some(Self {
            units: if negative {
                units.checked_neg()?
            } else {
                units
            },
            scale,
        })
    }

    pub(crate) fn is_zero(self) -> bool {
        self.units == 0
    }

    pub(crate) fn negated(self) -> Option<Self> {
        Some(Self {
            units: self.units.checked_neg()?,
            scale: self.scale,
        })
    }

    /// Whether it is below zero.
    pub(crate) fn is_negative(self) -> bool {
        self.units < 0
    }

    pub(super) fn absolute(self) -> Option<Self> {
        Some(Self {
            units: self.units.checked_abs()?,
            scale: self.scale,
        })
    }

    /// The number as an integer if it is one.
    pub(super) fn to_integer(self) -> Option<i64> {
        let unit = 10_i128.checked_pow(self.scale)?;
        (self.units % unit == 0).then(|| i64::try_from(self.units / unit).ok())?
    }

    fn rescaled(self, scale: u32) -> Option<i128> {
        self.units
            .checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    /// Both numbers in the finer of their units.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescaled(scale)?, other.rescaled(scale)?, scale))
    }

    pub(crate) fn compare(self, other: Self) -> Option<Ordering> {
        let (left, right, _) = self.aligned(other)?;
        Some(left.cmp(&right))
    }

    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self {
            units: left.checked_add(right)?,
            scale,
        })
    }

    pub(crate) fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated()?)
    }

    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let scale = self.scale.checked_add(other.scale).filter(|s| *s <= 38)?;
        Some(Self {
            units: self.units.checked_mul(other.units)?,
            scale,
        })
    }

    /// The quotient, to sixteen decimals (fewer only if the digits do not fit), rounded half away from zero.
    pub(super) fn divided_by(self, other: Self) -> Option<Self> {
        if other.units == 0 {
            return None;
        }
        (self.scale.max(2)..=DIVISION_SCALE.max(self.scale))
            .rev()
            .find_map(|scale| {
                // units1/10^s1 divided by units2/10^s2, in units of 10^-scale
                let numerator = self
                    .units
                    .checked_mul(10_i128.checked_pow(scale + other.scale - self.scale)?)?;
                let units = divide_rounding(numerator, other.units)?;
                Some(Self { units, scale }.without_trailing_zeros(0))
            })
    }

    /// The whole quotient (rounded down) and the remainder, which has the divisor's sign or is zero.
    pub(super) fn divided_whole(self, other: Self) -> Option<(Self, Self)> {
        let (left, right, scale) = self.aligned(other)?;
        let mut quotient = left.checked_div(right)?;
        let mut remainder = left.checked_rem(right)?;
        if remainder != 0 && (remainder < 0) != (right < 0) {
            quotient -= 1;
            remainder += right;
        }
        Some((
            Self {
                units: quotient,
                scale: 0,
            },
            Self {
                units: remainder,
                scale,
            },
        ))
    }

    /// Rounded half away from zero, as PostgreSQL's `round(numeric, int)`; with exactly that many decimals.
    pub(crate) fn rounded(self, places: u32) -> Option<Self> {
        if self.scale <= places {
            return Some(Self {
                units: self.rescaled(places)?,
                scale: places,
            });
        }
        let units = divide_rounding(self.units, 10_i128.checked_pow(self.scale - places)?)?;
        Some(Self {
            units,
            scale: places,
        })
    }

    /// The quotient with exactly that many decimals, rounded once, half away from zero.
    pub(crate) fn divided_and_rounded(self, other: Self, places: u32) -> Option<Self> {
        let up = places + other.scale;
        let ten = |power| 10_i128.checked_pow(power);
        let (numerator, denominator) = if up >= self.scale {
            (self.units.checked_mul(ten(up - self.scale)?)?, other.units)
        } else {
            (self.units, other.units.checked_mul(ten(self.scale - up)?)?)
        };
        Some(Self {
            units: divide_rounding(numerator, denominator)?,
            scale: places,
        })
    }

    fn without_trailing_zeros(mut self, keep: u32) -> Self {
        while self.scale > keep && self.units % 10 == 0 {
            self.units /= 10;
            self.scale -= 1;
        }
        self
    }
}

/// Division that rounds half away from zero.
fn divide_rounding(numerator: i128, denominator: i128) -> Option<i128> {
    let quotient = numerator.checked_div(denominator)?;
    let remainder = numerator.checked_rem(denominator)?.unsigned_abs();
    if remainder.checked_mul(2)? < denominator.unsigned_abs() {
        return Some(quotient);
    }
    quotient.checked_add(if (numerator < 0) == (denominator < 0) {
        1
    } else {
        -1
    })
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self {
            units: i128::from(value),
            scale: 0,
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.units.unsigned_abs().to_string();
        let scale = self.scale as usize;
        let sign = if self.units < 0 { "-" } else { "" };
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).expect(text)
    }

    #[test]
    fn plain_numbers_are_told_from_other_texts() {
        for text in ["0", "-1", "12.50", "00012", "99999999999999999999.01"] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "", "-", ".5", "5.", "1e5", "NaN", "Infinity", "+1", "1,5", "1.2.3", "--1",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }

    #[test]
    fn numbers_of_any_length_are_ordered_by_value() {
        let long = "9".repeat(60);
        for (left, right, expected) in [
            ("1.0", "1.00", Ordering::Equal),
            ("-0.00", "0", Ordering::Equal),
            ("0.5", "0.45", Ordering::Greater),
            ("0.5", "0.501", Ordering::Less),
            ("-2", "-10", Ordering::Greater),
            ("007", "6", Ordering::Greater),
            (long.as_str(), "1", Ordering::Greater),
            ("-1", long.as_str(), Ordering::Less),
        ] {
            assert_eq!(compare(left, right), expected, "{left} {right}");
            assert_eq!(compare(right, left), expected.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn arithmetic_is_exact() {
        let text = |d: Option<Decimal>| d.expect("a result").to_string();
        assert_eq!(text(decimal("0.1").plus(decimal("0.20"))), "0.30");
        assert_eq!(text(decimal("1").minus(decimal("1.01"))), "-0.01");
        assert_eq!(
            text(decimal("12345678901234567890.12").plus(decimal("0.01"))),
            "12345678901234567890.13"
        );
        assert_eq!(text(decimal("1.10").times(decimal("-3"))), "-3.30");
        assert_eq!(text(decimal("1").divided_by(decimal("8"))), "0.125");
        assert_eq!(
            text(decimal("1").divided_by(decimal("3"))),
            "0.3333333333333333"
        );
        assert_eq!(
            text(decimal("-7").divided_whole(decimal("2")).map(|r| r.0)),
            "-4"
        );
        assert_eq!(
            text(decimal("-7").divided_whole(decimal("2")).map(|r| r.1)),
            "1"
        );
        assert_eq!(text(decimal("2.345").rounded(2)), "2.35");
        assert_eq!(text(decimal("-2.345").rounded(2)), "-2.35");
        assert_eq!(text(decimal("2").rounded(2)), "2.00");
    }

    #[test]
    fn what_does_not_fit_is_refused_not_wrapped() {
        let big = decimal(&"9".repeat(38));
        assert!(big.times(big).is_none());
        assert!(big.plus(big).is_none_or(|sum| sum.to_string().len() == 39));
        assert!(decimal("1").divided_by(decimal("0.00")).is_none());
        assert!(decimal("1").divided_whole(decimal("0")).is_none());
        assert!(Decimal::parse(&"9".repeat(41)).is_none());
    }
}
