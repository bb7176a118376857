//! The driver: a clock, a subject's row, an outbox with a sender, and one case. `stage` makes workflows to play, `seen`
//! tells what has come of it.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{DateTime, Utc};

use crate::Error;
use crate::calendar::testing::{ShippedCalendars, TzZones, utc};
use crate::document::Document;
use crate::game::*;
use crate::kinds::DoneWhen;
use crate::program::{Program, Read, START};
use crate::row::{ColumnType, Columns, Row};

mod seen;
mod stage;

pub use seen::said;
pub use stage::{roles, with, workflow};

/// A case at play.
pub struct Play {
    pub case: Case,
    pub now: DateTime<Utc>,
    /// The subject's row; None when it is deleted.
    pub row: Option<BTreeMap<String, (ColumnType, Option<String>)>>,
    /// The SQL conditions that hold.
    pub true_conditions: Vec<String>,
    /// Whether the ERP holds a lock on the row.
    pub locked: bool,
    /// Whether the sender acknowledges at once.
    pub sender: bool,
    /// All that has happened.
    pub out: Effects,
    /// Messages that wait for their window: (step, visit, when it opens).
    deferred: Vec<(i16, i16, DateTime<Utc>)>,
    /// The open holds.
    pub holds: Vec<Hold>,
    /// When each note was written: (step, moment).
    pub noted_at: Vec<(i16, DateTime<Utc>)>,
    seen: (usize, usize),
    calendars: ShippedCalendars,
}

impl Play {
    /// A case of a document that has not begun, at 2026-01-05 12:00 UTC.
    pub fn new(document: &str) -> Self {
        let document = Document::parse(document).unwrap();
        Self::of(Program::compile(document, roles()))
    }

    /// A case of a program that has not begun.
    pub fn of(program: Program) -> Self {
        Self {
            case: Case {
                id: 1,
                version_id: 1,
                program: Rc::new(program),
                key: "7".to_owned(),
                state: CaseState::Planned,
                started_at: None,
                outcome: None,
                reason: None,
                memory: Memory::default(),
                vars: None,
                tokens: Vec::new(),
                members: Vec::new(),
            },
            now: utc("2026-01-05 12:00"),
            row: Some(BTreeMap::new()),
            true_conditions: Vec::new(),
            locked: false,
            sender: true,
            out: Effects::default(),
            deferred: Vec::new(),
            holds: Vec::new(),
            noted_at: Vec::new(),
            seen: (0, 0),
            calendars: ShippedCalendars::new(),
        }
    }

    /// Sets a column of the row; the ERP's change reaches the case with `changed`.
    pub fn set(&mut self, column: &str, kind: ColumnType, value: Option<&str>) {
        let row = self.row.as_mut().unwrap();
        row.insert(column.to_owned(), (kind, value.map(str::to_owned)));
    }

    /// Sets a text column.
    pub fn text(&mut self, column: &str, value: &str) {
        self.set(column, ColumnType::Text, Some(value));
    }

    /// Sets a date column.
    pub fn date(&mut self, column: &str, value: &str) {
        self.set(column, ColumnType::Date, Some(value));
    }

    /// Makes a move with the facts for a read.
    pub fn ask<T>(
        &mut self,
        read: &Read,
        make: impl FnOnce(&mut Case, &Facts<'_>, &Env<'_>, &mut Effects) -> T,
    ) -> T {
        let row = self.row.clone().unwrap_or_default();
        let wanted = |name: &str| {
            let stored = row.get(name).cloned();
            stored.unwrap_or((ColumnType::Text, None))
        };
        let columns = Columns::new(read.columns.iter().map(|c| (c.clone(), wanted(c).0)));
        let values: Vec<Option<String>> = read.columns.iter().map(|c| wanted(c).1).collect();
        let holds = |c: &String| self.true_conditions.contains(c);
        let conditions: Vec<bool> = read.conditions.iter().map(holds).collect();
        let facts = Facts {
            found: self.row.is_some(),
            conditions: &conditions,
            row: Row {
                columns: &columns,
                values: &values,
            },
        };
        let env = Env {
            now: self.now,
            zones: &TzZones,
            calendars: &self.calendars,
            default_zone: "Europe/Amsterdam",
        };
        make(&mut self.case, &facts, &env, &mut self.out)
    }

    fn ask_watch<T>(
        &mut self,
        make: impl FnOnce(&mut Case, &Facts<'_>, &Env<'_>, &mut Effects) -> T,
    ) -> T {
        let read = self.case.program.watch_read();
        self.ask(&read, make)
    }

    /// The start rule has found the row. Whether there is a case now.
    pub fn enroll(&mut self) -> Result<bool, Error> {
        let read = self.case.program.start_read();
        let begun = self.ask(&read, |case, facts, env, out| {
            case.begin_by_rule(facts, env, out)
        })?;
        self.settle_down();
        Ok(begun)
    }

    /// wf.start.
    pub fn start(&mut self) {
        let read = self.case.program.start_read();
        self.ask(&read, |case, facts, env, out| {
            case.begin_by_call(facts, env, out)
        });
        self.settle_down();
    }

    /// The ERP has written the row.
    pub fn changed(&mut self) {
        self.ask_watch(|case, facts, env, out| case.subject_changed(facts, env, out));
        self.settle_down();
    }

    /// Fires what is ready, wave by wave, opens windows, and lets the sender acknowledge.
    pub fn settle_down(&mut self) {
        self.take_tasks();
        for _ in 0..5_000 {
            let tokens = self.case.ready(self.now).map(|i| &self.case.tokens[i]);
            let mut wave: Vec<(i16, i16)> = tokens.map(|t| (t.step, t.visit)).collect();
            wave.sort_unstable();
            for (step, visit) in &wave {
                // An earlier one may have ended the case or taken this token away.
                if let Some(index) = self.case.token_of(*step, *visit) {
                    self.fire(index);
                }
            }
            if wave.is_empty() && !self.deliver() {
                return;
            }
            self.take_tasks();
        }
        panic!("the case does not come to rest: {:?}", self.case.tokens);
    }

    /// Fires one token.
    pub fn fire(&mut self, index: usize) {
        let step = self.case.tokens[index].step;
        let program = self.case.program.clone();
        let read = match program.step(step) {
            Some(step) => program.step_read(step),
            None => {
                assert_eq!(step, START);
                program.start_read()
            }
        };
        let locked = self.locked;
        self.ask(&read, |case, facts, env, out| {
            if case.fire(index, facts, env, out) == Fired::Write {
                if locked {
                    case.locked(index, env);
                } else {
                    case.wrote(index, facts, env, out);
                }
            }
        });
    }

    /// Renders messages whose window has opened; the sender acknowledges. Whether anything has moved.
    fn deliver(&mut self) -> bool {
        for message in &self.out.messages[self.seen.0..] {
            if message.state == MessageState::Deferred {
                self.deferred
                    .push((message.step, message.visit, message.not_before));
            }
        }
        self.seen.0 = self.out.messages.len();
        let now = self.now;
        let quiet = self.case.stopped(Block::Communication).is_some();
        let opened: Vec<_> = self
            .deferred
            .iter()
            .filter(|(_, _, at)| *at <= now && !quiet)
            .copied()
            .collect();
        self.deferred.retain(|(_, _, at)| *at > now || quiet);
        for (step, visit, _) in &opened {
            if self.case.token_of(*step, *visit).is_some() {
                let program = self.case.program.clone();
                let compiled = program.step(*step).unwrap();
                let read = program.step_read(compiled);
                let rendered = self.ask(&read, |case, facts, env, out| {
                    let rendered = case.render(compiled, facts, env);
                    if let Err(error) = &rendered {
                        case.message_failed_to_render(*step, *visit, error, out);
                    }
                    rendered.is_ok()
                });
                if rendered {
                    self.came_to(*step, *visit, DoneWhen::Queued);
                }
            }
        }
        let leaves = |t: &&Token| {
            t.state == TokenState::Sending
                && !self
                    .deferred
                    .iter()
                    .any(|(s, v, _)| (*s, *v) == (t.step, t.visit))
        };
        let leaving: Vec<(i16, i16)> = if self.sender && self.case.state != CaseState::Held {
            self.case
                .tokens
                .iter()
                .filter(leaves)
                .map(|t| (t.step, t.visit))
                .collect()
        } else {
            Vec::new()
        };
        let mut moved = !opened.is_empty();
        for (step, visit) in &leaving {
            let before = self.out.history.len();
            self.came_to(*step, *visit, DoneWhen::Sent);
            moved |= before != self.out.history.len();
        }
        moved
    }

    /// The sender reports.
    pub fn came_to(&mut self, step: i16, visit: i16, how_far: DoneWhen) {
        self.ask_watch(|case, facts, env, out| {
            case.message_came_to(step, visit, how_far, facts, env, out);
        });
    }

    /// New tasks get their numbers, as the shell gives them.
    fn take_tasks(&mut self) {
        for nth in self.seen.1..self.out.tasks.len() {
            let task = &self.out.tasks[nth];
            if let Some(index) = self.case.token_of(task.step, task.visit) {
                self.case.tokens[index].task_id = Some(i64::try_from(nth).unwrap() + 1);
            }
        }
        self.seen.1 = self.out.tasks.len();
        for note in &self.out.notes[self.noted_at.len()..] {
            self.noted_at.push((note.step, self.now));
        }
    }

    /// The clock runs to a moment, with everything that falls due on the way.
    pub fn clock(&mut self, to: DateTime<Utc>) {
        loop {
            let steps = self.case.tokens.iter().filter_map(|t| {
                let waits = t.state == TokenState::Scheduled;
                t.run_at.filter(|_| waits)
            });
            let windows = self.deferred.iter().map(|(_, _, at)| *at);
            let next = steps.chain(windows).filter(|at| *at > self.now).min();
            match next.filter(|at| *at <= to) {
                Some(at) => self.now = at,
                None => break,
            }
            self.settle_down();
        }
        self.now = to;
        self.settle_down();
    }

    /// Makes a call on the case's open step of this name. As the shell, it forgets the case's new state if the call is
    /// refused.
    pub fn call(
        &mut self,
        step: Option<&str>,
        make: impl FnOnce(&mut Case, usize, &Facts<'_>, &Env<'_>, &mut Effects) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.on_case(|case, facts, env, out| {
            let index = case.step_run(step)?;
            make(case, index, facts, env, out)
        })
    }

    /// Makes a call on the case, and forgets it if it is refused.
    pub fn on_case(
        &mut self,
        make: impl FnOnce(&mut Case, &Facts<'_>, &Env<'_>, &mut Effects) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let before = self.case.clone();
        let made = self.ask_watch(|case, facts, env, _| {
            let mut out = Effects::default();
            make(case, facts, env, &mut out).map(|()| out)
        });
        match made {
            Ok(out) => {
                self.add(out);
                self.settle_down();
                Ok(())
            }
            Err(error) => {
                self.case = before;
                Err(error)
            }
        }
    }

    fn add(&mut self, out: Effects) {
        self.out.history.extend(out.history);
        self.out.messages.extend(out.messages);
        self.out.tasks.extend(out.tasks);
        self.out.task_moves.extend(out.task_moves);
        self.out.notes.extend(out.notes);
        self.out.suppressions.extend(out.suppressions);
        self.out.quiets.extend(out.quiets);
        self.out.failures.extend(out.failures);
        self.out.starts.extend(out.starts);
        self.out.milestones.extend(out.milestones);
        self.out.entering.extend(out.entering);
        self.out.awaited_by.extend(out.awaited_by);
        self.out.awaiting.extend(out.awaiting);
        self.out.charges.extend(out.charges);
        self.out.resolved.extend(out.resolved);
    }

    /// wf.hold.
    pub fn hold(&mut self) -> Result<(), Error> {
        self.hold_as(Clock::RunOn, &[Block::Steps])
    }

    /// wf.hold with a kind of these properties. The same hold again is none.
    pub fn hold_as(&mut self, clock: Clock, blocks: &[Block]) -> Result<(), Error> {
        let hold = Hold {
            kind: clock.label().to_owned(),
            reason: "dispute".to_owned(),
            blocks: blocks.to_vec(),
            clock,
            from: self.now,
            until: None,
        };
        let same = |h: &Hold| (&h.kind, &h.blocks) == (&hold.kind, &hold.blocks);
        if self.holds.iter().any(same) {
            return Ok(());
        }
        self.case.hold(&hold, &mut self.out)?;
        self.holds.push(hold);
        self.settle_down();
        Ok(())
    }

    /// wf.release.
    pub fn release(&mut self) -> Result<(), Error> {
        let ended = std::mem::take(&mut self.holds);
        self.end_holds(&ended)
    }

    /// Ends some holds; the others stay.
    pub fn end_holds(&mut self, ended: &[Hold]) -> Result<(), Error> {
        let left = self.holds.clone();
        self.ask_watch(|case, facts, env, out| case.release(ended, &left, Ok(facts), env, out))?;
        self.settle_down();
        Ok(())
    }

    /// wf.cancel.
    pub fn cancel(&mut self, reason: &str) -> Result<(), Error> {
        self.case.cancel(reason, &mut self.out)
    }
}
