//! Where a step names another one, and which fields its outcomes stand in: read from the JSON Schema of its kind, so
//! that a new kind needs nothing here.

use std::sync::OnceLock;

use serde_json::Value;

use super::Fields;
use super::draft::text;
use crate::schema::document_schema;

/// How a text names a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// A token goes there.
    LeadsTo,
    /// What names it means nothing without it.
    BelongsTo,
    /// A date counts from it.
    Anchor,
}

/// What is done with each name of a step that is found: how it names it, the field, the name; a new name, or None.
pub(super) type Visit<'a> = dyn FnMut(Names, &str, &str) -> Option<String> + 'a;

/// The prefix of anchors that name a step.
const STEP: &str = "step.";

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(document_schema)
}

fn definition(name: &str) -> &'static Value {
    &schema()["$defs"][name]
}

fn of_kind(kind: &str) -> &'static Value {
    definition(&format!("Step_{kind}"))
}

/// Follows a reference to a definition.
fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str().and_then(|r| r.rsplit('/').next()) {
        Some(name) => definition(name),
        None => schema,
    }
}

/// Visits every name of a step in a step.
pub(super) fn in_step(step: &mut Fields, visit: &mut Visit<'_>) {
    let schema = of_kind(text(step, "kind"));
    in_object(schema, step, "", visit);
}

/// Visits every name of a step in the fields of the workflow itself.
pub(super) fn in_head(head: &mut Fields, visit: &mut Visit<'_>) {
    in_object(schema(), head, "", visit);
}

fn in_object(schema: &'static Value, object: &mut Fields, path: &str, visit: &mut Visit<'_>) {
    for (name, value) in object.iter_mut() {
        let field = match path {
            "" => name.clone(),
            path => format!("{path}.{name}"),
        };
        let known = &schema["properties"][name];
        let known = match known.is_null() {
            true => &schema["additionalProperties"],
            false => known,
        };
        in_value(known, value, &field, visit);
    }
}

fn in_value(schema: &'static Value, value: &mut Value, path: &str, visit: &mut Visit<'_>) {
    let schema = resolved(schema);
    let names = match schema["x-step"].as_str() {
        Some("leads-to") => Some(Names::LeadsTo),
        Some("belongs-to") => Some(Names::BelongsTo),
        Some("anchor") => Some(Names::Anchor),
        _ => None,
    };
    // What may be null is a choice of schemas.
    for choice in schema["anyOf"].as_array().into_iter().flatten() {
        in_value(choice, value, path, visit);
    }
    match (names, value) {
        (Some(names), Value::String(name)) => in_text(names, name, path, visit),
        (Some(names), Value::Array(list)) => {
            for (i, item) in list.iter_mut().enumerate() {
                if let Value::String(name) = item {
                    in_text(names, name, &format!("{path}[{i}]"), visit);
                }
            }
        }
        (None, Value::Object(object)) => in_object(schema, object, path, visit),
        (None, Value::Array(list)) => {
            for (i, item) in list.iter_mut().enumerate() {
                in_value(&schema["items"], item, &format!("{path}[{i}]"), visit);
            }
        }
        _ => {}
    }
}

fn in_text(names: Names, text: &mut String, path: &str, visit: &mut Visit<'_>) {
    let prefix = match names {
        Names::Anchor => STEP,
        Names::LeadsTo | Names::BelongsTo => "",
    };
    let Some(name) = text.strip_prefix(prefix) else {
        return;
    };
    if let Some(new) = visit(names, path, name) {
        *text = format!("{prefix}{new}");
    }
}

/// The field of a kind that holds the target of an outcome.
pub(super) fn field_of_outcome(kind: &str, outcome: &str) -> Option<&'static str> {
    fields(kind).find_map(|(name, schema)| (schema["x-outcome"] == outcome).then_some(name))
}

/// The field of a kind that lists outcomes, each with its name and where it leads; and whether they have conditions.
pub(super) fn list_of_outcomes(kind: &str) -> Option<(&'static str, bool)> {
    fields(kind).find_map(|(name, schema)| {
        let item = &resolved(&schema["items"])["properties"];
        let leads = item["name"].is_object() && item["next"]["x-step"] == "leads-to";
        leads.then(|| (name, item["when"].is_object()))
    })
}

/// The field of a kind that lists the steps it leads to by their names alone.
pub(super) fn list_of_steps(kind: &str) -> Option<&'static str> {
    fields(kind).find_map(|(name, schema)| {
        (schema["type"] == "array" && schema["x-step"] == "leads-to").then_some(name)
    })
}

fn fields(kind: &str) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let fields = of_kind(kind)["properties"].as_object();
    fields
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
}
