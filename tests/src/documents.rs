//! Workflow documents: the two examples, and small ones made for one test.

use serde_json::{Value, json};

/// The example with reminders at 30, 60 and 90 days.
pub const DUNNING: &str = include_str!("../../examples/dunning.json");

/// The example of the insurance office.
pub const SCOPE_10: &str = include_str!("../../examples/scope-10.json");

const STEPS: &str = include_str!("../../docs/steps.md");

/// The examples of the page on steps: the kind, which is the heading, and the steps.
pub fn step_examples() -> Vec<(String, Value)> {
    let sections = STEPS.split("\n### ").skip(1);
    let example = |section: &str| {
        let kind = section.lines().next().expect("a heading");
        let (_, rest) = section.split_once("```json\n").expect("an example");
        let (text, _) = rest.split_once("\n```").expect("its end");
        let steps = serde_json::from_str(text).unwrap_or_else(|e| panic!("{kind}: {e}"));
        (kind.to_owned(), steps)
    };
    sections.map(example).collect()
}

/// A document as JSON.
pub fn document(text: &str) -> Value {
    serde_json::from_str(text).expect("the examples are JSON")
}

/// A document changed in place.
#[must_use]
pub fn edited(mut document: Value, edit: impl FnOnce(&mut Value)) -> Value {
    edit(&mut document);
    document
}

/// The step of this name in a document.
pub fn step_of<'a>(document: &'a mut Value, name: &str) -> &'a mut Value {
    document["phases"]
        .as_array_mut()
        .expect("a document has phases")
        .iter_mut()
        .flat_map(|phase| phase["steps"].as_array_mut().expect("a phase has steps"))
        .find(|step| step["name"] == name)
        .unwrap_or_else(|| panic!("no step {name}"))
}

/// A workflow on invoices with one phase: started by hand, no contact window, with a template `hello`. A finish step
/// is added, and a description for each step that has none.
#[must_use]
pub fn invoice_workflow(name: &str, steps: Value) -> Value {
    let Value::Array(mut steps) = steps else {
        panic!("steps are an array")
    };
    if steps.last().is_none_or(|step| step["kind"] != "finish") {
        steps.push(json!({"name": "end", "kind": "finish"}));
    }
    for step in &mut steps {
        if step.get("description").is_none() {
            step["description"] = format!("Step {}", step["name"].as_str().unwrap_or("?")).into();
        }
    }
    json!({
        "format": 1,
        "name": name,
        "title": format!("Workflow {name}"),
        "description": "Made for a test.",
        "subject": "invoice",
        "time_zone": "Europe/Amsterdam",
        "calendar": "TARGET",
        "roll": "following",
        "phases": [{"name": "all", "steps": steps}],
        "templates": {"hello": {"subject": "About {{ number }}", "body": "Invoice {{ number }}, {{ open_amount }} open."}}
    })
}
