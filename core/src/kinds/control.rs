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

/// Waits until the branches of a parallel step or an inclusive decision have come.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// The parallel step or inclusive decision whose branches meet here.
    #[schemars(extend("x-step" = "belongs-to"))]
    pub of: String,
    /// How many branches have to come; what the others are still at is then withdrawn. All of them if absent; 1: the
    /// first one.
    #[serde(default)]
    pub need: Option<u16>,
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
pub(super) const OTHERWISE: &str = "otherwise";

/// The legs of a step that decides by conditions: the named ones, then the one for when none holds.
pub(super) fn conditional_legs(legs: &[Case], otherwise: Option<&str>) -> Vec<Leg> {
    let named = legs.iter().map(|leg| Leg {
        outcome: leg.name.clone(),
        target: Some(leg.next.clone()),
        condition: Some(leg.when.clone()),
    });
    let otherwise = Leg {
        outcome: OTHERWISE.to_owned(),
        target: otherwise.map(str::to_owned),
        condition: None,
    };
    named.chain([otherwise]).collect()
}

/// Findings about legs without a name, or whose name another one has, or the one for when none holds.
pub(super) fn check_leg_names(place: &str, legs: &[Case], findings: &mut Findings) {
    for (i, leg) in legs.iter().enumerate() {
        if leg.name.trim().is_empty() {
            findings.error(
                place,
                format!("leg {} has no name", i + 1),
                "Give it a name; it stands in the history of the cases that take it.",
            );
        }
        if leg.name == OTHERWISE || legs[..i].iter().any(|other| other.name == leg.name) {
            findings.error(
                place,
                format!("leg \"{}\" stands twice", leg.name),
                format!("Give each leg a name of its own; \"{OTHERWISE}\" is taken."),
            );
        }
    }
}

impl StepKind for Decision {
    fn name(&self) -> &'static str {
        "decision"
    }
    fn legs(&self) -> Vec<Leg> {
        conditional_legs(&self.legs, self.otherwise.as_deref())
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
        check_leg_names(place, &self.legs, findings);
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
    fn needs(&self) -> Option<usize> {
        self.need.map(usize::from)
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
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.outcome.trim().is_empty() {
            findings.error(
                place,
                "outcome is empty",
                "Say in outcome what the case has come to, or leave it out.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::End {
            outcome: &self.outcome,
        }
    }
}
