//! The inclusive decision: a token goes out on every leg whose condition holds.

use schemars::JsonSchema;
use serde::Deserialize;

use super::control::{Case, OTHERWISE, check_leg_names, conditional_legs};
use super::{Firing, Leg, StepKind, Then};
use crate::finding::Findings;

/// Takes every leg whose condition is true, all at once; its join waits for exactly those.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inclusive {
    /// The branches, each with its condition.
    pub legs: Vec<Case>,
    /// The branch to take when no condition is true; it may be the join itself.
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "otherwise"))]
    pub otherwise: String,
}

impl StepKind for Inclusive {
    fn name(&self) -> &'static str {
        "inclusive"
    }
    fn legs(&self) -> Vec<Leg> {
        conditional_legs(&self.legs, Some(&self.otherwise))
    }
    fn conditions(&self) -> Vec<&str> {
        self.legs.iter().map(|leg| leg.when.as_str()).collect()
    }
    fn forks(&self) -> bool {
        true
    }
    fn forks_by_condition(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.legs.len() < 2 {
            findings.error(
                place,
                format!("the inclusive decision has {} leg(s)", self.legs.len()),
                "Give it at least two legs, or make it a decision.",
            );
        }
        check_leg_names(place, &self.legs, findings);
        let targets = self.legs.iter().map(|leg| &leg.next);
        let targets: Vec<&String> = targets.chain([&self.otherwise]).collect();
        for (i, target) in targets.iter().enumerate() {
            if targets[..i].contains(target) {
                findings.error(
                    place,
                    format!("two of its legs lead to \"{target}\""),
                    "Let each leg lead to a step of its own; the tokens meet at the join.",
                );
            }
        }
    }
    fn fire<'a>(&'a self, firing: &Firing<'_>) -> Then<'a> {
        let holding = self.legs.iter().zip(firing.conditions);
        let mut taken: Vec<&str> = holding
            .filter(|(_, holds)| **holds)
            .map(|(leg, _)| leg.name.as_str())
            .collect();
        if taken.is_empty() {
            taken.push(OTHERWISE);
        }
        Then::Split(taken)
    }
}
