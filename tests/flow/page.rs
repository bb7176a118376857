//! docs/steps.md: every kind of step has an example, and every example runs.

use workflow_engine_tests::{TestDb, invoice_workflow, step_examples};

use super::NONE;

#[test]
fn every_kind_of_step_has_an_example_that_runs() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.invoice(1, "2026-04-01", "1000");
    for other in ["reminders", "large claims"] {
        db.install(&invoice_workflow(other, serde_json::json!([])));
    }
    let schema: serde_json::Value =
        serde_json::from_str(&db.lines("SELECT wf.document_schema()")[0]).expect("JSON");
    let kinds = schema["$defs"].as_object().expect("definitions").keys();
    let kinds: Vec<&str> = kinds
        .filter_map(|name| name.strip_prefix("Step_"))
        .collect();
    let examples = step_examples();
    let shown: Vec<&str> = examples.iter().map(|(kind, _)| kind.as_str()).collect();
    for kind in kinds {
        assert_eq!(
            shown.iter().filter(|k| **k == kind).count(),
            1,
            "examples of {kind}"
        );
    }
    for (number, (kind, steps)) in examples.into_iter().enumerate() {
        let has = steps
            .as_array()
            .expect("a list")
            .iter()
            .any(|s| s["kind"] == kind.as_str());
        assert!(has, "the example of {kind} is one of something else");
        let name = format!("example {number}");
        let mut document = invoice_workflow(&name, steps.clone());
        document["phases"][0]["steps"] = steps;
        document["money"] = serde_json::json!({"open": "open_amount"});
        db.define(&document);
        let findings =
            format!("SELECT * FROM wf.validate('{name}') WHERE message NOT LIKE '%template%'");
        db.expect(&findings, NONE);
        db.install(&document);
        db.start(&name, 1);
        db.run_due();
    }
    db.expect("SELECT * FROM wf.incidents", NONE);
}
