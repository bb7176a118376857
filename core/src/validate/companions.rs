//! Buttons and their events: each button leads to an event of its own, and nothing else leads there.

use super::graph::{Graph, index};
use super::{hint_for, step_place};
use crate::finding::Findings;

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    for step in 0..graph.len() {
        if graph.step(step).kind.brings_event() {
            button(graph, step, findings);
        }
        if let Some(button) = graph.step(step).kind.event_of() {
            event(graph, step, button, findings);
        }
    }
}

fn button(graph: &Graph<'_>, button: usize, findings: &mut Findings) {
    let name = graph.name(button);
    let place = step_place(name);
    let is_own = |event: &usize| graph.step(*event).kind.event_of() == Some(name);
    let events: Vec<usize> = (0..graph.len()).filter(is_own).collect();
    match events[..] {
        [] => findings.error(
            place,
            "the button has no event that says it was pushed",
            format!(
                "Put {{\"name\": \"{name} pushed\", \"kind\": \"event\", \"button\": \"{name}\"}} after it; wf.add_step does so by itself."
            ),
        ),
        [event] => {
            let leads_to = graph.step(button).legs.first().and_then(|leg| leg.target);
            let leads_to = leads_to.and_then(index);
            if let Some(other) = leads_to.filter(|to| *to != event) {
                let event = graph.name(event);
                findings.error(
                    place,
                    format!(
                        "the button leads to step \"{}\" and not to its event \"{event}\"",
                        graph.name(other)
                    ),
                    format!(
                        "Set its next to \"{event}\", and let that lead to \"{}\".",
                        graph.name(other)
                    ),
                );
            }
        }
        [_, second, ..] => findings.error(
            step_place(graph.name(second)),
            format!("button \"{name}\" has an event already"),
            "Remove one of the two, or give it a button of its own.",
        ),
    }
}

fn event(graph: &Graph<'_>, event: usize, button: &str, findings: &mut Findings) {
    let place = step_place(graph.name(event));
    let found = graph.named(button);
    if found.is_none_or(|step| !graph.step(step).kind.brings_event()) {
        let buttons = (0..graph.len()).filter(|s| graph.step(*s).kind.brings_event());
        findings.error(
            place,
            format!("it is the event of \"{button}\", which is no button"),
            hint_for(
                button,
                buttons.map(|s| graph.name(s)),
                "Name a button of this workflow in button.",
            ),
        );
        return;
    }
    if event == 0 {
        findings.error(
            &place,
            format!("a case cannot begin with the event of button \"{button}\""),
            "Put the button, or another step, first.",
        );
    }
    let mut told = Vec::new();
    for edge in graph.into(event) {
        if Some(edge.from) != found && !told.contains(&edge.from) {
            told.push(edge.from);
            findings.error(
                step_place(graph.name(edge.from)),
                format!(
                    "{} is the event of button \"{button}\", which nobody has pushed then",
                    graph.phrase(edge)
                ),
                format!("Let it lead to \"{button}\", or to a step after the event."),
            );
        }
    }
}
