//! A step starts a case of another workflow: the request, and what becomes of the step when it has been met. Steps that
//! wait for the other case, and cases that others wait for.

use serde_json::{Value, json};

use super::case::Case;
use super::case::Token;
use super::effects::{Awaited, Effects, Event, StartRequest};
use super::states::CaseState;
use super::states::TokenState;
use super::{Env, Facts, calls};
use crate::kinds::Afterwards;
use crate::program::{CompiledStep, START};

/// The outcome of a case that goes on as a case of another workflow.
const CONTINUED: &str = "continued";
/// The outcome of one that would, but has been continued too often.
const CONTINUE_LIMIT: &str = "continue limit";

impl Case {
    /// Asks the shell for a case of another workflow; the token waits until the shell has answered, in this batch.
    pub(super) fn ask_for_another(
        &mut self,
        index: usize,
        workflow: &str,
        limit: u16,
        afterwards: Afterwards,
        out: &mut Effects,
    ) {
        let token = &self.tokens[index];
        out.starts.push(StartRequest {
            case_id: self.id,
            step: token.step,
            visit: token.visit,
            workflow: workflow.to_owned(),
            limit,
            afterwards,
        });
        self.wait(index);
    }

    /// The other case has been started, and this one ends; None: it has been continued as often as it may.
    pub fn continued(
        &mut self,
        request: &StartRequest,
        other: Option<i64>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let outcome = other.map_or(CONTINUE_LIMIT, |_| CONTINUED);
        if request.step == START && self.still_asks(request) {
            self.end(CaseState::Completed, outcome, None, out);
            return;
        }
        if let Some(index) = self.token_of(request.step, request.visit) {
            let detail = Some(request.met_by(other));
            self.finish(index, Event::StepDone, outcome, detail, env, out);
            self.end(CaseState::Completed, outcome, None, out);
        }
    }

    /// The other case has been started, and this one goes on; None: it has started as many as it may.
    pub fn started_another(
        &mut self,
        request: &StartRequest,
        other: Option<i64>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let outcome = other.map_or("limit", |_| "done");
        if let Some(index) = self.token_of(request.step, request.visit) {
            let detail = Some(request.met_by(other));
            let token = self.finish(index, Event::StepDone, outcome, detail, env, out);
            self.follow(&token, "done", facts, env, out);
        }
    }

    /// Cases that a step run waits for have ended: it goes on when that was the last one.
    pub fn others_ended(
        &mut self,
        awaited: &Awaited,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let token = self.token_of(awaited.step, awaited.visit);
        let Some(index) = token.filter(|i| self.tokens[*i].state == TokenState::Waiting) else {
            return;
        };
        let program = self.program.clone();
        let Some(step) = program.step(awaited.step) else {
            return;
        };
        let needed = step.kind.needs_cases();
        let needed = needed.map_or(awaited.cases, |n| awaited.cases.min(i64::from(n)));
        if awaited.ended < needed {
            return;
        }
        if awaited.ended < awaited.cases {
            // What the others are at is no longer needed.
            out.awaited_by.push(self.id);
        }
        if step.kind.for_each() {
            return self.each_ended(index, step, awaited, facts, env, out);
        }
        let outcome = &awaited.outcome;
        self.memory
            .answers
            .insert(step.name.clone(), json!(outcome));
        let mut vars = awaited
            .vars
            .as_deref()
            .and_then(|text| calls::parse_data(text).ok())
            .unwrap_or_default();
        vars.retain(|name, _| step.kind.takes().contains(name));
        if !vars.is_empty()
            && let Err(error) = self.merge_vars(vars)
        {
            return self.fail(index, &error, out);
        }
        let detail = json!({ "workflow": step.kind.workflow(), "case": awaited.last }).to_string();
        let token = self.finish(index, Event::StepDone, outcome, Some(detail), env, out);
        self.follow(&token, step.kind.leg_of(outcome), facts, env, out);
        self.look_again(env);
    }

    /// Of the cases for each row, as many have ended as were waited for.
    fn each_ended(
        &mut self,
        index: usize,
        step: &CompiledStep,
        awaited: &Awaited,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let tally = awaited.tally.as_deref();
        let tally: Value = tally
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let detail = json!({
            "workflow": step.kind.workflow(), "cases": awaited.cases, "ended": awaited.ended, "outcomes": tally,
        });
        self.memory.answers.insert(step.name.clone(), tally);
        let detail = Some(detail.to_string());
        let token = self.finish(index, Event::StepDone, "done", detail, env, out);
        self.follow(&token, "done", facts, env, out);
        self.look_again(env);
    }

    /// The step runs that wait for cases.
    pub fn awaiting(&self) -> impl Iterator<Item = &Token> {
        let awaits = |token: &&Token| self.awaits_cases(token);
        self.tokens.iter().filter(awaits)
    }

    /// Whether a token waits for cases.
    pub(super) fn awaits_cases(&self, token: &Token) -> bool {
        token.state == TokenState::Waiting
            && self
                .program
                .step(token.step)
                .is_some_and(|step| step.kind.awaits_cases())
    }

    /// The cases that this one waits for have to look at it.
    pub(super) fn tell_others(&self, out: &mut Effects) {
        if self.awaiting().next().is_some() {
            out.awaited_by.push(self.id);
        }
    }

    /// The row that this case is about has left the case that waits for this one, which goes on with its other rows.
    pub fn row_left(&mut self, outcome: &str, reason: &str, out: &mut Effects) {
        if !self.state.is_over() {
            self.end(CaseState::Cancelled, outcome, Some(reason), out);
        }
    }

    /// The case that waits for this one does so no longer.
    pub fn no_longer_awaited(&mut self, reason: &str, out: &mut Effects) {
        self.memory.awaited_by = None;
        if !self.state.is_over() {
            self.end(CaseState::Cancelled, "cancelled", Some(reason), out);
        }
    }
}

impl StartRequest {
    /// What history says about it.
    fn met_by(&self, other: Option<i64>) -> String {
        match other {
            Some(case) => json!({ "workflow": self.workflow, "case": case }).to_string(),
            None => json!({ "workflow": self.workflow, "limit": self.limit }).to_string(),
        }
    }
}
