//! The step that a payment plan stands on: it waits for what comes next in the plan.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, Leg, StepKind, Then};
use crate::finding::Findings;

/// Waits for what comes next in a payment plan: a reminder before an instalment is due, which goes on with the step's
/// `next`; an instalment that is overdue; the end. Let what follows lead back here.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Instalments {
    /// How many days before an instalment is due the debtor is reminded; 3 if absent.
    #[serde(default = "three")]
    pub remind_before: u16,
    /// How many business days after its day an instalment is overdue; 0 if absent: when that day is over.
    #[serde(default)]
    pub grace: u16,
    /// The step to go to when an instalment is overdue, once for each.
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "overdue"))]
    pub overdue: String,
    /// The step to go to when every instalment is paid.
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "kept"))]
    pub kept: String,
    /// The step to go to when the plan is broken. Without it a plan is never broken.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "broken"))]
    pub broken: Option<String>,
    /// With so many instalments overdue the plan is broken; 2 if absent.
    #[serde(default = "two")]
    pub broken_at: u16,
    /// The step to go to when the plan has been changed.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "updated"))]
    pub updated: Option<String>,
}

fn two() -> u16 {
    2
}

fn three() -> u16 {
    3
}

impl StepKind for Instalments {
    fn name(&self) -> &'static str {
        "instalments"
    }
    fn legs(&self) -> Vec<Leg> {
        let broken = self.broken.iter().map(|to| Leg::to("broken", to));
        let updated = self.updated.iter().map(|to| Leg::to("updated", to));
        [
            Leg::next("remind"),
            Leg::to("overdue", &self.overdue),
            Leg::to("kept", &self.kept),
        ]
        .into_iter()
        .chain(broken)
        .chain(updated)
        .collect()
    }
    fn wants_open_amount(&self) -> bool {
        true
    }
    fn watches_subject(&self) -> bool {
        true
    }
    fn paces_itself(&self) -> bool {
        true
    }
    fn begins_stage(&self) -> bool {
        true
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.broken_at == 0 {
            findings.error(
                place,
                "broken_at is 0, so that every plan is broken",
                "Let broken_at be 1 or more, or leave broken out.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Instalments(self)
    }
}
