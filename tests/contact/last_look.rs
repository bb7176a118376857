//! The last look before a message leaves: what had to hold for it to be made still has to, by the row as it is then.

use serde_json::json;
use workflow_engine_tests::{TestDb, edited};

use super::*;

/// Reminds whoever owes more than 100 in euros; with a policy or without, on weekdays from 08:00 to 20:00.
fn reminding(with_policy: bool, mail: Value) -> TestDb {
    let mut step = email("mail");
    step["when"] = "open_amount > 100".into();
    step["next"] = "end".into();
    for (field, value) in mail.as_object().expect("fields of the step") {
        step[field] = value.clone();
    }
    let mut db = TestDb::new();
    db.bind_invoice();
    let window = json!({"days": "mon-fri", "from": "08:00", "to": "20:00"});
    db.exec(&format!(
        "SELECT wf.set_contact_policy('decent', '{}')",
        json!({ "windows": [window] })
    ));
    let steps = json!([
        step,
        {"name": "foreign", "kind": "note", "text": "In {{ currency }}.", "next": "end"},
        {"name": "end", "kind": "finish", "merge": true}
    ]);
    db.install(&edited(invoice_workflow("reach", steps), |doc| {
        doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
        doc["milestones"] =
            json!([{"while": "currency = 'EUR'", "step": "mail", "otherwise": "foreign"}]);
        match with_policy {
            true => doc["contact_policy"] = "decent".into(),
            false => doc["contact_window"] = window.clone(),
        }
    }));
    db
}

/// Starts a case for each of so many invoices.
fn remind(db: &mut TestDb, at: &str, count: i64) {
    db.clock(at);
    for id in 1..=count {
        db.invoice(id, "2026-04-01", "1000");
        db.start("reach", id);
    }
    db.run_due();
}

const WHAT_BECAME: &str = "SELECT c.key, o.state, o.reason, c.state, c.reason
     FROM wf.cases AS c JOIN wf.outbox AS o USING (case_id) ORDER BY c.case_id";

/// Changes that make a reminder pointless, each of the invoice of its number.
const CHANGES: &str = "
    UPDATE invoice SET open_amount = 50 WHERE id = 1;
    UPDATE invoice SET state = 'paid' WHERE id = 2;
    UPDATE invoice SET currency = 'USD' WHERE id = 3;
    DELETE FROM invoice WHERE id = 4;
    UPDATE invoice SET open_amount = 500 WHERE id = 5";

const POINTLESS: [&str; 4] = [
    "1 | suppressed | condition not met | completed | null",
    "2 | suppressed | paid | cancelled | paid",
    "3 | suppressed | no longer holds: currency = 'EUR' | completed | null",
    "4 | suppressed | subject gone | cancelled | subject gone",
];

/// The one message that is left, and what became of the others.
fn only_the_fifth_leaves(db: &mut TestDb) {
    let leased = db.lease();
    let bodies: Vec<&str> = leased.iter().map(|m| m.body.as_str()).collect();
    assert_eq!(bodies, ["Invoice INV-5, 500 open."], "{}", db.story());
    let fifth = ["5 | leased | null | running | null"];
    db.expect(WHAT_BECAME, &[&POINTLESS[..], &fifth].concat());
    db.expect("SELECT body FROM wf.notes", &["In USD."]);
    db.expect(
        "SELECT event, outcome FROM probe.history() WHERE step = 'mail' AND case_id = 1",
        &["step_skipped | skipped"],
    );
}

#[test]
fn s06_what_waits_for_its_window_is_looked_at_again_when_it_opens() {
    for with_policy in [false, true] {
        let mut db = reminding(with_policy, json!({}));
        remind(&mut db, "2026-03-01 10:00", 5);
        db.expect("SELECT DISTINCT state FROM probe.outbox()", &["deferred"]);
        // Behind the engine's back, so that nobody tells it before the window opens.
        db.exec("SET session_replication_role = replica");
        db.exec(CHANGES);
        db.exec("RESET session_replication_role");
        db.at("2026-03-02 08:00");
        only_the_fifth_leaves(&mut db);
    }
}

#[test]
fn s06_what_waits_for_its_sender_is_looked_at_again_when_its_row_changes() {
    for with_policy in [false, true] {
        let mut db = reminding(with_policy, json!({}));
        remind(&mut db, "2026-03-02 10:00", 5);
        db.expect("SELECT DISTINCT state FROM probe.outbox()", &["queued"]);
        db.exec(CHANGES);
        assert_eq!(db.lease(), [], "leased after the change had committed");
        db.run_due();
        only_the_fifth_leaves(&mut db);
    }
}

#[test]
fn s06_what_waits_for_another_attempt_is_looked_at_again_when_its_row_changes() {
    let mut db = reminding(false, json!({}));
    remind(&mut db, "2026-03-02 10:00", 2);
    let leased = db.lease();
    assert_eq!(db.fail(&leased, "421 try later", Some("30 minutes")), 2);
    db.exec("UPDATE invoice SET open_amount = 50 WHERE id = 1");
    db.exec("UPDATE invoice SET open_amount = 500 WHERE id = 2");
    db.run_due();
    assert_eq!(db.lease(), [], "before its time");
    db.at("2026-03-02 10:30");
    // What a sender has had in hand goes out as it was, under its key.
    let again = db.lease();
    assert_eq!(again.len(), 1, "{}", db.story());
    assert_eq!(again[0].idempotency_key, leased[1].idempotency_key);
    assert_eq!(again[0].body, "Invoice INV-2, 1000 open.");
    db.expect(
        WHAT_BECAME,
        &[POINTLESS[0], "2 | leased | 421 try later | running | null"],
    );
}

#[test]
fn what_a_sender_has_in_hand_and_what_its_step_has_left_behind_are_not_looked_at_again() {
    let mut db = reminding(false, json!({}));
    remind(&mut db, "2026-03-02 10:00", 1);
    let leased = db.lease();
    db.exec("UPDATE invoice SET open_amount = 50");
    db.run_due();
    assert_eq!(db.ack(&leased), 1);
    db.run_due();
    db.expect(
        "SELECT event, outcome FROM probe.history() WHERE step = 'mail'",
        &["step_done | sent"],
    );
    // The step was done when its message was queued; the case is past its condition.
    let mut db = reminding(false, json!({"done_when": "queued"}));
    remind(&mut db, "2026-03-02 10:00", 1);
    db.exec("UPDATE invoice SET open_amount = 50");
    db.run_due();
    assert_eq!(db.lease().len(), 1);
}
