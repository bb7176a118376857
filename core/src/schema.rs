//! The JSON Schema of a document, generated from the types that read it, so that the two cannot differ.
//!
//! It says what `Document::parse` accepts: fields, their types, the kinds of steps. What makes a workflow sound is
//! for `validate`.
//!
//! Two keywords of our own say what a text names, for programs that change documents (`edit` is one). `x-step`: a step,
//! to which the field `leads-to`, or to which its own step `belongs-to`, or from which a date counts (`anchor`, as
//! `step.<name>`). `x-outcome`: the outcome whose leg the field is.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::document::{Common, FORMAT, Head, MAX_STEPS};
use crate::kinds::{Entry, KINDS};

/// Where definitions stand in the schema.
const DEFINITIONS: &str = "$defs";

/// The JSON Schema (draft 2020-12) of a workflow document.
#[must_use]
pub fn document_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut document = object(Head::json_schema(&mut generator));
    let common = object(Common::json_schema(&mut generator));
    let kinds: Vec<(String, Value)> = KINDS
        .iter()
        .map(|entry| {
            let step = step_schema(entry, &common, &mut generator);
            (format!("Step_{}", entry.name), Value::Object(step))
        })
        .collect();
    let mut definitions = generator.take_definitions(true);
    let choices: Vec<Value> = kinds
        .iter()
        .map(|(name, _)| json!({ "$ref": format!("#/{DEFINITIONS}/{name}") }))
        .collect();
    definitions.insert("Phase".to_owned(), phase_schema());
    definitions.insert(
        "Step".to_owned(),
        json!({ "description": "A step: one of the kinds.", "oneOf": choices }),
    );
    definitions.extend(kinds);

    set_property(&mut document, "format", "const", json!(FORMAT));
    set_property(&mut document, "name", "minLength", json!(1));
    let phases = json!({
        "type": "array",
        "items": { "$ref": format!("#/{DEFINITIONS}/Phase") },
        "description": format!("The steps, grouped; at most {MAX_STEPS} in all. A case begins at the first one."),
    });
    add_property(&mut document, "phases", phases);
    add_required(&mut document, "phases");
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    schema.insert("title".to_owned(), "Workflow".into());
    schema.insert(
        "description".to_owned(),
        "A workflow of workflow_engine.".into(),
    );
    document.shift_remove("title");
    document.shift_remove("description");
    document.shift_remove("$schema");
    schema.extend(document);
    schema.insert(DEFINITIONS.to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

/// A step of one kind: the fields of all steps, and those of the kind.
fn step_schema(
    entry: &Entry,
    common: &Map<String, Value>,
    generator: &mut SchemaGenerator,
) -> Map<String, Value> {
    let own = object(entry.schema(generator));
    let mut step = common.clone();
    step.insert("title".to_owned(), entry.name.into());
    match own.get("description") {
        Some(text) => step.insert("description".to_owned(), text.clone()),
        None => step.shift_remove("description"),
    };
    set_property(&mut step, "kind", "const", entry.name.into());
    if let Some(Value::Object(fields)) = own.get("properties") {
        for (name, field) in fields {
            add_property(&mut step, name, field.clone());
        }
    }
    if let Some(Value::Array(names)) = own.get("required") {
        for name in names.iter().filter_map(Value::as_str) {
            add_required(&mut step, name);
        }
    }
    step.insert("additionalProperties".to_owned(), false.into());
    step
}

fn phase_schema() -> Value {
    json!({
        "type": "object",
        "description": "A named group of steps.",
        "properties": {
            "name": { "type": "string", "minLength": 1, "description": "Unique in the workflow." },
            "steps": {
                "type": "array",
                "items": { "$ref": format!("#/{DEFINITIONS}/Step") },
                "description": "The steps in order: each one is followed by the next, unless it says otherwise.",
            },
        },
        "required": ["name", "steps"],
        "additionalProperties": false,
    })
}

/// The keywords of a schema; a schema that is just `true` has none.
fn object(schema: Schema) -> Map<String, Value> {
    match schema.to_value() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn properties(schema: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    properties.as_object_mut()
}

fn add_property(schema: &mut Map<String, Value>, name: &str, property: Value) {
    if let Some(properties) = properties(schema) {
        properties.insert(name.to_owned(), property);
    }
}

fn set_property(schema: &mut Map<String, Value>, name: &str, keyword: &str, value: Value) {
    let property = properties(schema).and_then(|p| p.get_mut(name));
    if let Some(Value::Object(property)) = property {
        property.insert(keyword.to_owned(), value);
    }
}

fn add_required(schema: &mut Map<String, Value>, name: &str) {
    let required = schema.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        required.push(name.into());
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::*;
    use crate::document::Document;

    const EXAMPLES: [&str; 2] = [
        include_str!("../../examples/scope-10.json"),
        include_str!("../../examples/dunning.json"),
    ];

    fn validator() -> Validator {
        jsonschema::draft202012::new(&document_schema()).unwrap()
    }

    /// A document of one step.
    fn of_step(step: Value) -> Value {
        json!({"format": 1, "name": "w", "subject": "s", "phases": [{"name": "p", "steps": [step]}]})
    }

    #[test]
    fn the_examples_fit_the_schema() {
        assert!(jsonschema::meta::is_valid(&document_schema()));
        let validator = validator();
        for text in EXAMPLES {
            let document = serde_json::from_str(text).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&document)
                .map(|e| format!("{}: {e}", e.instance_path()))
                .collect();
            assert_eq!(errors, Vec::<String>::new());
        }
    }

    #[test]
    fn the_schema_and_the_reader_agree() {
        let validator = validator();
        let mut document: Value = serde_json::from_str(EXAMPLES[0]).unwrap();
        let mut wrong = vec![
            of_step(json!({"name": "a", "kind": "email"})),
            of_step(json!({"name": "a", "kind": "nix"})),
            of_step(json!({"name": "a"})),
            of_step(json!({"kind": "finish"})),
            of_step(json!({"name": "a", "kind": "finish", "colour": "red"})),
            of_step(json!({"name": "a", "kind": "finish", "template": "t"})),
            of_step(json!({"name": "a", "kind": "wait", "on": {"days": "3"}})),
            of_step(json!({"name": "a", "kind": "wait", "on": {"anchor": "yesterday"}})),
            of_step(json!({"name": "a", "kind": "wait", "on": {"time": "25:00"}})),
            of_step(json!({"name": "a", "kind": "email", "template": "t", "done_when": "read"})),
            of_step(json!({"name": "a", "kind": "repeat", "back_to": "a", "exhausted": "b"})),
            of_step(json!({"name": "a", "kind": "question", "options": [{"next": "b"}]})),
            of_step(json!(1)),
            json!([]),
            json!({}),
        ];
        for (field, value) in [
            ("format", json!(2)),
            ("name", json!("")),
            ("colour", json!("red")),
            ("phases", json!({})),
            ("phases", json!([{"name": "p"}])),
            (
                "phases",
                json!([{"name": "p", "steps": [], "colour": "red"}]),
            ),
            ("roll", json!("forward")),
            (
                "contact_window",
                json!({"days": "mon-fri", "from": "8", "to": "20:00"}),
            ),
            ("start", json!({"on": {}})),
            ("stop", json!([{"when": "true"}])),
            ("templates", json!({"t": {"subject": "s"}})),
        ] {
            let before = document[field].take();
            document[field] = value;
            wrong.push(document.clone());
            if before.is_null() {
                document.as_object_mut().unwrap().shift_remove(field);
            } else {
                document[field] = before;
            }
        }
        for document in wrong {
            assert!(
                Document::parse(&document.to_string()).is_err(),
                "read: {document}"
            );
            assert!(!validator.is_valid(&document), "fits: {document}");
        }
        let right = [
            of_step(json!({"name": "a", "kind": "finish"})),
            of_step(json!({"name": "a", "kind": "finish", "description": null, "on": null})),
            of_step(
                json!({"name": "a", "kind": "wait", "on": {"anchor": "subject.due date", "days": -3, "time": "09:30"}}),
            ),
            of_step(json!({"name": "a", "kind": "update", "set": {"x": "1"}, "merge": true})),
            json!({"format": 1, "name": "w", "subject": "s", "phases": []}),
        ];
        for document in right {
            Document::parse(&document.to_string()).unwrap();
            assert!(validator.is_valid(&document), "does not fit: {document}");
        }
    }

    #[test]
    fn every_kind_and_every_field_is_described() {
        let schema = document_schema();
        let definitions = schema["$defs"].as_object().unwrap();
        for entry in KINDS {
            let step = &definitions[&format!("Step_{}", entry.name)];
            assert_eq!(step["properties"]["kind"]["const"], entry.name);
            assert_eq!(step["additionalProperties"], false);
            assert!(step["description"].is_string(), "{}", entry.name);
            for field in [
                "name",
                "kind",
                "description",
                "on",
                "due",
                "participant",
                "second",
                "links",
                "escalate",
                "notify",
                "when",
                "next",
                "merge",
            ] {
                assert!(
                    step["properties"][field].is_object(),
                    "{}.{field}",
                    entry.name
                );
            }
        }
        let choices = definitions["Step"]["oneOf"].as_array().unwrap();
        assert_eq!(choices.len(), KINDS.len());
        let head = [("document", &schema)];
        let objects = definitions.iter().map(|(name, d)| (name.as_str(), d));
        for (name, definition) in objects.chain(head) {
            let Some(fields) = definition["properties"].as_object() else {
                continue;
            };
            for (field, schema) in fields {
                let described = schema["description"].is_string() || schema["$ref"].is_string();
                assert!(described, "{name}.{field}: {schema}");
            }
        }
    }
}
