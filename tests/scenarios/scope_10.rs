//! S1 to S3: the insurance office's workflow, one loop, two loops, and the other branches.

use workflow_engine_tests::{SCOPE_10, TestDb, document, edited, literal, step_of};

const STATE: &str = "SELECT state, outcome FROM probe.cases()";
const QUESTIONS: &str =
    "SELECT step, visit FROM probe.tasks() WHERE step LIKE '%report_in' OR step = 'how_to_go_on'";
const TOTALS: &str = "SELECT kind, count(*) FROM probe.history() WHERE event = 'step_done' AND kind IN ('email', 'note', 'task') \
     GROUP BY kind ORDER BY kind";
const NONE: &[&str] = &[];

/// A database with a report that ends 2027-03-15, seen a year before.
fn with_report() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-01 12:00");
    db.scope_10();
    db.report(1, "2027-03-15");
    db.run_due();
    db
}

/// The day the report's case starts, its first e-mail sent.
fn with_request_sent() -> TestDb {
    let mut db = with_report();
    db.at("2026-04-15 08:00");
    assert_eq!(db.send().len(), 1);
    db
}

/// On 2026-08-18: the follow-up settled, and the question answered.
fn with_answer(answer: &str) -> TestDb {
    let mut db = with_request_sent();
    db.at("2026-08-18 10:00");
    db.settle("follow_up", None);
    db.settle("how_to_go_on", Some(answer));
    db
}

#[test]
fn s01_as_01_the_case_is_planned_until_eleven_months_before() {
    let mut db = with_report();
    db.expect(
        "SELECT state, key FROM probe.cases()",
        &["planned | 00000000-0000-0000-0000-000000000001"],
    );
    db.at("2026-04-14 23:59");
    db.expect("SELECT state FROM probe.cases()", &["planned"]);
    db.expect("SELECT * FROM probe.outbox()", NONE);
    db.at("2026-04-15 00:00");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
}

#[test]
fn s01_as_03_the_message_leaves_when_the_window_opens_and_the_task_comes_only_after() {
    let mut db = with_report();
    db.at("2026-04-15 00:00");
    db.expect(
        "SELECT step, channel, state, leaves FROM probe.outbox()",
        &["request_email | email | deferred | Wed 2026-04-15 08:00"],
    );
    assert_eq!(db.lease(), []);
    db.at("2026-04-15 07:59");
    assert_eq!(db.lease(), []);

    db.at("2026-04-15 08:00");
    db.expect("SELECT state FROM probe.outbox()", &["queued"]);
    let leased = db.lease();
    assert_eq!(leased.len(), 1, "{}", db.story());
    let message = &leased[0];
    assert_eq!(message.channel, "email");
    assert_eq!(message.recipient, "jansen@example.com");
    assert_eq!(message.subject, "Keuring van uw elektrische installatie");
    assert!(
        message.body.starts_with("Beste Jansen BV"),
        "{}",
        message.body
    );
    assert!(message.body.contains("P-1"), "{}", message.body);
    db.run_due();
    db.expect("SELECT * FROM probe.tasks()", NONE);

    assert_eq!(db.ack(&leased), 1);
    db.run_due();
    db.expect(
        "SELECT step, participant, substr(due, 1, 14) FROM probe.tasks()",
        &["follow_up | back_office | Mon 2026-08-17"],
    );
}

#[test]
fn s01_as_05_07_08_09_10_11_one_loop_then_yes() {
    let mut db = with_request_sent();
    db.at("2026-08-17 12:00");
    db.expect(QUESTIONS, NONE);
    db.at("2026-08-18 10:00");
    db.expect(QUESTIONS, NONE);
    db.settle("follow_up", None);
    db.expect(QUESTIONS, &["how_to_go_on | 1"]);
    db.expect("SELECT outcomes FROM probe.tasks()", &["A,B,C"]);

    db.settle("how_to_go_on", Some("A"));
    db.expect(
        "SELECT body FROM wf.notes",
        &["Inspection planned for policy P-1."],
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.tasks()",
        &["a_task | Fri 2027-01-15"],
    );

    db.at("2027-01-18 10:00");
    db.settle("a_task", None);
    db.expect(QUESTIONS, &["a_report_in | 1"]);
    db.settle("a_report_in", Some("no"));
    db.expect("SELECT * FROM probe.tasks()", NONE);
    assert_eq!(
        db.send().len(),
        1,
        "within the window an e-mail leaves at once"
    );
    db.expect("SELECT count(*) FROM wf.notes", &[2]);
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.tasks()",
        &["a_control | Mon 2027-02-08"],
    );

    db.at("2027-02-10 10:00");
    db.settle("a_control", None);
    db.expect(QUESTIONS, &["a_report_in | 2"]);
    db.settle("a_report_in", Some("yes"));
    db.expect("SELECT step FROM probe.tasks()", &["a_enter_date"]);
    db.settle("a_enter_date", None);

    db.expect(STATE, &["completed | report received"]);
    db.expect("SELECT * FROM probe.open()", NONE);
    db.expect("SELECT * FROM probe.tasks()", NONE);
    db.expect(TOTALS, &["email | 2", "note | 3", "task | 4"]);
    db.expect(
        "SELECT visit, outcome FROM probe.history() WHERE step = 'a_report_in' AND event = 'step_done'",
        &["1 | no", "2 | yes"],
    );
    db.expect("SELECT count(*) FROM probe.history() WHERE step IS NOT NULL AND (stage IS NULL OR visit IS NULL)", &[0]);
    db.expect(
        "SELECT step, stage FROM probe.history() WHERE event = 'step_done' AND step IN ('request_email', 'follow_up', 'how_to_go_on', 'a_note')",
        &["request_email | 1", "follow_up | 2", "how_to_go_on | 3", "a_note | 4"],
    );
    assert_eq!(db.lease(), []);
}

#[test]
fn s02_as_12_13_after_the_second_no_there_is_no_third_question() {
    let mut db = with_answer("A");
    db.at("2027-01-18 10:00");
    db.settle("a_task", None);
    db.settle("a_report_in", Some("no"));
    assert_eq!(db.send().len(), 1);
    db.at("2027-02-10 10:00");
    db.settle("a_control", None);
    db.settle("a_report_in", Some("no"));
    assert_eq!(db.send().len(), 1, "the third e-mail");
    db.expect("SELECT step, visit FROM probe.tasks()", &["a_control | 2"]);

    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    let before: String = db.one("SELECT probe.state()");
    let third = [
        format!("SELECT * FROM wf.advance({case}, 'a_report_in')"),
        format!("SELECT * FROM wf.branch({case}, 'a_report_in', 'yes')"),
        format!("SELECT * FROM wf.complete_step({case}, 'a_report_in', 'yes')"),
    ];
    for sql in &third {
        db.expect_error(sql, "55000", &["a_report_in"]);
    }
    db.expect("SELECT probe.state()", &[before]);

    db.at("2027-03-03 10:00");
    db.settle("a_control", None);
    db.expect(STATE, &["completed | loop exhausted"]);
    db.expect(TOTALS, &["email | 3", "note | 3", "task | 4"]);
    for sql in &third {
        db.expect_error(sql, "55000", &[]);
    }
}

#[test]
fn s03_as_14_18_option_b_ends_with_its_manual_task() {
    let mut db = with_answer("B");
    db.expect("SELECT * FROM probe.tasks()", NONE);
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].subject, "Your building is for sale");
    db.expect(
        "SELECT body FROM wf.notes",
        &["Building for sale, policy P-1."],
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.tasks()",
        &["b_task | Tue 2026-09-01"],
    );
    db.at("2026-08-31 10:00");
    db.expect(STATE, &["running | null"]);
    db.settle("b_task", None);
    db.expect(STATE, &["completed | sold"]);
    db.expect(TOTALS, &["email | 2", "note | 1", "task | 2"]);
}

#[test]
fn s03_as_16_18_option_c_has_the_same_loop() {
    let mut db = with_answer("C");
    assert_eq!(db.send().len(), 1);
    db.expect(
        "SELECT body FROM wf.notes",
        &["No answer from the customer."],
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.tasks()",
        &["c_task | Fri 2027-01-15"],
    );
    db.at("2027-01-18 10:00");
    db.settle("c_task", None);
    db.settle("c_report_in", Some("no"));
    assert_eq!(db.send().len(), 1);
    db.settle("c_control", None);
    db.expect(QUESTIONS, &["c_report_in | 2"]);
    db.settle("c_report_in", Some("no"));
    assert_eq!(db.send().len(), 1);
    db.settle("c_control", None);
    db.expect(STATE, &["completed | loop exhausted"]);
    db.expect(TOTALS, &["email | 4", "note | 3", "task | 4"]);
}

#[test]
fn s03_as_17_a_link_into_another_branch_is_refused_naming_both_steps() {
    let mut db = TestDb::new();
    db.bind_report();
    let crossing = edited(document(SCOPE_10), |doc| {
        step_of(doc, "c_note")["next"] = "b_task".into();
    });
    db.define(&crossing);
    db.expect_error(
        "SELECT wf.publish('scope-10')",
        "22023",
        &["c_note", "b_task"],
    );
    db.expect(
        "SELECT count(*) > 0 FROM wf.validate('scope-10') WHERE severity = 'error' AND concat(place, message, hint) LIKE '%c_note%' \
         AND concat(place, message, hint) LIKE '%b_task%' AND hint <> ''",
        &["t"],
    );
}

#[test]
fn s03_as_19_the_package_is_exported_and_imported() {
    let mut db = TestDb::new();
    db.scope_10();
    db.exec("SELECT * FROM wf.import(wf.export('scope-10'), 'scope-10 copy')");
    db.expect("SELECT wf.publish('scope-10 copy')", &[1]);
    let original: String = db.one("SELECT (wf.export('scope-10')::jsonb - 'name')::text");
    db.expect(
        "SELECT (wf.export('scope-10 copy')::jsonb - 'name')::text",
        &[original],
    );
    db.expect(
        "SELECT wf.export('scope-10 copy')::jsonb->>'name'",
        &["scope-10 copy"],
    );
    let text = literal(SCOPE_10);
    db.expect_error(
        &format!("SELECT * FROM wf.import({text})"),
        "42710",
        &["scope-10"],
    );
}

#[test]
fn s03_as_02_15_without_a_matching_report_no_workflow_ever_starts() {
    let mut db = TestDb::new();
    db.clock("2026-03-01 12:00");
    db.scope_10();
    db.exec(
        "INSERT INTO inspection_report VALUES ('00000000-0000-0000-0000-000000000002', 'P-1', 4, '2027-03-15'), \
         ('00000000-0000-0000-0000-000000000003', 'P-3', 10, '2027-03-15')",
    );
    db.run_due();
    db.at("2027-06-01 09:00");
    db.expect("SELECT * FROM probe.cases()", NONE);
}
