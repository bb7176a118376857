//! A step about the default strategies of the case's rows.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, StepKind, Then};
use crate::strategy::Verb;

/// Pauses, resumes or stops the default strategy of each of the case's rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// `pause`, `resume` where it was paused, or `stop` for good.
    #[serde(rename = "do")]
    pub verb: Verb,
}

impl StepKind for Strategy {
    fn name(&self) -> &'static str {
        "strategy"
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Strategy(self.verb)
    }
}
