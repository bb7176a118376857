//! Date rules: contradictions in themselves, and anchors on steps that are not done by then.

use super::graph::{Graph, index};
use super::nesting::Nesting;
use super::paths::along;
use super::{check_not_blank, hint_for, step_place};
use crate::dates::{Anchor, DateRule};
use crate::finding::Findings;

pub(super) fn check(graph: &Graph<'_>, nesting: &Nesting<'_>, findings: &mut Findings) {
    for (step, field, rule) in graph.program.date_rules() {
        let place = step.map_or("start".to_owned(), |s| step_place(&s.name));
        for (message, hint) in rule.findings() {
            findings.error(&place, format!("{field}: {message}"), hint);
        }
        let calendar = format!("{field}.calendar");
        check_not_blank(&place, &calendar, rule.calendar.as_deref(), findings);
        let at = step.and_then(|s| index(s.no));
        anchor(graph, nesting, &place, at, field, rule, findings);
    }
}

/// An anchor on a step, seen from the step `at` that it dates; None: from the start rule.
fn anchor(
    graph: &Graph<'_>,
    nesting: &Nesting<'_>,
    place: &str,
    at: Option<usize>,
    field: &str,
    rule: &DateRule,
    findings: &mut Findings,
) {
    let Anchor::Step(name) = &rule.anchor else {
        return;
    };
    let Some(other) = graph.named(name) else {
        findings.error(
            place,
            format!("{field} counts from step \"{name}\", which does not exist"),
            hint_for(
                name,
                graph.program.steps.iter().map(|s| s.name.as_str()),
                "Name a step of this workflow in the anchor.",
            ),
        );
        return;
    };
    let Some(at) = at else {
        findings.error(
            place,
            format!("{field} counts from step \"{name}\", and no step is done before the start"),
            "Count from a column of the subject.",
        );
        return;
    };
    let after = graph.reach(graph.out(other).iter().map(|e| e.to), |_| false);
    let without = nesting.reach_without(graph, other);
    let never = !after[at] || (other == at && field == "on");
    // A start without a date waits for ever; a task without a deadline can be settled all the same.
    let (message, hint) = if never {
        (
            format!("{field} counts from step \"{name}\", which is never done before"),
            "Count from a step that comes earlier, from case_start or from a column of the subject."
                .to_owned(),
        )
    } else if without[at] {
        let path = along(&graph.ways([0], |step| step == other), at);
        let what = if field == "on" {
            "On that way the step gets no date and never starts; count from something that is always there."
        } else {
            "On that way the step gets no deadline; count from something that is always there."
        };
        (
            format!(
                "{field} counts from step \"{name}\", and there is a way here that does not pass it"
            ),
            graph.hint(what, at, &path),
        )
    } else {
        return;
    };
    if field == "on" {
        findings.error(place, message, hint);
    } else {
        findings.warning(place, message, hint);
    }
}
