//! How real ERP applications write their rows: one test for each line of that list.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

use super::{CASES, NONE, follow, following, invoices};

fn on_subject(subject: &str, start: &str, stop: &str) -> Value {
    edited(
        invoice_workflow(
            "follow",
            json!([{"name": "look", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 9}}]),
        ),
        |doc| {
            doc["subject"] = subject.into();
            doc["templates"] = json!({});
            doc["start"] = json!({"when": start});
            doc["stop"] = json!([{"when": stop, "reason": "paid"}]);
        },
    )
}

#[test]
fn erp_01_mixed_case_hyphens_foreign_schemas_and_search_paths() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "CREATE SCHEMA \"Claims DB\"; CREATE TABLE \"Claims DB\".\"tbl-Claim\" (\"ClaimID\" int PRIMARY KEY, \"Claim Status\" smallint, \"order\" text); \
         SELECT wf.bind_subject('claim', '\"Claims DB\".\"tbl-Claim\"', key => '\"ClaimID\"', watch => '\"Claim Status\", \"order\"')",
    );
    db.install(&on_subject(
        "claim",
        "\"Claim Status\" = 4 and \"order\" is null",
        "\"Claim Status\" = 16",
    ));
    let mut erp = db.connect();
    erp.exec("SET search_path = \"Claims DB\"");
    erp.exec("INSERT INTO \"tbl-Claim\" VALUES (1, 4), (2, 4), (3, 2)");
    db.run_due();
    erp.exec("UPDATE \"tbl-Claim\" SET \"Claim Status\" = 16 WHERE \"ClaimID\" = 2");
    db.run_due();
    db.expect(CASES, &["1 | running | null", "2 | cancelled | paid"]);
}

#[test]
fn erp_02_history_copies_of_a_row_under_new_keys() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "CREATE TABLE claim (id int PRIMARY KEY, legacy_id int, valid_to timestamptz, status int); \
         SELECT wf.bind_subject('claim', 'public.claim', key => 'id', eligible => 'valid_to IS NULL')",
    );
    db.install(&on_subject("claim", "status = 4", "status = 16"));
    db.exec("INSERT INTO claim VALUES (1, NULL, NULL, 4)");
    db.run_due();
    db.exec("BEGIN; INSERT INTO claim SELECT 2, id, now(), status FROM claim WHERE id = 1; UPDATE claim SET status = 8 WHERE id = 1; COMMIT");
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
}

#[test]
fn erp_03_the_state_is_a_sum_in_another_table() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "CREATE TABLE entry (id int PRIMARY KEY, invoice_id int, amount numeric); CREATE TABLE bill (id int PRIMARY KEY, approved boolean); \
         SELECT wf.bind_subject('bill', 'public.bill', key => 'id', \
            details => 'SELECT b.id, b.approved, coalesce(sum(e.amount), 0) AS balance FROM public.bill AS b LEFT JOIN public.entry AS e ON e.invoice_id = b.id GROUP BY b.id'); \
         SELECT wf.watch('bill', 'public.entry', 'invoice_id')",
    );
    db.install(&on_subject(
        "bill",
        "approved and balance > 0",
        "balance <= 0",
    ));
    db.exec("INSERT INTO bill VALUES (1, true); INSERT INTO entry VALUES (1, 1, 100)");
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
    db.exec("INSERT INTO entry VALUES (2, 1, -100)");
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid"]);
    // A query ties no column down: the ERP's upgrade may change the table.
    db.exec("ALTER TABLE entry ALTER COLUMN amount TYPE numeric(20,4)");
}

#[test]
fn erp_04_only_the_state_at_commit_means_anything() {
    let mut db = following();
    db.exec(
        "BEGIN; INSERT INTO invoice VALUES (1, '/', 1, 'posted', NULL, NULL, 'EUR'); UPDATE invoice SET open_amount = 0; \
         UPDATE invoice SET state = 'draft'; UPDATE invoice SET open_amount = 100, due_date = '2026-04-01'; UPDATE invoice SET open_amount = open_amount; \
         UPDATE invoice SET number = 'INV-1', state = 'posted'; COMMIT",
    );
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
    db.exec("BEGIN; UPDATE invoice SET open_amount = NULL; UPDATE invoice SET open_amount = 0; UPDATE invoice SET open_amount = 100; COMMIT");
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
    db.exec("BEGIN; INSERT INTO invoice VALUES (2, '/', 1, 'posted', NULL, 5, 'EUR'); UPDATE invoice SET state = 'draft' WHERE id = 2; COMMIT");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[1]);
}

#[test]
fn erp_05_the_ledger_says_paid_before_the_state_does() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "ALTER TABLE invoice ADD write_date timestamptz; \
         SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => \
         'SELECT i.*, i.open_amount - coalesce((SELECT sum(p.amount) FROM public.payment AS p WHERE p.invoice_id = i.id), 0) AS balance FROM public.invoice AS i')",
    );
    let mut doc = follow();
    doc["stop"][0]["when"] = "balance <= 0".into();
    db.install(&doc);
    invoices_with_write_date(&mut db);
    db.run_due();
    // Only write_date of the invoice changes, in the transaction that writes the ledger.
    db.exec("BEGIN; INSERT INTO payment (invoice_id, amount) VALUES (1, 100); UPDATE invoice SET write_date = now() WHERE id = 1; COMMIT");
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid", "2 | running | null"]);
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[2]);
}

fn invoices_with_write_date(db: &mut TestDb) {
    db.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, 100, 'EUR', now() FROM generate_series(1, 2) AS n");
}

#[test]
fn erp_06_states_move_backwards_and_rows_are_re_keyed() {
    let mut db = following();
    invoices(&mut db, 1, 1);
    db.run_due();
    db.exec("UPDATE invoice SET state = 'paid'");
    db.run_due();
    // The payment bounced: the invoice is open again, and so is the matter.
    db.exec("UPDATE invoice SET state = 'posted'");
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid", "1 | running | null"]);
    db.exec("UPDATE invoice SET state = 'cancelled'");
    db.run_due();
    db.exec("UPDATE invoice SET state = 'draft'");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE state = 'running'",
        &[0],
    );

    // Re-keyed by DELETE and INSERT, and by an update of the key.
    invoices(&mut db, 2, 3);
    db.run_due();
    db.exec("BEGIN; DELETE FROM invoice WHERE id = 2; INSERT INTO invoice VALUES (20, 'INV-2', 1, 'posted', NULL, 5, 'EUR'); UPDATE invoice SET id = 30 WHERE id = 3; COMMIT");
    db.run_due();
    db.expect(
        "SELECT key, state FROM probe.cases() WHERE key::int IN (2, 3, 20, 30) ORDER BY key::int",
        &[
            "2 | cancelled",
            "3 | cancelled",
            "20 | running",
            "30 | running",
        ],
    );
    // A void as a new, negative row matches no rule of a workflow that looks at the amount.
    db.exec("INSERT INTO invoice VALUES (31, 'VOID', 1, 'posted', NULL, 0, 'EUR')");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE key = '31' AND state = 'running'",
        &[0],
    );
}

#[test]
fn erp_07_orms_write_every_column_in_prepared_bulk_statements() {
    let mut db = following();
    invoices(&mut db, 1, 4);
    db.run_due();
    db.exec("PREPARE save AS UPDATE invoice SET number = $2, customer_id = 1, state = $3, due_date = due_date, open_amount = open_amount, currency = currency WHERE id = ANY ($1)");
    let before: String = db.one("SELECT probe.state()");
    for _ in 0..8 {
        db.exec("EXECUTE save('{1,2,3,4}', 'same', 'posted')");
    }
    db.run_due();
    db.expect("SELECT probe.state()", &[before]);
    db.exec("EXECUTE save('{1,3}', 'same', 'paid')");
    db.exec(
        "UPDATE invoice SET state = CASE id WHEN 2 THEN 'draft' ELSE state END WHERE id IN (2, 4)",
    );
    db.run_due();
    db.expect(
        CASES,
        &[
            "1 | cancelled | paid",
            "2 | cancelled | withdrawn",
            "3 | cancelled | paid",
            "4 | running | null",
        ],
    );
}

#[test]
fn erp_08_repeatable_read_with_a_retry_of_the_whole_click() {
    let mut db = following();
    invoices(&mut db, 1, 1);
    db.run_due();
    let (mut a, mut b) = (db.connect(), db.connect());
    for session in [&mut a, &mut b] {
        session.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM invoice");
    }
    a.exec("UPDATE invoice SET number = 'a'; COMMIT");
    db.run_due();
    // The ERP's own conflict, which it would have without the engine.
    b.expect_error(
        "UPDATE invoice SET state = 'paid'",
        "40001",
        &["concurrent update"],
    );
    b.exec("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE invoice SET state = 'paid'; COMMIT");
    db.run_due();
    db.expect(CASES, &["1 | cancelled | paid"]);
}

#[test]
fn erp_09_a_clerk_behind_a_security_definer_procedure() {
    let mut db = following();
    let clerk = db.role("clerk");
    db.exec(&format!(
        "CREATE FUNCTION post_invoice(bigint) RETURNS void LANGUAGE sql SECURITY DEFINER AS \
         $$ INSERT INTO public.invoice VALUES ($1, 'X', 1, 'posted', NULL, 5, 'EUR') $$; GRANT EXECUTE ON FUNCTION post_invoice TO \"{clerk}\""
    ));
    let mut session = db.connect_as(&clerk);
    session.exec("SELECT post_invoice(1)");
    session.expect_error("SELECT * FROM invoice", "42501", &[]);
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
}

#[test]
fn erp_10_the_erps_upgrade_may_rename_retype_and_drop_columns() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    // Bound by a query, which ties no column down.
    db.exec(
        "DROP VIEW invoice_details; \
         SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'SELECT * FROM public.invoice', watch => 'state, open_amount, number')",
    );
    db.install(&follow());
    invoices(&mut db, 1, 3);
    db.run_due();
    db.exec("ALTER TABLE invoice ALTER COLUMN open_amount TYPE numeric(30,6), ALTER COLUMN id TYPE bigint, ALTER COLUMN state TYPE varchar(40)");
    db.exec("ALTER TABLE invoice DROP COLUMN number");
    db.exec("ALTER TABLE invoice RENAME COLUMN currency TO currency_code");
    db.exec("ALTER TABLE invoice ADD COLUMN number text");
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    db.run_due();
    db.expect(
        CASES,
        &[
            "1 | cancelled | paid",
            "2 | running | null",
            "3 | running | null",
        ],
    );
    // The key itself goes by another name: the ERP's writes go through, the engine says what is wrong.
    db.exec("ALTER TABLE invoice RENAME COLUMN id TO invoice_id");
    db.exec("UPDATE invoice SET state = 'paid' WHERE invoice_id = 2; INSERT INTO invoice (invoice_id, customer_id, state, currency_code) VALUES (9, 1, 'posted', 'EUR'); DELETE FROM invoice WHERE invoice_id = 9");
    db.run_due();
    db.expect("SELECT count(*) > 0 FROM wf.incidents", &["t"]);
    // And dropped altogether.
    db.exec("DROP TABLE payment; DROP TABLE invoice CASCADE");
    db.run_due();
}

#[test]
fn erp_11_wide_rows_triggers_of_its_own_deferred_keys_and_companies() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "ALTER TABLE invoice ADD COLUMN report text, ADD COLUMN company int DEFAULT 3, ALTER CONSTRAINT invoice_customer_id_fkey DEFERRABLE INITIALLY DEFERRED; \
         CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.number := upper(NEW.number); RETURN NEW; END $$; \
         CREATE TRIGGER aaa BEFORE INSERT OR UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION stamp(); \
         CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION stamp(); \
         SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', tenant => 'company')",
    );
    db.install(&follow());
    db.exec("INSERT INTO invoice SELECT n, 'inv-' || n, 1, 'posted', NULL, 5, 'EUR', repeat(md5(n::text), 400) FROM generate_series(1, 50) AS n");
    db.run_due();
    db.exec("BEGIN; INSERT INTO invoice VALUES (99, 'x', 77, 'posted', NULL, 5, 'EUR', '', 3); INSERT INTO customer VALUES (77, 'Late'); COMMIT");
    // Only keys are noted, never rows.
    db.expect(
        "SELECT max(length(i::text)) < 400 FROM wf.inbox AS i",
        &["t"],
    );
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[51]);
}

#[test]
fn erp_12_due_dates_that_are_null_or_only_a_rule() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "ALTER TABLE invoice ADD COLUMN issued date DEFAULT '2026-03-01'; \
         SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', \
            details => 'SELECT i.*, coalesce(i.due_date, i.issued + 14) AS pay_by FROM public.invoice AS i')",
    );
    let mut doc = follow();
    doc["phases"][0]["steps"][0]["due"] = json!({"anchor": "subject.pay_by"});
    db.install(&doc);
    db.exec("INSERT INTO invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR'), (2, 'B', 1, 'posted', '2026-04-01', 5, 'EUR')");
    db.run_due();
    db.expect(
        "SELECT substr(due, 1, 14) FROM probe.tasks() AS t JOIN probe.cases() AS c USING (case_id) ORDER BY c.key",
        &["Mon 2026-03-16", "Wed 2026-04-01"],
    );
    // A task without its deadline is there all the same, and gets it when the ERP does.
    doc["name"] = "open end".into();
    doc["phases"][0]["steps"][0]["due"] = json!({"anchor": "subject.due_date"});
    db.install(&doc);
    let due = "SELECT c.key, substr(t.due, 1, 14) FROM probe.tasks() AS t JOIN probe.cases() AS c USING (case_id) \
               WHERE c.workflow = 'open end' ORDER BY 1";
    db.run_due();
    db.expect(due, &["1 | null", "2 | Wed 2026-04-01"]);
    // A step that cannot know when to start waits for its date, without an error and without the others.
    doc["name"] = "strict".into();
    doc["phases"][0]["steps"][0]["on"] = json!({"anchor": "subject.due_date", "days": -60});
    db.install(&doc);
    for day in 2..12 {
        db.at(&format!("2026-03-{day:02} 12:00"));
    }
    let strict = due.replace("open end", "strict");
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
    db.expect(&strict, &["2 | Wed 2026-04-01"]);

    db.exec("UPDATE invoice SET due_date = '2026-05-01' WHERE id = 1");
    db.run_due();
    // The 1st of May is closed.
    db.expect(due, &["1 | Mon 2026-05-04", "2 | Wed 2026-04-01"]);
    db.expect(&strict, &["1 | Mon 2026-05-04", "2 | Wed 2026-04-01"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn a_second_binding_of_the_same_table_works_beside_the_first() {
    let mut db = following();
    db.exec("SELECT wf.bind_subject('account', 'public.invoice', key => 'id', details => 'public.invoice_details')");
    db.install(&edited(
        on_subject("account", "state = 'posted'", "state = 'paid'"),
        |doc| doc["name"] = "second".into(),
    ));
    invoices(&mut db, 1, 1);
    db.run_due();
    db.expect(
        "SELECT workflow FROM probe.cases() ORDER BY 1",
        &["follow", "second"],
    );
    db.exec("UPDATE invoice SET state = 'paid'");
    db.run_due();
    db.expect(
        "SELECT workflow FROM probe.cases() WHERE state = 'running'",
        NONE,
    );
}
