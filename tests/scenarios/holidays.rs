//! S15: holidays, and calendars that do not know the year.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

fn due(calendar: &str, due_date: &str, rule: Value) -> String {
    let mut db = TestDb::new();
    db.clock("2026-01-02 12:00");
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "rule",
            json!([{"name": "act", "kind": "task", "participant": "clerk", "due": rule}]),
        ),
        |doc| doc["calendar"] = calendar.into(),
    ));
    db.invoice(1, due_date, "100");
    db.start("rule", 1);
    db.one("SELECT due FROM probe.tasks()")
}

#[test]
fn s15_good_friday_is_closed_for_target_and_open_in_the_netherlands() {
    let rule = json!({"anchor": "subject.due_date", "days": 2});
    assert_eq!(
        due("TARGET", "2026-04-01", rule.clone()),
        "Tue 2026-04-07 00:00"
    );
    assert_eq!(due("NL", "2026-04-01", rule), "Fri 2026-04-03 00:00");
}

#[test]
fn s15_five_business_days_over_easter() {
    let rule = json!({"anchor": "subject.due_date", "business_days": 5});
    assert_eq!(
        due("TARGET", "2026-04-01", rule.clone()),
        "Fri 2026-04-10 00:00"
    );
    assert_eq!(due("NL", "2026-04-01", rule), "Thu 2026-04-09 00:00");
}

fn with_calendar(years: &str) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-01-02 12:00");
    db.bind_invoice();
    db.exec(&format!("SELECT wf.load_holidays('OFFICE', {years}, '{{2026-06-01}}'::date[], '{{Founders day}}'::text[])"));
    db
}

fn on_office_days() -> Value {
    edited(
        invoice_workflow(
            "office",
            json!([
                {"name": "act", "kind": "note", "text": "now", "on": {"anchor": "subject.due_date", "days": 30}},
                {"name": "rest", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 1}}
            ]),
        ),
        |doc| doc["calendar"] = "OFFICE".into(),
    )
}

#[test]
fn s15_a_loaded_calendar_counts() {
    let mut db = with_calendar("2026, 2027");
    db.install(&on_office_days());
    db.invoice(1, "2026-05-02", "100");
    db.start("office", 1);
    db.expect(
        "SELECT step, due FROM probe.open()",
        &["act | Tue 2026-06-02 00:00"],
    );
}

#[test]
fn s15_a_calendar_without_the_year_is_an_error_when_publishing() {
    let mut db = TestDb::new();
    db.clock("2026-01-02 12:00");
    db.bind_invoice();
    db.exec("SELECT wf.load_holidays('OFFICE', 2020, 2021, '{2020-06-01}'::date[])");
    db.exec("SELECT wf.set_participant('clerk')");
    db.define(&on_office_days());
    db.expect_error("SELECT wf.publish('office')", "22023", &["OFFICE", "2026"])
        .hints("");
}

#[test]
fn s15_a_calendar_without_the_year_is_an_incident_at_run_time() {
    let mut db = with_calendar("2026, 2027");
    db.install(&edited(on_office_days(), |doc| {
        doc["start"] = json!({"when": "state = 'posted'"})
    }));
    db.invoice(1, "2031-05-02", "100");
    db.invoice(2, "2026-05-04", "100");
    for day in 2..12 {
        db.at(&format!("2026-01-{day:02} 13:00"));
    }
    db.expect("SELECT count(*) > 0 FROM wf.incidents", &["t"]);
    db.expect(
        "SELECT count(*) > 0 FROM wf.failures WHERE resolved_at IS NULL AND concat(message, detail) LIKE '%OFFICE%' \
         AND concat(message, detail) LIKE '%2031%'",
        &["t"],
    );
    db.expect("SELECT count(*) FROM wf.notes", &[0]);
    // The other invoice is none the worse for it.
    db.expect("SELECT due FROM probe.open() AS o JOIN probe.cases() AS c USING (case_id) WHERE o.step = 'act' AND c.key = '2'", &["Wed 2026-06-03 00:00"]);
}

/// Processes keep calendars in memory; a change by whomever counts from its commit on, and not before.
#[test]
fn s15_a_changed_calendar_counts_at_once_everywhere() {
    const DUE: &str = "SELECT due FROM probe.open() ORDER BY case_id DESC LIMIT 1";
    let mut db = with_calendar("2026, 2027");
    let mut other = db.connect();
    db.install(&on_office_days());
    for id in 1..=4 {
        db.invoice(id, "2026-05-02", "100");
    }
    db.start("office", 1);
    db.expect(DUE, &["Tue 2026-06-02 00:00"]);
    other.exec("DELETE FROM wf.holidays WHERE calendar = 'OFFICE'");
    db.start("office", 2);
    db.expect(DUE, &["Mon 2026-06-01 00:00"]);
    db.exec("BEGIN");
    db.exec("INSERT INTO wf.holidays (calendar, day) VALUES ('OFFICE', '2026-06-01')");
    db.start("office", 3);
    db.expect(DUE, &["Tue 2026-06-02 00:00"]);
    db.exec("ROLLBACK");
    db.start("office", 4);
    db.expect(DUE, &["Mon 2026-06-01 00:00"]);
}
