//! Acknowledging the messages of many cases in one call: their steps are left to whoever works next, and what comes in
//! between finds them as if they had been done at once.

use serde_json::{Value, json};
use workflow_engine_tests::{Message, TestDb, edited, ids, invoice_workflow};

const NONE: &[&str] = &[];

/// More cases than one call moves on itself.
const MANY: i64 = 60;

/// The steps that count here.
fn steps() -> Value {
    json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "after", "kind": "note", "text": "Sent."}
    ])
}

/// A workflow that stops on paid invoices.
fn document(steps: Value) -> Value {
    edited(invoice_workflow("mailing", steps), |doc| {
        doc["stop"] =
            json!([{"when": "state = 'paid' or 10 / open_amount > 100", "reason": "paid"}]);
    })
}

/// Many cases of these steps, on invoices 1 to `MANY`, started on Mon 2026-03-02 10:00, and their messages, leased.
fn leased(steps: Value) -> (TestDb, Vec<Message>) {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&document(steps));
    db.exec(&format!(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', n, 'EUR' FROM generate_series(1, {MANY}) AS n;
         SELECT wf.start_many('mailing', (SELECT array_agg(n::text) FROM generate_series(1, {MANY}) AS n))"
    ));
    db.run_due();
    let messages = db.lease();
    assert_eq!(messages.len() as i64, MANY);
    (db, messages)
}

/// The same, acknowledged.
fn acknowledged(steps: Value) -> (TestDb, Vec<Message>) {
    let (mut db, messages) = leased(steps);
    assert_eq!(i64::from(db.ack(&messages)), MANY);
    db.expect("SELECT DISTINCT state FROM probe.outbox()", &["sent"]);
    (db, messages)
}

/// The case of an invoice.
fn case_of(db: &mut TestDb, key: i64) -> i64 {
    db.one(&format!(
        "SELECT case_id FROM probe.cases() WHERE key = '{key}'"
    ))
}

/// Nothing is left to do, and the step of every case but these has been done once.
#[track_caller]
fn expect_done_but(db: &mut TestDb, keys: &[i64]) {
    let count = MANY - keys.len() as i64;
    db.expect(
        "SELECT count(*), count(DISTINCT case_id) FROM wf.notes",
        &[format!("{count} | {count}")],
    );
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE event = 'step_done' AND step = 'mail'",
        &[count],
    );
    db.expect("SELECT count(*) FROM wf.acknowledged", &[0]);
    db.expect("SELECT * FROM wf.case_steps WHERE step_no < 0", NONE);
}

#[test]
fn many_acknowledged_messages_have_their_steps_done_once_by_whom_they_were_acknowledged() {
    let (mut db, messages) = leased(steps());
    let role = db.role("mailer");
    db.exec(&format!(
        "SELECT wf.grant_role('\"{role}\"', 'sender'); SET ROLE \"{role}\"; SELECT wf.ack_messages({}); RESET ROLE",
        ids(&messages)
    ));
    db.expect("SELECT count(*) FROM wf.acknowledged", &[1]);
    db.run_due();
    expect_done_but(&mut db, &[]);
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
    db.expect(
        &format!(
            "SELECT DISTINCT h.actor LIKE '%as {role}' FROM wf.history AS h JOIN probe.history() AS p USING (history_id)
             WHERE p.event = 'step_done' AND p.step = 'mail'"
        ),
        &["t"],
    );
    let before: String = db.one("SELECT probe.state()");
    assert_eq!(db.ack(&messages), 0);
    db.run_due();
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn what_is_acknowledged_and_taken_back_leaves_nothing_to_do() {
    let (mut db, messages) = leased(steps());
    let before: String = db.one("SELECT probe.state()");
    db.exec(&format!(
        "BEGIN; SELECT wf.ack_messages({}); ROLLBACK",
        ids(&messages)
    ));
    db.run_due();
    db.expect("SELECT probe.state()", &[before]);
    db.expect("SELECT count(*) FROM wf.acknowledged", &[0]);
}

#[test]
fn a_step_is_done_when_its_message_was_acknowledged_and_not_when_a_worker_got_there() {
    let (mut db, _) = acknowledged(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "after", "kind": "note", "text": "Sent.", "on": {"anchor": "previous_done", "days": 2}}
    ]));
    // Nobody works on Tuesday.
    db.clock("2026-03-04 09:00");
    db.run_due();
    expect_done_but(&mut db, &[]);
    db.expect(
        "SELECT DISTINCT at FROM probe.history() WHERE step = 'after'",
        &["Wed 2026-03-04 09:00"],
    );
}

#[test]
fn messages_for_which_no_step_waits_leave_nothing_to_do() {
    let (mut db, _) = acknowledged(json!([
        {"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"},
        {"name": "after", "kind": "note", "text": "Sent."}
    ]));
    db.expect("SELECT count(*) FROM wf.acknowledged", &[0]);
    expect_done_but(&mut db, &[]);
}

#[test]
fn who_gives_a_reason_has_the_steps_done_in_the_call() {
    let (mut db, messages) = leased(steps());
    db.exec(&format!(
        "SET workflow_engine.reason = 'ticket 4711'; SELECT wf.ack_messages({}); RESET workflow_engine.reason",
        ids(&messages)
    ));
    db.expect(
        "SELECT count(*) FROM wf.history WHERE event = 'step_done' AND detail ->> 'reason' = 'ticket 4711'",
        &[MANY],
    );
    db.run_due();
    expect_done_but(&mut db, &[]);
}

#[test]
fn a_case_that_somebody_is_at_has_its_step_done_later() {
    let (mut db, _) = acknowledged(steps());
    let case = case_of(&mut db, 7);
    let mut other = db.connect();
    other.exec(&format!(
        "BEGIN; SELECT FROM wf.cases WHERE case_id = {case} FOR UPDATE"
    ));
    db.run_due();
    db.expect("SELECT count(*) FROM wf.notes", &[MANY - 1]);
    other.exec("ROLLBACK");
    db.run_due();
    expect_done_but(&mut db, &[]);
}

#[test]
fn s18_a_payment_between_an_acknowledgement_and_the_next_step_stops_that() {
    let (mut db, _) = acknowledged(steps());
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 7");
    db.run_due();
    expect_done_but(&mut db, &[7]);
    db.expect(
        "SELECT state, outcome FROM probe.cases() WHERE key = '7'",
        &["cancelled | stopped"],
    );
    db.expect("SELECT DISTINCT state FROM probe.outbox()", &["sent"]);
}

#[test]
fn a_hold_between_an_acknowledgement_and_the_next_step_holds_that() {
    let (mut db, _) = acknowledged(steps());
    let case = case_of(&mut db, 7);
    db.exec(&format!("SELECT * FROM wf.hold({case})"));
    db.run_due();
    db.expect("SELECT count(*) FROM wf.notes", &[MANY - 1]);
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.run_due();
    expect_done_but(&mut db, &[]);
}

#[test]
fn a_bounce_right_after_the_acknowledgement_changes_only_the_message() {
    let (mut db, messages) = acknowledged(steps());
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'bounced', 'mailbox full')",
        messages[7].id
    ));
    db.run_due();
    expect_done_but(&mut db, &[]);
    // The step was done before.
    db.expect(
        "SELECT what, sqlstate FROM wf.incidents",
        &["message | null"],
    );
    db.expect(
        "SELECT state, count(*) FROM probe.outbox() GROUP BY 1 ORDER BY 2",
        &["bounced | 1".to_owned(), format!("sent | {}", MANY - 1)],
    );
}

#[test]
fn cases_that_go_over_to_another_version_before_their_step_is_done_have_it_done_there() {
    let (mut db, _) = acknowledged(steps());
    let mut longer = steps();
    let first = json!({"name": "before", "kind": "note", "text": "Begun."});
    longer
        .as_array_mut()
        .expect("steps are an array")
        .insert(0, first);
    db.install(&document(longer));
    db.expect(
        "SELECT DISTINCT from_step, to_step, outcome FROM wf.migrate('mailing', 1, 2, NULL, false)",
        &["mail | mail | migrated"],
    );
    db.run_due();
    expect_done_but(&mut db, &[]);
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
}

#[test]
fn a_case_whose_rows_cannot_be_asked_after_the_acknowledgement_becomes_an_incident_alone() {
    let (mut db, _) = acknowledged(steps());
    db.exec("SET session_replication_role = replica; UPDATE invoice SET open_amount = 0 WHERE id = 7; RESET session_replication_role");
    db.run_due();
    db.expect("SELECT count(*) FROM wf.notes", &[MANY - 1]);
    db.expect(
        "SELECT step, sqlstate, hint LIKE '%wf.skip%' FROM wf.incidents",
        &["mail | 22012 | t"],
    );
    db.exec("SET session_replication_role = replica; UPDATE invoice SET open_amount = 7 WHERE id = 7; RESET session_replication_role");
    let case = case_of(&mut db, 7);
    db.exec(&format!("SELECT * FROM wf.skip({case}, 'mail')"));
    db.run_due();
    db.expect("SELECT count(*) FROM wf.notes", &[MANY]);
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
    db.expect("SELECT count(*) FROM wf.outbox", &[MANY]);
}
