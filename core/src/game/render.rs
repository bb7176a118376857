//! What a message says and whom it goes to, and when messages may leave.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::case::Case;
use super::{Env, Facts};
use crate::kinds::Channel;
use crate::program::CompiledStep;
use crate::template::{CaseFacts, Rendered, Scope};
use crate::{Error, ErrorCode};

/// A message, rendered: the outbox payload as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    pub payload: String,
}

/// What a sender gets of a message.
#[derive(Serialize)]
struct Payload<'a> {
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    template: &'a str,
}

impl Case {
    /// The contact window around or after `at`: when messages may leave, and until when.
    pub fn window(
        &self,
        at: DateTime<Utc>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), Error> {
        match &self.program.document.contact_window {
            None => Ok((at, None)),
            Some(window) => {
                let (opens, closes) = window.opening(at, self.zone(facts, env), env.zones)?;
                Ok((opens, Some(closes)))
            }
        }
    }

    /// Renders a message step from the subject's row as it is now.
    pub fn render(
        &self,
        step: &CompiledStep,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Rendering, Error> {
        match step.kind.channel() {
            Some(channel) => self.render_on(step, channel, facts, env),
            None => Err(sends_nothing(step)),
        }
    }

    /// The same for another channel than the step's own.
    ///
    /// # Errors
    /// If the step sends nothing, nobody can be reached on that channel, or the template fails.
    pub fn render_on(
        &self,
        step: &CompiledStep,
        channel: Channel,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Rendering, Error> {
        let Some(template) = step.kind.templates().first().copied() else {
            return Err(sends_nothing(step));
        };
        let to = self.recipient(step, channel, facts)?;
        let text = self.text(step, template, facts, env)?;
        let payload = Payload {
            to: to.as_deref(),
            subject: text.subject.as_deref(),
            body: &text.body,
            locale: text.locale.as_deref(),
            template,
        };
        let payload = serde_json::to_string(&payload)
            .map_err(|e| Error::new(ErrorCode::State, format!("step \"{}\": {e}", step.name)))?;
        Ok(Rendering { payload })
    }

    pub(super) fn text(
        &self,
        step: &CompiledStep,
        template: &str,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Rendered, Error> {
        let column = |role: &Option<String>| {
            role.as_deref()
                .and_then(|c| facts.row.get(c))
                .map(|(value, _)| value)
        };
        let zone = self.zone(facts, env);
        let to_local = |at| env.zones.to_local(zone, at);
        let vars = match &self.vars {
            Some(text) => Value::Object(super::calls::parse_data(text)?),
            None => Value::Null,
        };
        let answers = json!(self.memory.answers);
        let subjects = self.rows_of_members();
        let scope = Scope {
            row: facts.row,
            subjects: &subjects,
            case: CaseFacts {
                id: self.id,
                workflow: &self.program.document.name,
                key: &self.key,
                account: column(&self.program.roles.account),
                tenant: None,
                started_at: self.started_at.unwrap_or(env.now),
            },
            vars: &vars,
            answers: &answers,
            today: self.local_day(env.now, facts, env)?,
            step: &step.name,
            to_local: &to_local,
        };
        self.program
            .templates
            .render(template, column(&self.program.roles.locale), &scope)
    }

    /// Whom a message goes to. A letter's address is optional: its text may carry it.
    ///
    /// # Errors
    /// [`ErrorCode::MissingValue`] if there is nobody.
    pub fn recipient(
        &self,
        step: &CompiledStep,
        channel: Channel,
        facts: &Facts<'_>,
    ) -> Result<Option<String>, Error> {
        if let Some(addressee) = step.kind.addressee() {
            return Ok(Some(addressee.to_owned()));
        }
        let Some(column) = self.program.address_column(channel) else {
            if channel == Channel::Letter {
                return Ok(None);
            }
            return Err(Error::new(
                ErrorCode::MissingValue,
                format!(
                    "step \"{}\": subject \"{}\" names no column for {} addresses",
                    step.name,
                    self.program.document.subject,
                    channel.name()
                ),
            )
            .hint("Name it with wf.bind_subject, then call wf.retry."));
        };
        match facts.row.get(column) {
            Some((address, _)) if !address.trim().is_empty() => {
                self.must_be_new(step, channel, address)?;
                Ok(Some(address.to_owned()))
            }
            _ => Err(Error::new(
                ErrorCode::MissingValue,
                format!("step \"{}\": column \"{column}\" is empty, so there is nobody to send to", step.name),
            )
            .hint("Enter an address and call wf.retry, or call wf.skip; a leg \"otherwise\" on the step avoids the incident.")),
        }
    }
}

fn sends_nothing(step: &CompiledStep) -> Error {
    Error::new(
        ErrorCode::State,
        format!("step \"{}\" sends no message", step.name),
    )
}
