//! Runs a compiled text over a scope, within bounds: every node and every expression costs a step, long texts cost more, and
//! the output has a size that it never exceeds. So no template can take unbounded time or memory, whatever its data.

use std::rc::Rc;

use super::filters;
use super::formats::Formats;
use super::number::Decimal;
use super::scope::{CASE_FIELDS, Scope, element, field};
use super::tree::{Expr, Kind, Node};
use super::value::{Num, Text, Val};
use crate::names::did_you_mean;

/// Bytes of text that cost one step to make or search.
const BYTES_PER_STEP: usize = 64;

/// Why a text could not be rendered.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) line: u32,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Boxed, so that the values which pass through every call stay small.
pub(super) type Outcome<T> = Result<T, Box<Failure>>;

pub(super) fn fail<T>(line: u32, message: impl Into<String>) -> Outcome<T> {
    Err(Box::new(Failure {
        line,
        message: message.into(),
        hint: None,
    }))
}

fn fail_with_hint<T>(line: u32, message: impl Into<String>, hint: Option<String>) -> Outcome<T> {
    Err(Box::new(Failure {
        line,
        message: message.into(),
        hint,
    }))
}

/// Renders one text.
pub(super) struct Machine<'a> {
    scope: &'a Scope<'a>,
    /// The normalized tag whose formats are used; they are fetched when first needed.
    tag: &'a str,
    formats: Option<Rc<Formats>>,
    /// What `set`, `with` and `for` have named, the innermost last.
    pub(super) locals: Vec<(&'a str, Val<'a>)>,
    fuel: u64,
    all_fuel: u64,
    max_bytes: usize,
    out: String,
}

impl<'a> Machine<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, tag: &'a str, fuel: u64, max_bytes: usize) -> Self {
        Self {
            scope,
            tag,
            formats: None,
            locals: Vec::new(),
            fuel,
            all_fuel: fuel,
            max_bytes,
            out: String::new(),
        }
    }

    /// The rendered text. `expected` is a guess of its length in bytes.
    pub(super) fn run(mut self, nodes: &'a [Node], expected: usize) -> Outcome<String> {
        self.out.reserve(expected.min(self.max_bytes));
        self.nodes(nodes)?;
        Ok(self.out)
    }

    pub(super) fn formats(&mut self) -> &Formats {
        self.formats.get_or_insert_with(|| Formats::of(self.tag))
    }

    pub(super) fn scope(&self) -> &'a Scope<'a> {
        self.scope
    }

    pub(super) fn spend(&mut self, line: u32, steps: u64) -> Outcome<()> {
        match self.fuel.checked_sub(steps) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => fail_with_hint(
                line,
                format!("the text takes more than {} steps", self.all_fuel),
                Some("Shorten its loops or lists, or allow more steps.".to_owned()),
            ),
        }
    }

    /// Pays for making or searching a text of that size.
    pub(super) fn spend_bytes(&mut self, line: u32, bytes: usize) -> Outcome<()> {
        self.spend(line, (bytes / BYTES_PER_STEP) as u64)
    }

    /// Pays for a list of that many elements.
    pub(super) fn spend_elements(&mut self, line: u32, elements: usize) -> Outcome<()> {
        self.spend(line, elements as u64)
    }

    fn put(&mut self, line: u32, text: &str) -> Outcome<()> {
        if text.len() > self.max_bytes - self.out.len().min(self.max_bytes) {
            let message = format!("the text grows beyond {} bytes", self.max_bytes);
            return fail_with_hint(
                line,
                message,
                Some("Shorten its loops, or cut long values: {{ value[:200] }}.".into()),
            );
        }
        self.out.push_str(text);
        Ok(())
    }

    pub(super) fn nodes(&mut self, nodes: &'a [Node]) -> Outcome<()> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &'a Node) -> Outcome<()> {
        self.spend(0, 1)?;
        match node {
            Node::Raw(text) => self.put(0, text),
            Node::Emit(expr) => self.emit(expr),
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                let chosen = if self.eval(condition)?.is_true() {
                    then
                } else {
                    otherwise
                };
                self.nodes(chosen)
            }
            Node::For(each) => self.each(each),
            Node::Set { name, value } => {
                let value = self.eval(value)?;
                self.locals.push((name, value));
                Ok(())
            }
            Node::With { values, body } => {
                let before = self.locals.len();
                for (name, value) in values {
                    let value = self.eval(value)?;
                    self.locals.push((name, value));
                }
                self.nodes(body)?;
                self.locals.truncate(before);
                Ok(())
            }
        }
    }

    fn emit(&mut self, expr: &'a Expr) -> Outcome<()> {
        match self.eval(expr)? {
            Val::Text(text) => self.put(expr.line, &text),
            Val::Num(Num::Plain(text)) => self.put(expr.line, &text),
            value => {
                let text = self.printed(expr.line, &value)?;
                self.put(expr.line, &text)
            }
        }
    }

    /// The value as text.
    pub(super) fn printed(&mut self, line: u32, value: &Val<'a>) -> Outcome<String> {
        let mut text = String::new();
        if value
            .print(&mut text)
            .is_none_or(|written| written.is_err())
        {
            let hint =
                "Print its parts: {{ vars.name }}, {{ list | join(\", \") }}, or {% for … %}.";
            return fail_with_hint(
                line,
                format!("{} cannot be printed", value.kind()),
                Some(hint.to_owned()),
            );
        }
        self.spend_bytes(line, text.len())?;
        Ok(text)
    }

    /// The value of an expression; what does not exist is an error that names it.
    pub(super) fn eval(&mut self, expr: &'a Expr) -> Outcome<Val<'a>> {
        match self.find(expr)? {
            Some(value) => Ok(value),
            None => self.missing(expr),
        }
    }

    /// The error for something that does not exist: the first name of its path, if that is what is not there.
    fn missing<T>(&self, expr: &'a Expr) -> Outcome<T> {
        if let Kind::Field(inner, _) | Kind::Item(inner, _) = &*expr.kind
            && self.starts_nowhere(inner)
        {
            return self.missing(inner);
        }
        let path = expr.path().unwrap_or_else(|| "the value".to_owned());
        let hint = match &*expr.kind {
            Kind::Name(name) => {
                let known = self
                    .scope
                    .names()
                    .chain(self.locals.iter().map(|(name, _)| *name));
                did_you_mean(name, known)
            }
            Kind::Field(inner, name) => match &*inner.kind {
                Kind::Name(of) if &**of == "row" => did_you_mean(name, self.scope.names()),
                Kind::Name(of) if &**of == "case" => did_you_mean(name, CASE_FIELDS),
                _ => Some(format!(
                    "If it may be missing, write {{{{ {path} | default(\"…\") }}}}."
                )),
            },
            _ => None,
        };
        fail_with_hint(
            expr.line,
            format!("variable \"{path}\" does not exist"),
            hint,
        )
    }

    fn starts_nowhere(&self, expr: &'a Expr) -> bool {
        match &*expr.kind {
            Kind::Name(name) => self.local(name).is_none() && !self.scope.has(name),
            Kind::Field(inner, _) | Kind::Item(inner, _) => self.starts_nowhere(inner),
            _ => false,
        }
    }

    fn local(&self, name: &str) -> Option<&Val<'a>> {
        self.locals
            .iter()
            .rev()
            .find(|(local, _)| *local == name)
            .map(|(_, value)| value)
    }

    /// The value of an expression; None if the name or field it ends in does not exist.
    pub(super) fn find(&mut self, expr: &'a Expr) -> Outcome<Option<Val<'a>>> {
        let found = self.look(expr)?;
        if let Some(Val::Num(number)) = &found {
            // A number may have a hundred thousand digits, and whoever gets it will go through them.
            self.spend_bytes(expr.line, number.bytes())?;
        }
        Ok(found)
    }

    fn look(&mut self, expr: &'a Expr) -> Outcome<Option<Val<'a>>> {
        let line = expr.line;
        self.spend(line, 1)?;
        Ok(Some(match &*expr.kind {
            Kind::None => Val::None,
            Kind::Bool(value) => Val::Bool(*value),
            Kind::Text(text) => Val::borrowed(text),
            Kind::Number(text) => Val::Num(Num::Plain(Text::Borrowed(text))),
            Kind::Name(name) => {
                if let Some(value) = self.local(name) {
                    return Ok(Some(value.clone()));
                }
                self.spend_bytes(line, self.scope.bytes_to_parse(name))?;
                return self.scope.name(name).or_else(|message| fail(line, message));
            }
            Kind::Field(of, name) => return self.field(line, of, name),
            Kind::Item(of, index) => match self.eval(index)? {
                Val::Text(name) => return self.field(line, of, &name),
                index => {
                    let Some(of) = self.find(of)? else {
                        return Ok(None);
                    };
                    return element(&of, self.integer(line, &index)?)
                        .or_else(|message| fail(line, message));
                }
            },
            Kind::Slice(of, start, end) => self.slice(line, of, start.as_ref(), end.as_ref())?,
            Kind::Not(inner) => Val::Bool(!self.eval(inner)?.is_true()),
            Kind::Negative(inner) => {
                let value = self.eval(inner)?;
                let number = self.decimal(line, &value)?.negated();
                self.number(line, number)?
            }
            Kind::And(left, right) => {
                let left = self.eval(left)?;
                if left.is_true() {
                    self.eval(right)?
                } else {
                    left
                }
            }
            Kind::Or(left, right) => {
                let left = self.eval(left)?;
                if left.is_true() {
                    left
                } else {
                    self.eval(right)?
                }
            }
            Kind::Calculate(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.calculate(line, *operator, &left, &right)?
            }
            Kind::Concat(left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                let mut text = self.printed(line, &left)?;
                text.push_str(&self.printed(line, &right)?);
                Val::Text(text.into())
            }
            Kind::Compare(first, others) => {
                let mut left = self.eval(first)?;
                for (comparison, right) in others {
                    let right = self.eval(right)?;
                    if !self.compare(line, *comparison, &left, &right)? {
                        return Ok(Some(Val::Bool(false)));
                    }
                    left = right;
                }
                Val::Bool(true)
            }
            Kind::Choose {
                condition,
                then,
                otherwise,
            } => match (self.eval(condition)?.is_true(), otherwise) {
                (true, _) => self.eval(then)?,
                (false, Some(otherwise)) => self.eval(otherwise)?,
                (false, None) => Val::None,
            },
            Kind::Filter(filter, value, arguments) => {
                filters::apply(self, *filter, line, value, arguments)?
            }
            Kind::Test(test, value, arguments) => {
                Val::Bool(filters::test(self, *test, line, value, arguments)?)
            }
            Kind::Range(arguments) => self.range(line, arguments)?,
            Kind::List(items) => {
                let items = items
                    .iter()
                    .map(|item| self.eval(item))
                    .collect::<Outcome<Rc<[_]>>>()?;
                Val::List(items)
            }
            Kind::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    let key = self.eval(key)?;
                    Ok((self.printed(line, &key)?.into(), self.eval(value)?))
                });
                Val::Map(entries.collect::<Outcome<Rc<[_]>>>()?)
            }
        }))
    }

    fn field(&mut self, line: u32, of: &'a Expr, name: &str) -> Outcome<Option<Val<'a>>> {
        let Some(of) = self.find(of)? else {
            return Ok(None);
        };
        match of {
            Val::Row => self.spend_bytes(line, self.scope.bytes_to_parse(name))?,
            Val::Subject(nth) => self.spend_bytes(line, self.scope.bytes_to_parse_of(nth, name))?,
            _ => {}
        }
        field(self.scope, &of, name).or_else(|message| fail(line, message))
    }

    /// The value as a number to calculate with.
    pub(super) fn decimal(&self, line: u32, value: &Val<'a>) -> Outcome<Decimal> {
        match value {
            Val::Num(number) => match number.decimal() {
                Some(decimal) => Ok(decimal),
                None => fail(
                    line,
                    format!("{number} has too many digits to calculate with"),
                ),
            },
            other => fail(
                line,
                format!("a number is needed here, not {}", other.kind()),
            ),
        }
    }

    pub(super) fn integer(&self, line: u32, value: &Val<'a>) -> Outcome<i64> {
        match self.decimal(line, value)?.to_integer() {
            Some(integer) => Ok(integer),
            None => fail(line, "a whole number is needed here"),
        }
    }

    /// The result of a calculation, if it fits.
    pub(super) fn number(&self, line: u32, result: Option<Decimal>) -> Outcome<Val<'a>> {
        match result {
            Some(decimal) => Ok(Val::Num(Num::Exact(decimal))),
            None => fail(
                line,
                "the calculation divides by zero or has more digits than can be kept",
            ),
        }
    }
}
