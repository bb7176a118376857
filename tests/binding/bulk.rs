//! Bulk statements: their keys come to the inbox by the thousand, and each row is still looked at as if it had come alone.

use serde_json::json;
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

use super::{NONE, following, invoices};

/// Open invoices 1 to `count`, each with a queued e-mail; invoices that are paid stop.
fn mailed(count: i64, stop: &str) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "mailing",
            json!([{"name": "mail", "kind": "email", "template": "hello"}]),
        ),
        |doc| {
            doc["start"] = json!({"when": "state = 'posted'"});
            doc["stop"] = json!([{"when": stop, "reason": "paid"}]);
        },
    ));
    invoices(&mut db, 1, count);
    db.run_due();
    db.expect("SELECT count(*) FROM probe.outbox()", &[count]);
    db
}

const UNREAD: &str = "SELECT count(*) FROM wf.inbox";

#[test]
fn after_a_bulk_change_no_message_of_a_changed_row_leaves() {
    let mut db = mailed(300, "state = 'paid'");
    db.exec("UPDATE invoice SET state = 'paid' WHERE id <= 250");
    let rows: i64 = db.one(UNREAD);
    assert!(rows < 10, "{rows} rows for one statement");
    let leased = db.lease();
    let changed = leased.iter().filter(|m| {
        let number = m.body.trim_start_matches("Invoice INV-");
        let number = number.split(',').next().and_then(|n| n.parse().ok());
        number.is_none_or(|n: i64| n <= 250)
    });
    assert_eq!(changed.count(), 0);
    db.run_due();
    db.expect(UNREAD, &[0]);
    assert_eq!(leased.len() + db.lease().len(), 50);
    db.expect(
        "SELECT state, count(*) FROM probe.outbox() GROUP BY state ORDER BY 1",
        &["leased | 50", "suppressed | 250"],
    );
}

#[test]
fn of_rows_changed_in_bulk_the_one_that_cannot_be_looked_at_is_alone_to_blame() {
    let mut db = mailed(600, "1 / open_amount > 1");
    db.exec("UPDATE invoice SET open_amount = CASE WHEN id = 333 THEN 0 ELSE 50 END");
    db.run_due();
    db.expect(
        "SELECT key, failed_at IS NOT NULL FROM wf.inbox",
        &["333 | t"],
    );
    db.expect(
        "SELECT key, sqlstate FROM wf.failures WHERE resolved_at IS NULL",
        &["333 | 22012"],
    );
    assert_eq!(db.lease().len(), 599);
    // Mended, in bulk again: the message may leave, and nothing of the failure is left.
    db.exec("UPDATE invoice SET open_amount = 40");
    db.run_due();
    db.expect(UNREAD, &[0]);
    db.expect(
        "SELECT count(*) FROM wf.failures WHERE resolved_at IS NULL",
        &[0],
    );
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn a_row_whose_case_somebody_is_at_is_looked_at_later_and_the_others_now() {
    let mut db = mailed(400, "state = 'paid'");
    let mut other = db.connect();
    other.exec("BEGIN; SELECT FROM wf.cases AS c JOIN wf.case_subjects AS s USING (case_id) WHERE s.key = '7' FOR UPDATE OF c");
    db.exec("UPDATE invoice SET state = 'paid'");
    db.run_due();
    db.expect("SELECT key FROM wf.inbox", &["7"]);
    db.expect(
        "SELECT state, count(*) FROM probe.outbox() GROUP BY state ORDER BY 1",
        &["queued | 1", "suppressed | 399"],
    );
    assert_eq!(db.lease(), []);
    other.exec("COMMIT");
    db.run_due();
    db.expect(UNREAD, &[0]);
    db.expect("SELECT DISTINCT state FROM probe.outbox()", &["suppressed"]);
}

#[test]
fn a_payment_of_a_case_that_somebody_is_at_is_not_forgotten() {
    let mut db = following();
    db.exec("CREATE VIEW invoice_paid AS SELECT d.*, coalesce((SELECT sum(amount) FROM payment WHERE invoice_id = d.id), 0) AS paid FROM invoice_details AS d");
    db.exec("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_paid')");
    // An expression, not a column: what comes to the inbox is the payment's columns.
    db.exec("SELECT wf.watch('invoice', 'public.payment', 'invoice_id + 0')");
    db.exec("ALTER TABLE invoice ALTER COLUMN open_amount SET DEFAULT 100");
    let doc = edited(super::follow(), |doc| {
        doc["name"] = "paying".into();
        doc["stop"] = json!([{"when": "paid >= 100", "reason": "paid"}]);
    });
    db.install(&doc);
    invoices(&mut db, 1, 300);
    db.run_due();
    let mut other = db.connect();
    other.exec("BEGIN; SELECT FROM wf.cases AS c JOIN wf.case_subjects AS s USING (case_id) WHERE s.key IN ('7', '8') FOR UPDATE OF c");
    db.exec(
        "INSERT INTO payment (invoice_id, amount) SELECT n, 100 FROM generate_series(8, 300) AS n",
    );
    db.exec("INSERT INTO payment (invoice_id, amount) VALUES (7, 100)");
    db.run_due();
    let running = "SELECT key FROM probe.cases() WHERE workflow = 'paying' AND state = 'running'";
    db.expect(running, &["1", "2", "3", "4", "5", "6", "7", "8"]);
    other.exec("COMMIT");
    db.run_due();
    db.expect(running, &["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_payment_whose_invoice_cannot_be_looked_at_holds_back_that_invoice_alone() {
    let mut db = mailed(2, "1 / open_amount > 1");
    db.exec("SELECT wf.watch('invoice', 'public.payment', 'invoice_id + 0')");
    db.exec("SET session_replication_role = replica; UPDATE invoice SET open_amount = 0 WHERE id = 1; RESET session_replication_role");
    db.exec("INSERT INTO payment (invoice_id, amount) VALUES (1, 5), (2, 5)");
    db.run_due();
    db.expect(
        "SELECT key, failed_at IS NOT NULL FROM wf.inbox",
        &["1 | t"],
    );
    assert_eq!(db.lease().len(), 1);
    db.exec("UPDATE invoice SET open_amount = 7 WHERE id = 1");
    db.run_due();
    db.expect(UNREAD, &[0]);
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn reconciling_settles_a_watched_row_that_gave_no_key() {
    let mut db = following();
    db.exec("SELECT wf.watch('invoice', 'public.payment', '100 / amount')");
    invoices(&mut db, 1, 1);
    db.run_due();
    db.exec("INSERT INTO payment (invoice_id, amount) VALUES (1, 0)");
    db.run_due();
    db.expect("SELECT op, failed_at IS NOT NULL FROM wf.inbox", &["w | t"]);
    db.exec("SELECT wf.unwatch('invoice', 'public.payment'); SELECT wf.reconcile('invoice')");
    db.run_due();
    db.expect(UNREAD, &[0]);
    db.expect(
        "SELECT count(*) FROM wf.failures WHERE resolved_at IS NULL",
        &[0],
    );
}

#[test]
fn reconciling_takes_a_row_of_the_inbox_for_a_thousand_and_finds_the_orphans() {
    let mut db = following();
    invoices(&mut db, 1, 2500);
    db.run_due();
    db.exec(
        "SET session_replication_role = replica; \
         DELETE FROM invoice WHERE id > 1300; UPDATE invoice SET state = 'paid' WHERE id <= 100; \
         RESET session_replication_role",
    );
    db.expect("SELECT wf.reconcile('invoice')", &[1300]);
    let rows: i64 = db.one(UNREAD);
    assert!(rows < 10, "{rows} rows for 2500 keys");
    db.run_due();
    db.expect(UNREAD, &[0]);
    db.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY state ORDER BY 1",
        &["cancelled | 1300", "running | 1200"],
    );
}

#[test]
fn in_a_long_backlog_only_the_rows_that_have_changed_keep_their_messages() {
    let mut db = mailed(2, "state = 'paid'");
    // As many bulk changes as a worker would be busy with for long, of rows that nobody knows but one.
    db.exec(
        "INSERT INTO wf.inbox (subject_id, op, packed, keys) \
         SELECT s.subject_id, 'u', 2, ARRAY['1', (1000 + n)::text] FROM wf.subjects AS s, generate_series(1, 500) AS n",
    );
    assert_eq!(db.lease(), []);
    db.exec("SET workflow_engine.batch_size = 10");
    let mut rounds = 0;
    let leased = loop {
        db.exec("CALL wf.run_due(1)");
        rounds += 1;
        let leased = db.lease();
        if !leased.is_empty() || rounds == 100 {
            break leased;
        }
    };
    assert_eq!(leased.len(), 1, "{}", db.story());
    db.expect("SELECT key FROM wf.inbox WHERE key = '1' LIMIT 1", &["1"]);
    db.run_due();
    db.expect(UNREAD, &[0]);
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn a_lease_looks_its_rows_up_in_a_long_inbox() {
    let mut db = mailed(20, "state = 'paid'");
    db.exec(
        "INSERT INTO wf.inbox (subject_id, op, key) \
         SELECT s.subject_id, 'u', (1000 + n)::text FROM wf.subjects AS s, generate_series(1, 20000) AS n",
    );
    db.exec("BEGIN");
    assert_eq!(db.lease().len(), 20);
    let read: i64 = db.one(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relid = 'wf.inbox'::regclass",
    );
    db.exec("COMMIT");
    // The setup wrote and read a few rows of its own.
    assert!(read < 1000, "{read} rows of the inbox read for 20 messages");
}

#[test]
fn copied_truncated_and_rolled_back_in_bulk() {
    let mut db = following();
    db.exec("COPY (SELECT n, 'INV-' || n, 1, 'posted', NULL::date, 5, 'EUR' FROM generate_series(1, 2100) AS n) TO '/tmp/wf_bulk_test.txt'");
    db.exec("BEGIN; COPY invoice FROM '/tmp/wf_bulk_test.txt'; ROLLBACK");
    db.expect(UNREAD, &[0]);
    db.exec("COPY invoice FROM '/tmp/wf_bulk_test.txt'");
    db.exec("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; rm -f /tmp/wf_bulk_test.txt'");
    let rows: i64 = db.one(UNREAD);
    assert!(rows < 10, "{rows} rows for one statement");
    db.exec("BEGIN; SAVEPOINT a; UPDATE invoice SET state = 'paid'; ROLLBACK TO a; UPDATE invoice SET state = 'paid' WHERE id <= 300; COMMIT");
    db.run_due();
    db.expect(
        "SELECT count(*), max(key::int) FROM probe.cases() WHERE state = 'running'",
        &["1800 | 2100"],
    );
    db.exec("TRUNCATE invoice CASCADE");
    db.run_due();
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["cancelled"]);
    db.expect(UNREAD, &[0]);
}

#[test]
fn health_counts_changed_rows_not_statements() {
    let mut db = following();
    invoices(&mut db, 1, 500);
    invoices(&mut db, 501, 501);
    db.expect(
        "SELECT value FROM wf.health WHERE \"check\" = 'inbox'",
        &["501"],
    );
    db.run_due();
    db.expect(
        "SELECT value FROM wf.health WHERE \"check\" = 'inbox'",
        &["0"],
    );
}

#[test]
fn a_dump_takes_unread_bulk_changes_along() {
    let mut db = following();
    invoices(&mut db, 1, 1500);
    let copy = format!("{}_copy", db.name);
    db.exec(&format!("CREATE DATABASE \"{copy}\""));
    let name = db.name.clone();
    let setting = |db: &mut TestDb, name: &str| -> String { db.one(&format!("SHOW {name}")) };
    let bin: String = db.one("SELECT setting FROM pg_config WHERE name = 'BINDIR'");
    let server = format!(
        "-h {} -p {} -U postgres",
        setting(&mut db, "unix_socket_directories"),
        setting(&mut db, "port")
    );
    db.exec(&format!(
        "COPY (SELECT 1) TO PROGRAM 'set -e; cat > /dev/null; {bin}/pg_dump {server} -f /tmp/{copy}.sql {}; \
         {bin}/psql {server} -qX -v ON_ERROR_STOP=1 -f /tmp/{copy}.sql {copy} > /tmp/{copy}.out 2>&1; rm /tmp/{copy}.sql /tmp/{copy}.out'",
        name
    ));
    let mut restored = db.cluster().connect(&copy);
    restored.expect("SELECT * FROM probe.cases()", NONE);
    restored.run_due();
    restored.expect("SELECT count(DISTINCT key) FROM probe.cases()", &[1500]);
    restored.expect(UNREAD, &[0]);
}
