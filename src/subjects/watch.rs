//! wf.watch and wf.unwatch: other tables whose rows matter to a subject.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

use super::bind::{require_owner, type_list};
use super::config::{Argument, BoundColumn};
use super::subject::{self, Subject};
use super::validate::{self, Table, refuse};
use super::{install, keys};
use crate::api::given;
use crate::engine::as_engine;
use crate::pg::acting::current_role;
use crate::pg::raise::internal;
use crate::pg::spi::{self, Plan};
use crate::pg::types::{arg, array};

/// What a key expression is made of.
struct Expression {
    /// The columns it reads, by number.
    numbers: Vec<i16>,
    /// When it is nothing but columns: these, in order, with their types.
    plain: Option<Vec<(i16, Oid)>>,
}

/// Watches a table; see sql/26_subjects_functions.sql. Watching it again replaces the expression.
///
/// # Errors
/// 42704 unknown subject, 42501 no right on subject or table, 42809 not a table, 22023 an expression that does not
/// give the key from the row's own columns.
#[pg_extern(sql = false, name = "watch")]
fn watch(subject: Option<&str>, relation: Option<Oid>, key: Option<&str>) -> i32 {
    let subject = subject::by_name(given("subject", subject));
    let relation = given("relation", relation);
    let key = given("key", key);
    let caller = current_role();
    require_owner(&subject.name, subject.owner, caller);
    subject.require_usable();
    let table = validate::table(relation, caller, "watch");
    if table.oid == subject.relation {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "{} is the table of subject \"{}\" itself",
                table.quoted(),
                subject.name
            ),
            "Its changes are noted already.",
            "Watch other tables, such as that of the payments.",
        );
    }
    let expression = analyse(&subject, &table, key);
    let find = |number: &i16| {
        table
            .columns
            .iter()
            .find(|(_, n, _)| n == number)
            .and_then(|(name, ..)| table.bound(name))
    };
    let direct = expression.plain.as_ref().is_some_and(|plain| {
        plain
            .iter()
            .zip(&subject.key_type_oids)
            .all(|((_, from), to)| same_text(*from, *to))
    });
    let columns: Vec<BoundColumn> = match (&expression.plain, direct) {
        (Some(plain), true) => plain
            .iter()
            .filter_map(|(number, _)| find(number))
            .collect(),
        _ => expression.numbers.iter().filter_map(find).collect(),
    };

    drop_one(&subject, relation);
    let id: i32 = as_engine(|| {
        spi::query(
            "INSERT INTO wf.watches AS w (subject_id, relation, key_expression, columns, column_attnums, column_types) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING w.watch_id",
            &[
                arg(subject.id),
                arg(relation),
                arg(key),
                array(columns.iter().map(|c| c.0.as_str())),
                array(columns.iter().map(|c| c.1)),
                array(columns.iter().map(|c| c.2.as_str())),
            ],
        )
        .first()
        .map_or_else(|| internal("a watch was not stored"), |row| row.must(1))
    });
    install::create_triggers(
        &table.quoted(),
        &Argument {
            subject: subject.id,
            watch: id,
            key: columns,
            columns: None,
            row: !direct,
        },
    );
    id
}

/// Whether values of one type have the canonical text of the other, for every value.
fn same_text(from: Oid, to: Oid) -> bool {
    let width = |oid| match oid {
        pg_sys::INT2OID => Some(2),
        pg_sys::INT4OID => Some(4),
        pg_sys::INT8OID => Some(8),
        _ => None,
    };
    let text = |oid| matches!(oid, pg_sys::TEXTOID | pg_sys::VARCHAROID);
    match (width(from), width(to)) {
        (Some(from), Some(to)) => from <= to,
        _ => from == to || (text(from) && text(to)),
    }
}

/// SQL that selects the key's parts from a row source of the watched table's name.
fn select(table_name: &str, source: &str, key: &str) -> String {
    format!(
        "SELECT {key}\n FROM {source} AS {}",
        quote_identifier(table_name)
    )
}

fn analyse(subject: &Subject, table: &Table, key: &str) -> Expression {
    let wrong = |detail: String| -> ! {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "argument key does not give the key of subject \"{}\" from a row of {}",
                subject.name,
                table.quoted()
            ),
            detail,
            format!(
                "Give an expression over the row's own columns for each of: {} ({}).",
                subject.key_columns.join(", "),
                type_list(&subject.key_type_oids)
            ),
        )
    };
    let sql = select(&table.name, &table.quoted(), key);
    let found = validate::as_owner(subject.owner, || {
        let plan = Plan::prepare(&sql, &[]);
        // SAFETY: the query belongs to the plan, which lives here.
        let parts = plan
            .single_query()
            .and_then(|query| unsafe { parts(query) });
        (parts, plan.columns().len())
    });
    let (expression, count) = match found {
        Err(failure) => wrong(validate::words(&failure)),
        Ok((None, _)) => wrong(
            "It is more than expressions over the row: it has an aggregate, a window, a set or a subquery.".to_owned(),
        ),
        Ok((Some(expression), count)) => (expression, count),
    };
    if count != subject.key_columns.len() {
        wrong(format!(
            "It gives {count} value(s); the key has {}.",
            subject.key_columns.len()
        ));
    }
    if expression.numbers.is_empty() {
        wrong("It reads no column of the row.".to_owned());
    }
    let parts: Vec<String> = (0..count).map(|i| format!("k{i}")).collect();
    let casts: Vec<String> = parts
        .iter()
        .zip(&subject.key_types)
        .map(|(part, name)| format!("x.{part}::{name}"))
        .collect();
    let cast = validate::as_owner(subject.owner, || {
        Plan::prepare(
            &format!(
                "SELECT {} FROM ({sql}) AS x ({})",
                casts.join(", "),
                parts.join(", ")
            ),
            &[],
        );
    });
    if let Err(failure) = cast {
        wrong(validate::words(&failure));
    }
    expression
}

/// # Safety
/// An analysed query of a live plan.
unsafe fn parts(query: *const pg_sys::Query) -> Option<Expression> {
    // SAFETY: an analysed query with valid lists; pull_varattnos only reads the tree.
    unsafe {
        let query = &*query;
        let simple = query.commandType == pg_sys::CmdType::CMD_SELECT
            && !query.hasAggs
            && !query.hasWindowFuncs
            && !query.hasTargetSRFs
            && !query.hasSubLinks
            && query.groupClause.is_null()
            && query.setOperations.is_null()
            && query.cteList.is_null()
            && query.rowMarks.is_null()
            && !query.rtable.is_null()
            && (*query.rtable).length == 1
            && !query.jointree.is_null()
            && (*query.jointree).quals.is_null();
        if !simple {
            return None;
        }
        let mut bits: *mut pg_sys::Bitmapset = std::ptr::null_mut();
        pg_sys::pull_varattnos(query.targetList.cast(), 1, &mut bits);
        let mut numbers = Vec::new();
        let mut member = -1;
        loop {
            member = pg_sys::bms_next_member(bits, member);
            if member < 0 {
                break;
            }
            let number = member + pg_sys::FirstLowInvalidHeapAttributeNumber;
            // a system column or the whole row is not something a watched row is noted with
            numbers.push(i16::try_from(number).ok().filter(|n| *n > 0)?);
        }
        let targets = std::slice::from_raw_parts(
            (*query.targetList).elements,
            (*query.targetList).length as usize,
        );
        let plain = targets
            .iter()
            .map(|cell| {
                let entry = &*cell.ptr_value.cast::<pg_sys::TargetEntry>();
                let node = entry.expr.cast::<pg_sys::Node>();
                ((*node).type_ == pg_sys::NodeTag::T_Var).then(|| {
                    let var = &*node.cast::<pg_sys::Var>();
                    (var.varattno, keys::base_type(var.vartype))
                })
            })
            .collect();
        Some(Expression { numbers, plain })
    }
}

/// Stops watching a table.
///
/// # Errors
/// 42704 unknown subject or watch, 42501 not yours.
#[pg_extern(sql = false)]
fn unwatch(subject: Option<&str>, relation: Option<Oid>) {
    let subject = subject::by_name(given("subject", subject));
    let relation = given("relation", relation);
    require_owner(&subject.name, subject.owner, current_role());
    if !drop_one(&subject, relation) {
        refuse(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!(
                "subject \"{}\" does not watch {}",
                subject.name,
                as_engine(|| install::quoted_relation(relation))
                    .unwrap_or_else(|| "that table".to_owned())
            ),
            "There is nothing to take away.",
            "See wf.watches for what is watched.",
        );
    }
}

fn drop_one(subject: &Subject, relation: Oid) -> bool {
    let watch: Option<i32> = as_engine(|| {
        spi::query(
            "DELETE FROM wf.watches AS w WHERE w.subject_id OPERATOR(pg_catalog.=) $1 \
             AND w.relation::pg_catalog.oid OPERATOR(pg_catalog.=) $2 RETURNING w.watch_id",
            &[arg(subject.id), arg(relation)],
        )
        .first()
        .map(|row| row.must(1))
    });
    if let Some(watch) = watch {
        install::drop_triggers(relation, subject.id, watch);
    }
    watch.is_some()
}

/// Takes all watches of a subject away.
pub fn drop_all(subject: i32) {
    let watches: Vec<(i32, Oid)> = as_engine(|| {
        spi::query(
            "DELETE FROM wf.watches AS w WHERE w.subject_id OPERATOR(pg_catalog.=) $1 \
             RETURNING w.watch_id, w.relation::pg_catalog.oid",
            &[arg(subject)],
        )
        .iter()
        .map(|row| (row.must(1), row.must(2)))
        .collect()
    });
    for (watch, relation) in watches {
        install::drop_triggers(relation, subject, watch);
    }
}

/// SQL that gives the canonical key of each noted row: parameter 1 is the array of their JSON objects, the result
/// has one row for each, in order.
pub fn resolve_sql(
    subject: &Subject,
    table_name: &str,
    key_expression: &str,
    columns: &[(String, String)],
) -> String {
    let casts: Vec<String> = columns
        .iter()
        .map(|(name, type_name)| {
            format!(
                "(pg_catalog.jsonb_extract_path_text(r.wf_row::pg_catalog.jsonb, {}))::{type_name} AS {}",
                pgrx::spi::quote_literal(name),
                quote_identifier(name)
            )
        })
        .collect();
    let names: Vec<String> = (0..subject.key_types.len())
        .map(|i| format!("k{i}"))
        .collect();
    let texts: Vec<String> = names
        .iter()
        .zip(&subject.key_types)
        .zip(&subject.key_type_oids)
        .map(|((name, type_name), oid)| keys::text_sql(*oid, &format!("(x.{name})::{type_name}")))
        .collect();
    let complete: Vec<String> = names.iter().map(|n| format!("x.{n} IS NOT NULL")).collect();
    let source = format!("(SELECT {})", casts.join(", "));
    format!(
        "SELECT (SELECT CASE WHEN {} THEN {} END FROM ({}) AS x ({})) \
         FROM pg_catalog.unnest($1) WITH ORDINALITY AS r (wf_row, wf_row_number) ORDER BY r.wf_row_number",
        complete.join(" AND "),
        keys::compose_sql(&texts),
        select(table_name, &source, key_expression),
        names.join(", ")
    )
}
