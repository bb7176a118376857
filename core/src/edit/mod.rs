//! Changing a document one thing at a time: what the editing functions do.
//!
//! An edit takes the text of a document and gives the text of another one, which went through the same reader. Whether
//! the workflow makes sense after it is for `validate`, as with any document: a draft may be unsound, and the findings
//! say what is left to do. What an edit refuses is what could not be said in a document, and what would quietly cut a
//! link between steps.
//!
//! * `draft`: the document as JSON, in its author's order   * `references`: where a step names another one
//! * `build`: new workflows, phases, steps; changing and moving them  * `links`: transitions
//! * `remove`: taking steps out, and what led to them       * `flow`: what leads elsewhere than before
//!
//! No edit knows a kind of step by its name: which fields of a kind name steps stands in the schema.

mod build;
mod draft;
mod flow;
mod links;
mod references;
mod remove;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::document::Document;
use crate::finding::Findings;
use crate::program::{Program, Roles};
use crate::validate::check_name;
use crate::{Error, ErrorCode};
use draft::Draft;

pub use build::create;

/// The fields of a step or workflow, as JSON.
pub type Fields = Map<String, Value>;

/// Where something goes: next to something else, or at the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// The name of what it comes after.
    pub after: Option<&'a str>,
    /// The name of what it comes before.
    pub before: Option<&'a str>,
}

/// One change of a document.
#[derive(Clone, Debug)]
pub enum Edit<'a> {
    /// Changes fields of the workflow itself; null removes one (a JSON merge patch, RFC 7396).
    SetWorkflow { fields: Fields },
    /// Adds an empty phase; at the end if no place is given.
    AddPhase { phase: &'a str, place: Place<'a> },
    /// Gives a phase another name.
    RenamePhase { phase: &'a str, new_name: &'a str },
    /// Removes a phase with its steps; what leads to them leads to `instead`.
    RemovePhase {
        phase: &'a str,
        instead: Option<&'a str>,
    },
    /// Adds a step; at the end of the phase if no place is given, and of the last phase if no phase is. After a step
    /// that leads on by name, it takes its place in between. A button brings its event.
    AddStep {
        step: &'a str,
        kind: &'a str,
        fields: Fields,
        phase: Option<&'a str>,
        place: Place<'a>,
    },
    /// Changes fields of a step, its name and kind too; null removes one. What names the step follows its new name.
    SetStep { step: &'a str, fields: Fields },
    /// Puts a step elsewhere; an event goes with its button. Links by name stay.
    MoveStep {
        step: &'a str,
        phase: Option<&'a str>,
        place: Place<'a>,
    },
    /// Removes a step; what leads to it leads to `instead`, or to where it led itself.
    RemoveStep {
        step: &'a str,
        instead: Option<&'a str>,
    },
    /// Lets a step lead to another one: by an outcome, which is added if the kind allows that, or else by its `next`.
    AddTransition {
        from: &'a str,
        to: &'a str,
        outcome: Option<&'a str>,
        condition: Option<&'a str>,
    },
    /// Takes an outcome away, or the step's `next`.
    RemoveTransition {
        from: &'a str,
        outcome: Option<&'a str>,
    },
}

/// What an edit has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The changed document.
    pub text: String,
    /// What leads elsewhere than before, and what else is worth a look; a sentence each.
    pub changes: Vec<String>,
}

/// Changes a document.
///
/// # Errors
/// [`ErrorCode::Unknown`] for a name that names nothing, [`ErrorCode::Duplicate`] for one that is taken,
/// [`ErrorCode::State`] for what may not be removed, and [`ErrorCode::Definition`] for what no document can say.
pub fn apply(text: &str, edit: Edit<'_>) -> Result<Edited, Error> {
    let before = compile(text)?;
    let mut draft = Draft::read(text)?;
    let mut renamed = Vec::new();
    match edit {
        Edit::SetWorkflow { fields } => build::set_workflow(&mut draft, fields)?,
        Edit::AddPhase { phase, place } => build::add_phase(&mut draft, phase, place)?,
        Edit::RenamePhase { phase, new_name } => build::rename_phase(&mut draft, phase, new_name)?,
        Edit::RemovePhase { phase, instead } => {
            remove::phase(&mut draft, &before, phase, instead)?;
        }
        Edit::AddStep {
            step,
            kind,
            fields,
            phase,
            place,
        } => build::add_step(&mut draft, step, kind, fields, phase, place)?,
        Edit::SetStep { step, fields } => {
            renamed = build::set_step(&mut draft, &before, step, fields)?;
        }
        Edit::MoveStep { step, phase, place } => {
            build::move_step(&mut draft, step, phase, place)?;
        }
        Edit::RemoveStep { step, instead } => remove::step(&mut draft, &before, step, instead)?,
        Edit::AddTransition {
            from,
            to,
            outcome,
            condition,
        } => links::add(&mut draft, &before, from, to, outcome, condition)?,
        Edit::RemoveTransition { from, outcome } => {
            links::remove(&mut draft, &before, from, outcome)?;
        }
    }
    let text = draft.into_text();
    let after = compile(&text).map_err(unreadable)?;
    let changes = flow::changes(&before, &after, &renamed);
    Ok(Edited { text, changes })
}

/// The document under another name.
///
/// # Errors
/// [`ErrorCode::Definition`] for a name that a workflow cannot have.
pub fn rename(text: &str, new_name: &str) -> Result<String, Error> {
    require_name(new_name)?;
    let mut draft = Draft::read(text)?;
    draft.set_name(new_name);
    Ok(draft.into_text())
}

/// Fields given as the text of a JSON object.
///
/// # Errors
/// [`ErrorCode::Definition`] if it is none.
pub fn fields(text: &str) -> Result<Fields, Error> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("they are no JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
    .map_err(|reason| {
        Error::new(
            ErrorCode::Definition,
            format!("the fields cannot be read: {reason}"),
        )
        .hint("Give them as an object, for example {\"description\": \"Ring the customer\"}.")
    })
}

fn compile(text: &str) -> Result<Program, Error> {
    Ok(Program::compile(Document::parse(text)?, Roles::default()))
}

/// A name that a workflow can be known by, from its first moment on.
fn require_name(name: &str) -> Result<(), Error> {
    let mut findings = Findings::default();
    check_name("workflow", "the workflow", name, &mut findings);
    match findings.0.into_iter().next() {
        None => Ok(()),
        Some(finding) => Err(Error::new(ErrorCode::Definition, finding.message).hint(finding.hint)),
    }
}

/// The reader's words about what an edit has made, without what it says about whole documents.
fn unreadable(error: Error) -> Error {
    let message = error
        .message
        .strip_prefix("the document cannot be read: ")
        .unwrap_or(&error.message)
        .to_owned();
    let all = error.detail.filter(|detail| *detail != message);
    let refused = Error::new(error.code, message).hint(
        "In a change null removes a field. wf.document_schema() gives the fields of each kind.",
    );
    match all {
        Some(all) => refused.detail(all),
        None => refused,
    }
}
