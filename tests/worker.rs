//! Workers, over real connections, by the real clock: nobody calls wf.run_due here unless the test says so.

use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{
    Cluster, Options, Session, automatic, eventually, eventually_within, live, post, prepare, until,
};

/// One e-mail, done when it is in the outbox, and a note.
fn mailing() -> serde_json::Value {
    automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "after", "kind": "note", "text": "Sent."}
    ]))
}

/// Leases and acknowledges until this many messages have come.
fn send(shop: &mut Session, count: usize) {
    let mut sent = 0;
    eventually(&format!("{count} messages"), || {
        let messages = shop.lease();
        if !messages.is_empty() {
            shop.ack(&messages);
            sent += messages.len();
        }
        (sent >= count).then_some(())
    });
}

#[test]
fn an_erp_change_becomes_a_message_and_its_acknowledgement_the_next_step() {
    let (_cluster, mut shop) = live(&Options::default());
    shop.install(&mailing());
    post(&mut shop, 1, 3);
    send(&mut shop, 3);
    until(&mut shop, "the notes", "SELECT count(*) = 3 FROM wf.notes");
    until(
        &mut shop,
        "the end of the cases",
        "SELECT count(*) = 3 FROM probe.cases() WHERE state = 'completed'",
    );
    shop.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn a_worker_wakes_up_at_the_next_due_time_and_on_commit() {
    // Nothing but the wake-up and the next due time can bring the worker back in time.
    let (_cluster, mut shop) = live(&Options::default().set("workflow_engine.naptime", "1h"));
    shop.install(&automatic(json!([
        {"name": "pause", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}},
        {"name": "after", "kind": "note", "text": "Later."}
    ])));
    shop.exec("INSERT INTO invoice VALUES (1, 'INV-1', 1, 'posted', NULL, 5, 'EUR', now() + interval '3 seconds')");
    until(
        &mut shop,
        "the case",
        "SELECT count(*) = 1 FROM probe.open() WHERE step = 'pause'",
    );
    until(&mut shop, "the note", "SELECT count(*) = 1 FROM wf.notes");
    shop.expect(
        "SELECT count(*) FROM wf.notes AS n, invoice AS i WHERE n.at < i.ready_at",
        &[0],
    );
}

#[test]
fn every_database_with_the_extension_gets_a_worker_also_a_new_one() {
    let (cluster, mut shop) = live(&Options::default());
    shop.install(&mailing());
    let mut second = cluster.database("second");
    prepare(&mut second);
    second.install(&mailing());
    for session in [&mut shop, &mut second] {
        post(session, 1, 1);
        send(session, 1);
    }
}

#[test]
fn a_database_may_switch_its_workers_off_and_run_due_does_the_same_work() {
    let (cluster, mut shop) = live(&Options::default());
    shop.install(&mailing());
    shop.exec("ALTER DATABASE shop SET workflow_engine.enabled = off");
    for pid in cluster.children_named("workflow") {
        // The worker reads the setting of its database when it starts.
        shop.exec(&format!("SELECT pg_terminate_backend({pid})"));
    }
    eventually("new workers", || {
        (!cluster.children_named("workflow").is_empty()).then_some(())
    });
    let mut other = cluster.connect("shop");
    post(&mut other, 1, 1);
    std::thread::sleep(Duration::from_secs(3));
    other.expect("SELECT count(*) FROM probe.cases()", &[0]);
    other.run_due();
    assert_eq!(other.lease().len(), 1);
}

#[test]
fn what_changes_while_the_workers_are_off_is_done_when_they_are_on_again() {
    // Nobody wakes a worker that is off, and it must not take its nap before it looks.
    let (_cluster, mut shop) = live(&Options::default().set("workflow_engine.naptime", "10min"));
    shop.install(&mailing());
    let state = "SELECT DISTINCT state FROM wf.workers() WHERE database = 'shop'";
    shop.exec("ALTER SYSTEM SET workflow_engine.enabled = off");
    shop.exec("SELECT pg_reload_conf()");
    eventually("the worker to be off", || {
        (shop.lines(state) == ["off"]).then_some(())
    });
    post(&mut shop, 1, 2);
    shop.expect("SELECT count(*) FROM probe.cases()", &[0]);
    shop.exec("ALTER SYSTEM RESET workflow_engine.enabled");
    shop.exec("SELECT pg_reload_conf()");
    send(&mut shop, 2);
    post(&mut shop, 3, 3);
    send(&mut shop, 1);
}

#[test]
fn without_preload_run_due_does_the_same_work() {
    let cluster = Cluster::start(&Options::plain());
    let mut shop = cluster.database("shop");
    prepare(&mut shop);
    shop.install(&mailing());
    post(&mut shop, 1, 2);
    shop.run_due();
    assert_eq!(shop.send().len(), 2);
    shop.expect(
        "SELECT count(*) FROM probe.cases() WHERE state = 'completed'",
        &[2],
    );
}

#[test]
fn a_worker_that_was_terminated_comes_back() {
    let (cluster, mut shop) = live(&Options::default());
    shop.install(&mailing());
    post(&mut shop, 1, 1);
    send(&mut shop, 1);
    for pid in cluster.children_named("workflow") {
        shop.exec(&format!("SELECT pg_terminate_backend({pid})"));
    }
    post(&mut shop, 2, 2);
    send(&mut shop, 1);
}

#[test]
fn the_extension_is_dropped_under_load_and_created_again() {
    let (_cluster, mut shop) = live(&Options::default());
    for round in 0..3 {
        shop.install(&mailing());
        post(&mut shop, 1 + round * 3000, 3000 + round * 3000);
        until(
            &mut shop,
            "the first cases",
            "SELECT count(*) > 0 FROM wf.cases",
        );
        shop.exec("DROP EXTENSION workflow_engine CASCADE");
        shop.expect(
            "SELECT count(*) FROM pg_namespace WHERE nspname = 'wf'",
            &[0],
        );
        shop.expect("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'invoice'::regclass AND NOT tgisinternal", &[0]);
        // The ERP goes on.
        shop.exec("UPDATE invoice SET state = 'paid'");
        shop.exec("CREATE EXTENSION workflow_engine");
        shop.bind_invoice();
    }
    shop.install(&mailing());
    post(&mut shop, 100_001, 100_002);
    send(&mut shop, 2);
}

#[test]
fn a_database_is_dropped_while_its_workers_run() {
    let (cluster, mut shop) = live(&Options::default());
    shop.install(&mailing());
    post(&mut shop, 1, 3000);
    until(
        &mut shop,
        "the first cases",
        "SELECT count(*) > 0 FROM wf.cases",
    );
    drop(shop);
    let mut admin = cluster.connect("postgres");
    // The session above may need a moment to be gone.
    eventually("the end of the test's own session", || {
        (admin.one::<i64>("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND application_name = 'test'") == 0).then_some(())
    });
    admin.exec("DROP DATABASE shop");

    let mut again = cluster.database("shop");
    prepare(&mut again);
    again.install(&mailing());
    post(&mut again, 1, 1);
    send(&mut again, 1);
    drop(again);
    admin.exec("DROP DATABASE shop WITH (FORCE)");
    admin.expect(
        "SELECT count(*) FROM pg_database WHERE datname = 'shop'",
        &[0],
    );
}

#[test]
fn a_fast_shutdown_under_load_takes_less_than_five_seconds() {
    let (mut cluster, mut shop) =
        live(&Options::default().set("workflow_engine.workers_per_database", "2"));
    shop.install(&mailing());
    post(&mut shop, 1, 20_000);
    until(
        &mut shop,
        "the first cases",
        "SELECT count(*) > 0 FROM wf.cases",
    );
    let took = cluster.stop_fast();
    assert!(took < Duration::from_secs(5), "the shutdown took {took:?}");
    assert!(cluster.children().is_empty());

    // And everything goes on after it.
    cluster.start_again();
    let mut shop = cluster.connect("shop");
    until(
        &mut shop,
        "all cases",
        "SELECT count(*) = 20000 FROM wf.cases",
    );
    until(
        &mut shop,
        "all messages",
        "SELECT count(*) = 20000 FROM wf.outbox",
    );
    shop.expect(
        "SELECT count(DISTINCT (case_id, step_no, visit)) FROM wf.outbox",
        &[20_000],
    );
}

/// What a server writes by itself is switched off: what is left is the engine's.
fn quiet() -> Options {
    Options::default()
        .set("autovacuum", "off")
        .set("wal_level", "minimal")
        .set("max_wal_senders", "0")
        .set("checkpoint_timeout", "1h")
        .set("bgwriter_lru_maxpages", "0")
}

const TRACES: &str =
    "SELECT pg_current_wal_insert_lsn() || ' ' || pg_snapshot_xmax(pg_current_snapshot())";

/// Cases that wait for a person, for the clock and for the sender.
fn waiting_cases(shop: &mut Session) {
    shop.install(&automatic(json!([
        {"name": "both", "kind": "parallel", "branches": ["look", "pause", "mail"]},
        {"name": "look", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 90}, "next": "meet"},
        {"name": "pause", "kind": "wait", "on": {"anchor": "case_start", "days": 90}, "next": "meet"},
        {"name": "mail", "kind": "email", "template": "hello", "next": "meet"},
        {"name": "meet", "kind": "join", "of": "both"}
    ])));
    post(shop, 1, 50);
    eventually("the cases", || {
        shop.run_due();
        (shop.one::<i64>("SELECT count(*) FROM wf.outbox") == 50).then_some(())
    });
}

#[test]
fn two_hundred_idle_ticks_write_nothing_and_take_no_transaction_id() {
    let (_cluster, mut shop) = live(&quiet().set("workflow_engine.databases", ""));
    waiting_cases(&mut shop);
    shop.exec("VACUUM");
    shop.exec("CHECKPOINT");
    // What pages still had to be tidied is tidied by the first ticks.
    for _ in 0..5 {
        shop.run_due();
    }
    let before: String = shop.one(TRACES);
    for _ in 0..200 {
        shop.run_due();
    }
    shop.expect(TRACES, &[before]);
}

#[test]
fn an_idle_worker_writes_nothing_and_takes_no_transaction_id() {
    let (_cluster, mut shop) = live(&quiet().set("workflow_engine.naptime", "1s"));
    waiting_cases(&mut shop);
    shop.exec("VACUUM");
    shop.exec("CHECKPOINT");
    std::thread::sleep(Duration::from_secs(3));
    let before: String = shop.one(TRACES);
    std::thread::sleep(Duration::from_secs(10));
    shop.expect(TRACES, &[before]);
}

#[test]
fn pg_cron_runs_the_engine() {
    let library = Cluster::library("pg_cron");
    if !library.exists() {
        println!(
            "skipped: {} is not installed (Debian: postgresql-15-cron)",
            library.display()
        );
        return;
    }
    let (_cluster, mut shop) = live(
        &Options::default()
            .set("workflow_engine.databases", "")
            .preload("pg_cron")
            .set("cron.database_name", "shop")
            .set("cron.host", "{folder}"),
    );
    shop.install(&mailing());
    shop.exec("CREATE EXTENSION pg_cron");
    shop.exec("SELECT cron.schedule('workflow engine', '* * * * *', 'CALL wf.run_due()')");
    post(&mut shop, 1, 3);
    // pg_cron looks once a minute.
    eventually_within(
        Duration::from_secs(180),
        "messages made by pg_cron's call",
        || {
            let messages = shop.lease();
            (messages.len() == 3).then_some(())
        },
    );
    shop.expect(
        "SELECT DISTINCT status FROM cron.job_run_details WHERE status <> 'running'",
        &["succeeded"],
    );
}

#[test]
fn the_example_of_the_readme_runs_as_printed() {
    let readme = include_str!("../README.md");
    let example = readme
        .split("```sql\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the README has an example in SQL");
    assert_eq!(readme.matches("```sql\n").count(), 1);
    let (cluster, _shop) = live(&Options::default());
    // Ten times, for a worker is at the same work.
    for attempt in 0..10 {
        let mut session = cluster.database(&format!("readme_{attempt}"));
        let statements: Vec<&str> = example.trim().split(";\n").collect();
        let (last, others) = statements.split_last().expect("a statement");
        for statement in others {
            session.exec(statement);
        }
        // The call has waited for the worker two seconds at most, which a machine with other work on it may exceed.
        let leased = eventually("the message of the README", || {
            let leased = session.lines(last.trim_end_matches(';'));
            (!leased.is_empty()).then_some(leased)
        });
        assert_eq!(
            leased,
            ["1 | email | jansen@example.com | Invoice 2026-001"]
        );
    }
}
