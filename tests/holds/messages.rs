//! Holds that keep messages here while the rest of the case goes on.

use serde_json::json;
use workflow_engine_tests::{TestDb, invoice_workflow};

/// A message and a note at once, then a task.
fn mail_and_note() -> (TestDb, i64) {
    let mut db = TestDb::new();
    db.clock("2026-06-01 09:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "both",
        json!([
            {"name": "fork", "kind": "parallel", "branches": ["mail", "noted"]},
            {"name": "mail", "kind": "email", "template": "hello", "next": "meet"},
            {"name": "noted", "kind": "note", "text": "x", "on": {"anchor": "case_start", "days": 1}, "next": "meet"},
            {"name": "meet", "kind": "join", "of": "fork"},
            {"name": "again", "kind": "email", "template": "hello"}
        ]),
    ));
    db.invoice(1, "2026-06-10", "1000");
    let case = db.start("both", 1);
    db.run_due();
    (db, case)
}

const MESSAGES: &str = "SELECT step, state, coalesce(reason, '-') FROM probe.outbox()";

#[test]
fn arw_24_a_quiet_hold_stops_every_communication_and_nothing_else() {
    let (mut db, case) = mail_and_note();
    db.expect(MESSAGES, &["mail | queued | -"]);
    db.expect(
        &format!(
            "SELECT DISTINCT state FROM wf.hold({case}, 'asked for silence', kind => 'quiet')"
        ),
        &["running"],
    );
    db.expect(MESSAGES, &["mail | deferred | on hold: asked for silence"]);
    assert_eq!(db.lease(), []);
    db.at("2026-06-03 09:00");
    assert_eq!(db.lease(), []);
    db.expect("SELECT body FROM wf.notes", &["x"]);
    db.expect(
        "SELECT state, hold_reason FROM wf.case_progress",
        &["running | asked for silence"],
    );
    let explained = db
        .lines(&format!("SELECT fact, detail FROM wf.explain({case})"))
        .join("\n");
    for part in [
        "is kept here: on hold: asked for silence",
        "No communication",
        "the rest goes on",
    ] {
        assert!(explained.contains(part), "{explained}");
    }
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn arw_24_messages_that_steps_make_during_a_quiet_hold_wait_for_its_end() {
    let (mut db, case) = mail_and_note();
    assert_eq!(db.send().len(), 1);
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'silence', until => '2026-06-05 09:00 Europe/Amsterdam', kind => 'quiet')"
    ));
    db.at("2026-06-03 09:00");
    db.expect(
        "SELECT step, state FROM probe.outbox() WHERE step = 'again'",
        &["again | deferred"],
    );
    assert_eq!(db.lease(), []);
    // A change of the row is in the message that leaves later.
    db.exec("UPDATE invoice SET open_amount = 42");
    db.at("2026-06-05 09:00");
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    db.expect(
        "SELECT payload->>'body' FROM probe.outbox() WHERE step = 'again'",
        &["Invoice INV-1, 42 open."],
    );
}

#[test]
fn a_message_that_the_sender_gives_back_stays_here_too() {
    let (mut db, case) = mail_and_note();
    let leased = db.lease();
    assert_eq!(leased.len(), 1);
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'silence', kind => 'quiet')"
    ));
    let id = leased[0].id;
    db.exec(&format!(
        "SELECT wf.fail_messages('{{{id}}}', 'mailbox full', '1 second')"
    ));
    db.at("2026-06-01 10:00");
    assert_eq!(db.lease(), []);
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.run_due();
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn one_of_two_quiet_holds_ends_and_it_stays_quiet() {
    let (mut db, case) = mail_and_note();
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'one', kind => 'quiet'); SELECT * FROM wf.hold({case}, 'two', kind => 'quiet')"
    ));
    let hold: i64 = db.one("SELECT min(hold_id) FROM wf.holds");
    db.exec(&format!("SELECT * FROM wf.release_hold({hold}, 'settled')"));
    db.run_due();
    assert_eq!(db.lease(), []);
    db.expect(
        "SELECT release_reason, released_at IS NULL FROM wf.holds ORDER BY hold_id",
        &["settled | f", "null | t"],
    );
    db.exec(&format!("SELECT * FROM wf.release({case}, 'quiet')"));
    db.run_due();
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn a_quiet_hold_reaches_the_cases_that_its_case_waits_for() {
    let mut db = TestDb::new();
    db.clock("2026-06-01 09:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "inner",
        json!([
            {"name": "mail", "kind": "email", "template": "hello"},
            {"name": "again", "kind": "email", "template": "hello"}
        ]),
    ));
    db.install(&invoice_workflow(
        "outer",
        json!([
            {"name": "pause", "kind": "wait", "on": {"anchor": "case_start", "days": 1}},
            {"name": "inside", "kind": "sub_workflow", "workflow": "inner"}
        ]),
    ));
    for key in [1, 2] {
        db.invoice(key, "2026-06-10", "1000");
        db.start("outer", key);
    }
    let quiet = "SELECT wf.hold(case_id, 'silence', kind => 'quiet') FROM probe.cases() WHERE workflow = 'outer' AND key = ";
    // One that is quiet before the other case begins, and one after.
    db.exec(&format!("{quiet} '1'"));
    db.at("2026-06-02 09:00");
    db.exec(&format!("{quiet} '2'"));
    assert_eq!(db.lease(), []);
    db.at("2026-06-03 09:00");
    assert_eq!(db.lease(), []);
    db.expect(
        "SELECT key, state, hold_reason = 'communication of case ' || parent_id || ' is on hold'
         FROM wf.case_progress JOIN wf.linked_cases USING (case_id, key, state) ORDER BY key",
        &["1 | running | t", "2 | running | t"],
    );
    db.exec("SELECT wf.release(case_id) FROM probe.cases() WHERE workflow = 'outer'");
    db.run_due();
    assert_eq!(db.send().len(), 2);
    db.run_due();
    assert_eq!(db.send().len(), 2);
    db.run_due();
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
    db.expect(
        "SELECT count(*) FROM wf.holds WHERE released_at IS NULL",
        &[0],
    );
}
