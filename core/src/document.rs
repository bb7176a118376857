//! The definition of a workflow as its author writes it: one JSON document for each version.
//!
//! This file says what stands in it; `read` makes one of a text. Whether the workflow makes sense is for `validate`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::calendar::Roll;
use crate::collections::WorkflowKind;
use crate::dates::DateRule;
use crate::guards::{Milestone, Section};
use crate::kinds::StepKind;
use crate::people::{Escalate, Link};
use crate::template::TemplateSource;
use crate::window::ContactWindow;

mod outage;
mod read;

pub use outage::{Outage, OutagePolicy};

/// The document format that this version reads and writes.
pub const FORMAT: u32 = 1;

/// How many steps a workflow may have; far more than anybody can follow, and checked in a moment.
pub const MAX_STEPS: usize = 1_000;

/// How long the text of a document may be, in bytes: a thousand steps, each with pages of text in several languages.
pub const MAX_BYTES: usize = 16 << 20;

/// How many legs the steps of a workflow may have in all: ten for each step, for the same reason.
pub const MAX_LEGS: usize = 10 * MAX_STEPS;

/// A workflow, as written.
#[derive(Debug)]
pub struct Document {
    pub head: Head,
    pub phases: Vec<Phase>,
}

/// Everything in the document but its phases.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of this format; 1.
    pub format: u32,
    /// Name of the workflow: unique in the database, and what every function takes.
    pub name: String,
    /// What state of a claim the workflow stands for; `custom` if absent.
    #[serde(default)]
    pub kind: WorkflowKind,
    /// Title for people.
    #[serde(default)]
    pub title: Option<String>,
    /// What the workflow is for.
    #[serde(default)]
    pub description: Option<String>,
    /// Catalogue data: a category.
    #[serde(default)]
    pub category: Option<String>,
    /// Catalogue data: who wrote it.
    #[serde(default)]
    pub author: Option<String>,
    /// Catalogue data: names of related workflows.
    #[serde(default)]
    pub related: Vec<String>,
    /// The bound subject (see wf.bind_subject) that each case is about.
    pub subject: String,
    /// How many rows of the subject a case may concern; one if absent.
    #[serde(default)]
    pub subjects: Subjects,
    /// How its cases get on with those of other workflows about the same rows; side by side if absent.
    #[serde(default)]
    pub runs: Runs,
    /// Time zone for rows that have none of their own.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Working calendar for rolls and business days; TARGET if absent.
    #[serde(default)]
    pub calendar: Option<String>,
    /// How a date on a closed day moves; `following` if absent.
    #[serde(default)]
    pub roll: Option<Roll>,
    /// When messages may leave, in the zone of the subject's row; at any time if absent.
    #[serde(default)]
    pub contact_window: Option<ContactWindow>,
    /// The contact policy (see wf.set_contact_policy) that says whether and when a person may be contacted; none if absent.
    #[serde(default)]
    pub contact_policy: Option<String>,
    /// What becomes of messages whose day has passed, because the engine was down or the case on hold; if absent, they go
    /// out one after the other as soon as they can.
    #[serde(default)]
    pub outage: Option<Outage>,
    /// Which rows get a case by themselves; none if absent (cases are then started with wf.start).
    #[serde(default)]
    pub start: Option<StartRule>,
    /// When a case ends by itself, checked on every change of the subject and before every step; first match counts.
    #[serde(default)]
    pub stop: Vec<StopRule>,
    /// Conditions without which a step, or a phase, does not go on.
    #[serde(default)]
    pub milestones: Vec<Milestone>,
    /// Steps in which one case is at a time.
    #[serde(default)]
    pub sections: Vec<Section>,
    /// What is owed on a row, for promises, payment plans, and the tolerance below which it counts as paid.
    #[serde(default)]
    pub money: Option<Money>,
    /// Where a case goes on when something is agreed or found out about its row.
    #[serde(default)]
    pub transitions: Transitions,
    /// Texts by name.
    #[serde(default)]
    pub templates: IndexMap<String, TemplateSource>,
}

/// How many rows of the subject a case may concern.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Subjects {
    /// One row each.
    #[default]
    One,
    /// One or several rows of one account. They may join and leave; a row of which a stop rule holds leaves by itself.
    Several,
    /// As `several`; and rows that the start rule takes join the open case of their account, or begin one together.
    Account,
}

/// How a workflow's cases get on with those of other workflows about the same rows.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// Beside any other. While it runs, a row's default strategy rests.
    #[default]
    Parallel,
    /// A row is in one exclusive case at a time. While it runs, the row's default strategy rests.
    Exclusive,
    /// Beside any other, the row's default strategy included.
    Side,
    /// It is a default strategy: it runs where wf.set_strategy says so, and rests while the row is in another case.
    Strategy,
}

/// Which rows of the subject get a case by themselves, and when it starts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRule {
    /// SQL condition over the subject's details.
    pub when: String,
    /// When the case starts; at once if absent.
    #[serde(default)]
    pub on: Option<DateRule>,
    /// A workflow that comes before this one: while it is on, no row starts here, for its cases continue with this.
    #[serde(default)]
    pub without: Option<String>,
    /// Starts when contact data come that the row had not before, once another workflow has ended in vain; for each such
    /// data anew.
    #[serde(default)]
    pub retries: Option<Retries>,
    /// What to do for a row that comes after its start date.
    #[serde(default)]
    pub late: Late,
    /// Whether a subject that had a case may get another one.
    #[serde(default)]
    pub again: Again,
}

/// What a retry comes after.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// The workflow that has ended in vain.
    pub workflow: String,
    /// The outcome that says so.
    pub outcome: String,
}

/// What to do for a row that comes after its start date.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// Start at once, at the first step.
    #[default]
    Now,
    /// Enter at the first step whose date is still ahead.
    Skip,
    /// Make a task that asks.
    Ask,
}

/// Whether a subject that had a case may get another one from the start rule.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// Yes, if a stop rule ended the earlier ones (a payment that was reversed).
    #[default]
    AfterStop,
    /// No.
    Never,
}

/// What is owed on a row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// What is still open; SQL expression over the subject's details, such as `open_amount`.
    pub open: String,
    /// The currency; SQL expression, such as the column's name or `'EUR'`.
    #[serde(default)]
    pub currency: Option<String>,
    /// When no more than this is open the case ends as paid; SQL expression, such as `5`.
    #[serde(default)]
    pub tolerance: Option<String>,
    /// How many business days after its date a promise may still be kept, unless wf.promise says otherwise; 0 if absent.
    #[serde(default)]
    pub grace: u16,
}

/// Where a case goes on when something is agreed or found out about its row.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transitions {
    /// The workflow of the payment plan that wf.agree_plan starts; this case ends with that.
    #[serde(default)]
    pub commitment: Option<String>,
    /// The workflow that looks into a dispute, beside this case, which is on hold meanwhile.
    #[serde(default)]
    pub dispute: Option<String>,
}

/// When a case ends by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRule {
    /// SQL condition over the subject's details, `vars` and `answers`.
    pub when: String,
    /// The reason that the cancelled case shows, e.g. `paid`.
    pub reason: String,
}

/// A named group of steps.
#[derive(Debug)]
pub struct Phase {
    pub name: String,
    pub steps: Vec<Step>,
}

/// A step: what all kinds have in common, and the kind's own fields.
#[derive(Debug)]
pub struct Step {
    pub common: Common,
    pub kind: Box<dyn StepKind>,
}

/// The fields that every kind of step has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Common {
    /// Unique in the workflow.
    pub name: String,
    /// What kind of step it is.
    pub kind: String,
    /// What the step is for; people see it as the task's title.
    #[serde(default)]
    pub description: Option<String>,
    /// When the step starts (a message goes out, a task appears); at once if absent.
    #[serde(default)]
    pub on: Option<DateRule>,
    /// Manual steps: the deadline.
    #[serde(default)]
    pub due: Option<DateRule>,
    /// Manual steps: who works on it.
    #[serde(default)]
    pub participant: Option<String>,
    /// Manual steps: a second participant, who may settle it as well.
    #[serde(default)]
    pub second: Option<String>,
    /// Manual steps: links that are shown with the task.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Manual steps: who is told, and may settle it as well, when the deadline has passed.
    #[serde(default)]
    pub escalate: Option<Escalate>,
    /// Manual steps: whether the participant is alerted when the task appears; without it, it only stands in the
    /// worklist.
    #[serde(default)]
    pub notify: bool,
    /// SQL condition over the subject's details, `vars` and `answers`: the step is skipped unless it is true.
    #[serde(default)]
    pub when: Option<String>,
    /// The step that follows; the next one in the document if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to"))]
    pub next: Option<String>,
    /// Says that several answers of a question meet here on purpose.
    #[serde(default)]
    pub merge: bool,
}

/// The names of the fields of `Common`, to tell them from the kind's own.
pub(crate) const COMMON_FIELDS: [&str; 13] = [
    "name",
    "kind",
    "description",
    "on",
    "due",
    "participant",
    "second",
    "links",
    "escalate",
    "notify",
    "when",
    "next",
    "merge",
];

impl Document {
    /// All steps in document order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.phases.iter().flat_map(|p| p.steps.iter())
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
