//! The private clusters that everything is measured on, what is set in them, and the workers' switch.

use std::thread::sleep;
use std::time::{Duration, Instant};

use workflow_engine_tests::{Cluster, Options, Session, eventually, eventually_within};

use crate::report::progress;

/// The database that gets workers.
pub const DATABASE: &str = "bench";

/// How often is looked whether the workers have finished.
const LOOK: Duration = Duration::from_millis(10);

/// What is not PostgreSQL's default: room for the data in memory, and no checkpoint in the middle of a short
/// measurement. fsync, synchronous_commit, full_page_writes and autovacuum are on, as they are by default.
const SETTINGS: [(&str, &str); 8] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("autovacuum", "on"),
    // A cluster of the harness asks for less than the default.
    ("max_connections", "100"),
];

/// For the ERP's own statements: no workers, nobody else who works by himself, and no file of the WAL that has to be made
/// while a statement waits, as in a server that has run for a while.
pub const SILENCE: [(&str, &str); 5] = [
    ("workflow_engine.databases", ""),
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1d"),
    ("bgwriter_lru_maxpages", "0"),
    ("min_wal_size", "2GB"),
];

/// Starts a cluster: one worker, for [`DATABASE`] alone, which acts only after [`workers_on`].
pub fn start() -> Cluster {
    start_with(&[])
}

/// As [`start`], with some settings changed.
pub fn start_with(changes: &[(&str, &str)]) -> Cluster {
    let options = SETTINGS
        .iter()
        .copied()
        .chain([
            ("workflow_engine.databases", DATABASE),
            ("workflow_engine.workers_per_database", "1"),
            ("workflow_engine.enabled", "off"),
        ])
        // The last line of a name counts.
        .chain(changes.iter().copied())
        .fold(Options::default(), |options, (name, value)| {
            options.set(name, value)
        });
    let cluster = Cluster::start(&options);
    let mut session = cluster.connect("postgres");
    let set: Vec<String> = SETTINGS
        .iter()
        .chain(changes)
        .map(|(name, _)| {
            let value: String = session.one(&format!("SHOW {name}"));
            format!("{name}={value}")
        })
        .collect();
    let version: String = session.one("SHOW server_version");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    progress(format!(
        "PostgreSQL {version}, {cores} cores, {}",
        set.join(" ")
    ));
    cluster
}

/// Makes [`DATABASE`] anew as a copy of a database that nobody is connected to, and waits for its worker.
pub fn copy_of(cluster: &Cluster, template: &str) -> Session {
    drop_database(cluster, DATABASE);
    let mut postgres = cluster.connect("postgres");
    postgres.exec(&format!(
        "CREATE DATABASE \"{DATABASE}\" TEMPLATE \"{template}\" STRATEGY file_copy"
    ));
    let mut session = cluster.connect(DATABASE);
    // The launcher looks for databases when the settings are read again.
    postgres.exec("SELECT pg_reload_conf()");
    await_workers(&mut session, 1);
    session
}

/// Drops a database, if it is there.
pub fn drop_database(cluster: &Cluster, name: &str) {
    cluster
        .connect("postgres")
        .exec(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
}

/// Lets the workers of all databases act.
pub fn workers_on(session: &mut Session) {
    session.exec("ALTER SYSTEM SET workflow_engine.enabled = on");
    session.exec("SELECT pg_reload_conf()");
}

/// Has the workers stand still, and waits until those of this database do.
pub fn workers_off(session: &mut Session) {
    session.exec("ALTER SYSTEM RESET workflow_engine.enabled");
    session.exec("SELECT pg_reload_conf()");
    eventually("the workers to stand still", || {
        workers(session)
            .iter()
            .all(|(_, state)| state == "off")
            .then_some(())
    });
}

/// Processes and states of this database's workers.
pub fn workers(session: &mut Session) -> Vec<(i32, String)> {
    session
        .rows(
            "SELECT pid, state FROM wf.workers()
             WHERE database = current_database() AND pid IS NOT NULL AND state <> 'starting'",
        )
        .into_iter()
        .filter_map(|mut row| Some((row.first()?.parse().ok()?, row.pop()?)))
        .collect()
}

/// Waits until this database has exactly so many workers.
pub fn await_workers(session: &mut Session, count: usize) {
    eventually("the workers", || {
        (workers(session).len() == count).then_some(())
    });
}

/// What the workers have done and what it took.
pub struct Worked {
    /// From the switch to the end of the last batch.
    pub time: Duration,
    /// Bytes of WAL that the whole cluster has written meanwhile.
    pub wal: u64,
}

/// Has the workers do all that is due in this database. A checkpoint comes before.
pub fn work_off(session: &mut Session) -> Worked {
    eventually("a worker", || (!workers(session).is_empty()).then_some(()));
    checkpoint(session);
    let wal = wal_position(session);
    let start = Instant::now();
    workers_on(session);
    let time = await_rest(session, start, Duration::from_secs(900));
    let wal = wal_position(session) - wal;
    workers_off(session);
    Worked { time, wal }
}

/// Waits until nothing is due and all workers of this database rest; how long it was since `start`.
pub fn await_rest(session: &mut Session, start: Instant, limit: Duration) -> Duration {
    loop {
        sleep(LOOK);
        // The workers' state costs nothing to read; the steps are only asked for once they rest.
        let resting = workers(session).iter().all(|(_, state)| state == "idle");
        let time = start.elapsed();
        if resting && nothing_due(session) {
            return time;
        }
        assert!(time < limit, "after {limit:?} the workers still work");
    }
}

fn nothing_due(session: &mut Session) -> bool {
    session
        .rows("SELECT FROM wf.case_steps
               WHERE state = 'scheduled' AND run_at IS NOT NULL AND greatest(run_at, entered_at) <= now() LIMIT 1")
        .is_empty()
}

/// Whatever is measured next starts from clean buffers, with all of the WAL's budget before it.
pub fn checkpoint(session: &mut Session) {
    session.exec("CHECKPOINT");
}

/// Where the WAL is at, in bytes.
pub fn wal_position(session: &mut Session) -> u64 {
    session.one("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
}

/// Autovacuum when it is in a hurry.
const HURRY: [(&str, &str); 2] = [
    ("autovacuum_naptime", "1s"),
    ("autovacuum_vacuum_cost_delay", "0"),
];

/// Has autovacuum do at once what it would do sooner or later. A table that it has begun with it ends at the pace that it
/// began with, so a large load begins with this.
pub fn hurry_autovacuum(session: &mut Session) {
    for (name, value) in HURRY {
        session.exec(&format!("ALTER SYSTEM SET {name} = '{value}'"));
    }
    session.exec("SELECT pg_reload_conf()");
}

/// Has autovacuum, and nobody else, analyse what has been loaded, and waits until it is done with these tables of `wf`.
/// Then it has its default pace again.
pub fn await_autovacuum(session: &mut Session, tables: &[&str]) {
    hurry_autovacuum(session);
    let limit = Duration::from_secs(1200);
    eventually_within(limit, "autovacuum to analyse the tables", || {
        let pending: u64 = session.one(&format!(
            "SELECT count(*) FROM pg_stat_user_tables
             WHERE schemaname = 'wf' AND relname = ANY ('{{{}}}') AND last_autoanalyze IS NULL",
            tables.join(",")
        ));
        (pending == 0).then_some(())
    });
    let mut silent_since = Instant::now();
    eventually_within(limit, "autovacuum to pause", || {
        let busy: u64 = session
            .one("SELECT count(*) FROM pg_stat_progress_vacuum WHERE datname = current_database()");
        if busy > 0 {
            silent_since = Instant::now();
        }
        (silent_since.elapsed() > Duration::from_millis(2500)).then_some(())
    });
    for (name, _) in HURRY {
        session.exec(&format!("ALTER SYSTEM RESET {name}"));
    }
    session.exec("SELECT pg_reload_conf()");
}

/// When the batches after this message were committed, as milliseconds from each to the next. Needs
/// `track_commit_timestamp`.
pub fn batch_times(session: &mut Session, after_message: &str) -> Vec<f64> {
    session
        .rows(&format!(
            "SELECT extract(epoch FROM at - lag(at) OVER (ORDER BY at)) * 1000
             FROM (SELECT pg_xact_commit_timestamp(x.xid) AS at
                   FROM (SELECT DISTINCT xmin AS xid FROM wf.outbox WHERE message_id > {after_message}) AS x) AS c"
        ))
        .iter()
        // The first batch has none before it.
        .filter_map(|row| row.first()?.parse().ok())
        .collect()
}

/// The number of the last message.
pub fn last_message(session: &mut Session) -> String {
    session.one("SELECT coalesce(max(message_id), 0) FROM wf.outbox")
}
