//! What the operators of templates mean: exact arithmetic, days on dates, and comparisons that know NULL.

use std::cmp::Ordering;

use chrono::{Days, NaiveDate, NaiveTime};

use super::machine::{Machine, Outcome, fail};
use super::scope::elements;
use super::tree::{Comparison, Operator};
use super::value::{Num, Val, parse_date, parse_stamp};

impl<'a> Machine<'a> {
    pub(super) fn calculate(
        &mut self,
        line: u32,
        operator: Operator,
        left: &Val<'a>,
        right: &Val<'a>,
    ) -> Outcome<Val<'a>> {
        match (operator, left, right) {
            // As in SQL: nothing is known about a sum with an unknown part.
            (_, Val::None, _) | (_, _, Val::None) => Ok(Val::None),
            (_, Val::Num(_), Val::Num(_)) => {
                let (left, right) = (self.decimal(line, left)?, self.decimal(line, right)?);
                self.number(
                    line,
                    match operator {
                        Operator::Plus => left.plus(right),
                        Operator::Minus => left.minus(right),
                        Operator::Times => left.times(right),
                        Operator::Divide => left.divided_by(right),
                        Operator::DivideWhole => {
                            left.divided_whole(right).map(|(quotient, _)| quotient)
                        }
                        Operator::Remainder => {
                            left.divided_whole(right).map(|(_, remainder)| remainder)
                        }
                    },
                )
            }
            (Operator::Plus, Val::Text(left), Val::Text(right)) => {
                self.spend_bytes(line, left.len() + right.len())?;
                Ok(Val::Text([&**left, &**right].concat().into()))
            }
            (Operator::Minus, Val::Date(left), Val::Date(right)) => {
                Ok(Val::Num(Num::Exact((*left - *right).num_days().into())))
            }
            (Operator::Plus | Operator::Minus, Val::Date(date), Val::Num(_)) => {
                let days = self.integer(line, right)?;
                let forward = (operator == Operator::Plus) == (days >= 0);
                let days = Days::new(days.unsigned_abs());
                let moved = if forward {
                    date.checked_add_days(days)
                } else {
                    date.checked_sub_days(days)
                };
                moved.map_or_else(
                    || fail(line, "the date is out of range"),
                    |date| Ok(Val::Date(date)),
                )
            }
            _ => fail(
                line,
                format!(
                    "{} {} {} cannot be calculated",
                    left.kind(),
                    operator.sign(),
                    right.kind()
                ),
            ),
        }
    }

    pub(super) fn compare(
        &mut self,
        line: u32,
        comparison: Comparison,
        left: &Val<'a>,
        right: &Val<'a>,
    ) -> Outcome<bool> {
        Ok(match comparison {
            Comparison::Equal => self.equal(line, left, right)?,
            Comparison::Unequal => !self.equal(line, left, right)?,
            Comparison::In => self.contains(line, right, left)?,
            Comparison::NotIn => !self.contains(line, right, left)?,
            // As in SQL: nothing is less or more than an unknown value.
            _ if matches!((left, right), (Val::None, _) | (_, Val::None)) => false,
            ordered => {
                let Some(order) = self.order(line, left, right)? else {
                    return fail(
                        line,
                        format!("{} cannot be compared with {}", left.kind(), right.kind()),
                    );
                };
                match ordered {
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }
            }
        })
    }

    /// Which of two values of the same kind comes first; None if they have no order.
    fn order(&mut self, line: u32, left: &Val<'a>, right: &Val<'a>) -> Outcome<Option<Ordering>> {
        let midnight = |date: &NaiveDate| date.and_time(NaiveTime::MIN);
        Ok(match (left, right) {
            (Val::Num(left), Val::Num(right)) => {
                self.spend_bytes(line, left.bytes() + right.bytes())?;
                Some(left.compare(right))
            }
            (Val::Text(left), Val::Text(right)) => {
                self.spend_bytes(line, left.len().min(right.len()))?;
                Some(left.cmp(right))
            }
            (Val::Date(left), Val::Date(right)) => Some(left.cmp(right)),
            (Val::Stamp(left), Val::Stamp(right)) => Some(left.cmp(right)),
            (Val::Date(left), Val::Stamp(right)) => Some(midnight(left).cmp(right)),
            (Val::Stamp(left), Val::Date(right)) => Some(left.cmp(&midnight(right))),
            // A date in JSON, or written in the template, is a text.
            (Val::Date(left), Val::Text(right)) => parse_date(right).map(|right| left.cmp(&right)),
            (Val::Text(left), Val::Date(right)) => parse_date(left).map(|left| left.cmp(right)),
            (Val::Stamp(left), Val::Text(right)) => {
                parse_stamp(right).map(|right| left.cmp(&right))
            }
            (Val::Text(left), Val::Stamp(right)) => parse_stamp(left).map(|left| left.cmp(right)),
            (Val::Bool(left), Val::Bool(right)) => Some(left.cmp(right)),
            _ => None,
        })
    }

    fn equal(&mut self, line: u32, left: &Val<'a>, right: &Val<'a>) -> Outcome<bool> {
        Ok(match (left, right) {
            (Val::None, Val::None) => true,
            (
                Val::Json(_) | Val::List(_) | Val::Map(_),
                Val::Json(_) | Val::List(_) | Val::Map(_),
            ) => {
                return fail(line, "lists and objects cannot be compared");
            }
            _ => self.order(line, left, right)? == Some(Ordering::Equal),
        })
    }

    fn contains(&mut self, line: u32, container: &Val<'a>, wanted: &Val<'a>) -> Outcome<bool> {
        if let Val::Text(text) = container {
            let part = self.printed(line, wanted)?;
            self.spend_bytes(line, text.len())?;
            return Ok(text.contains(&part));
        }
        let items = elements(container).or_else(|message| fail(line, message))?;
        self.spend_elements(line, items.len())?;
        for item in items.iter() {
            if self.equal(line, item, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
