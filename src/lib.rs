//! workflow_engine: case workflows for invoices and claims, inside the database where those rows live.
//!
//! This crate is the shell: SQL functions, triggers, workers. It reads rows, asks `workflow_core` what follows, and
//! writes the effects. It holds no rule of the domain.

use pgrx::prelude::*;

mod accounts;
mod api;
mod audit;
#[cfg(any(test, feature = "pg_test"))]
mod catalogue_tests;
mod collections;
mod contact;
mod definitions;
mod engine;
mod holds;
mod insight;
mod outbox;
mod people;
mod pg;
mod settings;
mod subjects;
mod worker;

::pgrx::pg_module_magic!(name, version);

/// Called by the server when it loads the library: by the postmaster if preloaded, else by the first backend that
/// calls one of its functions.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    settings::define();
    // SAFETY: a global that the postmaster sets while it loads shared_preload_libraries.
    if unsafe { pg_sys::process_shared_preload_libraries_in_progress } {
        worker::preload();
    }
}

// In the order of the files' numbers, each after the one before it: what is not ordered here may come in any order.
extension_sql_file!("../sql/00_schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/10_clock.sql", name = "clock", requires = ["schema"]);
extension_sql_file!(
    "../sql/11_calendar_data.sql",
    name = "calendar_data",
    requires = ["clock"]
);
extension_sql_file!(
    "../sql/12_calendars_api.sql",
    name = "calendars_api",
    requires = ["calendar_data"]
);
extension_sql_file!(
    "../sql/13_clock_api.sql",
    name = "clock_api",
    requires = ["calendars_api"]
);
extension_sql_file!(
    "../sql/15_workers.sql",
    name = "workers",
    requires = ["clock_api"]
);
extension_sql_file!(
    "../sql/20_definitions.sql",
    name = "definitions",
    requires = ["workers"]
);
extension_sql_file!(
    "../sql/25_subjects.sql",
    name = "subjects",
    requires = ["definitions"]
);
extension_sql_file!(
    "../sql/26_subjects_functions.sql",
    name = "subjects_functions",
    requires = ["subjects"]
);
extension_sql_file!(
    "../sql/26_subjects_triggers.sql",
    name = "subjects_triggers",
    requires = ["subjects_functions"]
);
extension_sql_file!(
    "../sql/30_runtime.sql",
    name = "runtime",
    requires = ["subjects_triggers"]
);
extension_sql_file!(
    "../sql/40_run_due.sql",
    name = "run_due",
    requires = ["runtime"]
);
extension_sql_file!(
    "../sql/41_careful.sql",
    name = "careful",
    requires = ["run_due"]
);
extension_sql_file!(
    "../sql/45_holds.sql",
    name = "holds",
    requires = ["careful"]
);
extension_sql_file!(
    "../sql/46_contact.sql",
    name = "contact",
    requires = ["holds"]
);
extension_sql_file!(
    "../sql/47_sight.sql",
    name = "sight",
    requires = ["contact"]
);
extension_sql_file!(
    "../sql/50_definitions_api.sql",
    name = "definitions_api",
    requires = ["sight"]
);
extension_sql_file!(
    "../sql/51_runtime_api.sql",
    name = "runtime_api",
    requires = ["definitions_api"]
);
extension_sql_file!(
    "../sql/52_outbox_api.sql",
    name = "outbox_api",
    requires = ["runtime_api"]
);
extension_sql_file!(
    "../sql/53_editing_api.sql",
    name = "editing_api",
    requires = ["outbox_api"]
);
extension_sql_file!(
    "../sql/54_insight_api.sql",
    name = "insight_api",
    requires = ["editing_api"]
);
extension_sql_file!(
    "../sql/55_people.sql",
    name = "people",
    requires = ["insight_api"]
);
extension_sql_file!(
    "../sql/56_migrate.sql",
    name = "migrate",
    requires = ["people"]
);
extension_sql_file!(
    "../sql/57_accounts.sql",
    name = "accounts",
    requires = ["migrate"]
);
extension_sql_file!(
    "../sql/58_collections.sql",
    name = "collections",
    requires = ["accounts"]
);
extension_sql_file!(
    "../sql/59_audit.sql",
    name = "audit",
    requires = ["collections"]
);
extension_sql_file!("../sql/60_views.sql", name = "views", requires = ["audit"]);
extension_sql_file!(
    "../sql/61_views_comments.sql",
    name = "views_comments",
    requires = ["views"]
);
extension_sql_file!(
    "../sql/62_audit_views.sql",
    name = "audit_views",
    requires = ["views_comments"]
);
extension_sql_file!(
    "../sql/65_roles.sql",
    name = "roles",
    requires = ["audit_views"]
);
extension_sql_file!("../sql/70_dump.sql", name = "dump", requires = ["roles"]);
extension_sql_file!("../sql/95_finish.sql", name = "finish", finalize);

/// Required by `cargo pgrx test`.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec!["shared_preload_libraries = 'workflow_engine'"]
    }
}
