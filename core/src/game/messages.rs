//! What senders report about a step's message, and what becomes of the step then. A report on a step run that is over
//! moves nothing: it may come late, or twice.

use serde_json::json;

use super::case::Case;
use super::effects::{Effects, Event};
use super::fire::UNDELIVERABLE;
use super::states::TokenState;
use super::{Env, Facts};
use crate::Error;
use crate::kinds::DoneWhen;
use crate::program::{Program, StepNo};

impl Program {
    /// How far the message of a step has to come for the step to be done; None: it sends none.
    pub fn done_when(&self, step: StepNo) -> Option<DoneWhen> {
        let firing = crate::kinds::Firing {
            conditions: &[],
            visits: &|_| 1,
        };
        match self.step(step)?.kind.fire(&firing) {
            crate::kinds::Then::Send { done_when, .. } => Some(done_when),
            _ => None,
        }
    }
}

impl Case {
    /// The sender reports on the message of a step run: `queued`, `sent` or `delivered`. The step is over when its
    /// `done_when` says so.
    pub fn message_came_to(
        &mut self,
        step: StepNo,
        visit: i16,
        how_far: DoneWhen,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let Some(index) = self.sending(step, visit) else {
            return;
        };
        if self
            .program
            .done_when(step)
            .is_some_and(|wanted| how_far >= wanted)
        {
            self.sent(index, how_far.label(), facts, env, out);
        }
    }

    /// The message of a step run cannot reach anybody: `event` says whether it bounced or the sender gave up.
    #[allow(
        clippy::too_many_arguments,
        reason = "which message, what became of it, and what every move takes"
    )]
    pub fn message_failed(
        &mut self,
        step: StepNo,
        visit: i16,
        event: Event,
        error: &Error,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let Some(index) = self.sending(step, visit) else {
            return;
        };
        let token = self.tokens[index].clone();
        out.history.push(self.record(event, Some(&token), None, {
            Some(json!({ "error": error.message }).to_string())
        }));
        let program = self.program.clone();
        if program
            .step(step)
            .is_some_and(|s| s.leg(UNDELIVERABLE).is_some())
        {
            self.done(index, UNDELIVERABLE, facts, env, out);
        } else {
            self.fail(index, error, out);
        }
    }

    /// A message that waited for its window cannot be rendered for a reason in its text or row.
    pub fn message_failed_to_render(
        &mut self,
        step: StepNo,
        visit: i16,
        error: &Error,
        out: &mut Effects,
    ) {
        let Some(index) = self.sending(step, visit) else {
            return;
        };
        self.message_unrenderable(index, &error.into(), out);
    }

    pub(super) fn sending(&self, step: StepNo, visit: i16) -> Option<usize> {
        self.token_of(step, visit)
            .filter(|i| self.tokens[*i].state == TokenState::Sending)
    }
}
