//! Tokens that part and meet: forks, joins, and step runs that are withdrawn because nobody waits for them any more.
//!
//! A join goes on when as many branches have come as it needs, or when no other one is under way. What is left of the
//! others is then withdrawn: tasks go away, messages that have not left stay here, history says why.

use serde_json::json;

use super::case::{Case, Token};
use super::effects::{Effects, Event, Suppression};
use super::states::TokenState;
use super::{Env, Facts};
use crate::program::{CompiledStep, START, StepNo};

/// The outcome of a step run that was withdrawn because others had come first.
pub(super) const NOT_NEEDED: &str = "not needed";

impl Case {
    /// A forking step fires: a token goes out on every leg, or on those that are named.
    pub(super) fn fork(
        &mut self,
        index: usize,
        step: &CompiledStep,
        taken: Option<&[&str]>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let outcome = taken.map_or_else(|| "done".to_owned(), |legs| legs.join(", "));
        self.finish(index, Event::StepDone, &outcome, None, env, out);
        let program = self.program.clone();
        let legs = step.legs.iter();
        let taken = legs.filter(|leg| taken.is_none_or(|t| t.contains(&leg.outcome.as_str())));
        let joins = |no: &StepNo| program.step(*no).is_some_and(|s| s.kind.joins().is_some());
        let mut targets: Vec<StepNo> = taken.filter_map(|leg| leg.target).collect();
        // A branch without steps comes to the join at once; the others must be under way by then.
        targets.sort_by_key(joins);
        for target in targets {
            self.arrive(target, facts, env, out);
        }
    }

    /// One more branch has come to a join.
    pub(super) fn come_to_join(&mut self, step: &CompiledStep, env: &Env<'_>, out: &mut Effects) {
        let index = self.at_join(step, env);
        let token = &mut self.tokens[index];
        token.arrived = token.arrived.saturating_add(1);
        let come = usize::try_from(token.arrived).unwrap_or(0);
        if come >= step.needs || !self.under_way(step) {
            self.join_goes_on(index, step, env, out);
        }
    }

    /// The token that waits at a join; a new one if nobody has come yet.
    fn at_join(&mut self, step: &CompiledStep, env: &Env<'_>) -> usize {
        let known = self.token_at(step.no);
        let known = known.filter(|index| self.tokens[*index].state == TokenState::Joining);
        known.unwrap_or_else(|| {
            let mut token = self.new_token(step, env);
            token.state = TokenState::Joining;
            token.run_at = None;
            self.tokens.push(token);
            self.tokens.len() - 1
        })
    }

    /// A branch has ended before its join: that goes on if it was the last one it waited for.
    pub(super) fn branch_ended(&mut self, step: &CompiledStep, env: &Env<'_>, out: &mut Effects) {
        if !self.under_way(step) {
            let index = self.at_join(step, env);
            self.join_goes_on(index, step, env, out);
        }
    }

    /// A step is over beside which others wait: they are withdrawn.
    pub(super) fn came_first(&mut self, step: &CompiledStep, out: &mut Effects) {
        let why = format!("step \"{}\" came first", step.name);
        let mut rivals = step.rivals.clone();
        rivals.sort_unstable();
        self.withdraw_all(&rivals, NOT_NEEDED, &why, out);
    }

    /// Whether a step that waits beside this one was due earlier: after an outage, the order of the dates counts.
    pub(super) fn comes_second(&self, index: usize, step: &CompiledStep) -> bool {
        let own = self.tokens[index].run_at;
        let earlier = |token: &Token| {
            token.state == TokenState::Scheduled && token.run_at.is_some() && token.run_at < own
        };
        let mut tokens = self.tokens.iter();
        tokens.any(|token| step.rivals.contains(&token.step) && earlier(token))
    }

    /// Whether any branch of a join has not come yet.
    fn under_way(&self, join: &CompiledStep) -> bool {
        let mut tokens = self.tokens.iter();
        tokens.any(|token| join.region.binary_search(&token.step).is_ok())
    }

    fn join_goes_on(
        &mut self,
        index: usize,
        step: &CompiledStep,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let waiting = self.waiting();
        let token = &mut self.tokens[index];
        token.state = waiting;
        token.run_at = Some(env.now);
        if token.arrived > 0 && self.under_way(step) {
            let why = format!(
                "join \"{}\" goes on with {} of {} branches",
                step.name, self.tokens[index].arrived, step.branches
            );
            self.withdraw_all(&step.region, NOT_NEEDED, &why, out);
        }
    }

    /// Withdraws every step run at some steps, given in order.
    pub(super) fn withdraw_all(
        &mut self,
        steps: &[StepNo],
        outcome: &str,
        why: &str,
        out: &mut Effects,
    ) {
        let mut index = 0;
        while let Some(token) = self.tokens.get(index) {
            if steps.binary_search(&token.step).is_ok() {
                self.withdraw(index, outcome, why, out);
            } else {
                index += 1;
            }
        }
    }

    /// Withdraws one step run: its task goes away, its message stays here unless it has been handed over.
    pub(super) fn withdraw(&mut self, index: usize, outcome: &str, why: &str, out: &mut Effects) {
        let token = self.tokens.remove(index);
        self.keep_message(&token, why, out);
        let detail = json!({ "reason": why }).to_string();
        self.take_off(&token, Some(outcome), Some(detail), out);
    }

    /// The message of a step run that is over in another way does not leave, if it has one.
    pub(super) fn keep_message(&self, token: &Token, reason: &str, out: &mut Effects) {
        if token.state == TokenState::Sending {
            out.suppressions.push(Suppression {
                case_id: self.id,
                step: Some((token.step, token.visit)),
                reason: reason.to_owned(),
            });
        }
    }

    /// What has to be written of a step run that is taken off the board before it is over.
    pub(super) fn take_off(
        &self,
        token: &Token,
        outcome: Option<&str>,
        detail: Option<String>,
        out: &mut Effects,
    ) {
        if token.step != START {
            out.history
                .push(self.record(Event::StepCancelled, Some(token), outcome, detail));
        }
        if token.attempts > 0 {
            out.resolved.push((self.id, token.step, token.visit));
        }
        if self.awaits_cases(token) {
            out.awaited_by.push(self.id);
        }
        if token.state == TokenState::Open && token.task_id.is_none() {
            // Its task was made in the same breath, and nobody has seen it.
            out.tasks
                .retain(|t| (t.case_id, t.step, t.visit) != (self.id, token.step, token.visit));
        }
    }
}
