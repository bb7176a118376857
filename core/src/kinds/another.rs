//! Steps that start a case of another workflow for the same row: start_workflow (and go on), continue_with (and end).

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, Leg, StepKind, Then};
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
            ends: false,
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
            ends: true,
        }
    }
}
