//! wf.bind_subject and wf.unbind_subject.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use super::config::{Argument, BoundColumn};
use super::subject;
use super::validate::{self, Table, refuse};
use super::{install, keys, watch};
use crate::api::given;
use crate::engine::as_engine;
use crate::pg::acting::{acts_for, current_role, role_name};
use crate::pg::raise::internal;
use crate::pg::spi;
use crate::pg::types::{arg, array, optional};

/// A subject's name and the suffix of its view must fit into an identifier.
const NAME_BYTES: usize = 57;

struct Existing {
    id: i32,
    owner: Oid,
    relation: Oid,
    key: Vec<String>,
}

fn existing(name: &str) -> Option<Existing> {
    as_engine(|| {
        spi::query(
            "SELECT s.subject_id, s.owner::pg_catalog.oid, s.relation::pg_catalog.oid, s.key_columns \
             FROM wf.subjects AS s WHERE s.name OPERATOR(pg_catalog.=) $1 FOR UPDATE",
            &[arg(name)],
        )
        .first()
        .map(|row| Existing {
            id: row.must(1),
            owner: row.must(2),
            relation: row.must(3),
            key: row
                .must::<Vec<Option<String>>>(4)
                .into_iter()
                .flatten()
                .collect(),
        })
    })
}

/// Only the subject's owner and who acts for it may change a binding.
pub fn require_owner(name: &str, owner: Oid, caller: Oid) {
    if !acts_for(caller, owner) {
        refuse(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for subject \"{name}\""),
            format!("It belongs to role {}.", role_name(owner)),
            "Ask its owner, or become a member of that role.",
        );
    }
}

fn open_cases(id: i32) -> i64 {
    as_engine(|| {
        spi::query(
            "SELECT pg_catalog.count(DISTINCT cs.case_id) FROM wf.case_subjects AS cs \
             JOIN wf.cases AS c ON c.case_id OPERATOR(pg_catalog.=) cs.case_id AND c.ended_at IS NULL \
             WHERE cs.subject_id OPERATOR(pg_catalog.=) $1 AND cs.slot OPERATOR(pg_catalog.=) 0",
            &[arg(id)],
        )
        .first()
        .map_or(0, |row| row.must(1))
    })
}

fn require_name(name: &str) {
    if name.is_empty() || name.len() > NAME_BYTES {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_NAME,
            format!("\"{name}\" cannot be the name of a subject"),
            format!("It has {} bytes; a name has 1 to {NAME_BYTES}.", name.len()),
            "Choose a short name, such as invoice.",
        );
    }
}

/// Binds a table; see sql/26_subjects_functions.sql.
///
/// # Errors
/// 42710 name taken, 42809 not a table, 42703 unknown column, 42501 no right, 22023 anything else that is not sound;
/// always before anything has changed.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn bind_subject(
    name: Option<&str>,
    relation: Option<Oid>,
    key: Option<&str>,
    details: Option<&str>,
    watch: Option<&str>,
    email: Option<&str>,
    phone: Option<&str>,
    address: Option<&str>,
    locale: Option<&str>,
    time_zone: Option<&str>,
    account: Option<&str>,
    tenant: Option<&str>,
    eligible: Option<&str>,
) -> i32 {
    let name = given("name", name);
    let relation = given("relation", relation);
    let key = given("key", key);
    let caller = current_role();
    require_name(name);
    let table = validate::table(relation, caller, "bind");
    let before = existing(name);
    let owner = match &before {
        Some(before) => {
            require_same_table(name, before, &table);
            require_owner(name, before.owner, caller);
            before.owner
        }
        None => {
            install::require_view_name(name);
            caller
        }
    };
    validate::not_below_bound(&table);
    let key_columns = validate::table_columns(&table, "key", key);
    validate::unique_key(&table, &key_columns);
    let watch_columns = watch.map(|text| validate::table_columns(&table, "watch", text));
    let details = validate::details(&table, owner, details);
    let shown = validate::details_columns(&details, owner);
    let key_types: Vec<(String, Oid)> = key_columns
        .iter()
        .filter_map(|k| table.columns.iter().find(|(name, ..)| name == k))
        .map(|(name, _, oid)| (name.clone(), *oid))
        .collect();
    validate::details_key(&details, owner, &key_types, &shown);
    let roles = [
        ("email", email),
        ("phone", phone),
        ("address", address),
        ("locale", locale),
        ("time_zone", time_zone),
        ("account", account),
        ("tenant", tenant),
    ]
    .map(|(argument, text)| validate::details_column(argument, text, &shown));
    if let Some(condition) = eligible {
        validate::eligible(&details, owner, condition, &shown);
    }
    if let Some(before) = &before {
        require_no_rekeying(name, before, &key_columns);
    }

    let bound: Vec<BoundColumn> = key_columns.iter().filter_map(|k| table.bound(k)).collect();
    let id = store(
        before.as_ref().map(|b| b.id),
        &Stored {
            name,
            owner,
            relation,
            key: &bound,
            details: &details,
            watch: watch_columns.as_deref(),
            roles: &roles,
            eligible,
        },
    );
    if let Some(before) = &before {
        install::drop_triggers(before.relation, id, 0);
    }
    let argument = Argument {
        subject: id,
        watch: 0,
        key: bound,
        columns: watch_columns
            .map(|columns| columns.iter().filter_map(|c| table.bound(c)).collect()),
        row: false,
    };
    install::create_triggers(&table.quoted(), &argument);
    if before.is_some_and(|b| b.key != key_columns) {
        install::drop_view(name);
    }
    install::create_view(id, name, owner, &key_types);
    subject::forget(id);
    id
}

fn require_same_table(name: &str, before: &Existing, table: &Table) {
    let bound = as_engine(|| install::quoted_relation(before.relation));
    if before.relation != table.oid
        && let Some(bound) = bound
    {
        refuse(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("subject \"{name}\" is bound already"),
            format!("It is bound to {bound}."),
            format!(
                "Choose another name, or first: SELECT wf.unbind_subject({});",
                pgrx::spi::quote_literal(name)
            ),
        );
    }
}

/// The keys of open cases are texts of the key that was bound.
fn require_no_rekeying(name: &str, before: &Existing, key: &[String]) {
    let open = open_cases(before.id);
    if open > 0 && before.key != key {
        refuse(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("the key of subject \"{name}\" cannot change: it has {open} open case(s)"),
            format!("They are known by the key ({}).", before.key.join(", ")),
            "Cancel or finish the cases first, or bind under another name.",
        );
    }
}

struct Stored<'a> {
    name: &'a str,
    owner: Oid,
    relation: Oid,
    key: &'a [BoundColumn],
    details: &'a str,
    watch: Option<&'a [String]>,
    roles: &'a [Option<String>; 7],
    eligible: Option<&'a str>,
}

fn store(id: Option<i32>, row: &Stored<'_>) -> i32 {
    let watch = row.watch.map(|columns| array(columns.iter()));
    let mut args = vec![
        optional(id),
        arg(row.name),
        arg(row.owner),
        arg(row.relation),
        array(row.key.iter().map(|c| c.0.as_str())),
        array(row.key.iter().map(|c| c.1)),
        array(row.key.iter().map(|c| c.2.as_str())),
        arg(row.details),
        watch.unwrap_or(spi::Arg {
            oid: pgrx::pg_sys::TEXTARRAYOID,
            datum: None,
        }),
        optional(row.eligible),
    ];
    args.extend(row.roles.iter().map(|r| optional(r.as_deref())));
    let sql = if id.is_some() {
        "UPDATE wf.subjects AS s SET name = $2, owner = $3, relation = $4, key_columns = $5, key_attnums = $6, \
             key_types = $7, details = $8, watch_columns = $9, eligible = $10, email_column = $11, \
             phone_column = $12, address_column = $13, locale_column = $14, time_zone_column = $15, \
             account_column = $16, tenant_column = $17, quarantined = NULL \
         WHERE s.subject_id OPERATOR(pg_catalog.=) $1 RETURNING s.subject_id"
    } else {
        "INSERT INTO wf.subjects AS s (name, owner, relation, key_columns, key_attnums, key_types, details, \
             watch_columns, eligible, email_column, phone_column, address_column, locale_column, \
             time_zone_column, account_column, tenant_column) \
         SELECT $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17 \
         WHERE $1::pg_catalog.int4 IS NULL RETURNING s.subject_id"
    };
    as_engine(|| {
        spi::query(sql, &args)
            .first()
            .map_or_else(|| internal("a binding was not stored"), |row| row.must(1))
    })
}

/// Takes a binding away.
///
/// # Errors
/// 42704 unknown subject, 42501 not yours, 55000 while it has open cases or an enabled workflow.
#[pg_extern(sql = false)]
fn unbind_subject(name: Option<&str>) {
    let name = given("name", name);
    let Some(before) = existing(name) else {
        subject::unknown(name);
    };
    require_owner(name, before.owner, current_role());
    let open = open_cases(before.id);
    if open > 0 {
        refuse(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("subject \"{name}\" cannot be unbound: it has {open} open case(s)"),
            "Without the binding nothing could read their rows.",
            "Disable its workflows, and cancel or finish the cases first.",
        );
    }
    let enabled = as_engine(|| {
        spi::query(
            "SELECT w.name FROM wf.workflows AS w JOIN wf.versions AS v ON v.workflow_id OPERATOR(pg_catalog.=) w.workflow_id \
             WHERE w.enabled AND v.state OPERATOR(pg_catalog.=) 'published'::wf.version_state \
               AND pg_catalog.json_extract_path_text(v.document, 'subject') OPERATOR(pg_catalog.=) $1 \
             ORDER BY w.name LIMIT 1",
            &[arg(name)],
        )
        .first()
        .map(|row| row.must::<String>(1))
    });
    if let Some(workflow) = enabled {
        refuse(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "subject \"{name}\" cannot be unbound: workflow \"{workflow}\" is enabled for it"
            ),
            "Its start rules could no longer be followed.",
            format!(
                "First: SELECT wf.disable({});",
                pgrx::spi::quote_literal(&workflow)
            ),
        );
    }
    watch::drop_all(before.id);
    install::drop_triggers(before.relation, before.id, 0);
    install::drop_view(name);
    as_engine(|| {
        spi::query(
            "DELETE FROM wf.subjects AS s WHERE s.subject_id OPERATOR(pg_catalog.=) $1",
            &[arg(before.id)],
        );
    });
    subject::forget(before.id);
}

/// The name of a key type, for messages.
pub fn type_list(types: &[Oid]) -> String {
    let names: Vec<String> = types.iter().map(|oid| keys::type_name(*oid)).collect();
    names.join(", ")
}
