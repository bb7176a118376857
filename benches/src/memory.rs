//! Whether a worker grows.

use std::fs;

use crate::cluster::{self, await_workers, workers};
use crate::report::{figure, progress};
use crate::sizes::Sizes;
use crate::workload::{self, STEPS};

/// Measures `worker_memory_growth`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let mut database = cluster.database(cluster::DATABASE);
    let cases = sizes.memory_cases;
    workload::create(&mut database, cases, "queued");
    await_workers(&mut database, 1);
    let worker = |found: Vec<(i32, String)>| found.first().map_or(0, |(pid, _)| *pid);
    let pid = worker(workers(&mut database));
    let mut sizes_seen = Vec::new();
    for times in 1..=sizes.memory_times {
        // The same invoices again: their cases have ended.
        workload::run_cases(&mut database, 1, cases);
        let kib = private_memory(pid);
        progress(format!(
            "after {} steps: {kib} KiB",
            u64::from(times) * cases * STEPS
        ));
        sizes_seen.push(kib);
    }
    assert_eq!(
        worker(workers(&mut database)),
        pid,
        "another worker has taken over"
    );
    if let [first, .., last] = sizes_seen[..] {
        figure(
            "worker_memory_growth",
            "ratio",
            &[last as f64 / first as f64],
        );
    }
}

/// Resident memory of a process that no file backs and nobody shares, in KiB: RssAnon. The shared buffers that it has
/// touched are not in it.
fn private_memory(pid: i32) -> u64 {
    let path = format!("/proc/{pid}/status");
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    text.lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no RssAnon in {path}"))
}
