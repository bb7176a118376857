//! Any edit of any sound workflow: a document that can be read, or a refusal that says what to do; and no link is lost.

use proptest::prelude::*;

use super::*;

fn step_names(text: &str) -> Vec<String> {
    let program = compile(text).expect("a document");
    program.steps.iter().map(|s| s.name.clone()).collect()
}

fn phase_names(text: &str) -> Vec<String> {
    compile(text).expect("a document").phases
}

/// An edit made of numbers: what it does, and to whom.
fn edit<'a>(what: u8, steps: &'a [String], phases: &'a [String], picks: [usize; 2]) -> Edit<'a> {
    let step = |i: usize| steps[picks[i] % steps.len()].as_str();
    let phase = phases[picks[1] % phases.len()].as_str();
    match what {
        0 => remove(step(0)),
        1 => Edit::RemoveStep {
            step: step(0),
            instead: Some(step(1)),
        },
        2 => Edit::MoveStep {
            step: step(0),
            phase: None,
            place: after(step(1)),
        },
        3 => Edit::MoveStep {
            step: step(0),
            phase: Some(phase),
            place: Place::default(),
        },
        4 => link(step(0), step(1), None),
        5 => link(step(0), step(1), Some("sent")),
        6 => add("new", "button", json!({}), before(step(0))),
        7 => set(step(0), json!({"name": "renamed", "when": "true"})),
        8 => Edit::RemovePhase {
            phase,
            instead: None,
        },
        9 => Edit::RemoveTransition {
            from: step(0),
            outcome: None,
        },
        _ => Edit::RemoveTransition {
            from: step(0),
            outcome: Some("no"),
        },
    }
}

/// Where each outcome of each step leads, by name.
fn targets(text: &str) -> Vec<(String, String, Option<String>)> {
    let program = compile(text).expect("a document");
    let legs = program.steps.iter().flat_map(|step| {
        step.legs.iter().map(|leg| {
            let target = leg.target.map(|no| program.step_name(no).to_owned());
            (step.name.clone(), leg.outcome.clone(), target)
        })
    });
    legs.collect()
}

proptest! {
    // Each case compiles many documents.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn edits_give_documents_or_refusals(
        scope_10 in any::<bool>(),
        edits in prop::collection::vec((0u8..11, any::<[usize; 2]>()), 1..12),
    ) {
        let mut text = if scope_10 { SCOPE_10 } else { DUNNING }.to_owned();
        for (what, picks) in edits {
            let (steps, phases) = (step_names(&text), phase_names(&text));
            match apply(&text, edit(what, &steps, &phases, picks)) {
                Ok(edited) => {
                    // The first step stays unless another one is put before it, so that there is always one.
                    prop_assert!(!step_names(&edited.text).is_empty());
                    text = edited.text;
                }
                Err(error) => prop_assert!(error.hint.is_some_and(|h| !h.is_empty()), "{}", error.message),
            }
        }
    }

    #[test]
    fn a_removal_leads_on_what_led_to_the_step_and_nothing_else(
        scope_10 in any::<bool>(), picks in any::<[usize; 2]>(), shuffle in prop::collection::vec(any::<[usize; 2]>(), 0..4),
    ) {
        let mut text = if scope_10 { SCOPE_10 } else { DUNNING }.to_owned();
        for picks in shuffle {
            let (steps, phases) = (step_names(&text), phase_names(&text));
            if let Ok(edited) = apply(&text, edit(2, &steps, &phases, picks)) {
                text = edited.text;
            }
        }
        let steps = step_names(&text);
        let gone = &steps[picks[0] % steps.len()];
        let Ok(edited) = apply(&text, remove(gone)) else { return Ok(()) };
        let on = compile(&text).unwrap();
        let on = on.step_named(gone).and_then(|s| s.next).map(|no| on.step_name(no).to_owned());
        let after = targets(&edited.text);
        for (step, outcome, target) in targets(&text) {
            if step == *gone {
                continue;
            }
            let expected = if target.as_ref() == Some(gone) { on.clone() } else { target };
            prop_assert!(after.contains(&(step.clone(), outcome.clone(), expected.clone())),
                "{step}, {outcome} should lead to {expected:?}: {after:?}");
        }
    }
}
