//! When: the dates of a step run, from its rules and the subject's row.

use chrono::{DateTime, NaiveDate, Utc};

use super::case::{Case, Token};
use super::{Env, Facts};
use crate::dates::{Anchor, AnchorValue, DateContext, DateRule, anchor_from_row};
use crate::program::CompiledStep;
use crate::{Error, ErrorCode};

/// A date, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// No rule: at once.
    Now,
    At(DateTime<Utc>),
    /// The anchor is empty: a due date that has not been entered, a step that has not been done.
    Unknown,
}

/// The dates of a step run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dates {
    pub start: When,
    pub due: When,
}

impl Dates {
    /// Writes the dates on a token. A token whose start is unknown waits without a time; a change of the subject
    /// plans it anew.
    pub fn apply(self, step: &CompiledStep, token: &mut Token) {
        token.run_at = match self.start {
            When::Now => Some(token.entered_at),
            When::At(at) => Some(at),
            When::Unknown => None,
        };
        token.due_at = self.shown(step);
    }

    /// The date that people see: the deadline of a manual step, the planned start of an automatic one.
    pub fn shown(self, step: &CompiledStep) -> Option<DateTime<Utc>> {
        match if step.is_manual() {
            self.due
        } else {
            self.start
        } {
            When::At(at) => Some(at),
            When::Now | When::Unknown => None,
        }
    }
}

impl Case {
    /// The dates of a step run that entered when the token says.
    pub(super) fn plan(
        &self,
        step: &CompiledStep,
        token: &Token,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Dates, Error> {
        let date = |rule: &Option<DateRule>, opened| match rule {
            None => Ok(When::Now),
            Some(rule) => self.date_for(rule, token.entered_at, opened, facts, env),
        };
        let place = |error: Error| error.of_step(&step.name);
        let start = date(&step.on, None).map_err(place)?;
        let opened = match start {
            When::At(at) => at.max(token.entered_at),
            When::Now | When::Unknown => token.entered_at,
        };
        Ok(Dates {
            start,
            due: date(&step.due, Some(opened)).map_err(place)?,
        })
    }

    /// One date. `previous_done` is when the token came: the step before it was done in that moment.
    pub(super) fn date(
        &self,
        rule: &DateRule,
        entered_at: DateTime<Utc>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<When, Error> {
        self.date_for(rule, entered_at, None, facts, env)
    }

    /// The same; `opened` says from when on a person can work towards it.
    fn date_for(
        &self,
        rule: &DateRule,
        entered_at: DateTime<Utc>,
        opened: Option<DateTime<Utc>>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<When, Error> {
        let Some(anchor) = self.anchor(rule, entered_at, facts, env)? else {
            return Ok(When::Unknown);
        };
        let context = self.date_context(facts, env);
        let at = rule.resolve(anchor, &context)?;
        if self.memory.shifts.is_empty() {
            return Ok(When::At(at));
        }
        let at = self.after_holds(rule, anchor, at, opened, &context)?;
        Ok(When::At(at))
    }

    /// What a rule counts from; None while that is not known.
    ///
    /// # Errors
    /// Those of [`anchor_from_row`].
    pub fn anchor(
        &self,
        rule: &DateRule,
        entered_at: DateTime<Utc>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<Option<AnchorValue>, Error> {
        Ok(match &rule.anchor {
            Anchor::CaseStart => Some(AnchorValue::Instant(self.started_at.unwrap_or(env.now))),
            Anchor::PreviousDone => Some(AnchorValue::Instant(entered_at)),
            Anchor::Step(name) => self
                .memory
                .done
                .get(name)
                .copied()
                .map(AnchorValue::Instant),
            Anchor::Subject(column) => {
                let own = anchor_from_row(&facts.row, column)?;
                self.at_its_pace(column, own, &facts.row)?
            }
        })
    }

    /// What the case's dates are computed with.
    pub fn date_context<'a>(&'a self, facts: &Facts<'a>, env: &Env<'a>) -> DateContext<'a> {
        DateContext {
            zone: self.zone(facts, env),
            zones: env.zones,
            calendars: env.calendars,
            default_calendar: self.program.default_calendar(),
            default_roll: self.program.default_roll(),
        }
    }

    /// The zone of the subject's row, else the workflow's, else the server's setting.
    pub fn zone<'a>(&'a self, facts: &Facts<'a>, env: &Env<'a>) -> &'a str {
        let own = self
            .program
            .roles
            .time_zone
            .as_deref()
            .and_then(|c| facts.row.get(c));
        // A row may name several, parted by commas; contact policies look at all of them.
        let first = |zones: &'a str| zones.split([',', ';']).next().unwrap_or(zones).trim();
        own.map(|(zones, _)| first(zones))
            .or(self.program.document.time_zone.as_deref())
            .unwrap_or(env.default_zone)
    }

    /// The day that an instant falls on where the subject is.
    pub(super) fn local_day(
        &self,
        at: DateTime<Utc>,
        facts: &Facts<'_>,
        env: &Env<'_>,
    ) -> Result<NaiveDate, Error> {
        Ok(env.zones.to_local(self.zone(facts, env), at)?.date())
    }

    /// The error of a call that names no step of the workflow.
    pub(super) fn unknown_step(&self, name: &str) -> Error {
        let names: Vec<_> = self.program.steps.iter().map(|s| s.name.as_str()).collect();
        Error::new(
            ErrorCode::Unknown,
            format!(
                "workflow \"{}\" has no step \"{name}\"",
                self.program.document.name
            ),
        )
        .detail(format!("Its steps are {}.", names.join(", ")))
    }
}
