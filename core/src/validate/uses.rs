//! What a definition asks of its subject: columns and SQL. The shell has the catalogue and checks them against it.

use std::fmt;

use super::step_place;
use crate::dates::Anchor;
use crate::program::{Program, inline_name};
use crate::row::ColumnType;

/// How a definition uses a column of the subject's details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnUse {
    /// A date counts from it: it has to be a date, timestamp or timestamptz.
    Anchor,
    /// A text prints it: any type will do.
    Text,
}

impl fmt::Display for ColumnUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColumnUse::Anchor => "a date counts from it",
            ColumnUse::Text => "the text uses it",
        })
    }
}

/// A column of the subject's details that the definition uses outside SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectColumn {
    /// Where, as findings say it: `start`, `step "x"`, `template "t"`.
    pub place: String,
    /// The column's exact name.
    pub column: String,
    pub used_as: ColumnUse,
}

/// What an SQL text may refer to, and what it has to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlScope {
    /// The start condition: the columns of the details. Boolean.
    Start,
    /// A condition of a running case: the columns of the details, `vars` and `answers`. Boolean.
    Subject,
    /// The new value of this column of the subject's own table: the row's columns, `vars` and `answers`; has to fit
    /// the column's type.
    Write { column: String },
    /// A value of a running case: what a condition may look at. Of this type.
    Value { kind: ColumnType },
    /// An expression for what it does or gives: the columns of the details, `vars` and `answers`. `json`: its result is
    /// kept.
    Call { json: bool },
}

/// An SQL text of the definition, to be prepared before publishing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlText {
    /// Where, as findings say it.
    pub place: String,
    pub sql: String,
    pub scope: SqlScope,
}

/// Every column of the details that dates and texts use, in document order, each once a place and use.
#[must_use]
pub fn subject_columns(program: &Program) -> Vec<SubjectColumn> {
    let mut found: Vec<SubjectColumn> = Vec::new();
    let mut add = |place: String, column: String, used_as| {
        let column = SubjectColumn {
            place,
            column,
            used_as,
        };
        if !found.contains(&column) {
            found.push(column);
        }
    };
    for (step, _, rule) in program.date_rules() {
        if let Anchor::Subject(column) = &rule.anchor {
            let place = step.map_or("start".to_owned(), |s| step_place(&s.name));
            add(place, column.clone(), ColumnUse::Anchor);
        }
    }
    for step in &program.steps {
        for i in 0..step.kind.inline_texts().len() {
            for column in program.templates.variables(&inline_name(&step.name, i)) {
                add(step_place(&step.name), column, ColumnUse::Text);
            }
        }
    }
    for name in program.document.templates.keys() {
        for column in program.templates.variables(name) {
            add(format!("template \"{name}\""), column, ColumnUse::Text);
        }
    }
    found
}

/// Every SQL condition and expression of the definition that is not empty, in document order.
#[must_use]
pub fn sql_texts(program: &Program) -> Vec<SqlText> {
    let mut found = Vec::new();
    let mut add = |place: &str, sql: &str, scope| {
        if !sql.trim().is_empty() {
            found.push(SqlText {
                place: place.to_owned(),
                sql: sql.to_owned(),
                scope,
            });
        }
    };
    if let Some(start) = &program.document.start {
        add("start", &start.when, SqlScope::Start);
    }
    for (i, stop) in program.stops().iter().enumerate() {
        add(
            &format!("stop rule {}", i + 1),
            &stop.when,
            SqlScope::Subject,
        );
    }
    if let Some(money) = &program.document.money {
        let number = SqlScope::Value {
            kind: ColumnType::Number,
        };
        let text = SqlScope::Value {
            kind: ColumnType::Text,
        };
        add("money", &money.open, number.clone());
        add("money", money.tolerance.as_deref().unwrap_or(""), number);
        add("money", money.currency.as_deref().unwrap_or(""), text);
    }
    for (i, milestone) in program.document.milestones.iter().enumerate() {
        let place = format!("milestone {}", i + 1);
        add(&place, &milestone.holds, SqlScope::Subject);
    }
    for step in &program.steps {
        let place = step_place(&step.name);
        for condition in step
            .when
            .as_deref()
            .into_iter()
            .chain(step.kind.conditions())
        {
            add(&place, condition, SqlScope::Subject);
        }
        for (_, value, kind) in step.kind.values() {
            add(&place, value, SqlScope::Value { kind });
        }
        if let Some(call) = step.kind.call() {
            let json = call.into.is_some();
            add(&place, call.sql, SqlScope::Call { json });
        }
        for (column, value) in step.kind.writes() {
            let column = column.to_owned();
            add(&place, value, SqlScope::Write { column });
        }
    }
    found
}
