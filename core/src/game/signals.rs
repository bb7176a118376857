//! Events from outside: signals that come in time, early or late, and conditions that become true.
//!
//! A signal for which a step waits moves it on. One that comes early, while some step that waits for it still lies ahead,
//! is kept, once for each name, until a token gets there. One that comes late is noted and moves nothing: whoever sends
//! it cannot know how far the case has come.

use serde_json::{Value, json};

use super::case::Case;
use super::effects::{Effects, Event};
use super::states::TokenState;
use super::{Env, Facts, calls};
use crate::program::{START, StepNo};
use crate::{Error, ErrorCode};

impl Case {
    /// Something has happened outside. `data` is the text of a JSON object, merged into the case's vars unless the signal
    /// comes late.
    ///
    /// # Errors
    /// [`ErrorCode::State`] if the case has ended, [`ErrorCode::Unknown`] if no step of its workflow waits for such a
    /// signal, and for data that are no object.
    pub fn signal(
        &mut self,
        name: &str,
        data: Option<&str>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let listeners = self.listeners(name)?;
        let data = data.map(calls::parse_data).transpose()?;
        let detail = match &data {
            Some(data) => json!({ "signal": name, "data": data }),
            None => json!({ "signal": name }),
        };
        let waiting: Vec<(StepNo, i16)> = self
            .tokens
            .iter()
            .filter(|t| t.state == TokenState::Waiting && listeners.contains(&t.step))
            .map(|t| (t.step, t.visit))
            .collect();
        if waiting.is_empty() && !self.lies_ahead(&listeners) {
            self.note_signal("late", detail, out);
            return Ok(());
        }
        if let Some(data) = data {
            self.merge_vars(data)?;
        }
        if waiting.is_empty() {
            self.memory.signals.insert(name.to_owned());
            self.note_signal("kept", detail.clone(), out);
        }
        for (step, visit) in waiting {
            // The first of several that wait side by side withdraws the others.
            if let Some(index) = self.token_of(step, visit) {
                self.received(index, detail.clone(), facts, env, out);
            }
        }
        self.look_again(env);
        Ok(())
    }

    /// The steps that wait for a signal.
    fn listeners(&self, name: &str) -> Result<Vec<StepNo>, Error> {
        let steps = || self.program.steps.iter();
        let listening = steps().filter(|s| s.kind.signal() == Some(name));
        let listeners: Vec<StepNo> = listening.map(|s| s.no).collect();
        if !listeners.is_empty() {
            return Ok(listeners);
        }
        let mut known: Vec<String> = steps()
            .filter_map(|s| s.kind.signal())
            .map(str::to_owned)
            .collect();
        known.sort();
        known.dedup();
        let detail = match known.is_empty() {
            true => "It waits for no signals.".to_owned(),
            false => format!("It waits for {}.", calls::quoted(&known)),
        };
        let workflow = &self.program.document.name;
        Err(Error::new(
            ErrorCode::Unknown,
            format!("no step of workflow \"{workflow}\" waits for a signal \"{name}\""),
        )
        .detail(detail)
        .hint("Give the name that stands in signal of an event step."))
    }

    /// Whether the case can still come to one of these steps.
    fn lies_ahead(&self, steps: &[StepNo]) -> bool {
        let at = self
            .tokens
            .iter()
            .map(|t| if t.step == START { 1 } else { t.step });
        let ahead = self.program.reachable(at.collect());
        steps.iter().any(|step| ahead.contains(step))
    }

    fn note_signal(&self, outcome: &str, detail: Value, out: &mut Effects) {
        let detail = Some(detail.to_string());
        out.history
            .push(self.record(Event::Signalled, None, Some(outcome), detail));
    }

    fn received(
        &mut self,
        index: usize,
        detail: Value,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let detail = Some(detail.to_string());
        let token = self.finish(index, Event::StepDone, "done", detail, env, out);
        self.follow(&token, "done", facts, env, out);
    }

    /// A token has come to an event that is a signal.
    pub(super) fn listen(
        &mut self,
        index: usize,
        signal: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        if self.memory.signals.remove(signal) {
            let detail = json!({ "signal": signal, "kept": true });
            self.received(index, detail, facts, env, out);
        } else {
            self.wait(index);
        }
    }

    /// The token stays until something happens.
    pub(super) fn wait(&mut self, index: usize) {
        let token = &mut self.tokens[index];
        token.state = TokenState::Waiting;
        token.run_at = None;
    }

    /// The subject, the vars or the answers have changed: what waits for a condition is asked again.
    pub(super) fn look_again(&mut self, env: &Env<'_>) {
        let program = self.program.clone();
        let state = self.waiting();
        let watches = |no| program.step(no).is_some_and(|s| s.kind.watches_subject());
        let paces = |no| program.step(no).is_some_and(|s| s.kind.paces_itself());
        for token in &mut self.tokens {
            let planned = token.state == state && paces(token.step);
            if planned || token.state == TokenState::Waiting && watches(token.step) {
                token.state = state;
                token.run_at = Some(env.now);
            }
        }
    }
}
