//! What a binding puts into the database: triggers on the ERP's tables and a view for its reports.
//!
//! Made as the extension's owner, after the caller's right to put triggers on the table has been checked: so nobody
//! needs EXECUTE on the trigger functions, and whoever had it could forge entries of the inbox. All of it depends on
//! the extension softly: DROP EXTENSION takes it along, without CASCADE.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::{quote_identifier, quote_literal, quote_qualified_identifier};

use super::config::Argument;
use super::keys;
use super::validate::refuse;
use crate::engine::as_engine;
use crate::pg::acting::role_name;
use crate::pg::extension::extension_oid;
use crate::pg::raise::internal;
use crate::pg::spi;
use crate::pg::types::arg;

/// The names of a binding's triggers: of the subject's own table (watch 0) or of a watched one.
fn trigger_names(subject: i32, watch: i32) -> [String; 3] {
    let stem = if watch == 0 {
        format!("wf_{subject}")
    } else {
        format!("wf_{subject}_w{watch}")
    };
    [
        format!("{stem}_row"),
        format!("{stem}_statement"),
        format!("{stem}_truncate"),
    ]
}

/// Puts the triggers on a table; those of an earlier binding must be gone.
///
/// Neither WHEN nor UPDATE OF: either one would make the ERP's next ALTER COLUMN TYPE fail.
pub fn create_triggers(table: &str, argument: &Argument) {
    let text = serde_json::to_string(argument)
        .unwrap_or_else(|_| internal("a trigger's argument is no JSON"));
    let text = quote_literal(text);
    let [row, statement, truncate] = trigger_names(argument.subject, argument.watch);
    as_engine(|| {
        for (name, when, function) in [
            (
                &row,
                "INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW",
                "subject_row_trigger",
            ),
            (
                &statement,
                "INSERT OR UPDATE OR DELETE ON {} FOR EACH STATEMENT",
                "subject_statement_trigger",
            ),
            (
                &truncate,
                "TRUNCATE ON {} FOR EACH STATEMENT",
                "subject_statement_trigger",
            ),
        ] {
            let when = when.replace("{}", table);
            spi::execute_once(&format!(
                "CREATE TRIGGER {name} AFTER {when} EXECUTE FUNCTION wf.{function}({text})"
            ));
            spi::execute_once(&format!(
                "ALTER TRIGGER {name} ON {table} DEPENDS ON EXTENSION workflow_engine"
            ));
        }
    });
}

/// Takes a binding's triggers off a table, if it is still there.
pub fn drop_triggers(relation: Oid, subject: i32, watch: i32) {
    as_engine(|| {
        let Some(table) = quoted_relation(relation) else {
            return;
        };
        for name in trigger_names(subject, watch) {
            let there = !spi::query(
                "SELECT 1 FROM pg_catalog.pg_trigger AS t \
                 WHERE t.tgrelid OPERATOR(pg_catalog.=) $1 AND t.tgname OPERATOR(pg_catalog.=) $2::pg_catalog.name",
                &[arg(relation), arg(name.as_str())],
            )
            .is_empty();
            if there {
                spi::execute_once(&format!("DROP TRIGGER {name} ON {table}"));
            }
        }
    });
}

/// A relation's quoted name, None when it is gone. Call as the engine.
pub fn quoted_relation(relation: Oid) -> Option<String> {
    spi::query(
        "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_class AS c \
         JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[arg(relation)],
    )
    .first()
    .map(|row| quote_qualified_identifier(row.must::<String>(1), row.must::<String>(2)))
}

/// The name of a subject's view.
pub fn view_name(subject: &str) -> String {
    format!("{subject}_cases")
}

fn view_oid(subject: &str) -> Option<Oid> {
    spi::query(
        "SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n \
         ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
         WHERE n.nspname OPERATOR(pg_catalog.=) 'wf'::pg_catalog.name AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) $1",
        &[arg(view_name(subject))],
    )
    .first()
    .map(|row| row.must(1))
}

/// The view's name must be free.
pub fn require_view_name(subject: &str) {
    if as_engine(|| view_oid(subject)).is_some() {
        refuse(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("the name \"{subject}\" cannot be used for a subject"),
            format!(
                "The subject's view would be wf.{}, and there is a relation of that name.",
                quote_identifier(view_name(subject))
            ),
            "Choose another name.",
        );
    }
}

/// Makes or replaces the view of a subject's cases, with the ERP's own key columns.
pub fn create_view(id: i32, subject: &str, owner: Oid, key: &[(String, Oid)]) {
    let taken = |name: &str| key.iter().any(|(column, _)| column == name);
    // The cast must never see another subject's key, in whatever order the planner puts the conditions.
    let text = format!("CASE WHEN cs.subject_id = {id} THEN cs.key END");
    let mut columns: Vec<String> = key
        .iter()
        .enumerate()
        .map(|(index, (column, oid))| {
            format!(
                "{} AS {}",
                keys::value_sql(&text, index, key.len(), &keys::type_name(*oid)),
                quote_identifier(column)
            )
        })
        .collect();
    for (value, name) in [
        ("c.case_id", "case_id"),
        ("w.name", "workflow"),
        // A row that has left its case: as if the case had ended with that.
        (
            "CASE WHEN cs.departure IS NULL THEN c.state ELSE 'cancelled'::wf.case_state END",
            "state",
        ),
        ("c.started_at", "started_at"),
        (
            "coalesce((cs.departure ->> 'at')::timestamptz, c.ended_at)",
            "ended_at",
        ),
        ("coalesce(cs.departure ->> 'outcome', c.outcome)", "outcome"),
        ("coalesce(cs.departure ->> 'reason', c.reason)", "reason"),
    ] {
        let name = if taken(name) {
            format!("wf_{name}")
        } else {
            name.to_owned()
        };
        columns.push(format!("{value} AS {name}"));
    }
    let view = format!("wf.{}", quote_identifier(view_name(subject)));
    as_engine(|| {
        spi::execute_once(&format!(
            "CREATE OR REPLACE VIEW {view} AS SELECT {} FROM wf.case_subjects AS cs \
             JOIN wf.cases AS c ON c.case_id = cs.case_id \
             JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id WHERE cs.subject_id = {id}",
            columns.join(", ")
        ));
        spi::execute_once(&format!(
            "GRANT SELECT ON {view} TO {}",
            quote_identifier(role_name(owner))
        ));
        tie_views();
    });
}

/// Has DROP EXTENSION take the subjects' views along, those too that a dump has brought: SQL has no words for that on a
/// view, so that pg_dump cannot save it. Call with the rights of the engine.
pub fn tie_views() {
    let Some(extension) = extension_oid() else {
        return;
    };
    let loose = spi::query(
        "SELECT c.oid FROM wf.subjects AS s JOIN pg_catalog.pg_class AS c \
           ON c.relname::pg_catalog.text OPERATOR(pg_catalog.=) (s.name OPERATOR(pg_catalog.||) '_cases') \
          AND c.relkind OPERATOR(pg_catalog.=) 'v' AND c.relnamespace OPERATOR(pg_catalog.=) 'wf'::pg_catalog.regnamespace::pg_catalog.oid \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d \
                           WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
                             AND d.objid OPERATOR(pg_catalog.=) c.oid \
                             AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid \
                             AND d.refobjid OPERATOR(pg_catalog.=) $1)",
        &[arg(extension)],
    );
    for view in loose.iter() {
        let dependent = pg_sys::ObjectAddress {
            classId: pg_sys::RelationRelationId,
            objectId: view.must(1),
            objectSubId: 0,
        };
        let referenced = pg_sys::ObjectAddress {
            classId: pg_sys::ExtensionRelationId,
            objectId: extension,
            objectSubId: 0,
        };
        // SAFETY: two existing objects; the next command of this transaction sees it.
        unsafe {
            pg_sys::recordDependencyOn(
                &dependent,
                &referenced,
                pg_sys::DependencyType::DEPENDENCY_AUTO_EXTENSION,
            );
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// Drops the view of a subject's cases.
pub fn drop_view(subject: &str) {
    as_engine(|| {
        if view_oid(subject).is_some() {
            spi::execute_once(&format!(
                "DROP VIEW wf.{}",
                quote_identifier(view_name(subject))
            ));
        }
    });
}
