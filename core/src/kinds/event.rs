//! Buttons, and the events that they bring about: an event and the steps after it are a stage.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Firing, Leg, Nature, StepKind, Then};

/// A button for a person to push: the case goes on when it has been pushed, with the event of that.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// What stands on the button; the step's name if absent.
    #[serde(default)]
    #[allow(dead_code, reason = "for people and programs that read the document")]
    pub label: Option<String>,
}

/// What has happened, and begins a stage: a button was pushed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The button whose push it stands for, and which alone leads to it.
    #[schemars(extend("x-step" = "belongs-to"))]
    pub button: String,
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
        Some(&self.button)
    }
    fn begins_stage(&self) -> bool {
        true
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Done("done")
    }
}
