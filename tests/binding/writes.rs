//! Every way of writing rows: bulk statements, COPY, MERGE, partitions, subtransactions, two-phase commit.

use super::{CASES, NONE, follow, following, invoices};
use workflow_engine_tests::TestDb;

#[test]
fn bulk_statements() {
    let mut db = following();
    invoices(&mut db, 1, 5000);
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[5000]);
    db.exec("UPDATE invoice SET state = CASE WHEN id % 2 = 0 THEN 'paid' ELSE state END");
    db.run_due();
    db.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY state ORDER BY 1",
        &["cancelled | 2500", "running | 2500"],
    );
    db.exec("DELETE FROM invoice WHERE id > 4000");
    db.run_due();
    db.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY state ORDER BY 1",
        &["cancelled | 3000", "running | 2000"],
    );
}

#[test]
fn insert_on_conflict_and_merge() {
    let mut db = following();
    let upsert = "INSERT INTO invoice VALUES (1, 'A', 1, '{}', NULL, 5, 'EUR') ON CONFLICT (id) DO UPDATE SET state = excluded.state";
    db.exec(&upsert.replace("{}", "posted"));
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
    db.exec(&upsert.replace("{}", "paid"));
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid"]);
    db.exec(
        "MERGE INTO invoice AS i USING (VALUES (1, 'posted'), (2, 'posted')) AS v (id, state) ON v.id = i.id \
         WHEN MATCHED THEN UPDATE SET number = 'B' WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'C', 1, v.state, NULL, 5, 'EUR')",
    );
    db.run_due();
    db.expect(
        "SELECT key, state FROM probe.cases()",
        &["1 | cancelled", "2 | running"],
    );
}

#[test]
fn copy() {
    let mut db = following();
    db.exec("COPY (SELECT n, 'INV-' || n, 1, 'posted', NULL::date, 5, 'EUR' FROM generate_series(1, 300) AS n) TO '/tmp/wf_copy_test.txt'");
    db.exec("COPY invoice FROM '/tmp/wf_copy_test.txt'");
    db.exec("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; rm -f /tmp/wf_copy_test.txt'");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[300]);
}

#[test]
fn partitioned_tables_and_rows_that_move_between_partitions() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "CREATE TABLE bill (id bigint, year int, state text, open_amount numeric, number text DEFAULT 'x', PRIMARY KEY (id, year)) PARTITION BY LIST (year); \
         CREATE TABLE bill_2025 PARTITION OF bill FOR VALUES IN (2025); \
         CREATE TABLE bill_2026 PARTITION OF bill FOR VALUES IN (2026)",
    );
    db.exec("SELECT wf.bind_subject('invoice', 'public.bill', key => 'id, year')");
    db.install(&follow());
    db.exec("INSERT INTO bill VALUES (1, 2025, 'posted', 5), (2, 2026, 'posted', 5); INSERT INTO bill_2026 VALUES (3, 2026, 'posted', 5)");
    db.run_due();
    db.expect(
        "SELECT key FROM probe.cases() ORDER BY key",
        &["[\"1\",\"2025\"]", "[\"2\",\"2026\"]", "[\"3\",\"2026\"]"],
    );
    // A partition made later belongs to it as well.
    db.exec("CREATE TABLE bill_2027 PARTITION OF bill FOR VALUES IN (2027); INSERT INTO bill VALUES (4, 2027, 'posted', 5)");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[4]);
    // To the ERP this is one row that moves; its key has changed, so the old case ends and a new one starts.
    db.exec("UPDATE bill SET year = 2026 WHERE id = 1");
    db.run_due();
    db.expect(
        "SELECT key, state FROM probe.cases() WHERE key LIKE '[\"1\"%' ORDER BY case_id",
        &["[\"1\",\"2025\"] | cancelled", "[\"1\",\"2026\"] | running"],
    );
}

#[test]
fn what_a_subtransaction_undid_is_not_seen() {
    let mut db = following();
    db.exec("BEGIN");
    invoices(&mut db, 1, 1);
    db.exec("SAVEPOINT a");
    invoices(&mut db, 2, 2);
    db.exec("ROLLBACK TO a; SAVEPOINT b");
    invoices(&mut db, 3, 3);
    db.exec("RELEASE b; COMMIT");
    db.run_due();
    db.expect("SELECT key FROM probe.cases()", &["1", "3"]);
    db.exec("DO $$ BEGIN UPDATE invoice SET state = 'paid'; RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN NULL; END $$");
    db.run_due();
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["running"]);
}

#[test]
fn a_transaction_that_commits_late_is_not_lost() {
    let mut db = following();
    let mut slow = db.connect();
    slow.exec("BEGIN; INSERT INTO invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR')");
    for id in 2..6 {
        invoices(&mut db, id, id);
        db.run_due();
    }
    db.expect("SELECT count(*) FROM probe.cases()", &[4]);
    slow.exec("COMMIT");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases() WHERE key = '1'", &[1]);
}

#[test]
fn the_inbox_does_not_grow_for_ever() {
    let mut db = following();
    invoices(&mut db, 1, 100);
    db.run_due();
    for _ in 0..5 {
        db.exec("UPDATE invoice SET number = number || '.'");
        db.run_due();
    }
    db.run_due();
    let left: i64 = db.one("SELECT count(*) FROM wf.inbox");
    assert!(left <= 100, "{left} rows in the inbox that have been read");
    db.expect("SELECT count(*) FROM probe.cases()", &[100]);
}

#[test]
fn a_write_inside_a_trigger_or_a_cascade_counts() {
    let mut db = following();
    db.exec(
        "CREATE TABLE note (id int PRIMARY KEY, invoice_id bigint); \
         CREATE FUNCTION pay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE invoice SET state = 'paid' WHERE id = NEW.invoice_id; RETURN NEW; END $$; \
         CREATE TRIGGER pay AFTER INSERT ON note FOR EACH ROW EXECUTE FUNCTION pay()",
    );
    invoices(&mut db, 1, 2);
    db.run_due();
    db.exec("INSERT INTO note VALUES (1, 1)");
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid", "2 | running | null"]);

    db.exec("ALTER TABLE invoice DROP CONSTRAINT invoice_customer_id_fkey, ADD FOREIGN KEY (customer_id) REFERENCES customer ON DELETE CASCADE");
    db.exec("DELETE FROM policy; DELETE FROM customer WHERE id = 1");
    db.run_due();
    db.expect(
        "SELECT state FROM probe.cases() WHERE key = '2'",
        &["cancelled"],
    );
}

#[test]
fn logical_replication_does_not_start_cases_twice() {
    let mut db = following();
    db.exec("SET session_replication_role = replica");
    invoices(&mut db, 1, 1);
    db.exec("RESET session_replication_role");
    db.run_due();
    db.expect(CASES, NONE);
}
