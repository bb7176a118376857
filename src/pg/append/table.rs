//! What one of the extension's tables looks like, said once; and a row of it in the making, whose values are held against
//! that: a value of another type than its column's would be read as what it is not.

use std::ffi::CString;

use pgrx::pg_sys::{self, Datum, Oid};

use crate::pg::arena::Arena;
use crate::pg::arrays::{self, Label};
use crate::pg::raise::internal;
use crate::pg::types::ToArg;

/// The type of a column.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// One of the server's.
    Of(Oid),
    /// An enum of the extension, by its name with the schema.
    Enum(&'static str),
}

impl Type {
    pub(super) fn oid(self) -> Oid {
        match self {
            Self::Of(oid) => oid,
            Self::Enum(name) => arrays::enum_oid(name),
        }
    }
}

/// One of the extension's tables: all its columns, in order.
#[derive(Debug)]
pub struct Table {
    /// Its name in schema wf.
    pub name: &'static str,
    pub columns: &'static [(&'static str, Type)],
    /// The sequence in schema wf that numbers the rows, in their first column. None: whoever appends sets that, too.
    pub sequence: Option<&'static str>,
}

/// Describes a table: a static of that name, and the positions of its columns as constants of another.
macro_rules! table {
    ($table:ident $name:literal $columns:ident $(numbered by $sequence:literal)? { $($column:ident: $type:expr),* $(,)? }) => {
        static $table: $crate::pg::append::table::Table = $crate::pg::append::table::Table {
            name: $name,
            columns: &[$(($crate::pg::append::table::name_of_column(stringify!($column)), $type)),*],
            sequence: [$(Some($sequence),)? None][0],
        };

        enum $columns {}

        #[expect(non_upper_case_globals, reason = "the names of the columns")]
        #[allow(dead_code, reason = "some columns are never set when a row is new")]
        const _: () = {
            #[expect(non_camel_case_types, reason = "the names of the columns")]
            enum Position { $($column),* }
            impl $columns { $(const $column: usize = Position::$column as usize;)* }
        };
    };
}
pub(crate) use table;

/// The name of a column that may be a word of Rust's own.
pub const fn name_of_column(identifier: &'static str) -> &'static str {
    match identifier.as_bytes() {
        [b'r', b'#', ..] => identifier.split_at(2).1,
        _ => identifier,
    }
}

/// A row in the making. What is not set is null.
pub struct Row<'a> {
    pub(super) table: &'static Table,
    pub(super) arena: &'a Arena,
    /// As many as the table has columns, as are the marks of null.
    pub(super) values: &'a mut [Datum],
    pub(super) nulls: &'a mut [bool],
}

impl Row<'_> {
    /// Sets a column, given by its position in the table's description.
    pub fn set<T: ToArg>(&mut self, column: usize, value: T) {
        match self.table.columns[column].1 {
            Type::Of(oid) if oid == T::OID => self.put(column, value.in_arena(self.arena)),
            _ => self.mistaken(column),
        }
    }

    /// The same for a value that there may not be.
    pub fn set_some<T: ToArg>(&mut self, column: usize, value: Option<T>) {
        if let Some(value) = value {
            self.set(column, value);
        }
    }

    /// Sets a column of an enum type.
    pub fn set_label(&mut self, column: usize, label: Label) {
        match self.table.columns[column].1 {
            Type::Enum(name) if name == label.of => self.put(column, Datum::from(label.oid)),
            _ => self.mistaken(column),
        }
    }

    /// Sets a column of type jsonb from its text. Raises the server's error if that is not well-formed.
    pub fn set_jsonb(&mut self, column: usize, text: Option<&str>) {
        let Some(text) = text else { return };
        if !matches!(self.table.columns[column].1, Type::Of(pg_sys::JSONBOID)) {
            self.mistaken(column);
        }
        let text = CString::new(text).unwrap_or_else(|_| internal("a text holds a NUL byte"));
        // SAFETY: the input function of jsonb takes a C string and nothing else.
        let value = unsafe {
            pgrx::direct_function_call_as_datum(
                pg_sys::jsonb_in,
                &[Some(Datum::from(text.as_ptr()))],
            )
        };
        if let Some(value) = value {
            self.put(column, value);
        }
    }

    pub(super) fn put(&mut self, column: usize, value: Datum) {
        self.values[column] = value;
        self.nulls[column] = false;
    }

    fn mistaken(&self, column: usize) -> ! {
        let (name, of) = self.table.columns[column];
        internal(&format!("wf.{}.{name} is of type {of:?}", self.table.name))
    }
}
