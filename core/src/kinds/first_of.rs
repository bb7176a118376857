//! The deferred choice: several steps wait side by side, and whichever is over first decides where the case goes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, Leg, StepKind, Then};
use crate::finding::Findings;

/// Lets several steps wait at once: events, waits, tasks, questions, buttons. The first one that is over goes on to what
/// follows it; the others are withdrawn.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirstOf {
    /// The steps that wait side by side.
    #[schemars(extend("x-step" = "leads-to"))]
    pub branches: Vec<String>,
}

impl StepKind for FirstOf {
    fn name(&self) -> &'static str {
        "first_of"
    }
    fn legs(&self) -> Vec<Leg> {
        self.branches
            .iter()
            .map(|branch| Leg::to(branch, branch))
            .collect()
    }
    fn lets_legs_race(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.branches.len() < 2 {
            findings.error(
                place,
                format!("there are {} step(s) to wait for", self.branches.len()),
                "Name at least two steps in branches.",
            );
        }
        for (i, branch) in self.branches.iter().enumerate() {
            if self.branches[..i].contains(branch) {
                findings.error(
                    place,
                    format!("branch \"{branch}\" stands twice"),
                    "Name each step once.",
                );
            }
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Fork
    }
}
