//! What is wrong with a workflow, all of it at once: everything that can be said without a database.
//!
//! * `head`: the workflow itself, its rules and phases    * `steps`: each step by itself
//! * `dates`: date rules and their anchors                * `texts`: templates
//! * `collections`: money, and what kinds of workflow ask for
//! * `people`: who works on steps, who approves, who is told
//! * `flow`: where tokens go, and whether they arrive     * `cycles`: loops without end, cases without end
//! * `branches`: answers that cross (`crossing`)          * `parallel`: branches and their joins (`nesting`)
//! * `guards`: milestones
//! * `races`: steps that wait side by side
//! * `graph`, `paths`: the steps as a graph, and the ways through it that findings show
//! * `companions`: buttons and the events that they bring about
//! * `uses`: what the definition asks of the subject, for the shell, which has the catalogue to check it against

mod branches;
mod collections;
mod companions;
mod crossing;
mod cycles;
mod dates;
mod flow;
mod graph;
mod guards;
mod head;
mod nesting;
mod parallel;
mod paths;
mod people;
mod races;
mod steps;
mod texts;
mod uses;

#[cfg(test)]
mod tests;

use crate::finding::Findings;
use crate::names::did_you_mean;
use crate::program::Program;
use graph::Graph;

pub use uses::{ColumnUse, SqlScope, SqlText, SubjectColumn, sql_texts, subject_columns};

/// The longest name of a workflow, phase, step, answer or template, in characters.
pub const MAX_NAME: usize = 63;

/// Everything that is wrong with a workflow as far as its document alone tells. Columns, conditions, calendars and
/// zones are for the shell (see `subject_columns` and `sql_texts`). Only a workflow without error findings may be
/// published.
#[must_use]
pub fn validate(program: &Program) -> Findings {
    let mut findings = Findings::default();
    head::check(program, &mut findings);
    steps::check(program, &mut findings);
    guards::check(program, &mut findings);
    people::check(program, &mut findings);
    collections::check(program, &mut findings);
    texts::check(program, &mut findings);
    if !program.steps.is_empty() {
        let graph = Graph::new(program);
        let nesting = parallel::nesting(&graph);
        dates::check(&graph, &nesting, &mut findings);
        flow::check(&graph, &mut findings);
        cycles::check(&graph, &mut findings);
        branches::check(&graph, &mut findings);
        companions::check(&graph, &mut findings);
        races::check(&graph, &mut findings);
        parallel::check(&graph, &nesting, &mut findings);
    }
    findings
}

/// How findings name a step.
fn step_place(name: &str) -> String {
    format!("step \"{name}\"")
}

/// Names in quotes: `"a", "b" and "c"`.
fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().map(|n| format!("\"{n}\"")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// The hint for a name that names nothing: what may have been meant, or else what to do.
fn hint_for<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    did_you_mean(wanted, known).unwrap_or_else(|| otherwise.to_owned())
}

/// Names that nobody can type, read or store.
pub(crate) fn check_name(place: &str, what: &str, name: &str, findings: &mut Findings) {
    if name.trim().is_empty() {
        findings.error(
            place,
            format!("the name of {what} is empty"),
            "Give it a name.",
        );
        return;
    }
    if name.chars().any(char::is_control) {
        findings.error(
            place,
            format!("the name of {what} contains a control character"),
            "Use letters, digits, punctuation and blanks only.",
        );
    }
    if name.trim() != name {
        findings.error(
            place,
            format!("the name of {what} begins or ends with a blank"),
            "Leave the blank out; people who type the name cannot see it.",
        );
    }
    let length = name.chars().count();
    if length > MAX_NAME {
        findings.error(
            place,
            format!("the name of {what} has {length} characters"),
            format!("Use at most {MAX_NAME}; longer texts go into title, label or description."),
        );
    }
}

/// An optional text that, if given, has to say something.
fn check_not_blank(place: &str, field: &str, text: Option<&str>, findings: &mut Findings) {
    if text.is_some_and(|t| t.trim().is_empty()) {
        findings.error(
            place,
            format!("{field} is empty"),
            format!("Give {field} a value, or leave the field out."),
        );
    }
}
