//! Milestones: what they name is there, and the way out leads out. Whether the case can go on from there is for the graph,
//! in which it is a way like any other.

use super::{check_not_blank, hint_for};
use crate::finding::Findings;
use crate::guards::Milestone;
use crate::program::Program;

pub(super) fn check(program: &Program, findings: &mut Findings) {
    for (at, milestone) in program.document.milestones.iter().enumerate() {
        let place = format!("milestone {}", at + 1);
        if milestone.holds.trim().is_empty() {
            findings.error(
                &place,
                "the condition is empty",
                "Say in while what has to hold.",
            );
        }
        check_not_blank(&place, "reason", milestone.reason.as_deref(), findings);
        about(program, milestone, &place, findings);
        let name = &milestone.otherwise;
        match program.step_named(name) {
            None => findings.error(
                &place,
                format!("otherwise names \"{name}\", which is no step"),
                hint_for(name, steps(program), "Name the step that the case goes to."),
            ),
            Some(step) if step.milestones.contains(&at) => findings.error(
                &place,
                format!(
                    "step \"{name}\", to which the case goes, is one that the milestone is about"
                ),
                "Let it go to a step outside, or name single steps instead of the phase.",
            ),
            Some(_) => {}
        }
    }
}

fn about(program: &Program, milestone: &Milestone, place: &str, findings: &mut Findings) {
    match (&milestone.step, &milestone.phase) {
        (Some(name), None) if program.step_named(name).is_none() => findings.error(
            place,
            format!("it is about step \"{name}\", which is no step"),
            hint_for(name, steps(program), "Name one of the workflow's steps."),
        ),
        (None, Some(name)) if !program.phases.contains(name) => findings.error(
            place,
            format!("it is about phase \"{name}\", which is no phase"),
            hint_for(
                name,
                program.phases.iter().map(String::as_str),
                "Name one of the workflow's phases.",
            ),
        ),
        (Some(_), None) | (None, Some(_)) => {}
        _ => findings.error(
            place,
            "it has to be about a step or about a phase",
            "Give one of step and phase.",
        ),
    }
}

fn steps(program: &Program) -> impl Iterator<Item = &str> {
    program.steps.iter().map(|step| step.name.as_str())
}
