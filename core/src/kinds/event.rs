//! Buttons, and events: an event and the steps after it are a stage. An event is that a button was pushed, that a
//! signal has come, that something holds of the subject, or that a moment has come.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Firing, Leg, Nature, StepKind, Then};
use crate::finding::Findings;

/// A button for a person to push: the case goes on when it has been pushed, with the event of that.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// What stands on the button; the step's name if absent.
    #[serde(default)]
    #[allow(dead_code, reason = "for people and programs that read the document")]
    pub label: Option<String>,
}

/// What has happened, and begins a stage: one of button, signal and until says what; without any, the date in `on`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The button whose push it stands for, and which alone leads to it.
    #[schemars(extend("x-step" = "belongs-to"))]
    #[serde(default)]
    pub button: Option<String>,
    /// The signal to wait for, by the name that wf.signal gives. One that has come before is kept until then.
    #[serde(default)]
    pub signal: Option<String>,
    /// SQL condition over the subject's details, `vars` and `answers`: the event has happened once it is true. Looked at
    /// when the step begins and whenever one of these changes.
    #[serde(default)]
    pub until: Option<String>,
}

/// The step that comes with a button of this name, when a person adds one.
pub fn event_of_button(button: &str) -> Map<String, Value> {
    let event = json!({
        "name": format!("{button} pushed"),
        "kind": "event",
        "description": format!("Button \"{button}\" was pushed"),
        "button": button,
    });
    match event {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

impl StepKind for Button {
    fn name(&self) -> &'static str {
        "button"
    }
    fn nature(&self) -> Nature {
        Nature::Manual {
            due_required: false,
        }
    }
    fn legs(&self) -> Vec<Leg> {
        vec![Leg::next("pushed")]
    }
    fn brings_event(&self) -> bool {
        true
    }
    // It is the last of the actions of a stage; the next one begins when it is pushed.
    fn begins_stage(&self) -> bool {
        false
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}

impl StepKind for Event {
    fn name(&self) -> &'static str {
        "event"
    }
    fn event_of(&self) -> Option<&str> {
        self.button.as_deref()
    }
    fn signal(&self) -> Option<&str> {
        self.signal.as_deref()
    }
    fn conditions(&self) -> Vec<&str> {
        self.until.as_deref().into_iter().collect()
    }
    fn watches_subject(&self) -> bool {
        self.until.is_some()
    }
    fn waits_for_date(&self) -> bool {
        self.button.is_none() && self.signal.is_none() && self.until.is_none()
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        let given = [
            ("button", &self.button),
            ("signal", &self.signal),
            ("until", &self.until),
        ];
        let given: Vec<_> = given
            .into_iter()
            .filter_map(|(field, text)| text.as_ref().map(|text| (field, text)))
            .collect();
        if given.len() > 1 {
            let fields: Vec<_> = given.iter().map(|(field, _)| *field).collect();
            findings.error(
                place,
                format!("the event waits for several things: {}", fields.join(", ")),
                "Keep one of them; for whichever comes first, use a first_of step with an event for each.",
            );
        }
        for (field, text) in given {
            if text.trim().is_empty() {
                findings.error(
                    place,
                    format!("{field} is empty"),
                    format!("Give {field} a value, or leave the field out."),
                );
            }
        }
    }
    fn begins_stage(&self) -> bool {
        true
    }
    fn fire<'a>(&'a self, firing: &Firing<'_>) -> Then<'a> {
        match &self.signal {
            Some(signal) => Then::Listen(signal),
            None if self.until.is_some() && !firing.conditions.contains(&true) => Then::LookAgain,
            None => Then::Done("done"),
        }
    }
}
