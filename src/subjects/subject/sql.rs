//! The SQL that reads a subject's rows: joining on a key's text, making that text, and columns as the rules read them.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use workflow_core::row::ColumnType;

use super::Subject;
use crate::pg::acting::as_user;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array};
use crate::subjects::keys;

/// The coarse type of a column for the rules.
pub fn column_type(oid: Oid) -> ColumnType {
    match keys::base_type(oid) {
        pg_sys::BOOLOID => ColumnType::Bool,
        pg_sys::INT2OID
        | pg_sys::INT4OID
        | pg_sys::INT8OID
        | pg_sys::NUMERICOID
        | pg_sys::FLOAT4OID
        | pg_sys::FLOAT8OID => ColumnType::Number,
        pg_sys::DATEOID => ColumnType::Date,
        pg_sys::TIMESTAMPOID => ColumnType::Timestamp,
        pg_sys::TIMESTAMPTZOID => ColumnType::TimestampTz,
        pg_sys::JSONOID | pg_sys::JSONBOID => ColumnType::Json,
        _ => ColumnType::Text,
    }
}

/// SQL for a column's value as the text that the rules read (see `ColumnType`), whatever the session's settings.
/// An infinite date or timestamp reads as NULL: there is no such day.
pub fn column_expression(alias: &str, column: &str, kind: ColumnType) -> String {
    text_of(&keys::column_sql(alias, column), kind)
}

/// The same for an expression of a definition, which has to give a value that can be taken for the type. On lines of its
/// own, so that a comment in it ends with it.
pub fn value_expression(sql: &str, kind: ColumnType) -> String {
    match kind {
        ColumnType::Number => format!("(\n{sql}\n)::pg_catalog.numeric::pg_catalog.text"),
        ColumnType::Date => text_of(&format!("(\n{sql}\n)::pg_catalog.date"), kind),
        _ => text_of(&format!("\n{sql}\n"), kind),
    }
}

fn text_of(value: &str, kind: ColumnType) -> String {
    match kind {
        ColumnType::Date => {
            format!("pg_catalog.to_char(({value})::pg_catalog.timestamp, 'YYYY-MM-DD')")
        }
        ColumnType::Timestamp => format!(
            "pg_catalog.rtrim(pg_catalog.rtrim(pg_catalog.to_char(({value})::pg_catalog.timestamp, \
             'YYYY-MM-DD HH24:MI:SS.US'), '0'), '.')"
        ),
        ColumnType::TimestampTz => format!(
            "CASE WHEN pg_catalog.isfinite(({value})::pg_catalog.timestamptz) THEN \
             (extract(epoch FROM ({value})::pg_catalog.timestamptz) OPERATOR(pg_catalog.*) 1000000)\
             ::pg_catalog.int8::pg_catalog.text END"
        ),
        ColumnType::Text | ColumnType::Bool | ColumnType::Number | ColumnType::Json => {
            format!("({value})::pg_catalog.text")
        }
    }
}

impl Subject {
    /// SQL that is true for the details' row of a key: `details` is the details' alias, `key` SQL for the key's text.
    /// A text that is no value of the key's type raises PostgreSQL's own error (22P02) when it runs.
    pub fn join_condition(&self, details: &str, key: &str) -> String {
        self.join(details, key, &self.key_columns)
    }

    /// As `join_condition`, for the bound table's own row.
    pub fn table_join_condition(&self, table: &str, key: &str) -> String {
        self.join(table, key, &self.table_key_columns)
    }

    fn join(&self, alias: &str, key: &str, columns: &[String]) -> String {
        let count = columns.len();
        let conditions: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let equals = self
                    .key_type_oids
                    .get(index)
                    .map_or_else(|| "=".to_owned(), |oid| keys::equality_sql(*oid));
                format!(
                    "{} {equals} {}",
                    keys::column_sql(alias, column),
                    keys::value_sql(key, index, count, &self.key_types[index])
                )
            })
            .collect();
        conditions.join(" AND ")
    }

    /// The bound table's name as it is now, quoted and with its schema.
    pub fn table_sql(&self) -> String {
        let rows = spi::query(
            "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text \
             FROM pg_catalog.pg_class AS c \
             JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE c.oid OPERATOR(pg_catalog.=) $1",
            &[arg(self.relation)],
        );
        match rows.first() {
            Some(row) => {
                pgrx::spi::quote_qualified_identifier(row.must::<String>(1), row.must::<String>(2))
            }
            None => raise_as(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!("the table of subject \"{}\" is gone", self.name),
                None,
                Some("Bind another with wf.bind_subject, or call wf.unbind_subject.".to_owned()),
            ),
        }
    }

    /// SQL for the key's canonical text from the details' row; NULL columns must be excluded with `has_key`.
    /// For keys of exotic types (intervals, floats) run it under `keys::PinnedStyles`.
    pub fn key_expression(&self, details: &str) -> String {
        self.key_text(details, &self.key_columns)
    }

    fn key_text(&self, alias: &str, columns: &[String]) -> String {
        let parts: Vec<String> = columns
            .iter()
            .zip(&self.key_type_oids)
            .zip(&self.key_types)
            .map(|((column, oid), type_name)| {
                // the details may show the key under another type; its text is that of the table's type
                let value = format!("({})::{type_name}", keys::column_sql(alias, column));
                keys::text_sql(*oid, &value)
            })
            .collect();
        keys::compose_sql(&parts)
    }

    /// SQL that is true where every key column of the details' row is there, and the key is not too long.
    pub fn has_key(&self, details: &str) -> String {
        let mut conditions: Vec<String> = self
            .key_columns
            .iter()
            .map(|column| format!("{} IS NOT NULL", keys::column_sql(details, column)))
            .collect();
        if self.key_type_oids.iter().any(|oid| keys::may_be_long(*oid)) {
            conditions.push(format!(
                "pg_catalog.octet_length({}) OPERATOR(pg_catalog.<=) {}",
                self.key_expression(details),
                keys::LONGEST
            ));
        }
        conditions.join(" AND ")
    }

    /// The canonical texts of keys given by people: `007` of an integer key is `7`, a uuid comes out in lower case.
    ///
    /// # Errors
    /// PostgreSQL's own (22P02) for a text that is no value of the key's type; 22023 for a composite key that is not a
    /// JSON array of as many texts as there are key columns.
    pub fn canonical_keys(&self, given: &[String]) -> Vec<String> {
        self.require_usable();
        let count = self.key_columns.len();
        if count > 1 {
            given.iter().for_each(|key| self.require_array(key, count));
        }
        let parts: Vec<String> = self
            .key_type_oids
            .iter()
            .zip(&self.key_types)
            .enumerate()
            .map(|(index, (oid, type_name))| {
                keys::text_sql(*oid, &keys::value_sql("k.key", index, count, type_name))
            })
            .collect();
        let sql = format!(
            "SELECT {} FROM pg_catalog.unnest($1) WITH ORDINALITY AS k (key, n) ORDER BY k.n",
            keys::compose_sql(&parts)
        );
        spi::connected(|| {
            as_user(self.owner, || {
                let _styles = keys::PinnedStyles::new();
                spi::query(&sql, &[array(given)])
                    .iter()
                    .map(|row| row.must(1))
                    .collect()
            })
        })
    }

    fn require_array(&self, key: &str, count: usize) {
        let length = serde_json::from_str::<Vec<serde_json::Value>>(key).map(|parts| {
            let complete = parts.iter().all(|p| p.is_string() || p.is_number());
            if complete { parts.len() } else { 0 }
        });
        if length.ok() != Some(count) {
            raise_as(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("\"{key}\" is not a key of subject \"{}\"", self.name),
                Some(format!(
                    "Its key has the columns {}.",
                    self.key_columns.join(", ")
                )),
                Some(
                    "Give the key as a JSON array of the columns' texts, such as [\"7\",\"2026-001\"]."
                        .to_owned(),
                ),
            );
        }
    }
}
