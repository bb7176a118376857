//! What surrounds steps, as authors write it: milestones, without which steps do not go on, and sections, in which one case
//! is at a time. They stand in the workflow's head and name the steps; the steps know nothing of them.

use schemars::JsonSchema;
use serde::Deserialize;

/// A condition without which a step, or all of a phase, does not go on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Milestone {
    /// SQL condition over the subject's details, `vars` and `answers`. Looked at when a case comes to the step, before the
    /// step does anything, and whenever one of these changes.
    #[serde(rename = "while")]
    pub holds: String,
    /// The step that it is about.
    #[serde(default)]
    #[schemars(extend("x-step" = "belongs-to"))]
    pub step: Option<String>,
    /// The phase that it is about, instead of one step.
    #[serde(default)]
    pub phase: Option<String>,
    /// Where the case goes when the condition no longer holds: a step that this milestone is not about.
    #[schemars(extend("x-step" = "leads-to"))]
    pub otherwise: String,
    /// What history says then; the condition if absent.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Steps in which one case is at a time; others wait outside and come in in order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its name. Workflows that name the same section share it.
    pub name: String,
    /// The steps that lie in it.
    #[schemars(extend("x-step" = "belongs-to"))]
    pub steps: Vec<String>,
    /// Among whom one is inside at a time.
    #[serde(default)]
    pub per: Per,
}

/// Among whom one case is inside a section at a time.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// The cases about the same row.
    #[default]
    Subject,
    /// The cases of the same account; of the same row, for one without an account.
    Account,
}
