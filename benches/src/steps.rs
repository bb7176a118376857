//! Throughput: how fast one worker takes cases from step to step, against the bare tables.

use std::thread::sleep;
use std::time::{Duration, Instant};

use workflow_engine_tests::{Cluster, Session, eventually};

use crate::cluster::{self, DATABASE, wal_position, worker, worker_off, worker_on};
use crate::report::{Report, progress, rate};
use crate::{Size, bare, workload};

/// How often is looked whether the worker has finished.
const LOOK: Duration = Duration::from_millis(10);

/// Measures `engine_steps_per_s`, `bare_rows_steps_per_s`, `engine_to_bare_ratio`, `start_many_per_s` and
/// `wal_bytes_per_step`.
pub fn measure(size: Size, report: &mut Report) {
    let cluster = cluster::start();
    let steps = size.cases * workload::STEPS;
    for round in 1..=size.rounds {
        let mut database = cluster.database(DATABASE);
        workload::create(&mut database, size.cases);

        let start = Instant::now();
        workload::start_cases(&mut database);
        let starting = start.elapsed();

        let (working, wal) = work_off(&mut database);
        workload::check(&mut database, size.cases);

        bare::prepare(&mut database);
        settle(&mut database);
        let bare_wal = wal_position(&mut database);
        let bare = bare::fill(&mut database);
        let bare_wal = wal_position(&mut database) - bare_wal;
        bare::check(&mut database);

        progress(format!(
            "round {round} of {}: start_many {:.2} s; worker {:.2} s, {} WAL bytes a step; bare {:.2} s, {} WAL bytes a step; {}",
            size.rounds,
            starting.as_secs_f64(),
            working.as_secs_f64(),
            wal / steps,
            bare.as_secs_f64(),
            bare_wal / steps,
            rows_written(&mut database, size.cases),
        ));
        let (engine_rate, bare_rate) = (rate(steps, working), rate(steps, bare));
        report.add("engine_steps_per_s", engine_rate, "steps/s");
        report.add("bare_rows_steps_per_s", bare_rate, "steps/s");
        report.add("engine_to_bare_ratio", engine_rate / bare_rate, "ratio");
        report.add("start_many_per_s", rate(size.cases, starting), "cases/s");
        report.add("wal_bytes_per_step", wal as f64 / steps as f64, "bytes");
        drop(database);
        remove(&cluster);
    }
}

/// Has the worker do all that is due; how long it took and how much WAL was written meanwhile.
fn work_off(database: &mut Session) -> (Duration, u64) {
    database.exec("VACUUM ANALYZE");
    let pid = eventually("the worker", || worker(database)).0;
    settle(database);
    progress(format!("the worker, process {pid}, begins"));
    let wal = wal_position(database);
    let start = Instant::now();
    worker_on(database);
    // The worker's state costs nothing to read; the steps are only counted once it rests.
    let time = loop {
        sleep(LOOK);
        let resting = worker(database).is_some_and(|(_, state)| state == "idle");
        let time = start.elapsed();
        if resting && nothing_left(database) {
            break time;
        }
    };
    let wal = wal_position(database) - wal;
    worker_off(database);
    (time, wal)
}

fn nothing_left(database: &mut Session) -> bool {
    database
        .rows("SELECT FROM wf.case_steps WHERE state = 'scheduled' LIMIT 1")
        .is_empty()
}

/// Both sides start from clean buffers, with all of the WAL's budget before them.
fn settle(database: &mut Session) {
    database.exec("CHECKPOINT");
}

fn rows_written(database: &mut Session, cases: u64) -> String {
    let counts = database.lines(
        "SELECT (SELECT count(*) FROM bare.messages), (SELECT count(*) FROM bare.events),
                (SELECT round(avg(octet_length(payload ->> 'body'))) FROM bare.messages)",
    );
    let counts: Vec<&str> = counts
        .first()
        .map(|line| line.split(" | ").collect())
        .unwrap_or_default();
    match counts[..] {
        [messages, events, body] => format!(
            "{cases} cases, {messages} messages with bodies of {body} bytes, {events} history rows"
        ),
        _ => String::new(),
    }
}

/// The next round starts from nothing.
fn remove(cluster: &Cluster) {
    cluster
        .connect("postgres")
        .exec(&format!("DROP DATABASE \"{DATABASE}\" WITH (FORCE)"));
}
