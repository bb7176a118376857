//! A step charges something: the request, and what becomes of the step when it is known what it came to.

use chrono::NaiveDate;
use serde_json::json;

use super::case::Case;
use super::effects::{ChargeRequest, Effects, Event};
use super::{Env, Facts};
use crate::collections::charges::{Assessed, Sum};
use crate::kinds::{Charge, ChargeType};
use crate::program::{CompiledStep, value_name};
use crate::{Error, ErrorCode};

impl Case {
    /// Asks the shell for what is known of the row's charges; the token waits until it has answered, in this batch.
    pub(super) fn ask_to_charge(
        &mut self,
        index: usize,
        step: &CompiledStep,
        charge: &Charge,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        match self.charge_request(index, step, charge, facts, env) {
            Ok(request) => {
                out.charges.push(request);
                self.wait(index);
            }
            Err(error) => self.fail(index, &error, out),
        }
    }

    fn charge_request(
        &self,
        index: usize,
        step: &CompiledStep,
        charge: &Charge,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<ChargeRequest, Error> {
        let value = |field: &str| {
            let found = facts.row.get(&value_name(&step.name, field));
            found.map(|(value, _)| value.to_owned())
        };
        let needed = |field: &str| {
            value(field).ok_or_else(|| {
                Error::new(
                    ErrorCode::MissingValue,
                    format!(
                        "step \"{}\": {field} is null, so nothing can be charged",
                        step.name
                    ),
                )
                .hint("Enter it in the row and call wf.retry, or call wf.skip.")
            })
        };
        let today = self.local_day(env.now, facts, env)?;
        let sum = match charge.charge {
            ChargeType::Fee => Sum::Fee {
                amount: needed("amount")?,
            },
            ChargeType::Interest => Sum::Interest {
                principal: needed("principal")?,
                rate: needed("rate")?,
                since: match value("since").and_then(|text| text.parse::<NaiveDate>().ok()) {
                    Some(day) => day,
                    None => self.local_day(self.started_at.unwrap_or(env.now), facts, env)?,
                },
                days_in_year: charge.days_in_year,
            },
        };
        Ok(ChargeRequest {
            case_id: self.id,
            step: step.no,
            visit: self.tokens[index].visit,
            label: charge.label.clone().unwrap_or_else(|| step.title()),
            currency: value("currency"),
            decimals: charge.decimals.into(),
            zone: self.zone(facts, env).to_owned(),
            today,
            sum,
        })
    }

    /// The charge has been worked out: the step is over, whatever it came to.
    pub fn charged(
        &mut self,
        request: &ChargeRequest,
        assessed: &Assessed,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let Some(index) = self.token_of(request.step, request.visit) else {
            return;
        };
        let (outcome, detail) = match assessed {
            Assessed::Charged { amount, days: None } => (
                "charged",
                json!({ "amount": amount, "currency": request.currency }),
            ),
            Assessed::Charged {
                amount,
                days: Some((from, until, days)),
            } => (
                "charged",
                json!({ "amount": amount, "currency": request.currency, "from": from, "until": until, "days": days }),
            ),
            Assessed::Suspended(reason) => ("suspended", json!({ "reason": reason })),
            Assessed::Nothing => ("nothing due", json!({})),
        };
        let detail = Some(detail.to_string());
        let token = self.finish(index, Event::StepDone, outcome, detail, env, out);
        self.follow(&token, "done", facts, env, out);
    }
}
