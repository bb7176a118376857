//! S4: the date that everything hangs on moves, and rows that come late.

use workflow_engine_tests::{SCOPE_10, TestDb, document, edited};

const NONE: &[&str] = &[];

fn with_follow_up() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-01 12:00");
    db.scope_10();
    db.report(1, "2027-03-15");
    db.run_due();
    db.at("2026-04-15 08:00");
    assert_eq!(db.send().len(), 1);
    db
}

#[test]
fn s04_a_moved_anchor_moves_what_is_not_yet_done() {
    let mut db = with_follow_up();
    db.clock("2026-05-01 10:00");
    db.exec("UPDATE inspection_report SET end_date = '2027-06-15'");
    db.run_due();
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.tasks()",
        &["follow_up | Mon 2026-11-16"],
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.open()",
        &["follow_up | Mon 2026-11-16"],
    );
    db.expect(
        "SELECT step, substr(probe.local((detail->>'old')::timestamptz), 1, 14), substr(probe.local((detail->>'new')::timestamptz), 1, 14) \
         FROM probe.history() WHERE event = 'rescheduled'",
        &["follow_up | Mon 2026-08-17 | Mon 2026-11-16"],
    );
    db.expect(
        "SELECT step, state FROM probe.outbox()",
        &["request_email | sent"],
    );
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE event = 'rescheduled'",
        &[1],
    );

    // Saved again without a change, and another column changed: nothing.
    db.exec("UPDATE inspection_report SET end_date = end_date");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE event = 'rescheduled'",
        &[1],
    );
}

#[test]
fn s04_a_planned_start_moves_with_its_anchor() {
    let mut db = TestDb::new();
    db.clock("2026-03-01 12:00");
    db.scope_10();
    db.report(1, "2027-03-15");
    db.run_due();
    db.exec("UPDATE inspection_report SET end_date = '2027-06-15'");
    db.run_due();
    db.at("2026-07-14 23:59");
    db.expect("SELECT state FROM probe.cases()", &["planned"]);
    db.at("2026-07-15 00:00");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
}

#[test]
fn s04_a_new_report_starts_a_new_case_and_the_same_one_saved_again_none() {
    let mut db = with_follow_up();
    db.clock("2027-03-10 10:00");
    db.exec("SELECT wf.cancel(case_id, 'replaced') FROM probe.cases()");
    db.report(2, "2028-03-15");
    db.run_due();
    db.exec("UPDATE inspection_report SET end_date = end_date");
    db.run_due();
    db.expect(
        "SELECT right(key, 1), state FROM probe.cases()",
        &["1 | cancelled", "2 | planned"],
    );
    db.at("2027-04-14 23:59");
    db.expect(
        "SELECT state FROM probe.cases() WHERE right(key, 1) = '2'",
        &["planned"],
    );
    db.at("2027-04-15 00:00");
    db.expect(
        "SELECT state FROM probe.cases() WHERE right(key, 1) = '2'",
        &["running"],
    );
    db.exec("UPDATE inspection_report SET end_date = end_date");
    db.run_due();
    db.expect("SELECT count(*) FROM probe.cases()", &[2]);
}

fn late(policy: &str) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-11-30 12:00");
    db.bind_report();
    db.install(&edited(document(SCOPE_10), |doc| {
        doc["start"]["late"] = policy.into()
    }));
    db.clock("2026-12-01 10:00");
    db.report(1, "2027-03-15");
    db.run_due();
    db
}

#[test]
fn s04_late_now_starts_at_once() {
    let mut db = late("now");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect(
        "SELECT step, state FROM probe.outbox()",
        &["request_email | queued"],
    );
}

#[test]
fn s04_late_skip_enters_at_the_first_step_still_ahead() {
    let mut db = late("skip");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect("SELECT * FROM probe.outbox()", NONE);
    // The follow-up was due in August; the question has no date, and nobody has answered it yet.
    db.expect("SELECT step FROM probe.tasks()", &["how_to_go_on"]);
}

#[test]
fn s04_late_ask_makes_a_task() {
    let mut db = late("ask");
    db.expect("SELECT count(*) FROM probe.cases()", &[1]);
    db.expect("SELECT count(*) FROM probe.tasks()", &[1]);
    db.at("2026-12-02 10:00");
    db.expect("SELECT * FROM probe.outbox()", NONE);
}
