//! Steps that a person settles: task, call, question.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, Leg, Nature, StepKind, Then};
use crate::finding::Findings;

/// An outcome that a person may choose.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The outcome's name, as given to wf.complete.
    pub name: String,
    /// What people read.
    #[serde(default)]
    #[allow(dead_code, reason = "for people and programs that read the document")]
    pub label: Option<String>,
    /// The step it leads to; the step's `next` if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to"))]
    pub next: Option<String>,
}

macro_rules! work_kind {
    ($(#[$doc:meta])* $type:ident, $name:literal) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $type {
            /// The outcomes to choose from; only `done` if absent.
            #[serde(default)]
            pub outcomes: Vec<Choice>,
        }

        impl StepKind for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn nature(&self) -> Nature {
                Nature::Manual { due_required: true }
            }
            fn legs(&self) -> Vec<Leg> {
                if self.outcomes.is_empty() {
                    vec![Leg::next("done")]
                } else {
                    legs(&self.outcomes)
                }
            }
            fn check(&self, place: &str, findings: &mut Findings) {
                check_names(place, "outcome", &self.outcomes, findings);
            }
            fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
                Then::Task
            }
        }
    };
}

work_kind!(
    /// Work for a person.
    Task,
    "task"
);
work_kind!(
    /// A telephone call for a person to make.
    Call,
    "call"
);

/// A question that a person answers; the answer picks the branch and is kept in `answers`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The possible answers, each with the step it leads to.
    pub options: Vec<Choice>,
}

fn legs(choices: &[Choice]) -> Vec<Leg> {
    choices
        .iter()
        .map(|c| Leg {
            outcome: c.name.clone(),
            target: c.next.clone(),
            condition: None,
        })
        .collect()
}

fn check_names(place: &str, what: &str, choices: &[Choice], findings: &mut Findings) {
    for (i, choice) in choices.iter().enumerate() {
        if choice.name.trim().is_empty() {
            findings.error(
                place,
                format!("{what} {} has no name", i + 1),
                "Give it a name.",
            );
        }
        if choices[..i].iter().any(|other| other.name == choice.name) {
            findings.error(
                place,
                format!("{what} \"{}\" stands twice", choice.name),
                format!("Give each {what} a name of its own."),
            );
        }
    }
}

impl StepKind for Question {
    fn name(&self) -> &'static str {
        "question"
    }
    fn nature(&self) -> Nature {
        Nature::Manual {
            due_required: false,
        }
    }
    fn legs(&self) -> Vec<Leg> {
        legs(&self.options)
    }
    fn keeps_legs_apart(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check_names(place, "answer", &self.options, findings);
        if self.options.len() < 2 {
            findings.error(
                place,
                format!("the question has {} answer(s)", self.options.len()),
                "Give it at least two options, or make it a task.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}
