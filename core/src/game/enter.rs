//! How a case begins: by its start rule (perhaps on a later day, perhaps late), or by a call.

use chrono::{DateTime, Utc};

use super::case::{Case, Token};
use super::effects::{Effects, Event, TaskRow};
use super::plan::When;
use super::states::{CaseState, TokenState};
use super::{Env, Facts};
use crate::Error;
use crate::dates::Anchor;
use crate::document::Late;
use crate::program::{CompiledStep, START};

/// The answers to the task of a row that came after its start date.
pub(super) const LATE_START: &str = "start";
pub(super) const LATE_SKIP: &str = "skip";
pub(super) const LATE_CANCEL: &str = "cancel";

impl Case {
    /// Begins by the start rule: now, on its date, or as `late` says. Err: the start date cannot be told, and nothing
    /// has happened. Ok(false): the date is not known yet, and there is no case.
    pub fn begin_by_rule(
        &mut self,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<bool, Error> {
        let program = self.program.clone();
        let Some(rule) = program.document.start.as_ref().and_then(|s| s.on.as_ref()) else {
            self.begin(program.late() == Late::Skip, false, facts, env, out);
            return Ok(true);
        };
        match self.date(rule, env.now, facts, env)? {
            When::Unknown => Ok(false),
            When::Now => {
                self.begin(false, false, facts, env, out);
                Ok(true)
            }
            When::At(at) => {
                let late = self.local_day(at, facts, env)? < self.local_day(env.now, facts, env)?;
                if late {
                    self.begin_late(program.late(), at, facts, env, out);
                } else if at <= env.now {
                    self.begin(false, false, facts, env, out);
                } else {
                    self.plan_start(at, env, out);
                }
                Ok(true)
            }
        }
    }

    /// Begins because somebody asked for it: now, whatever the start rule says.
    pub fn begin_by_call(&mut self, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        self.begin(false, false, facts, env, out);
    }

    /// When a planned case starts; None while its anchor is empty.
    pub(super) fn planned_start(
        &self,
        planned_at: DateTime<Utc>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let Some(rule) = self
            .program
            .document
            .start
            .as_ref()
            .and_then(|s| s.on.as_ref())
        else {
            return Ok(Some(env.now));
        };
        Ok(match self.date(rule, planned_at, facts, env)? {
            When::At(at) => Some(at),
            When::Now => Some(env.now),
            When::Unknown => None,
        })
    }

    fn start_token(&self, env: &Env<'_>) -> Token {
        Token {
            step: START,
            visit: 1,
            state: TokenState::Scheduled,
            attempts: 0,
            arrived: 0,
            entered_at: env.now,
            run_at: None,
            due_at: None,
            task_id: None,
        }
    }

    fn plan_start(&mut self, at: DateTime<Utc>, env: &Env<'_>, out: &mut Effects) {
        self.state = CaseState::Planned;
        let token = Token {
            run_at: Some(at),
            due_at: Some(at),
            ..self.start_token(env)
        };
        out.history
            .push(self.record(Event::CasePlanned, Some(&token), None, None));
        self.tokens.push(token);
    }

    fn begin_late(
        &mut self,
        late: Late,
        at: DateTime<Utc>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        match late {
            Late::Now => self.begin(false, false, facts, env, out),
            Late::Skip => self.begin(true, true, facts, env, out),
            Late::Ask => {
                self.state = CaseState::Planned;
                let token = Token {
                    state: TokenState::Open,
                    due_at: Some(at),
                    ..self.start_token(env)
                };
                out.history
                    .push(self.record(Event::CasePlanned, Some(&token), None, None));
                out.tasks.push(TaskRow {
                    case_id: self.id,
                    step: START,
                    visit: token.visit,
                    title: "The start date has passed: start now, skip what is past, or cancel?"
                        .to_owned(),
                    participant: self
                        .program
                        .steps
                        .iter()
                        .find_map(|s| s.participant.clone()),
                    outcomes: [LATE_START, LATE_SKIP, LATE_CANCEL]
                        .map(str::to_owned)
                        .to_vec(),
                    due_at: None,
                    escalate_at: None,
                    notify: false,
                });
                self.tokens.push(token);
            }
        }
    }

    /// Starts the case and puts a token on its first step, or on the first one still ahead.
    pub(super) fn begin(
        &mut self,
        skip_past: bool,
        start_is_past: bool,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        if self.state != CaseState::Held {
            self.state = CaseState::Running;
        }
        self.started_at = Some(env.now);
        if self.program.concerns_several() {
            self.note_pace_of(&facts.row);
        }
        out.history
            .push(self.record(Event::CaseStarted, None, None, None));
        let first = if skip_past {
            self.skip_past(start_is_past, facts, env, out)
        } else {
            1
        };
        self.arrive(first, facts, env, out);
    }

    /// Walks over the steps whose day has passed, with a row of history each. An undated automatic step goes with
    /// its stage: the text message that follows a late e-mail is late, too.
    fn skip_past(
        &mut self,
        start_is_past: bool,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> i16 {
        let program = self.program.clone();
        let mut no = 1;
        let mut past_stage = start_is_past.then_some(1);
        for _ in 0..program.steps.len() {
            let Some(step) = program.step(no) else { break };
            let Some(next) = step.next.filter(|next| single_way_on(step, *next)) else {
                break;
            };
            let past = match self.is_past(step, facts, env) {
                Some(past) => past,
                None => !step.is_manual() && past_stage == Some(step.stage),
            };
            if !past {
                break;
            }
            past_stage = Some(step.stage);
            let token = Token {
                step: no,
                ..self.start_token(env)
            };
            out.history
                .push(self.record(Event::StepSkipped, Some(&token), Some("late"), None));
            if step.is_anchor {
                // As for any skip: what counts from this step would wait for ever.
                self.memory.done.insert(step.name.clone(), env.now);
            }
            no = next;
        }
        no
    }

    /// Whether a step's day lies before today; None if it has no day of its own.
    fn is_past(&self, step: &CompiledStep, facts: &Facts<'_>, env: &Env<'_>) -> Option<bool> {
        let rule = if step.is_manual() {
            step.due.as_ref().or(step.on.as_ref())
        } else {
            step.on.as_ref()
        };
        let rule = rule?;
        if !matches!(rule.anchor, Anchor::Subject(_)) {
            return Some(false);
        }
        let When::At(at) = self.date(rule, env.now, facts, env).ok()? else {
            return Some(false);
        };
        let day = self.local_day(at, facts, env).ok()?;
        let today = self.local_day(env.now, facts, env).ok()?;
        Some(day < today)
    }
}

/// Whether the way on from a step is the same whatever its outcome.
pub(super) fn single_way_on(step: &CompiledStep, next: i16) -> bool {
    step.legs
        .first()
        .is_some_and(|leg| leg.target == Some(next))
        && step.legs.iter().all(|leg| leg.condition.is_none())
        && !(step.is_manual() && step.legs.len() > 1)
}
