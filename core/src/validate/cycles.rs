//! Loops: those that run for ever by themselves, cases that never end, repeats that do not come by again.

use super::graph::{By, Edge, Graph, index};
use super::{quoted, step_place};
use crate::calendar::Roll;
use crate::dates::{Anchor, DateRule};
use crate::finding::Findings;
use crate::kinds::Nature;

/// What keeps a loop from running for ever by itself.
const BOUND_IT: &str = "Put on the way a repeat step with max_visits, a step that a person settles (without a condition in when), an event that waits for a signal, or a date that always lies ahead: forward from previous_done.";

/// No calendar is closed for as many days in a row, so a date that lies this far ahead cannot be rolled back to today.
const LONGER_THAN_CLOSED: i32 = 14;

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    let endless = endless_cycles(graph, findings);
    no_finish(graph, &endless, findings);
    repeats(graph, findings);
}

/// Whether a token that comes to a step with this date always has to wait: a loop with such a step takes its time.
/// Only a date that counts forward from when the token came is sure to lie ahead; any other may have passed.
fn takes_time(rule: &DateRule, default_roll: Roll) -> bool {
    if rule.anchor != Anchor::PreviousDone {
        return false;
    }
    if rule.hours != 0 || rule.minutes != 0 {
        return rule.hours.saturating_mul(60).saturating_add(rule.minutes) > 0;
    }
    if rule.months < 0 || rule.days < 0 || rule.business_days < 0 {
        return false;
    }
    // Business days end on an open day, which is not rolled.
    if rule.business_days > 0 {
        return true;
    }
    let ahead = rule.months.saturating_mul(28).saturating_add(rule.days);
    match rule.roll.unwrap_or(default_roll) {
        Roll::None | Roll::Following => ahead > 0,
        Roll::Preceding | Roll::ModifiedFollowing | Roll::ModifiedPreceding => {
            ahead >= LONGER_THAN_CLOSED
        }
    }
}

/// Whether a token takes this way without anybody's doing, as often as it comes by.
fn unbounded(graph: &Graph<'_>, edge: &Edge<'_>) -> bool {
    if edge.by == By::Ceases {
        return true;
    }
    let step = graph.step(edge.from);
    let takes_time = |rule: &DateRule| takes_time(rule, graph.program.default_roll());
    if step.on.as_ref().is_some_and(takes_time) {
        return false;
    }
    match edge.by {
        By::Skip | By::Ceases => true,
        By::Hand => false,
        By::Leg { outcome, .. } => {
            let manual = matches!(step.kind.nature(), Nature::Manual { .. });
            let bounded = step.kind.bounds_a_loop()
                && step.legs.first().is_some_and(|leg| leg.outcome == outcome);
            // Each signal is taken by one visit.
            let listens = step.kind.signal().is_some();
            !manual && !bounded && !listens && !step.kind.paces_itself()
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
            .map(|e| e.from)
            .chain([start])
            .map(|s| format!("\"{}\"", graph.name(s)))
            .collect();
        let mut hint = BOUND_IT.to_owned();
        let dated = cycle.iter().map(|e| graph.step(e.from));
        for (step, rule) in dated.filter_map(|s| s.on.as_ref().map(|rule| (s, rule))) {
            hint += &format!(
                " The date of step \"{}\", counted from {}, may have passed when a case comes by again.",
                step.name, rule.anchor
            );
        }
        let mut path = graph.path_to(start);
        path.extend(cycle);
        findings.error(
            step_place(graph.name(start)),
            format!("the steps {} go round without end", way.join(" -> ")),
            graph.hint(&hint, start, &path),
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
            graph.hint(
                "Let one of these steps lead to a finish step.",
                start,
                &graph.path_to(start),
            ),
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
