//! A binding as the rest of the shell uses it: which rows, read how, as whom, joined on what.
//!
//! * here: what a binding is, and whether it works
//! * `known`: finding bindings, and keeping them as long as nobody changes them
//! * `sql`: the SQL that reads a subject's rows

mod known;
mod sql;

use std::cell::OnceCell;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use workflow_core::program::Roles;
use workflow_core::row::ColumnType;

pub use known::{by_name, find, forget, forget_checks, id_of, quarantine, table_column, unknown};
pub use sql::{column_expression, column_type, value_expression};

use crate::pg::acting::as_user;
use crate::pg::raise::raise_as;
use crate::pg::spi::{self, Plan};

/// One row of wf.subjects, with what the catalogue says today about its key.
pub struct Subject {
    pub id: i32,
    pub name: String,
    /// The role whose rights every read of the subject's rows has.
    pub owner: Oid,
    /// The bound table; it may have been dropped, see `broken`.
    pub relation: Oid,
    /// The key columns' names in the details, as they were bound.
    pub key_columns: Vec<String>,
    /// The key columns' names in the bound table, as they are now: a rename does not lose them.
    pub table_key_columns: Vec<String>,
    /// The key columns' base types as they are now.
    pub key_type_oids: Vec<Oid>,
    /// The same as names for a cast.
    pub key_types: Vec<String>,
    /// A FROM item without alias: a quoted relation name or a query in parentheses.
    pub details: String,
    /// Which column of the details says what about the customer; each an exact column name.
    pub roles: Roles,
    /// SQL condition over the details' columns; rows where it is not true never get a case.
    pub eligible: Option<String>,
    /// Whether its rows may have default strategies.
    pub strategies: bool,
    /// Why the binding does not work: quarantined earlier, or the table or its key is gone. None when it works.
    pub broken: Option<String>,
    columns: OnceCell<Vec<(String, ColumnType)>>,
}

impl Subject {
    /// Raises an error when the binding does not work.
    ///
    /// # Errors
    /// 55000, with the reason as detail.
    pub fn require_usable(&self) {
        if let Some(reason) = &self.broken {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("the binding of subject \"{}\" is out of order", self.name),
                Some(format!("{}.", capitalise(reason))),
                Some(
                    "Repair it with wf.bind_subject, or remove it with wf.unbind_subject."
                        .to_owned(),
                ),
            );
        }
    }

    /// The columns of the details, in their order. Read from the catalogue as the owner; raises the parser's error
    /// when the details do not work (any more).
    pub fn details_columns(&self) -> &[(String, ColumnType)] {
        self.columns.get_or_init(|| {
            spi::connected(|| {
                as_user(self.owner, || {
                    Plan::prepare(&format!("SELECT d.* FROM {} AS d", self.details), &[])
                        .columns()
                        .into_iter()
                        .map(|(name, oid)| (name, column_type(oid)))
                        .collect()
                })
            })
        })
    }
}

fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
