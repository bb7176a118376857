//! What to do when the database raises an error: halve the batch until the culprit is alone, and count it there.

use chrono::TimeDelta;
use workflow_core::game::{CaseState, Mishap, TokenState};

use super::batch::Batch;
use super::work::Run;
use super::{as_engine, awaited};
use crate::pg::subtransaction::Failure;
use crate::settings;

/// Runs `work` over `items`, in halves after a failure, until each item has either been worked on or is alone to
/// blame; `blame` then runs in a transaction of its own. False when the work was interrupted by a person.
pub fn halving<T>(
    run: &mut Run<'_>,
    items: &[T],
    work: &dyn Fn(&[T]),
    blame: &dyn Fn(&T, &Failure),
) -> bool {
    if items.is_empty() {
        return true;
    }
    match run(&mut || work(items)) {
        Ok(()) => true,
        Err(failure) if failure.is_interrupt() => false,
        Err(failure) if items.len() == 1 => {
            // Should even the blame fail, the server log has both errors, and the next tick comes back to it.
            let _ = run(&mut || blame(&items[0], &failure));
            true
        }
        Err(_) => {
            let (left, right) = items.split_at(items.len() / 2);
            halving(run, left, work, blame) && halving(run, right, work, blame)
        }
    }
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
        let ready = loaded.case.ready(env.now).next();
        let Some(token) = ready else { return };
        let name = loaded
            .case
            .program
            .step_name(loaded.case.tokens[token].step);
        let message = format!(
            "workflow \"{}\", step \"{name}\": {}",
            loaded.case.program.document.name, failure.message
        );
        // A lock that somebody held is nobody's mistake: it is tried for as long as it takes.
        let attempts = if failure.is_contention() {
            i32::MAX
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
