//! Conditions without which steps do not go on, where a batch has changed what they look at: one query for each version
//! that has milestones, and nothing for others.

use std::collections::{BTreeMap, HashSet};

use super::batch::{Batch, Loaded};

/// How often the way out of one milestone may lead to the next within one batch.
const ROUNDS: usize = 8;

/// Looks at the milestones of cases that have come to one, or whose vars, answers or rows have changed.
pub fn look(batch: &mut Batch) {
    let mut changed: HashSet<i64> = batch
        .cases
        .iter()
        .filter(|c| has_changed(c))
        .map(|c| c.case.id)
        .collect();
    changed.extend(batch.effects.carriers.iter().map(|(case, _)| *case));
    for _ in 0..ROUNDS {
        changed.extend(std::mem::take(&mut batch.effects.milestones));
        if changed.is_empty() {
            return;
        }
        look_at(batch, &changed);
        changed.clear();
    }
}

fn has_changed(loaded: &Loaded) -> bool {
    let case = &loaded.case;
    let changed = || {
        loaded.before.as_ref().is_some_and(|before| {
            before.vars != case.vars || before.memory.answers != case.memory.answers
        })
    };
    !case.program.milestones.is_empty() && changed()
}

fn look_at(batch: &mut Batch, cases: &HashSet<i64>) {
    let mut by_version: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (index, loaded) in batch.cases.iter().enumerate() {
        let has_any = !loaded.case.program.milestones.is_empty();
        if has_any && cases.contains(&loaded.case.id) && !loaded.case.state.is_over() {
            by_version
                .entry(loaded.case.version_id)
                .or_default()
                .push(index);
        }
    }
    for indexes in by_version.into_values() {
        let Some(answers) = batch.ask_watch(&indexes) else {
            continue;
        };
        let env = batch.context.env();
        for (nth, index) in indexes.into_iter().enumerate() {
            let case = &mut batch.cases[index].case;
            case.look_at_milestones(&answers.facts(nth), &env, &mut batch.effects);
        }
    }
}
