//! What each edit makes of a document, and what it refuses.

mod building;
mod buttons;
mod links;
mod names;
mod random;
mod removing;

use serde_json::{Value, json};

use super::*;

const DUNNING: &str = include_str!("../../../../examples/dunning.json");
const SCOPE_10: &str = include_str!("../../../../examples/scope-10.json");

/// A document of one phase with these steps.
fn of_steps(steps: Value) -> String {
    json!({"format": 1, "name": "w", "subject": "s", "phases": [{"name": "p", "steps": steps}]})
        .to_string()
}

/// Three notes and a finish.
fn line() -> String {
    of_steps(json!([
        {"name": "a", "kind": "note", "text": "a"},
        {"name": "b", "kind": "note", "text": "b"},
        {"name": "c", "kind": "note", "text": "c"},
        {"name": "end", "kind": "finish"},
    ]))
}

fn object(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}

#[track_caller]
fn done(text: &str, edit: Edit<'_>) -> Edited {
    apply(text, edit.clone()).unwrap_or_else(|error| panic!("{edit:?}: {error:?}"))
}

/// A refusal, which always says what to do.
#[track_caller]
fn refused(text: &str, edit: Edit<'_>, code: ErrorCode, message: &str, hint: &str) {
    let error = apply(text, edit.clone()).expect_err("refused");
    assert_eq!(error.code, code, "{error:?}");
    assert_eq!(error.message, message);
    let given = error.hint.unwrap_or_default();
    assert!(given.contains(hint) && !given.is_empty(), "hint: {given}");
}

/// The steps of a document with what each leads to: `a>b` for each leg, in the order of the document.
fn flow(text: &str) -> Vec<String> {
    let program = compile(text).expect("a document");
    let leads = |step: &crate::program::CompiledStep| {
        let to = step.legs.iter().map(|leg| {
            let target = leg.target.map_or("?", |no| program.step_name(no));
            target.to_owned()
        });
        format!("{}>{}", step.name, to.collect::<Vec<_>>().join(","))
    };
    program.steps.iter().map(leads).collect()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn remove(step: &str) -> Edit<'_> {
    Edit::RemoveStep {
        step,
        instead: None,
    }
}

fn set(step: &str, fields: Value) -> Edit<'_> {
    Edit::SetStep {
        step,
        fields: object(fields),
    }
}

fn after(step: &str) -> Place<'_> {
    Place {
        after: Some(step),
        before: None,
    }
}

fn before(step: &str) -> Place<'_> {
    Place {
        after: None,
        before: Some(step),
    }
}

fn add<'a>(step: &'a str, kind: &'a str, fields: Value, place: Place<'a>) -> Edit<'a> {
    Edit::AddStep {
        step,
        kind,
        fields: object(fields),
        phase: None,
        place,
    }
}

fn link<'a>(from: &'a str, to: &'a str, outcome: Option<&'a str>) -> Edit<'a> {
    Edit::AddTransition {
        from,
        to,
        outcome,
        condition: None,
    }
}
