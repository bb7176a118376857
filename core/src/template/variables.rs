//! Which names a text needs from its row, found without rendering it, so that a definition can be checked against the
//! columns before it is used.

use std::collections::BTreeSet;

use super::filters::{Filter, Test};
use super::scope::{CASE_FIELDS, ENGINE_NAMES};
use super::tree::{Expr, Kind, Node};

/// What a text refers to.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    /// Names that must exist: neither the engine's, nor given in the text itself, nor tested for by it.
    pub(super) needed: BTreeSet<String>,
    /// Fields of `case` that there are not, with their line.
    pub(super) unknown_case_fields: Vec<(u32, String)>,
    /// Whether it says something of all the rows that the case concerns.
    pub(super) subjects: bool,
    /// Every field and every text constant: among them are the columns that it reads of those rows.
    pub(super) words: BTreeSet<String>,
}

/// Collects the references of a text.
pub(super) fn references(nodes: &[Node]) -> References {
    let mut walk = Walk::default();
    walk.nodes(nodes);
    walk.found.needed.retain(|name| !walk.tested.contains(name));
    walk.found
}

#[derive(Default)]
struct Walk<'t> {
    found: References,
    /// Names that the text asks for with `is defined`: it knows what to do without them.
    tested: BTreeSet<String>,
    /// Names given by `set`, `with` and `for`, the innermost last, and whether each is one of the case's rows.
    given: Vec<(&'t str, bool)>,
}

impl<'t> Walk<'t> {
    fn nodes(&mut self, nodes: &'t [Node]) {
        nodes.iter().for_each(|node| self.node(node));
    }

    fn node(&mut self, node: &'t Node) {
        match node {
            Node::Raw(_) => {}
            Node::Emit(expr) => self.expr(expr),
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.nodes(then);
                self.nodes(otherwise);
            }
            Node::For(each) => {
                self.expr(&each.over);
                let before = self.given.len();
                self.nodes(&each.otherwise);
                let is_row = each.names.len() == 1 && self.is_subjects(&each.over);
                self.given
                    .extend(each.names.iter().map(|name| (&**name, is_row)));
                each.filter.iter().for_each(|filter| self.expr(filter));
                self.given.push(("loop", false));
                self.nodes(&each.body);
                self.given.truncate(before);
            }
            Node::Set { name, value } => {
                self.expr(value);
                self.given.push((name, false));
            }
            Node::With { values, body } => {
                let before = self.given.len();
                for (name, value) in values {
                    self.expr(value);
                    self.given.push((name, false));
                }
                self.nodes(body);
                self.given.truncate(before);
            }
        }
    }

    /// Whether a name is given in the text, and if so, as one of the case's rows.
    fn given(&self, name: &str) -> Option<bool> {
        let mut given = self.given.iter().rev();
        given.find(|(n, _)| *n == name).map(|(_, is_row)| *is_row)
    }

    /// The case's rows, or some of them.
    fn is_subjects(&self, expr: &Expr) -> bool {
        match &*expr.kind {
            Kind::Name(name) => &**name == "subjects" && self.given(name).is_none(),
            Kind::Slice(of, _, _) => self.is_subjects(of),
            _ => false,
        }
    }

    fn name(&mut self, name: &str) {
        if self.given(name).is_some() {
            return;
        }
        self.found.subjects |= name == "subjects";
        if !ENGINE_NAMES.contains(&name) {
            self.found.needed.insert(name.to_owned());
        }
    }

    fn field(&mut self, line: u32, of: &'t Expr, name: &str) {
        self.found.words.insert(name.to_owned());
        match &*of.kind {
            Kind::Name(root) if self.given(root).is_some() => {
                if self.given(root) == Some(true) {
                    self.found.needed.insert(name.to_owned());
                }
            }
            Kind::Name(root) if &**root == "row" => {
                self.found.needed.insert(name.to_owned());
            }
            Kind::Name(root) if &**root == "case" && !CASE_FIELDS.contains(&name) => {
                self.found.unknown_case_fields.push((line, name.to_owned()));
            }
            _ => self.expr(of),
        }
    }

    /// An expression that may lead nowhere. Only its first name is looked at, what it is indexed with must exist.
    fn optional(&mut self, expr: &'t Expr, tested: bool) {
        match &*expr.kind {
            Kind::Name(name) => {
                self.found.subjects |= &**name == "subjects" && self.given(name).is_none();
                if tested {
                    self.tested.insert(name.to_string());
                }
            }
            Kind::Field(of, name) => {
                self.found.words.insert(name.to_string());
                match &*of.kind {
                    Kind::Name(root) if &**root == "row" => {
                        if tested {
                            self.tested.insert(name.to_string());
                        }
                    }
                    _ => self.optional(of, tested),
                }
            }
            Kind::Item(of, index) => {
                self.optional(of, tested);
                self.expr(index);
            }
            _ => self.expr(expr),
        }
    }

    fn expr(&mut self, expr: &'t Expr) {
        match &*expr.kind {
            Kind::None | Kind::Bool(_) | Kind::Number(_) => {}
            Kind::Text(text) => {
                self.found.words.insert(text.to_string());
            }
            Kind::Name(name) => self.name(name),
            Kind::Field(of, name) => self.field(expr.line, of, name),
            Kind::Item(of, index) => match &*index.kind {
                Kind::Text(name) => self.field(expr.line, of, name),
                _ => {
                    self.expr(of);
                    self.expr(index);
                }
            },
            Kind::Slice(of, start, end) => {
                self.expr(of);
                start.iter().chain(end).for_each(|bound| self.expr(bound));
            }
            Kind::Not(inner) | Kind::Negative(inner) => self.expr(inner),
            Kind::And(left, right)
            | Kind::Or(left, right)
            | Kind::Calculate(_, left, right)
            | Kind::Concat(left, right) => {
                self.expr(left);
                self.expr(right);
            }
            Kind::Compare(first, others) => {
                self.expr(first);
                others.iter().for_each(|(_, other)| self.expr(other));
            }
            Kind::Choose {
                condition,
                then,
                otherwise,
            } => {
                self.expr(condition);
                self.expr(then);
                otherwise.iter().for_each(|otherwise| self.expr(otherwise));
            }
            Kind::Filter(filter, value, arguments) => {
                if *filter == Filter::Default {
                    self.optional(value, false)
                } else {
                    self.expr(value)
                }
                if self.is_subjects(value) && filter.names_fields() {
                    let names = arguments.iter().flatten().filter_map(|a| match &*a.kind {
                        Kind::Text(name) => Some(name.to_string()),
                        _ => None,
                    });
                    self.found.needed.extend(names);
                }
                arguments
                    .iter()
                    .flatten()
                    .for_each(|argument| self.expr(argument));
            }
            Kind::Test(test, value, arguments) => {
                if matches!(test, Test::Defined | Test::Undefined) {
                    self.optional(value, true);
                } else {
                    self.expr(value);
                }
                arguments.iter().for_each(|argument| self.expr(argument));
            }
            Kind::Range(items) | Kind::List(items) => items.iter().for_each(|item| self.expr(item)),
            Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.expr(key);
                self.expr(value);
            }),
        }
    }
}
