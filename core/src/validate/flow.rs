//! Where tokens go: legs that lead nowhere, and steps out of reach.

use super::graph::{Graph, index};
use super::{hint_for, quoted, step_place};
use crate::finding::Findings;
use crate::program::CompiledStep;

/// More targets than this are counted, not named.
const MANY: usize = 4;

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    for step in &graph.program.steps {
        targets(graph, step, findings);
    }
    unreachable(graph, findings);
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
    let Some(at) = index(step.no) else { return };
    let nowhere = |how: &str, hint: &str| {
        let mut path = graph.shown(at, &graph.path_to(at));
        if !graph.from_start[at] {
            // There is a finding of its own about that.
            path = format!("\"{}\"", step.name);
        }
        format!("{hint} Path: {path}{how} -> nowhere.")
    };
    let goes_on = step.next.is_some() || step.unknown_next.is_some();
    for (leg, source) in step.legs.iter().zip(step.kind.legs()) {
        let unknown = step.unknown_targets.iter().any(|(o, _)| *o == leg.outcome);
        let how = format!(" (leg \"{}\")", leg.outcome);
        if step.kind.keeps_legs_apart() {
            // An answer that just goes on with the next step is a slip: each has a way of its own.
            if source.target.is_none() {
                findings.error(
                    &place,
                    format!("answer \"{}\" leads nowhere", leg.outcome),
                    nowhere(
                        &how,
                        &format!("Give answer \"{}\" a next step.", leg.outcome),
                    ),
                );
            }
        } else if leg.target.is_none() && !goes_on && !unknown {
            findings.error(
                &place,
                format!("leg \"{}\" leads nowhere", leg.outcome),
                nowhere(
                    &how,
                    "Say in next which step follows, or put a finish step after it.",
                ),
            );
        }
    }
    if step.when.is_some() && !goes_on {
        findings.error(
            &place,
            "when the condition is not met, nothing follows",
            nowhere(
                " (condition not met)",
                "Say in next which step follows when this one is skipped.",
            ),
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
            format!(
                "Let a step lead to it by next or by a leg, or remove it. No path leads there{}.",
                before(graph, root)
            ),
        );
        for (seen, new) in known.iter_mut().zip(behind) {
            *seen |= new;
        }
    }
}

/// Where the step goes that stands before one in the document: often that is the link that was bent.
fn before(graph: &Graph<'_>, step: usize) -> String {
    let Some(before) = step.checked_sub(1) else {
        return String::new();
    };
    let name = graph.name(before);
    let mut targets: Vec<usize> = graph.out(before).iter().map(|e| e.to).collect();
    targets.sort_unstable();
    targets.dedup();
    match targets.len() {
        0 => format!(": \"{name}\", which stands before it, leads nowhere"),
        1..=MANY => format!(
            ": \"{name}\", which stands before it, leads to {}",
            quoted(targets.into_iter().map(|s| graph.name(s)))
        ),
        count => format!(": \"{name}\", which stands before it, leads to {count} other steps"),
    }
}
