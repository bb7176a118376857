//! Start rules, stop rules, backfill and reconcile.

use workflow_engine_tests::TestDb;

use super::{CASES, NONE, follow, following, invoices};

#[test]
fn arw_27_a_row_that_matches_gets_a_case_and_one_that_does_not_none() {
    let mut db = following();
    db.exec("INSERT INTO invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR'), (2, 'B', 1, 'draft', NULL, 5, 'EUR'), (3, 'C', 1, 'paid', NULL, 0, 'EUR')");
    db.expect(CASES, NONE);
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
    db.exec("UPDATE invoice SET state = 'posted' WHERE id = 2");
    db.run_due();
    db.expect(CASES, &["1 | running | null", "2 | running | null"]);
    db.exec("UPDATE invoice SET number = number || '!'");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[2]);
}

#[test]
fn a_stop_rule_gives_its_reason_and_the_first_that_holds_counts() {
    let mut db = following();
    invoices(&mut db, 1, 3);
    db.run_due();
    db.exec("UPDATE invoice SET state = 'cancelled' WHERE id = 1; UPDATE invoice SET state = 'draft', open_amount = 0 WHERE id = 2");
    db.run_due();
    db.expect(
        CASES,
        &[
            "1 | cancelled | withdrawn",
            "2 | cancelled | paid",
            "3 | running | null",
        ],
    );
}

#[test]
fn enabling_enrols_the_rows_that_already_match() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    invoices(&mut db, 1, 2500);
    db.exec("UPDATE invoice SET state = 'paid' WHERE id > 2400");
    db.bind_invoice();
    db.exec("SELECT wf.set_participant('clerk')");
    db.define(&follow());
    db.exec("SELECT wf.publish('follow')");
    db.expect("SELECT wf.enable('follow')", &[2400]);
    db.run_due();
    db.expect(
        "SELECT count(*), count(DISTINCT key) FROM probe.cases()",
        &["2400 | 2400"],
    );
    db.expect("SELECT count(*) FROM probe.tasks()", &[2400]);
}

#[test]
fn reconcile_finds_what_no_trigger_has_told() {
    let mut db = following();
    invoices(&mut db, 1, 3);
    db.run_due();
    db.exec(
        "SET session_replication_role = replica; \
         UPDATE invoice SET state = 'paid' WHERE id = 1; \
         INSERT INTO invoice VALUES (4, 'INV-4', 1, 'posted', NULL, 5, 'EUR'); \
         DELETE FROM invoice WHERE id = 2; \
         RESET session_replication_role",
    );
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE state = 'running'",
        &[3],
    );
    let looked: i64 = db.one("SELECT wf.reconcile('invoice')");
    assert!(looked >= 3, "{looked} rows looked at");
    db.run_due();
    db.expect(
        "SELECT key, state FROM probe.cases()",
        &[
            "1 | cancelled",
            "2 | cancelled",
            "3 | running",
            "4 | running",
        ],
    );
    let before: String = db.one("SELECT probe.state()");
    db.exec("SELECT wf.reconcile('invoice')");
    db.run_due();
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn a_deleted_row_ends_its_case() {
    let mut db = following();
    invoices(&mut db, 1, 2);
    db.run_due();
    db.exec("DELETE FROM invoice WHERE id = 1");
    db.run_due();
    db.expect(
        "SELECT key, state FROM probe.cases()",
        &["1 | cancelled", "2 | running"],
    );
    db.expect(
        "SELECT reason IS NOT NULL FROM probe.cases() WHERE key = '1'",
        &["t"],
    );
    db.expect("SELECT count(*) FROM probe.tasks()", &[1]);
}

#[test]
fn a_row_deleted_before_anybody_looked_starts_nothing() {
    let mut db = following();
    invoices(&mut db, 1, 1);
    db.exec("DELETE FROM invoice");
    db.run_due();
    db.expect(CASES, NONE);
}

#[test]
fn truncate_ends_all_cases() {
    let mut db = following();
    invoices(&mut db, 1, 3);
    db.run_due();
    db.exec("TRUNCATE invoice CASCADE");
    db.run_due();
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["cancelled"]);
}

#[test]
fn a_watched_table_counts_for_its_subject() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    // Whether an invoice is paid is the sum of its payments; the invoice itself never changes.
    db.exec(
        "CREATE VIEW invoice_balance AS SELECT d.*, d.open_amount - coalesce((SELECT sum(amount) FROM payment WHERE invoice_id = d.id), 0) AS balance \
         FROM invoice_details AS d",
    );
    db.exec("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_balance')");
    db.exec("SELECT wf.watch('invoice', 'public.payment', 'invoice_id')");
    let mut doc = follow();
    doc["stop"][0]["when"] = "balance <= 0".into();
    db.install(&doc);
    invoices(&mut db, 1, 2);
    db.run_due();
    db.exec("INSERT INTO payment (invoice_id, amount) VALUES (1, 60), (2, 60)");
    db.run_due();
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["running"]);
    db.exec("INSERT INTO payment (invoice_id, amount) VALUES (1, 40)");
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid", "2 | running | null"]);
    db.exec("SELECT wf.unwatch('invoice', 'public.payment')");
    db.exec("INSERT INTO payment (invoice_id, amount) VALUES (2, 40)");
    db.run_due();
    db.expect(
        "SELECT state FROM probe.cases() WHERE key = '2'",
        &["running"],
    );
}

#[test]
fn only_eligible_rows_get_a_case() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_details', eligible => 'open_amount >= 50')",
    );
    db.install(&follow());
    db.exec("INSERT INTO invoice VALUES (1, 'A', 1, 'posted', NULL, 49, 'EUR'), (2, 'B', 1, 'posted', NULL, 50, 'EUR')");
    db.run_due();
    db.expect("SELECT key FROM probe.cases()", &["2"]);
    db.refused("SELECT * FROM wf.start('follow', 1)");
}

#[test]
fn changes_of_columns_that_nobody_watches_are_not_even_noted() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_details', watch => 'state, open_amount')");
    db.install(&follow());
    invoices(&mut db, 1, 2);
    db.run_due();
    db.exec("SELECT wf.now()");
    let before: i64 = db.one("SELECT count(*) FROM wf.inbox");
    db.exec("UPDATE invoice SET number = 'x', state = state, open_amount = open_amount + 0");
    db.expect("SELECT count(*) FROM wf.inbox", &[before]);
    db.exec("UPDATE invoice SET open_amount = open_amount + 1 WHERE id = 1");
    db.expect("SELECT count(*) FROM wf.inbox", &[before + 1]);
}

#[test]
fn an_unbound_table_is_left_in_peace() {
    let mut db = following();
    invoices(&mut db, 1, 1);
    db.run_due();
    db.expect_error("SELECT wf.unbind_subject('invocie')", "42704", &["invocie"]);
    // Its workflow still has a running case.
    db.expect_error("SELECT wf.unbind_subject('invoice')", "55000", &["1"])
        .hints("");
    db.exec("SELECT wf.cancel(case_id) FROM probe.cases(); SELECT wf.disable('follow'); SELECT wf.unbind_subject('invoice')");
    invoices(&mut db, 2, 2);
    db.run_due();
    db.expect("SELECT key FROM probe.cases()", &["1"]);
    db.expect(
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'invoice'::regclass AND NOT tgisinternal",
        &[0],
    );
}

#[test]
fn the_subjects_view_joins_the_erp_without_a_cast() {
    let mut db = following();
    invoices(&mut db, 1, 2);
    db.run_due();
    db.expect(
        "SELECT i.number, c.state FROM invoice AS i JOIN wf.invoice_cases AS c ON c.id = i.id ORDER BY i.id",
        &["INV-1 | running", "INV-2 | running"],
    );
    db.expect(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'wf.invoice_cases'::regclass AND attname = 'id'",
        &["bigint"],
    );
}
