//! The workflow itself: names, rules for starting and stopping, phases.

use std::collections::HashSet;

use super::{check_name, check_not_blank};
use crate::document::{Late, Runs, Subjects};
use crate::finding::Findings;
use crate::program::Program;

pub(super) fn check(program: &Program, findings: &mut Findings) {
    let head = &program.document;
    check_name("workflow", "the workflow", &head.name, findings);
    if head.subject.trim().is_empty() {
        findings.error(
            "workflow",
            "the subject is empty",
            "Name a subject that wf.bind_subject has bound.",
        );
    }
    check_not_blank("workflow", "time_zone", head.time_zone.as_deref(), findings);
    check_not_blank("workflow", "calendar", head.calendar.as_deref(), findings);
    rules(program, findings);
    phases(program, findings);
}

fn rules(program: &Program, findings: &mut Findings) {
    let account = program.document.subjects == Subjects::Account;
    let start = program.document.start.as_ref();
    if account && start.is_some_and(|start| start.on.is_some()) {
        findings.error(
            "start",
            "a case of a whole account starts at once",
            "Put the date into on of the first step, and leave start.on out.",
        );
    }
    if account && program.document.runs == Runs::Strategy {
        findings.error(
            "workflow",
            "a default strategy is about one row each, not about whole accounts",
            "Leave subjects out.",
        );
    }
    if program.document.runs == Runs::Strategy && program.document.start.is_none() {
        findings.error(
            "start",
            "a default strategy needs a start rule",
            "Say in start.when which rows have it once wf.set_strategy has set it.",
        );
    }
    if let Some(start) = &program.document.start {
        if start.when.trim().is_empty() {
            findings.error(
                "start",
                "the condition is empty",
                "Say which rows get a case, or leave start out and use wf.start.",
            );
        }
        check_not_blank("start", "without", start.without.as_deref(), findings);
        if start.late == Late::Ask && start.on.is_none() {
            findings.warning(
                "start",
                "nothing is ever late without a date",
                "Give the start rule a date in on, or leave late out.",
            );
        }
    }
    for (i, stop) in program.stops().iter().enumerate() {
        let place = format!("stop rule {}", i + 1);
        if stop.when.trim().is_empty() {
            findings.error(
                &place,
                "the condition is empty",
                "Say when a case ends, or remove the rule.",
            );
        }
        if stop.reason.trim().is_empty() {
            findings.error(
                &place,
                "the reason is empty",
                "Give the reason that a case shows which this rule has ended.",
            );
        }
    }
}

fn phases(program: &Program, findings: &mut Findings) {
    if program.phases.is_empty() {
        findings.error(
            "workflow",
            "the workflow has no phase",
            "Add a phase with at least one step.",
        );
    }
    let mut seen = HashSet::new();
    for (i, name) in program.phases.iter().enumerate() {
        let place = format!("phase \"{name}\"");
        check_name(&place, "the phase", name, findings);
        if !seen.insert(name) {
            findings.error(
                &place,
                "the name stands twice",
                "Give each phase a name of its own.",
            );
        }
        if !program.steps.iter().any(|step| step.phase == i) {
            findings.error(
                &place,
                "the phase has no steps",
                "Add a step to it, or remove the phase.",
            );
        }
    }
}
