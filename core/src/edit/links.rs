//! Transitions: which step an outcome leads to.

use serde_json::{Map, Value};

use super::Fields;
use super::draft::{Draft, text};
use super::references::{field_of_outcome, list_of_outcomes, list_of_steps};
use crate::kinds::StepKind;
use crate::program::Program;
use crate::{Error, ErrorCode};

/// Lets a step lead to another one.
pub(super) fn add(
    draft: &mut Draft,
    program: &Program,
    from: &str,
    to: &str,
    outcome: Option<&str>,
    condition: Option<&str>,
) -> Result<(), Error> {
    let index = draft.index(from)?;
    draft.index(to)?;
    let Some(compiled) = program.steps.get(index) else {
        return Ok(());
    };
    let kind = compiled.kind.as_ref();
    if kind.brings_event() {
        return Err(Error::new(
            ErrorCode::State,
            format!("step \"{from}\" is a button and leads to its own event"),
        )
        .hint(match event_of(program, from) {
            Some(event) => format!("Let its event \"{event}\" lead to \"{to}\"."),
            None => format!(
                "Give it back its event: wf.set_step(…, '{from}', '{{\"kind\": \"button\"}}')."
            ),
        }));
    }
    let step = draft.step_mut(from)?;
    let taken = match outcome {
        None => add_next(step, kind, from, to)?,
        Some(outcome) => add_outcome(step, kind, from, to, outcome, condition)?,
    };
    match condition {
        Some(_) if !taken => Err(Error::new(
            ErrorCode::Definition,
            format!(
                "step \"{from}\" is a {} and takes no condition on where it leads",
                kind.name()
            ),
        )
        .hint("Let it lead to a decision step, and give that one the condition; or set the step's when.")),
        _ => Ok(()),
    }
}

/// The event that a button brings about.
fn event_of<'p>(program: &'p Program, button: &str) -> Option<&'p str> {
    let own = |kind: &dyn StepKind| kind.event_of() == Some(button);
    let event = program.steps.iter().find(|step| own(step.kind.as_ref()))?;
    Some(&event.name)
}

/// Sets where a step leads whatever its outcome; whether a condition has found its place.
fn add_next(step: &mut Fields, kind: &dyn StepKind, from: &str, to: &str) -> Result<bool, Error> {
    let legs = kind.legs();
    if legs.is_empty() {
        return Err(Error::new(
            ErrorCode::State,
            format!(
                "step \"{from}\" is a {}: the case ends there and leads nowhere",
                kind.name()
            ),
        )
        .hint(format!(
            "Let the step before it lead to \"{to}\", or make \"{from}\" another kind with wf.set_step."
        )));
    }
    if let Some(field) = list_of_steps(kind.name()) {
        let mut list = take_list(step, field);
        if list.iter().any(|item| item == to) {
            return Err(Error::new(
                ErrorCode::Duplicate,
                format!("step \"{from}\" leads to \"{to}\" already"),
            )
            .hint("Name the first step of another branch."));
        }
        list.push(to.into());
        step.insert(field.to_owned(), Value::Array(list));
        return Ok(false);
    }
    if kind.keeps_legs_apart() || legs.iter().all(|leg| leg.target.is_some()) {
        return Err(Error::new(
            ErrorCode::Definition,
            format!("step \"{from}\" leads to several steps; it is not said by which outcome to \"{to}\""),
        )
        .detail(format!("Its outcomes are {}.", outcomes(kind)))
        .hint("Give the outcome: wf.add_transition(…, outcome => '…')."));
    }
    step.insert("next".to_owned(), to.into());
    Ok(false)
}

/// Sets where an outcome leads, adding it where the kind lists its outcomes; whether a condition has found its place.
fn add_outcome(
    step: &mut Fields,
    kind: &dyn StepKind,
    from: &str,
    to: &str,
    outcome: &str,
    condition: Option<&str>,
) -> Result<bool, Error> {
    if let Some(field) = field_of_outcome(kind.name(), outcome) {
        step.insert(field.to_owned(), to.into());
        return Ok(false);
    }
    let list = list_of_outcomes(kind.name());
    if let Some((field, has_conditions)) = list
        && let Some(entry) = entries(step, field).find(|entry| text(entry, "name") == outcome)
    {
        entry.insert("next".to_owned(), to.into());
        if let Some(condition) = condition.filter(|_| has_conditions) {
            entry.insert("when".to_owned(), condition.into());
        }
        return Ok(has_conditions);
    }
    let by_next = |leg: &crate::kinds::Leg| leg.outcome == outcome && leg.target.is_none();
    if kind.legs().iter().any(by_next) {
        step.insert("next".to_owned(), to.into());
        return Ok(false);
    }
    let Some((field, has_conditions)) = list else {
        return Err(no_outcome(kind, from, outcome));
    };
    let mut entry = Map::new();
    entry.insert("name".to_owned(), outcome.into());
    if has_conditions {
        let Some(condition) = condition else {
            return Err(Error::new(
                ErrorCode::Definition,
                format!("outcome \"{outcome}\" of step \"{from}\" has no condition"),
            )
            .hint("Say when it is taken: wf.add_transition(…, condition => 'an SQL condition')."));
        };
        entry.insert("when".to_owned(), condition.into());
    }
    entry.insert("next".to_owned(), to.into());
    let mut list = take_list(step, field);
    list.push(Value::Object(entry));
    step.insert(field.to_owned(), Value::Array(list));
    Ok(has_conditions)
}

/// Takes an outcome away, or the step's `next`.
pub(super) fn remove(
    draft: &mut Draft,
    program: &Program,
    from: &str,
    outcome: Option<&str>,
) -> Result<(), Error> {
    let index = draft.index(from)?;
    let Some(compiled) = program.steps.get(index) else {
        return Ok(());
    };
    let kind = compiled.kind.as_ref();
    let step = draft.step_mut(from)?;
    let Some(outcome) = outcome else {
        if kind.brings_event() {
            return Err(Error::new(
                ErrorCode::State,
                format!("step \"{from}\" is a button and leads to its own event"),
            )
            .hint("Remove the button; its event goes with it."));
        }
        return match step.shift_remove("next") {
            Some(Value::String(_)) => Ok(()),
            _ => Err(Error::new(
                ErrorCode::Unknown,
                format!("step \"{from}\" names no next step"),
            )
            .detail("It leads to the step that follows it, or by its outcomes.")
            .hint("Put it elsewhere with wf.move_step, or name an outcome.")),
        };
    };
    if let Some(field) = field_of_outcome(kind.name(), outcome)
        && step.shift_remove(field).is_some_and(|old| !old.is_null())
    {
        return Ok(());
    }
    let named = |item: &Value| match item {
        Value::Object(entry) => text(entry, "name") == outcome,
        other => other == outcome,
    };
    let list = list_of_outcomes(kind.name()).map(|(field, _)| field);
    if let Some(field) = list.or_else(|| list_of_steps(kind.name())) {
        let mut list = take_list(step, field);
        let count = list.len();
        list.retain(|item| !named(item));
        if list.len() < count {
            step.insert(field.to_owned(), Value::Array(list));
            return Ok(());
        }
    }
    if kind.legs().iter().any(|leg| leg.outcome == outcome) {
        return Err(Error::new(
            ErrorCode::State,
            format!("outcome \"{outcome}\" of step \"{from}\" comes with its kind"),
        )
        .hint("Let it lead elsewhere with wf.add_transition."));
    }
    Err(no_outcome(kind, from, outcome))
}

fn no_outcome(kind: &dyn StepKind, from: &str, outcome: &str) -> Error {
    Error::new(
        ErrorCode::Unknown,
        format!("step \"{from}\" has no outcome \"{outcome}\""),
    )
    .detail(match kind.legs().is_empty() {
        true => format!("A {} ends the case.", kind.name()),
        false => format!("Its outcomes are {}.", outcomes(kind)),
    })
    .hint(match list_of_steps(kind.name()) {
        Some(_) => {
            "Its branches are named after their first steps: leave the outcome out.".to_owned()
        }
        None => format!(
            "A {} has no outcomes of its own; use one of these, or put a decision step after it.",
            kind.name()
        ),
    })
}

fn outcomes(kind: &dyn StepKind) -> String {
    let legs = kind.legs();
    let names: Vec<String> = legs.iter().map(|l| format!("\"{}\"", l.outcome)).collect();
    names.join(", ")
}

/// Takes the list out of a field, empty if there is none yet; the field keeps its place.
fn take_list(step: &mut Fields, field: &str) -> Vec<Value> {
    match step.get_mut(field).map(Value::take) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn entries<'a>(step: &'a mut Fields, field: &str) -> impl Iterator<Item = &'a mut Fields> {
    let list = step.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
