//! Cases that steps of other cases have started.

use serde_json::json;
use workflow_engine_tests::{TestDb, invoice_workflow};

use super::NONE;

/// Workflows `a` and `b` on invoices, each a note and then a step that starts the other one; a case of `a`.
fn a_and_b(kind: &str, limit: u16) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.invoice(1, "2026-04-01", "1000");
    for (name, other) in [("a", "b"), ("b", "a")] {
        let steps = json!([
            {"name": "noted", "kind": "note", "text": name},
            {"name": "on", "kind": kind, "workflow": other, "limit": limit}
        ]);
        let mut document = invoice_workflow(name, steps);
        if kind == "continue_with" {
            let steps = document["phases"][0]["steps"].as_array_mut();
            steps.expect("steps").pop();
        }
        db.install(&document);
    }
    db
}

#[test]
fn s22_arw_18_continue_stops_at_its_limit() {
    let mut db = a_and_b("continue_with", 1);
    db.exec("SELECT wf.start('a', '1', '{\"by\": \"ann\"}')");
    db.run_due();
    db.expect(
        "SELECT c.workflow, c.state, c.outcome, p.vars FROM probe.cases() AS c
         JOIN wf.cases AS p USING (case_id) ORDER BY case_id",
        &[
            r#"a | completed | continued | {"by": "ann"}"#,
            r#"b | completed | continued | {"by": "ann"}"#,
            r#"a | completed | continue limit | {"by": "ann"}"#,
        ],
    );
    db.expect(
        "SELECT l.case_id - l.started_by FROM wf.case_links AS l ORDER BY l.case_id",
        &["1", "1"],
    );
    db.expect(
        "SELECT parent_workflow, workflow, state, relation, key FROM wf.linked_cases ORDER BY case_id",
        &["a | b | completed | continued | 1", "b | a | completed | continued | 1"],
    );
    db.expect(
        "SELECT body FROM wf.notes ORDER BY note_id",
        &["a", "b", "a"],
    );
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn arw_18_continue_with_a_workflow_that_is_off_is_an_incident() {
    let mut db = a_and_b("continue_with", 1);
    db.exec("SELECT wf.disable('b')");
    let case = db.start("a", 1);
    db.run_due();
    db.expect(
        "SELECT workflow, state FROM probe.cases()",
        &["a | running"],
    );
    db.expect(
        "SELECT message FROM wf.incidents",
        &["step \"on\": workflow \"b\" is off"],
    );
    db.exec("SELECT wf.enable('b')");
    db.exec(&format!("SELECT wf.retry({case})"));
    db.run_due();
    db.expect(
        "SELECT workflow, outcome FROM probe.cases() ORDER BY case_id",
        &["a | continued", "b | continued", "a | continue limit"],
    );
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn arw_18_continue_with_what_cannot_be_is_an_incident() {
    for (prepare, message) in [
        ("SELECT wf.rename_workflow('b', 'c')", "step \"on\": workflow \"b\" does not exist"),
        (
            "SELECT wf.define(replace(wf.export('b')::text, '\"noted\"', '\"hold on\"')); SELECT wf.publish('b');
             SELECT wf.start('b', '1'); SELECT wf.hold(max(case_id)) FROM wf.cases",
            "step \"on\": invoice 1 already has an open case of workflow \"b\"",
        ),
    ] {
        let mut db = a_and_b("continue_with", 1);
        db.exec(prepare);
        db.start("a", 1);
        db.run_due();
        db.expect("SELECT message FROM wf.incidents", &[message]);
    }
}

#[test]
fn control_flow_a_workflow_may_continue_with_itself() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.invoice(1, "2026-04-01", "1000");
    db.install(&invoice_workflow(
        "a",
        json!([
            {"name": "which", "kind": "decision", "otherwise": "again",
             "legs": [{"name": "paid", "when": "open_amount = 0", "next": "end"}]},
            {"name": "again", "kind": "continue_with", "workflow": "a", "limit": 2},
            {"name": "end", "kind": "finish"}
        ]),
    ));
    db.start("a", 1);
    db.run_due();
    db.expect(
        "SELECT outcome FROM probe.cases() ORDER BY case_id",
        &["continued", "continued", "continue limit"],
    );
}

#[test]
fn control_flow_start_goes_on_at_once() {
    let mut db = a_and_b("start_workflow", 1);
    db.exec("SELECT wf.disable('a')");
    db.exec("SELECT wf.enable('a')");
    db.start("a", 1);
    db.run_due();
    db.expect(
        "SELECT workflow, state FROM probe.cases() ORDER BY case_id",
        &["a | completed", "b | completed", "a | completed"],
    );
    db.expect(
        "SELECT outcome FROM probe.history() WHERE kind = 'start_workflow' ORDER BY history_id",
        &["done", "done", "limit"],
    );
}

#[test]
fn arw_18_publish_warns_of_a_workflow_that_cannot_be_started() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.bind_report();
    let warnings = |db: &mut TestDb| {
        db.lines("SELECT severity, place, message FROM wf.validate('a') WHERE message LIKE '%workflow \"b\"%'")
    };
    let on = |kind: &str| json!([{"name": "on", "kind": kind, "workflow": "b"}]);
    for kind in ["start_workflow", "continue_with"] {
        db.define(&invoice_workflow("a", on(kind)));
        assert_eq!(
            warnings(&mut db),
            ["warning | step \"on\" | workflow \"b\" does not exist"]
        );
    }
    let mut b = invoice_workflow("b", json!([]));
    b["subject"] = "inspection_report".into();
    b["templates"] = json!({});
    db.define(&b);
    assert_eq!(
        warnings(&mut db),
        ["warning | step \"on\" | workflow \"b\" has no published version"]
    );
    db.install(&b);
    assert_eq!(
        warnings(&mut db),
        [
            "warning | step \"on\" | workflow \"b\" is about subject \"inspection_report\", not \"invoice\""
        ]
    );
    db.install(&invoice_workflow("b", json!([])));
    assert_eq!(warnings(&mut db), NONE);
    db.define(&invoice_workflow(
        "a",
        json!([{"name": "on", "kind": "start_workflow", "workflow": "a"}]),
    ));
    db.expect(
        "SELECT * FROM wf.validate('a') WHERE message LIKE '%workflow%'",
        NONE,
    );
}
