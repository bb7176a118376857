//! New workflows, phases and steps; changing and moving what is there.

use serde_json::{Map, Value, json};

use super::draft::{At, Draft, DraftPhase, beside, text};
use super::flow::Renamed;
use super::references::{in_head, in_step};
use super::{Edit, Fields, Place, apply, require_name};
use crate::document::{COMMON_FIELDS, FORMAT};
use crate::kinds::{self, StepKind, event_of_button};
use crate::program::Program;
use crate::{Error, ErrorCode};

/// What a new workflow begins with, and never loses: one phase with one step.
const DEFAULT_PHASE: &str = "phase 1";
const DEFAULT_STEP: &str = "step 1";

/// The document of a new workflow: one phase with one step, a task whose details are still to be given.
///
/// # Errors
/// [`ErrorCode::Definition`] for a name that a workflow cannot have, and for fields that it has not.
pub fn create(name: &str, subject: &str, fields: Fields) -> Result<String, Error> {
    require_name(name)?;
    let text = json!({
        "format": FORMAT,
        "name": name,
        "subject": subject,
        "phases": [{"name": DEFAULT_PHASE, "steps": [{"name": DEFAULT_STEP, "kind": "task"}]}],
    });
    Ok(apply(&text.to_string(), Edit::SetWorkflow { fields })?.text)
}

/// Changes fields of the workflow itself.
pub(super) fn set_workflow(draft: &mut Draft, fields: Fields) -> Result<(), Error> {
    for (field, by) in [
        ("name", "Rename the workflow with wf.rename_workflow."),
        (
            "phases",
            "Change phases and steps with the functions for them, or the whole document with wf.define.",
        ),
        ("format", "The format is that of the extension."),
    ] {
        if fields.contains_key(field) {
            return Err(Error::new(
                ErrorCode::Definition,
                format!(
                    "workflow \"{}\": \"{field}\" is not changed this way",
                    draft.name()
                ),
            )
            .hint(by));
        }
    }
    let count = draft.head.len();
    merge(&mut draft.head, fields);
    if draft.head.len() > count {
        // What people want to read first stays in front of the phases; texts come last.
        for field in ["phases", "templates"] {
            if let Some(value) = draft.head.shift_remove(field) {
                draft.head.insert(field.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// Adds an empty phase.
pub(super) fn add_phase(draft: &mut Draft, name: &str, place: Place<'_>) -> Result<(), Error> {
    new_phase_name(draft, name)?;
    let index = match beside(place)? {
        None => draft.phases.len(),
        Some((neighbour, ahead)) => draft.phase(neighbour)? + usize::from(!ahead),
    };
    let mut fields = Map::new();
    fields.insert("name".to_owned(), name.into());
    let phase = DraftPhase {
        fields,
        steps: Vec::new(),
    };
    draft.phases.insert(index, phase);
    Ok(())
}

/// Gives a phase another name.
pub(super) fn rename_phase(draft: &mut Draft, name: &str, new_name: &str) -> Result<(), Error> {
    let index = draft.phase(name)?;
    if name != new_name {
        new_phase_name(draft, new_name)?;
    }
    let fields = &mut draft.phases[index].fields;
    fields.insert("name".to_owned(), new_name.into());
    for list in draft.head.values_mut().filter_map(Value::as_array_mut) {
        for item in list.iter_mut().filter(|item| item["phase"] == name) {
            item["phase"] = new_name.into();
        }
    }
    Ok(())
}

fn new_phase_name(draft: &Draft, name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(
            Error::new(ErrorCode::Definition, "the name of the phase is empty")
                .hint("Give it a name."),
        );
    }
    match draft.phase(name) {
        Ok(_) => Err(taken("phase", name)),
        Err(_) => Ok(()),
    }
}

/// Adds a step; a button brings its event.
pub(super) fn add_step(
    draft: &mut Draft,
    name: &str,
    kind: &str,
    fields: Fields,
    phase: Option<&str>,
    place: Place<'_>,
) -> Result<(), Error> {
    new_step_name(draft, name)?;
    let event = place.after.and_then(|button| event_behind(draft, button));
    let place = Place {
        after: event.as_deref().or(place.after),
        ..place
    };
    for field in ["name", "kind"] {
        if fields.contains_key(field) {
            return Err(Error::new(
                ErrorCode::Definition,
                format!("step \"{name}\": its {field} stands among the fields, too"),
            )
            .hint(format!(
                "Leave {field} out of the fields; it is an argument of its own."
            )));
        }
    }
    let at = match draft.place(phase, place)? {
        Some(at) => at,
        None => end(draft)?,
    };
    let mut step = Map::new();
    step.insert("name".to_owned(), name.into());
    step.insert("kind".to_owned(), kind.into());
    merge(&mut step, fields);
    if let Some(neighbour) = place.after {
        take_over(draft, neighbour, &mut step)?;
    }
    draft.insert(at, in_order(step));
    bring_event(draft, name)
}

/// A step that comes after another one leads to where that led by name; that one now leads to it, by their order.
fn take_over(draft: &mut Draft, neighbour: &str, step: &mut Fields) -> Result<(), Error> {
    let ends = kind_of(step).is_some_and(|kind| kind.legs().is_empty());
    let neighbour = draft.step_mut(neighbour)?;
    let by_next = kind_of(neighbour).is_some_and(|k| k.legs().iter().any(|l| l.target.is_none()));
    if !by_next {
        return Ok(());
    }
    if let Some(Value::String(next)) = neighbour.shift_remove("next")
        && !ends
    {
        step.entry("next").or_insert(next.into());
    }
    Ok(())
}

/// The name of the event of a button that stands right behind it. What comes after the button comes after that.
fn event_behind(draft: &Draft, button: &str) -> Option<String> {
    let mut steps = draft
        .steps()
        .skip_while(|step| text(step, "name") != button);
    let event = steps.nth(1).filter(|step| is_event_of(step, button))?;
    Some(text(event, "name").to_owned())
}

/// The end of the last phase.
fn end(draft: &Draft) -> Result<At, Error> {
    let Some(phase) = draft.phases.len().checked_sub(1) else {
        return Err(Error::new(
            ErrorCode::State,
            format!(
                "workflow \"{}\" has no phase to put a step into",
                draft.name()
            ),
        )
        .hint("Add one with wf.add_phase."));
    };
    Ok(At {
        phase,
        step: draft.phases[phase].steps.len(),
    })
}

/// Changes fields of a step; gives back the names if it has got a new one.
pub(super) fn set_step(
    draft: &mut Draft,
    program: &Program,
    name: &str,
    fields: Fields,
) -> Result<Vec<Renamed>, Error> {
    let index = draft.index(name)?;
    let was_button = program
        .steps
        .get(index)
        .is_some_and(|s| s.kind.brings_event());
    let new_name = fields.get("name").and_then(Value::as_str).unwrap_or(name);
    let (new_name, renamed) = (new_name.to_owned(), new_name != name);
    if renamed {
        new_step_name(draft, &new_name)?;
    }
    let step = draft.step_mut(name)?;
    let kind = text(step, "kind").to_owned();
    merge(step, fields);
    let same_kind = text(step, "kind") == kind;
    if was_button && !same_kind {
        return Err(Error::new(
            ErrorCode::State,
            format!("step \"{name}\" is a button and stays one, as long as it has its event"),
        )
        .hint("Remove the button, and its event with it; then add a step of the other kind."));
    }
    // Another step of the same name keeps what names it.
    let renames = match renamed && !draft.has_step(name) {
        true => rename(draft, name, &new_name),
        false => Vec::new(),
    };
    if !same_kind || was_button {
        bring_event(draft, &new_name)?;
    }
    Ok(renames)
}

/// Has everything that names a step name it anew; the event that came with a button is named after it.
fn rename(draft: &mut Draft, old: &str, new: &str) -> Vec<Renamed> {
    let (old_event, new_event) = (event_of_button(old), event_of_button(new));
    let (old_event, new_event) = (text(&old_event, "name"), text(&new_event, "name"));
    let is_event = |step: &Fields| text(step, "name") == old_event && is_event_of(step, old);
    let event = draft.steps().position(is_event);
    let event = event.filter(|_| !draft.has_step(new_event));
    if let Some(step) = event.and_then(|event| draft.steps_mut().nth(event)) {
        step.insert("name".to_owned(), new_event.into());
    }
    let mut renames = vec![(old, new)];
    renames.extend(event.map(|_| (old_event, new_event)));
    let mut visit = |_, _: &str, name: &str| {
        let rename = renames.iter().find(|(old, _)| *old == name);
        rename.map(|(_, new)| (*new).to_owned())
    };
    for step in draft.steps_mut() {
        in_step(step, &mut visit);
    }
    in_head(&mut draft.head, &mut visit);
    let renamed = |(old, new): (&str, &str)| Renamed {
        old: old.to_owned(),
        new: new.to_owned(),
    };
    renames.into_iter().map(renamed).collect()
}

/// Puts a step elsewhere; the event of a button goes with it if it stands right behind it.
pub(super) fn move_step(
    draft: &mut Draft,
    name: &str,
    phase: Option<&str>,
    place: Place<'_>,
) -> Result<(), Error> {
    let from = draft.find(name)?;
    if let Some((neighbour, _)) = beside(place)?
        && neighbour == name
    {
        return Err(Error::new(
            ErrorCode::Definition,
            format!("step \"{name}\" cannot go next to itself"),
        )
        .hint("Name another step in after or before."));
    }
    let steps = &mut draft.phases[from.phase].steps;
    let follows = steps.get(from.step + 1);
    let count = 1 + usize::from(follows.is_some_and(|next| is_event_of(next, name)));
    let moved: Vec<Fields> = steps.drain(from.step..from.step + count).collect();
    let event = place.after.and_then(|button| event_behind(draft, button));
    let place = Place {
        after: event.as_deref().or(place.after),
        ..place
    };
    let Some(at) = draft.place(phase, place)? else {
        return Err(Error::new(
            ErrorCode::Definition,
            format!("it is not said where step \"{name}\" goes"),
        )
        .hint(
            "Give after or before, the name of another step; or phase, for the end of a phase.",
        ));
    };
    for (i, step) in moved.into_iter().enumerate() {
        let step_at = At {
            phase: at.phase,
            step: at.step + i,
        };
        draft.insert(step_at, step);
    }
    Ok(())
}

/// Gives a button the event that it has been pushed, unless it has one. Where the button led, its event leads.
fn bring_event(draft: &mut Draft, name: &str) -> Result<(), Error> {
    let at = draft.find(name)?;
    let is_button =
        kind_of(&draft.phases[at.phase].steps[at.step]).is_some_and(|k| k.brings_event());
    if !is_button || draft.steps().any(|step| is_event_of(step, name)) {
        return Ok(());
    }
    let mut event = event_of_button(name);
    let event_name = text(&event, "name").to_owned();
    new_step_name(draft, &event_name)?;
    let button = &mut draft.phases[at.phase].steps[at.step];
    if let Some(next) = button.insert("next".to_owned(), event_name.into())
        && next.is_string()
    {
        event.insert("next".to_owned(), next);
    }
    let step = at.step + 1;
    draft.insert(At { step, ..at }, event);
    Ok(())
}

fn is_event_of(step: &Fields, button: &str) -> bool {
    kind_of(step).is_some_and(|kind| kind.event_of() == Some(button))
}

/// The kind of a step, with its own fields; None if they cannot be read.
fn kind_of(step: &Fields) -> Option<Box<dyn StepKind>> {
    let own = |(field, _): &(&String, &Value)| !COMMON_FIELDS.contains(&field.as_str());
    let own = step.iter().filter(own);
    let own = own.map(|(field, value)| (field.clone(), value.clone()));
    kinds::parse(text(step, "kind"), Value::Object(own.collect())).ok()
}

fn new_step_name(draft: &Draft, name: &str) -> Result<(), Error> {
    match draft.has_step(name) {
        true => Err(taken("step", name)),
        false => Ok(()),
    }
}

fn taken(what: &str, name: &str) -> Error {
    Error::new(
        ErrorCode::Duplicate,
        format!("there is a {what} \"{name}\" already"),
    )
    .hint(format!(
        "Give each {what} of the workflow a name of its own."
    ))
}

/// A JSON merge patch (RFC 7396): null removes, objects are merged, anything else is put in place.
fn merge(target: &mut Fields, patch: Fields) {
    for (field, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(&field);
            }
            Value::Object(patch) => {
                let mut merged = match target.get_mut(&field).map(Value::take) {
                    Some(Value::Object(fields)) => fields,
                    _ => Map::new(),
                };
                merge(&mut merged, patch);
                target.insert(field, Value::Object(merged));
            }
            value => {
                target.insert(field, value);
            }
        }
    }
}

/// A new step with its fields in the usual order: those of all kinds, but for where it leads, which comes after the
/// kind's own.
fn in_order(mut step: Fields) -> Fields {
    let (mut first, mut last) = (Map::new(), Map::new());
    for field in COMMON_FIELDS {
        if let Some(value) = step.shift_remove(field) {
            let part = match field {
                "next" | "merge" => &mut last,
                _ => &mut first,
            };
            part.insert(field.to_owned(), value);
        }
    }
    first.extend(step);
    first.extend(last);
    first
}
