//! S18 and S19 (a): paid while sending, and a sender that dies.

use workflow_engine_tests::TestDb;

const NONE: &[&str] = &[];

fn with_queued_message() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    db.at("2026-05-04 08:00");
    db.expect(
        "SELECT step, state FROM probe.outbox()",
        &["level_1 | queued"],
    );
    db
}

#[test]
fn s18_paid_before_the_lease_nothing_is_sent() {
    let mut db = with_queued_message();
    db.exec("UPDATE invoice SET state = 'paid'");
    assert_eq!(db.lease(), []);
    db.run_due();
    assert_eq!(db.lease(), []);
    db.expect("SELECT state FROM probe.outbox()", &["suppressed"]);
    db.expect("SELECT reason IS NOT NULL FROM probe.outbox()", &["t"]);
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | paid"],
    );
}

#[test]
fn s18_paid_after_the_hand_over_the_message_is_sent_and_the_case_cancelled() {
    let mut db = with_queued_message();
    let leased = db.lease();
    assert_eq!(leased.len(), 1);
    db.exec("UPDATE invoice SET state = 'paid'");
    assert_eq!(db.ack(&leased), 1);
    db.expect("SELECT state FROM probe.outbox()", &["sent"]);
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | paid"],
    );
    db.at("2026-06-01 08:00");
    db.expect(
        "SELECT step, state FROM probe.outbox()",
        &["level_1 | sent"],
    );
    db.expect("SELECT * FROM probe.open()", NONE);
}

#[test]
fn s18_cancelled_while_leased_the_late_acknowledgement_is_kept() {
    let mut db = with_queued_message();
    let leased = db.lease();
    db.exec("UPDATE invoice SET state = 'paid'");
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | paid"],
    );
    assert_eq!(db.ack(&leased), 1);
    db.expect("SELECT state FROM probe.outbox()", &["sent"]);
    db.run_due();
    db.at("2026-06-01 08:00");
    assert_eq!(db.lease(), []);
    db.expect("SELECT * FROM probe.open()", NONE);
}

#[test]
fn s19_a_sender_that_dies_leaves_the_message_to_the_next_with_the_same_key() {
    let mut db = with_queued_message();
    let mut sender = db.connect();
    let first = sender.lease_with("NULL, 10, '5 minutes', 'sender 1'");
    assert_eq!(first.len(), 1);
    drop(sender);
    assert_eq!(db.lease(), []);
    db.at("2026-05-04 08:04");
    assert_eq!(db.lease(), []);

    db.at("2026-05-04 08:06");
    let second = db.lease_with("NULL, 10, '5 minutes', 'sender 2'");
    assert_eq!(second.len(), 1, "{}", db.story());
    assert_eq!(second[0].idempotency_key, first[0].idempotency_key);
    assert_eq!(second[0].id, first[0].id);
    assert_eq!((first[0].attempt, second[0].attempt), (1, 2));
    assert_eq!(db.ack(&second), 1);
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE step = 'level_1' AND event = 'step_done'",
        &[1],
    );
    db.expect("SELECT step FROM probe.open()", &["level_2"]);
}
