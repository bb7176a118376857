//! The subject's row has changed: stop rules, a start condition that no longer holds, dates that move.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::case::Case;
use super::effects::{Effects, Event, Suppression, TaskMove};
use super::fire::{STOPPED, SUBJECT_GONE};
use super::states::{CaseState, TokenState};
use super::{Env, Facts};
use crate::dates::{Anchor, DateRule};
use crate::program::{CompiledStep, START};

impl Case {
    /// Derives what follows from the row as it is now; `facts` answers `Program::watch_read`. A change that was
    /// missed or comes twice does no harm.
    pub fn subject_changed(&mut self, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        if self.state.is_over() {
            return;
        }
        if !facts.found {
            self.stop(SUBJECT_GONE, env, out);
            return;
        }
        self.look_at_promises(facts, env, out);
        if self.stop_if_due(facts, env, out) {
            return;
        }
        if self.started_at.is_none() && self.withdraw_if_due(facts, out) {
            return;
        }
        self.look_at_milestones(facts, env, out);
        for index in 0..self.tokens.len() {
            self.replan(index, facts, env, out);
        }
        self.reconsider_messages(out);
        self.look_again(env);
    }

    /// Messages of steps with a condition: it may no longer hold.
    fn reconsider_messages(&self, out: &mut Effects) {
        let sending = self
            .tokens
            .iter()
            .filter(|t| t.state == TokenState::Sending);
        let conditional = sending.filter(|token| {
            let step = self.program.step(token.step);
            step.is_some_and(|step| step.when.is_some())
        });
        out.reconsidered
            .extend(conditional.map(|token| (self.id, token.step, token.visit)));
    }

    /// The same for a case that has ended with messages still here: what its subject no longer calls for stays here.
    pub fn subject_changed_after_end(&self, facts: &Facts<'_>, out: &mut Effects) {
        let stop = self.program.stops().iter().zip(facts.conditions);
        let reason = if facts.found {
            stop.filter(|(_, holds)| **holds)
                .map(|(rule, _)| rule.reason.as_str())
                .next()
        } else {
            Some(SUBJECT_GONE)
        };
        if let Some(reason) = reason {
            out.suppressions.push(Suppression {
                case_id: self.id,
                step: None,
                reason: reason.to_owned(),
            });
        }
    }

    /// A planned case whose start condition no longer holds goes away.
    fn withdraw_if_due(&mut self, facts: &Facts<'_>, out: &mut Effects) -> bool {
        let program = self.program.clone();
        if program.document.start.is_none() {
            return false;
        }
        let holds = facts
            .conditions
            .get(program.stops().len())
            .copied()
            .unwrap_or(true);
        if !holds {
            self.end(
                CaseState::Cancelled,
                STOPPED,
                Some("start condition no longer holds"),
                out,
            );
        }
        !holds
    }

    /// Computes a token's dates anew if they hang on the subject's row. What is done stays done.
    pub(super) fn replan(
        &mut self,
        index: usize,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        if self.tokens[index].step == START {
            self.replan_start(index, facts, env, out);
            return;
        }
        let Some(step) = program.step(self.tokens[index].step) else {
            return;
        };
        if !hangs_on_subject(&step.on) && !hangs_on_subject(&step.due) {
            return;
        }
        match self.tokens[index].state {
            TokenState::Scheduled | TokenState::Held | TokenState::Open => {}
            // On the way, or waiting for others: no date of its own that could still move. A failed one is planned
            // anew by wf.retry.
            TokenState::Sending
            | TokenState::Joining
            | TokenState::Waiting
            | TokenState::Failed => return,
        }
        match self.plan(step, &self.tokens[index], facts, env) {
            Err(error) => self.fail(index, &error, out),
            Ok(dates) => {
                let token = &mut self.tokens[index];
                let before = (token.run_at, token.due_at);
                let started = token.state == TokenState::Open;
                let moved_start = hangs_on_subject(&step.on) && token.attempts == 0 && !started;
                let run_at = token.run_at;
                dates.apply(step, token);
                if !moved_start {
                    token.run_at = run_at;
                }
                if (token.run_at, token.due_at) != before {
                    let at = self.tokens[index].due_at;
                    // A deadline without an escalation is better than none.
                    let escalate_at = self.escalation(step, at, facts, env).unwrap_or(None);
                    self.note_move(index, step, before, escalate_at, out);
                }
            }
        }
    }

    fn note_move(
        &mut self,
        index: usize,
        step: &CompiledStep,
        before: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
        escalate_at: Option<DateTime<Utc>>,
        out: &mut Effects,
    ) {
        let token = self.tokens[index].clone();
        // The date that people see, unless only the start of a task has moved.
        let (old, new) = if token.due_at != before.1 {
            (before.1, token.due_at)
        } else {
            (before.0, token.run_at)
        };
        let detail = json!({ "old": old, "new": new }).to_string();
        out.history
            .push(self.record(Event::Rescheduled, Some(&token), None, Some(detail)));
        if step.is_manual() && token.state == TokenState::Open {
            out.task_moves.push(TaskMove {
                case_id: self.id,
                step: token.step,
                visit: token.visit,
                due_at: token.due_at,
                escalate_at,
            });
        }
    }

    fn replan_start(&mut self, index: usize, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        if self.tokens[index].state == TokenState::Open {
            return;
        }
        let program = self.program.clone();
        let Some(rule) = program.document.start.as_ref().and_then(|s| s.on.as_ref()) else {
            return;
        };
        if !matches!(rule.anchor, Anchor::Subject(_)) {
            return;
        }
        match self.planned_start(self.tokens[index].entered_at, facts, env) {
            Err(error) => self.fail(index, &error, out),
            Ok(at) => {
                let old = self.tokens[index].due_at;
                if old == at {
                    return;
                }
                let token = &mut self.tokens[index];
                token.due_at = at;
                token.run_at = at;
                let token = token.clone();
                let detail = json!({ "old": old, "new": at }).to_string();
                out.history
                    .push(self.record(Event::Rescheduled, Some(&token), None, Some(detail)));
            }
        }
    }
}

fn hangs_on_subject(rule: &Option<DateRule>) -> bool {
    rule.as_ref()
        .is_some_and(|rule| matches!(rule.anchor, Anchor::Subject(_)))
}
