//! Sections, in which one case is at a time.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

use super::{NONE, TASKS, task};

fn visit(name: &str, per: &str) -> Value {
    let mut document = invoice_workflow(
        name,
        json!([task(&format!("{name} talks"), &format!("{name} writes")), task(&format!("{name} writes"), &format!("{name} rests")),
               task(&format!("{name} rests"), "end"), {"name": "end", "kind": "finish"}]),
    );
    document["sections"] = json!([{"name": "desk", "per": per, "steps": [format!("{name} talks"), format!("{name} writes")]}]);
    document
}

/// Workflows a, b and c share a section; a case of each about invoice 1, in this order.
fn three() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.invoice(1, "2026-04-01", "1000");
    for name in ["a", "b", "c"] {
        db.install(&visit(name, "subject"));
        db.start(name, 1);
        db.run_due();
    }
    db
}

#[test]
fn section_has_one_case_at_a_time_and_the_others_come_in_in_order() {
    let mut db = three();
    db.expect(TASKS, &["a talks"]);
    db.expect(
        "SELECT step, state FROM probe.open()",
        &["a talks | open", "b talks | waiting", "c talks | waiting"],
    );
    db.expect(
        "SELECT fact FROM wf.explain(2) WHERE subject = 'step \"b talks\"' LIMIT 1",
        &["waits until no other case is in section \"desk\""],
    );
    // From step to step it stays inside; another row has a desk of its own.
    db.settle("a talks", None);
    db.expect(TASKS, &["a writes"]);
    db.invoice(2, "2026-04-01", "1000");
    db.start("b", 2);
    db.run_due();
    db.expect(
        "SELECT case_id, step FROM probe.tasks() ORDER BY 1",
        &["1 | a writes", "4 | b talks"],
    );
    db.exec("SELECT wf.cancel(4)");
    db.settle("a writes", None);
    db.expect(
        "SELECT step FROM probe.tasks() ORDER BY 1",
        &["a rests", "b talks"],
    );
    db.settle("b talks", None);
    db.settle("b writes", None);
    db.expect(
        "SELECT step FROM probe.tasks() ORDER BY 1",
        &["a rests", "b rests", "c talks"],
    );
    db.settle("c talks", None);
    db.settle("c writes", None);
    db.expect("SELECT * FROM wf.section_places", NONE);
    db.expect(
        "SELECT count(*) FROM wf.case_steps WHERE step_no < 0",
        &["0"],
    );
}

#[test]
fn section_is_left_by_cases_that_end_and_those_that_give_up_waiting_are_passed_over() {
    let mut db = three();
    db.exec("SELECT wf.cancel(2)");
    db.run_due();
    db.expect(
        "SELECT case_id, inside FROM wf.section_places ORDER BY place_id",
        &["1 | t", "3 | f"],
    );
    db.exec("SELECT wf.cancel(1, 'paid')");
    db.run_due();
    db.expect(TASKS, &["c talks"]);
    // A step that is left out does not come in.
    db.start("a", 1);
    db.run_due();
    db.exec("SELECT wf.skip(4, 'a talks')");
    db.run_due();
    db.expect(
        "SELECT step, state FROM probe.open() WHERE case_id = 4",
        &["a writes | waiting"],
    );
    db.exec("SELECT wf.skip(4, 'a writes')");
    db.run_due();
    db.expect(
        "SELECT step FROM probe.tasks() ORDER BY 1",
        &["a rests", "c talks"],
    );
    db.expect("SELECT case_id FROM wf.section_places", &["3"]);
}

#[test]
fn section_per_account() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "CREATE TABLE claim (id int PRIMARY KEY, account text);
         SELECT wf.bind_subject('claim', 'public.claim', key => 'id', account => 'account');
         INSERT INTO claim VALUES (1, 'A'), (2, 'A'), (3, 'B'), (4, NULL), (5, NULL)",
    );
    let mut document = visit("a", "account");
    document["subject"] = "claim".into();
    document["templates"] = json!({});
    db.install(&document);
    db.exec("SELECT wf.start_many('a', '{1,2,3,4,5}')");
    db.run_due();
    db.expect(
        "SELECT key FROM wf.worklist ORDER BY key",
        &["1", "3", "4", "5"],
    );
    db.exec("SELECT wf.cancel(1)");
    db.run_due();
    db.expect(
        "SELECT key FROM wf.worklist ORDER BY key",
        &["2", "3", "4", "5"],
    );
}

#[test]
fn section_that_somebody_else_is_looking_at_is_never_waited_for() {
    let mut db = three();
    db.install(&visit("d", "subject"));
    db.start("d", 1);
    db.run_due();
    // Whoever leaves, even from outside, looks at the section until its transaction ends.
    let mut other = db.connect();
    other.exec("BEGIN; SELECT wf.cancel(4)");
    db.exec("SELECT wf.cancel(1)");
    db.start("a", 1);
    db.run_due();
    db.expect(TASKS, NONE);
    db.expect(
        "SELECT case_id, leaving FROM wf.section_places ORDER BY place_id",
        &["1 | t", "2 | f", "3 | f", "4 | f"],
    );
    db.at("2026-03-02 10:00:01");
    db.expect(TASKS, NONE);
    other.exec("COMMIT");
    db.at("2026-03-02 10:00:03");
    db.expect(TASKS, &["b talks"]);
    db.expect(
        "SELECT case_id, inside FROM wf.section_places ORDER BY place_id",
        &["2 | t", "3 | f", "5 | f"],
    );
}

#[test]
fn section_in_which_cases_could_wait_for_each_other_is_refused() {
    let mut db = TestDb::new();
    db.bind_invoice();
    let mut document = invoice_workflow(
        "flow",
        json!([
            {"name": "both", "kind": "parallel", "branches": ["one", "two"]},
            task("one", "met"), task("two", "met"),
            {"name": "met", "kind": "join", "of": "both"},
            {"name": "sub", "kind": "sub_workflow", "workflow": "flow"}
        ]),
    );
    document["sections"] = json!([
        {"name": "desk", "steps": ["one", "met", "sub"], "per": "account"},
        {"name": "room", "steps": ["one", "three"]},
        {"name": "room", "steps": []}
    ]);
    db.define(&document);
    db.expect(
        "SELECT severity, place, message FROM wf.validate('flow') WHERE place LIKE 'section%' ORDER BY 2, 3",
        &[
            "error | section \"desk\" | step \"met\" is a join, which waits for others that may wait for the section",
            "error | section \"desk\" | step \"sub\" is a sub_workflow, which waits for others that may wait for the section",
            "warning | section \"desk\" | the subject names no account column, so that it is one case for each row",
            "error | section \"room\" | \"three\" is no step",
            "error | section \"room\" | it has no steps",
            "error | section \"room\" | step \"one\" lies in another section, too",
            "error | section \"room\" | the name stands twice",
        ],
    );
    document["sections"] = json!([{"name": "desk", "steps": ["one", "two"]}]);
    db.define(&document);
    db.exec("SELECT wf.set_step('flow', 'one', '{\"name\": \"first\"}')");
    db.expect(
        "SELECT wf.export('flow')::json #>> '{sections,0,steps,0}'",
        &["first"],
    );
}
