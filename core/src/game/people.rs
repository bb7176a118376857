//! What people bring about besides settling: documents, four eyes, escalation; who is told, and who stands in for whom.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::case::Case;
use super::effects::{AssignmentRow, DocumentRow, Effects, NotificationRow};
use super::{Env, Facts};
use crate::dates::AnchorValue;
use crate::program::{CompiledStep, inline_name};
use crate::{Error, ErrorCode};

impl Case {
    /// When a task with this deadline is escalated; None: never.
    pub(super) fn escalation(
        &self,
        step: &CompiledStep,
        due_at: Option<DateTime<Utc>>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let (Some(rule), Some(due)) = (&step.people.escalation, due_at) else {
            return Ok(None);
        };
        let at = rule.resolve(AnchorValue::Instant(due), &self.date_context(facts, env));
        at.map(Some).map_err(|error| Error {
            message: format!("step \"{}\", escalate: {}", step.name, error.message),
            ..error
        })
    }

    /// Somebody is about to settle or skip a step run. Refuses whoever settled the step that this one approves; notes
    /// who it is if another step approves this one.
    pub fn four_eyes(&mut self, index: usize, who: &str) -> Result<(), Error> {
        let program = self.program.clone();
        let Some(step) = program.step(self.tokens[index].step) else {
            return Ok(());
        };
        if let Some(of) = step.kind.approves()
            && let Some(before) = self.memory.settled_by.get(of)
            && before == who
        {
            return Err(Error::new(
                ErrorCode::NotYours,
                format!(
                    "step \"{}\" of case {} approves what you have done yourself",
                    step.name, self.id
                ),
            )
            .detail(format!("Step \"{of}\" was settled by {before}."))
            .hint("Have somebody else approve it: wf.reassign_task gives the task to them."));
        }
        let approved = |other: &CompiledStep| other.kind.approves() == Some(&step.name);
        if program.steps.iter().any(approved) {
            let settled = &mut self.memory.settled_by;
            settled.insert(step.name.clone(), who.to_owned());
        }
        Ok(())
    }

    /// Takes the documents that come with a completion; refuses it if its step wants one and none has come.
    pub(super) fn take_documents(
        &self,
        index: usize,
        outcome: &str,
        data: Option<&Map<String, Value>>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        let token = &self.tokens[index];
        let Some(step) = self.program.step(token.step) else {
            return Ok(());
        };
        let documents = step.kind.documents(outcome, data).map_err(|error| Error {
            message: format!(
                "step \"{}\" of case {}: {}",
                step.name, self.id, error.message
            ),
            ..error
        })?;
        out.documents
            .extend(documents.into_iter().map(|document| DocumentRow {
                case_id: self.id,
                step: step.no,
                visit: token.visit,
                document,
            }));
        Ok(())
    }

    /// Alerts somebody.
    pub(super) fn notify(
        &mut self,
        index: usize,
        step: &CompiledStep,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let texts = self.whom(step, facts, env).and_then(|to| {
            Ok((
                to,
                self.text(step, &inline_name(&step.name, 1), facts, env)?,
            ))
        });
        match texts {
            Ok((to, text)) => {
                out.notifications.push(NotificationRow {
                    case_id: self.id,
                    step: step.no,
                    visit: self.tokens[index].visit,
                    to,
                    body: text.body,
                });
                self.done(index, "done", facts, env, out);
            }
            Err(error) => self.fail(index, &error, out),
        }
    }

    /// Lets somebody stand in for a participant from now on.
    #[allow(
        clippy::too_many_arguments,
        reason = "the fields of Then::Assign, and what every move takes"
    )]
    pub(super) fn assign(
        &mut self,
        index: usize,
        step: &CompiledStep,
        participant: &str,
        account: bool,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        match self.whom(step, facts, env) {
            Ok(assignee) => {
                out.assignments.push(AssignmentRow {
                    case_id: self.id,
                    version_id: self.version_id,
                    step: step.no,
                    visit: self.tokens[index].visit,
                    participant: participant.to_owned(),
                    assignee,
                    account,
                });
                self.done(index, "done", facts, env, out);
            }
            Err(error) => self.fail(index, &error, out),
        }
    }

    /// The participant that a step's first text names.
    fn whom(&self, step: &CompiledStep, facts: &Facts<'_>, env: &Env<'_>) -> Result<String, Error> {
        let text = self.text(step, &inline_name(&step.name, 0), facts, env)?;
        let name = text.body.trim();
        if name.is_empty() {
            return Err(Error::new(
                ErrorCode::MissingValue,
                format!("step \"{}\": to names nobody for this row", step.name),
            )
            .hint("Enter somebody in the row and call wf.retry, or call wf.skip."));
        }
        Ok(name.to_owned())
    }
}
