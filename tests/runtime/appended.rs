//! Rows that the engine appends without a statement for them: whatever has been added to the tables applies to them as to
//! any INSERT, from the next batch on, and every index has its entries.

use serde_json::json;
use workflow_engine_tests::{Session, TestDb, invoice_workflow};

use super::NONE;

/// A workflow that sends an e-mail and then has somebody call; it has run for invoice 1 in this session, and since then another
/// session has changed the tables.
fn changed_by_another(change: &str) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "mails",
        json!([
            {"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"},
            {"name": "call", "kind": "task", "participant": "clerk", "due": {"anchor": "previous_done", "days": 1}}
        ]),
    ));
    db.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series(1, 4) AS n");
    db.start("mails", 1);
    db.run_due();
    db.connect().exec(change);
    db
}

/// Three more cases.
fn run(db: &mut Session) {
    db.exec("SELECT wf.start_many('mails', '{2,3,4}')");
    db.run_due();
}

const MESSAGES: &str =
    "SELECT count(*), count(DISTINCT message_id), min(state::text) FROM wf.outbox";
const HISTORY: &str = "SELECT event, count(*) FROM wf.history GROUP BY event ORDER BY event";

/// What four cases leave.
fn expect_four(db: &mut Session) {
    db.expect(MESSAGES, &["4 | 4 | queued"]);
    db.expect(HISTORY, &["case_started | 4", "step_done | 4"]);
    db.expect(
        "SELECT step, count(*) FROM probe.open() GROUP BY step",
        &["call | 4"],
    );
    db.expect("SELECT message FROM wf.incidents", NONE);
}

#[test]
fn a_row_trigger_that_is_added_fires_for_each_message() {
    let mut db = changed_by_another(
        "CREATE TABLE heard (message bigint, key text);
         CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO public.heard VALUES (NEW.message_id, NEW.aggregateid); RETURN NULL; END';
         CREATE TRIGGER hear AFTER INSERT ON wf.outbox FOR EACH ROW EXECUTE FUNCTION hear();
         GRANT INSERT ON heard TO PUBLIC",
    );
    run(&mut db);
    expect_four(&mut db);
    db.expect(
        "SELECT h.key FROM heard AS h JOIN wf.outbox AS o ON o.message_id = h.message AND o.aggregateid = h.key ORDER BY 1",
        &["2", "3", "4"],
    );
    db.connect().exec("DROP TRIGGER hear ON wf.outbox");
    db.exec("INSERT INTO invoice VALUES (5, 'INV-5', 1, 'posted', '2026-04-01', 100, 'EUR')");
    db.start("mails", 5);
    db.run_due();
    db.expect("SELECT count(*) FROM heard", &["3"]);
    db.expect("SELECT count(*) FROM wf.outbox", &["5"]);
}

#[test]
fn a_trigger_that_is_added_may_change_rows_of_history() {
    let mut db = changed_by_another(
        "CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN NEW.detail := coalesce(NEW.detail, ''{}'') || ''{\"marked\": true}''; RETURN NEW; END';
         CREATE TRIGGER mark BEFORE INSERT ON wf.history FOR EACH ROW EXECUTE FUNCTION mark()",
    );
    run(&mut db);
    expect_four(&mut db);
    db.expect(
        "SELECT count(*) FROM wf.history WHERE detail ->> 'marked' = 'true'",
        &["6"],
    );
}

#[test]
fn a_statement_trigger_on_all_of_history_fires() {
    let mut db = changed_by_another(
        "CREATE TABLE fired (times int); INSERT INTO fired VALUES (0); GRANT ALL ON fired TO PUBLIC;
         CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN UPDATE public.fired SET times = times + 1; RETURN NULL; END';
         CREATE TRIGGER count_it AFTER INSERT ON wf.history FOR EACH STATEMENT EXECUTE FUNCTION count_it()",
    );
    run(&mut db);
    expect_four(&mut db);
    db.expect("SELECT times > 0 FROM fired", &["t"]);
}

#[test]
fn columns_that_are_added_get_their_defaults() {
    let mut db = changed_by_another(
        "ALTER TABLE wf.outbox ADD tenant text DEFAULT 'north';
         ALTER TABLE wf.cases ADD colour text DEFAULT 'red', ADD number int GENERATED ALWAYS AS (workflow_id * 2) STORED;
         ALTER TABLE wf.history ADD noted timestamptz DEFAULT '2026-01-01';
         ALTER TABLE wf.case_steps ADD weight int DEFAULT 7;
         ALTER TABLE wf.case_subjects ADD source text DEFAULT 'erp'",
    );
    run(&mut db);
    expect_four(&mut db);
    db.expect(
        "SELECT (SELECT count(*) FROM wf.outbox WHERE tenant = 'north'),
                (SELECT count(*) FROM wf.cases WHERE colour = 'red' AND number = workflow_id * 2),
                (SELECT count(*) FROM wf.history WHERE noted = '2026-01-01'),
                (SELECT count(*) FROM wf.case_steps WHERE weight = 7),
                (SELECT count(*) FROM wf.case_subjects WHERE source = 'erp')",
        &["4 | 4 | 8 | 4 | 4"],
    );
}

#[test]
fn a_check_that_is_added_refuses_a_message_and_nothing_is_lost() {
    let mut db =
        changed_by_another("ALTER TABLE wf.outbox ADD CONSTRAINT quiet CHECK (aggregateid <> '3')");
    run(&mut db);
    db.expect(
        "SELECT aggregateid FROM wf.outbox ORDER BY 1",
        &["1", "2", "4"],
    );
    // It is tried again in a while.
    db.expect(
        "SELECT c.key, o.step, o.attempts FROM probe.open() AS o JOIN wf.cases AS c USING (case_id) WHERE o.step = 'mail'",
        &["3 | mail | 1"],
    );
}

#[test]
fn indexes_of_any_kind_that_are_added_have_their_entries() {
    let mut db = changed_by_another(
        "CREATE INDEX by_body ON wf.outbox ((payload ->> 'body')) WHERE state <> 'sent';
         CREATE INDEX by_time ON wf.history USING brin (at);
         CREATE INDEX by_hash ON wf.cases USING hash (key);
         CREATE UNIQUE INDEX one_of_each ON wf.outbox (case_id, step_no, visit, idempotency_key)",
    );
    run(&mut db);
    expect_four(&mut db);
    // A server that was built without its additions does not have it; Debian's does.
    let amcheck = "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'";
    if db.one::<i64>(amcheck) == 1 {
        db.exec("CREATE EXTENSION amcheck");
        db.expect(
            "SELECT count(bt_index_check(c.oid, true)) > 10
             FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
             WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind = 'i' AND a.amname = 'btree'",
            &["t"],
        );
    }
    db.exec("SET enable_seqscan = off");
    db.expect(
        "SELECT count(*) FROM wf.outbox WHERE payload ->> 'body' IS NOT NULL AND state <> 'sent'",
        &["4"],
    );
    db.expect("SELECT count(*) FROM wf.cases WHERE key = '3'", &["1"]);
    db.expect(
        "SELECT count(*) FROM wf.history WHERE at >= '2026-01-01'",
        &["8"],
    );
}

#[test]
fn a_unique_constraint_that_is_checked_later_is_checked_later() {
    let mut db = changed_by_another(
        "ALTER TABLE wf.outbox ADD CONSTRAINT once UNIQUE (aggregateid) DEFERRABLE INITIALLY DEFERRED",
    );
    run(&mut db);
    expect_four(&mut db);
}

#[test]
fn nothing_is_written_to_a_month_that_has_been_detached() {
    let mut db = changed_by_another("ALTER TABLE wf.history DETACH PARTITION wf.history_2026_03");
    let refused = db.refused("SELECT wf.start_many('mails', '{2,3,4}')");
    refused.is("23514", &["no partition of relation \"history\" found"]);
    db.expect("SELECT count(*) FROM wf.history_2026_03", &["2"]);
    db.expect("SELECT count(*) FROM wf.cases", &["1"]);
    db.connect().exec(
        "ALTER TABLE wf.history ATTACH PARTITION wf.history_2026_03 FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01 00:00+00')",
    );
    run(&mut db);
    expect_four(&mut db);
}

#[test]
fn rows_that_a_partition_does_not_take_go_where_they_belong() {
    let mut db = changed_by_another(
        "ALTER TABLE wf.history DETACH PARTITION wf.history_2026_03;
         ALTER TABLE wf.history_2026_03 RENAME TO history_2026_03_first;
         ALTER TABLE wf.history ATTACH PARTITION wf.history_2026_03_first FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-03-03 00:00+00');
         CREATE TABLE wf.history_2026_03 PARTITION OF wf.history FOR VALUES FROM ('2026-03-03 00:00+00') TO ('2026-04-01 00:00+00')",
    );
    run(&mut db);
    expect_four(&mut db);
    db.expect("SELECT count(*) FROM wf.history_2026_03_first", &["8"]);
    db.clock("2026-03-05 10:00");
    db.exec("INSERT INTO invoice VALUES (5, 'INV-5', 1, 'posted', '2026-04-01', 100, 'EUR')");
    db.start("mails", 5);
    db.expect("SELECT count(*) > 0 FROM wf.history_2026_03", &["t"]);
}

#[test]
fn a_transaction_that_only_reads_writes_nothing() {
    let mut db = changed_by_another("SELECT 1");
    db.exec("BEGIN READ ONLY");
    db.refused("SELECT wf.start('mails', 2::bigint)")
        .is("25006", &["read-only transaction"]);
    db.exec("ROLLBACK");
    run(&mut db);
    expect_four(&mut db);
}

#[test]
fn more_rows_than_are_laid_out_at_once_are_all_written() {
    let mut db = changed_by_another("SELECT 1");
    db.exec(
        "DELETE FROM invoice WHERE id > 1;
         INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series(2, 2600) AS n;
         SELECT wf.start_many('mails', (SELECT array_agg(n::text) FROM generate_series(2, 2600) AS n))",
    );
    db.run_due();
    db.expect(
        "SELECT count(DISTINCT o.message_id), count(DISTINCT o.idempotency_key),
                count(*) FILTER (WHERE c.key = o.aggregateid AND o.payload ->> 'body' LIKE '%INV-' || c.key || '%')
         FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id",
        &["2600 | 2600 | 2600"],
    );
    db.expect(HISTORY, &["case_started | 2600", "step_done | 2600"]);
}
