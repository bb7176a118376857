//! Messages that a sender has in hand when their step is withdrawn in a case that goes on: they count as handed over, but are not
//! handed out a second time.

use serde_json::json;
use workflow_engine_tests::{Message, TestDb, edited, invoice_workflow};

use super::*;

/// How a step run is withdrawn whose message is on its way, with the reason that the message gets.
const WAYS: [(&str, &str); 4] = [
    (
        "SELECT wf.signal(1, 'answered')",
        "join \"met\" goes on with 1 of 3 branches",
    ),
    (
        "SELECT wf.complete_step(1, 'other', 'done')",
        "join \"met\" goes on with 1 of 3 branches",
    ),
    (
        "SELECT wf.cancel_step(1, 'mail', 'wrong text')",
        "wrong text",
    ),
    ("UPDATE invoice SET open_amount = 50", "little is open"),
];

/// A mail, an answer that may come, and a task, of which one is enough; another task follows. The sender has the mail in hand.
fn on_its_way() -> (TestDb, Vec<Message>) {
    let document = edited(
        invoice_workflow(
            "flow",
            json!([
                {"name": "both", "kind": "parallel", "branches": ["answer", "mail", "other"]},
                {"name": "answer", "kind": "event", "signal": "answered", "next": "met"},
                {"name": "mail", "kind": "email", "template": "hello", "next": "met"},
                {"name": "little", "kind": "note", "text": "little", "next": "met"},
                task("other", "met"),
                {"name": "met", "kind": "join", "of": "both", "need": 1},
                task("after", "end"),
                {"name": "end", "kind": "finish"}
            ]),
        ),
        |doc| {
            doc["milestones"] = json!([{"while": "open_amount > 100", "step": "mail", "otherwise": "little", "reason": "little is open"}]);
        },
    );
    let (mut db, _) = with_document(document);
    let leased = db.lease();
    assert_eq!(leased.len(), 1, "{}", db.story());
    (db, leased)
}

#[test]
fn a_message_whose_step_was_withdrawn_is_not_handed_out_again() {
    for (way, reason) in WAYS {
        for failed in [false, true] {
            let (mut db, leased) = on_its_way();
            db.exec(way);
            db.run_due();
            db.expect(
                "SELECT event FROM probe.history() WHERE step = 'mail' AND event = 'step_cancelled'",
                &["step_cancelled"],
            );
            db.expect("SELECT state FROM probe.outbox()", &["leased"]);
            if failed {
                db.fail(&leased, "421 try later", Some("1 minute"));
            } else {
                db.at("2026-03-02 11:00");
                assert_eq!(db.lease(), [], "{way}");
            }
            db.expect(
                "SELECT state, reason FROM probe.outbox()",
                &[format!("suppressed | {reason}")],
            );
            db.at("2026-03-02 12:00");
            assert_eq!(db.lease(), [], "{way}");
            db.expect("SELECT count(*) FROM wf.recalled", &[0]);
            db.expect("SELECT state FROM probe.cases()", &["running"]);
            db.expect("SELECT count(*) FROM wf.incidents", &[0]);
        }
    }
}

#[test]
fn a_message_whose_step_was_withdrawn_at_its_last_attempt_is_not_given_up() {
    let (mut db, leased) = on_its_way();
    db.exec("SET workflow_engine.max_attempts = 2");
    db.fail(&leased, "421 try later", Some("1 minute"));
    db.at("2026-03-02 10:01");
    assert_eq!(db.lease().len(), 1);
    db.exec(WAYS[0].0);
    db.at("2026-03-02 11:00");
    assert_eq!(db.lease(), []);
    db.expect(
        "SELECT state, reason FROM probe.outbox()",
        &[format!("suppressed | {}", WAYS[0].1)],
    );
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn what_a_sender_acknowledges_was_sent_whatever_has_become_of_its_step() {
    // In time, and after it was withheld, for its lease had run out.
    for late in [false, true] {
        let (mut db, leased) = on_its_way();
        db.exec(WAYS[0].0);
        if late {
            db.at("2026-03-02 11:00");
            assert_eq!(db.lease(), []);
            db.expect("SELECT state FROM probe.outbox()", &["suppressed"]);
        }
        assert_eq!(db.ack(&leased), 1);
        assert_eq!(db.ack(&leased), 0);
        assert_eq!(db.lease(), []);
        db.expect("SELECT state, reason FROM probe.outbox()", &["sent | null"]);
        db.expect("SELECT count(*) FROM wf.recalled", &[0]);
        db.expect(
            "SELECT event FROM probe.history() WHERE step = 'mail'",
            &["step_cancelled"],
        );
    }
}

#[test]
fn s18_a_payment_after_the_end_of_a_case_stops_what_its_sender_gives_back() {
    for failed in [false, true] {
        let mail =
            json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}]);
        let (mut db, _) = with_document(edited(invoice_workflow("flow", mail), |doc| {
            doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
        }));
        db.expect(CASE, &["completed | completed"]);
        let leased = db.lease();
        assert_eq!(leased.len(), 1);
        db.exec("UPDATE invoice SET state = 'paid'");
        db.run_due();
        if failed {
            db.fail(&leased, "421 try later", Some("1 minute"));
        }
        db.at("2026-03-02 11:00");
        assert_eq!(db.lease(), []);
        db.expect(
            "SELECT state, reason FROM probe.outbox()",
            &["suppressed | paid"],
        );
    }
}

#[test]
fn what_was_to_be_written_anew_while_a_sender_took_it_comes_again_if_that_sender_dies() {
    let mail = json!([{"name": "mail", "kind": "email", "template": "hello", "when": "open_amount > 100"}]);
    let (mut db, _) = with_steps(mail);
    let mut sender = db.connect();
    sender.exec("BEGIN");
    let leased = sender.lease();
    assert_eq!(leased.len(), 1);
    db.exec("UPDATE invoice SET open_amount = 500");
    db.run_due();
    sender.exec("COMMIT");
    db.expect("SELECT what FROM wf.recalled", &["text"]);
    db.at("2026-03-02 11:00");
    let again = db.lease();
    assert_eq!(again.len(), 1, "{}", db.story());
    assert_eq!(again[0].idempotency_key, leased[0].idempotency_key);
    assert_eq!(again[0].body, leased[0].body);
    db.expect("SELECT count(*) FROM wf.recalled", &[0]);
}

#[test]
fn whoever_withdraws_a_message_once_more_does_not_wait_for_the_sender_who_finds_it_withdrawn() {
    let (mut db, _) = on_its_way();
    db.exec(WAYS[0].0);
    db.at("2026-03-02 11:00");
    let mut sender = db.connect();
    sender.exec("BEGIN");
    assert_eq!(sender.lease(), []);
    db.exec("SET lock_timeout = '1s'");
    db.exec("SELECT wf.cancel(1, 'enough')");
    sender.exec("ROLLBACK");
    assert_eq!(db.lease(), []);
    db.expect(
        "SELECT state, reason FROM probe.outbox()",
        &[format!("suppressed | {}", WAYS[0].1)],
    );
}
