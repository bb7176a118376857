//! Holds: several at once, what each stops, what becomes of dates, and who may end them.

mod messages;
mod rights;

use serde_json::json;
use workflow_engine_tests::{TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// Two notes whose days hang on the invoice (Wed 2026-06-10 and a week later), and a case of it since Mon 06-01.
fn two_notes() -> (TestDb, i64) {
    let mut db = TestDb::new();
    db.clock("2026-06-01 09:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "notes",
        json!([
            {"name": "one", "kind": "note", "text": "x", "on": {"anchor": "subject.due_date"}},
            {"name": "two", "kind": "note", "text": "x", "on": {"anchor": "subject.due_date", "days": 7}}
        ]),
    ));
    db.invoice(1, "2026-06-10", "1000");
    let case = db.start("notes", 1);
    (db, case)
}

const NOTES: &str =
    "SELECT step, at FROM probe.history() WHERE event = 'step_done' AND kind = 'note'";

/// Held from Fri 06-05 10:00 to Mon 06-15 10:00 by a kind of this clock policy; then to the end of July, day by day.
#[track_caller]
fn s8(clock: &str, one: &str, two: &str) {
    let (mut db, case) = two_notes();
    db.exec(&format!(
        "SELECT wf.set_hold_kind('dispute', clock => '{clock}')"
    ));
    db.at("2026-06-05 10:00");
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'invoice disputed', kind => 'dispute')"
    ));
    db.at("2026-06-12 12:00");
    db.expect("SELECT state FROM probe.cases()", &["held"]);
    db.at("2026-06-15 10:00");
    db.expect(NOTES, NONE);
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.run_due();
    for day in 15..=30 {
        db.at(&format!("2026-06-{day} 10:00"));
    }
    db.expect(NOTES, &[format!("one | {one}"), format!("two | {two}")]);
    db.expect(
        "SELECT event, detail->>'reason', detail->>'kind' FROM probe.history() WHERE event IN ('case_held', 'case_released')",
        &[
            "case_held | invoice disputed | dispute",
            "case_released | invoice disputed | dispute",
        ],
    );
}

#[test]
fn s8_shift() {
    s8("shift", "Mon 2026-06-22 10:00", "Mon 2026-06-29 10:00");
}

#[test]
fn s8_shift_business() {
    s8(
        "shift_business",
        "Thu 2026-06-18 10:00",
        "Thu 2026-06-25 10:00",
    );
}

#[test]
fn s8_run_on() {
    s8("run_on", "Mon 2026-06-15 10:00", "Wed 2026-06-17 10:00");
}

#[test]
fn s8_moved_dates_are_told_and_stay_when_the_row_changes() {
    let (mut db, case) = two_notes();
    db.at("2026-06-05 10:00");
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'investigated', until => '2026-06-15 10:00 Europe/Amsterdam', kind => 'investigation')"
    ));
    db.expect(
        "SELECT hold_reason, probe.local(next_at) FROM wf.case_progress",
        &["investigated | Mon 2026-06-15 10:00"],
    );
    // It ends by itself; that the worker comes late moves nothing further.
    db.at("2026-06-16 10:00");
    db.expect("SELECT run FROM probe.open()", &["Mon 2026-06-22 00:00"]);
    db.expect(
        "SELECT step, detail->>'old', detail->>'new', detail->>'reason' FROM probe.history() WHERE event = 'rescheduled'",
        &["one | 2026-06-09T22:00:00Z | 2026-06-21T22:00:00Z | on hold"],
    );
    db.exec("UPDATE invoice SET open_amount = 900");
    db.run_due();
    db.expect("SELECT run FROM probe.open()", &["Mon 2026-06-22 00:00"]);
    let story: String = db.one(&format!(
        "SELECT detail FROM wf.explain({case}) WHERE subject = 'step \"one\"'"
    ));
    assert!(
        story.contains("moved by the time on hold to Mon 2026-06-22"),
        "{story}"
    );
}

#[test]
fn s9_a_promise_ends_while_a_moratorium_runs() {
    let (mut db, case) = two_notes();
    db.at("2026-06-02 10:00");
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'promise of 500', until => '2026-06-08 00:00 Europe/Amsterdam', kind => 'promise');
         SELECT * FROM wf.hold({case}, 'insolvency', until => '2026-06-12 00:00 Europe/Amsterdam', kind => 'moratorium')"
    ));
    // The same hold again is no second one.
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'insolvency', until => '2026-06-12 00:00 Europe/Amsterdam', kind => 'moratorium')"
    ));
    db.expect("SELECT count(*) FROM wf.holds", &[2]);
    db.at("2026-06-08 00:00");
    db.expect(
        "SELECT state, hold_reason FROM wf.case_progress",
        &["held | insolvency"],
    );
    db.expect(
        "SELECT detail->'still_on_hold' FROM probe.history() WHERE event = 'case_released'",
        &["[\"insolvency\"]"],
    );
    db.at("2026-06-11 23:59");
    db.expect("SELECT state FROM probe.cases()", &["held"]);
    db.expect(NOTES, NONE);
    db.at("2026-06-12 00:00");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    // Ten days of moratorium: Sat 06-20, so Mon 06-22.
    db.expect("SELECT run FROM probe.open()", &["Mon 2026-06-22 00:00"]);
}

#[test]
fn s24_on_hold_the_clock_of_a_task_stops() {
    let mut db = TestDb::new();
    db.clock("2026-04-30 16:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "desk",
        json!([{
            "name": "check", "kind": "task", "participant": "clerk", "escalate": {},
            "due": {"anchor": "previous_done", "business_days": 2}
        }]),
    ));
    db.invoice(1, "2026-06-10", "1000");
    let case = db.start("desk", 1);
    let dates = "SELECT probe.local(due_at), probe.local(escalate_at) FROM wf.tasks";
    db.expect(dates, &["Tue 2026-05-05 00:00 | Wed 2026-05-06 00:00"]);
    db.at("2026-05-04 12:00");
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'disputed', kind => 'dispute')"
    ));
    db.at("2026-05-07 12:00");
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE event = 'task_escalated'",
        &[0],
    );
    // People may go on, and the worklist says that the case is on hold.
    db.expect("SELECT held FROM wf.worklist", &["t"]);
    db.exec(&format!("SELECT * FROM wf.release({case}, 'dispute')"));
    // Three business days later.
    db.expect(dates, &["Fri 2026-05-08 00:00 | Mon 2026-05-11 00:00"]);
    db.at("2026-05-11 00:00");
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE event = 'task_escalated'",
        &[1],
    );
}

#[test]
fn a_row_that_cannot_be_read_keeps_no_case_on_hold() {
    let (mut db, case) = two_notes();
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'investigated', until => '2026-06-03 00:00 Europe/Amsterdam', kind => 'investigation');
         ALTER VIEW invoice_details RENAME COLUMN due_date TO date_due"
    ));
    db.at("2026-06-03 00:00");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect("SELECT state FROM probe.open()", &["failed"]);
    db.exec("ALTER VIEW invoice_details RENAME COLUMN date_due TO due_date");
    db.exec(&format!("SELECT * FROM wf.retry({case})"));
    // Two days later: 06-12.
    db.expect("SELECT run FROM probe.open()", &["Fri 2026-06-12 00:00"]);
}

#[test]
fn fv_12_kinds_of_holds_are_configured_and_checked() {
    let (mut db, case) = two_notes();
    db.expect_error(
        &format!("SELECT * FROM wf.hold({case}, 'x', kind => 'nap')"),
        "42704",
        &["nap", "dispute", "moratorium"],
    )
    .hints("wf.set_hold_kind");
    for (sql, part) in [
        ("SELECT wf.set_hold_kind('x', '{}')", "stops nothing"),
        ("SELECT wf.set_hold_kind('x', '{steps,tea}')", "\"tea\""),
        ("SELECT wf.set_hold_kind('x', clock => 'back')", "\"back\""),
        (
            "SELECT wf.set_hold_kind('x', '{communication}', 'shift')",
            "does not stop steps",
        ),
        (
            "SELECT wf.set_hold_kind('x', released_by => 'cat')",
            "\"cat\"",
        ),
        ("SELECT wf.set_hold_kind('')", "no name"),
    ] {
        db.expect_error(sql, "22023", &[part]).hints("");
    }
    // A shipped kind that users change is theirs from then on.
    db.exec("SELECT wf.set_hold_kind('promise', clock => 'shift', title => 'Commitment')");
    db.expect(
        "SELECT title, clock, shipped FROM wf.hold_kinds WHERE kind = 'promise'",
        &["Commitment | shift | f"],
    );
}

#[test]
fn fv_12_no_interest_accrues_while_a_hold_stops_charges() {
    let mut db = TestDb::new();
    db.clock("2026-06-01 09:00");
    db.bind_invoice();
    let interest = |name: &str, day: i32| {
        json!({"name": name, "kind": "charge", "charge": "interest", "principal": "open_amount", "rate": "36.5",
               "since": "due_date", "currency": "currency",
               "on": {"anchor": "case_start", "days": day, "roll": "none"}})
    };
    db.install(&invoice_workflow(
        "charging",
        json!([interest("held", 3), interest("later", 10)]),
    ));
    db.invoice(1, "2026-06-01", "1000");
    let case = db.start("charging", 1);
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'audit', until => '2026-06-06 00:00 Europe/Amsterdam', kind => 'no charges')"
    ));
    db.at("2026-06-04 00:00");
    db.expect(
        "SELECT step, outcome, detail->>'reason' FROM probe.history() WHERE event = 'step_done'",
        &["held | suspended | on hold: audit"],
    );
    db.at("2026-06-06 00:00");
    db.at("2026-06-11 00:00");
    // One euro a day, from the 6th to the 10th.
    db.expect("SELECT step, amount FROM wf.charges", &["later | 5.00"]);
}
