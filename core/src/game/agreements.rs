//! What is agreed about a claim: promises to pay, and payment plans; and what becomes of them.
//!
//! Whether something has been paid is told from what is open on the row, as it is now, against what was open when it was
//! agreed. So payments that were missed, come twice or are taken back do no harm.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::case::Case;
use super::disputes::amount;
use super::effects::{Effects, Event, PromiseEnd, PromiseState, StartRequest};
use super::states::TokenState;
use super::{Env, Facts, calls};
use crate::collections::plan::{self, Instalment, Next, Plan, Progress, Unpaid};
use crate::kinds::{Afterwards, Instalments};
use crate::program::{CURRENCY, CompiledStep, OPEN_AMOUNT, START};
use crate::template::number::Decimal;
use crate::{Error, ErrorCode};

/// A promise that is open, as the case remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenPromise {
    /// Its number in wf.promises.
    pub id: i64,
    pub amount: String,
    /// What was open when it was made, less what earlier promises cover.
    pub open: String,
    /// When it is broken unless it has been kept.
    pub breaks_at: DateTime<Utc>,
}

/// What somebody promises.
#[derive(Clone, Copy, Debug)]
pub struct Promised<'a> {
    /// Its number in wf.promises.
    pub id: i64,
    /// A plain decimal number above zero.
    pub amount: &'a str,
    pub due: NaiveDate,
    /// Business days after that day; None: as the workflow says.
    pub grace: Option<u16>,
}

/// What a promise came to when it was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The first moment in which it is broken.
    pub breaks_at: DateTime<Utc>,
    pub grace: u16,
    /// What is open now.
    pub open: String,
    pub currency: Option<String>,
}

/// How long a promise is left alone when it cannot be told what is open.
const LATER: TimeDelta = TimeDelta::hours(1);

/// Where a plan stands in the case's vars.
const PLAN: &str = "plan";

impl Case {
    /// What is open on the row. The error says what is missing: the workflow does not tell, or the row has no value.
    fn open_amount(&self, facts: &Facts<'_>) -> Result<String, Error> {
        if self.program.document.money.is_none() {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "workflow \"{}\" does not say what is open",
                    self.program.document.name
                ),
            )
            .hint("Say in money.open of the workflow which column or expression that is, and publish it."));
        }
        let open = facts.row.get(OPEN_AMOUNT);
        open.map(|(text, _)| text.to_owned()).ok_or_else(|| {
            Error::new(
                ErrorCode::MissingValue,
                format!("case {}: what is open on its row is null", self.id),
            )
            .hint("Enter it in the row.")
        })
    }

    /// Somebody promises to pay.
    ///
    /// # Errors
    /// [`ErrorCode::State`] for a case that has ended, or whose workflow does not say what is open; [`ErrorCode::Input`]
    /// for a day that is past, or an amount above what is open; [`ErrorCode::Calendar`].
    pub fn promise(
        &mut self,
        promised: &Promised<'_>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<Made, Error> {
        self.must_be_open()?;
        let open = self.open_amount(facts)?;
        let today = self.local_day(env.now, facts, env)?;
        let refused = |message: String, hint: &str| {
            Err(Error::new(ErrorCode::Input, message).hint(hint.to_owned()))
        };
        if promised.due < today {
            return refused(
                format!("the promise is for {}, which is past", promised.due),
                "Give today or a later day.",
            );
        }
        let mut base = decimal(&open)?;
        for other in &self.memory.promises {
            let rest = decimal(&other.open)?.minus(decimal(&other.amount)?);
            let rest = rest.ok_or_else(too_long)?;
            if rest.compare(base).is_some_and(std::cmp::Ordering::is_lt) {
                base = rest;
            }
        }
        let amount = decimal(promised.amount)?;
        if base.minus(amount).ok_or_else(too_long)?.is_negative() {
            let others = if self.memory.promises.is_empty() {
                ""
            } else {
                " and not promised yet"
            };
            return refused(
                format!(
                    "{} is promised, and {base} is open{others}",
                    promised.amount
                ),
                "Promise no more than that; wf.withdraw_promise takes an earlier promise back.",
            );
        }
        let money = self.program.document.money.as_ref();
        let grace = promised.grace.or(money.map(|m| m.grace)).unwrap_or(0);
        let breaks_at = self.day_after(promised.due, grace, facts, env)?;
        self.memory.promises.push(OpenPromise {
            id: promised.id,
            amount: promised.amount.to_owned(),
            open: base.to_string(),
            breaks_at,
        });
        let currency = facts.row.get(CURRENCY).map(|(text, _)| text.to_owned());
        let detail = json!({ "promise": promised.id, "amount": promised.amount, "currency": currency, "due": promised.due });
        let detail = Some(detail.to_string());
        out.history
            .push(self.record(Event::Promised, None, None, detail));
        Ok(Made {
            breaks_at,
            grace,
            open,
            currency,
        })
    }

    /// The first moment after a day and so many business days of grace, where the subject is.
    fn day_after(
        &self,
        day: NaiveDate,
        grace: u16,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<DateTime<Utc>, Error> {
        let mut last = day;
        if grace > 0 {
            let calendar = env.calendars.calendar(self.program.default_calendar())?;
            last = calendar.add_business_days(day, grace.into())?;
        }
        let next = last.checked_add_days(Days::new(1)).ok_or_else(too_long)?;
        env.zones
            .to_utc(self.zone(facts, env), next.and_time(NaiveTime::MIN))
    }

    /// A promise is taken back. False: it is not open.
    pub fn withdraw_promise(&mut self, id: i64, out: &mut Effects) -> bool {
        let open = self.memory.promises.iter().position(|p| p.id == id);
        if let Some(index) = open {
            let promise = self.memory.promises.remove(index);
            self.promise_ends(&promise, PromiseState::Withdrawn, None, out);
        }
        open.is_some()
    }

    fn promise_ends(
        &self,
        promise: &OpenPromise,
        state: PromiseState,
        paid: Option<String>,
        out: &mut Effects,
    ) {
        let detail = json!({ "promise": promise.id, "amount": promise.amount, "paid": paid });
        let detail = Some(detail.to_string());
        out.history
            .push(self.record(Event::PromiseEnded, None, Some(state.label()), detail));
        out.promises.push(PromiseEnd {
            case_id: self.id,
            id: promise.id,
            state,
            paid,
            again_at: None,
        });
    }

    /// Looks at the open promises: those that have been kept by now, and those whose time is over.
    pub fn look_at_promises(&mut self, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        if self.memory.promises.is_empty() || self.state.is_over() || !facts.found {
            return;
        }
        let open = self.open_amount(facts).and_then(|open| decimal(&open));
        for promise in std::mem::take(&mut self.memory.promises) {
            let paid = open.as_ref().ok().and_then(|now| {
                let paid = Decimal::parse(&promise.open)?.minus(*now)?;
                Some(if paid.is_negative() {
                    Decimal::from(0)
                } else {
                    paid
                })
            });
            let due = promise.breaks_at <= env.now;
            let (Some(paid), Some(amount)) = (paid, Decimal::parse(&promise.amount)) else {
                if due {
                    out.promises.push(PromiseEnd {
                        case_id: self.id,
                        id: promise.id,
                        state: PromiseState::Open,
                        paid: None,
                        again_at: Some(env.now + LATER),
                    });
                }
                self.memory.promises.push(promise);
                continue;
            };
            let kept = paid.compare(amount).is_some_and(std::cmp::Ordering::is_ge);
            let state = match (kept, due, paid.is_zero()) {
                (true, _, _) => PromiseState::Kept,
                (false, true, true) => PromiseState::Broken,
                (false, true, false) => PromiseState::PartlyKept,
                (false, false, _) => {
                    self.memory.promises.push(promise);
                    continue;
                }
            };
            self.promise_ends(&promise, state, Some(paid.to_string()), out);
        }
    }

    /// The case has ended, and its promises with it.
    pub(super) fn drop_promises(&mut self, out: &mut Effects) {
        for promise in std::mem::take(&mut self.memory.promises) {
            self.promise_ends(&promise, PromiseState::Withdrawn, None, out);
        }
    }

    /// Somebody commits to pay by instalments: in a payment plan, that takes the place of the one there is; any other case
    /// ends, and goes on as the workflow that its own one names.
    ///
    /// # Errors
    /// [`ErrorCode::State`] for a case that has ended, or whose workflow leads to no payment plan; those of
    /// [`Plan::agree`].
    pub fn agree_plan(
        &mut self,
        instalments: Vec<Instalment>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Result<(), Error> {
        self.must_be_open()?;
        let open = self.open_amount(facts)?;
        let plan = Plan::agree(&open, instalments, self.local_day(env.now, facts, env)?)?;
        let program = self.program.clone();
        let in_plan = program.steps.iter().any(|s| s.kind.paces_itself());
        let target = program.document.transitions.commitment.as_ref();
        if !in_plan && target.is_none() {
            return Err(Error::new(
                ErrorCode::State,
                format!(
                    "workflow \"{}\" leads to no payment plan",
                    program.document.name
                ),
            )
            .hint("Name the workflow of the plan in transitions.commitment, and publish it."));
        }
        let mut vars = Map::new();
        vars.insert(PLAN.to_owned(), json!(plan));
        self.merge_vars(vars)?;
        if in_plan {
            let updated = self.memory.plan.is_some();
            self.memory.plan = Some(Progress {
                updated,
                ..Progress::default()
            });
            self.look_again(env);
        } else if let Some(target) = target {
            out.starts.push(self.whole(target, Afterwards::Ends));
        }
        Ok(())
    }

    /// A request of the case as a whole, not of one of its steps.
    pub(super) fn whole(&self, workflow: &str, afterwards: Afterwards) -> StartRequest {
        StartRequest {
            case_id: self.id,
            step: START,
            visit: 0,
            workflow: workflow.to_owned(),
            limit: u16::MAX,
            afterwards,
        }
    }

    /// Whether a request for another case still stands.
    pub fn still_asks(&self, request: &StartRequest) -> bool {
        if request.step == START {
            return !self.state.is_over();
        }
        self.token_of(request.step, request.visit).is_some()
    }

    /// The token of a payment plan: what comes next, or when.
    pub(super) fn instalments(
        &mut self,
        index: usize,
        step: &CompiledStep,
        kind: &Instalments,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        if self.plan_was_updated(index, kind, facts, env, out) {
            return;
        }
        match self.next_in_plan(step, kind, facts, env) {
            Err(error) => self.fail(index, &error, out),
            Ok(Next::Wait(at)) => {
                let state = self.waiting();
                let token = &mut self.tokens[index];
                token.state = if at.is_some() {
                    state
                } else {
                    TokenState::Waiting
                };
                token.run_at = at;
                token.due_at = at;
            }
            Ok(Next::Kept) => self.done(index, "kept", facts, env, out),
            Ok(Next::Remind(one)) => self.about(index, "remind", &one, facts, env, out),
            Ok(Next::Overdue(one)) => self.about(index, "overdue", &one, facts, env, out),
            Ok(Next::Broken(one)) => self.about(index, "broken", &one, facts, env, out),
        }
    }

    fn next_in_plan(
        &mut self,
        step: &CompiledStep,
        kind: &Instalments,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Next, Error> {
        let vars = match &self.vars {
            Some(text) => calls::parse_data(text)?,
            None => Map::new(),
        };
        let Some(plan) = vars.get(PLAN) else {
            // Started without a commitment: wf.agree_plan comes later.
            return Ok(Next::Wait(None));
        };
        let plan: Plan = serde_json::from_value(plan.clone()).map_err(|error| {
            Error::new(
                ErrorCode::Input,
                format!(
                    "step \"{}\": the plan of case {} cannot be read: {error}",
                    step.name, self.id
                ),
            )
            .hint("Agree one with wf.agree_plan, then call wf.retry.")
        })?;
        let unpaid = plan.unpaid(&self.open_amount(facts)?)?;
        let mut moments = Vec::with_capacity(unpaid.len());
        for one in &unpaid {
            let before = Days::new(kind.remind_before.into());
            let day = one.instalment.due.checked_sub_days(before);
            let day = day.ok_or_else(too_long)?.and_time(NaiveTime::MIN);
            let remind = env.zones.to_utc(self.zone(facts, env), day)?;
            let overdue = self.day_after(one.instalment.due, kind.grace, facts, env)?;
            moments.push((remind, overdue));
        }
        let progress = self.memory.plan.unwrap_or_default();
        let broken_at = kind.broken.as_ref().map(|_| usize::from(kind.broken_at));
        let (next, progress) = plan::next(&unpaid, &moments, progress, broken_at, env.now);
        self.memory.plan = Some(progress);
        Ok(next)
    }

    /// The plan's token goes on about one of its instalments, which the texts then find in `vars`.
    fn about(
        &mut self,
        index: usize,
        outcome: &str,
        one: &Unpaid,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let vars = json!({
            "instalment_no": one.number,
            "instalment_due": one.instalment.due,
            "instalment_amount": amount(&one.instalment.amount),
            "instalment_missing": amount(&one.missing),
        });
        if let Value::Object(vars) = vars
            && let Err(error) = self.merge_vars(vars)
        {
            return self.fail(index, &error, out);
        }
        self.done(index, outcome, facts, env, out);
    }

    /// The plan has been changed: takes the leg for that, if there is one. Whether it did.
    fn plan_was_updated(
        &mut self,
        index: usize,
        kind: &Instalments,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> bool {
        let Some(progress) = self.memory.plan.as_mut().filter(|p| p.updated) else {
            return false;
        };
        progress.updated = false;
        if kind.updated.is_none() {
            return false;
        }
        self.done(index, "updated", facts, env, out);
        true
    }
}

fn decimal(text: &str) -> Result<Decimal, Error> {
    Decimal::parse(text).ok_or_else(too_long)
}

fn too_long() -> Error {
    Error::new(
        ErrorCode::Input,
        "an amount or day is out of the range that can be calculated with",
    )
}
