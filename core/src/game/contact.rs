//! Messages and calls of workflows with a contact policy: they wait in the outbox until the policy has been asked, and
//! what it says is done here. Whether it allows them is for `crate::contact`.
//!
//! A call waits there, too, as a row that no sender ever gets: it has a time and a reason like any other.

use serde_json::json;

use super::case::{Case, Token};
use super::effects::{ContactRow, Effects, Event, MessageRow, MessageState, TaskRow};
use super::fire::UNDELIVERABLE;
use super::states::TokenState;
use super::{Env, Facts};
use crate::contact::{CALL, Reach};
use crate::kinds::Channel;
use crate::program::{CompiledStep, StepNo};

/// Why a message or a call does not reach its person.
#[derive(Clone, Copy)]
pub struct Refusal<'a> {
    /// On which channel.
    pub channel: &'a str,
    /// What history calls it.
    pub event: Event,
    pub reason: &'a str,
    /// Which channels are left.
    pub reach: &'a Reach,
}

impl Case {
    /// Whether a step waits for a contact policy's word. A hold that stops communication stops calls, too.
    pub(super) fn asks_policy(&self, step: &CompiledStep) -> bool {
        if self.program.document.contact_policy.is_none() && self.memory.stopped.is_empty() {
            return false;
        }
        let Some(channel) = step.kind.contact() else {
            return false;
        };
        self.program.document.contact_policy.is_some()
            || channel == CALL && self.stopped(super::Block::Communication).is_some()
    }

    /// Puts a message, or a call, where the policy is asked: it is due at once.
    pub(super) fn ask_policy(
        &mut self,
        index: usize,
        channel: &'static str,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        self.keep_quiet(out);
        let token = &mut self.tokens[index];
        token.state = TokenState::Sending;
        token.run_at = None;
        out.messages.push(MessageRow {
            case_id: self.id,
            step: token.step,
            visit: token.visit,
            channel,
            state: MessageState::Deferred,
            payload: None,
            not_before: env.now,
            not_after: None,
        });
    }

    /// The call of a step run may be made: its task is there from now on.
    pub fn call_allowed(
        &mut self,
        step: StepNo,
        visit: i16,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        if let (Some(index), Some(step)) = (self.sending(step, visit), program.step(step)) {
            self.memory.not_called.remove(&step.name);
            self.make_task(index, step, step.title(), facts, env, out);
        }
    }

    /// A step run's message must not, or cannot, go out on its channel: the next channel takes its turn; with none left,
    /// the step's own leg for that, or a person.
    pub fn contact_refused(
        &mut self,
        step: StepNo,
        visit: i16,
        refusal: &Refusal<'_>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let Refusal {
            channel,
            event,
            reason,
            reach,
        } = *refusal;
        let Some(index) = self.sending(step, visit) else {
            return;
        };
        let program = self.program.clone();
        let Some(step) = program.step(step) else {
            return;
        };
        let next = if step.kind.channel().is_some() {
            reach.next(channel)
        } else {
            None
        };
        let token = self.tokens[index].clone();
        let mut detail = json!({ "channel": channel, "reason": reason });
        if let Some(next) = next {
            detail["next"] = next.into();
        }
        let detail = Some(detail.to_string());
        out.history
            .push(self.record(event, Some(&token), None, detail));
        if let Some(next) = next {
            self.ask_policy(index, next, env, out);
        } else if step.leg(UNDELIVERABLE).is_some() {
            self.done(index, UNDELIVERABLE, facts, env, out);
        } else if step.is_manual() {
            let title = format!("{} (not by {channel}: {reason})", step.title());
            self.memory.not_called.insert(step.name.clone());
            self.make_task(index, step, title, facts, env, out);
        } else {
            self.ask_a_person(index, step, reason, reach, out);
        }
    }

    /// No channel is left, and the case must not stand still in silence.
    fn ask_a_person(
        &mut self,
        index: usize,
        step: &CompiledStep,
        reason: &str,
        reach: &Reach,
        out: &mut Effects,
    ) {
        let title = reach.task.title.clone();
        let token = &mut self.tokens[index];
        token.state = TokenState::Open;
        out.tasks.push(TaskRow {
            case_id: self.id,
            step: step.no,
            visit: token.visit,
            title: title.unwrap_or_else(|| {
                format!("{}: no way to reach them is left ({reason})", step.title())
            }),
            participant: reach.task.participant.clone(),
            outcomes: step.outcomes(),
            due_at: None,
            escalate_at: None,
            notify: false,
        });
    }

    /// A person has settled a step: a call is a contact, unless it must not be made.
    pub(super) fn note_call(
        &mut self,
        token: &Token,
        step: &CompiledStep,
        event: Event,
        outcome: &str,
        out: &mut Effects,
    ) {
        if event != Event::StepDone
            || self.program.document.contact_policy.is_none()
            || step.kind.contact() != Some(CALL)
            || token.state != TokenState::Open
            || self.memory.not_called.remove(&step.name)
        {
            return;
        }
        out.contacts.push(ContactRow {
            case_id: self.id,
            step: step.name.clone(),
            channel: CALL,
            talked: step.kind.talked(outcome),
            outcome: outcome.to_owned(),
        });
    }

    /// The address that a person would be contacted at on a channel, as the subject's row has it now. Err: the reason why
    /// there is none.
    ///
    /// # Errors
    /// As a text for people.
    pub fn address(
        &self,
        step: &CompiledStep,
        channel: &str,
        facts: &Facts<'_>,
    ) -> Result<Option<String>, String> {
        if channel == CALL {
            let column = self.program.address_column(Channel::Sms);
            let phone = column.and_then(|column| facts.row.get(column));
            return Ok(phone.map(|(phone, _)| phone.to_owned()));
        }
        let known = Channel::ALL.into_iter().find(|c| c.name() == channel);
        let Some(channel) = known else {
            return Err(format!("there is no channel {channel}"));
        };
        self.recipient(step, channel, facts)
            .map_err(|_| format!("there is no address for {}", channel.name()))
    }
}
