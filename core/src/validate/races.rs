//! Steps that wait side by side until the first of them is over: each has to wait for something, and nothing else may
//! lead there, for then it would wait alone.

use super::graph::{Graph, index};
use super::step_place;
use crate::finding::Findings;

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    for race in (0..graph.len()).filter(|s| graph.step(*s).kind.lets_legs_race()) {
        let targets = graph.step(race).legs.iter().filter_map(|leg| leg.target);
        for target in targets.filter_map(index) {
            contestant(graph, race, target, findings);
        }
    }
}

fn contestant(graph: &Graph<'_>, race: usize, target: usize, findings: &mut Findings) {
    let (name, step) = (graph.name(race), graph.step(target));
    let place = step_place(&step.name);
    if !step.kind.waits() {
        findings.error(
            &place,
            format!(
                "\"{name}\" waits for the first of several steps, and a {} waits for nothing",
                step.kind.name()
            ),
            "Name in branches steps that wait: events, waits, tasks, calls, questions, buttons; let this one follow one of them.",
        );
    }
    if step.when.is_some() {
        findings.error(
            &place,
            format!("the step waits beside others in \"{name}\", and would come first if it were skipped"),
            "Remove when; choose with a decision before it.",
        );
    }
    if target == 0 {
        findings.error(
            &place,
            format!("a case cannot begin with a step that waits beside others in \"{name}\""),
            format!("Put \"{name}\", or another step, first."),
        );
    }
    let mut told = Vec::new();
    for edge in graph.into(target) {
        if edge.from != race && !told.contains(&edge.from) {
            told.push(edge.from);
            findings.error(
                step_place(graph.name(edge.from)),
                format!(
                    "{} waits beside others in \"{name}\", which are not there then",
                    graph.phrase(edge)
                ),
                format!("Let it lead to \"{name}\", or to a step of its own."),
            );
        }
    }
}
