//! Whether the steps that a case stands on can be open together.
//!
//! Between a parallel step and its join a case has one token for each branch, on the branch or come to the join; a
//! block inside a branch counts as one, and outside all blocks there is one in all. A case that is moved to another
//! position would wait for ever at its join, or come to it twice. `validate::nesting` says why positions that fit are
//! all that a published workflow can come to by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Migration;
use crate::game::{Token, TokenState};
use crate::program::{Program, START, StepNo};

/// A parallel step, its join, and the steps of each branch before the join.
#[derive(Debug)]
pub(super) struct Block {
    parallel: StepNo,
    join: StepNo,
    branches: Vec<BTreeSet<StepNo>>,
}

impl Block {
    fn size(&self) -> usize {
        self.branches.iter().map(BTreeSet::len).sum()
    }
}

/// The parallel steps of a program, inner ones first.
pub(super) fn blocks(program: &Program) -> Vec<Block> {
    let joins = program.steps.iter().filter_map(|join| {
        let parallel = program.step_named(join.kind.joins()?)?;
        let starts = parallel.legs.iter().filter_map(|leg| leg.target);
        Some(Block {
            parallel: parallel.no,
            join: join.no,
            branches: starts
                .map(|start| branch(program, start, join.no))
                .collect(),
        })
    });
    let mut blocks: Vec<Block> = joins.collect();
    // Theirs is the smaller region.
    blocks.sort_by_key(Block::size);
    blocks
}

/// The steps that can be reached from one without passing the join.
fn branch(program: &Program, start: StepNo, join: StepNo) -> BTreeSet<StepNo> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(no) = open.pop() {
        if no != join && seen.insert(no) {
            open.extend(program.successors(no));
        }
    }
    seen
}

/// Refuses tokens of the new version that do not fit together, with what to do. Where even the old ones cannot be told
/// to fit, for a step that is not made of tokens alone, both versions must have the same parallel steps.
pub(crate) fn fits(migration: &Migration, before: &[Token], after: &[Token]) -> Result<(), String> {
    let refusal = match look(&migration.to, &migration.blocks.1, after) {
        Ok(()) => return Ok(()),
        Err(refusal) => refusal,
    };
    if look(&migration.from, &migration.blocks.0, before).is_err() && same_blocks(migration) {
        return Ok(());
    }
    Err(refusal)
}

fn look(program: &Program, blocks: &[Block], tokens: &[Token]) -> Result<(), String> {
    let mut units: Vec<StepNo> = Vec::new();
    let mut arrived: BTreeMap<StepNo, usize> = BTreeMap::new();
    for token in tokens {
        if token.state == TokenState::Joining {
            let came = usize::try_from(token.arrived).unwrap_or(0);
            *arrived.entry(token.step).or_default() += came;
        } else {
            let rivals = program.step(token.step).map_or(&[][..], |s| &s.rivals);
            // Steps that wait side by side for the first of them are one.
            let first = rivals.iter().copied().fold(token.step, StepNo::min);
            if rivals.is_empty() || !units.contains(&first) {
                units.push(first);
            }
        }
    }
    if units == [START] && arrived.is_empty() {
        return Ok(());
    }
    for block in blocks {
        let on = |branch: &BTreeSet<StepNo>| units.iter().filter(|no| branch.contains(no)).count();
        let counts: Vec<usize> = block.branches.iter().map(on).collect();
        let came = arrived.remove(&block.join).unwrap_or(0);
        let there = counts.iter().sum::<usize>() + came;
        if there == 0 {
            continue;
        }
        let wanted = block.branches.len();
        let some = program
            .step(block.parallel)
            .is_some_and(|fork| fork.kind.forks_by_condition());
        if there > wanted || there < wanted && !some || counts.iter().any(|count| *count > 1) {
            return Err(format!(
                "parallel step \"{}\" would have {there} of {wanted} branches under way or at \"{}\", one each is needed: let the case pass \"{1}\" first, or map its steps so that they fit",
                program.step_name(block.parallel),
                program.step_name(block.join)
            ));
        }
        units.retain(|no| !block.branches.iter().any(|branch| branch.contains(no)));
        units.push(block.parallel);
    }
    if units.len() == 1 && arrived.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<&str> = tokens.iter().map(|t| program.step_name(t.step)).collect();
    let names: Vec<&str> = names.into_iter().collect();
    Err(format!(
        "steps {} cannot be open together: let the case come to one step first, or map its steps so that they fit",
        names.join(", ")
    ))
}

/// Whether the parallel steps, branches and joins of both versions are the same.
fn same_blocks(migration: &Migration) -> bool {
    let shape = |program: &Program, blocks: &[Block], name: &dyn Fn(&str) -> String| {
        let name = |no: StepNo| name(program.step_name(no));
        let blocks = blocks.iter().map(|block| {
            let legs = program.step(block.parallel).map_or(&[][..], |s| &s.legs);
            let starts = legs.iter().filter_map(|leg| leg.target);
            let steps = [block.parallel, block.join].into_iter().chain(starts);
            steps.map(name).collect::<Vec<String>>()
        });
        blocks.collect::<BTreeSet<Vec<String>>>()
    };
    let (from, to) = &migration.blocks;
    shape(&migration.from, from, &|old| migration.name(old).to_owned())
        == shape(&migration.to, to, &str::to_owned)
}
