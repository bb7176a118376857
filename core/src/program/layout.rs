//! Which steps are branches of which join, and which ones wait side by side.

use std::collections::BTreeSet;

use super::{CompiledStep, Program, StepNo};

impl Program {
    /// Notes beside each step of a race the others.
    pub(super) fn lay_out_races(&mut self) {
        for index in 0..self.steps.len() {
            if !self.steps[index].kind.lets_legs_race() {
                continue;
            }
            let legs = self.steps[index].legs.iter();
            let racing: Vec<StepNo> = legs.filter_map(|leg| leg.target).collect();
            for no in &racing {
                if let Some(step) = self.step_mut(*no) {
                    step.rivals = racing.iter().copied().filter(|r| r != no).collect();
                }
            }
        }
    }

    /// Notes at each join what its branches can come to, and at each of those steps the joins around it.
    pub(super) fn lay_out_branches(&mut self) {
        let mut joins = Vec::new();
        for step in &mut self.steps {
            step.within.clear();
        }
        for step in &self.steps {
            let fork = step.kind.joins().and_then(|of| self.step_named(of));
            if let Some(fork) = fork {
                let firsts = fork.legs.iter().filter_map(|leg| leg.target).collect();
                let mut region = self.reachable_before(step.no, firsts);
                region.remove(&fork.no);
                joins.push((step.no, fork.legs.len(), region));
            }
        }
        // Inner branches are part of outer ones.
        joins.sort_by_key(|(_, _, region)| region.len());
        for (no, branches, region) in joins {
            for inside in &region {
                if let Some(step) = self.step_mut(*inside) {
                    step.within.push(no);
                }
            }
            if let Some(join) = self.step_mut(no) {
                join.branches = branches;
                join.needs = join.kind.needs().unwrap_or(branches);
                join.region = region.into_iter().collect();
            }
        }
    }

    /// The steps that can be reached from some without passing a step.
    fn reachable_before(&self, end: StepNo, from: Vec<StepNo>) -> BTreeSet<StepNo> {
        let mut seen = BTreeSet::new();
        let mut open = from;
        while let Some(no) = open.pop() {
            if no != end && seen.insert(no) {
                open.extend(self.successors(no));
            }
        }
        seen
    }

    pub(super) fn step_mut(&mut self, no: StepNo) -> Option<&mut CompiledStep> {
        usize::try_from(no)
            .ok()?
            .checked_sub(1)
            .and_then(|i| self.steps.get_mut(i))
    }
}
