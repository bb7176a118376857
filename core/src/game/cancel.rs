//! Cancelling parts of a case: one step run, or everything in a phase.
//!
//! What is cancelled is withdrawn, and its branch ends there: the join goes on with the others, at the latest when none
//! is under way any more. Outside of branches, a cancelled phase is followed by the next one.

use std::collections::BTreeSet;

use super::case::Case;
use super::effects::Effects;
use super::states::TokenState;
use super::{Env, Facts};
use crate::program::{CompiledStep, StepNo};
use crate::{Error, ErrorCode};

/// The outcome of a step run that was cancelled by itself.
const CANCELLED: &str = "cancelled";

impl Case {
    /// Withdraws one open step run. Its branch ends there; of several steps that wait side by side, the others go on.
    ///
    /// # Errors
    /// [`ErrorCode::State`] for a step that is no part of a branch: the case could not go on.
    pub fn cancel_step(
        &mut self,
        index: usize,
        reason: &str,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let program = self.program.clone();
        let token = &self.tokens[index];
        let name = self.name(token.step);
        if token.state == TokenState::Joining {
            return Err(Error::new(
                ErrorCode::State,
                format!("step \"{name}\" of case {} waits for other branches", self.id),
            )
            .detail(self.where_it_stands())
            .hint("Cancel the steps that these branches stand on; the join goes on when none is left."));
        }
        let step = program.step(token.step);
        let beside = step.is_some_and(|step| self.has_rival(step, |_| true));
        let join = step.and_then(|step| step.within.first());
        let join = join.and_then(|no| program.step(*no));
        if !beside && join.is_none() {
            return Err(Error::new(
                ErrorCode::State,
                format!("step \"{name}\" of case {} is its only way on", self.id),
            )
            .detail(self.where_it_stands())
            .hint("wf.skip goes on with the step that follows it, wf.cancel_phase with the next phase, and wf.cancel ends the case."));
        }
        self.withdraw(index, CANCELLED, reason, out);
        if let Some(join) = join.filter(|_| !beside) {
            self.branch_ended(join, env, out);
        }
        Ok(())
    }

    /// Whether a step that waits beside this one is open, of those that are asked about.
    fn has_rival(&self, step: &CompiledStep, which: impl Fn(StepNo) -> bool) -> bool {
        let mut tokens = self.tokens.iter();
        tokens.any(|t| step.rivals.contains(&t.step) && which(t.step))
    }

    /// Withdraws everything that is open in a phase. Branches that were in it end there; if the whole case was in it, it
    /// goes on with the next phase, and is cancelled after the last one.
    ///
    /// # Errors
    /// [`ErrorCode::Unknown`] for a phase that the workflow has not, [`ErrorCode::State`] if nothing is open in it, or if
    /// the next phase begins inside a branch.
    pub fn cancel_phase(
        &mut self,
        phase: &str,
        reason: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let program = self.program.clone();
        let Some(number) = program.phases.iter().position(|name| name == phase) else {
            return Err(Error::new(
                ErrorCode::Unknown,
                format!(
                    "workflow \"{}\" has no phase \"{phase}\"",
                    program.document.name
                ),
            )
            .detail(format!("Its phases are {}.", program.phases.join(", ")))
            .hint("Name one of these phases."));
        };
        let inside = |no: StepNo| program.step(no).is_some_and(|s| s.phase == number);
        let ended = self.withdrawn_with(&inside);
        if ended.steps.is_empty() {
            return Err(Error::new(
                ErrorCode::State,
                format!("case {} has no open step in phase \"{phase}\"", self.id),
            )
            .detail(self.where_it_stands())
            .hint("wf.case_timeline shows where the case has been."));
        }
        let next = if ended.whole_case {
            self.after_phase(number)?
        } else {
            None
        };
        let steps: Vec<StepNo> = ended.steps.into_iter().collect();
        self.withdraw_all(&steps, CANCELLED, reason, out);
        match next {
            Some(next) => self.arrive(next, facts, env, out),
            None if ended.whole_case => self.cancel(reason, out)?,
            None => {
                let mut joins: Vec<&CompiledStep> = ended
                    .joins
                    .iter()
                    .filter_map(|no| program.step(*no))
                    .collect();
                // Inner joins first: one that goes on is under way for the outer one.
                joins.sort_by_key(|join| join.region.len());
                for join in joins {
                    self.branch_ended(join, env, out);
                }
            }
        }
        Ok(())
    }

    /// What goes when the open steps of a phase go. A join that goes takes all of its branches along.
    fn withdrawn_with(&self, inside: &dyn Fn(StepNo) -> bool) -> Withdrawal {
        let program = &self.program;
        let mut withdrawal = Withdrawal::default();
        for token in &self.tokens {
            let Some(step) = program.step(token.step).filter(|s| inside(s.no)) else {
                continue;
            };
            withdrawal.steps.insert(step.no);
            withdrawal.steps.extend(&step.region);
            if self.has_rival(step, |no| !inside(no)) {
                continue;
            }
            let stays = step.within.iter().position(|join| !inside(*join));
            let gone = &step.within[..stays.unwrap_or(step.within.len())];
            for join in gone.iter().filter_map(|no| program.step(*no)) {
                withdrawal.steps.insert(join.no);
                withdrawal.steps.extend(&join.region);
            }
            match stays {
                Some(stays) => {
                    withdrawal.joins.insert(step.within[stays]);
                }
                None => withdrawal.whole_case = true,
            }
        }
        withdrawal
    }

    /// Where a case goes on after a phase; None: there is nothing after it.
    fn after_phase(&self, number: usize) -> Result<Option<StepNo>, Error> {
        let mut steps = self.program.steps.iter();
        let Some(next) = steps.find(|step| step.phase > number) else {
            return Ok(None);
        };
        let begins_inside = !next.within.is_empty()
            || next.kind.joins().is_some()
            || next.kind.event_of().is_some()
            || !next.rivals.is_empty();
        if begins_inside {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "case {} cannot go on with step \"{}\", with which the next phase begins: other steps have to lead there",
                    self.id, next.name
                ),
            )
            .hint("Cancel or skip the single steps with wf.cancel_step and wf.skip, or end the case with wf.cancel."));
        }
        Ok(Some(next.no))
    }
}

/// What is taken off the board together.
#[derive(Default)]
struct Withdrawal {
    steps: BTreeSet<StepNo>,
    /// The joins that lose a branch by it.
    joins: BTreeSet<StepNo>,
    /// Whether the case was in it as a whole.
    whole_case: bool,
}
