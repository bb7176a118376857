//! What templates do with lists: loops, ranges, slices, and the lists that filters work on.

use std::rc::Rc;

use super::machine::{Machine, Outcome, fail};
use super::scope::{element, elements, field};
use super::tree::{Expr, For};
use super::value::{Loop, Num, Val};

/// Numbers that one `range` gives at most.
const MAX_RANGE: i64 = 10_000;

impl<'a> Machine<'a> {
    pub(super) fn each(&mut self, each: &'a For) -> Outcome<()> {
        let line = each.over.line;
        let over = self.eval(&each.over)?;
        let items = elements(&over).or_else(|message| fail(line, message))?;
        self.spend_elements(line, items.len())?;
        let before = self.locals.len();
        let kept: Rc<[Val<'a>]> = match &each.filter {
            None => items,
            Some(filter) => {
                let mut kept = Vec::new();
                for item in items.iter() {
                    self.bind(each, item)?;
                    if self.eval(filter)?.is_true() {
                        kept.push(item.clone());
                    }
                    self.locals.truncate(before);
                }
                kept.into()
            }
        };
        if kept.is_empty() {
            self.nodes(&each.otherwise)?;
        }
        for (index0, item) in kept.iter().enumerate() {
            self.spend(line, 1)?;
            self.locals.push((
                "loop",
                Val::Loop(Loop {
                    index0,
                    length: kept.len(),
                }),
            ));
            self.bind(each, item)?;
            self.nodes(&each.body)?;
            self.locals.truncate(before);
        }
        // A `set` in the else branch ends with the loop, too.
        self.locals.truncate(before);
        Ok(())
    }

    /// Gives the loop's names their values for one element.
    fn bind(&mut self, each: &'a For, item: &Val<'a>) -> Outcome<()> {
        if let [name] = each.names.as_slice() {
            self.locals.push((name, item.clone()));
            return Ok(());
        }
        let line = each.over.line;
        let parts = elements(item).or_else(|message| fail(line, message))?;
        if parts.len() != each.names.len() {
            return fail(
                line,
                format!(
                    "an element has {} parts, the loop names {}",
                    parts.len(),
                    each.names.len()
                ),
            );
        }
        self.locals.extend(
            each.names
                .iter()
                .zip(parts.iter())
                .map(|(name, part)| (&**name, part.clone())),
        );
        Ok(())
    }

    pub(super) fn slice(
        &mut self,
        line: u32,
        of: &'a Expr,
        start: Option<&'a Expr>,
        end: Option<&'a Expr>,
    ) -> Outcome<Val<'a>> {
        let of = self.eval(of)?;
        let Some(length) = of.length() else {
            return match of {
                Val::None => Ok(Val::None),
                other => fail(line, format!("{} has no parts to cut out", other.kind())),
            };
        };
        let mut bound = |bound: Option<&'a Expr>, absent: usize| -> Outcome<usize> {
            let Some(bound) = bound else {
                return Ok(absent);
            };
            let bound = self.eval(bound)?;
            let position = self.integer(line, &bound)?;
            let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
            Ok(if position < 0 {
                length.saturating_sub(distance)
            } else {
                distance.min(length)
            })
        };
        let (start, end) = (bound(start, 0)?, bound(end, length)?);
        let count = end.saturating_sub(start);
        match &of {
            Val::Text(text) => {
                self.spend_bytes(line, text.len())?;
                Ok(Val::Text(
                    text.chars()
                        .skip(start)
                        .take(count)
                        .collect::<String>()
                        .into(),
                ))
            }
            list => {
                let items = elements(list).or_else(|message| fail(line, message))?;
                self.spend_elements(line, items.len())?;
                Ok(Val::List(
                    items.iter().skip(start).take(count).cloned().collect(),
                ))
            }
        }
    }

    pub(super) fn range(&mut self, line: u32, arguments: &'a [Expr]) -> Outcome<Val<'a>> {
        let mut numbers = Vec::with_capacity(3);
        for argument in arguments {
            let value = self.eval(argument)?;
            numbers.push(self.integer(line, &value)?);
        }
        let (start, end, step) = match numbers.as_slice() {
            [end] => (0, *end, 1),
            [start, end] => (*start, *end, 1),
            [start, end, step, ..] => (*start, *end, *step),
            [] => (0, 0, 1),
        };
        if step == 0 {
            return fail(line, "range needs a step other than 0");
        }
        let span = if step > 0 {
            i128::from(end) - i128::from(start)
        } else {
            i128::from(start) - i128::from(end)
        };
        let width = i128::from(step.unsigned_abs());
        let count = if span <= 0 {
            0
        } else {
            (span + width - 1) / width
        };
        if count > i128::from(MAX_RANGE) {
            return fail(
                line,
                format!("range gives {count} numbers, {MAX_RANGE} are allowed"),
            );
        }
        let count = usize::try_from(count).unwrap_or(0);
        self.spend_elements(line, count)?;
        let numbers =
            std::iter::successors(Some(start), |number| number.checked_add(step)).take(count);
        Ok(Val::List(
            numbers
                .map(|number| Val::Num(Num::Exact(number.into())))
                .collect(),
        ))
    }
}

/// The elements of a list, or of each the field of that name.
pub(super) fn listed<'a>(
    machine: &mut Machine<'a>,
    line: u32,
    value: &Val<'a>,
    name: Option<Val<'a>>,
) -> Outcome<Rc<[Val<'a>]>> {
    let items = elements(value).or_else(|message| fail(line, message))?;
    machine.spend_elements(line, items.len())?;
    let name = match name {
        None => return Ok(items),
        Some(Val::Text(name)) => name,
        Some(other) => {
            return fail(
                line,
                format!("the attribute's name is a text, not {}", other.kind()),
            );
        }
    };
    let fields = items
        .iter()
        .map(|item| match field(machine.scope(), item, &name) {
            Ok(Some(value)) => Ok(value),
            Ok(None) => fail(line, format!("an element has no field \"{}\"", &*name)),
            Err(message) => fail(line, message),
        });
    fields.collect()
}

/// The first (0) or last (-1) element or letter.
pub(super) fn edge<'a>(
    machine: &mut Machine<'a>,
    line: u32,
    value: &Val<'a>,
    position: i64,
) -> Outcome<Val<'a>> {
    if let Val::Text(text) = value {
        machine.spend_bytes(line, text.len())?;
        let letter = if position == 0 {
            text.chars().next()
        } else {
            text.chars().next_back()
        };
        return Ok(letter.map_or(Val::None, |letter| Val::Text(letter.to_string().into())));
    }
    Ok(element(value, position)
        .or_else(|message| fail(line, message))?
        .unwrap_or(Val::None))
}
