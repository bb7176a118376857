//! Steps and phases that go on only while a condition holds.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

use super::{CANCELLED, CASE, NONE, OPEN, TASKS, task};

fn with_milestones(milestones: Value, steps: Value) -> Value {
    let mut document = invoice_workflow("flow", steps);
    document["milestones"] = milestones;
    document
}

fn started(document: &Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(document);
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    db.run_due();
    db
}

/// A call while much is open; then, or once it is little, a note.
fn call_while_large() -> Value {
    with_milestones(
        json!([{"while": "open_amount > 100 AND coalesce(vars ->> 'sick', '') = ''", "step": "ring", "otherwise": "small",
                "reason": "little is open"}]),
        json!([
            task("before", "ring"), task("ring", "end"),
            {"name": "small", "kind": "note", "text": "small", "next": "end"},
            {"name": "end", "kind": "finish"}
        ]),
    )
}

#[test]
fn milestone_step_is_withdrawn_when_its_condition_ceases_to_hold() {
    let mut db = started(&call_while_large());
    db.settle("before", None);
    db.expect(TASKS, &["ring"]);
    db.exec("UPDATE invoice SET open_amount = 500");
    db.run_due();
    db.expect(TASKS, &["ring"]);
    db.exec("UPDATE invoice SET open_amount = 50");
    db.run_due();
    db.expect(TASKS, NONE);
    db.expect(CANCELLED, &["ring | no longer | little is open"]);
    db.expect("SELECT body FROM wf.notes", &["small"]);
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn milestone_is_looked_at_when_the_case_comes_there_and_when_vars_change() {
    let mut db = started(&call_while_large());
    db.exec("UPDATE invoice SET open_amount = 50");
    db.run_due();
    // It is about the step, not about those before it.
    db.expect(TASKS, &["before"]);
    db.settle("before", None);
    db.expect(CANCELLED, &["ring | no longer | little is open"]);
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE event = 'task_opened'",
        &["0"],
    );
    db.expect(CASE, &["completed | completed"]);

    let mut document = call_while_large();
    let steps = document["phases"][0]["steps"]
        .as_array_mut()
        .expect("steps");
    steps.insert(0, json!({"name": "both", "kind": "parallel", "description": "x", "branches": ["before", "health"]}));
    steps.insert(1, json!({"name": "health", "kind": "task", "description": "x", "participant": "clerk", "due": {"days": 1}, "next": "met"}));
    let join =
        json!({"name": "met", "kind": "join", "of": "both", "description": "x", "next": "end"});
    steps.push(join);
    for step in steps.iter_mut() {
        if ["ring", "small"].contains(&step["name"].as_str().expect("name")) {
            step["next"] = "met".into();
        }
    }
    let mut db = started(&document);
    db.settle("before", None);
    db.expect(TASKS, &["health", "ring"]);
    let task = db.task("health");
    db.exec(&format!(
        "SELECT wf.complete(task_id => {task}, data => '{{\"sick\": \"yes\"}}')"
    ));
    // In the same call.
    db.expect(TASKS, NONE);
    db.run_due();
    db.expect("SELECT body FROM wf.notes", &["small"]);
    db.expect(CASE, &["completed | completed"]);
}

/// A phase with two branches side by side, and a mail after them.
fn reminders(otherwise: &str) -> Value {
    let mut document = with_milestones(
        json!([{"while": "state = 'posted'", "phase": "remind", "otherwise": otherwise}]),
        json!([
            {"name": "both", "kind": "parallel", "branches": ["mail", "ring"]},
            {"name": "mail", "kind": "email", "template": "hello", "next": "met"},
            task("ring", "met"),
            {"name": "met", "kind": "join", "of": "both"},
            {"name": "again", "kind": "email", "template": "hello", "on": {"anchor": "subject.due_date", "days": 30}, "next": "end"},
            {"name": "settled", "kind": "note", "text": "{{ state }}"},
            {"name": "end", "kind": "finish"}
        ]),
    );
    let mut steps = document["phases"][0]["steps"].take();
    let rest = steps.as_array_mut().map(|steps| steps.split_off(5));
    document["phases"] =
        json!([{"name": "remind", "steps": steps}, {"name": "after", "steps": rest}]);
    document
}

#[test]
fn milestone_of_a_phase_withdraws_all_branches_and_one_token_goes_on() {
    let mut db = started(&reminders("settled"));
    db.expect(TASKS, &["ring"]);
    db.exec("UPDATE invoice SET state = 'disputed'");
    db.run_due();
    db.expect(
        CANCELLED,
        &[
            "mail | no longer | no longer holds: state = 'posted'",
            "ring | no longer | no longer holds: state = 'posted'",
        ],
    );
    db.expect(
        "SELECT state, reason FROM probe.outbox()",
        &["suppressed | no longer holds: state = 'posted'"],
    );
    db.expect("SELECT body FROM wf.notes", &["disputed"]);
    db.expect(CASE, &["completed | completed"]);
    // One branch has come to the join already.
    let mut db = started(&reminders("settled"));
    db.settle("ring", None);
    db.expect(OPEN, &["mail | sending", "met | joining"]);
    db.exec("UPDATE invoice SET state = 'disputed'");
    db.run_due();
    db.expect("SELECT body FROM wf.notes", &["disputed"]);
    // What waits for its date, too; on hold, what follows waits.
    let mut db = started(&reminders("settled"));
    db.settle("ring", None);
    db.send();
    db.expect(OPEN, &["again | scheduled"]);
    db.exec("SELECT wf.hold(1)");
    db.exec("UPDATE invoice SET state = 'disputed'");
    db.run_due();
    db.expect(OPEN, &["settled | held"]);
    db.exec("SELECT wf.release(1)");
    db.run_due();
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn milestone_beside_others_withdraws_them_too() {
    let mut db = started(&with_milestones(
        json!([{"while": "open_amount > 100", "step": "ring", "otherwise": "small"}]),
        json!([
            {"name": "first", "kind": "first_of", "branches": ["ring", "signal"]},
            task("ring", "end"),
            {"name": "signal", "kind": "event", "signal": "in", "next": "end"},
            {"name": "small", "kind": "note", "text": "small", "next": "end"},
            {"name": "end", "kind": "finish"}
        ]),
    ));
    db.expect(OPEN, &["ring | open", "signal | waiting"]);
    db.exec("UPDATE invoice SET open_amount = 1");
    db.run_due();
    db.expect("SELECT body FROM wf.notes", &["small"]);
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn milestone_that_leads_out_of_a_branch_or_nowhere_is_refused() {
    let mut db = TestDb::new();
    db.bind_invoice();
    let mut findings = |document: &Value| {
        db.define(document);
        db.lines(
            "SELECT place, message FROM wf.validate('flow') WHERE severity = 'error' ORDER BY 1, 2",
        )
    };
    let mut document = reminders("settled");
    document["milestones"] = json!([{"while": "true", "step": "ring", "otherwise": "settled"}]);
    assert_eq!(
        findings(&document),
        [
            "step \"settled\" | its next \"end\" lies behind the join \"met\", so the branch leaves its join out"
        ]
    );
    document["milestones"] = json!([
        {"while": " ", "phase": "remind", "otherwise": "ring"},
        {"while": "true", "otherwise": "end"},
        {"while": "nix", "step": "rang", "otherwise": "ends", "reason": ""},
        {"while": "true", "phase": "reminds", "otherwise": "end"}
    ]);
    let mut found = findings(&document);
    found.retain(|finding| finding.starts_with("milestone"));
    assert_eq!(
        found,
        [
            "milestone 1 | step \"ring\", to which the case goes, is one that the milestone is about",
            "milestone 1 | the condition is empty",
            "milestone 2 | it has to be about a step or about a phase",
            "milestone 3 | column \"nix\" does not exist in \"nix\"",
            "milestone 3 | it is about step \"rang\", which is no step",
            "milestone 3 | otherwise names \"ends\", which is no step",
            "milestone 3 | reason is empty",
            "milestone 4 | it is about phase \"reminds\", which is no phase",
        ]
    );
}

#[test]
fn milestone_follows_the_names_of_steps_and_phases() {
    let mut db = TestDb::new();
    db.bind_invoice();
    let mut document = reminders("settled");
    document["milestones"] = json!([
        {"while": "state = 'posted'", "phase": "remind", "otherwise": "settled"},
        {"while": "true", "step": "again", "otherwise": "end"}
    ]);
    db.define(&document);
    db.exec("SELECT wf.rename_phase('flow', 'remind', 'reminders')");
    db.exec("SELECT wf.set_step('flow', 'settled', '{\"name\": \"closed\"}')");
    db.exec("SELECT wf.set_step('flow', 'again', '{\"name\": \"once more\"}')");
    db.expect(
        "SELECT m ->> 'phase', m ->> 'step', m ->> 'otherwise' FROM json_array_elements(wf.export('flow')::json -> 'milestones') AS m",
        &["reminders | null | closed", "null | once more | end"],
    );
    db.expect(
        "SELECT * FROM wf.validate('flow') WHERE severity = 'error'",
        NONE,
    );
    db.expect_error(
        "SELECT wf.remove_step('flow', 'closed')",
        "55000",
        &["closed", "milestones"],
    );
}
