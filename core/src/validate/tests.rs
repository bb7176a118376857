//! Every finding, on the smallest document that shows it.

mod companions;
mod events;
mod explore;
mod flow;
mod forks;
mod heads;
mod links;
mod soundness;
mod uses;

use serde_json::{Value, json};

use super::*;
use crate::document::Document;
use crate::finding::Severity;
use crate::program::Roles;

fn compile(document: &Value) -> Program {
    let document = Document::parse(&document.to_string())
        .unwrap_or_else(|e| panic!("{e}\n{}", e.detail.as_deref().unwrap_or_default()));
    Program::compile(document, Roles::default())
}

/// A sound workflow of these steps and a finish, all in one phase; steps without a description get one.
fn workflow(steps: Value) -> Value {
    let Value::Array(mut steps) = steps else {
        panic!("not a list")
    };
    for step in &mut steps {
        if step.get("description").is_none() {
            step["description"] = "A step".into();
        }
    }
    json!({
        "format": 1, "name": "w", "subject": "invoice",
        "phases": [{"name": "p", "steps": steps}]
    })
}

/// A finish step of this name.
fn finish(name: &str) -> Value {
    json!({"name": name, "kind": "finish"})
}

/// A note that leads to a step.
fn note(name: &str, next: &str) -> Value {
    json!({"name": name, "kind": "note", "text": "x", "next": next})
}

/// A task for somebody that leads to a step.
fn task(name: &str, next: &str) -> Value {
    json!({"name": name, "kind": "task", "participant": "p", "due": {"days": 1}, "next": next})
}

/// A question whose answers lead to these steps.
fn question(name: &str, answers: &[(&str, &str)]) -> Value {
    let options: Vec<Value> = answers
        .iter()
        .map(|(name, next)| json!({"name": name, "next": next}))
        .collect();
    json!({"name": name, "kind": "question", "participant": "p", "options": options})
}

/// The findings as `error|place|message`.
fn found(document: &Value) -> Vec<String> {
    let findings = validate(&compile(document));
    for finding in &findings.0 {
        assert!(finding.hint.ends_with(['.', '?']), "{finding:?}");
        assert!(!finding.message.ends_with('.'), "{finding:?}");
    }
    assert_eq!(
        findings.has_errors(),
        findings.0.iter().any(|f| f.severity == Severity::Error)
    );
    findings
        .0
        .iter()
        .map(|f| format!("{}|{}|{}", f.severity, f.place, f.message))
        .collect()
}

#[track_caller]
fn assert_found(document: &Value, expected: &[&str]) {
    assert_eq!(found(document), expected);
}

/// The examples, to be changed by a test.
fn scope_10() -> Value {
    serde_json::from_str(include_str!("../../../examples/scope-10.json")).unwrap()
}

fn dunning() -> Value {
    serde_json::from_str(include_str!("../../../examples/dunning.json")).unwrap()
}

/// A step of a document by name.
fn step<'d>(document: &'d mut Value, name: &str) -> &'d mut Value {
    document["phases"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .flat_map(|phase| phase["steps"].as_array_mut().unwrap())
        .find(|step| step["name"] == name)
        .unwrap()
}

#[test]
fn the_examples_are_sound() {
    assert_found(&scope_10(), &[]);
    assert_found(&dunning(), &[]);
    assert_found(&workflow(json!([finish("f")])), &[]);
}

#[test]
fn s23_all_findings_come_at_once() {
    let mut document = scope_10();
    step(&mut document, "follow_up")["participant"] = Value::Null;
    step(&mut document, "b_task")["due"] = Value::Null;
    step(&mut document, "c_note")["participant"] = "back_office".into();
    step(&mut document, "a_done_note")["next"] = "a_finsh".into();
    document["stop"][0]["reason"] = "".into();
    assert_found(
        &document,
        &[
            "error|stop rule 1|the reason is empty",
            "error|step \"follow_up\"|a task needs a participant",
            "error|step \"b_task\"|a task needs a date",
            "error|step \"c_note\"|a note is automatic and has no participant",
            "error|step \"a_done_note\"|next leads to \"a_finsh\", which is no step",
            "error|step \"a_finish\"|the step can never be reached",
        ],
    );
}
