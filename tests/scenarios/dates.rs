//! S13 and S14: month ends and daylight saving.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

/// The due date of a task with this rule on an invoice with this due date.
fn due(db: &mut TestDb, due_date: &str, rule: Value) -> String {
    let number: i64 = db.one("SELECT count(*) + 1 FROM invoice");
    let name = format!("rule {number}");
    db.install(&invoice_workflow(
        &name,
        json!([{"name": "act", "kind": "task", "participant": "clerk", "due": rule}]),
    ));
    db.invoice(number, due_date, "100");
    let case = db.start(&name, number);
    db.one(&format!(
        "SELECT due FROM probe.tasks() WHERE case_id = {case}"
    ))
}

fn database() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-01-02 12:00");
    db.bind_invoice();
    db
}

#[test]
fn s13_as_23_months_before_a_month_end() {
    let mut db = database();
    let rule = |roll: &str| json!({"anchor": "subject.due_date", "months": -11, "roll": roll});
    assert_eq!(
        due(&mut db, "2027-01-31", rule("following")),
        "Mon 2026-03-02 00:00"
    );
    assert_eq!(
        due(&mut db, "2027-01-31", rule("preceding")),
        "Fri 2026-02-27 00:00"
    );
    assert_eq!(
        due(&mut db, "2027-01-31", rule("none")),
        "Sat 2026-02-28 00:00"
    );
    assert_eq!(
        due(&mut db, "2025-01-31", rule("following")),
        "Thu 2024-02-29 00:00"
    );
}

#[test]
fn s13_offsets_count_from_the_anchor_and_are_never_chained() {
    let mut db = database();
    let rule =
        |months: i32| json!({"anchor": "subject.due_date", "months": months, "roll": "none"});
    assert_eq!(due(&mut db, "2026-01-31", rule(1)), "Sat 2026-02-28 00:00");
    assert_eq!(due(&mut db, "2026-01-31", rule(2)), "Tue 2026-03-31 00:00");
}

/// A case whose only step is an e-mail with this contact window, started by hand.
fn mail(db: &mut TestDb, window: Value, customer: i32) -> i64 {
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "mail",
            json!([{"name": "mail", "kind": "email", "template": "hello"}]),
        ),
        |doc| doc["contact_window"] = window,
    ));
    db.exec(&format!(
        "INSERT INTO invoice VALUES (1, 'INV-1', {customer}, 'posted', '2026-03-01', 100, 'USD')"
    ));
    let case = db.start("mail", 1);
    db.run_due();
    case
}

const LEAVES: &str = "SELECT state, not_before AT TIME ZONE 'UTC' FROM wf.outbox";

#[test]
fn s14_the_window_opens_in_the_customers_zone_on_the_day_summer_time_starts() {
    let mut db = TestDb::new();
    db.clock("2026-03-07 21:30 America/New_York");
    mail(
        &mut db,
        json!({"days": "mon-sun", "from": "08:00", "to": "21:00"}),
        2,
    );
    db.expect(LEAVES, &["deferred | 2026-03-08 12:00:00"]);
    db.at("2026-03-08 11:59 UTC");
    assert_eq!(db.lease(), []);
    db.at("2026-03-08 12:00 UTC");
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn s14_the_window_opens_an_hour_later_by_utc_when_summer_time_ends() {
    let mut db = TestDb::new();
    db.clock("2026-10-24 21:00");
    mail(
        &mut db,
        json!({"days": "mon-sun", "from": "08:00", "to": "20:00"}),
        1,
    );
    db.expect(LEAVES, &["deferred | 2026-10-25 07:00:00"]);
    db.at("2026-10-25 06:59 UTC");
    assert_eq!(db.lease(), []);
    db.at("2026-10-25 07:00 UTC");
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn s14_a_step_in_the_hour_that_is_skipped_or_doubled_fires_once() {
    for (day, night) in [
        ("2026-03-29", "2026-03-29 00:00 UTC"),
        ("2026-10-25", "2026-10-24 23:00 UTC"),
    ] {
        let mut db = TestDb::new();
        db.clock("2026-01-02 12:00");
        db.bind_invoice();
        db.install(&invoice_workflow(
            "night",
            json!([
                {"name": "act", "kind": "note", "text": "once", "on": {"anchor": "subject.due_date", "time": "02:30", "roll": "none"}},
                {"name": "rest", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "months": 12}}
            ]),
        ));
        db.invoice(1, day, "100");
        db.start("night", 1);
        db.run_due();
        for quarter in 0..16 {
            db.exec(&format!(
                "SELECT wf.set_clock('{night}'::timestamptz + {quarter} * interval '15 minutes')"
            ));
            db.run_due();
        }
        db.expect("SELECT count(*) FROM wf.notes", &[1]);
        db.expect(
            "SELECT count(*) FROM probe.history() WHERE step = 'act' AND event = 'step_done'",
            &[1],
        );
    }
}

#[test]
fn as_23_24_a_yearly_letter_comes_a_month_before_the_day_until_the_row_says_stop() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.clock("2026-01-10 09:00");
    let mut document = invoice_workflow(
        "yearly",
        json!([
            {"name": "letter", "kind": "letter", "template": "hello", "done_when": "queued",
             "on": {"anchor": "subject.due_date", "months": -1}},
            {"name": "a year", "kind": "wait", "on": {"anchor": "previous_done", "months": 12}, "next": "again"},
            {"name": "again", "kind": "repeat", "back_to": "letter", "max_visits": 3, "exhausted": "end"}
        ]),
    );
    document["stop"] = json!([{"when": "state = 'cancelled'", "reason": "ended"}]);
    db.install(&document);
    db.invoice(1, "2026-03-16", "10");
    db.start("yearly", 1);
    let letters = "SELECT count(*) FROM wf.outbox";
    for (at, count) in [
        ("2026-02-15 23:59", 0),
        ("2026-02-16 00:00", 1),
        ("2027-02-15 23:59", 1),
        ("2027-02-16 00:00", 2),
    ] {
        db.at(at);
        db.expect(letters, &[count]);
    }
    db.exec("UPDATE invoice SET state = 'cancelled' WHERE id = 1");
    db.at("2028-02-17 00:00");
    db.expect(letters, &[2]);
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | ended"],
    );
}
