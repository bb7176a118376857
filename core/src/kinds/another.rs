//! Steps that start a case of another workflow for the same row: start_workflow (and go on), continue_with (and end),
//! sub_workflow (and wait for its end); and for each of the case's rows: for_each.

use schemars::JsonSchema;
use serde::Deserialize;

use super::manual::Choice;
use super::{Afterwards, Firing, Leg, StepKind, Then, results};
use crate::finding::Findings;

/// The most links that a chain of cases may have by one workflow.
const MOST: u16 = 1000;

/// Starts a case of another workflow for the same row, linked to this one, and goes on at once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The name of the workflow. It is looked for when the step is reached.
    pub workflow: String,
    /// How often cases of this workflow may start others in one chain of linked cases.
    #[serde(default = "ten")]
    pub limit: u16,
}

/// Completes the case and starts one of another workflow for the same row, linked to this one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Continue {
    /// The name of the workflow. It is looked for when the step is reached.
    pub workflow: String,
    /// How often cases of this workflow may be continued in one chain of linked cases; then it ends with the outcome
    /// `continue limit`.
    #[serde(default = "ten")]
    pub limit: u16,
}

/// Starts a case of another workflow for the same row and waits until that has ended. If this step or its case is
/// withdrawn, so is the other case; while this case is on hold, so is that one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubWorkflow {
    /// The name of the workflow. It is looked for when the step is reached.
    pub workflow: String,
    /// Outcomes of the other case, each with the step it leads to; all of them go on with `next` if absent.
    #[serde(default)]
    pub outcomes: Vec<Choice>,
    /// The step to go to after any other outcome; the step's `next` if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "otherwise"))]
    pub otherwise: Option<String>,
    /// The other case's `vars` that this case takes over, by name.
    #[serde(default)]
    pub take: Vec<String>,
}

/// Starts a case of another workflow for each row that this case concerns, and waits until all of them have ended, or as
/// many as it needs. They are withdrawn and held as that of a sub_workflow.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForEach {
    /// The name of the workflow. It is looked for when the step is reached.
    pub workflow: String,
    /// How many of the cases have to end; the others are then withdrawn. All of them if absent.
    #[serde(default)]
    pub need: Option<u16>,
}

fn ten() -> u16 {
    10
}

fn check(place: &str, workflow: &str, limit: u16, findings: &mut Findings) {
    if workflow.trim().is_empty() {
        findings.error(place, "workflow is empty", "Name the workflow to start.");
    }
    if !(1..=MOST).contains(&limit) {
        findings.error(
            place,
            format!("limit is {limit}"),
            format!("Let limit be between 1 and {MOST}."),
        );
    }
}

impl StepKind for Start {
    fn name(&self) -> &'static str {
        "start_workflow"
    }
    fn workflow(&self) -> Option<&str> {
        Some(&self.workflow)
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check(place, &self.workflow, self.limit, findings);
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::StartAnother {
            workflow: &self.workflow,
            limit: self.limit,
            afterwards: Afterwards::GoesOn,
        }
    }
}

impl StepKind for Continue {
    fn name(&self) -> &'static str {
        "continue_with"
    }
    fn workflow(&self) -> Option<&str> {
        Some(&self.workflow)
    }
    fn legs(&self) -> Vec<Leg> {
        Vec::new()
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check(place, &self.workflow, self.limit, findings);
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::StartAnother {
            workflow: &self.workflow,
            limit: self.limit,
            afterwards: Afterwards::Ends,
        }
    }
}

impl StepKind for SubWorkflow {
    fn name(&self) -> &'static str {
        "sub_workflow"
    }
    fn legs(&self) -> Vec<Leg> {
        results::legs(&self.outcomes, self.otherwise.as_deref())
    }
    fn workflow(&self) -> Option<&str> {
        Some(&self.workflow)
    }
    fn awaits_cases(&self) -> bool {
        true
    }
    fn leg_of<'a>(&'a self, outcome: &'a str) -> &'a str {
        results::leg_of(&self.outcomes, outcome)
    }
    fn takes(&self) -> &[String] {
        &self.take
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check(place, &self.workflow, 1, findings);
        let otherwise = self.otherwise.as_deref();
        results::check(place, "outcomes", &self.outcomes, otherwise, findings);
        if self.take.iter().any(|name| name.trim().is_empty()) {
            findings.error(
                place,
                "a name in take is empty",
                "Name the vars to take over, or leave take out.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::StartAnother {
            workflow: &self.workflow,
            limit: 0,
            afterwards: Afterwards::Waits,
        }
    }
}

impl StepKind for ForEach {
    fn name(&self) -> &'static str {
        "for_each"
    }
    fn workflow(&self) -> Option<&str> {
        Some(&self.workflow)
    }
    fn awaits_cases(&self) -> bool {
        true
    }
    fn leg_of<'a>(&'a self, _: &'a str) -> &'a str {
        "done"
    }
    fn needs_cases(&self) -> Option<u16> {
        self.need
    }
    fn for_each(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check(place, &self.workflow, 1, findings);
        if self.need == Some(0) {
            findings.error(
                place,
                "need is 0",
                "Say how many cases it waits for, or leave need out to wait for all.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::StartAnother {
            workflow: &self.workflow,
            limit: 0,
            afterwards: Afterwards::WaitsForEach,
        }
    }
}
