//! A document as JSON: its fields in their author's order, its phases and steps by name.

use serde_json::{Map, Value};

use super::{Fields, Place};
use crate::names::did_you_mean;
use crate::{Error, ErrorCode};

/// How many names an error lists.
const MAX_LISTED: usize = 20;

/// A document that `Document::parse` has read, taken apart.
pub(super) struct Draft {
    /// Everything; `phases` keeps its place and is empty meanwhile.
    pub head: Fields,
    pub phases: Vec<DraftPhase>,
}

/// A phase, taken apart: `steps` keeps its place among the fields and is empty meanwhile.
pub(super) struct DraftPhase {
    pub fields: Fields,
    pub steps: Vec<Fields>,
}

/// Where a step stands, or is to be put: the index of its phase, and its own in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub phase: usize,
    pub step: usize,
}

impl Draft {
    pub fn read(text: &str) -> Result<Self, Error> {
        let no_document = |reason: String| {
            Error::new(
                ErrorCode::Json,
                format!("the document cannot be read: {reason}"),
            )
            .hint("Save it anew with wf.define.")
        };
        let mut head: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| no_document(error.to_string()))?;
        let phases = head.get_mut("phases").map(Value::take);
        let phases = items(phases)
            .into_iter()
            .map(|mut fields| {
                let steps = items(fields.get_mut("steps").map(Value::take));
                DraftPhase { fields, steps }
            })
            .collect();
        Ok(Self { head, phases })
    }

    pub fn into_text(mut self) -> String {
        let phases = self.phases.into_iter().map(|phase| {
            let DraftPhase { mut fields, steps } = phase;
            let steps = steps.into_iter().map(Value::Object).collect();
            fields.insert("steps".to_owned(), Value::Array(steps));
            Value::Object(fields)
        });
        let phases = phases.collect();
        self.head.insert("phases".to_owned(), Value::Array(phases));
        format!("{:#}", Value::Object(self.head))
    }

    pub fn name(&self) -> &str {
        text(&self.head, "name")
    }

    pub fn set_name(&mut self, name: &str) {
        self.head.insert("name".to_owned(), name.into());
    }

    /// The steps in the order of the document.
    pub fn steps(&self) -> impl Iterator<Item = &Fields> {
        self.phases.iter().flat_map(|phase| phase.steps.iter())
    }

    pub fn steps_mut(&mut self) -> impl Iterator<Item = &mut Fields> {
        self.phases
            .iter_mut()
            .flat_map(|phase| phase.steps.iter_mut())
    }

    /// The index of a step in the order of the document; the first one if the name stands twice.
    pub fn index(&self, step: &str) -> Result<usize, Error> {
        self.steps()
            .position(|fields| text(fields, "name") == step)
            .ok_or_else(|| {
                let names = self.steps().map(|fields| text(fields, "name"));
                self.unknown("step", step, &names.collect::<Vec<_>>())
            })
    }

    /// Where a step stands.
    pub fn find(&self, step: &str) -> Result<At, Error> {
        let mut index = self.index(step)?;
        for (phase, content) in self.phases.iter().enumerate() {
            if index < content.steps.len() {
                return Ok(At { phase, step: index });
            }
            index -= content.steps.len();
        }
        Err(self.unknown("step", step, &[]))
    }

    pub fn step_mut(&mut self, step: &str) -> Result<&mut Fields, Error> {
        let index = self.index(step)?;
        let missing = self.unknown("step", step, &[]);
        self.steps_mut().nth(index).ok_or(missing)
    }

    pub fn has_step(&self, step: &str) -> bool {
        self.steps().any(|fields| text(fields, "name") == step)
    }

    /// The index of a phase.
    pub fn phase(&self, phase: &str) -> Result<usize, Error> {
        let known = |content: &DraftPhase| text(&content.fields, "name") == phase;
        self.phases.iter().position(known).ok_or_else(|| {
            let names = self.phases.iter().map(|p| text(&p.fields, "name"));
            self.unknown("phase", phase, &names.collect::<Vec<_>>())
        })
    }

    /// Where a step goes that is not there yet. None: nothing says where.
    pub fn place(&self, phase: Option<&str>, place: Place<'_>) -> Result<Option<At>, Error> {
        let phase = phase
            .map(|name| Ok((self.phase(name)?, name)))
            .transpose()?;
        let Some((beside, ahead)) = beside(place)? else {
            return Ok(phase.map(|(phase, _)| At {
                phase,
                step: self.phases[phase].steps.len(),
            }));
        };
        let found = self.find(beside)?;
        if let Some((_, name)) = phase.filter(|(phase, _)| *phase != found.phase) {
            let actual = text(&self.phases[found.phase].fields, "name");
            return Err(Error::new(
                ErrorCode::Definition,
                format!("step \"{beside}\" is in phase \"{actual}\", not in phase \"{name}\""),
            )
            .hint("Leave out the phase: the step goes into that of its neighbour."));
        }
        Ok(Some(At {
            phase: found.phase,
            step: found.step + usize::from(!ahead),
        }))
    }

    pub fn insert(&mut self, at: At, step: Fields) {
        if let Some(phase) = self.phases.get_mut(at.phase) {
            let index = at.step.min(phase.steps.len());
            phase.steps.insert(index, step);
        }
    }

    fn unknown(&self, what: &str, wanted: &str, known: &[&str]) -> Error {
        let quoted = |name: &&str| format!("\"{name}\"");
        let mut names: Vec<String> = known.iter().take(MAX_LISTED).map(quoted).collect();
        if known.len() > MAX_LISTED {
            names.push(format!("{} more", known.len() - MAX_LISTED));
        }
        let error = Error::new(
            ErrorCode::Unknown,
            format!("workflow \"{}\" has no {what} \"{wanted}\"", self.name()),
        );
        let error = match names.is_empty() {
            true => error,
            false => error.detail(format!("Its {what}s are {}.", names.join(", "))),
        };
        error.hint(
            did_you_mean(wanted, known.iter().copied())
                .unwrap_or_else(|| format!("Name a {what} of this workflow.")),
        )
    }
}

/// The neighbour that a place names, and whether the thing goes ahead of it.
pub(super) fn beside(place: Place<'_>) -> Result<Option<(&str, bool)>, Error> {
    match (place.after, place.before) {
        (None, None) => Ok(None),
        (Some(after), None) => Ok(Some((after, false))),
        (None, Some(before)) => Ok(Some((before, true))),
        (Some(after), Some(before)) => Err(Error::new(
            ErrorCode::Definition,
            format!("it cannot go both after \"{after}\" and before \"{before}\""),
        )
        .hint("Give after or before, not both.")),
    }
}

/// A field that holds a text; empty if it is absent or holds none.
pub(super) fn text<'a>(fields: &'a Fields, field: &str) -> &'a str {
    fields.get(field).and_then(Value::as_str).unwrap_or("")
}

fn items(list: Option<Value>) -> Vec<Fields> {
    let Some(Value::Array(list)) = list else {
        return Vec::new();
    };
    let object = |item| match item {
        Value::Object(fields) => Some(fields),
        _ => None,
    };
    list.into_iter().filter_map(object).collect()
}
