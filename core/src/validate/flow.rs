//! Where tokens go: legs that lead nowhere, steps out of reach, loops without end, cases without end.

use super::graph::{By, Edge, Graph, index};
use super::{hint_for, quoted, step_place};
use crate::finding::Findings;
use crate::kinds::Nature;
use crate::program::CompiledStep;

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    for step in &graph.program.steps {
        targets(graph, step, findings);
    }
    unreachable(graph, findings);
    let endless = endless_cycles(graph, findings);
    no_finish(graph, &endless, findings);
    repeats(graph, findings);
}

/// Targets that are no steps, and legs without a target.
fn targets(graph: &Graph<'_>, step: &CompiledStep, findings: &mut Findings) {
    let place = step_place(&step.name);
    let known = || graph.program.steps.iter().map(|s| s.name.as_str());
    let no_such = "Name a step of this workflow.";
    if let Some(name) = &step.unknown_next {
        findings.error(
            &place,
            format!("next leads to \"{name}\", which is no step"),
            hint_for(name, known(), no_such),
        );
    }
    for (outcome, name) in &step.unknown_targets {
        findings.error(
            &place,
            format!("leg \"{outcome}\" leads to \"{name}\", which is no step"),
            hint_for(name, known(), no_such),
        );
    }
    let goes_on = step.next.is_some() || step.unknown_next.is_some();
    for leg in step.legs.iter().filter(|leg| leg.target.is_none()) {
        let unknown = step.unknown_targets.iter().any(|(o, _)| *o == leg.outcome);
        // A kind that keeps its legs apart has said so itself.
        if !goes_on && !unknown && !step.kind.keeps_legs_apart() {
            findings.error(
                &place,
                format!("leg \"{}\" leads nowhere", leg.outcome),
                "Say in next which step follows, or put a finish step after it.",
            );
        }
    }
    if step.when.is_some() && !goes_on {
        findings.error(
            &place,
            "when the condition is not met, nothing follows",
            "Say in next which step follows when this one is skipped.",
        );
    }
}

/// One finding for each group of unreachable steps: its first step, naming the ones behind it.
fn unreachable(graph: &Graph<'_>, findings: &mut Findings) {
    let mut known = graph.from_start.clone();
    let entries = (0..graph.len()).filter(|s| graph.into(*s).iter().all(|e| e.from == *s));
    let roots: Vec<usize> = entries.chain(0..graph.len()).collect();
    for root in roots {
        if known[root] {
            continue;
        }
        let behind = graph.reach([root], |step| known[step]);
        let others: Vec<&str> = (0..graph.len())
            .filter(|s| *s != root && behind[*s] && !known[*s])
            .map(|s| graph.name(s))
            .collect();
        let also = if others.is_empty() {
            String::new()
        } else {
            format!(", nor can {} behind it", quoted(others))
        };
        findings.error(
            step_place(graph.name(root)),
            format!("the step can never be reached{also}"),
            "Let a step lead to it by next or by a leg, or remove it.",
        );
        for (seen, new) in known.iter_mut().zip(behind) {
            *seen |= new;
        }
    }
}

/// Whether a token takes this way without anybody's doing, as often as it comes by.
fn unbounded(graph: &Graph<'_>, edge: &Edge<'_>) -> bool {
    let step = graph.step(edge.from);
    match edge.by {
        By::Skip => true,
        By::Hand => false,
        By::Leg { outcome, .. } => {
            let manual = matches!(step.kind.nature(), Nature::Manual { .. });
            let bounded = step.kind.bounds_a_loop()
                && step.legs.first().is_some_and(|leg| leg.outcome == outcome);
            !manual && !bounded
        }
    }
}

/// Loops that run for ever: no person and no bounded repeat on the way. The steps that are on one.
fn endless_cycles(graph: &Graph<'_>, findings: &mut Findings) -> Vec<bool> {
    let along = |edge: &Edge<'_>| unbounded(graph, edge);
    let mut told = vec![false; graph.len()];
    for start in 0..graph.len() {
        if told[start] {
            continue;
        }
        let Some(cycle) = graph.cycle(start, along) else {
            continue;
        };
        let way: Vec<String> = cycle
            .iter()
            .chain([&start])
            .map(|s| format!("\"{}\"", graph.name(*s)))
            .collect();
        findings.error(
            step_place(graph.name(start)),
            format!("the steps {} go round without end", way.join(" -> ")),
            "Put a repeat step with max_visits on the way, or a step that a person settles, without a condition in when.",
        );
        // The whole tangle is one finding: every step that lies on a loop with this one.
        let ahead = graph.reach_by([start], |_| false, along);
        for (step, ahead) in ahead.iter().enumerate() {
            if *ahead && graph.reach_by([step], |_| false, along)[start] {
                told[step] = true;
            }
        }
    }
    told
}

/// Cases that never end: no finish at all, or loops without a way out.
fn no_finish(graph: &Graph<'_>, endless: &[bool], findings: &mut Findings) {
    let ends: Vec<usize> = (0..graph.len()).filter(|s| graph.is_end(*s)).collect();
    if ends.is_empty() {
        findings.error(
            "workflow",
            "the workflow has no finish",
            "Add a finish step, and let every branch end in one.",
        );
        return;
    }
    // Open ends have findings of their own; what leads to one is not to blame.
    let open = (0..graph.len()).filter(|s| graph.step(*s).legs.iter().any(|l| l.target.is_none()));
    let ending = graph.reaching(ends.into_iter().chain(open));
    let mut told: Vec<bool> = endless.to_vec();
    for start in (0..graph.len()).filter(|s| graph.from_start[*s] && !ending[*s]) {
        let trapped = graph.reach([start], |_| false);
        let is_told = (0..graph.len()).any(|s| trapped[s] && told[s]);
        if is_told {
            continue;
        }
        let names = (0..graph.len())
            .filter(|s| trapped[*s])
            .map(|s| graph.name(s));
        findings.error(
            step_place(graph.name(start)),
            format!(
                "from here the case never ends; it stays in {}",
                quoted(names)
            ),
            "Let one of these steps lead to a finish step.",
        );
        told[start] = true;
        for (told, trapped) in told.iter_mut().zip(trapped) {
            *told |= trapped;
        }
    }
}

/// A repeat has to come by again after it has gone back.
fn repeats(graph: &Graph<'_>, findings: &mut Findings) {
    for step in graph
        .program
        .steps
        .iter()
        .filter(|s| s.kind.bounds_a_loop())
    {
        let back = step.legs.first().and_then(|leg| leg.target).and_then(index);
        let (Some(back), Some(own)) = (back, index(step.no)) else {
            continue;
        };
        let name = graph.name(back);
        if back == own {
            findings.error(
                step_place(&step.name),
                "the step goes back to itself",
                "Name in back_to the step to visit again.",
            );
        } else if !graph.reach([back], |_| false)[own] {
            findings.error(
                step_place(&step.name),
                format!("step \"{name}\", to which it goes back, does not lead to it again"),
                format!("Go back to a step that comes before \"{}\", or let \"{name}\" lead to it; to go elsewhere, use next.", step.name),
            );
        }
    }
}
