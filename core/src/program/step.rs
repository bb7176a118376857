//! One step, compiled: its legs resolved to numbers, what hangs on the others still empty.

use std::collections::HashMap;

use super::{CompiledLeg, CompiledStep, StepNo};
use crate::document::Step;
use crate::kinds::Leg;
use crate::people::People;

/// Compiles a step. The numbers of steps by name, and of the last one.
pub(super) fn compile(
    step: Step,
    no: StepNo,
    phase: usize,
    last: StepNo,
    by_name: &HashMap<String, StepNo>,
) -> CompiledStep {
    let Step { common, kind } = step;
    let following = (no < last).then(|| no + 1);
    let mut unknown_next = None;
    // A step whose legs all name their targets is not followed by anything unless it says so.
    let own_legs = kind.legs();
    let following = following.filter(|_| own_legs.iter().any(|leg| leg.target.is_none()));
    let next = match &common.next {
        Some(name) => {
            let target = by_name.get(name).copied();
            if target.is_none() {
                unknown_next = Some(name.clone());
            }
            target
        }
        None => following,
    };
    let mut unknown_targets = Vec::new();
    let legs = own_legs
        .into_iter()
        .map(
            |Leg {
                 outcome,
                 target,
                 condition,
             }| {
                let target = match target {
                    None => next,
                    Some(name) => {
                        let target = by_name.get(&name).copied();
                        if target.is_none() {
                            unknown_targets.push((outcome.clone(), name));
                        }
                        target
                    }
                };
                CompiledLeg {
                    outcome,
                    target,
                    condition,
                }
            },
        )
        .collect();
    CompiledStep {
        no,
        phase,
        name: common.name,
        description: common.description,
        kind,
        on: common.on,
        due: common.due,
        participant: common.participant,
        people: People::new(common.second, common.links, common.escalate, common.notify),
        when: common.when,
        merge: common.merge,
        legs,
        next,
        unknown_next,
        unknown_targets,
        stage: 1,
        in_cycle: false,
        is_anchor: false,
        rivals: Vec::new(),
        branches: 0,
        needs: 0,
        region: Vec::new(),
        within: Vec::new(),
        milestones: Vec::new(),
        exits: Vec::new(),
        section: None,
    }
}
