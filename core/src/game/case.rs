//! A case in memory, and the moves that every event shares: finish a step run, follow a leg, arrive, fail, end.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agreements::OpenPromise;
use super::effects::{Effects, Event, Failure, HistoryRow, Suppression};
use super::hold::{Block, Span};
use super::members::Member;
use super::states::{CaseState, TokenState};
use super::{Env, Facts};
use crate::collections::WorkflowKind;
use crate::collections::plan::Progress;
use crate::program::{CompiledStep, Program, StepNo};
use crate::{Error, ErrorCode};

/// An open step run.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub step: StepNo,
    /// The how-manieth time that the case is at this step, from 1.
    pub visit: i16,
    pub state: TokenState,
    pub attempts: i16,
    /// At a join: how many branches have come.
    pub arrived: i16,
    pub entered_at: DateTime<Utc>,
    /// When the engine acts on it.
    pub run_at: Option<DateTime<Utc>>,
    /// The planned date; for manual steps the deadline.
    pub due_at: Option<DateTime<Utc>>,
    pub task_id: Option<i64>,
}

/// What the rules remember of a case; only what some step of its program will ask for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// How often each step on a loop has been visited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visits: BTreeMap<String, i16>,
    /// When each step that dates hang on was last done.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub done: BTreeMap<String, DateTime<Utc>>,
    /// The answers given to questions, by step: a text, or a list of texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answers: BTreeMap<String, Value>,
    /// Signals that have come before the event that waits for them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub signals: BTreeSet<String>,
    /// Who settled each step that another one approves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settled_by: BTreeMap<String, String>,
    /// The sections that it is in (true) or waits to come into (false).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sections: BTreeMap<String, bool>,
    /// The case that waits for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited_by: Option<i64>,
    /// What holds stop while the case goes on, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stopped: BTreeMap<Block, String>,
    /// When the last message went out whose day had passed, while those behind it take their turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<DateTime<Utc>>,
    /// The stretches on hold that its dates do not count, in order; none overlaps another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shifts: Vec<Span>,
    /// What dates count from in the row that carries the case, as last seen, by column; only if it may concern several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carried: BTreeMap<String, String>,
    /// The same of rows that have carried it before: no date counts from an earlier day since (see `members`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub floors: BTreeMap<String, String>,
    /// Promises to pay that are open, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promises: Vec<OpenPromise>,
    /// Steps with a call that must not be made, and that is a task to find another way.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub not_called: BTreeSet<String>,
    /// How far its payment plan has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Progress>,
}

/// What went wrong with a step run, as an incident shows it.
#[derive(Clone, Copy, Debug)]
pub struct Mishap<'a> {
    pub sqlstate: &'a str,
    pub message: &'a str,
    pub detail: Option<&'a str>,
    pub hint: Option<&'a str>,
}

impl<'a> From<&'a Error> for Mishap<'a> {
    fn from(error: &'a Error) -> Self {
        Self {
            sqlstate: error.code.sqlstate(),
            message: &error.message,
            detail: error.detail.as_deref(),
            hint: error.hint.as_deref(),
        }
    }
}

/// A case, loaded.
#[derive(Clone, Debug)]
pub struct Case {
    pub id: i64,
    pub version_id: i32,
    pub program: Rc<Program>,
    /// The key of the row that conditions, dates and texts read, as text.
    pub key: String,
    pub state: CaseState,
    pub started_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub memory: Memory,
    /// The case's variables, as the text of a JSON object.
    pub vars: Option<String>,
    pub tokens: Vec<Token>,
    /// The rows that it concerns, in the order in which they joined, if it may concern several; else none.
    pub members: Vec<Member>,
}

impl Case {
    /// The token at a step, the latest visit first.
    pub fn token_at(&self, step: StepNo) -> Option<usize> {
        let at_step = self
            .tokens
            .iter()
            .enumerate()
            .filter(|(_, t)| t.step == step);
        at_step.max_by_key(|(_, t)| t.visit).map(|(i, _)| i)
    }

    /// The token of a step run.
    pub fn token_of(&self, step: StepNo, visit: i16) -> Option<usize> {
        self.tokens
            .iter()
            .position(|t| t.step == step && t.visit == visit)
    }

    /// The tokens whose time has come.
    pub fn ready(&self, now: DateTime<Utc>) -> impl Iterator<Item = usize> + '_ {
        let acts = match self.state {
            CaseState::Planned | CaseState::Running => true,
            CaseState::Held | CaseState::Completed | CaseState::Cancelled => false,
        };
        self.tokens
            .iter()
            .enumerate()
            .filter_map(move |(i, token)| {
                let due = acts
                    && token.state == TokenState::Scheduled
                    && token.run_at.is_some_and(|at| at <= now);
                due.then_some(i)
            })
    }

    /// How often a step has been visited so far.
    pub(super) fn visits(&self, step: &CompiledStep) -> i16 {
        self.memory.visits.get(&step.name).copied().unwrap_or(0)
    }

    pub(super) fn record(
        &self,
        event: Event,
        token: Option<&Token>,
        outcome: Option<&str>,
        detail: Option<String>,
    ) -> HistoryRow {
        HistoryRow {
            case_id: self.id,
            version_id: self.version_id,
            step: token.map(|t| t.step),
            visit: token.map(|t| t.visit),
            event,
            outcome: outcome.map(str::to_owned),
            entered_at: token.map(|t| t.entered_at),
            due_at: token.and_then(|t| t.due_at),
            task_id: token.and_then(|t| t.task_id),
            detail,
        }
    }

    /// Takes a step run off the board, with its row of history.
    pub(super) fn finish(
        &mut self,
        index: usize,
        event: Event,
        outcome: &str,
        detail: Option<String>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Token {
        let token = self.tokens.remove(index);
        out.history
            .push(self.record(event, Some(&token), Some(outcome), detail));
        if token.attempts > 0 {
            out.resolved.push((self.id, token.step, token.visit));
        }
        let program = self.program.clone();
        if let Some(step) = program.step(token.step) {
            if token.state == TokenState::Open {
                self.note_call(&token, step, event, outcome, out);
            }
            if step.is_anchor {
                self.memory.done.insert(step.name.clone(), env.now);
            }
            if !step.rivals.is_empty() {
                self.came_first(step, out);
            }
        }
        token
    }

    /// Lets a token go on from a step by the leg of an outcome.
    pub(super) fn follow(
        &mut self,
        token: &Token,
        outcome: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        let target = program
            .step(token.step)
            .and_then(|s| s.leg(outcome))
            .and_then(|l| l.target);
        match target {
            Some(target) => self.arrive(target, facts, env, out),
            None => self.open_end(token, outcome, out),
        }
    }

    /// A leg that leads nowhere. Publishing refuses such a version; should one run all the same, the case must not
    /// stand still in silence.
    fn open_end(&mut self, token: &Token, outcome: &str, out: &mut Effects) {
        let mut back = token.clone();
        back.run_at = None;
        self.tokens.push(back);
        let index = self.tokens.len() - 1;
        let error = Error::new(
            ErrorCode::State,
            format!(
                "step \"{}\" has no leg for outcome \"{outcome}\"",
                self.program.step_name(token.step)
            ),
        )
        .hint("Take another leg with wf.branch, or end the case with wf.cancel.");
        self.fail(index, &error, out);
    }

    /// Puts a token on a step and plans it.
    pub(super) fn arrive(
        &mut self,
        no: StepNo,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        let Some(step) = program.step(no) else {
            return;
        };
        if step.kind.joins().is_some() {
            self.come_to_join(step, env, out);
            return;
        }
        let token = self.new_token(step, env);
        let planned = self.plan(step, &token, facts, env);
        self.tokens.push(token);
        let index = self.tokens.len() - 1;
        match planned {
            Ok(dates) => {
                dates.apply(step, &mut self.tokens[index]);
                // Nothing to ask the database about: the task is there for whoever made the move.
                let at_once = self.tokens[index].run_at.is_some_and(|at| at <= env.now);
                let asks =
                    step.when.is_some() || !step.milestones.is_empty() || step.section.is_some();
                if step.is_manual() && !asks && at_once {
                    self.open_task(index, step, facts, env, out);
                } else if !at_once && !step.milestones.is_empty() {
                    out.milestones.push(self.id);
                }
            }
            Err(error) => self.fail(index, &error, out),
        }
    }

    /// A token that comes to a step now, for the first time or anew.
    pub(super) fn new_token(&mut self, step: &CompiledStep, env: &Env<'_>) -> Token {
        let mut visit = 1;
        if step.in_cycle {
            visit = self.visits(step).saturating_add(1);
            self.memory.visits.insert(step.name.clone(), visit);
        }
        Token {
            step: step.no,
            visit,
            state: self.waiting(),
            attempts: 0,
            arrived: 0,
            entered_at: env.now,
            run_at: Some(env.now),
            due_at: None,
            task_id: None,
        }
    }

    /// The state of a token that waits for its time: a person may settle a task of a case on hold, and what follows
    /// has to wait all the same.
    pub(super) fn waiting(&self) -> TokenState {
        if self.state == CaseState::Held {
            TokenState::Held
        } else {
            TokenState::Scheduled
        }
    }

    /// Parks a step run for a person, for an error that no repetition would cure.
    pub fn fail(&mut self, index: usize, error: &Error, out: &mut Effects) {
        self.tokens[index].attempts = self.tokens[index].attempts.saturating_add(1);
        self.park(index, &error.into(), out);
    }

    /// Parks a step run, if it is still open, for an error in what it has asked for.
    pub fn refused(&mut self, step: StepNo, visit: i16, error: Error, out: &mut Effects) {
        if let Some(index) = self.token_of(step, visit) {
            let error = error.of_step(self.program.step_name(step));
            self.fail(index, &error, out);
        }
    }

    /// The database raised an error while a step run was worked on. It is tried again after a pause that doubles each
    /// time, and parked after `max_attempts`.
    pub fn attempt_failed(
        &mut self,
        index: usize,
        mishap: &Mishap<'_>,
        max_attempts: i32,
        pause: TimeDelta,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let token = &mut self.tokens[index];
        token.attempts = token.attempts.saturating_add(1);
        if i32::from(token.attempts) >= max_attempts {
            self.park(index, mishap, out);
            return;
        }
        // What is tried for as long as it takes must also be tried again soon after its cause is gone.
        let most = if max_attempts == i32::MAX { 5 } else { 16 };
        let doublings = u32::try_from(token.attempts - 1).unwrap_or(0).min(most);
        token.run_at = Some(env.now + pause * 2i32.pow(doublings));
    }

    /// A message that waited for its window cannot be rendered now: it is withdrawn and its step run parked. wf.retry
    /// then makes a new one.
    pub fn message_unrenderable(&mut self, index: usize, mishap: &Mishap<'_>, out: &mut Effects) {
        let token = &mut self.tokens[index];
        token.attempts = token.attempts.saturating_add(1);
        self.keep_message(&self.tokens[index], "could not be rendered", out);
        self.park(index, mishap, out);
    }

    fn park(&mut self, index: usize, mishap: &Mishap<'_>, out: &mut Effects) {
        let token = &mut self.tokens[index];
        token.state = TokenState::Failed;
        token.run_at = None;
        let token = self.tokens[index].clone();
        let detail = serde_json::json!({ "error": mishap.message }).to_string();
        out.history
            .push(self.record(Event::StepFailed, Some(&token), None, Some(detail)));
        out.failures.push(Failure {
            case_id: self.id,
            step: token.step,
            visit: token.visit,
            attempts: token.attempts,
            sqlstate: mishap.sqlstate.to_owned(),
            message: mishap.message.to_owned(),
            detail: mishap.detail.map(str::to_owned),
            hint: Some(mishap.hint.map_or_else(
                || "Mend the cause, then call wf.retry; or wf.skip or wf.cancel.".to_owned(),
                str::to_owned,
            )),
        });
    }

    /// Ends the case: tokens come off the board, messages that have not left stay here.
    pub(super) fn end(
        &mut self,
        state: CaseState,
        outcome: &str,
        reason: Option<&str>,
        out: &mut Effects,
    ) {
        for token in std::mem::take(&mut self.tokens) {
            self.take_off(&token, reason, None, out);
            // A completed case withdraws the messages of steps that were still open; those of finished steps go out.
            if state == CaseState::Completed {
                self.keep_message(&token, outcome, out);
            }
        }
        if state == CaseState::Cancelled {
            out.suppressions.push(Suppression {
                case_id: self.id,
                step: None,
                reason: reason.unwrap_or(outcome).to_owned(),
            });
        }
        out.awaiting.extend(self.memory.awaited_by);
        self.drop_promises(out);
        if self.program.document.kind == WorkflowKind::OnHold {
            out.looked_into.push((self.id, outcome.to_owned()));
        }
        self.state = state;
        self.outcome = Some(outcome.to_owned());
        self.reason = reason.map(str::to_owned);
        let event = if state == CaseState::Completed {
            Event::CaseCompleted
        } else {
            Event::CaseCancelled
        };
        let detail = reason.map(|r| serde_json::json!({ "reason": r }).to_string());
        out.history
            .push(self.record(event, None, Some(outcome), detail));
    }
}
