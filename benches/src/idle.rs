//! What workers cost that have nothing to do.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use workflow_engine_tests::Session;

use crate::cluster::{self, await_rest, checkpoint, wal_position, workers_on};
use crate::report::{figure, progress};
use crate::sizes::Sizes;
use crate::workload;

/// Whoever else would write by itself: autovacuum, and the background writer, which notes the running transactions for
/// a standby.
const SILENCE: [(&str, &str); 3] = [
    ("autovacuum", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
];

/// Cases that wait meanwhile, and cases that have ended before.
const WAITING: u64 = 10_000;
const ENDED: u64 = 1000;

/// Measures `idle_cpu_s`, `idle_wal_bytes` and `idle_xids`: of the launcher and one worker.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start_with(&SILENCE);
    let mut database = cluster.database(cluster::DATABASE);
    workload::create(&mut database, ENDED, "queued");
    workload::add_waiting(&mut database, ENDED + 1, WAITING);
    workload::run_cases(&mut database, 1, ENDED);
    workers_on(&mut database);
    await_rest(&mut database, Instant::now(), Duration::from_secs(60));
    checkpoint(&mut database);
    sleep(Duration::from_secs(2));

    let pids: Vec<i32> = database
        .rows("SELECT pid FROM wf.workers() WHERE pid IS NOT NULL")
        .iter()
        .filter_map(|row| row.first()?.parse().ok())
        .collect();
    assert_eq!(pids.len(), 2, "the launcher and a worker: {pids:?}");
    let (wal, xid) = (wal_position(&mut database), next_xid(&mut database));
    let cpu = cpu_seconds(&pids);
    sleep(Duration::from_secs(sizes.idle_seconds));
    let cpu = cpu_seconds(&pids) - cpu;
    let (wal, xid) = (
        wal_position(&mut database) - wal,
        next_xid(&mut database) - xid,
    );
    progress(format!(
        "watched for {} s, {WAITING} cases waiting",
        sizes.idle_seconds
    ));
    figure("idle_cpu_s", "s", &[cpu]);
    figure("idle_wal_bytes", "bytes", &[wal as f64]);
    figure("idle_xids", "ids", &[xid as f64]);
}

/// The transaction id that is given out next.
fn next_xid(session: &mut Session) -> u64 {
    session.one("SELECT pg_snapshot_xmax(pg_current_snapshot())")
}

/// The time that these processes have run, by the scheduler's own account, which counts nanoseconds.
fn cpu_seconds(pids: &[i32]) -> f64 {
    pids.iter()
        .map(|pid| {
            let path = format!("/proc/{pid}/schedstat");
            let text = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
            let nanoseconds: f64 = text
                .split_whitespace()
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{path} holds {text:?}"));
            nanoseconds / 1e9
        })
        .sum()
}
