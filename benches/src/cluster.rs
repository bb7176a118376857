//! The private cluster that everything is measured on, and what is set in it.

use workflow_engine_tests::{Cluster, Options, Session};

use crate::report::progress;

/// The only database that gets a worker.
pub const DATABASE: &str = "bench";

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

/// Starts the cluster: one worker, for the database of [`DATABASE`] alone, which acts only after [`worker_on`].
pub fn start() -> Cluster {
    let options = SETTINGS
        .iter()
        .fold(Options::default(), |options, (name, value)| {
            options.set(name, value)
        })
        .set("workflow_engine.databases", DATABASE)
        .set("workflow_engine.workers_per_database", "1")
        .set("workflow_engine.enabled", "off");
    let cluster = Cluster::start(&options);
    let mut session = cluster.connect("postgres");
    let set = SETTINGS.map(|(name, _)| {
        let value: String = session.one(&format!("SHOW {name}"));
        format!("{name}={value}")
    });
    let version: String = session.one("SHOW server_version");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    progress(format!(
        "PostgreSQL {version}, {cores} cores, {}",
        set.join(" ")
    ));
    cluster
}

/// Lets the worker act.
pub fn worker_on(session: &mut Session) {
    session.exec("ALTER SYSTEM SET workflow_engine.enabled = on");
    session.exec("SELECT pg_reload_conf()");
}

/// Has the worker stand still; it finishes what it is at.
pub fn worker_off(session: &mut Session) {
    session.exec("ALTER SYSTEM RESET workflow_engine.enabled");
    session.exec("SELECT pg_reload_conf()");
}

/// The worker's process and state, if it runs.
pub fn worker(session: &mut Session) -> Option<(i32, String)> {
    let rows = session.rows(&format!(
        "SELECT pid, state FROM wf.workers() WHERE database = '{DATABASE}' AND pid IS NOT NULL"
    ));
    let row = rows.first()?;
    Some((row.first()?.parse().ok()?, row.get(1)?.clone()))
}

/// Where the WAL is at, in bytes.
pub fn wal_position(session: &mut Session) -> u64 {
    session.one("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")
}
