//! Disputes about what is owed, and retries that use new contact data only.

use serde_json::{Map, Value, json};

use super::calls::parse_data;
use super::case::Case;
use super::effects::{Effects, Event};
use crate::collections::WorkflowKind;
use crate::collections::contact::Means;
use crate::kinds::{Afterwards, Channel};
use crate::program::CompiledStep;
use crate::{Error, ErrorCode};

/// An amount as a JSON number, which keeps its digits; texts can calculate with it.
pub(super) fn amount(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// Where the part that is disputed stands in the case's vars.
const DISPUTED: &str = "disputed_amount";
/// Where the contact data stand that have been tried before a retry.
const OLD_CONTACT: &str = "old_contact";

impl Case {
    /// Something is disputed: `part` is all that is disputed in part now, None if it is the whole. A dispute of the whole
    /// is looked into by the workflow that this one names for it, beside this case.
    ///
    /// # Errors
    /// [`ErrorCode::State`] for a case that has ended.
    pub fn dispute(
        &mut self,
        dispute: i64,
        reason: &str,
        part: Option<&str>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let detail = json!({ "dispute": dispute, "reason": reason, "disputed": part }).to_string();
        out.history
            .push(self.record(Event::Disputed, None, None, Some(detail)));
        if part.is_some() {
            return self.set_disputed(part);
        }
        let program = self.program.clone();
        if let Some(target) = &program.document.transitions.dispute {
            out.starts.push(self.whole(target, Afterwards::GoesOn));
        }
        Ok(())
    }

    /// A dispute is settled; `part` is what is still disputed in part, None for nothing.
    ///
    /// # Errors
    /// For vars that are no object.
    pub fn dispute_settled(
        &mut self,
        dispute: i64,
        outcome: &str,
        part: Option<&str>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        let detail = json!({ "dispute": dispute }).to_string();
        out.history
            .push(self.record(Event::DisputeSettled, None, Some(outcome), Some(detail)));
        if self.state.is_over() {
            return Ok(());
        }
        self.set_disputed(part)
    }

    fn set_disputed(&mut self, part: Option<&str>) -> Result<(), Error> {
        let mut vars = match &self.vars {
            Some(text) => parse_data(text)?,
            None => Map::new(),
        };
        let changed = match part {
            Some(part) => {
                let part = amount(part);
                vars.insert(DISPUTED.to_owned(), part.clone()) != Some(part)
            }
            None => vars.shift_remove(DISPUTED).is_some(),
        };
        if changed {
            self.vars = Some(Value::Object(vars).to_string());
        }
        Ok(())
    }

    /// A retry uses new contact data only: refuses those that had been tried before.
    pub(super) fn must_be_new(
        &self,
        step: &CompiledStep,
        channel: Channel,
        address: &str,
    ) -> Result<(), Error> {
        if self.program.document.kind != WorkflowKind::Retry {
            return Ok(());
        }
        let (Some(means), Some(vars)) = (Means::of(channel), &self.vars) else {
            return Ok(());
        };
        let entry = means.entry(address);
        let vars = parse_data(vars)?;
        let old = vars.get(OLD_CONTACT).and_then(Value::as_array);
        let tried = old.is_some_and(|old| old.iter().any(|o| o.as_str() == Some(&entry)));
        if !tried {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::MissingValue,
            format!(
                "step \"{}\": there is no new {} since it was last tried",
                step.name,
                means.name()
            ),
        )
        .hint("Call wf.skip; a leg \"otherwise\" on the step avoids the incident."))
    }
}
