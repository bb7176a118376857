//! What the claim of due steps reads with a million rows in the table of which it wants few.
//!
//! The server's own counters tell, from the real statements: which tables were scanned, and how many pages (from memory or
//! disk) were asked for. Three sessions each: one that made its plans while the tables were empty, one that plans with
//! the statistics of almost empty tables, and one that plans with fresh statistics.

use std::collections::BTreeMap;

use serde_json::json;
use workflow_engine_tests::{Options, Session, TestDb, invoice_workflow, live, until};

/// Rows of the table that is claimed or leased from.
const MILLION: u64 = 1_000_000;

/// Cases that these rows belong to, four each.
const CASES: u64 = MILLION / 4;

/// A database in which one case of a workflow with one message waits, and whose tables have been analysed like that.
fn almost_empty() -> TestDb {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.install(&invoice_workflow(
        "mailing",
        json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued",
                "on": {"anchor": "subject.due_date"}}]),
    ));
    db.exec("INSERT INTO invoice SELECT 1, 'INV-1', 1, 'posted', current_date + 400, 1, 'EUR'");
    db.start("mailing", 1);
    db.exec("ANALYZE");
    db
}

/// Many more cases like the only one, each with a subject of its own. They have no steps yet.
fn add_cases(db: &mut Session) {
    db.exec(&format!(
        "INSERT INTO wf.cases (workflow_id, version_id, state, created_at, started_at, key, started_by)
         SELECT c.workflow_id, c.version_id, c.state, c.created_at, c.started_at, (1000000 + n)::text, c.started_by
         FROM wf.cases AS c, generate_series(1, {CASES}) AS n;
         INSERT INTO wf.case_subjects (case_id, subject_id, workflow_id, key)
         SELECT c.case_id, s.subject_id, s.workflow_id, c.key
         FROM wf.cases AS c, wf.case_subjects AS s WHERE c.case_id <> s.case_id"
    ));
}

/// Starts cases of the next `count` invoices, which are due now.
fn start_due(db: &mut Session, count: u64) {
    db.exec(&format!(
        "INSERT INTO invoice SELECT (SELECT max(id) FROM invoice) + n, 'INV', 1, 'posted', current_date - 10, n, 'EUR'
         FROM generate_series(1, {count}) AS n"
    ));
    let started: u64 = db.one(&format!(
        "SELECT wf.start_many('mailing', array_agg(id::text)) FROM (SELECT id FROM invoice ORDER BY id DESC LIMIT {count}) AS i"
    ));
    assert_eq!(started, count);
}

/// What has been read of a table of `wf`, its indexes included.
#[derive(Debug, Default, Clone, Copy)]
struct Read {
    scans: i64,
    pages: i64,
}

fn read_so_far(session: &mut Session) -> BTreeMap<String, Read> {
    // What a session has counted is for others to see at the end of a transaction, but not of each.
    session.exec("SELECT pg_stat_force_next_flush()");
    session
        .rows(
            "SELECT t.relname, t.seq_scan,
                    io.heap_blks_read + io.heap_blks_hit + coalesce(io.idx_blks_read + io.idx_blks_hit, 0)
             FROM pg_stat_user_tables AS t JOIN pg_statio_user_tables AS io USING (relid) WHERE t.schemaname = 'wf'",
        )
        .into_iter()
        .map(|row| {
            let number = |column: usize| row[column].parse().expect("a counter");
            let read = Read {
                scans: number(1),
                pages: number(2),
            };
            (row[0].clone(), read)
        })
        .collect()
}

/// What an action reads of each table.
fn reading(session: &mut Session, action: impl FnOnce(&mut Session)) -> BTreeMap<String, Read> {
    // A plan that joins a million rows with a hundred thousand should fail, not hang.
    session.exec("SET statement_timeout = '60s'");
    let before = read_so_far(session);
    action(session);
    let mut after = read_so_far(session);
    for (table, read) in &mut after {
        let before = before.get(table).copied().unwrap_or_default();
        read.scans -= before.scans;
        read.pages -= before.pages;
    }
    after
}

/// These tables, which are large, are not scanned, and no more of their pages are asked for than this.
#[track_caller]
fn is_bounded(session: &str, read: &BTreeMap<String, Read>, large: &[&str], limit: i64) {
    let told: Vec<String> = large
        .iter()
        .map(|table| format!("{table}: {:?}", read[*table]))
        .collect();
    println!("{session}: {}", told.join(", "));
    for table in large {
        let Read { scans, pages } = read[*table];
        assert!(
            scans == 0 && pages <= limit,
            "{session}: {scans} scans and {pages} pages of {table}; allowed are none and {limit}"
        );
    }
}

/// How often an index has been used.
fn uses(session: &mut Session, index: &str) -> i64 {
    session.exec("SELECT pg_stat_force_next_flush()");
    session.one(&format!(
        "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = 'wf.{index}'::regclass"
    ))
}

#[test]
fn a_claim_reads_few_pages_with_a_million_steps_waiting_whatever_the_statistics_say() {
    const DUE: u64 = 20;
    let mut db = almost_empty();
    let mut with_old_plans = db.connect();
    // 100 calls: the next time that plans are made anew is after 128.
    for _ in 0..100 {
        with_old_plans.run_due();
    }
    add_cases(&mut db);
    db.exec(
        "INSERT INTO wf.case_steps (case_id, step_no, visit, state, entered_at, run_at)
         SELECT c.case_id, t.step_no, v, t.state, now(), now() + interval '1 day' * (1 + c.case_id % 365)
         FROM wf.cases AS c, generate_series(1, 4) AS v, wf.case_steps AS t
         WHERE c.case_id <> t.case_id",
    );
    db.expect(
        "SELECT count(*) - 1 FROM wf.case_steps WHERE run_at > now()",
        &[MILLION],
    );

    let claim = |name: &str, session: &mut Session| {
        start_due(session, DUE);
        let messages: u64 = session.one("SELECT count(*) FROM wf.outbox");
        let used = uses(session, "case_steps_run_at");
        let read = reading(session, Session::run_due);
        session.expect("SELECT count(*) FROM wf.outbox", &[messages + DUE]);
        is_bounded(
            name,
            &read,
            &["case_steps", "cases", "case_subjects"],
            40 * DUE as i64,
        );
        assert!(uses(session, "case_steps_run_at") > used, "{name}");
    };
    claim("plans of empty tables", &mut with_old_plans);
    claim("old statistics", &mut db.connect());
    db.exec("ANALYZE");
    claim("fresh statistics", &mut db.connect());
}

#[test]
fn a_lease_reads_few_pages_with_a_million_messages_waiting_whatever_the_statistics_say() {
    const DUE: u64 = 20;
    let mut db = almost_empty();
    let mut with_old_plans = db.connect();
    for _ in 0..100 {
        with_old_plans.exec("SELECT wf.lease_messages()");
    }
    add_cases(&mut db);
    // For another day, with a sender, and long gone; and changes of other rows that could not be looked at.
    db.exec(&format!(
        "INSERT INTO wf.outbox (aggregatetype, aggregateid, type, payload, case_id, step_no, visit, state, attempts,
                                created_at, not_before, not_after, finished_at)
         SELECT 'invoice', c.key, 'email', '{{}}', c.case_id, 1, m.visit, m.state, 1,
                now(), now() + m.wait, now() + interval '10 days', CASE WHEN m.state = 'sent' THEN now() END
         FROM wf.cases AS c,
              (VALUES (1, 'queued'::wf.message_state, interval '1 day'), (2, 'leased', '1 hour'),
                      (3, 'sent', '-1 hour'), (4, 'deferred', '1 hour')) AS m(visit, state, wait)
         WHERE c.key::bigint > 1000000;
         INSERT INTO wf.inbox (subject_id, key, op, failed_at)
         SELECT s.subject_id, (9000000 + n)::text, 'u', now() FROM wf.subjects AS s, generate_series(1, {CASES}) AS n"
    ));
    db.expect("SELECT count(*) FROM wf.outbox", &[MILLION]);

    let lease = |name: &str, session: &mut Session| {
        start_due(session, DUE);
        session.run_due();
        let used = uses(session, "outbox_lease");
        let mut leased = 0;
        let read = reading(session, |session| {
            leased = session
                .rows("SELECT * FROM wf.lease_messages('email', 100)")
                .len();
        });
        assert_eq!(leased as u64, DUE, "{name}");
        is_bounded(
            name,
            &read,
            &["outbox", "cases", "case_subjects", "inbox"],
            60 * DUE as i64,
        );
        assert!(uses(session, "outbox_lease") > used, "{name}");
    };
    lease("plans of empty tables", &mut with_old_plans);
    lease("old statistics", &mut db.connect());
    db.exec("ANALYZE");
    lease("fresh statistics", &mut db.connect());
}

#[test]
fn a_look_for_work_reads_few_pages_when_nothing_of_a_million_is_due_whatever_the_statistics_say() {
    let mut db = almost_empty();
    let mut with_old_plans = db.connect();
    for _ in 0..100 {
        with_old_plans.run_due();
    }
    add_cases(&mut db);
    // Messages without a contact window, tasks that nobody escalates, holds that somebody has to end, promises that have
    // been kept, and changes that could not be looked at: the columns that the look asks for are null, or rarely what it wants.
    db.exec(&format!(
        "INSERT INTO wf.outbox (aggregatetype, aggregateid, type, payload, case_id, step_no, visit, state, created_at, not_before)
         SELECT 'invoice', c.key, 'email', '{{}}', c.case_id, 1, visit, 'queued', now(), now()
         FROM wf.cases AS c, generate_series(1, 4) AS visit WHERE c.key::bigint > 1000000;
         INSERT INTO wf.tasks (case_id, step_no, visit, title, outcomes, opened_at, created_by)
         SELECT c.case_id, 1, 1, 'Call', '{{done}}', now(), 'engine' FROM wf.cases AS c WHERE c.key::bigint > 1000000;
         INSERT INTO wf.holds (case_id, kind, reason, blocks, clock, held_at, held_by)
         SELECT c.case_id, 'dispute', 'disputed', '{{communication}}', 'run_on', now(), 'engine'
         FROM wf.cases AS c WHERE c.key::bigint > 1000000;
         INSERT INTO wf.promises (case_id, subject_id, key, amount, due_on, grace, open_before, breaks_at, made_at, made_by, state)
         SELECT c.case_id, 1, c.key, 1, current_date, 0, 1, now() - interval '1 day', now(), 'clerk', 'kept'
         FROM wf.cases AS c WHERE c.key::bigint > 1000000;
         INSERT INTO wf.inbox (subject_id, key, op, failed_at)
         SELECT s.subject_id, (9000000 + n)::text, 'u', now() FROM wf.subjects AS s, generate_series(1, {CASES}) AS n;
         INSERT INTO wf.case_steps (case_id, step_no, visit, state, entered_at, run_at)
         SELECT c.case_id, 1, 1, 'scheduled', now(), now() + interval '1 year' FROM wf.cases AS c WHERE c.key::bigint > 1000000"
    ));

    let look = |name: &str, session: &mut Session| {
        let read = reading(session, Session::run_due);
        is_bounded(
            name,
            &read,
            &[
                "outbox",
                "tasks",
                "holds",
                "promises",
                "case_steps",
                "cases",
            ],
            60,
        );
    };
    look("plans of empty tables", &mut with_old_plans);
    look("old statistics", &mut db.connect());
    db.exec("ANALYZE");
    look("fresh statistics", &mut db.connect());
}

/// Starts cases of the next `count` invoices, due on as many days of the past, in one transaction.
fn start_late(db: &mut Session, count: u64) {
    db.exec(&format!(
        "INSERT INTO invoice (id, number, customer_id, state, due_date, open_amount, currency)
         SELECT (SELECT coalesce(max(id), 0) FROM invoice) + n, 'INV', 1, 'posted', current_date - 10 - n::int, n, 'EUR'
         FROM generate_series(1, {count}) AS n;
         SELECT wf.start_many('mailing', array_agg(id::text)) FROM (SELECT id FROM invoice ORDER BY id DESC LIMIT {count}) AS i"
    ));
}

/// A snapshot that is open as long as this session is, so that no dead row goes away.
fn hold_snapshot(session: &mut Session) {
    session.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM wf.case_steps");
}

/// Entries, dead ones included, that have been read from the index of due step runs.
fn entries_read(session: &mut Session) -> i64 {
    session.exec("SELECT pg_stat_force_next_flush()");
    session.one(
        "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelid = 'wf.case_steps_run_at'::regclass",
    )
}

#[test]
fn steps_that_came_in_one_moment_are_passed_once_while_an_old_snapshot_is_open() {
    const CASES: u64 = 300;
    let mut db = almost_empty();
    let mut holder = db.connect();
    hold_snapshot(&mut holder);
    db.exec("SET workflow_engine.batch_size = 10");
    start_late(&mut db, CASES);
    let before = entries_read(&mut db);
    db.run_due();
    let read = entries_read(&mut db) - before;
    db.expect("SELECT count(*) FROM wf.outbox", &[CASES]);
    // Thirty batches: from the beginning of that moment each time, it would be fifteen times the cases.
    assert!(read < 3 * CASES as i64, "{read} entries for {CASES} cases");
    holder.exec("COMMIT");
}

#[test]
fn steps_that_come_late_lie_behind_what_a_worker_has_done_while_an_old_snapshot_is_open() {
    const CASES: u64 = 200;
    let (cluster, mut db) = live(&Options::default());
    db.install(&invoice_workflow(
        "mailing",
        json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued",
                "on": {"anchor": "subject.due_date"}}]),
    ));
    let mut holder = cluster.connect("shop");
    hold_snapshot(&mut holder);
    let mut round = |number: u64| {
        let before = entries_read(&mut db);
        start_late(&mut db, CASES);
        until(
            &mut db,
            "the messages",
            &format!("SELECT count(*) = {} FROM wf.outbox", (number + 1) * CASES),
        );
        // What the worker has counted is for others to see once it rests.
        until(
            &mut db,
            "a worker at rest",
            "SELECT count(*) = 0 FROM wf.workers() WHERE database = current_database() AND state <> 'idle'",
        );
        entries_read(&mut db) - before
    };
    let rounds: Vec<i64> = (0..8).map(&mut round).collect();
    // With all dates in the same year, each round would walk what all those before it have left. Once in a while a worker
    // does look at everything.
    let few = rounds[3..].iter().filter(|read| **read < 2 * CASES as i64);
    assert!(few.count() >= 2, "{CASES} cases a round: {rounds:?}");
    holder.exec("COMMIT");
}
