//! Branches of a question that cross: a step that belongs to one answer, reached by another.

use super::crossing::Branches;
use super::graph::{By, Edge, Graph};
use super::{quoted, step_place};
use crate::finding::Findings;

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    for question in (0..graph.len()).filter(|s| graph.step(*s).kind.keeps_legs_apart()) {
        answers(graph, question, findings);
    }
}

fn answers(graph: &Graph<'_>, question: usize, findings: &mut Findings) {
    let step = graph.step(question);
    // An answer without a target of its own has a finding already.
    let names_target = |e: &&Edge<'_>| matches!(e.by, By::Leg { own: true, .. });
    let starts: Vec<Edge<'_>> = graph
        .out(question)
        .iter()
        .filter(names_target)
        .copied()
        .collect();
    // What comes before the question belongs to no answer: going back there is no crossing.
    let before = graph.reach([0], |s| s == question);
    let leads_here = graph.reaching([question]);
    let firsts: Vec<usize> = starts.iter().map(|e| e.to).collect();
    let branches = Branches::walk(graph, question, &firsts, |s| before[s] && leads_here[s]);
    let may_meet = |s: usize| {
        let target = graph.step(s);
        graph.is_end(s) || target.merge || target.kind.joins().is_some()
    };
    let answer = |branch: &usize| match starts[*branch].by {
        By::Leg { outcome, .. } => outcome,
        By::Skip | By::Hand | By::Ceases => "",
    };
    for crossing in branches.crossings(graph, &starts, may_meet) {
        let target = graph.name(crossing.edge.to);
        let word = if crossing.owners.len() == 1 {
            "answer"
        } else {
            "answers"
        };
        let owners = quoted(crossing.owners.iter().map(answer));
        let merge = format!(
            "if the answers are meant to meet there, set \"merge\": true on step \"{target}\"."
        );
        if crossing.edge.from == question {
            let own = crossing.own.as_ref().map_or("", answer);
            findings.error(
                step_place(&step.name),
                format!(
                    "answer \"{own}\" leads to step \"{target}\", which belongs to {word} {owners}"
                ),
                format!("Give each answer steps of its own; {merge}"),
            );
        } else {
            findings.error(
                step_place(graph.name(crossing.edge.from)),
                format!(
                    "{} belongs to {word} {owners} of question \"{}\"",
                    graph.phrase(&crossing.edge),
                    step.name
                ),
                format!(
                    "Let \"{}\" lead to a step of its own answer or to a finish; {merge}",
                    graph.name(crossing.edge.from)
                ),
            );
        }
    }
}
