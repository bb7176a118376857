//! A binding as the rest of the shell uses it: which rows, read how, as whom, joined on what.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use workflow_core::row::ColumnType;

use super::{hooks, keys};
use crate::pg::acting::{as_role, extension_owner};
use crate::pg::raise::raise_as;
use crate::pg::spi::{self, Plan, RowRef};
use crate::pg::types::{arg, array};

/// Which column of the details says what about the customer; each an exact column name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    pub email: Option<String>,
    pub phone: Option<String>,
    pub address: Option<String>,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    pub account: Option<String>,
    pub tenant: Option<String>,
}

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
    pub roles: Roles,
    /// SQL condition over the details' columns; rows where it is not true never get a case.
    pub eligible: Option<String>,
    /// Why the binding does not work: quarantined earlier, or the table or its key is gone. None when it works.
    pub broken: Option<String>,
    columns: OnceCell<Vec<(String, ColumnType)>>,
}

struct Known {
    token: String,
    generation: u64,
    checked: bool,
    subject: Rc<Subject>,
}

thread_local! {
    static KNOWN: RefCell<HashMap<i32, Known>> = RefCell::new(HashMap::new());
}

/// The transaction has ended, or part of it was undone: look at the rows again before trusting what is known.
pub fn forget_checks() {
    KNOWN.with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.values_mut().for_each(|k| k.checked = false);
        }
    });
}

/// A binding has changed in this very transaction.
pub fn forget(id: i32) {
    KNOWN.with_borrow_mut(|known| known.remove(&id));
}

/// The subject with this id. Cached; one indexed read of its row in each transaction notices that it was rebound.
///
/// # Errors
/// 42704 when there is none.
pub fn load(id: i32) -> Rc<Subject> {
    find(id).unwrap_or_else(|| {
        raise_as(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("subject {id} does not exist"),
            Some("It has been unbound.".to_owned()),
            None,
        )
    })
}

/// As `load`, None when the subject has been unbound.
pub fn find(id: i32) -> Option<Rc<Subject>> {
    hooks::register();
    let generation = hooks::any_generation();
    let known = KNOWN.with_borrow(|known| {
        known
            .get(&id)
            .filter(|k| k.checked && k.generation == generation)
            .map(|k| k.subject.clone())
    });
    if known.is_some() {
        return known;
    }
    read(id)
}

/// The subject of this name.
///
/// # Errors
/// 42704 when there is none; the hint names those there are.
pub fn by_name(name: &str) -> Rc<Subject> {
    match id_of(name) {
        Some(id) => load(id),
        None => unknown(name),
    }
}

/// The id of the subject of this name.
pub fn id_of(name: &str) -> Option<i32> {
    as_engine(|| {
        spi::query(
            "SELECT s.subject_id FROM wf.subjects AS s WHERE s.name OPERATOR(pg_catalog.=) $1",
            &[arg(name)],
        )
        .first()
        .map(|row| row.must(1))
    })
}

/// Raises that there is no subject of this name.
pub fn unknown(name: &str) -> ! {
    let names = as_engine(|| {
        let rows = spi::query(
            "SELECT s.name FROM wf.subjects AS s ORDER BY s.name LIMIT 20",
            &[],
        );
        let names: Vec<String> = rows.iter().map(|row| row.must(1)).collect();
        names
    });
    let hint = if names.is_empty() {
        "Bind a table first, with wf.bind_subject.".to_owned()
    } else {
        format!("Bound are: {}.", names.join(", "))
    };
    raise_as(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("subject \"{name}\" does not exist"),
        None,
        Some(hint),
    )
}

/// Notes why a binding does not work, for wf.health and for whoever reads it next; it is left alone until rebound.
pub fn quarantine(id: i32, reason: &str) {
    as_engine(|| {
        spi::query(
            "UPDATE wf.subjects AS s SET quarantined = $2 \
             WHERE s.subject_id OPERATOR(pg_catalog.=) $1 AND s.quarantined IS NULL",
            &[arg(id), arg(reason)],
        );
    });
    forget(id);
}

/// Runs `body` as the owner of the engine's tables, with a connection.
pub fn as_engine<T>(body: impl FnOnce() -> T) -> T {
    spi::connected(|| as_role(extension_owner(), body))
}

fn read(id: i32) -> Option<Rc<Subject>> {
    let generation = hooks::any_generation();
    let subject = as_engine(|| {
        let rows = spi::query(
            "SELECT pg_catalog.concat(s.xmin, ' ', s.ctid), s.name, s.owner::pg_catalog.oid, \
                    s.relation::pg_catalog.oid, s.key_columns, s.key_attnums, s.key_types, s.details, \
                    s.watch_columns, s.email_column, s.phone_column, s.address_column, s.locale_column, \
                    s.time_zone_column, s.account_column, s.tenant_column, s.eligible, s.quarantined \
             FROM wf.subjects AS s WHERE s.subject_id OPERATOR(pg_catalog.=) $1",
            &[arg(id)],
        );
        let row = rows.first()?;
        let token: String = row.must(1);
        let known = KNOWN.with_borrow_mut(|known| {
            let known = known.get_mut(&id)?;
            let same = known.token == token && known.generation == generation;
            known.checked = same;
            same.then(|| known.subject.clone())
        });
        Some((token, known.unwrap_or_else(|| Rc::new(from_row(id, row)))))
    });
    let Some((token, subject)) = subject else {
        forget(id);
        return None;
    };
    KNOWN.with_borrow_mut(|known| {
        known.insert(
            id,
            Known {
                token,
                generation,
                checked: true,
                subject: subject.clone(),
            },
        )
    });
    Some(subject)
}

fn texts(row: RowRef<'_>, column: i32) -> Option<Vec<String>> {
    row.get::<Vec<Option<String>>>(column)
        .map(|texts| texts.into_iter().flatten().collect())
}

fn from_row(id: i32, row: RowRef<'_>) -> Subject {
    let name: String = row.must(2);
    let relation: Oid = row.must(4);
    let key_columns = texts(row, 5).unwrap_or_default();
    let attnums: Vec<i16> = row
        .must::<Vec<Option<i16>>>(6)
        .into_iter()
        .flatten()
        .collect();
    let bound_types = texts(row, 7).unwrap_or_default();
    let mut broken: Option<String> = row.get(18);
    let mut table_key_columns = Vec::new();
    let mut key_type_oids = Vec::new();
    for ((column, attnum), bound_type) in key_columns.iter().zip(&attnums).zip(&bound_types) {
        match table_column(relation, column, *attnum, bound_type) {
            Some((name, oid)) => {
                table_key_columns.push(name);
                key_type_oids.push(oid);
            }
            None => {
                broken.get_or_insert_with(|| {
                    if relation_exists(relation) {
                        format!(
                            "key column \"{column}\" of the table of subject \"{name}\" is gone"
                        )
                    } else {
                        format!("the table of subject \"{name}\" is gone")
                    }
                });
            }
        }
    }
    let key_types = if broken.is_none() {
        key_type_oids
            .iter()
            .map(|oid| keys::type_name(*oid))
            .collect()
    } else {
        bound_types
    };
    Subject {
        id,
        name,
        owner: row.must(3),
        relation,
        key_columns,
        table_key_columns,
        key_type_oids,
        key_types,
        details: row.must(8),
        roles: Roles {
            email: row.get(10),
            phone: row.get(11),
            address: row.get(12),
            locale: row.get(13),
            time_zone: row.get(14),
            account: row.get(15),
            tenant: row.get(16),
        },
        eligible: row.get(17),
        broken,
        columns: OnceCell::new(),
    }
}

fn relation_exists(relation: Oid) -> bool {
    // SAFETY: catalogue look-up; '\0' for a relation that is not there.
    unsafe { pg_sys::get_rel_relkind(relation) != 0 }
}

/// A table's column by its name, or, when it was renamed, by its number if the type still agrees: its name now and
/// its base type.
pub fn table_column(
    relation: Oid,
    column: &str,
    attnum: i16,
    bound_type: &str,
) -> Option<(String, Oid)> {
    let name = std::ffi::CString::new(column).ok()?;
    // SAFETY: catalogue look-ups that return 0 or null for what is missing; names are palloc'd copies.
    unsafe {
        let by_name = pg_sys::get_attnum(relation, name.as_ptr());
        if by_name > 0 {
            let oid = keys::base_type(pg_sys::get_atttype(relation, by_name));
            return Some((column.to_owned(), oid));
        }
        let renamed = pg_sys::get_attname(relation, attnum, true);
        if renamed.is_null() {
            return None;
        }
        let oid = keys::base_type(pg_sys::get_atttype(relation, attnum));
        let name = std::ffi::CStr::from_ptr(renamed)
            .to_string_lossy()
            .into_owned();
        (keys::type_name(oid) == bound_type).then_some((name, oid))
    }
}

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
    let value = keys::column_sql(alias, column);
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
                as_role(self.owner, || {
                    Plan::prepare(&format!("SELECT d.* FROM {} AS d", self.details), &[])
                        .columns()
                        .into_iter()
                        .map(|(name, oid)| (name, column_type(oid)))
                        .collect()
                })
            })
        })
    }

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
            as_role(self.owner, || {
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

fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
