//! Whether cases that have ended slow down those that are due: many against few.

use workflow_engine_tests::Session;

use crate::bare::columns;
use crate::cluster::{self, await_autovacuum, hurry_autovacuum};
use crate::report::{alternate, figure, list, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload::{self, STEPS, run_cases};

/// The tables in which an ended case has rows, with the columns that their own defaults make.
const TABLES: [(&str, &[&str]); 4] = [
    ("cases", &[]),
    ("case_subjects", &[]),
    ("outbox", &["message_id", "idempotency_key"]),
    ("history", &["history_id"]),
];

/// Measures `history_ratio`.
pub fn measure(sizes: &Sizes) {
    let changes = [("workflow_engine.databases", "many,few")];
    let cluster = cluster::start_with(&changes);
    let (many, few) = sizes.finished;
    let [mut many_ended, mut few_ended] =
        [("many", sizes.finished_by_engine), ("few", few)].map(|(name, ended)| {
            let mut database = cluster.database(name);
            workload::create(&mut database, sizes.extra_cases.max(ended), "queued");
            run_cases(&mut database, 1, ended);
            // As a sender leaves them.
            database.exec("UPDATE wf.outbox SET state = 'sent', attempts = 1, finished_at = created_at, sender = 'bench'");
            database
        });
    hurry_autovacuum(&mut many_ended);
    multiply(&mut many_ended, sizes.finished_by_engine, many);
    for (database, ended) in [(&mut many_ended, many), (&mut few_ended, few)] {
        database.expect(
            "SELECT state, count(*) FROM wf.cases GROUP BY state",
            &[format!("completed | {ended}")],
        );
        await_autovacuum(database, &["cases", "case_subjects", "outbox"]);
        let size: String =
            database.one("SELECT pg_size_pretty(pg_database_size(current_database()))");
        progress(format!("{ended} cases have ended: {size}"));
    }

    let cases = sizes.extra_cases;
    let steps_per_s =
        |database: &mut Session| rate(cases * STEPS, run_cases(database, 1, cases).time);
    let (after_many, after_few) = alternate(
        sizes.rounds,
        &mut (many_ended, few_ended),
        &mut |(many, _)| steps_per_s(many),
        &mut |(_, few)| steps_per_s(few),
    );
    progress(format!(
        "after {many}: {} steps/s; after {few}: {} steps/s",
        list(&after_many),
        list(&after_few)
    ));
    figure("history_ratio", "ratio", &ratios(&after_many, &after_few));
}

/// Makes `wanted` ended cases of the `there` that the engine has worked on: copies of their rows in all tables, each
/// copy with case ids and keys of its own, as if it had been about other invoices.
fn multiply(database: &mut Session, there: u64, wanted: u64) {
    database.exec("CREATE SCHEMA seed");
    let mut inserts = Vec::new();
    for (table, made) in TABLES {
        database.exec(&format!(
            "CREATE UNLOGGED TABLE seed.{table} AS SELECT * FROM wf.{table}"
        ));
        let columns = columns(database, table, made);
        let values: Vec<String> = columns
            .iter()
            .map(|column| match column.as_str() {
                "case_id" => "case_id + SHIFT".to_owned(),
                "slot" => "CASE slot WHEN 0 THEN 0 ELSE slot + SHIFT END".to_owned(),
                "key" => "(key::bigint + SHIFT)::text".to_owned(),
                _ => column.clone(),
            })
            .collect();
        inserts.push(format!(
            "INSERT INTO wf.{table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM seed.{table}",
            columns.join(", "),
            values.join(", ")
        ));
    }
    assert_eq!(wanted % there, 0, "whole copies only");
    for copy in 1..wanted / there {
        let shift = (copy * there).to_string();
        database.exec(&inserts.join("; ").replace("SHIFT", &shift));
    }
    database.exec(
        "SELECT setval(pg_get_serial_sequence('wf.cases', 'case_id'), max(case_id)) FROM wf.cases;
         DROP SCHEMA seed CASCADE",
    );
}
