//! A step that calls an SQL function.

use schemars::JsonSchema;
use serde::Deserialize;

use super::manual::Choice;
use super::{Call, Firing, Leg, StepKind, Then, results};
use crate::finding::Findings;

/// Has the database work out an SQL expression for the case, such as a call of a function, as the workflow's owner.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sql {
    /// One SQL expression over the subject's details, `vars` and `answers`, e.g. `shop.block(customer_id, 'dunning')`.
    pub call: String,
    /// The name in the case's `vars` that takes the result.
    #[serde(default)]
    pub into: Option<String>,
    /// Results, as text, each with the step it leads to; all of them go on with `next` if absent.
    #[serde(default)]
    pub outcomes: Vec<Choice>,
    /// The step to go to after any other result, null included; the step's `next` if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "otherwise"))]
    pub otherwise: Option<String>,
}

impl StepKind for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }
    fn legs(&self) -> Vec<Leg> {
        results::legs(&self.outcomes, self.otherwise.as_deref())
    }
    fn call(&self) -> Option<Call<'_>> {
        Some(Call {
            sql: &self.call,
            into: self.into.as_deref(),
        })
    }
    fn leg_of<'a>(&'a self, outcome: &'a str) -> &'a str {
        results::leg_of(&self.outcomes, outcome)
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.call.trim().is_empty() {
            findings.error(
                place,
                "call is empty",
                "Write one SQL expression, such as a call of a function.",
            );
        }
        if self
            .into
            .as_deref()
            .is_some_and(|name| name.trim().is_empty())
        {
            findings.error(
                place,
                "into is empty",
                "Name the var that takes the result, or leave into out.",
            );
        }
        let otherwise = self.otherwise.as_deref();
        results::check(place, "results", &self.outcomes, otherwise, findings);
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Call
    }
}
