//! What a waiting case takes on disk.

use crate::cluster;
use crate::report::{figure, progress};
use crate::sizes::Sizes;
use crate::workload::{self, FUTURE, WORKFLOW};

/// Measures `bytes_per_waiting_case`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let mut database = cluster.database(cluster::DATABASE);
    let cases = sizes.size_cases;
    workload::create(&mut database, 0, "queued");
    workload::add_invoices(&mut database, 1, cases, FUTURE);
    let mut tables = || -> Vec<(String, i64)> {
        database
            .rows(
                "SELECT relname, pg_total_relation_size(oid) FROM pg_class
                 WHERE relnamespace = 'wf'::regnamespace AND relkind = 'r' ORDER BY relname",
            )
            .into_iter()
            .filter_map(|mut row| Some((row.swap_remove(0), row.pop()?.parse().ok()?)))
            .collect()
    };
    let before = tables();
    let mut starter = cluster.connect(cluster::DATABASE);
    workload::start_cases(&mut starter, WORKFLOW, 1, cases);
    starter.expect(
        "SELECT count(*), count(DISTINCT case_id) FROM wf.case_steps WHERE state = 'scheduled' AND run_at > now()",
        &[format!("{cases} | {cases}")],
    );
    let mut total = 0;
    for (table, bytes) in tables() {
        let old = before
            .iter()
            .find(|(name, _)| *name == table)
            .map_or(0, |(_, bytes)| *bytes);
        if bytes > old {
            total += bytes - old;
            progress(format!(
                "{table}: {:.1} bytes a case, indexes included",
                (bytes - old) as f64 / cases as f64
            ));
        }
    }
    figure(
        "bytes_per_waiting_case",
        "bytes",
        &[total as f64 / cases as f64],
    );
}
