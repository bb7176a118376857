//! A case goes over to another version of its workflow: its tokens, what it remembers, its dates. A case goes over as a
//! whole or stays as it is.

use chrono::{DateTime, Utc};
use serde_json::json;

use super::case::{Case, Memory, Token};
use super::effects::{Effects, Event};
use super::states::TokenState;
use super::{Env, Facts};
use crate::migrate::{Migration, fits};
use crate::program::{CompiledStep, START, StepNo};

/// A run of a step in a case's past.
#[derive(Clone, Debug)]
pub struct PastRun {
    /// The step's name, as it was then.
    pub step: String,
    pub visit: i16,
    /// When it was over; None: skipped or cancelled runs count as visits only.
    pub done_at: Option<DateTime<Utc>>,
}

/// An open step run that has another number now: whatever else names it must follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedRun {
    /// Step and visit in the old version.
    pub from: (StepNo, i16),
    /// Step and visit in the new one.
    pub to: (StepNo, i16),
    /// Its message is on the way.
    pub sending: bool,
}

/// A task that stays with its step run, as the new version wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptTask {
    pub task_id: i64,
    pub to: (StepNo, i16),
    pub title: String,
    /// The participant of the old version and of the new: a task that a person has given to somebody else stays there.
    pub participants: (Option<String>, Option<String>),
    pub outcomes: Vec<String>,
    pub due_at: Option<DateTime<Utc>>,
}

/// What has to be written besides the case and its effects.
#[derive(Clone, Debug, Default)]
pub struct Moved {
    pub runs: Vec<MovedRun>,
    pub kept: Vec<KeptTask>,
    /// Tasks whose step has become one of another kind.
    pub withdrawn: Vec<i64>,
}

/// What a token becomes.
enum Fate<'p> {
    /// The start of a planned case.
    Start,
    /// It stands on the step.
    On(&'p CompiledStep),
    /// So many branches have come to the join.
    At(&'p CompiledStep, i16),
}

impl Case {
    /// Goes over to another version. `facts` answers its `Program::watch_read`, `past` tells of the steps that
    /// `Migration::forgotten` names. Err: why not, and what to do; then nothing has changed.
    pub fn migrate(
        &mut self,
        migration: &Migration,
        past: &[PastRun],
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<Moved, String> {
        if !facts.found {
            return Err(format!(
                "row {} of subject \"{}\" is gone: the case ends as soon as the engine looks at it",
                self.key, migration.to.document.subject
            ));
        }
        self.rows_fit(&migration.to)?;
        let mut new = self.clone();
        new.program = migration.to.clone();
        new.version_id = migration.version_id;
        new.tokens.clear();
        new.memory = self.memory_in(migration, past);
        let mut moved = Moved::default();
        let mut effects = Effects::default();
        for token in &self.tokens {
            let fate = self.fate(token, migration)?;
            self.move_token(token, &fate, &mut new, &mut moved, &mut effects)?;
        }
        fits(migration, &self.tokens, &new.tokens)?;
        new.wake_up(env);
        new.compute_dates(facts, env)?;
        self.keep_tasks(&new, &mut moved);
        let steps: Vec<_> = moved
            .runs
            .iter()
            .map(|run| {
                json!({
                    "from": self.program.step_name(run.from.0),
                    "to": new.program.step_name(run.to.0),
                    "old": self.date_of(run.from),
                    "new": new.date_of(run.to),
                })
            })
            .collect();
        let (from, to) = migration.numbers;
        let detail = json!({ "from": from, "to": to, "steps": steps }).to_string();
        effects
            .history
            .push(new.record(Event::CaseMigrated, None, None, Some(detail)));
        out.history.append(&mut effects.history);
        out.resolved.append(&mut effects.resolved);
        out.awaited_by.append(&mut effects.awaited_by);
        *self = new;
        Ok(moved)
    }

    /// The names of the open steps, separated by commas.
    pub fn open_steps(&self) -> String {
        let names = self.tokens.iter().map(|t| self.program.step_name(t.step));
        names.collect::<Vec<_>>().join(", ")
    }

    /// When something is due next: the earliest date of an open step.
    pub fn next_date(&self) -> Option<DateTime<Utc>> {
        let dates = self.tokens.iter().filter_map(|t| t.due_at.or(t.run_at));
        dates.min()
    }

    fn date_of(&self, (step, visit): (StepNo, i16)) -> Option<DateTime<Utc>> {
        let token = &self.tokens[self.token_of(step, visit)?];
        token.due_at.or(token.run_at)
    }

    /// What the new version must remember, under its names.
    fn memory_in(&self, migration: &Migration, past: &[PastRun]) -> Memory {
        let step = |old: &str| migration.to.step_named(migration.name(old));
        let mut memory = Memory {
            signals: self.memory.signals.clone(),
            awaited_by: self.memory.awaited_by,
            sections: self.memory.sections.clone(),
            stopped: self.memory.stopped.clone(),
            shifts: self.memory.shifts.clone(),
            replayed: self.memory.replayed,
            promises: self.memory.promises.clone(),
            plan: self.memory.plan,
            carried: self.memory.carried.clone(),
            floors: self.memory.floors.clone(),
            ..Memory::default()
        };
        for (old, answer) in &self.memory.answers {
            // One to a question that is gone may still be asked for by a condition.
            let name = migration.name(old).to_owned();
            memory.answers.insert(name, answer.clone());
        }
        for old in &self.memory.not_called {
            memory.not_called.insert(migration.name(old).to_owned());
        }
        for (old, who) in &self.memory.settled_by {
            // A migration makes nobody fit to approve their own work.
            let name = migration.name(old).to_owned();
            memory.settled_by.insert(name, who.clone());
        }
        let done = self.memory.done.iter().map(|(old, at)| (old, *at));
        let told = past
            .iter()
            .filter_map(|run| Some((&run.step, run.done_at?)));
        for (old, at) in done.chain(told) {
            if let Some(step) = step(old).filter(|step| step.is_anchor) {
                let last = memory.done.entry(step.name.clone()).or_insert(at);
                *last = at.max(*last);
            }
        }
        let visits = self.memory.visits.iter().map(|(old, n)| (old.as_str(), *n));
        let told = past.iter().map(|run| (run.step.as_str(), run.visit));
        let open = self.tokens.iter().filter(|token| token.step != START);
        let open = open.map(|token| (self.program.step_name(token.step), token.visit));
        for (old, visit) in visits.chain(told).chain(open) {
            if let Some(step) = step(old).filter(|step| step.in_cycle) {
                let last = memory.visits.entry(step.name.clone()).or_insert(visit);
                *last = visit.max(*last);
            }
        }
        memory
    }

    /// Where a token goes, or why it cannot.
    fn fate<'m>(&self, token: &Token, migration: &'m Migration) -> Result<Fate<'m>, String> {
        let number = migration.numbers.1;
        let Some(old) = self.program.step(token.step) else {
            let by_date = matches!(token.state, TokenState::Scheduled | TokenState::Held);
            if by_date && migration.to.document.start.is_none() {
                return Err(format!(
                    "the case is planned, and version {number} has no start rule: start it with wf.advance or end it with wf.cancel first"
                ));
            }
            return Ok(Fate::Start);
        };
        let new = migration.step(old)?;
        let on_its_way = || {
            format!(
                "the message of step \"{}\" is on its way, and step \"{}\" of version {number} is no {}: let it be sent, or leave the step out with wf.skip",
                old.name,
                new.name,
                old.kind.name()
            )
        };
        let joins = new.kind.joins().is_some();
        match token.state {
            TokenState::Joining if joins => Ok(Fate::At(new, token.arrived)),
            TokenState::Joining => Err(format!(
                "the case waits for other branches at \"{}\", and step \"{}\" of version {number} is no join: let the branches come first, or map \"{0}\" to a join",
                old.name, new.name
            )),
            TokenState::Sending if old.kind.name() != new.kind.name() => Err(on_its_way()),
            _ if joins && old.kind.joins().is_none() => Ok(Fate::At(new, 1)),
            _ => Ok(Fate::On(new)),
        }
    }

    fn move_token(
        &self,
        token: &Token,
        fate: &Fate<'_>,
        new: &mut Case,
        moved: &mut Moved,
        out: &mut Effects,
    ) -> Result<(), String> {
        let (step, arrived) = match fate {
            Fate::Start => {
                new.tokens.push(token.clone());
                return Ok(());
            }
            Fate::On(step) => (*step, None),
            Fate::At(step, arrived) => (*step, Some(*arrived)),
        };
        let mut run = MovedRun {
            from: (token.step, token.visit),
            to: (step.no, token.visit),
            sending: token.state == TokenState::Sending,
        };
        let old_kind = self.program.step(token.step).map(|old| old.kind.name());
        if old_kind != Some(step.kind.name()) {
            let reason = json!({ "reason": format!("the step is now \"{}\"", step.name) });
            out.history.push(self.record(
                Event::StepCancelled,
                Some(token),
                Some("migrated"),
                Some(reason.to_string()),
            ));
            moved.withdrawn.extend(token.task_id);
            if self.awaits_cases(token) {
                out.awaited_by.push(self.id);
            }
            if token.attempts > 0 {
                out.resolved.push((self.id, step.no, token.visit));
            }
        }
        if let Some(arrived) = arrived {
            let there = new.token_at(step.no);
            let there = there.filter(|i| new.tokens[*i].state == TokenState::Joining);
            match there {
                Some(index) => {
                    new.tokens[index].arrived += arrived;
                    run.to.1 = new.tokens[index].visit;
                }
                None => new.tokens.push(Token {
                    step: step.no,
                    state: TokenState::Joining,
                    attempts: 0,
                    arrived,
                    run_at: None,
                    due_at: None,
                    task_id: None,
                    ..token.clone()
                }),
            }
            moved.runs.push(run);
            return Ok(());
        }
        if new.token_of(step.no, token.visit).is_some() {
            return Err(format!(
                "two open steps of the case would both become step \"{}\": map one of them to another step, or let the case leave it first",
                step.name
            ));
        }
        let mut next = Token {
            step: step.no,
            ..token.clone()
        };
        if old_kind != Some(step.kind.name()) {
            next.state = self.waiting();
            next.attempts = 0;
            next.arrived = 0;
            next.task_id = None;
        }
        new.tokens.push(next);
        moved.runs.push(run);
        Ok(())
    }

    /// A join whose last branch has just come there by the map goes on; what waits for an event looks for it anew.
    fn wake_up(&mut self, env: &Env<'_>) {
        let program = self.program.clone();
        let waiting = self.waiting();
        let taken: Vec<StepNo> = self.tokens.iter().map(|token| token.step).collect();
        let goes_on = |no| {
            program
                .step(no)
                .is_some_and(|step| step.kind.awaits_cases())
        };
        for token in &mut self.tokens {
            let complete = program
                .step(token.step)
                .is_some_and(|join| !taken.iter().any(|no| join.region.contains(no)));
            let listens = token.state == TokenState::Waiting && !goes_on(token.step);
            if listens || token.state == TokenState::Joining && complete {
                token.state = waiting;
                token.run_at = Some(env.now);
            }
        }
    }

    /// Dates by the rules of the new version. What is open or on its way stays so.
    fn compute_dates(&mut self, facts: &Facts<'_>, env: &Env<'_>) -> Result<(), String> {
        let program = self.program.clone();
        let reason = |error: crate::Error| match error.hint {
            Some(hint) => format!("{}: {hint}", error.message),
            None => error.message,
        };
        for index in 0..self.tokens.len() {
            let token = &self.tokens[index];
            let opens = match token.state {
                TokenState::Scheduled | TokenState::Held => true,
                TokenState::Open => false,
                TokenState::Sending
                | TokenState::Joining
                | TokenState::Waiting
                | TokenState::Failed => continue,
            };
            let Some(step) = program.step(token.step) else {
                if opens {
                    let at = self.planned_start(token.entered_at, facts, env);
                    let at = at.map_err(reason)?;
                    let token = &mut self.tokens[index];
                    (token.run_at, token.due_at) = (at, at);
                }
                continue;
            };
            let dates = self.plan(step, token, facts, env).map_err(reason)?;
            let token = &mut self.tokens[index];
            let run_at = token.run_at;
            dates.apply(step, token);
            // A task that is open stays open; what waits to be tried again, or a join that goes on, keeps its time.
            if !opens || token.attempts > 0 || step.kind.joins().is_some() {
                token.run_at = run_at;
            }
        }
        Ok(())
    }

    /// The tasks whose runs have kept them.
    fn keep_tasks(&self, new: &Case, moved: &mut Moved) {
        for run in &moved.runs {
            let old = self.program.step(run.from.0);
            let step = new.program.step(run.to.0);
            let token = new.token_of(run.to.0, run.to.1).map(|i| &new.tokens[i]);
            let (Some(old), Some(step), Some(token)) = (old, step, token) else {
                continue;
            };
            let Some(task_id) = token.task_id else {
                continue;
            };
            moved.kept.push(KeptTask {
                task_id,
                to: run.to,
                title: step.title(),
                participants: (old.participant.clone(), step.participant.clone()),
                outcomes: step.outcomes(),
                due_at: token.due_at,
            });
        }
    }
}
