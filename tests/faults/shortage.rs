//! Fault 3: the disk is full, connections, processes or locks are used up. Nothing of it is a case's mistake.

use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{
    Cluster, Full, Options, Session, automatic, eventually, eventually_within, live, prepare,
};

use super::{around, completed, expect_exactly_once, hasty, post, until};

fn mailing() -> serde_json::Value {
    around(json!({"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}))
}

/// Lets the workers act, or not.
fn enable(shop: &mut Session, on: bool) {
    shop.exec(&format!("ALTER SYSTEM SET workflow_engine.enabled = {on}"));
    shop.exec("SELECT pg_reload_conf()");
    let state = if on { "off" } else { "idle" };
    until(
        shop,
        "the workers to notice",
        &format!(
            "SELECT count(*) = 0 FROM wf.workers() WHERE database = 'shop' AND state = '{state}'"
        ),
    );
}

fn wait_for_log(cluster: &Cluster, says: &str) {
    eventually(&format!("{says:?} in the log"), || {
        cluster.log().contains(says).then_some(())
    });
}

fn expect_messages_once(shop: &mut Session, count: i64) {
    shop.expect(
        "SELECT count(*), count(DISTINCT (case_id, step_no, visit)) FROM wf.outbox",
        &[format!("{count} | {count}")],
    );
}

#[test]
fn a_full_disk_stops_the_engine_and_costs_no_case_its_attempts() {
    let (cluster, mut shop) = live(&hasty().with_shim());
    shop.install(&mailing());
    post(&mut shop, 1, 100);
    completed(&mut shop, 100);
    enable(&mut shop, false);
    post(&mut shop, 101, 3000);
    cluster.shim().fill(Full::Tables);
    enable_without_writing(&mut shop);
    wait_for_log(&cluster, "No space left on device");
    // Three attempts of each case, a second apart, would all be over by now.
    std::thread::sleep(Duration::from_secs(5));
    shop.expect("SELECT count(*) FROM wf.incidents", &[0]);
    shop.expect(
        "SELECT count(*) FROM wf.inbox WHERE failed_at IS NOT NULL",
        &[0],
    );
    // The ERP gets the error that it would get without us.
    shop.expect_error(
        "INSERT INTO invoice SELECT n, repeat('x', 100), 1, 'draft', '2026-04-01', 100, 'EUR', now() FROM generate_series(100001, 110000) AS n",
        "53100",
        &["No space left"],
    );
    cluster.shim().fill(Full::Nothing);
    completed(&mut shop, 3000);
    expect_exactly_once(&mut shop, 3000, 2);
    expect_messages_once(&mut shop, 3000);
}

/// ALTER SYSTEM writes a file, but none of a table.
fn enable_without_writing(shop: &mut Session) {
    shop.exec("ALTER SYSTEM SET workflow_engine.enabled = on");
    shop.exec("SELECT pg_reload_conf()");
}

#[test]
fn a_full_write_ahead_log_ends_the_server_and_everything_goes_on_when_there_is_room() {
    let (mut cluster, mut shop) = live(
        &hasty()
            .with_shim()
            .set("min_wal_size", "32MB")
            .set("max_wal_size", "32MB"),
    );
    shop.install(&mailing());
    post(&mut shop, 1, 2000);
    until(&mut shop, "work", "SELECT count(*) > 0 FROM wf.cases");
    cluster.shim().fill(Full::Everything);
    // Until the last segment is used up.
    let lost = (0..2000).any(|_| {
        shop.try_exec("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")
            .is_err()
    });
    assert!(lost, "the write-ahead log was never full");
    std::thread::sleep(Duration::from_secs(1));
    cluster.shim().fill(Full::Nothing);
    let mut shop = eventually_within(Duration::from_secs(60), "the server", || {
        if cluster.is_down() {
            cluster.start_again();
        }
        cluster.try_connect("shop").ok()
    });
    wait_for_log(&cluster, "PANIC");
    completed(&mut shop, 2000);
    expect_exactly_once(&mut shop, 2000, 2);
    expect_messages_once(&mut shop, 2000);
}

#[test]
fn without_a_free_connection_the_workers_go_on_and_come_back() {
    let (cluster, mut shop) = live(&hasty().set("max_connections", "8"));
    shop.install(&mailing());
    post(&mut shop, 1, 10);
    completed(&mut shop, 10);
    let mut others = Vec::new();
    while let Ok(session) = cluster.try_connect("shop") {
        others.push(session);
    }
    assert!(!others.is_empty() && others.len() < 10);
    let worker: i32 = shop.one("SELECT pid FROM wf.workers() WHERE database = 'shop'");
    shop.exec(&format!("SELECT pg_terminate_backend({worker})"));
    post(&mut shop, 11, 20);
    completed(&mut shop, 20);
    expect_exactly_once(&mut shop, 20, 2);
}

#[test]
fn without_a_free_process_the_log_says_so_and_run_due_does_the_work() {
    // One is for the launcher.
    let options = hasty()
        .set("max_worker_processes", "1")
        .set("max_logical_replication_workers", "0");
    let mut cluster = Cluster::start(&options);
    let mut shop = cluster.database("shop");
    prepare(&mut shop);
    wait_for_log(
        &cluster,
        "workflow_engine could not start a worker: all background worker slots are in use",
    );
    wait_for_log(
        &cluster,
        "Raise max_worker_processes, or lower workflow_engine.workers_per_database.",
    );
    shop.install(&mailing());
    post(&mut shop, 1, 10);
    shop.run_due();
    shop.expect(
        "SELECT count(*) FROM wf.cases WHERE state = 'completed'",
        &[10],
    );
    post(&mut shop, 11, 20);
    // Said once, not each time that it is tried.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(cluster.log().matches("could not start a worker").count(), 1);
    shop.exec("ALTER SYSTEM SET max_worker_processes = 8");
    drop(shop);
    cluster.stop_fast();
    cluster.start_again();
    let mut shop = cluster.connect("shop");
    completed(&mut shop, 20);
    expect_exactly_once(&mut shop, 20, 2);
}

#[test]
fn without_a_free_lock_nothing_is_parked_and_everything_goes_on_later() {
    let (cluster, mut shop) = live(
        &hasty()
            // As many as the install script needs.
            .set("max_locks_per_transaction", "40")
            .set("max_connections", "10"),
    );
    shop.install(&mailing());
    post(&mut shop, 1, 10);
    completed(&mut shop, 10);
    enable(&mut shop, false);
    post(&mut shop, 11, 300);
    let mut hoarder = cluster.connect("shop");
    hoarder.exec("SET application_name = 'hoarder'");
    hoarder.expect_error(
        "SELECT count(pg_advisory_lock(n)) FROM generate_series(1, 1000000) AS n",
        "53200",
        &["max_locks_per_transaction"],
    );
    hoarder.exec("ALTER SYSTEM SET workflow_engine.enabled = on");
    hoarder.exec("SELECT pg_reload_conf()");
    wait_for_log(
        &cluster,
        "workflow_engine: a transaction was rolled back: out of shared memory",
    );
    std::thread::sleep(Duration::from_secs(5));
    hoarder.exec("SELECT pg_advisory_unlock_all()");
    shop.expect("SELECT count(*) FROM wf.failures", &[0]);
    shop.expect(
        "SELECT count(*) FROM wf.inbox WHERE failed_at IS NOT NULL",
        &[0],
    );
    completed(&mut shop, 300);
    expect_exactly_once(&mut shop, 300, 2);
    expect_messages_once(&mut shop, 300);
}

/// A condition cannot pretend that the server is short of something and so hold up the others.
#[test]
fn a_case_that_says_the_disk_is_full_is_put_off_alone() {
    let (_cluster, mut shop) = live(&hasty());
    shop.exec(
        "CREATE SCHEMA shop; CREATE FUNCTION shop.act(id bigint) RETURNS text LANGUAGE plpgsql AS $$
         BEGIN IF id IN (13, 14, 77) THEN RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END IF; RETURN 'well'; END $$",
    );
    shop.install(&automatic(json!([
        {"name": "act", "kind": "sql", "call": "shop.act(id)"},
        {"name": "after", "kind": "note", "text": "After."}
    ])));
    post(&mut shop, 1, 300);
    completed(&mut shop, 297);
    shop.exec("CREATE OR REPLACE FUNCTION shop.act(id bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'well' $$");
    completed(&mut shop, 300);
    expect_exactly_once(&mut shop, 300, 1);
}

#[test]
fn settings_of_a_running_server_take_effect_at_a_reload() {
    let (_cluster, mut shop) = live(&Options::default());
    shop.install(&mailing());
    let reload = |shop: &mut Session, setting: &str, value: &str| {
        shop.exec(&format!(
            "ALTER SYSTEM SET workflow_engine.{setting} = {value}"
        ));
        shop.exec("SELECT pg_reload_conf()");
    };
    let workers = |count: i64| {
        format!(
            "SELECT count(*) = {count} FROM wf.workers() WHERE database = 'shop' AND state IN ('idle', 'working')"
        )
    };
    let mut last = 0;
    let mut more = |shop: &mut Session| {
        post(shop, last + 1, last + 1000);
        last += 1000;
        last
    };
    let count = more(&mut shop);
    completed(&mut shop, count);
    reload(&mut shop, "batch_size", "7");
    reload(&mut shop, "workers_per_database", "3");
    until(&mut shop, "three workers", &workers(3));
    let count = more(&mut shop);
    completed(&mut shop, count);
    // So many cases in one transaction of the engine as it says. Two workers whose commits were flushed together begin the
    // next ones in the same microsecond, so that times do not tell them apart.
    shop.expect(
        "SELECT max(n) <= 7 FROM (
             SELECT count(*) AS n FROM wf.notes AS n JOIN wf.cases AS c USING (case_id)
             WHERE c.key::bigint > 1500 GROUP BY n.xmin, n.step_no) AS t",
        &["t"],
    );
    reload(&mut shop, "workers_per_database", "0");
    until(&mut shop, "no worker", &workers(0));
    let count = more(&mut shop);
    reload(&mut shop, "batch_size", "500");
    reload(&mut shop, "workers_per_database", "1");
    completed(&mut shop, count);
    reload(&mut shop, "enabled", "off");
    until(
        &mut shop,
        "the worker to be off",
        "SELECT count(*) = 1 FROM wf.workers() WHERE database = 'shop' AND state = 'off'",
    );
    let count = more(&mut shop);
    shop.expect("SELECT count(*) < 4000 FROM wf.cases", &["t"]);
    reload(&mut shop, "enabled", "on");
    completed(&mut shop, count);
    expect_exactly_once(&mut shop, count, 2);
    expect_messages_once(&mut shop, count);
}
