//! Steps that concern people and need none: notify (somebody is alerted), assign (who stands in for a participant).

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, StepKind, Then};
use crate::finding::Findings;

/// Alerts a participant. The alert waits in wf.alerts until an application takes it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The participant to alert; placeholders as in templates, so that a column of the subject may name somebody.
    pub to: String,
    /// What the alert says; placeholders as in templates.
    pub text: String,
}

/// From now on somebody stands in for a participant: later manual steps that name it go to them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assign {
    /// The participant as manual steps name it, e.g. `specialist`.
    #[serde(rename = "as")]
    pub role: String,
    /// The participant who takes the work; placeholders as in templates, so that a column of the subject may name
    /// somebody.
    pub to: String,
    /// Where it counts; in the case if absent.
    #[serde(default)]
    pub scope: Scope,
}

/// Where an assignment counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// In this case.
    #[default]
    Case,
    /// In all cases of the account, those to come included.
    Account,
}

fn not_blank(place: &str, field: &str, text: &str, findings: &mut Findings) {
    if text.trim().is_empty() {
        findings.error(
            place,
            format!("{field} is empty"),
            format!("Say in {field} who it is."),
        );
    }
}

impl StepKind for Notify {
    fn name(&self) -> &'static str {
        "notify"
    }
    fn inline_texts(&self) -> Vec<&str> {
        vec![&self.to, &self.text]
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        not_blank(place, "to", &self.to, findings);
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Notify
    }
}

impl StepKind for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }
    fn inline_texts(&self) -> Vec<&str> {
        vec![&self.to]
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        not_blank(place, "as", &self.role, findings);
        not_blank(place, "to", &self.to, findings);
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Assign {
            participant: &self.role,
            account: self.scope == Scope::Account,
        }
    }
}
