//! Steps that wait for the case of another workflow.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

use super::{NONE, task};

const CASES: &str = "SELECT workflow, state, outcome, reason FROM probe.cases() ORDER BY case_id";
const OPEN: &str = "SELECT case_id, step, state FROM probe.open()";

fn install(db: &mut TestDb, parent: Value, child: Value) {
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.invoice(1, "2026-04-01", "1000");
    db.install(&invoice_workflow("check", child));
    db.install(&invoice_workflow("main", parent));
}

/// `main` waits for `check`, a question about the invoice; its answer leads main to one of two tasks.
fn checked() -> TestDb {
    let mut db = TestDb::new();
    install(
        &mut db,
        json!([
            {"name": "checked", "kind": "sub_workflow", "workflow": "check", "otherwise": "look", "take": ["by"],
             "outcomes": [{"name": "right", "next": "pay"}]},
            task("pay", "noted"),
            {"name": "noted", "kind": "note", "text": "{{ answers.checked }} says {{ vars.by }}", "next": "end"},
            task("look", "end"),
            {"name": "end", "kind": "finish"}
        ]),
        json!([
            {"name": "is it right", "kind": "question", "participant": "clerk",
             "options": [{"name": "yes", "next": "good"}, {"name": "no", "next": "bad"}]},
            {"name": "good", "kind": "finish", "outcome": "right"},
            {"name": "bad", "kind": "finish", "outcome": "wrong"}
        ]),
    );
    db.start("main", 1);
    db.run_due();
    db
}

fn answer(db: &mut TestDb, answer: &str) {
    let task = db.task("is it right");
    db.exec(&format!(
        "SELECT wf.complete({task}, '{answer}', '{{\"by\": \"ann\", \"secret\": 1}}')"
    ));
    db.run_due();
}

#[test]
fn sub_workflow_waits_and_its_outcome_picks_the_leg() {
    let mut db = checked();
    db.expect(
        "SELECT parent_workflow, waiting_step, workflow, relation FROM wf.linked_cases",
        &["main | checked | check | waits"],
    );
    db.expect(
        CASES,
        &[
            "main | running | null | null",
            "check | running | null | null",
        ],
    );
    db.expect(OPEN, &["1 | checked | waiting", "2 | is it right | open"]);
    db.expect(
        "SELECT step, status, detail FROM wf.case_timeline WHERE case_id = 1 AND status = 'waiting'",
        &[r#"checked | waiting | {"cases": [2]}"#],
    );
    db.expect(
        "SELECT fact FROM wf.explain(1) WHERE subject = 'step \"checked\"' LIMIT 1",
        &["waits for the end of a case of workflow \"check\""],
    );
    answer(&mut db, "yes");
    db.expect(OPEN, &["1 | pay | open"]);
    db.expect(
        "SELECT step, outcome, detail FROM probe.history() WHERE kind = 'sub_workflow'",
        &[r#"checked | right | {"case": 2, "workflow": "check"}"#],
    );
    db.settle("pay", None);
    db.expect("SELECT body FROM wf.notes", &["right says ann"]);
    // Taken over is what is named.
    db.expect(
        "SELECT vars FROM wf.cases WHERE case_id = 1",
        &[r#"{"by": "ann"}"#],
    );

    let mut db = checked();
    answer(&mut db, "no");
    db.expect(OPEN, &["1 | look | open"]);
    let mut db = checked();
    db.exec("SELECT wf.cancel(2, 'mistake')");
    db.run_due();
    db.expect(OPEN, &["1 | look | open"]);
    db.expect(
        "SELECT outcome FROM probe.history() WHERE kind = 'sub_workflow'",
        &["cancelled"],
    );
}

#[test]
fn sub_workflow_is_withdrawn_with_its_step_or_its_case() {
    for (statement, open) in [
        ("SELECT wf.cancel(1, 'paid')", NONE),
        ("SELECT wf.skip(1, 'checked')", &["1 | noted | scheduled"]),
        ("SELECT wf.cancel_phase(1, 'all')", NONE),
    ] {
        let mut db = TestDb::new();
        install(
            &mut db,
            json!([
                {"name": "checked", "kind": "sub_workflow", "workflow": "check"},
                {"name": "noted", "kind": "note", "text": "x", "on": {"anchor": "subject.due_date"}}
            ]),
            json!([{"name": "mail", "kind": "email", "template": "hello"}]),
        );
        db.start("main", 1);
        db.run_due();
        db.expect(OPEN, &["1 | checked | waiting", "2 | mail | sending"]);
        db.exec(statement);
        // At once, and not only when the engine comes by.
        db.expect(
            "SELECT state, reason FROM probe.outbox()",
            &["suppressed | case 1 no longer waits for it"],
        );
        db.expect(
            "SELECT state, outcome, reason FROM probe.cases() WHERE case_id = 2",
            &["cancelled | cancelled | case 1 no longer waits for it"],
        );
        db.run_due();
        db.expect(OPEN, open);
        db.expect(
            "SELECT count(*) FROM wf.case_steps WHERE step_no < 0",
            &["0"],
        );
    }
}

#[test]
fn sub_workflow_that_somebody_is_at_is_withdrawn_later() {
    let mut db = checked();
    let mut other = db.connect();
    other.exec("BEGIN; SELECT FROM wf.cases WHERE case_id = 2 FOR UPDATE");
    db.exec("SELECT wf.cancel(1)");
    db.run_due();
    db.expect(
        CASES,
        &[
            "main | cancelled | cancelled | cancelled",
            "check | running | null | null",
        ],
    );
    db.expect(
        "SELECT step FROM wf.case_timeline WHERE case_id = 2",
        &["is it right"],
    );
    db.expect("SELECT what, step FROM wf.upcoming", NONE);
    other.exec("COMMIT");
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.cases() WHERE case_id = 2",
        &["cancelled | case 1 no longer waits for it"],
    );
    db.expect("SELECT count(*) FROM wf.case_steps", &["0"]);
}

#[test]
fn sub_workflow_is_held_with_the_case_that_waits() {
    let mut db = TestDb::new();
    install(
        &mut db,
        json!([{"name": "checked", "kind": "sub_workflow", "workflow": "check"}]),
        json!([
            {"name": "inner", "kind": "sub_workflow", "workflow": "innermost"},
        ]),
    );
    db.install(&invoice_workflow(
        "innermost",
        json!([{"name": "mail", "kind": "email", "template": "hello"}]),
    ));
    db.start("main", 1);
    db.run_due();
    db.exec("SELECT wf.hold(1, 'dispute', wf.now() + interval '1 day')");
    let states = "SELECT string_agg(state, ' ' ORDER BY case_id) FROM probe.cases()";
    db.expect(states, &["held held held"]);
    db.expect(
        "SELECT case_id, hold_reason FROM wf.case_progress ORDER BY case_id",
        &[
            "1 | dispute",
            "2 | case 1 is on hold",
            "3 | case 2 is on hold",
        ],
    );
    assert_eq!(db.send().len(), 0);
    // A hold of its own outlasts the other's.
    db.exec("SELECT wf.hold(3, 'mine')");
    db.at("2026-03-03 10:00");
    db.expect(states, &["running running held"]);
    db.exec("SELECT wf.release(3)");
    assert_eq!(db.send().len(), 1);
    db.run_due();
    db.expect(states, &["completed completed completed"]);
    db.expect(
        "SELECT count(*) FROM wf.holds WHERE released_at IS NULL",
        &["0"],
    );
}

#[test]
fn sub_workflow_that_cannot_start_is_an_incident_and_beside_a_date_it_may_come_too_late() {
    let mut db = checked();
    db.exec("SELECT wf.disable('check')");
    answer(&mut db, "yes");
    db.invoice(2, "2026-04-01", "10");
    db.start("main", 2);
    db.run_due();
    db.expect(
        "SELECT message FROM wf.incidents",
        &["step \"checked\": workflow \"check\" is off"],
    );

    let mut db = TestDb::new();
    install(
        &mut db,
        json!([
            {"name": "first", "kind": "first_of", "branches": ["checked", "late"]},
            {"name": "checked", "kind": "sub_workflow", "workflow": "check", "next": "end"},
            {"name": "late", "kind": "wait", "on": {"anchor": "previous_done", "days": 3}, "next": "end"},
            {"name": "end", "kind": "finish"}
        ]),
        json!([task("work", "end")]),
    );
    db.start("main", 1);
    db.run_due();
    db.at("2026-03-06 10:00");
    db.expect(
        CASES,
        &[
            "main | completed | completed | null",
            "check | cancelled | cancelled | case 1 no longer waits for it",
        ],
    );
}

#[test]
fn sub_workflow_is_waited_for_through_a_migration() {
    let mut db = checked();
    let steps = json!([
        {"name": "begin", "kind": "note", "text": "b"},
        {"name": "checked", "kind": "sub_workflow", "workflow": "check"},
    ]);
    db.define(&invoice_workflow("main", steps));
    db.exec("SELECT wf.publish('main')");
    db.exec("SELECT * FROM wf.migrate('main', 1, 2, NULL, false)");
    db.expect(
        "SELECT version FROM wf.case_progress WHERE case_id = 1",
        &["2"],
    );
    db.expect(OPEN, &["1 | checked | waiting", "2 | is it right | open"]);
    answer(&mut db, "no");
    db.expect(
        CASES,
        &[
            "main | completed | completed | null",
            "check | completed | wrong | null",
        ],
    );
}

#[test]
fn sub_workflow_refusals_name_the_step() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.define(&invoice_workflow(
        "main",
        json!([
            {"name": "one", "kind": "sub_workflow", "workflow": " ", "otherwise": "end", "take": [""]},
            {"name": "two", "kind": "sub_workflow", "workflow": "main", "participant": "clerk",
             "outcomes": [{"name": "x"}, {"name": "x"}, {"name": "otherwise"}]},
            {"name": "end", "kind": "finish"}
        ]),
    ));
    db.expect(
        "SELECT place, message FROM wf.validate('main') WHERE severity = 'error' AND message NOT LIKE '%reached%' ORDER BY 1, 2",
        &[
            "step \"one\" | a name in take is empty",
            "step \"one\" | there is an otherwise, and there are no outcomes",
            "step \"one\" | workflow is empty",
            "step \"two\" | a sub_workflow is automatic and has no participant",
            "step \"two\" | an outcome is called \"otherwise\"",
            "step \"two\" | outcome \"x\" stands twice",
        ],
    );
}
