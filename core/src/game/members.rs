//! The rows of a case that concerns several: which of them leaves, which carries the case then, and at what pace.
//!
//! One row carries the case: the first that joined, of those that are left. Conditions, dates and addresses are read from
//! it. When it leaves, the next one takes over, and the case goes on where it is: however much older the next row is, no
//! date counts from an earlier day than it did, so that nobody gets two reminders for one. The case ends when none is left.

use std::rc::Rc;

use serde_json::json;

use super::case::Case;
use super::effects::{Arrival, Departure, Effects, Event, StrategyRow, Suppression};
use super::fire::{Fired, STOPPED, SUBJECT_GONE};
use super::states::CaseState;
use super::{Env, Facts};
use crate::dates::{AnchorValue, anchor_from_row};
use crate::document::Subjects;
use crate::program::Program;
use crate::row::{Columns, Row};
use crate::strategy::Verb;
use crate::{Error, ErrorCode};

/// The outcome of a row that somebody took out of its case.
const REMOVED: &str = "removed";

/// A row that a case concerns.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its key, as text.
    pub key: String,
    /// Its place in the order in which they joined.
    pub position: i16,
    /// What stood in it when it was last looked at.
    pub row: Option<MemberRow>,
}

/// What stands in a row, for `Program::member_read`.
#[derive(Clone, Debug)]
pub struct MemberRow {
    pub columns: Rc<Columns>,
    pub values: Vec<Option<String>>,
}

impl MemberRow {
    /// The row as the rules read it.
    pub fn row(&self) -> Row<'_> {
        Row {
            columns: &self.columns,
            values: &self.values,
        }
    }
}

/// What the database says about one of a case's rows.
#[derive(Clone, Debug)]
pub struct Look {
    /// Whether the row (still) exists.
    pub found: bool,
    /// Which stop rules hold of it.
    pub stops: Vec<bool>,
    pub row: MemberRow,
}

impl Case {
    /// The rows that a text may list, as they were last looked at.
    pub(super) fn rows_of_members(&self) -> Vec<Row<'_>> {
        let rows = self.members.iter().filter_map(|m| m.row.as_ref());
        rows.map(MemberRow::row).collect()
    }

    /// Asks for the default strategies of the case's rows to be paused, resumed or stopped.
    pub(super) fn set_strategies(
        &mut self,
        index: usize,
        verb: Verb,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        out.strategies.push(StrategyRow {
            case_id: self.id,
            keys: self.keys(),
            verb,
            step: self.program.step_name(self.tokens[index].step).to_owned(),
        });
        self.done(index, "done", facts, env, out);
    }

    /// The keys of all rows that it concerns.
    pub fn keys(&self) -> Vec<String> {
        if self.members.is_empty() {
            return vec![self.key.clone()];
        }
        self.members
            .iter()
            .map(|member| member.key.clone())
            .collect()
    }

    /// Takes in how the case's rows look now, in their order: those that a stop rule holds of, or that are gone, leave.
    /// Of a case that has ended, they do so for the messages that still wait for their sender.
    pub fn look_at_members(&mut self, looks: Vec<Look>, env: &Env<'_>, out: &mut Effects) {
        let program = self.program.clone();
        let mut leaving: Vec<(String, &str)> = Vec::new();
        for (member, look) in self.members.iter_mut().zip(looks) {
            let mut rules = program.stops().iter().zip(look.stops);
            let stop = rules.find(|(_, holds)| *holds);
            match stop {
                _ if !look.found => leaving.push((member.key.clone(), SUBJECT_GONE)),
                Some((rule, _)) => leaving.push((member.key.clone(), &rule.reason)),
                None => {}
            }
            if look.found {
                member.row = Some(look.row);
            }
        }
        self.note_pace();
        if leaving.is_empty() {
            return;
        }
        if leaving.len() == self.members.len() {
            let own = leaving.iter().find(|(key, _)| *key == self.key);
            let reason = own.map_or(SUBJECT_GONE, |(_, reason)| reason);
            if self.state.is_over() {
                out.suppressions.push(Suppression {
                    case_id: self.id,
                    step: None,
                    reason: reason.to_owned(),
                });
            } else {
                self.end(CaseState::Cancelled, STOPPED, Some(reason), out);
            }
            return;
        }
        for (key, reason) in leaving {
            self.leave(&key, STOPPED, reason, out);
        }
        self.take_over(env, out);
    }

    /// A stop rule holds of the row that carries the case, or the row is gone: the case goes on with the next one, and
    /// ends if there is none.
    pub(super) fn stop(&mut self, reason: &str, env: &Env<'_>, out: &mut Effects) -> Fired {
        if self.members.len() < 2 {
            self.end(CaseState::Cancelled, STOPPED, Some(reason), out);
        } else {
            let key = self.key.clone();
            self.leave(&key, STOPPED, reason, out);
            self.take_over(env, out);
        }
        self.after_stop()
    }

    /// What the shell has to know after a stop.
    pub(super) fn after_stop(&self) -> Fired {
        if self.state.is_over() {
            Fired::Moved
        } else {
            Fired::TakenOver
        }
    }

    fn leave(&mut self, key: &str, outcome: &'static str, reason: &str, out: &mut Effects) {
        self.members.retain(|member| member.key != key);
        if !self.state.is_over() {
            let detail = json!({ "key": key, "reason": reason }).to_string();
            let left = self.record(Event::SubjectLeft, None, Some(outcome), Some(detail));
            out.history.push(left);
            self.tell_others(out);
        }
        out.departures.push(Departure {
            case_id: self.id,
            key: key.to_owned(),
            outcome,
            reason: reason.to_owned(),
        });
    }

    /// If the row that carried the case has left, the next one does.
    fn take_over(&mut self, env: &Env<'_>, out: &mut Effects) {
        let key = &self.key;
        if self.members.iter().any(|member| member.key == *key) {
            return;
        }
        let Some(next) = self.members.first().cloned() else {
            return;
        };
        self.key = next.key;
        out.carriers.push((self.id, self.key.clone()));
        let row = next.row.as_ref().map(MemberRow::row);
        for (column, carried) in std::mem::take(&mut self.memory.carried) {
            // Compared as what they are; without a row to say that, the last one counts.
            let floor = self.memory.floors.get(&column);
            let as_value =
                |text: &String| row.and_then(|row| read_as(&row, &column, text).ok().flatten());
            let stays = floor.is_some_and(|floor| as_value(floor) > as_value(&carried));
            if !stays {
                self.memory.floors.insert(column, carried);
            }
        }
        let Some(row) = row.filter(|_| !self.state.is_over()) else {
            return;
        };
        self.note_pace();
        let facts = Facts {
            found: true,
            conditions: &[],
            row,
        };
        for index in 0..self.tokens.len() {
            self.replan(index, &facts, env, out);
        }
    }

    /// Remembers what dates count from in the row that carries the case.
    fn note_pace(&mut self) {
        let own = self.members.iter().find(|member| member.key == self.key);
        if let Some(row) = own.and_then(|member| member.row.clone()) {
            self.note_pace_of(&row.row());
        }
    }

    /// The same, for a row that has just been read.
    pub(super) fn note_pace_of(&mut self, row: &Row<'_>) {
        let program = self.program.clone();
        for column in program.anchor_columns() {
            match row.get(column) {
                Some((value, _)) => {
                    let known = self.memory.carried.get(column);
                    if known.is_none_or(|known| known != value) {
                        let carried = &mut self.memory.carried;
                        carried.insert(column.to_owned(), value.to_owned());
                    }
                }
                None => {
                    self.memory.carried.remove(column);
                }
            }
        }
    }

    /// What a date counts from: the day in the row that carries the case, or that of one before it if it is later.
    pub(super) fn at_its_pace(
        &self,
        column: &str,
        own: Option<AnchorValue>,
        row: &Row<'_>,
    ) -> Result<Option<AnchorValue>, Error> {
        match self.memory.floors.get(column) {
            None => Ok(own),
            Some(floor) => Ok(own.max(read_as(row, column, floor)?)),
        }
    }

    /// A row joins the case, after the others.
    ///
    /// # Errors
    /// [`ErrorCode::State`] if the case has ended, concerns one row only, or concerns this one already.
    pub fn add_member(&mut self, key: &str, out: &mut Effects) -> Result<(), Error> {
        self.must_be_open()?;
        self.must_concern_several()?;
        if self.members.iter().any(|member| member.key == key) {
            let subject = &self.program.document.subject;
            return Err(Error::new(
                ErrorCode::State,
                format!("case {} concerns {subject} {key} already", self.id),
            )
            .hint("wf.case_members lists the rows of each case."));
        }
        let last = self.members.iter().map(|member| member.position).max();
        let position = last.map_or(0, |last| last.saturating_add(1));
        self.members.push(Member {
            key: key.to_owned(),
            position,
            row: None,
        });
        let detail = json!({ "key": key }).to_string();
        out.history
            .push(self.record(Event::SubjectJoined, None, None, Some(detail)));
        out.arrivals.push(Arrival {
            case_id: self.id,
            key: key.to_owned(),
            position,
        });
        Ok(())
    }

    /// Somebody takes a row out of the case, which goes on with the others.
    ///
    /// # Errors
    /// [`ErrorCode::State`] if the case has ended, concerns one row only, does not concern this one, or would be left
    /// without any.
    pub fn remove_member(
        &mut self,
        key: &str,
        reason: &str,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        self.must_concern_several()?;
        let subject = self.program.document.subject.clone();
        if !self.members.iter().any(|member| member.key == key) {
            return Err(Error::new(
                ErrorCode::State,
                format!("case {} does not concern {subject} {key}", self.id),
            )
            .hint("wf.case_members lists the rows of each case."));
        }
        if self.members.len() == 1 {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "{subject} {key} is the only one that case {} concerns",
                    self.id
                ),
            )
            .hint(format!("End the case: SELECT wf.cancel({}).", self.id)));
        }
        self.leave(key, REMOVED, reason, out);
        self.take_over(env, out);
        Ok(())
    }

    /// Err: why the case cannot go over to a version, as far as its rows are concerned.
    pub(super) fn rows_fit(&self, to: &Program) -> Result<(), String> {
        let rows = self.members.len();
        if rows > 1 && !to.concerns_several() {
            return Err(format!(
                "it concerns {rows} rows, and a case of the new version one only: take the others out with wf.remove_subject"
            ));
        }
        let of_accounts = |program: &Program| program.document.subjects == Subjects::Account;
        if of_accounts(&self.program) != of_accounts(to) {
            return Err(
                "of the two versions one is about whole accounts and the other is not (subjects): the case ends in its own version"
                    .to_owned(),
            );
        }
        if self.program.document.runs != to.document.runs {
            return Err(
                "the new version gets on with other workflows in another way (runs): the case ends in its own version"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn must_concern_several(&self) -> Result<(), Error> {
        if self.program.concerns_several() {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::State,
            format!(
                "a case of workflow \"{}\" concerns one {} only",
                self.program.document.name, self.program.document.subject
            ),
        )
        .hint("Say \"subjects\": \"several\" in its document; cases of the new version may then concern several."))
    }
}

/// A column's value in another row, read as what it is in this one.
fn read_as(row: &Row<'_>, column: &str, text: &str) -> Result<Option<AnchorValue>, Error> {
    let position = row.columns.position(column);
    let Some(kind) = position.and_then(|position| row.columns.column_type(position)) else {
        return Ok(None);
    };
    let columns = Columns::new([(column.to_owned(), kind)]);
    let values = [Some(text.to_owned())];
    let row = Row {
        columns: &columns,
        values: &values,
    };
    anchor_from_row(&row, column)
}
