//! A token's time has come: what its step does, and where the token goes.

use serde_json::json;

use super::case::Case;
use super::effects::{Effects, Event, MessageRow, MessageState, NoteRow, Quiet, TaskRow};
use super::hold::Block;
use super::states::{CaseState, TokenState};
use super::{Env, Facts};
use crate::Error;
use crate::contact::CALL;
use crate::kinds::{Channel, DoneWhen, Firing, Then};
use crate::program::{CompiledStep, START, StepNo, inline_name};

/// What the shell has to do next about a fired token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// Nothing: the token has moved, waits, or has failed.
    Moved,
    /// Write the subject's row, then call `wrote` or `locked`; or call the step's function, then `called`.
    Write,
    /// Another row carries the case from now on; what was asked about the one before it says nothing any more.
    TakenOver,
}

/// The outcome of a step whose message cannot reach anybody.
pub(super) const UNDELIVERABLE: &str = "undeliverable";
/// The outcome of a message step that went well.
pub(super) const SENT: &str = "sent";

/// Why a step was left out whose `when` does not hold.
const NOT_MET: &str = "condition not met";

/// Why a case ended when its subject's row is gone.
pub(super) const SUBJECT_GONE: &str = "subject gone";
/// The outcome of a case that ended by itself; such a subject may get another case (`again: after_stop`).
pub const STOPPED: &str = "stopped";

impl Case {
    /// Fires the token at `index`. `facts` answers `Program::step_read` of its step, or `start_read` for a planned
    /// case. Errors of the case's own making park the step run; they are not returned.
    pub fn fire(
        &mut self,
        index: usize,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Fired {
        if !facts.found {
            return self.stop(SUBJECT_GONE, env, out);
        }
        if self.tokens[index].step == START {
            self.fire_start(index, facts, env, out);
            return Fired::Moved;
        }
        if self.stop_if_due(facts, env, out) {
            return self.after_stop();
        }
        let program = self.program.clone();
        let Some(step) = program.step(self.tokens[index].step) else {
            return Fired::Moved;
        };
        if self.comes_second(index, step) || self.is_out_of_turn(index, step, facts, env, out) {
            return Fired::Moved;
        }
        let Some(conditions) = self.called_for(index, step, facts, env, out) else {
            return Fired::Moved;
        };
        if step.section.is_some() && self.waits_outside(index, step, out) {
            return Fired::Moved;
        }
        let then = {
            let visits = |name: &str| {
                let visits = self.memory.visits.get(name).copied().unwrap_or(1);
                u32::try_from(visits).unwrap_or(u32::MAX)
            };
            step.kind.fire(&Firing {
                conditions,
                visits: &visits,
            })
        };
        self.act(index, step, then, facts, env, out)
    }

    fn fire_start(&mut self, index: usize, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        if self.stop_if_due(facts, env, out) {
            return;
        }
        if !self.program.starts(facts.conditions) {
            self.end(
                CaseState::Cancelled,
                STOPPED,
                Some("start condition no longer holds"),
                out,
            );
            return;
        }
        self.tokens.remove(index);
        self.begin(false, false, facts, env, out);
    }

    /// Stops if a stop rule holds; the first one gives the reason.
    pub(super) fn stop_if_due(
        &mut self,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> bool {
        let program = self.program.clone();
        let mut rules = program.stops().iter().zip(facts.conditions);
        let Some((rule, _)) = rules.find(|(_, holds)| **holds) else {
            return false;
        };
        self.stop(&rule.reason, env, out);
        true
    }

    /// Whether the row calls for a step: its milestones hold, and its `when`. Otherwise the case leaves it. The conditions of
    /// the step's own kind, if it does; `facts` answers `Program::step_read`.
    fn called_for<'f>(
        &mut self,
        index: usize,
        step: &CompiledStep,
        facts: &Facts<'f>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Option<&'f [bool]> {
        let stops = self.program.stops().len();
        let conditions = facts.conditions.get(stops..).unwrap_or(&[]);
        let conditions = self.ceases_first(step, conditions, facts, env, out)?;
        match (&step.when, conditions.split_first()) {
            (Some(_), Some((true, own))) => Some(own),
            (Some(_), Some((false, _))) => {
                self.keep_message(&self.tokens[index], NOT_MET, out);
                self.pass_over(index, NOT_MET, facts, env, out);
                None
            }
            _ => Some(conditions),
        }
    }

    /// Looks at the row once more before a message that has waited leaves. What had to hold for it to be made still has to: a
    /// case whose subject is gone or paid ends instead, or goes on with its other rows; one that the row no longer calls for
    /// the step leaves it. True if it did; `facts` answers `Program::step_read`.
    pub fn stays_here(
        &mut self,
        step: StepNo,
        visit: i16,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> bool {
        if !facts.found {
            self.stop(SUBJECT_GONE, env, out);
            return true;
        }
        if self.stop_if_due(facts, env, out) {
            return true;
        }
        let program = self.program.clone();
        match (self.sending(step, visit), program.step(step)) {
            (Some(index), Some(step)) => self.called_for(index, step, facts, env, out).is_none(),
            _ => false,
        }
    }

    /// Leaves a step out and goes on with its `next`.
    pub(super) fn pass_over(
        &mut self,
        index: usize,
        why: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        let next = program.step(self.tokens[index].step).and_then(|s| s.next);
        let detail = Some(json!({ "reason": why }).to_string());
        let token = self.finish(index, Event::StepSkipped, "skipped", detail, env, out);
        match next {
            Some(next) => self.arrive(next, facts, env, out),
            None => self.follow(&token, "skipped", facts, env, out),
        }
    }

    fn act(
        &mut self,
        index: usize,
        step: &CompiledStep,
        then: Then<'_>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Fired {
        match then {
            Then::Done(outcome) => self.done(index, outcome, facts, env, out),
            Then::Join => self.done(index, "done", facts, env, out),
            Then::Listen(signal) => self.listen(index, signal, facts, env, out),
            Then::LookAgain => self.wait(index),
            Then::Task => self.open_task(index, step, facts, env, out),
            Then::Notify => self.notify(index, step, facts, env, out),
            Then::Assign {
                participant,
                account,
            } => self.assign(index, step, participant, account, facts, env, out),
            Then::Note { .. } => match self.text(step, &inline_name(&step.name, 0), facts, env) {
                Ok(text) => {
                    let token = &self.tokens[index];
                    out.notes.push(NoteRow {
                        case_id: self.id,
                        step: step.no,
                        visit: token.visit,
                        body: text.body,
                    });
                    self.done(index, "done", facts, env, out);
                }
                Err(error) => self.fail(index, &error, out),
            },
            Then::Send {
                channel,
                template: _,
                done_when,
                otherwise,
            } => {
                if let Err(error) =
                    self.send(index, step, channel, done_when, otherwise, facts, env, out)
                {
                    self.fail(index, &error, out);
                }
            }
            Then::Instalments(kind) => self.instalments(index, step, kind, facts, env, out),
            Then::Charge(charge) => self.ask_to_charge(index, step, charge, facts, env, out),
            Then::Strategy(verb) => self.set_strategies(index, verb, facts, env, out),
            Then::Write | Then::Call => return Fired::Write,
            Then::Fork => self.fork(index, step, None, facts, env, out),
            Then::Split(legs) => self.fork(index, step, Some(&legs), facts, env, out),
            Then::StartAnother {
                workflow,
                limit,
                afterwards,
            } => self.ask_for_another(index, workflow, limit, afterwards, out),
            Then::End { outcome } => {
                self.finish(index, Event::StepDone, "done", None, env, out);
                self.end(CaseState::Completed, outcome, None, out);
            }
        }
        Fired::Moved
    }

    /// The step run is over; its token takes the leg of the outcome.
    pub(super) fn done(
        &mut self,
        index: usize,
        outcome: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let token = self.finish(index, Event::StepDone, outcome, None, env, out);
        self.follow(&token, outcome, facts, env, out);
    }

    pub(super) fn open_task(
        &mut self,
        index: usize,
        step: &CompiledStep,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        if self.asks_policy(step) {
            self.ask_policy(index, CALL, env, out);
            return;
        }
        self.make_task(index, step, step.title(), facts, env, out);
    }

    /// Makes the task of a step, there and then.
    pub(super) fn make_task(
        &mut self,
        index: usize,
        step: &CompiledStep,
        title: String,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let escalate_at = match self.escalation(step, self.tokens[index].due_at, facts, env) {
            Ok(at) => at,
            Err(error) => return self.fail(index, &error, out),
        };
        let token = &mut self.tokens[index];
        token.state = TokenState::Open;
        token.run_at = None;
        out.tasks.push(TaskRow {
            case_id: self.id,
            step: step.no,
            visit: token.visit,
            title,
            participant: step.participant.clone(),
            outcomes: step.outcomes(),
            due_at: token.due_at,
            escalate_at,
            notify: step.people.notify,
        });
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of Then::Send, and what every move takes"
    )]
    fn send(
        &mut self,
        index: usize,
        step: &CompiledStep,
        channel: Channel,
        done_when: DoneWhen,
        otherwise: bool,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        if self.asks_policy(step) {
            self.ask_policy(index, channel.name(), env, out);
            return Ok(());
        }
        if otherwise && self.recipient(step, channel, facts).is_err() {
            self.done(index, UNDELIVERABLE, facts, env, out);
            return Ok(());
        }
        // A ticket is nobody's contact.
        let (opens, closes) = if channel.is_contact() {
            self.window(env.now, facts, env)?
        } else {
            (env.now, None)
        };
        let quiet = channel.is_contact() && self.keep_quiet(out);
        let deferred = quiet || opens > env.now;
        let payload = if deferred {
            // Found out now, not when the window opens in the night of somebody's week-end.
            self.recipient(step, channel, facts)?;
            None
        } else {
            Some(self.render(step, facts, env)?.payload)
        };
        let token = &mut self.tokens[index];
        out.messages.push(MessageRow {
            case_id: self.id,
            step: step.no,
            visit: token.visit,
            channel: channel.name(),
            state: if deferred {
                MessageState::Deferred
            } else {
                MessageState::Queued
            },
            payload,
            not_before: opens,
            not_after: closes,
        });
        if !deferred && done_when == DoneWhen::Queued {
            self.sent(index, DoneWhen::Queued.label(), facts, env, out);
        } else {
            token.state = TokenState::Sending;
            token.run_at = None;
        }
        Ok(())
    }

    /// Whether a hold keeps messages here; then also the one that is about to be made.
    pub(super) fn keep_quiet(&self, out: &mut Effects) -> bool {
        let Some(reason) = self.stopped(Block::Communication) else {
            return false;
        };
        out.quiets.push(Quiet {
            case_id: self.id,
            reason: Some(format!("on hold: {reason}")),
        });
        true
    }

    /// A message step is over: history names how far the message had come, the token takes the leg `sent`.
    pub(super) fn sent(
        &mut self,
        index: usize,
        how_far: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let token = self.finish(index, Event::StepDone, how_far, None, env, out);
        self.follow(&token, SENT, facts, env, out);
    }
}
