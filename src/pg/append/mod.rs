//! Appending many rows to one of the extension's own tables without a statement for them: COPY's way of inserting. What a
//! statement costs more than the rows and their index entries is laying out its arguments as arrays, taking these apart
//! again, and one WAL record for each row.
//!
//! Why it is safe: it does what the executor does for such a table and no more (rows, entries of all ready indexes, under
//! the same locks, as this transaction and command), and only when the table is as this library knows it (`known`). A
//! column more, a trigger for INSERT, a rule, a check, a constraint that is checked later: then each row goes through an
//! INSERT, from the same description of it. What is known of a table is looked up anew when the server says that its
//! definition has changed.
//!
//! * `table`: what a table looks like, and a row in the making  * `known`: tables as they are  * `direct`: heap and indexes
//!
//! Which rows there are is for the callers. A single row of the inbox is `subjects::direct`'s, which does without an executor's
//! state; it knows its table from `known`, too.

mod direct;
pub mod known;
pub mod table;

use pgrx::pg_sys::Datum;

use self::known::Opened;
use self::table::{Row, Table};
use super::arena::Arena;
use super::spi::{self, Arg};

/// Rows to append.
pub struct NewRows<'a> {
    pub table: &'static Table,
    pub count: usize,
    /// Sets what is the same in all of them.
    pub alike: &'a dyn Fn(&mut Row<'_>),
    /// Sets the other columns of a row, given by its number from 0 on.
    pub each: &'a dyn Fn(usize, &mut Row<'_>),
}

impl NewRows<'_> {
    /// Appends them.
    pub fn append(&self) {
        let done = self.count == 0
            || Opened::of(self.table, self.table.name)
                .filter(Opened::takes_rows)
                .is_some_and(|opened| direct::append(&opened, self));
        if !done {
            self.insert();
        }
    }

    /// Appends them to the partition of this name, into which all of them belong.
    pub fn append_to_partition(&self, name: &str) {
        if self.count > 0 && self.to_partition(name) != Some(true) {
            self.insert();
        }
    }

    fn to_partition(&self, name: &str) -> Option<bool> {
        // The whole is locked first, as an INSERT does it.
        let whole = Opened::of(self.table, self.table.name)?;
        let part = Opened::of(self.table, name)?;
        part.takes_rows_of(&whole)
            .then(|| direct::append(&part, self))
    }

    /// Inserts them one by one, with all that the table has got besides.
    fn insert(&self) {
        let table = self.table;
        let first = usize::from(table.sequence.is_some());
        let columns: Vec<&str> = table.columns[first..]
            .iter()
            .map(|(name, _)| *name)
            .collect();
        let numbers: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
        let sql = format!(
            "INSERT INTO wf.{} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
            table.name,
            columns.join(", "),
            numbers.join(", ")
        );
        let (common, arena) = (Arena::default(), Arena::default());
        let alike = Values::alike(self, &common);
        for number in 0..self.count {
            let mut values = alike.clone();
            arena.empty();
            (self.each)(number, &mut values.row(table, &arena));
            let args = table.columns.iter().enumerate().skip(first);
            let args = args.map(|(column, (_, of))| Arg {
                oid: of.oid(),
                datum: (!values.nulls[column]).then_some(values.values[column]),
            });
            spi::query(&sql, &args.collect::<Vec<_>>());
        }
    }
}

/// The columns of one row.
#[derive(Clone)]
struct Values {
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

impl Values {
    fn alike(rows: &NewRows<'_>, arena: &Arena) -> Self {
        let width = rows.table.columns.len();
        let mut alike = Self {
            values: vec![Datum::null(); width],
            nulls: vec![true; width],
        };
        (rows.alike)(&mut alike.row(rows.table, arena));
        alike
    }

    fn row<'a>(&'a mut self, table: &'static Table, arena: &'a Arena) -> Row<'a> {
        Row {
            table,
            arena,
            values: &mut self.values,
            nulls: &mut self.nulls,
        }
    }
}
