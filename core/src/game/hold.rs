//! Holds: what they stop, and what becomes of the case's dates when they end.
//!
//! A hold that stops steps puts the case as a whole on hold. One that stops communication or charges only leaves it
//! running, and what it stops stands in the case's memory, with the reason. The case is told of every hold that begins
//! or ends and of those that are left; which holds there are is the shell's to know.
//!
//! When a hold ends, its time is remembered as a [`Span`]: dates that are computed later, for steps that come after it
//! or because the row has changed, must take the same move as those that were open then.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::case::Case;
use super::effects::{Effects, Event, Quiet, TaskMove};
use super::states::{CaseState, TokenState};
use super::{Env, Facts};
use crate::dates::{Anchor, AnchorValue, DateContext, DateRule};
use crate::program::START;
use crate::{Error, ErrorCode};

/// What a hold stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// All that the engine does in the case, messages and charges included. People may go on with open tasks.
    Steps,
    /// Messages and calls.
    Communication,
    /// Fees and interest.
    Charges,
}

impl Block {
    /// Everything that can be stopped.
    pub const ALL: [Self; 3] = [Block::Steps, Block::Communication, Block::Charges];

    /// Its name in SQL.
    pub fn label(self) -> &'static str {
        match self {
            Block::Steps => "steps",
            Block::Communication => "communication",
            Block::Charges => "charges",
        }
    }

    /// The one of this name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|block| block.label() == label)
    }
}

/// What a hold on the steps does to the dates that lie ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// They stay: what fell due meanwhile happens when the hold ends. Only the deadlines of open tasks move.
    RunOn,
    /// They move by the days that the hold took.
    Shift,
    /// They move by the business days that it took.
    ShiftBusiness,
}

impl Clock {
    /// Every policy.
    pub const ALL: [Self; 3] = [Clock::RunOn, Clock::Shift, Clock::ShiftBusiness];

    /// Its name in SQL.
    pub fn label(self) -> &'static str {
        match self {
            Clock::RunOn => "run_on",
            Clock::Shift => "shift",
            Clock::ShiftBusiness => "shift_business",
        }
    }

    /// The one of this name.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|clock| clock.label() == label)
    }
}

/// A hold, as the rules need it.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// What kind of hold it is, such as `dispute`.
    pub kind: String,
    /// Why, for people.
    pub reason: String,
    pub blocks: Vec<Block>,
    pub clock: Clock,
    /// When it began.
    pub from: DateTime<Utc>,
    /// When it ends or has ended; None: somebody releases it.
    pub until: Option<DateTime<Utc>>,
}

impl Hold {
    fn stops_steps(&self) -> bool {
        self.blocks.contains(&Block::Steps)
    }
}

/// A stretch of time that a case's dates do not count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub clock: Clock,
}

impl Span {
    /// What is left of it outside of another stretch.
    fn outside(self, other: &Span) -> impl Iterator<Item = Span> {
        let before = Span {
            to: self.to.min(other.from),
            ..self
        };
        let after = Span {
            from: self.from.max(other.to),
            ..self
        };
        [before, after].into_iter().filter(|s| s.from < s.to)
    }

    /// From when on it counts for a date, if it does: not before what the date counts from, and, for a hold that lets
    /// dates run on, not before a person could have worked on it.
    fn counts_from(
        &self,
        basis: Option<DateTime<Utc>>,
        opened: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        let mut from = basis.map_or(self.from, |basis| basis.max(self.from));
        if self.clock == Clock::RunOn {
            from = from.max(opened?);
        }
        (from < self.to).then_some(from)
    }
}

impl Case {
    /// Why something is stopped in this case; None: it is not.
    pub fn stopped(&self, what: Block) -> Option<&str> {
        self.memory.stopped.get(&what).map(String::as_str)
    }

    /// Puts the case on hold, besides the holds that it has.
    ///
    /// # Errors
    /// [`ErrorCode::State`] for a case that has ended.
    pub fn hold(&mut self, hold: &Hold, out: &mut Effects) -> Result<(), Error> {
        self.must_be_open()?;
        if hold.stops_steps() && self.state != CaseState::Held {
            for token in &mut self.tokens {
                if token.state == TokenState::Scheduled {
                    token.state = TokenState::Held;
                }
            }
            self.state = CaseState::Held;
            self.tell_others(out);
        }
        let quiet = self.stopped(Block::Communication).is_some();
        self.stop_what(std::slice::from_ref(hold), out);
        if !quiet && self.stopped(Block::Communication).is_some() {
            self.tell_others(out);
        }
        let mut detail = json!({ "reason": hold.reason, "kind": hold.kind });
        if let Some(until) = hold.until {
            detail["until"] = json!(until);
        }
        if !hold.stops_steps() {
            detail["blocks"] = json!(hold.blocks);
        }
        let detail = Some(detail.to_string());
        out.history
            .push(self.record(Event::CaseHeld, None, None, detail));
        Ok(())
    }

    /// Notes what holds stop besides steps.
    fn stop_what(&mut self, holds: &[Hold], out: &mut Effects) {
        let quiet = self.stopped(Block::Communication).is_some();
        for hold in holds.iter().filter(|hold| !hold.stops_steps()) {
            for block in &hold.blocks {
                let reasons = self.memory.stopped.entry(*block).or_default();
                if !reasons.is_empty() {
                    reasons.push_str(", ");
                }
                reasons.push_str(&hold.reason);
            }
        }
        if !quiet && let Some(reason) = self.stopped(Block::Communication) {
            let reason = Some(format!("on hold: {reason}"));
            out.quiets.push(Quiet {
                case_id: self.id,
                reason,
            });
        }
    }

    /// Some holds have ended; `left` are those that have not. With none left that stops steps, the case goes on: dates
    /// move as the ended holds say, and what is due happens. Err in `facts` says why the subject's row is not known;
    /// step runs whose dates would have to move are parked then.
    ///
    /// # Errors
    /// [`ErrorCode::State`] for a case that has ended.
    pub fn release(
        &mut self,
        ended: &[Hold],
        left: &[Hold],
        facts: Result<&Facts<'_>, &Error>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        for hold in ended {
            let mut detail = json!({ "reason": hold.reason, "kind": hold.kind });
            if !left.is_empty() {
                let still: Vec<&str> = left.iter().map(|h| h.reason.as_str()).collect();
                detail["still_on_hold"] = json!(still);
            }
            let detail = Some(detail.to_string());
            out.history
                .push(self.record(Event::CaseReleased, None, None, detail));
            if hold.stops_steps() {
                let to = hold.until.map_or(env.now, |until| until.min(env.now));
                self.lose_time(hold.from, to, hold.clock);
            }
        }
        let quiet = self.stopped(Block::Communication).is_some();
        self.memory.stopped = BTreeMap::new();
        self.stop_what(left, &mut Effects::default());
        if quiet && self.stopped(Block::Communication).is_none() {
            out.quiets.push(Quiet {
                case_id: self.id,
                reason: None,
            });
            self.tell_others(out);
        }
        if self.state == CaseState::Held && !left.iter().any(Hold::stops_steps) {
            self.go_on(facts, env, out);
        }
        Ok(())
    }

    fn go_on(&mut self, facts: Result<&Facts<'_>, &Error>, env: &Env<'_>, out: &mut Effects) {
        for token in &mut self.tokens {
            if token.state == TokenState::Held {
                token.state = TokenState::Scheduled;
            }
        }
        self.state = if self.started_at.is_some() {
            CaseState::Running
        } else {
            CaseState::Planned
        };
        self.tell_others(out);
        if !self.memory.shifts.is_empty() {
            for index in 0..self.tokens.len() {
                self.move_dates(index, facts, env, out);
            }
        }
    }

    /// Whether ending a hold moves any date, so that the subject's row has to be read for it.
    pub fn release_moves_dates(&self, ended: &[Hold]) -> bool {
        let moves =
            |hold: &Hold| hold.stops_steps() && (hold.clock != Clock::RunOn || self.has_deadline());
        !self.memory.shifts.is_empty() || ended.iter().any(moves)
    }

    fn has_deadline(&self) -> bool {
        self.tokens.iter().any(|token| {
            let step = self.program.step(token.step);
            token.due_at.is_some() && step.is_some_and(|step| step.is_manual())
        })
    }

    /// Remembers a stretch on hold. Time that two holds take counts once; of those that move dates and those that let
    /// them run on, the former count.
    fn lose_time(&mut self, from: DateTime<Utc>, to: DateTime<Utc>, clock: Clock) {
        if from >= to || clock == Clock::RunOn && !self.has_deadline() {
            return;
        }
        let whole = Span { from, to, clock };
        let mut spans = std::mem::take(&mut self.memory.shifts);
        if clock != Clock::RunOn {
            let cut = |span: Span| -> Vec<Span> {
                if span.clock == Clock::RunOn {
                    span.outside(&whole).collect()
                } else {
                    vec![span]
                }
            };
            spans = spans.into_iter().flat_map(cut).collect();
        }
        let mut new = vec![whole];
        for old in &spans {
            new = new.into_iter().flat_map(|span| span.outside(old)).collect();
        }
        spans.append(&mut new);
        spans.sort_by_key(|span| span.from);
        let mut merged: Vec<Span> = Vec::new();
        for span in spans {
            match merged.last_mut() {
                Some(last) if last.to == span.from && last.clock == span.clock => last.to = span.to,
                _ => merged.push(span),
            }
        }
        self.memory.shifts = merged;
    }

    /// A date as it is after the stretches on hold. `opened` is from when on a person could work on it, for deadlines.
    ///
    /// # Errors
    /// Those of [`DateRule::resolve`].
    pub fn after_holds(
        &self,
        rule: &DateRule,
        anchor: AnchorValue,
        at: DateTime<Utc>,
        opened: Option<DateTime<Utc>>,
        ctx: &DateContext<'_>,
    ) -> Result<DateTime<Utc>, Error> {
        let basis = match anchor {
            AnchorValue::Instant(at) if !matches!(rule.anchor, Anchor::Subject(_)) => Some(at),
            _ => None,
        };
        let mut at = at;
        for span in &self.memory.shifts {
            if let Some(from) = span.counts_from(basis, opened)
                && at > from
            {
                let business = span.clock == Clock::ShiftBusiness;
                at = rule.later(at, from, span.to, business, ctx)?;
            }
        }
        Ok(at)
    }

    /// Plans an open step run anew after a hold, and notes it if that gives another date.
    fn move_dates(
        &mut self,
        index: usize,
        facts: Result<&Facts<'_>, &Error>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        let token = self.tokens[index].clone();
        let open = token.state == TokenState::Open && token.due_at.is_some();
        // What waits to be tried again keeps its pause; what waits for something else has no date of its own.
        let planned = token.state == TokenState::Scheduled && token.attempts == 0;
        if !open && !planned {
            return;
        }
        let ruled = match program.step(token.step) {
            Some(step) => step.on.is_some() || step.due.is_some(),
            None => token.step == START && token.due_at.is_some(),
        };
        if !ruled {
            return;
        }
        let planned = facts
            .map_err(Error::clone)
            .and_then(|facts| self.planned_anew(index, facts, env));
        match planned {
            Err(error) => self.fail(index, &error, out),
            Ok(None) => {}
            Ok(Some(Dates {
                run_at,
                due_at,
                escalate_at,
            })) => {
                let before = (token.run_at, token.due_at);
                let token = &mut self.tokens[index];
                (token.run_at, token.due_at) = (run_at, due_at);
                if (token.run_at, token.due_at) == before {
                    return;
                }
                let (old, new) = if due_at == before.1 {
                    (before.0, run_at)
                } else {
                    (before.1, due_at)
                };
                let token = token.clone();
                let detail = json!({ "old": old, "new": new, "reason": "on hold" }).to_string();
                out.history
                    .push(self.record(Event::Rescheduled, Some(&token), None, Some(detail)));
                if open {
                    out.task_moves.push(TaskMove {
                        case_id: self.id,
                        step: token.step,
                        visit: token.visit,
                        due_at,
                        escalate_at,
                    });
                }
            }
        }
    }

    /// The dates of an open step run as its rules give them now.
    fn planned_anew(
        &self,
        index: usize,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Option<Dates>, Error> {
        if !facts.found {
            // The case ends when the change is looked at.
            return Ok(None);
        }
        let mut token = self.tokens[index].clone();
        let Some(step) = self.program.step(token.step) else {
            let at = self.planned_start(token.entered_at, facts, env)?;
            return Ok(Some(Dates {
                run_at: at,
                due_at: at,
                escalate_at: None,
            }));
        };
        let run_at = token.run_at;
        self.plan(step, &token, facts, env)?.apply(step, &mut token);
        if token.state == TokenState::Open {
            token.run_at = run_at;
        }
        let escalate_at = self.escalation(step, token.due_at, facts, env)?;
        Ok(Some(Dates {
            run_at: token.run_at,
            due_at: token.due_at,
            escalate_at,
        }))
    }
}

/// When a step run starts, is due, and is escalated, as far as that is known.
struct Dates {
    run_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    escalate_at: Option<DateTime<Utc>>,
}

/// The hold of a call that names no kind.
pub const PLAIN: &str = "hold";

/// Reads the labels of what a kind of hold stops.
///
/// # Errors
/// [`ErrorCode::Input`] if there is none, or one that is not known.
pub fn parse_blocks(labels: &[String]) -> Result<Vec<Block>, Error> {
    let known = || {
        let known: Vec<&str> = Block::ALL.iter().map(|b| b.label()).collect();
        format!("Holds stop {}.", known.join(", "))
    };
    if labels.is_empty() {
        return Err(Error::new(ErrorCode::Input, "the hold stops nothing").hint(known()));
    }
    labels
        .iter()
        .map(|label| {
            Block::from_label(label).ok_or_else(|| {
                Error::new(
                    ErrorCode::Input,
                    format!("\"{label}\" is nothing that a hold can stop"),
                )
                .hint(known())
            })
        })
        .collect()
}
