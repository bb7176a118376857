//! Milestones: what they name is there, and the way out leads out. Whether the case can go on from there is for the graph,
//! in which it is a way like any other.
//!
//! Sections: nobody may wait in a circle. A case leaves a section when its last step run there is over. So that this never
//! hangs on another section, what lies in one must not wait for other step runs (a join) or other cases (a sub_workflow), and a step
//! lies in one section only.

use super::{check_name, check_not_blank, hint_for};
use crate::finding::Findings;
use crate::guards::{Milestone, Per};
use crate::program::Program;

pub(super) fn check(program: &Program, findings: &mut Findings) {
    sections(program, findings);
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

fn sections(program: &Program, findings: &mut Findings) {
    let all = &program.document.sections;
    for (at, section) in all.iter().enumerate() {
        let place = format!("section \"{}\"", section.name);
        check_name(&place, "the section", &section.name, findings);
        if all[..at].iter().any(|other| other.name == section.name) {
            findings.error(
                &place,
                "the name stands twice",
                "Name all of its steps in one place.",
            );
        }
        if section.steps.is_empty() {
            findings.error(&place, "it has no steps", "Name the steps that lie in it.");
        }
        if section.per == Per::Account && program.roles.account.is_none() {
            findings.warning(
                &place,
                "the subject names no account column, so that it is one case for each row",
                "Name the column: wf.bind_subject(…, account => 'column').",
            );
        }
        for name in &section.steps {
            let Some(step) = program.step_named(name) else {
                findings.error(
                    &place,
                    format!("\"{name}\" is no step"),
                    hint_for(name, steps(program), "Name steps of the workflow."),
                );
                continue;
            };
            if step.section != Some(at) {
                findings.error(
                    &place,
                    format!("step \"{name}\" lies in another section, too"),
                    "Let it lie in one: two cases could wait for each other.",
                );
            }
            if step.kind.joins().is_some() || step.kind.awaits_cases() {
                findings.error(
                    &place,
                    format!("step \"{name}\" is a {}, which waits for others that may wait for the section", step.kind.name()),
                    "Take it out of the section.",
                );
            }
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
