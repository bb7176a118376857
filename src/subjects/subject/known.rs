//! Finding bindings by id or name. A binding is kept; one indexed read of its row in each transaction notices that it
//! was bound anew.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use workflow_core::program::Roles;

use super::Subject;
use crate::engine::as_engine;
use crate::pg::raise::raise_as;
use crate::pg::relations;
use crate::pg::spi::{self, RowRef};
use crate::pg::types::arg;
use crate::subjects::{hooks, keys};

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
fn load(id: i32) -> Rc<Subject> {
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
    let generation = relations::any_generation();
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

fn read(id: i32) -> Option<Rc<Subject>> {
    let generation = relations::any_generation();
    let subject = as_engine(|| {
        let rows = spi::query(
            "SELECT pg_catalog.concat(s.xmin, ' ', s.ctid), s.name, s.owner::pg_catalog.oid, \
                    s.relation::pg_catalog.oid, s.key_columns, s.key_attnums, s.key_types, s.details, \
                    s.watch_columns, s.email_column, s.phone_column, s.address_column, s.locale_column, \
                    s.time_zone_column, s.account_column, s.eligible, s.quarantined, s.strategies \
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
    let mut broken: Option<String> = row.get(17);
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
        },
        eligible: row.get(16),
        strategies: row.must(18),
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
