//! Who works on steps besides their participant, and who approves what others have done.

use super::{check_not_blank, hint_for, step_place};
use crate::finding::Findings;
use crate::program::{CompiledStep, Program};

pub(super) fn check(program: &Program, findings: &mut Findings) {
    for step in &program.steps {
        let place = step_place(&step.name);
        if step.is_manual() {
            desk(step, &place, findings);
        } else if let Some(field) = step.people.field() {
            findings.error(
                &place,
                format!("a {} is automatic and has no {field}", step.kind.name()),
                format!("Remove {field}, or make it a task."),
            );
        }
        if let Some(of) = step.kind.approves() {
            approval(program, step, of, &place, findings);
        }
    }
}

fn desk(step: &CompiledStep, place: &str, findings: &mut Findings) {
    let people = &step.people;
    check_not_blank(place, "second", people.second.as_deref(), findings);
    check_not_blank(
        place,
        "escalate.to",
        people.escalate_to.as_deref(),
        findings,
    );
    if people.second.is_some() && people.second == step.participant {
        findings.warning(
            place,
            "second is the participant itself",
            "Name somebody else, or leave second out.",
        );
    }
    for link in &people.links {
        check_not_blank(place, "the label of a link", Some(&link.label), findings);
        check_not_blank(place, "the url of a link", Some(&link.url), findings);
    }
    if people.escalation.is_some() && step.due.is_none() {
        findings.error(
            place,
            "escalate counts from the deadline, and the step has none",
            "Give the deadline in due.",
        );
    }
}

fn approval(
    program: &Program,
    step: &CompiledStep,
    of: &str,
    place: &str,
    findings: &mut Findings,
) {
    let names = program.steps.iter().map(|s| s.name.as_str());
    let Some(approved) = program.step_named(of) else {
        findings.error(
            place,
            format!("it approves step \"{of}\", which does not exist"),
            hint_for(of, names, "Name a manual step of this workflow in of."),
        );
        return;
    };
    if !approved.is_manual() {
        findings.error(
            place,
            format!("it approves step \"{of}\", which nobody settles"),
            "Name a manual step of this workflow in of.",
        );
    } else if approved.no == step.no
        || !program
            .reachable(program.successors(approved.no))
            .contains(&step.no)
    {
        findings.error(
            place,
            format!("it approves step \"{of}\", which does not come before it"),
            "Name a step in of that leads here.",
        );
    }
}
