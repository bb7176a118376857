//! S6: partial payments, tolerance, and credit that has not been allocated.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, document, edited};

use super::*;

#[test]
fn s06_within_the_tolerance_a_case_ends_as_paid() {
    let mut db = with_workflows(&[MAIN_OUTREACH]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    db.send();
    for (paid, state) in [("994", "running | null"), ("996", "cancelled | paid")] {
        db.exec(&format!(
            "UPDATE invoice SET open_amount = 1000 - {paid} WHERE id = 1"
        ));
        db.run_due();
        db.expect("SELECT state, reason FROM probe.cases()", &[state]);
    }
    db.at("2026-07-01 12:00");
    assert_eq!(db.lease(), []);
}

/// The task that comes up before the letter of main outreach if the account has credit that has not been allocated.
fn allocate_credit() -> Value {
    json!({"name": "allocate credit", "kind": "task", "description": "Allocate the credit", "participant": "clerk",
           "due": {"anchor": "previous_done", "business_days": 2}})
}

/// The steps of main outreach that lead to its letter, and where among them it is.
fn escalation(outreach: &mut Value) -> (&mut Vec<Value>, usize) {
    let steps = outreach["phases"][2]["steps"]
        .as_array_mut()
        .expect("steps");
    let letter = steps.iter().position(|s| s["name"] == "final notice");
    (steps, letter.expect("the letter"))
}

/// Main outreach with a condition on the task.
fn with_credit() -> TestDb {
    outreach_with_credit(&edited(document(MAIN_OUTREACH), |doc| {
        let mut task = allocate_credit();
        task["when"] = "unallocated_credit > 0".into();
        let (steps, letter) = escalation(doc);
        steps.insert(letter, task);
    }))
}

/// A case of main outreach that has come as far as its letter, which is due on 2026-06-01.
fn outreach_with_credit(outreach: &Value) -> TestDb {
    let mut db = TestDb::new();
    db.exec(
        "CREATE TABLE credit (customer_id integer PRIMARY KEY, amount numeric NOT NULL);
         CREATE VIEW invoice_and_credit AS
         SELECT d.*, coalesce(c.amount, 0) AS unallocated_credit FROM invoice_details AS d LEFT JOIN credit AS c USING (customer_id);
         SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_and_credit',
                email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone')",
    );
    db.install(outreach);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    for day in ["2026-05-04 09:12", "2026-05-18 08:00"] {
        db.at(day);
        assert_eq!(db.send().len(), 1, "{day}");
    }
    db
}

#[test]
fn s06_credit_that_is_not_allocated_holds_the_letter_back() {
    let mut db = with_credit();
    db.exec("INSERT INTO credit VALUES (1, 1000)");
    db.at("2026-06-01 08:00");
    assert_eq!(db.lease(), []);
    db.expect("SELECT step FROM probe.tasks()", &["allocate credit"]);
    // Allocated to this invoice, it is paid; the case ends without the letter.
    db.exec("UPDATE credit SET amount = 0");
    db.exec("UPDATE invoice SET open_amount = 0 WHERE id = 1");
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | paid"],
    );
    db.expect("SELECT step FROM probe.tasks()", NONE);
    assert_eq!(db.lease(), []);
}

#[test]
fn s06_allocated_elsewhere_the_letter_leaves() {
    let mut db = with_credit();
    db.exec("INSERT INTO credit VALUES (1, 1000)");
    db.at("2026-06-01 08:00");
    db.exec("UPDATE credit SET amount = 0");
    db.settle("allocate credit", None);
    assert_eq!(db.send()[0].channel, "letter");
}

#[test]
fn s06_without_credit_the_letter_leaves_at_once() {
    let mut db = with_credit();
    db.at("2026-06-01 08:00");
    assert_eq!(db.send()[0].channel, "letter");
}

#[test]
fn s06_credit_that_comes_while_the_letter_waits_for_its_hour_holds_it_back() {
    let mut db = outreach_with_credit(&edited(document(MAIN_OUTREACH), |doc| {
        doc["milestones"] = json!([
            {"while": "unallocated_credit = 0", "step": "final notice", "otherwise": "allocate credit"}
        ]);
        let mut task = allocate_credit();
        task["next"] = "final notice".into();
        let (steps, letter) = escalation(doc);
        steps.insert(letter + 1, task);
        steps[letter]["next"] = "call".into();
    }));
    db.at("2026-06-01 00:00");
    db.expect(
        "SELECT state, leaves FROM probe.outbox() WHERE channel = 'letter'",
        &["deferred | Mon 2026-06-01 08:00"],
    );
    db.exec("INSERT INTO credit VALUES (1, 1000)");
    db.at("2026-06-01 08:00");
    assert_eq!(db.lease(), []);
    db.expect("SELECT step FROM probe.tasks()", &["allocate credit"]);
    db.exec("UPDATE credit SET amount = 0");
    db.settle("allocate credit", None);
    assert_eq!(db.send()[0].channel, "letter");
}
