//! What can have been asked of the rules in a transaction, and asking it.

use chrono::TimeDelta;
use serde_json::Value;
use workflow_core::game::{Case, Effects, Env, Event, Facts, Hold, Mishap, Settlement};
use workflow_core::kinds::DoneWhen;
use workflow_core::program::{Read, StepNo};
use workflow_core::{Error, ErrorCode};

use crate::replay::{HoldsOf, Replay};
use crate::trace::Group;

/// One thing that is asked of the rules.
#[derive(Clone, Debug)]
pub enum Act {
    BeginByRule,
    BeginByCall,
    /// The job's row has changed.
    Changed,
    /// Holds have run out.
    RunOut,
    /// A sender reported on the message of a step run, or said nothing for too long.
    Report(StepNo, i16, &'static str),
    /// The process that worked on the case, and on nothing else, was killed: the step run has had an attempt.
    ProcessEnded,
    /// A client's call.
    Call(Value),
}

/// The defaults of the engine: how long it waits after the first attempt, and how many may end a process.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
const ATTEMPTS: i32 = 3;

const REPORTS: [&str; 4] = ["sent", "delivered", "bounced", "dead"];

impl Act {
    /// What can have happened in a transaction: acts one after the other, and whether what was due then was fired.
    pub fn ways(
        group: &Group,
        is_first: bool,
        holds: &HoldsOf,
        history: &[String],
    ) -> Vec<(Vec<Act>, bool)> {
        if let Some(call) = &group.call {
            if is_first {
                return vec![(vec![Act::BeginByCall], false)];
            }
            let act = Act::Call(call.clone());
            // Should the database refuse what follows by itself, the call holds without it.
            return vec![(vec![act.clone()], true), (vec![act], false)];
        }
        if is_first {
            return vec![(vec![Act::BeginByRule], false)];
        }
        let reports: Vec<Act> = group
            .written
            .iter()
            .filter(|w| w.table == "outbox" && w.op == "UPDATE")
            .map(|w| {
                let small = |field: &str| w.row[field].to_string().parse().expect("a small number");
                let state = REPORTS.into_iter().find(|state| w.row["state"] == *state);
                Act::Report(small("step_no"), small("visit"), state.expect("a report"))
            })
            .collect();
        if !reports.is_empty() {
            let backwards: Vec<Act> = reports.iter().rev().cloned().collect();
            return vec![(reports.clone(), true), (backwards, true), (reports, false)];
        }
        if !holds.ended.is_empty() && history.iter().any(|row| row.starts_with("case_released")) {
            return vec![(vec![Act::RunOut], false)];
        }
        let mut ways = vec![(Vec::new(), true), (vec![Act::Changed], false)];
        if group.is_one_step_run() {
            ways.push((vec![Act::ProcessEnded], false));
        }
        ways
    }

    /// What has to be read of the job for it.
    pub fn read(&self, case: &Case) -> Read {
        match self {
            Act::BeginByRule | Act::BeginByCall => case.program.start_read(),
            _ => case.program.watch_read(),
        }
    }
}

fn text<'a>(call: &'a Value, field: &str) -> Option<&'a str> {
    call[field].as_str()
}

/// Ends holds; those that are left stay.
fn release(
    case: &mut Case,
    known: &Replay<'_>,
    ended: &[i64],
    facts: &Facts<'_>,
    env: &Env<'_>,
    out: &mut Effects,
) -> Result<(), Error> {
    let of = |is_ended: bool| -> Vec<Hold> {
        let holds = known.holds.iter();
        let wanted = holds.filter(|(id, _)| ended.contains(id) == is_ended);
        wanted.map(|(_, hold)| hold.clone()).collect()
    };
    case.release(&of(true), &of(false), Ok(facts), env, out)
}

/// Asks the rules.
pub fn apply(
    act: &Act,
    case: &mut Case,
    known: &Replay<'_>,
    holds: &HoldsOf,
    facts: &Facts<'_>,
    env: &Env<'_>,
    out: &mut Effects,
) -> Result<(), Error> {
    match act {
        Act::BeginByCall => case.begin_by_call(facts, env, out),
        Act::BeginByRule => {
            if !case.program.starts(facts.conditions) || !case.begin_by_rule(facts, env, out)? {
                return Err(Error::new(
                    ErrorCode::State,
                    "the start rule does not take the job",
                ));
            }
        }
        Act::Changed => case.subject_changed(facts, env, out),
        Act::RunOut => release(case, known, &holds.ended, facts, env, out)?,
        Act::Report(step, visit, report) => {
            let event = match *report {
                "sent" => {
                    case.message_came_to(*step, *visit, DoneWhen::Sent, facts, env, out);
                    return Ok(());
                }
                "delivered" => {
                    case.message_came_to(*step, *visit, DoneWhen::Delivered, facts, env, out);
                    return Ok(());
                }
                "bounced" => Event::MessageBounced,
                _ => Event::MessageDead,
            };
            let error = Error::new(ErrorCode::State, "it did not arrive");
            case.message_failed(*step, *visit, event, &error, facts, env, out);
        }
        Act::ProcessEnded => {
            let first = case.ready(env.now).next();
            let index = first.ok_or_else(|| Error::new(ErrorCode::State, "nothing was due"))?;
            let mishap = Mishap {
                sqlstate: "57P02",
                message: "killed",
                detail: None,
                hint: None,
            };
            case.attempt_failed(index, &mishap, ATTEMPTS, PAUSE, env, out);
        }
        Act::Call(call) => return apply_call(call, case, known, holds, facts, env, out),
    }
    Ok(())
}

fn apply_call(
    call: &Value,
    case: &mut Case,
    known: &Replay<'_>,
    holds: &HoldsOf,
    facts: &Facts<'_>,
    env: &Env<'_>,
    out: &mut Effects,
) -> Result<(), Error> {
    let step = text(call, "step");
    let data = Some(&call["data"])
        .filter(|data| data.is_object())
        .map(Value::to_string);
    let settlement = Settlement {
        outcome: text(call, "outcome"),
        data: data.as_deref(),
    };
    let why = text(call, "reason").unwrap_or("");
    match text(call, "op").expect("a call has a name") {
        "complete" => {
            let task: i64 = call["task"].to_string().parse().expect("a number");
            let Some(index) = case.tokens.iter().position(|t| t.task_id == Some(task)) else {
                // Settled before in the same way: no error, and nothing happens.
                return Ok(());
            };
            case.settle(index, settlement, facts, env, out)
        }
        "complete_step" => match case.step_run(step) {
            Ok(index) => case.settle(index, settlement, facts, env, out),
            Err(_) => Ok(()),
        },
        "advance" => {
            let index = case.step_run(step)?;
            case.advance(index, env)
        }
        "branch" => {
            let index = case.step_run(step)?;
            case.branch(index, text(call, "leg").unwrap_or(""), facts, env, out)
        }
        "skip" => {
            let index = case.step_run(step)?;
            case.skip(index, Some(why), facts, env, out)
        }
        "cancel_step" => {
            let index = case.step_run(step)?;
            case.cancel_step(index, why, env, out)
        }
        "cancel_phase" => {
            case.cancel_phase(text(call, "phase").unwrap_or(""), why, facts, env, out)
        }
        "retry" => {
            let index = case.step_run(step)?;
            case.retry(index, facts, env, out)
        }
        "signal" => case.signal("go", data.as_deref(), facts, env, out),
        "cancel" if case.state.is_over() && case.reason.as_deref() == Some(why) => Ok(()),
        "cancel" => case.cancel(why, out),
        "hold" => holds.made.iter().try_for_each(|hold| case.hold(hold, out)),
        "release" if holds.ended.is_empty() => case.must_be_open(),
        "release" => release(case, known, &holds.ended, facts, env, out),
        other => panic!("no client makes a call {other}"),
    }
}
