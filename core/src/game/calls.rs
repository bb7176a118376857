//! What people ask for: settle, advance, branch, cancel, retry, skip. Each checks before it moves
//! anything, and says what to do instead.

use serde_json::{Map, Value, json};

use super::case::Case;
use super::effects::{Effects, Event, TaskMove};
use super::enter::{LATE_CANCEL, LATE_SKIP, LATE_START};
use super::states::{CaseState, TokenState};
use super::{Env, Facts};
use crate::program::{START, StepNo};
use crate::{Error, ErrorCode};

/// What somebody says about a step run.
#[derive(Clone, Copy, Debug)]
pub struct Settlement<'a> {
    /// None: the only outcome there is.
    pub outcome: Option<&'a str>,
    /// The text of a JSON object, merged into the case's vars.
    pub data: Option<&'a str>,
}

impl Case {
    pub(super) fn name(&self, no: StepNo) -> String {
        self.program.step_name(no).to_owned()
    }

    /// Refuses a case that has ended.
    pub fn must_be_open(&self) -> Result<(), Error> {
        if !self.state.is_over() {
            return Ok(());
        }
        let outcome = self.outcome.as_deref().unwrap_or("no outcome");
        let reason = self
            .reason
            .as_ref()
            .map_or(String::new(), |r| format!(", reason \"{r}\""));
        Err(Error::new(
            ErrorCode::State,
            format!("case {} has ended: it is {}", self.id, self.state.label()),
        )
        .detail(format!("Outcome \"{outcome}\"{reason}."))
        .hint("Nothing more happens in a case that has ended; wf.start begins a new one."))
    }

    /// The open step run that a call names, the only one if it names none.
    pub fn step_run(&self, step: Option<&str>) -> Result<usize, Error> {
        self.must_be_open()?;
        match step {
            Some(name) => {
                let no = match self.program.step_named(name) {
                    Some(step) => step.no,
                    None if name == "start" => START,
                    None => return Err(self.unknown_step(name)),
                };
                self.token_at(no).ok_or_else(|| {
                    Error::new(
                        ErrorCode::State,
                        format!("step \"{name}\" of case {} is not open", self.id),
                    )
                    .detail(self.where_it_stands())
                    .hint("wf.case_timeline shows where the case has been.")
                })
            }
            None if self.tokens.len() == 1 => Ok(0),
            None => Err(Error::new(
                ErrorCode::State,
                format!("case {} has {} open steps", self.id, self.tokens.len()),
            )
            .detail(self.where_it_stands())
            .hint("Name the step.")),
        }
    }

    pub(super) fn where_it_stands(&self) -> String {
        let open: Vec<_> = self
            .tokens
            .iter()
            .map(|t| format!("\"{}\" ({})", self.name(t.step), t.state.label()))
            .collect();
        format!(
            "The case is {}; its open steps are {}.",
            self.state.label(),
            open.join(", ")
        )
    }

    /// A person settles an open step run.
    pub fn settle(
        &mut self,
        index: usize,
        settlement: Settlement<'_>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let token = &self.tokens[index];
        if token.state != TokenState::Open {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "step \"{}\" of case {} is {}, not open to a person",
                    self.name(token.step),
                    self.id,
                    token.state.label()
                ),
            )
            .hint("wf.advance does now what is scheduled; wf.retry takes up what has failed; messages are settled by their sender."));
        }
        let data = settlement.data.map(parse_data).transpose()?;
        let chosen = self.chosen(index, settlement.outcome, data.as_ref())?;
        if let Some(chosen) = chosen {
            return self.settle_several(index, chosen, data, facts, env, out);
        }
        let outcomes = self.outcomes(token.step);
        let outcome = match settlement.outcome {
            Some(outcome) if outcomes.iter().any(|known| known == outcome) => outcome.to_owned(),
            None if outcomes.len() == 1 => outcomes[0].clone(),
            given => {
                let message = match given {
                    Some(outcome) => format!(
                        "step \"{}\" has no outcome \"{outcome}\"",
                        self.name(token.step)
                    ),
                    None => format!("step \"{}\" needs an outcome", self.name(token.step)),
                };
                return Err(Error::new(ErrorCode::Unknown, message)
                    .detail(format!("Its outcomes are {}.", quoted(&outcomes)))
                    .hint("Give one of these outcomes."));
            }
        };
        self.take_documents(index, &outcome, data.as_ref(), out)?;
        if token.step == START {
            self.settle_late_start(index, &outcome, facts, env, out);
            return Ok(());
        }
        self.keep_answer(token.step, &outcome);
        let detail = data.as_ref().map(|d| json!({ "data": d }).to_string());
        if let Some(data) = data {
            self.merge_vars(data)?;
        }
        let token = self.finish(index, Event::StepDone, &outcome, detail, env, out);
        self.follow(&token, &outcome, facts, env, out);
        self.look_again(env);
        Ok(())
    }

    /// The answers to a step that takes several.
    fn chosen(
        &self,
        index: usize,
        outcome: Option<&str>,
        data: Option<&Map<String, Value>>,
    ) -> Result<Option<Vec<String>>, Error> {
        let Some(step) = self.program.step(self.tokens[index].step) else {
            return Ok(None);
        };
        step.kind.choose(outcome, data).map_err(|error| Error {
            message: format!(
                "step \"{}\" of case {}: {}",
                step.name, self.id, error.message
            ),
            ..error
        })
    }

    fn settle_several(
        &mut self,
        index: usize,
        chosen: Vec<String>,
        data: Option<Map<String, Value>>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        let mut detail = Map::new();
        detail.insert("answers".to_owned(), json!(chosen));
        let mut data = data.unwrap_or_default();
        data.shift_remove("answers");
        if !data.is_empty() {
            detail.insert("data".to_owned(), Value::Object(data.clone()));
            self.merge_vars(data)?;
        }
        let name = self.name(self.tokens[index].step);
        self.memory.answers.insert(name, json!(chosen));
        let leg = self.program.step(self.tokens[index].step);
        let leg = leg.and_then(|step| step.legs.first());
        let outcome = leg.map_or_else(String::new, |leg| leg.outcome.clone());
        let detail = Some(Value::Object(detail).to_string());
        let token = self.finish(index, Event::StepDone, &outcome, detail, env, out);
        self.follow(&token, &outcome, facts, env, out);
        self.look_again(env);
        Ok(())
    }

    fn outcomes(&self, step: StepNo) -> Vec<String> {
        match self.program.step(step) {
            Some(step) => step.outcomes(),
            None => [LATE_START, LATE_SKIP, LATE_CANCEL]
                .map(str::to_owned)
                .to_vec(),
        }
    }

    fn settle_late_start(
        &mut self,
        index: usize,
        outcome: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        self.finish(index, Event::StepDone, outcome, None, env, out);
        match outcome {
            LATE_CANCEL => self.end(CaseState::Cancelled, "cancelled", Some("not started"), out),
            _ => self.begin(outcome == LATE_SKIP, outcome == LATE_SKIP, facts, env, out),
        }
    }

    fn keep_answer(&mut self, step: StepNo, outcome: &str) {
        let program = self.program.clone();
        if let Some(step) = program.step(step)
            && step.is_manual()
            && step.legs.len() > 1
        {
            self.memory
                .answers
                .insert(step.name.clone(), json!(outcome));
        }
    }

    pub(super) fn merge_vars(&mut self, data: Map<String, Value>) -> Result<(), Error> {
        let mut vars = match &self.vars {
            Some(text) => parse_data(text)?,
            None => Map::new(),
        };
        vars.extend(data);
        self.vars = Some(Value::Object(vars).to_string());
        Ok(())
    }

    /// Does now what is scheduled for later.
    pub fn advance(&mut self, index: usize, env: &Env<'_>) -> Result<(), Error> {
        self.must_not_be_held()?;
        let id = self.id;
        let name = self.name(self.tokens[index].step);
        let awaits_cases = self.awaits_cases(&self.tokens[index]);
        let token = &mut self.tokens[index];
        if token.state != TokenState::Scheduled {
            let hint = match token.state {
                TokenState::Open => "Settle it with wf.complete.",
                TokenState::Sending => "It is done when the sender has acknowledged the message.",
                TokenState::Joining => "It waits for the other branches.",
                TokenState::Waiting if awaits_cases => {
                    "It goes on when the case that it has started ends: wf.cancel ends that case, wf.skip withdraws it."
                }
                TokenState::Waiting => {
                    "It waits for an event: send its signal with wf.signal, or leave it out with wf.skip."
                }
                TokenState::Failed => "Call wf.retry.",
                TokenState::Scheduled | TokenState::Held => "Call wf.release first.",
            };
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "step \"{name}\" of case {id} is {}, not scheduled",
                    token.state.label()
                ),
            )
            .hint(hint));
        }
        token.run_at = Some(env.now);
        Ok(())
    }

    fn must_not_be_held(&self) -> Result<(), Error> {
        self.must_be_open()?;
        if self.state == CaseState::Held {
            return Err(
                Error::new(ErrorCode::State, format!("case {} is on hold", self.id))
                    .hint("Call wf.release first."),
            );
        }
        Ok(())
    }

    /// Takes a named leg of a question, task or decision.
    pub fn branch(
        &mut self,
        index: usize,
        leg: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let program = self.program.clone();
        let token = &self.tokens[index];
        let Some(step) = program.step(token.step) else {
            return Err(Error::new(
                ErrorCode::State,
                format!("case {} has not started", self.id),
            )
            .hint("Call wf.advance to start it now."));
        };
        let chooses = step.legs.len() > 1
            && (step.is_manual() || step.legs.iter().any(|l| l.condition.is_some()));
        if !chooses {
            return Err(Error::new(
                ErrorCode::State,
                format!("step \"{}\" has no legs to choose from", step.name),
            )
            .hint("wf.branch is for questions, tasks with outcomes, and decisions."));
        }
        if step.leg(leg).is_none() {
            return Err(Error::new(
                ErrorCode::Unknown,
                format!("step \"{}\" has no leg \"{leg}\"", step.name),
            )
            .detail(format!("Its legs are {}.", quoted(&step.outcomes())))
            .hint("Name one of these legs."));
        }
        self.take_documents(index, leg, None, out)?;
        self.keep_answer(step.no, leg);
        self.done(index, leg, facts, env, out);
        self.look_again(env);
        Ok(())
    }

    /// Ends the case for good.
    pub fn cancel(&mut self, reason: &str, out: &mut Effects) -> Result<(), Error> {
        self.must_be_open()?;
        self.end(CaseState::Cancelled, "cancelled", Some(reason), out);
        Ok(())
    }

    /// Takes up a step run that has failed.
    pub fn retry(
        &mut self,
        index: usize,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_not_be_held()?;
        let program = self.program.clone();
        let token = self.tokens[index].clone();
        let waits_to_retry = token.state == TokenState::Scheduled && token.attempts > 0;
        if token.state != TokenState::Failed && !waits_to_retry {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "step \"{}\" of case {} has not failed; it is {}",
                    self.name(token.step),
                    self.id,
                    token.state.label()
                ),
            )
            .hint("wf.incidents lists what has failed."));
        }
        out.resolved.push((self.id, token.step, token.visit));
        out.history
            .push(self.record(Event::StepRetried, Some(&token), None, None));
        let Some(step) = program.step(token.step) else {
            let start = self.planned_start(token.entered_at, facts, env)?;
            let token = &mut self.tokens[index];
            token.state = TokenState::Scheduled;
            token.attempts = 0;
            (token.run_at, token.due_at) = (start, start);
            return Ok(());
        };
        let dates = self.plan(step, &token, facts, env)?;
        let escalate_at = self.escalation(step, dates.shown(step), facts, env)?;
        let token = &mut self.tokens[index];
        token.state = TokenState::Scheduled;
        token.attempts = 0;
        dates.apply(step, token);
        if token.task_id.is_some() {
            // Its task was there already when its date could not be told.
            token.state = TokenState::Open;
            token.run_at = None;
            out.task_moves.push(TaskMove {
                case_id: self.id,
                step: token.step,
                visit: token.visit,
                due_at: token.due_at,
                escalate_at,
            });
        }
        Ok(())
    }

    /// Leaves a step out.
    pub fn skip(
        &mut self,
        index: usize,
        reason: Option<&str>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let program = self.program.clone();
        let token = &self.tokens[index];
        let next = program.step(token.step).and_then(|s| s.next);
        if next.is_none() {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "step \"{}\" cannot be skipped: no single step follows it",
                    self.name(token.step)
                ),
            )
            .hint("Choose a leg with wf.branch, or end the case with wf.cancel."));
        }
        if token.state == TokenState::Joining {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "step \"{}\" of case {} waits for other branches",
                    self.name(token.step),
                    self.id
                ),
            )
            .detail(self.where_it_stands())
            .hint("Settle, skip or advance the steps that these branches stand on."));
        }
        self.keep_message(token, "step skipped", out);
        if self.awaits_cases(&self.tokens[index]) {
            out.awaited_by.push(self.id);
        }
        self.pass_over(index, reason.unwrap_or("skipped by hand"), facts, env, out);
        Ok(())
    }
}

pub(super) fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|n| format!("\"{n}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Reads the text of a JSON object.
pub fn parse_data(text: &str) -> Result<Map<String, Value>, Error> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(
            Error::new(ErrorCode::Definition, "data is not a JSON object")
                .hint("Give an object, such as {\"promised\": \"2026-05-15\"}."),
        ),
        Err(e) => Err(Error::new(
            ErrorCode::Json,
            format!("data is not valid JSON: {e}"),
        )),
    }
}
