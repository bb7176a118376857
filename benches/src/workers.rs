//! Two workers against one.

use workflow_engine_tests::Cluster;

use crate::cluster::{self, await_workers, copy_of, work_off};
use crate::report::{alternate, figure, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload;

/// Measures `two_workers_speedup`.
pub fn measure(sizes: &Sizes) {
    let mut cluster = cluster::start();
    let cases = sizes.workers_cases;
    workload::make_ready(&cluster, "ready", cases, "queued");
    let (two, one) = alternate(
        sizes.rounds,
        &mut cluster,
        &mut |cluster| run(cluster, cases, 2),
        &mut |cluster| run(cluster, cases, 1),
    );
    figure("two_workers_speedup", "ratio", &ratios(&two, &one));
}

/// Steps a second of so many workers.
fn run(cluster: &mut Cluster, cases: u64, count: usize) -> f64 {
    let mut database = copy_of(cluster, "ready");
    database.exec(&format!(
        "ALTER SYSTEM SET workflow_engine.workers_per_database = {count}"
    ));
    database.exec("SELECT pg_reload_conf()");
    await_workers(&mut database, count);
    let worked = work_off(&mut database);
    workload::check(&mut database, cases, "queued");
    database.exec("ALTER SYSTEM RESET workflow_engine.workers_per_database");
    let rate = rate(cases * workload::STEPS, worked.time);
    progress(format!("{count} at work: {rate:.0} steps/s"));
    rate
}
