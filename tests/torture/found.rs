//! What the proofs at length have found, each with a test that finds it at once.

use std::thread::spawn;

use serde_json::json;
use workflow_engine_tests::{TestDb, edited, eventually, invoice_workflow};

/// Two sessions begin cases of a month that has no history yet, at the same time.
fn first_of_the_month(isolation: &str) {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.install(&invoice_workflow(
        "first",
        json!([{"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
    ));
    db.invoice(1, "2026-05-01", "10");
    db.invoice(2, "2026-05-01", "10");
    db.clock("2031-03-01 09:00");

    let mut first = db.connect();
    first.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
    let case = first.start("first", 1);
    let mut second = db.connect();
    let pid = second.pid();
    let isolation = isolation.to_owned();
    let waiting = spawn(move || {
        second.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        let case = second.start("first", 2);
        second.exec("COMMIT");
        case
    });
    eventually("the second session, which waits for the first", || {
        let waits = format!("SELECT count(*) FROM pg_locks WHERE pid = {pid} AND NOT granted");
        (db.one::<i64>(&waits) == 1).then_some(())
    });
    first.exec("COMMIT");
    let other = waiting.join().expect("the second session finds the month");
    db.expect(
        "SELECT case_id, event FROM probe.history() ORDER BY case_id",
        &[
            format!("{case} | case_started"),
            format!("{other} | case_started"),
        ],
    );
}

#[test]
fn two_who_make_the_months_history_at_once_both_go_on() {
    first_of_the_month("READ COMMITTED");
}

#[test]
fn two_who_make_the_months_history_at_once_both_go_on_at_repeatable_read() {
    first_of_the_month("REPEATABLE READ");
}

#[test]
fn a_lease_that_is_rolled_back_after_a_payment_does_not_let_the_message_of_an_ended_case_leave() {
    let mut db = TestDb::new();
    db.bind_invoice();
    let steps =
        json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}]);
    db.install(&edited(invoice_workflow("mailing", steps), |doc| {
        doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
    }));
    db.clock("2026-03-02 09:00");
    db.invoice(1, "2026-05-01", "10");
    db.start("mailing", 1);
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["completed"]);

    let mut sender = db.connect();
    sender.exec("BEGIN");
    assert_eq!(sender.lease().len(), 1);
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    db.run_due();
    sender.exec("ROLLBACK");
    assert_eq!(db.lease(), [], "leased after the payment");
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.outbox()",
        &["suppressed | paid"],
    );
}
