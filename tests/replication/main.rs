//! Rows that come by logical replication, or are loaded as a replica would: what the engine does about them, and what it
//! leaves to be asked for.

use serde_json::json;
use workflow_engine_tests::{
    Cluster, Options, Session, TestDb, automatic, eventually, invoice_workflow, literal, post,
    prepare,
};

const CASES: &str = "SELECT key, state FROM probe.cases()";
const NONE: &[&str] = &[];

fn options() -> Options {
    Options::default().set("wal_level", "logical")
}

/// The database `shop` with a workflow on invoices and one on inspection reports, each with one message.
fn shop(cluster: &Cluster) -> Session {
    let mut shop = cluster.database("shop");
    prepare(&mut shop);
    shop.bind_report();
    shop.install(&automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"},
        {"name": "pause", "kind": "wait", "on": {"anchor": "previous_done", "days": 1000}}
    ])));
    let mut reports = invoice_workflow(
        "reports",
        json!([{"name": "n", "kind": "note", "text": "Seen."}]),
    );
    reports["subject"] = "inspection_report".into();
    reports["start"] = json!({"when": "scope = 10"});
    reports["templates"] = json!({});
    shop.install(&reports);
    shop
}

fn report(shop: &mut Session, number: i64) {
    shop.exec(&format!(
        "INSERT INTO inspection_report VALUES ('00000000-0000-0000-0000-{number:012}', 'P-1', 10, '2026-09-01')"
    ));
}

fn subscribe(to: &Cluster, subscriber: &mut Session, name: &str) {
    let connection = format!("host={} user=postgres dbname=shop", to.folder().display());
    subscriber.exec(&format!(
        "CREATE SUBSCRIPTION {name} CONNECTION {} PUBLICATION {name}",
        literal(&connection)
    ));
}

fn count(shop: &mut Session, what: &str, number: i64) {
    eventually(&format!("{number} of {what}"), || {
        (shop.one::<i64>(&format!("SELECT count(*) FROM {what}")) == number).then_some(())
    });
}

/// A worker has looked at the inbox since: a row of this session's own is through.
fn looked(shop: &mut Session, id: i64) {
    post(shop, id, id);
    eventually("the session's own case", || {
        let own = format!("SELECT 1 FROM probe.cases() WHERE key = '{id}'");
        (!shop.lines(&own).is_empty()).then_some(())
    });
}

#[test]
fn a_subscriber_starts_nothing_for_rows_of_the_publisher_in_either_direction() {
    let (here, there) = (Cluster::start(&options()), Cluster::start(&options()));
    let (mut a, mut b) = (shop(&here), shop(&there));
    // Invoices go one way, reports the other; some of each are there before, and come with the first copy.
    post(&mut a, 1, 3);
    report(&mut b, 1);
    a.exec("CREATE PUBLICATION invoices FOR TABLE invoice");
    b.exec("CREATE PUBLICATION reports FOR TABLE inspection_report");
    subscribe(&here, &mut b, "invoices");
    subscribe(&there, &mut a, "reports");
    count(&mut b, "invoice", 3);
    count(&mut a, "inspection_report", 1);
    // And some come one by one.
    post(&mut a, 4, 6);
    a.exec("UPDATE invoice SET state = 'paid' WHERE id = 6; DELETE FROM invoice WHERE id = 5");
    report(&mut b, 2);
    count(&mut b, "invoice WHERE id <> 5", 5);
    eventually("the last change", || {
        (b.lines("SELECT state FROM invoice WHERE id >= 5") == ["paid"]).then_some(())
    });
    count(&mut a, "inspection_report", 2);

    count(
        &mut a,
        "probe.cases() WHERE workflow = 'auto' AND state = 'running'",
        4,
    );
    looked(&mut b, 100);
    b.expect(
        "SELECT workflow, key, state FROM probe.cases() ORDER BY 1, 2",
        &[
            "auto | 100 | running",
            "reports | 00000000-0000-0000-0000-000000000001 | completed",
            "reports | 00000000-0000-0000-0000-000000000002 | completed",
        ],
    );
    a.expect(
        "SELECT count(*) FROM probe.cases() WHERE workflow = 'reports'",
        &[0],
    );
    // The case's first step comes a moment after the case.
    count(&mut b, "wf.outbox", 1);
    b.expect("SELECT count(*) FROM wf.inbox", &[0]);

    // Here takes over from there: what came is picked up by asking for it.
    a.exec("DROP SUBSCRIPTION reports");
    a.expect("SELECT wf.reconcile('inspection_report')", &[2]);
    count(
        &mut a,
        "probe.cases() WHERE workflow = 'reports' AND state = 'completed'",
        2,
    );
    b.exec("DROP SUBSCRIPTION invoices");
}

#[test]
fn an_engine_that_is_to_work_on_the_subscriber_has_triggers_that_always_fire() {
    let (here, there) = (Cluster::start(&options()), Cluster::start(&options()));
    let mut a = here.database("shop");
    prepare(&mut a);
    let mut b = shop(&there);
    for trigger in b.lines(
        "SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = 'invoice'::regclass AND tgname LIKE 'wf\\_%'",
    ) {
        b.exec(&format!("ALTER TABLE invoice ENABLE ALWAYS TRIGGER {trigger}"));
    }
    post(&mut a, 1, 2);
    a.exec("CREATE PUBLICATION invoices FOR TABLE invoice");
    subscribe(&here, &mut b, "invoices");
    count(&mut b, "probe.cases() WHERE state = 'running'", 2);
    post(&mut a, 3, 3);
    a.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    eventually("the cases", || {
        let cases = b.lines(CASES);
        (cases == ["1 | cancelled", "2 | running", "3 | running"]).then_some(())
    });
    b.expect(
        "SELECT status FROM wf.health WHERE \"check\" = 'triggers'",
        &["ok"],
    );
    b.exec("DROP SUBSCRIPTION invoices");
}

#[test]
fn rows_loaded_as_a_replica_are_picked_up_by_reconcile() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&automatic(
        json!([{"name": "mail", "kind": "email", "template": "hello"}]),
    ));
    db.invoice(1, "2026-04-01", "100");
    db.invoice(2, "2026-04-01", "100");
    db.run_due();
    db.exec("SET session_replication_role = replica");
    db.exec(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series(3, 500) AS n; \
         UPDATE invoice SET state = 'paid' WHERE id = 1; DELETE FROM invoice WHERE id = 2",
    );
    db.exec("RESET session_replication_role");
    db.run_due();
    db.expect(CASES, &["1 | running", "2 | running"]);
    db.expect("SELECT wf.reconcile('invoice')", &[499]);
    db.run_due();
    db.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY 1 ORDER BY 1",
        &["cancelled | 2", "running | 498"],
    );
    // Once more does nothing more.
    db.expect("SELECT wf.reconcile('invoice')", &[499]);
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[500]);
    db.expect("SELECT count(*) FROM wf.outbox", &[500]);
    // Nor do the engine's own writes as a replica, a restore's for instance, count as the ERP's.
    db.expect("SELECT * FROM wf.inbox", NONE);
}
