//! Content and structure. Content is what people read: it may change under a running case, which goes on with the new
//! words. Everything else is structure: where tokens go, when, what conditions ask, who may work on what. A running
//! case keeps the structure it has, until somebody migrates it.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is content, and the one place that says so: the paths in a document. `*` stands for one name or number, `**`
/// for any number of them, none included. A field that is not listed is structure, so that a new one is safe as it is.
const CONTENT: &[&[&str]] = &[
    // The workflow is the same under another name; a rename has been made before this.
    &["name"],
    &["title"],
    &["description"],
    &["category"],
    &["author"],
    &["related"],
    &["templates", "**"],
    &["phases", "*", "steps", "*", "description"],
    // A note's text.
    &["phases", "*", "steps", "*", "text"],
    // What people read of an outcome or an answer; its name is structure.
    &["phases", "*", "steps", "*", "**", "label"],
];

/// Where a text stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The workflow's own fields.
    Workflow,
    /// A template, by name.
    Template(String),
    /// A step, by name.
    Step(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Workflow => f.write_str("workflow"),
            Place::Template(name) => write!(f, "template \"{name}\""),
            Place::Step(name) => write!(f, "step \"{name}\""),
        }
    }
}

/// One text that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub place: Place,
    /// The field at that place, such as `body` or `locales.nl.body`; empty for a whole template.
    pub field: String,
    /// As it was; None: it was not there. What is no text comes as JSON.
    pub before: Option<String>,
    /// As it is now; None: it is gone.
    pub after: Option<String>,
}

/// What differs between two documents, if that is content only; None if their structures differ.
pub fn changes(before: &Value, after: &Value) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    compare(
        &mut Vec::new(),
        Some(before),
        Some(after),
        after,
        &mut changes,
    )
    .then_some(changes)
}

/// Whether two values at a path have the same structure; what differs in their content is added to `changes`.
fn compare(
    path: &mut Vec<String>,
    before: Option<&Value>,
    after: Option<&Value>,
    document: &Value,
    changes: &mut Vec<Change>,
) -> bool {
    if before == after {
        return true;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let fields: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            fields.into_iter().all(|field| {
                path.push(field.clone());
                let same = compare(path, old.get(field), new.get(field), document, changes);
                path.pop();
                same
            })
        }
        (Some(Value::Array(old)), Some(Value::Array(new)))
            if old.len() == new.len() && !is_content(path) =>
        {
            (0..old.len()).all(|index| {
                path.push(index.to_string());
                let same = compare(path, old.get(index), new.get(index), document, changes);
                path.pop();
                same
            })
        }
        _ if is_content(path) => {
            let (place, field) = place(path, document);
            changes.push(Change {
                place,
                field,
                before: before.map(text),
                after: after.map(text),
            });
            true
        }
        _ => false,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_content(path: &[String]) -> bool {
    CONTENT.iter().any(|pattern| matches(pattern, path))
}

fn matches(pattern: &[&str], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), None) => matches(rest, path),
        (Some((&"**", rest)), Some((_, deeper))) => matches(rest, path) || matches(pattern, deeper),
        (Some((name, rest)), Some((field, deeper))) => {
            (*name == "*" || name == field) && matches(rest, deeper)
        }
        (None, Some(_)) | (Some(_), None) => false,
    }
}

/// Where a path leads, as a person would say it.
fn place(path: &[String], document: &Value) -> (Place, String) {
    match path {
        [first, name, rest @ ..] if first == "templates" => {
            (Place::Template(name.clone()), rest.join("."))
        }
        [first, phase, second, step, rest @ ..] if first == "phases" && second == "steps" => {
            let name = document.pointer(&format!("/phases/{phase}/steps/{step}/name"));
            let name = name.and_then(Value::as_str).unwrap_or_default();
            (Place::Step(name.to_owned()), rest.join("."))
        }
        _ => (Place::Workflow, path.join(".")),
    }
}
