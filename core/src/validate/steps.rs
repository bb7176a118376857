//! Each step by itself: its name, what its kind requires and forbids, its conditions.

use std::collections::BTreeSet;

use super::{check_name, check_not_blank, step_place};
use crate::finding::Findings;
use crate::kinds::Nature;
use crate::program::{CompiledStep, Program};

/// The name under which wf.case_timeline and calls speak of the start of a planned case.
const RESERVED: &str = "start";

pub(super) fn check(program: &Program, findings: &mut Findings) {
    let twice: BTreeSet<&String> = program.duplicates.iter().collect();
    for name in twice {
        findings.error(
            step_place(name),
            "the name stands twice",
            "Give each step of the workflow a name of its own, over all phases.",
        );
    }
    for step in &program.steps {
        let place = step_place(&step.name);
        check_name(&place, "the step", &step.name, findings);
        if step.name == RESERVED {
            findings.error(
                &place,
                format!("\"{RESERVED}\" is the name of a case's own beginning"),
                "Give the step another name.",
            );
        }
        if step.description.as_deref().unwrap_or("").trim().is_empty() {
            findings.error(
                &place,
                "the description is missing",
                "Say in description what the step is for; people see it as the title of the task.",
            );
        }
        people(step, &place, findings);
        conditions(step, &place, findings);
        step.kind.check(&place, findings);
        for leg in &step.legs {
            leg_name(&place, &leg.outcome, findings);
        }
        if step.legs.is_empty() && step.next.is_some() && step.when.is_none() {
            findings.warning(
                &place,
                "the step has a next, but the case ends here",
                "Remove next, or give the step a condition in when.",
            );
        }
    }
}

/// Leg names become outcomes in history; the kinds themselves report missing and doubled ones.
fn leg_name(place: &str, name: &str, findings: &mut Findings) {
    if !name.trim().is_empty() {
        check_name(place, &format!("leg \"{name}\""), name, findings);
    }
}

/// Manual steps need somebody and a deadline; automatic ones have neither.
fn people(step: &CompiledStep, place: &str, findings: &mut Findings) {
    let kind = step.kind.name();
    match step.kind.nature() {
        Nature::Manual { due_required } => {
            if step.participant.as_deref().unwrap_or("").trim().is_empty() {
                findings.error(
                    place,
                    format!("a {kind} needs a participant"),
                    "Name in participant who works on it.",
                );
            }
            if due_required && step.due.is_none() {
                findings.error(
                    place,
                    format!("a {kind} needs a date"),
                    "Give its deadline in due, for example {\"anchor\": \"previous_done\", \"business_days\": 5}.",
                );
            }
        }
        Nature::Automatic => {
            if step.participant.is_some() {
                findings.error(
                    place,
                    format!("a {kind} is automatic and has no participant"),
                    "Remove participant, or make it a task.",
                );
            }
            if step.due.is_some() {
                findings.error(
                    place,
                    format!("a {kind} is automatic and has no deadline"),
                    "Say in on when it starts, and remove due; or make it a task.",
                );
            }
        }
    }
    if step.kind.waits_for_date() && step.on.is_none() {
        findings.error(
            place,
            format!("the {kind} has no date, so it waits for nothing"),
            "Say in on until when it waits, or remove the step.",
        );
    }
    if step.kind.joins().is_some() && step.on.is_some() {
        findings.error(
            place,
            format!("a {kind} goes on when its last branch has come, at no other time"),
            "Remove on; put a wait step after it if something has to happen later.",
        );
    }
}

fn conditions(step: &CompiledStep, place: &str, findings: &mut Findings) {
    check_not_blank(place, "when", step.when.as_deref(), findings);
    for leg in &step.legs {
        if leg
            .condition
            .as_deref()
            .is_some_and(|c| c.trim().is_empty())
        {
            findings.error(
                place,
                format!("the condition of leg \"{}\" is empty", leg.outcome),
                "Say when the leg is taken.",
            );
        }
    }
    for (field, sql, _) in step.kind.values() {
        check_not_blank(place, field, Some(sql), findings);
    }
    for (column, value) in step.kind.writes() {
        if column.trim().is_empty() {
            findings.error(
                place,
                "a column to set has no name",
                "Name the column in set.",
            );
        } else if value.trim().is_empty() {
            findings.error(
                place,
                format!("the expression for column \"{column}\" is empty"),
                "Give an SQL expression; null empties the column, '' sets an empty text.",
            );
        }
    }
}
