//! What to do when the database raises an error: halve the batch until the culprit is alone, and count it there.
//!
//! What is known to be a culprit, or to take long (`slow`), is worked on alone from the start. An error that says that the
//! server is short of something is nobody's: when one after the other meets it, everything waits.

use std::time::Duration;

use chrono::TimeDelta;
use workflow_core::game::{CaseState, Mishap, TokenState};

use super::batch::Batch;
use super::work::Run;
use super::{as_engine, awaited, careful};
use crate::outbox::acknowledged;
use crate::pg::spi;
use crate::pg::subtransaction::Failure;
use crate::pg::types::{arg, array};
use crate::settings;

/// So many shortages in a row end the work of a tick: more than one case can cause while its batch, of 10,000 at most,
/// is halved.
const SHORTAGES: u32 = 16;

/// Runs `work` over `items`, in halves after a failure, until each item has either been worked on or is alone to
/// blame; `blame` then runs in a transaction of its own. A part after whose failure `leave` says so is left for the next
/// tick. False when the work was interrupted by a person, or the server is short of something.
pub fn halving<T>(
    run: &mut Run<'_>,
    items: &[T],
    work: &dyn Fn(&[T]),
    blame: &dyn Fn(&T, &Failure),
    leave: &dyn Fn(&Failure) -> bool,
) -> bool {
    halve(run, items, work, blame, leave, &mut 0)
}

fn halve<T>(
    run: &mut Run<'_>,
    items: &[T],
    work: &dyn Fn(&[T]),
    blame: &dyn Fn(&T, &Failure),
    leave: &dyn Fn(&Failure) -> bool,
    shortages: &mut u32,
) -> bool {
    if items.is_empty() {
        return true;
    }
    let Err(failure) = run(&mut || work(items)) else {
        *shortages = 0;
        return true;
    };
    if failure.is_interrupt() {
        return false;
    }
    if failure.is_shortage() {
        *shortages += 1;
        if *shortages > SHORTAGES {
            return false;
        }
    }
    if let [item] = items {
        // Should even the blame fail, the server log has both errors, and the next tick comes back to it.
        return run(&mut || blame(item, &failure)).is_ok() || !failure.is_shortage();
    }
    if leave(&failure) {
        return true;
    }
    let (left, right) = items.split_at(items.len() / 2);
    halve(run, left, work, blame, leave, shortages)
        && halve(run, right, work, blame, leave, shortages)
}

/// What may be due in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Step runs.
    Steps,
    /// Messages that may be rendered now.
    Messages,
}

/// Has what is due in these cases wait longer, as far as nobody else is at the cases.
pub fn put_off(what: Due, cases: &[i64], by: Duration) {
    let (table, state, time) = match what {
        Due::Steps => ("wf.case_steps", "scheduled", "run_at"),
        Due::Messages => ("wf.outbox", "deferred", "not_before"),
    };
    let millis = i32::try_from(by.as_millis()).unwrap_or(i32::MAX);
    spi::query(
        &format!(
            "WITH free AS MATERIALIZED (
                 SELECT c.case_id FROM wf.cases AS c WHERE c.case_id = ANY ($1) ORDER BY c.case_id FOR UPDATE SKIP LOCKED)
             UPDATE {table} AS w SET {time} = wf.now() + $2 * interval '1 millisecond'
             FROM free AS f WHERE w.case_id = f.case_id AND w.state = '{state}' AND w.{time} <= wf.now()"
        ),
        &[array(cases.iter().copied()), arg(millis)],
    );
}

/// Counts a failure against the step run of a case that was being fired.
pub fn blame_case(case: i64, failure: &Failure) {
    as_engine(|| {
        let mut batch = Batch::load_free(&[case], "engine");
        awaited::postpone(&mut batch);
        let env = batch.context.env();
        let Some(loaded) = batch.cases.first_mut() else {
            return;
        };
        let tokens = &loaded.case.tokens;
        let failed_at = (failure.whose)
            .filter(|whose| whose.version == loaded.case.version_id)
            .and_then(|whose| whose.step);
        // Of several branches the one that stands there; else the first, which may have run on to there before the error
        // took it back.
        let ready = || loaded.case.ready(env.now);
        let at_it = ready().find(|token| Some(tokens[*token].step) == failed_at);
        let Some(token) = at_it.or_else(|| ready().next()) else {
            acknowledged::park(batch, failure);
            return;
        };
        let program = &loaded.case.program;
        let stands_on = tokens[token].step;
        let then = failed_at
            .filter(|step| *step != stands_on)
            .map_or(String::new(), |step| {
                format!(", then step \"{}\"", program.step_name(step))
            });
        let message = format!(
            "workflow \"{}\", step \"{}\"{then}: {}",
            program.document.name,
            program.step_name(stands_on),
            failure.message
        );
        // A lock that somebody held, or a full disk, is nobody's mistake.
        let attempts = if failure.will_pass() {
            i32::MAX
        } else if failure.ended_process() {
            careful::attempts()
        } else {
            settings::max_attempts()
        };
        let pause =
            TimeDelta::from_std(settings::retry_backoff()).unwrap_or(TimeDelta::seconds(10));
        loaded.case.attempt_failed(
            token,
            &Mishap {
                sqlstate: &failure.sqlstate,
                message: &message,
                detail: failure.detail.as_deref(),
                hint: failure.hint.as_deref(),
            },
            attempts,
            pause,
            &env,
            &mut batch.effects,
        );
        batch.flush();
    });
}

/// Counts a failure against the step run whose message could not be rendered when its window opened.
pub fn blame_message(case: i64, failure: &Failure) {
    if failure.will_pass() {
        let pause = settings::retry_backoff();
        as_engine(|| put_off(Due::Messages, &[case], pause));
        return;
    }
    as_engine(|| {
        let mut batch = Batch::load_free(&[case], "engine");
        awaited::postpone(&mut batch);
        let Some(loaded) = batch.cases.first_mut() else {
            return;
        };
        if loaded.case.state != CaseState::Running {
            return;
        }
        let sending: Vec<usize> = (0..loaded.case.tokens.len())
            .filter(|i| loaded.case.tokens[*i].state == TokenState::Sending)
            .collect();
        for token in sending {
            let mishap = Mishap {
                sqlstate: &failure.sqlstate,
                message: &failure.message,
                detail: failure.detail.as_deref(),
                hint: failure.hint.as_deref(),
            };
            loaded
                .case
                .message_unrenderable(token, &mishap, &mut batch.effects);
        }
        batch.flush();
    });
}
