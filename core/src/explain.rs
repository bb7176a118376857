//! Why a case is where it is: what each of its tokens waits for, how its dates came about, and what comes next.
//!
//! The rules tell what they know from the case, its program and the subject's row; the shell adds what stands in its
//! tables only (messages, people, incidents) as `Surroundings`. The first thing that keeps the case from moving comes
//! first.

use chrono::{DateTime, Utc};

use crate::dates::{Anchor, DateRule};
use crate::game::{Case, CaseState, Env, Facts, Token, TokenState};
use crate::program::{CompiledStep, START};

/// A row of the explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about: `case`, `waits for`, `step "x"`, `message 7`.
    pub subject: String,
    /// What is so.
    pub fact: String,
    /// Why, or what to do about it.
    pub detail: Option<String>,
}

impl Fact {
    pub fn new(
        subject: impl Into<String>,
        fact: impl Into<String>,
        detail: Option<String>,
    ) -> Self {
        Self {
            subject: subject.into(),
            fact: fact.into(),
            detail,
        }
    }
}

/// What stands in tables only, about one open step run.
#[derive(Clone, Debug, Default)]
pub struct AtStep {
    /// Its message: what keeps it, or how far it is.
    pub message: Option<Fact>,
    /// Its task: for whom, and until when.
    pub task: Option<Fact>,
    /// Its incident: what went wrong, and the hint.
    pub failure: Option<Fact>,
}

/// What stands in tables only.
#[derive(Default)]
pub struct Surroundings<'a> {
    /// What keeps the whole case: the binding is out of order, changes not looked at.
    pub blocks: Vec<Fact>,
    /// The open holds.
    pub holds: Vec<Fact>,
    /// About an open step run.
    pub at_step: Option<&'a dyn Fn(&Token) -> AtStep>,
}

/// How soon somebody should look at a wait: the smaller, the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Failed,
    Overdue,
    NoDate,
    Message,
    Person,
    Date,
    Others,
}

/// Explains a case. `facts` answers `Program::watch_read`; without it nothing is said that hangs on the row.
pub fn explain(
    case: &Case,
    facts: Option<&Facts<'_>>,
    env: &Env<'_>,
    known: &Surroundings<'_>,
) -> Vec<Fact> {
    let mut rows = Vec::new();
    if case.state.is_over() {
        rows.push(Fact::new("waits for", "nothing: the case is over", None));
        return rows;
    }
    let teller = Teller {
        case,
        facts,
        env,
        known,
    };
    let mut blocks: Vec<Fact> = known.blocks.clone();
    blocks.extend(teller.ending());
    if case.state == CaseState::Held {
        blocks.extend(known.holds.iter().cloned());
    }
    let mut waits: Vec<(Rank, Option<DateTime<Utc>>, Fact)> =
        case.tokens.iter().map(|token| teller.wait(token)).collect();
    waits.sort_by_key(|(rank, at, _)| (*rank, at.unwrap_or(DateTime::<Utc>::MAX_UTC)));
    let first = blocks.first().or(waits.first().map(|(_, _, fact)| fact));
    if let Some(first) = first {
        let fact = format!("{}: {}", first.subject, first.fact);
        rows.push(Fact::new("waits for", fact, first.detail.clone()));
    }
    rows.extend(blocks);
    if case.state != CaseState::Held {
        // They stop messages or charges only.
        rows.extend(known.holds.iter().cloned());
    }
    for token in &case.tokens {
        let (_, _, fact) = teller.wait(token);
        rows.push(fact);
        rows.extend(teller.more(token));
        rows.extend(teller.next(token));
    }
    rows
}

struct Teller<'a> {
    case: &'a Case,
    facts: Option<&'a Facts<'a>>,
    env: &'a Env<'a>,
    known: &'a Surroundings<'a>,
}

impl Teller<'_> {
    fn step(&self, token: &Token) -> Option<&CompiledStep> {
        self.case.program.step(token.step)
    }

    fn subject(&self, token: &Token) -> String {
        if token.step == START {
            return "start".to_owned();
        }
        let name = self.case.program.step_name(token.step);
        if token.visit > 1 {
            format!("step \"{name}\", visit {}", token.visit)
        } else {
            format!("step \"{name}\"")
        }
    }

    fn at_step(&self, token: &Token) -> AtStep {
        self.known
            .at_step
            .map_or_else(AtStep::default, |ask| ask(token))
    }

    /// An instant as the subject's clock shows it.
    fn local(&self, at: DateTime<Utc>) -> String {
        let zone = self.facts.map_or_else(
            || {
                let document = &self.case.program.document;
                document
                    .time_zone
                    .as_deref()
                    .unwrap_or(self.env.default_zone)
            },
            |facts| self.case.zone(facts, self.env),
        );
        match self.env.zones.to_local(zone, at) {
            Ok(local) => local.format("%a %Y-%m-%d %H:%M").to_string(),
            Err(_) => at.format("%a %Y-%m-%d %H:%M UTC").to_string(),
        }
    }

    /// What ends the case when it is looked at next.
    fn ending(&self) -> Option<Fact> {
        let facts = self.facts?;
        if !facts.found {
            let detail = "The case ends by itself when the change is looked at.".to_owned();
            return Some(Fact::new("subject", "its row is gone", Some(detail)));
        }
        let mut rules = self.case.program.stops().iter().zip(facts.conditions);
        let (rule, _) = rules.find(|(_, holds)| **holds)?;
        Some(Fact::new(
            format!("stop rule \"{}\"", rule.reason),
            "its condition is true: the case ends when the change is looked at",
            Some(rule.when.clone()),
        ))
    }

    /// What one token waits for.
    fn wait(&self, token: &Token) -> (Rank, Option<DateTime<Utc>>, Fact) {
        let subject = self.subject(token);
        let extra = self.at_step(token);
        match token.state {
            TokenState::Failed => {
                let fact = extra.failure.unwrap_or_else(|| {
                    Fact::new(
                        &subject,
                        "failed",
                        Some("Call wf.retry or wf.skip.".to_owned()),
                    )
                });
                (Rank::Failed, None, Fact { subject, ..fact })
            }
            TokenState::Open => {
                let fact = extra
                    .task
                    .unwrap_or_else(|| Fact::new(&subject, "waits for a person", None));
                let overdue = token.due_at.is_some_and(|due| due < self.env.now);
                let rank = if overdue { Rank::Overdue } else { Rank::Person };
                (rank, token.due_at, Fact { subject, ..fact })
            }
            TokenState::Sending => {
                let fact = extra
                    .message
                    .unwrap_or_else(|| Fact::new(&subject, "its message is on the way", None));
                (Rank::Message, None, Fact { subject, ..fact })
            }
            TokenState::Joining => (Rank::Others, None, self.join(token, subject)),
            TokenState::Scheduled if token.run_at.is_none() => {
                (Rank::NoDate, None, self.without_date(token, subject))
            }
            TokenState::Scheduled => {
                let at = token.run_at.unwrap_or(self.env.now);
                let fact = if at <= self.env.now {
                    format!("is due since {}: the next tick does it", self.local(at))
                } else if token.attempts > 0 {
                    format!(
                        "is tried again at {}, after {} failed attempt(s)",
                        self.local(at),
                        token.attempts
                    )
                } else {
                    format!("waits for its date, {}", self.local(at))
                };
                (
                    Rank::Date,
                    token.run_at,
                    Fact::new(subject, fact, self.story_of(token)),
                )
            }
            TokenState::Waiting if self.case.is_outside(token).is_some() => {
                let section = self.case.is_outside(token).unwrap_or_default();
                let fact = format!("waits until no other case is in section \"{section}\"");
                (Rank::Others, None, Fact::new(subject, fact, None))
            }
            TokenState::Waiting if self.step(token).is_some_and(|s| s.kind.awaits_cases()) => {
                let workflow = self.step(token).and_then(|step| step.kind.workflow());
                let fact = format!(
                    "waits for the end of a case of workflow \"{}\"",
                    workflow.unwrap_or_default()
                );
                (Rank::Others, None, Fact::new(subject, fact, None))
            }
            TokenState::Waiting => {
                let kind = self.step(token).map_or("event", |step| step.kind.name());
                let story = self.step(token).and_then(|step| step.description.clone());
                let fact = format!("waits for its {kind} to happen");
                (Rank::Others, None, Fact::new(subject, fact, story))
            }
            other => {
                let planned = token
                    .run_at
                    .map(|at| format!("Its own date is {}.", self.local(at)));
                (
                    Rank::Others,
                    token.run_at,
                    Fact::new(subject, other.label(), planned),
                )
            }
        }
    }

    /// The rule of a token's start, if it has one.
    fn rule(&self, token: &Token) -> Option<&DateRule> {
        if token.step == START {
            return self.case.program.document.start.as_ref()?.on.as_ref();
        }
        self.step(token)?.on.as_ref()
    }

    fn story_of(&self, token: &Token) -> Option<String> {
        let rule = self.rule(token)?;
        self.story(rule, token.entered_at, token.run_at)
    }

    /// How a date came about. If the row now gives another date than the planned one, both are named.
    fn story(
        &self,
        rule: &DateRule,
        entered_at: DateTime<Utc>,
        planned: Option<DateTime<Utc>>,
    ) -> Option<String> {
        let facts = self.facts?;
        let anchor = self.case.anchor(rule, entered_at, facts, self.env);
        let context = self.case.date_context(facts, self.env);
        let told = |a| {
            let (at, story) = rule.story(a, &context)?;
            let moved = self.case.after_holds(rule, a, at, None, &context)?;
            let story = if moved == at {
                story
            } else {
                format!(
                    "{story}; moved by the time on hold to {}",
                    self.local(moved)
                )
            };
            Ok((moved, story))
        };
        match anchor.and_then(|a| a.map(told).transpose()) {
            Ok(None) => Some(format!("{}: not known yet", rule.phrase())),
            Ok(Some((at, story))) if planned.is_some_and(|p| p != at) => Some(format!(
                "{story}; computed now it would be {}",
                self.local(at)
            )),
            Ok(Some((_, story))) => Some(story),
            Err(error) => Some(error.message),
        }
    }

    fn without_date(&self, token: &Token, subject: String) -> Fact {
        let Some(rule) = self.rule(token) else {
            return Fact::new(subject, "waits", None);
        };
        let (fact, hint) = match &rule.anchor {
            Anchor::Subject(column) => (
                format!("waits for a date: column \"{column}\" is empty"),
                format!(
                    "It is planned {}; enter that date, or call wf.advance or wf.skip.",
                    rule.phrase()
                ),
            ),
            _ => (
                "waits for a date that is not known yet".to_owned(),
                format!(
                    "It is planned {}; call wf.advance or wf.skip.",
                    rule.phrase()
                ),
            ),
        };
        Fact::new(subject, fact, Some(hint))
    }

    /// Which tokens a join still waits for.
    fn join(&self, token: &Token, subject: String) -> Fact {
        let branches = self.step(token).map_or(0, |step| step.branches);
        let program = &self.case.program;
        let others = self.case.tokens.iter().filter(|other| {
            other.step != token.step && program.reachable(vec![other.step]).contains(&token.step)
        });
        let missing: Vec<String> = others.map(|other| self.subject(other)).collect();
        let fact = format!("{} of {branches} branches have come", token.arrived);
        let detail =
            (!missing.is_empty()).then(|| format!("Still on their way: {}.", missing.join(", ")));
        Fact::new(subject, fact, detail)
    }

    /// What else is to be said of an open step run: its deadline, a message beside its task.
    fn more(&self, token: &Token) -> Vec<Fact> {
        let mut rows = Vec::new();
        let subject = self.subject(token);
        if let Some(rule) = self.step(token).and_then(|step| step.due.as_ref())
            && let Some(due) = token.due_at
        {
            let late = if due < self.env.now { ", overdue" } else { "" };
            let fact = format!("deadline {}{late}", self.local(due));
            rows.push(Fact::new(
                &subject,
                fact,
                self.story(rule, token.entered_at, Some(due)),
            ));
        }
        if let Some(when) = self.step(token).and_then(|step| step.when.as_ref())
            && token.state == TokenState::Scheduled
        {
            let detail =
                "Looked at when its time has come; it is skipped unless this is true.".to_owned();
            rows.push(Fact::new(subject, format!("only if {when}"), Some(detail)));
        }
        rows
    }

    /// Where each leg leads, with the date there if it is known already.
    fn next(&self, token: &Token) -> Vec<Fact> {
        let program = &self.case.program;
        if token.step == START {
            let first = program.steps.first();
            return first
                .map(|step| self.arrow("begins with", step))
                .into_iter()
                .collect();
        }
        let Some(step) = self.step(token) else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        for leg in &step.legs {
            let how = match &leg.condition {
                Some(condition) => format!("then, on \"{}\" ({condition})", leg.outcome),
                None if step.legs.len() > 1 => format!("then, on \"{}\"", leg.outcome),
                None => "then".to_owned(),
            };
            if let Some(target) = leg.target.and_then(|no| program.step(no)) {
                rows.push(self.arrow(&how, target));
            }
        }
        rows
    }

    fn arrow(&self, how: &str, target: &CompiledStep) -> Fact {
        let mut fact = format!("step \"{}\" ({})", target.name, target.kind.name());
        let mut detail = target.description.clone();
        let rule = target.on.as_ref().or(target.due.as_ref());
        if let Some(rule) = rule {
            let story = match rule.anchor {
                // When the step before it is done is not known yet.
                Anchor::PreviousDone => None,
                _ => self.story(rule, self.env.now, None),
            };
            let word = if target.on.is_some() { "" } else { "due " };
            fact.push_str(&format!(", {word}{}", rule.phrase()));
            detail = story.or(detail);
        }
        Fact::new(how, fact, detail)
    }
}
