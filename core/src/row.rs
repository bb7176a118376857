//! A subject's row as the rules see it: named columns with a coarse type, each value as PostgreSQL's text.

/// What a column's text means. Anything not listed is `Text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    Bool,
    /// Any integer or numeric type; the text keeps every digit.
    Number,
    /// `2026-04-01`
    Date,
    /// `2026-04-01 13:30:00`, no zone: read in the subject's zone.
    Timestamp,
    /// Microseconds since 1970-01-01 00:00 UTC, as an integer.
    TimestampTz,
    /// JSON text.
    Json,
}

/// The columns of one read, shared by all of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    names: Vec<String>,
    types: Vec<ColumnType>,
}

impl Columns {
    pub fn new(columns: impl IntoIterator<Item = (String, ColumnType)>) -> Self {
        let (names, types) = columns.into_iter().unzip();
        Self { names, types }
    }

    /// The position of a column by its exact name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn column_type(&self, position: usize) -> Option<ColumnType> {
        self.types.get(position).copied()
    }
}

/// One row of a subject; `values` has one entry for each of `columns`, None for SQL NULL.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub columns: &'a Columns,
    pub values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    /// The value and type of a column; None if there is no such column or it is NULL.
    pub fn get(&self, name: &str) -> Option<(&'a str, ColumnType)> {
        let position = self.columns.position(name)?;
        let value = self.values.get(position)?.as_deref()?;
        Some((value, self.columns.column_type(position)?))
    }
}
