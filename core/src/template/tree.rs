//! The compiled form of a text: a small tree that owns its strings. `syntax` builds it, `machine` runs it.

use super::filters::{Filter, Test};

/// A piece of a text.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Text that is printed as it stands.
    Raw(Box<str>),
    /// `{{ … }}`
    Emit(Expr),
    /// `{% if … %}`; an `elif` is an `If` in `otherwise`.
    If {
        condition: Expr,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// `{% for … in … if … %}`
    For(Box<For>),
    /// `{% set … = … %}`
    Set { name: Box<str>, value: Expr },
    /// `{% with … = … %}`
    With {
        values: Vec<(Box<str>, Expr)>,
        body: Vec<Node>,
    },
}

/// A loop.
#[derive(Clone, Debug)]
pub(super) struct For {
    /// One name, or several that take each element apart.
    pub(super) names: Vec<Box<str>>,
    pub(super) over: Expr,
    pub(super) filter: Option<Expr>,
    pub(super) body: Vec<Node>,
    /// What is printed when there was no element.
    pub(super) otherwise: Vec<Node>,
}

/// An expression and the line it stands on, from 1.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) line: u32,
    pub(super) kind: Box<Kind>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    None,
    Bool(bool),
    Text(Box<str>),
    /// A number in plain notation.
    Number(Box<str>),
    Name(Box<str>),
    /// `a.b`
    Field(Expr, Box<str>),
    /// `a[b]`
    Item(Expr, Expr),
    /// `a[b:c]`
    Slice(Expr, Option<Expr>, Option<Expr>),
    Not(Expr),
    Negative(Expr),
    And(Expr, Expr),
    Or(Expr, Expr),
    Calculate(Operator, Expr, Expr),
    /// `a ~ b`
    Concat(Expr, Expr),
    /// `a < b <= c`
    Compare(Expr, Vec<(Comparison, Expr)>),
    /// `a if b else c`; without `else` nothing.
    Choose {
        condition: Expr,
        then: Expr,
        otherwise: Option<Expr>,
    },
    /// The arguments are in the order of the filter's parameters, None where left out.
    Filter(Filter, Expr, Vec<Option<Expr>>),
    Test(Test, Expr, Vec<Expr>),
    /// `range(…)`
    Range(Vec<Expr>),
    List(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Plus,
    Minus,
    Times,
    Divide,
    DivideWhole,
    Remainder,
}

impl Operator {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::DivideWhole => "//",
            Self::Remainder => "%",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

impl Expr {
    /// How the expression is written, if it is a name with fields: `vars.iban`. For messages.
    pub(super) fn path(&self) -> Option<String> {
        match &*self.kind {
            Kind::Name(name) => Some(name.to_string()),
            Kind::Field(inner, name) => Some(format!("{}.{name}", inner.path()?)),
            Kind::Item(inner, index) => match &*index.kind {
                Kind::Text(text) => Some(format!("{}[\"{text}\"]", inner.path()?)),
                Kind::Number(number) => Some(format!("{}[{number}]", inner.path()?)),
                _ => None,
            },
            _ => None,
        }
    }
}
