//! Collections: the kinds of workflow a claim goes through, what is added to it, and what is agreed about it.
//!
//! * `charges`: fees and interest, and the days on which neither accrues
//! * `contact`: contact data, and which of them are new
//! * `plan`: payment plans: which instalments are paid, and what comes next
//!
//! What a case does about it is for the token game; which rows say so, for the shell. Amounts are decimal throughout:
//! no digit is lost, and nothing is rounded but a charge, once.

pub mod charges;
pub mod contact;
pub mod plan;

use schemars::JsonSchema;
use serde::Deserialize;

/// What state of a claim a workflow stands for.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowKind {
    /// A rest before anything is asked for: no fees and no interest accrue in it.
    BreathingSpace,
    /// The debtor is asked to pay, in stages.
    MainOutreach,
    /// The debtor pays by instalments.
    PaymentPlan,
    /// Regular communication is suspended while something is looked into: a dispute, an investigation.
    OnHold,
    /// Another attempt, with contact data that have come since.
    Retry,
    /// Work of one's own that is no state of a claim.
    Process,
    /// Anything else.
    #[default]
    Custom,
}

impl WorkflowKind {
    /// The kind's name in documents and in wf.versions.
    pub fn name(self) -> &'static str {
        match self {
            WorkflowKind::BreathingSpace => "breathing_space",
            WorkflowKind::MainOutreach => "main_outreach",
            WorkflowKind::PaymentPlan => "payment_plan",
            WorkflowKind::OnHold => "on_hold",
            WorkflowKind::Retry => "retry",
            WorkflowKind::Process => "process",
            WorkflowKind::Custom => "custom",
        }
    }
}
