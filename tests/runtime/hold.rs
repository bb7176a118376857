//! wf.hold and wf.release: nothing leaves, nothing happens, and then it goes on where it was.

use super::{NONE, work};
use workflow_engine_tests::TestDb;

/// A dunning case whose first message may leave on 2026-05-04 at 08:00.
fn with_reminder() -> (TestDb, i64) {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    let case = db.one("SELECT case_id FROM probe.cases()");
    (db, case)
}

#[test]
fn arw_24_on_hold_nothing_happens_until_it_is_released() {
    let (mut db, case) = with_reminder();
    db.expect(
        &format!("SELECT DISTINCT state FROM wf.hold({case}, 'dispute')"),
        &["held"],
    );
    db.expect("SELECT state FROM probe.cases()", &["held"]);
    db.at("2026-05-04 08:00");
    db.expect("SELECT * FROM probe.outbox()", NONE);
    db.at("2026-05-06 08:00");
    assert_eq!(db.lease(), []);

    db.expect(
        &format!("SELECT DISTINCT state FROM wf.release({case})"),
        &["running"],
    );
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.expect("SELECT step FROM probe.open()", &["level_2"]);
    db.expect(
        "SELECT event FROM probe.history() WHERE event IN ('case_held', 'case_released')",
        &["case_held", "case_released"],
    );
}

#[test]
fn a_message_that_waits_in_the_outbox_is_held_back_too() {
    let (mut db, case) = with_reminder();
    db.at("2026-05-04 08:00");
    db.expect("SELECT state FROM probe.outbox()", &["queued"]);
    db.exec(&format!("SELECT * FROM wf.hold({case})"));
    assert_eq!(db.lease(), []);
    db.run_due();
    assert_eq!(db.lease(), []);
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.expect("SELECT count(*) FROM probe.outbox()", &[1]);
}

#[test]
fn a_hold_with_an_end_releases_itself() {
    let (mut db, case) = with_reminder();
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'promise', '2026-05-11 00:00 Europe/Amsterdam')"
    ));
    db.at("2026-05-08 12:00");
    db.expect("SELECT state FROM probe.cases()", &["held"]);
    db.expect("SELECT * FROM probe.outbox()", NONE);
    db.at("2026-05-11 08:00");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.run_due();
    assert_eq!(db.send().len(), 1);
}

#[test]
fn a_stop_rule_ends_a_held_case() {
    let (mut db, case) = with_reminder();
    db.exec(&format!("SELECT * FROM wf.hold({case}, 'dispute')"));
    db.exec("UPDATE invoice SET state = 'paid'");
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | paid"],
    );
}

#[test]
fn releasing_again_is_no_error_and_changes_nothing() {
    let mut db = work();
    let case = db.start("work", 1);
    db.exec(&format!("SELECT * FROM wf.hold({case}, 'dispute')"));
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    let before: String = db.one("SELECT probe.state()");
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn hold_refuses_finished_and_unknown_cases() {
    let mut db = work();
    let case = db.start("work", 1);
    db.exec(&format!("SELECT * FROM wf.cancel({case})"));
    db.expect_error(
        &format!("SELECT * FROM wf.hold({case}, 'late')"),
        "55000",
        &["cancelled"],
    )
    .hints("");
    db.expect_error(
        "SELECT * FROM wf.hold(999999, 'late')",
        "P0002",
        &["999999"],
    );
    db.expect_error("SELECT * FROM wf.release(999999)", "P0002", &["999999"]);
}

#[test]
fn hold_is_undone_with_the_callers_transaction() {
    let (mut db, case) = with_reminder();
    let before: String = db.one("SELECT probe.state()");
    db.exec(&format!(
        "BEGIN; SELECT * FROM wf.hold({case}, 'dispute'); ROLLBACK"
    ));
    db.expect("SELECT probe.state()", &[before]);
}
