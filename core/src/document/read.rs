//! Reading the text of a document: strict (unknown fields are refused, with their place) and complete (all structural
//! findings at once). The limits that keep a hostile document from costing much are held here, too.

use serde_json::{Map, Value};

use super::{
    COMMON_FIELDS, Common, Document, FORMAT, Head, MAX_BYTES, MAX_LEGS, MAX_STEPS, Phase, Step,
};
use crate::{Error, ErrorCode, kinds, strict};

impl Document {
    /// Reads a document. Malformed JSON is one error with its position; anything else that cannot be read is one
    /// error whose detail lists every finding.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_BYTES {
            return Err(structural(vec![format!(
                "it has {} bytes; at most {MAX_BYTES} are allowed",
                text.len()
            )]));
        }
        let value: Value = serde_json::from_str(text).map_err(|e| {
            Error::new(
                ErrorCode::Json,
                format!("the document is not valid JSON: {}", strip_position(&e.to_string())),
            )
            .detail(position(&e))
            .hint("Mend the text at that place; wf.document_schema() gives the JSON Schema of a document.")
        })?;
        strict::check(text).map_err(|e| {
            let problem = strip_position(&e.to_string()).to_owned();
            structural(vec![problem]).detail(position(&e))
        })?;
        let Value::Object(mut map) = value else {
            return Err(structural(vec![
                "the document is not a JSON object".to_owned(),
            ]));
        };
        let mut problems = Vec::new();
        let phases = match map.shift_remove("phases") {
            Some(phases) => read_phases(phases, &mut problems),
            None => {
                problems.push("the field \"phases\" is missing".to_owned());
                Vec::new()
            }
        };
        match strict::read::<Head>(Value::Object(map)) {
            Ok(head) => {
                check(&head, &phases, &mut problems);
                if problems.is_empty() {
                    return Ok(Self { head, phases });
                }
            }
            Err(problem) => problems.insert(0, problem),
        }
        Err(structural(problems))
    }
}

/// What the shape of a document does not say by itself.
fn check(head: &Head, phases: &[Phase], problems: &mut Vec<String>) {
    if head.format != FORMAT {
        problems.push(format!(
            "format {} is not known; this version reads format {FORMAT}",
            head.format
        ));
    }
    if head.name.trim().is_empty() {
        problems.push("the name is empty".to_owned());
    }
    let steps: usize = phases.iter().map(|p| p.steps.len()).sum();
    if steps > MAX_STEPS {
        problems.push(format!(
            "the workflow has {steps} steps; at most {MAX_STEPS} are allowed"
        ));
    }
    let all = phases.iter().flat_map(|p| &p.steps);
    let legs: usize = all.map(|step| step.kind.legs().len()).sum();
    if legs > MAX_LEGS {
        problems.push(format!(
            "the steps have {legs} legs in all; at most {MAX_LEGS} are allowed"
        ));
    }
}

fn read_phases(value: Value, problems: &mut Vec<String>) -> Vec<Phase> {
    let Value::Array(list) = value else {
        problems.push("\"phases\" is not a list".to_owned());
        return Vec::new();
    };
    let mut phases = Vec::new();
    for (number, value) in list.into_iter().enumerate() {
        let place = format!("phase {}", number + 1);
        let Value::Object(mut map) = value else {
            problems.push(format!("{place}: not a JSON object"));
            continue;
        };
        let name = match map.shift_remove("name") {
            Some(Value::String(name)) if !name.trim().is_empty() => name,
            Some(Value::String(_)) => {
                problems.push(format!("{place}: the name is empty"));
                String::new()
            }
            Some(_) => {
                problems.push(format!("{place}: the name is not a text"));
                String::new()
            }
            None => {
                problems.push(format!("{place}: the field \"name\" is missing"));
                String::new()
            }
        };
        let place = if name.is_empty() {
            place
        } else {
            format!("phase \"{name}\"")
        };
        let steps = match map.shift_remove("steps") {
            Some(Value::Array(steps)) => steps,
            _ => {
                problems.push(format!(
                    "{place}: the field \"steps\" is missing or not a list"
                ));
                Vec::new()
            }
        };
        for unknown in map.keys() {
            problems.push(format!("{place}: unknown field \"{unknown}\""));
        }
        let steps = steps
            .into_iter()
            .enumerate()
            .filter_map(|(i, step)| read_step(step, &place, i + 1, problems))
            .collect();
        phases.push(Phase { name, steps });
    }
    phases
}

fn read_step(value: Value, phase: &str, number: usize, problems: &mut Vec<String>) -> Option<Step> {
    let Value::Object(map) = value else {
        problems.push(format!("{phase}, step {number}: not a JSON object"));
        return None;
    };
    let place = match map.get("name") {
        Some(Value::String(name)) => format!("step \"{name}\""),
        _ => format!("{phase}, step {number}"),
    };
    let (common, own): (Map<_, _>, Map<_, _>) = map
        .into_iter()
        .partition(|(field, _)| COMMON_FIELDS.contains(&field.as_str()));
    // Both parts are read whatever the other one gives, so that their problems come together.
    let own_kind = match common.get("kind") {
        Some(Value::String(kind)) => {
            let kind = kinds::parse(kind, Value::Object(own));
            kind.map_err(|e| problems.push(format!("{place}: {e}")))
                .ok()
        }
        _ => None,
    };
    let common = strict::read::<Common>(Value::Object(common))
        .map_err(|e| problems.push(format!("{place}: {e}")));
    let (common, kind) = (common.ok()?, own_kind?);
    Some(Step { common, kind })
}

fn structural(problems: Vec<String>) -> Error {
    Error::new(
        ErrorCode::Definition,
        format!(
            "the document cannot be read: {}",
            problems.first().map_or("unknown reason", String::as_str)
        ),
    )
    .detail(problems.join("\n"))
    .hint("wf.document_schema() gives the JSON Schema of a document.")
}

/// Where a reader stopped.
fn position(error: &serde_json::Error) -> String {
    format!("At line {}, column {}.", error.line(), error.column())
}

/// serde_json ends its messages with "at line x column y"; we say that in the detail.
fn strip_position(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}
