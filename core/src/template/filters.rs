//! The filters (`{{ amount | money("EUR") }}`) and tests (`{% if phone is none %}`) of templates.
//!
//! A filter on nothing (SQL NULL) gives nothing, so that an empty column prints as an empty text; `default` is there for that.

use std::rc::Rc;

use super::formats::Style;
use super::lists::{edge, listed};
use super::machine::{Machine, Outcome, fail};
use super::money;
use super::number::{self, Decimal};
use super::scope::{elements, field};
use super::totals::totals;
use super::tree::{Expr, Kind};
use super::value::{Num, Text, Val, parse_date, parse_stamp};

macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($variant:ident: $($name:literal)|+),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $type { $($variant),+ }

        impl $type {
            /// By the name it has in templates.
            pub(super) fn named(name: &str) -> Option<Self> {
                match name {
                    $($($name)|+ => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// All names, for hints.
            pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
                [$($($name),+),+].into_iter()
            }
        }
    };
}

named! {
    /// The filters that templates have.
    Filter {
        Money: "money", Number: "number", Date: "date", DateTime: "datetime",
        Default: "default" | "d", Length: "length" | "count", Round: "round", Abs: "abs", Sum: "sum",
        Upper: "upper", Lower: "lower", Capitalize: "capitalize", Title: "title", Trim: "trim", Replace: "replace",
        Join: "join", First: "first", Last: "last", Map: "map", Items: "items",
        Totals: "totals",
    }
}

named! {
    /// The tests that templates have.
    Test {
        Defined: "defined", Undefined: "undefined", None: "none", Number: "number", Text: "string",
        Odd: "odd", Even: "even", DivisibleBy: "divisibleby", StartsWith: "startingwith", EndsWith: "endingwith",
    }
}

impl Filter {
    /// The names of the parameters, and how many of them must be given.
    fn parameters(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Money => (&["currency"], 1),
            Self::Number | Self::Round => (&["places"], 0),
            Self::Date | Self::DateTime => (&["style"], 0),
            Self::Default => (&["value", "boolean"], 1),
            Self::Replace => (&["old", "new"], 2),
            Self::Join => (&["separator", "attribute"], 0),
            Self::Sum => (&["attribute"], 0),
            Self::Map => (&["attribute"], 1),
            Self::Totals => (&["amount", "by"], 2),
            _ => (&[], 0),
        }
    }

    /// Whether its arguments are fields of the elements.
    pub(super) fn names_fields(self) -> bool {
        matches!(self, Self::Sum | Self::Map | Self::Totals)
    }

    /// Puts arguments, given by position or by name, into the order of the parameters, and checks what is already known.
    pub(super) fn order(
        self,
        given: Vec<(Option<Box<str>>, Expr)>,
    ) -> Result<Vec<Option<Expr>>, String> {
        let (parameters, needed) = self.parameters();
        let mut ordered: Vec<Option<Expr>> = parameters.iter().map(|_| None).collect();
        for (position, (name, value)) in given.into_iter().enumerate() {
            let slot = match &name {
                None => position,
                Some(name) => parameters
                    .iter()
                    .position(|parameter| **parameter == **name)
                    .ok_or_else(|| format!("the filter has no argument \"{name}\""))?,
            };
            match ordered.get_mut(slot) {
                Some(place @ None) => *place = Some(value),
                Some(_) => return Err("the filter gets an argument twice".to_owned()),
                None => {
                    return Err(format!(
                        "the filter takes at most {} arguments",
                        parameters.len()
                    ));
                }
            }
        }
        if let Some((missing, _)) = parameters
            .iter()
            .zip(&ordered)
            .take(needed)
            .find(|(_, value)| value.is_none())
        {
            return Err(format!("the filter needs its argument \"{missing}\""));
        }
        if let Some(Some(Kind::Text(text))) = ordered
            .first()
            .map(|first| first.as_ref().map(|expr| &*expr.kind))
        {
            match self {
                Self::Money => drop(currency(text)?),
                Self::Date | Self::DateTime => drop(style(text)?),
                _ => {}
            }
        }
        Ok(ordered)
    }
}

impl Test {
    /// How many arguments the test takes.
    pub(super) fn arguments(self) -> usize {
        usize::from(matches!(
            self,
            Self::DivisibleBy | Self::StartsWith | Self::EndsWith
        ))
    }
}

fn currency(text: &str) -> Result<String, String> {
    money::code(text).ok_or_else(|| {
        format!("\"{text}\" is not a currency; write its three letters, such as EUR")
    })
}

fn style(text: &str) -> Result<Style, String> {
    Style::named(text).ok_or_else(|| {
        format!(
            "\"{text}\" is not a date style; there are {}",
            Style::NAMES.join(", ")
        )
    })
}

/// Applies a filter.
pub(super) fn apply<'a>(
    machine: &mut Machine<'a>,
    filter: Filter,
    line: u32,
    value: &'a Expr,
    arguments: &'a [Option<Expr>],
) -> Outcome<Val<'a>> {
    if filter == Filter::Default {
        return default(machine, value, arguments);
    }
    let value = machine.eval(value)?;
    if matches!(value, Val::None) {
        return Ok(if filter == Filter::Length {
            Val::integer(0)
        } else {
            Val::None
        });
    }
    let first = match arguments.first() {
        Some(Some(first)) => Some(machine.eval(first)?),
        _ => None,
    };
    let second = match arguments.get(1) {
        Some(Some(second)) => Some(machine.eval(second)?),
        _ => None,
    };
    match filter {
        Filter::Money | Filter::Number | Filter::Date | Filter::DateTime => {
            formatted(machine, filter, line, &value, first)
        }
        Filter::Upper | Filter::Lower | Filter::Capitalize | Filter::Title | Filter::Trim => {
            cased(machine, filter, line, &value)
        }
        Filter::Replace => replaced(machine, line, &value, first, second),
        Filter::Default => Ok(value),
        Filter::Length => match value.length() {
            Some(length) => {
                if let Val::Text(text) = &value {
                    machine.spend_bytes(line, text.len())?;
                }
                Ok(Val::integer(length))
            }
            None => fail(line, format!("{} has no length", value.kind())),
        },
        Filter::Round => {
            let places = places(machine, line, first)?.unwrap_or(0);
            let rounded = machine.decimal(line, &value)?.rounded(places);
            machine.number(line, rounded)
        }
        Filter::Abs => {
            let absolute = machine.decimal(line, &value)?.absolute();
            machine.number(line, absolute)
        }
        Filter::Sum => {
            let items = listed(machine, line, &value, first)?;
            items.iter().try_fold(
                Val::Num(Num::Exact(Decimal::from(0))),
                |sum, item| match item {
                    Val::None => Ok(sum),
                    item => {
                        let total = machine
                            .decimal(line, &sum)?
                            .plus(machine.decimal(line, item)?);
                        machine.number(line, total)
                    }
                },
            )
        }
        Filter::Map => Ok(Val::List(listed(machine, line, &value, first)?)),
        Filter::Totals => totals(machine, line, &value, first, second),
        Filter::Join => {
            let separator = match first {
                Some(separator) => machine.printed(line, &separator)?,
                None => String::new(),
            };
            let mut joined = String::new();
            for (position, item) in listed(machine, line, &value, second)?.iter().enumerate() {
                if position > 0 {
                    machine.spend_bytes(line, separator.len())?;
                    joined.push_str(&separator);
                }
                joined.push_str(&machine.printed(line, item)?);
            }
            Ok(Val::Text(joined.into()))
        }
        Filter::First => edge(machine, line, &value, 0),
        Filter::Last => edge(machine, line, &value, -1),
        Filter::Items => {
            let keys = elements(&value).or_else(|message| fail(line, message))?;
            machine.spend_elements(line, keys.len())?;
            let pairs = keys.iter().map(|key| match key {
                Val::Text(name) => {
                    let entry = field(machine.scope(), &value, name)
                        .or_else(|message| fail(line, message))?;
                    Ok(Val::List(Rc::new([
                        key.clone(),
                        entry.unwrap_or(Val::None),
                    ])))
                }
                _ => fail(line, "items needs an object"),
            });
            Ok(Val::List(pairs.collect::<Outcome<Rc<[_]>>>()?))
        }
    }
}

/// Nothing and what does not exist become the given value; with `boolean=true` so does what is empty, zero or false.
fn default<'a>(
    machine: &mut Machine<'a>,
    value: &'a Expr,
    arguments: &'a [Option<Expr>],
) -> Outcome<Val<'a>> {
    let found = machine.find(value)?;
    let also_empty = match arguments.get(1) {
        Some(Some(flag)) => machine.eval(flag)?.is_true(),
        _ => false,
    };
    match (found, arguments.first()) {
        (Some(Val::None) | None, Some(Some(instead))) => machine.eval(instead),
        (Some(value), Some(Some(instead))) if also_empty && !value.is_true() => {
            machine.eval(instead)
        }
        (found, _) => Ok(found.unwrap_or(Val::None)),
    }
}

fn places<'a>(machine: &Machine<'a>, line: u32, argument: Option<Val<'a>>) -> Outcome<Option<u32>> {
    let Some(argument) = argument else {
        return Ok(None);
    };
    match u32::try_from(machine.integer(line, &argument)?) {
        Ok(places) if places <= 30 => Ok(Some(places)),
        _ => fail(line, "decimals are a number from 0 to 30"),
    }
}

fn formatted<'a>(
    machine: &mut Machine<'a>,
    filter: Filter,
    line: u32,
    value: &Val<'a>,
    argument: Option<Val<'a>>,
) -> Outcome<Val<'a>> {
    let text = match filter {
        Filter::Money => {
            let code = match &argument {
                Some(Val::Text(code)) => currency(code),
                Some(Val::None) => Err(
                    "the currency is empty; if that is right, write money(currency or \"EUR\")"
                        .into(),
                ),
                _ => Err("the currency is a text of three letters".to_owned()),
            };
            let code = code.or_else(|message| fail(line, message))?;
            let amount = plain(line, value)?;
            machine.spend_bytes(line, amount.len())?;
            machine.formats().money(&amount, &code)
        }
        Filter::Number => {
            let places = places(machine, line, argument)?;
            let number = match places {
                Some(places) => {
                    let parsed = machine
                        .decimal(line, &as_number(line, value)?)?
                        .rounded(places);
                    machine.number(line, parsed)?
                }
                None => as_number(line, value)?,
            };
            let number = plain(line, &number)?;
            machine.spend_bytes(line, number.len())?;
            machine.formats().number(&number, 0)
        }
        _ => {
            let style = match &argument {
                None => Ok(Style::Medium),
                Some(Val::Text(name)) => style(name),
                Some(_) => Err(format!(
                    "a date style is one of {}",
                    Style::NAMES.join(", ")
                )),
            };
            let style = style.or_else(|message| fail(line, message))?;
            let moment = match value {
                Val::Text(text) => parse_date(text)
                    .map(Val::Date)
                    .or_else(|| parse_stamp(text).map(Val::Stamp)),
                other => Some(other.clone()),
            };
            match (filter, moment) {
                (_, Some(Val::Date(date))) => machine.formats().date(date, style),
                (Filter::Date, Some(Val::Stamp(stamp))) => {
                    machine.formats().date(stamp.date(), style)
                }
                (_, Some(Val::Stamp(stamp))) => machine.formats().stamp(stamp, style),
                _ => Err(match value {
                    Val::Text(text) => format!(
                        "\"{}\" is not a date",
                        text.chars().take(40).collect::<String>()
                    ),
                    other => format!("a date is needed here, not {}", other.kind()),
                }),
            }
        }
    };
    match text {
        Ok(text) => Ok(Val::Text(text.into())),
        Err(message) => fail(line, message),
    }
}

/// A number, also from a text that is one, as amounts in JSON often are.
fn as_number<'a>(line: u32, value: &Val<'a>) -> Outcome<Val<'a>> {
    match value {
        Val::Num(_) => Ok(value.clone()),
        Val::Text(text) if number::is_plain(text) => Ok(Val::Num(Num::Plain(text.clone()))),
        Val::Text(text) => fail(
            line,
            format!(
                "\"{}\" is not a number",
                text.chars().take(40).collect::<String>()
            ),
        ),
        other => fail(
            line,
            format!("a number is needed here, not {}", other.kind()),
        ),
    }
}

fn plain<'a>(line: u32, value: &Val<'a>) -> Outcome<Text<'a>> {
    match as_number(line, value)? {
        Val::Num(Num::Plain(text)) => Ok(text),
        Val::Num(Num::Exact(decimal)) => Ok(decimal.to_string().into()),
        other => fail(
            line,
            format!("a number is needed here, not {}", other.kind()),
        ),
    }
}

fn cased<'a>(
    machine: &mut Machine<'a>,
    filter: Filter,
    line: u32,
    value: &Val<'a>,
) -> Outcome<Val<'a>> {
    let text = machine.printed(line, value)?;
    let text = match filter {
        Filter::Upper => text.to_uppercase(),
        Filter::Lower => text.to_lowercase(),
        Filter::Trim => text.trim().to_owned(),
        // The first letter of the text, or of each word, in upper case, the rest in lower case.
        _ => {
            let mut at_start = true;
            let mut changed = String::with_capacity(text.len());
            for letter in text.chars() {
                if at_start {
                    changed.extend(letter.to_uppercase());
                } else {
                    changed.extend(letter.to_lowercase());
                }
                at_start = filter == Filter::Title && !letter.is_alphanumeric() && letter != '\'';
            }
            changed
        }
    };
    Ok(Val::Text(text.into()))
}

fn replaced<'a>(
    machine: &mut Machine<'a>,
    line: u32,
    value: &Val<'a>,
    old: Option<Val<'a>>,
    new: Option<Val<'a>>,
) -> Outcome<Val<'a>> {
    let text = machine.printed(line, value)?;
    let old = machine.printed(line, &old.unwrap_or(Val::None))?;
    let new = machine.printed(line, &new.unwrap_or(Val::None))?;
    if old.is_empty() {
        return fail(line, "replace needs a text to look for");
    }
    // Paid before it is made, as this is where a text can grow at once.
    machine.spend_bytes(line, text.matches(&old).count().saturating_mul(new.len()))?;
    Ok(Val::Text(text.replace(&old, &new).into()))
}

/// Performs a test.
pub(super) fn test<'a>(
    machine: &mut Machine<'a>,
    test: Test,
    line: u32,
    value: &'a Expr,
    arguments: &'a [Expr],
) -> Outcome<bool> {
    match test {
        Test::Defined => return Ok(machine.find(value)?.is_some()),
        Test::Undefined => return Ok(machine.find(value)?.is_none()),
        _ => {}
    }
    let value = machine.eval(value)?;
    let argument = match arguments.first() {
        Some(argument) => machine.eval(argument)?,
        None => Val::None,
    };
    Ok(match test {
        Test::None => matches!(value, Val::None),
        Test::Number => matches!(value, Val::Num(_)),
        Test::Text => matches!(value, Val::Text(_)),
        Test::Odd => machine.integer(line, &value)? % 2 != 0,
        Test::Even => machine.integer(line, &value)? % 2 == 0,
        Test::DivisibleBy => {
            let divisor = machine.integer(line, &argument)?;
            machine.integer(line, &value)?.checked_rem(divisor) == Some(0)
        }
        Test::StartsWith => machine
            .printed(line, &value)?
            .starts_with(&machine.printed(line, &argument)?),
        Test::EndsWith => machine
            .printed(line, &value)?
            .ends_with(&machine.printed(line, &argument)?),
        Test::Defined | Test::Undefined => true,
    })
}
