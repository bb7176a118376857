//! Milestones and sections, resolved: which steps they are about, and where a token goes that must leave.

use super::{CompiledStep, Program, StepNo};
use crate::guards::Section;

/// A condition without which some steps do not go on.
#[derive(Debug)]
pub struct CompiledMilestone {
    pub holds: String,
    pub reason: String,
    /// None: it names no step, which publishing refuses.
    pub otherwise: Option<StepNo>,
}

impl Program {
    /// Lays out the branches and the milestones. What a milestone of a phase withdraws on the branches of a fork in that
    /// phase it withdraws as a whole, and one token goes on: as if it had left from the join.
    pub(super) fn lay_out_milestones(&mut self) {
        let rules = std::mem::take(&mut self.document.milestones);
        for (at, rule) in rules.iter().enumerate() {
            let reason = rule.reason.clone();
            self.milestones.push(CompiledMilestone {
                holds: rule.holds.clone(),
                reason: reason.unwrap_or_else(|| format!("no longer holds: {}", rule.holds)),
                otherwise: self.step_named(&rule.otherwise).map(|step| step.no),
            });
            let phase = rule.phase.as_ref();
            let phase = phase.and_then(|name| self.phases.iter().position(|known| known == name));
            for step in &mut self.steps {
                let named = rule.step.as_ref() == Some(&step.name);
                if named {
                    step.exits.push(at);
                }
                if named || phase == Some(step.phase) {
                    step.milestones.push(at);
                }
            }
        }
        self.lay_out_branches();
        if !rules.is_empty() {
            let exits: Vec<Vec<usize>> = self.steps.iter().map(|s| self.left_by(s)).collect();
            for (step, exits) in self.steps.iter_mut().zip(exits) {
                step.exits = exits;
            }
            // What is reached by leaving a branch belongs to that branch.
            self.lay_out_branches();
        }
        self.document.milestones = rules;
    }

    /// Notes at each step the section that it lies in.
    pub(super) fn lay_out_sections(&mut self) {
        for (at, section) in self.document.sections.iter().enumerate() {
            for step in &mut self.steps {
                if section.steps.contains(&step.name) {
                    step.section = step.section.or(Some(at));
                }
            }
        }
    }

    /// The section that a step lies in.
    pub fn section(&self, step: &CompiledStep) -> Option<&Section> {
        self.document.sections.get(step.section?)
    }

    /// The milestones by which a token leaves a step by itself.
    fn left_by(&self, step: &CompiledStep) -> Vec<usize> {
        let by_itself =
            |at: &usize| step.exits.contains(at) || self.leaves_with(step, *at).is_none();
        step.milestones.iter().copied().filter(by_itself).collect()
    }

    /// The outermost join around a step that a milestone is about, too.
    pub fn leaves_with(&self, step: &CompiledStep, milestone: usize) -> Option<&CompiledStep> {
        let joins = step.within.iter().rev().filter_map(|no| self.step(*no));
        let mut joins = joins.filter(|join| join.milestones.contains(&milestone));
        joins.next()
    }

    /// Where a token goes that must leave a step.
    pub fn exits(&self, step: &CompiledStep) -> impl Iterator<Item = StepNo> {
        let exits = step.exits.iter();
        exits.filter_map(|at| self.milestones.get(*at)?.otherwise)
    }

    /// The conditions of a step's milestones.
    pub(super) fn milestones_of(&self, step: &CompiledStep) -> impl Iterator<Item = String> {
        let milestones = step.milestones.iter();
        milestones.filter_map(|at| Some(self.milestones.get(*at)?.holds.clone()))
    }

    /// The conditions of all milestones.
    pub(super) fn held_by_milestones(&self) -> impl Iterator<Item = String> {
        self.milestones.iter().map(|m| m.holds.clone())
    }
}
