//! Steps that steer the tokens: decision, wait, parallel, join, repeat, finish.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, Leg, StepKind, Then};
use crate::finding::Findings;

/// Takes the first leg whose condition is true.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Tried in order.
    pub legs: Vec<Case>,
    /// The step to go to when no condition is true; the step's `next` if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "otherwise"))]
    pub otherwise: Option<String>,
}

/// A leg of a decision.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The leg's name, as it stands in history.
    pub name: String,
    /// SQL condition over the subject's details, `vars` and `answers`.
    pub when: String,
    /// The step it leads to.
    #[schemars(extend("x-step" = "leads-to"))]
    pub next: String,
}

/// Waits until the date in `on`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {}

/// Starts several branches at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parallel {
    /// The first step of each branch.
    #[schemars(extend("x-step" = "leads-to"))]
    pub branches: Vec<String>,
}

/// Waits until every branch of a parallel step has come.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The parallel step whose branches meet here.
    #[schemars(extend("x-step" = "belongs-to"))]
    pub of: String,
}

/// Goes back to an earlier step, a bounded number of times.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The step to visit again.
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "again"))]
    pub back_to: String,
    /// How often that step may be visited in all.
    pub max_visits: u32,
    /// The step to go to when the visits are used up.
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "exhausted"))]
    pub exhausted: String,
}

/// Completes the case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// The outcome of the case; `completed` if absent.
    #[serde(default = "completed")]
    pub outcome: String,
}

fn completed() -> String {
    "completed".to_owned()
}

/// A decision's leg when nothing matched.
const OTHERWISE: &str = "otherwise";

impl StepKind for Decision {
    fn name(&self) -> &'static str {
        "decision"
    }
    fn legs(&self) -> Vec<Leg> {
        let named = self.legs.iter().map(|leg| Leg {
            outcome: leg.name.clone(),
            target: Some(leg.next.clone()),
            condition: Some(leg.when.clone()),
        });
        let otherwise = Leg {
            outcome: OTHERWISE.to_owned(),
            target: self.otherwise.clone(),
            condition: None,
        };
        named.chain([otherwise]).collect()
    }
    fn conditions(&self) -> Vec<&str> {
        self.legs.iter().map(|leg| leg.when.as_str()).collect()
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.legs.is_empty() {
            findings.error(
                place,
                "the decision has no legs",
                "Give it at least one leg.",
            );
        }
        for (i, leg) in self.legs.iter().enumerate() {
            if leg.name == OTHERWISE || self.legs[..i].iter().any(|other| other.name == leg.name) {
                findings.error(
                    place,
                    format!("leg \"{}\" stands twice", leg.name),
                    format!("Give each leg a name of its own; \"{OTHERWISE}\" is taken."),
                );
            }
        }
    }
    fn fire<'a>(&'a self, firing: &Firing<'_>) -> Then<'a> {
        let taken = self
            .legs
            .iter()
            .zip(firing.conditions)
            .find(|(_, holds)| **holds);
        Then::Done(taken.map_or(OTHERWISE, |(leg, _)| &leg.name))
    }
}

impl StepKind for Wait {
    fn name(&self) -> &'static str {
        "wait"
    }
    fn waits_for_date(&self) -> bool {
        true
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Done("done")
    }
}

impl StepKind for Parallel {
    fn name(&self) -> &'static str {
        "parallel"
    }
    fn legs(&self) -> Vec<Leg> {
        self.branches
            .iter()
            .map(|branch| Leg::to(branch, branch))
            .collect()
    }
    fn forks(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.branches.len() < 2 {
            findings.error(
                place,
                format!("the parallel step has {} branch(es)", self.branches.len()),
                "Give it at least two branches.",
            );
        }
        for (i, branch) in self.branches.iter().enumerate() {
            if self.branches[..i].contains(branch) {
                findings.error(
                    place,
                    format!("branch \"{branch}\" stands twice"),
                    "Let each branch start at a step of its own.",
                );
            }
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Fork
    }
}

impl StepKind for Join {
    fn name(&self) -> &'static str {
        "join"
    }
    fn joins(&self) -> Option<&str> {
        Some(&self.of)
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Join
    }
}

impl StepKind for Repeat {
    fn name(&self) -> &'static str {
        "repeat"
    }
    fn legs(&self) -> Vec<Leg> {
        vec![
            Leg::to("again", &self.back_to),
            Leg::to("exhausted", &self.exhausted),
        ]
    }
    fn bounds_a_loop(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.max_visits < 2 || self.max_visits > 1000 {
            findings.error(
                place,
                format!("max_visits is {}", self.max_visits),
                "Let max_visits be between 2 and 1000; it counts the first visit too.",
            );
        }
    }
    fn fire<'a>(&'a self, firing: &Firing<'_>) -> Then<'a> {
        let again = (firing.visits)(&self.back_to) < self.max_visits;
        Then::Done(if again { "again" } else { "exhausted" })
    }
}

impl StepKind for Finish {
    fn name(&self) -> &'static str {
        "finish"
    }
    fn legs(&self) -> Vec<Leg> {
        Vec::new()
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::End {
            outcome: &self.outcome,
        }
    }
}
