//! How what has come due in cases is gone about, step runs and messages alike: a batch of cases at once; when that fails,
//! in halves (`failures`); the cases that are set apart, one by one; and everything in small batches that are written down
//! first, while the worker is careful (`careful`).

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::as_engine;
use super::batch::{Apart, Batch};
use super::careful::{self, Careful, Suspect};
use super::failures::halving;
use super::slow::{self, Lane};
use super::work::Run;
use crate::pg::subtransaction::Failure;
use crate::settings;

/// Something that comes due in cases.
pub trait Duty {
    /// Locks cases that have some of it, so many at most, as far as nobody else is at them.
    fn claim(&mut self, limit: i64) -> Batch;

    /// Does it for cases that were just claimed. May fail where `process` would not: that has the last word.
    fn process_claimed(batch: Batch) -> bool {
        Self::process(batch)
    }

    /// Does it for some cases. True if anything was done; not if another process is at it.
    fn process(batch: Batch) -> bool;

    /// What a case is written down as.
    fn suspect(case: i64) -> Suspect;

    /// Counts a failure against a case.
    fn blame(case: i64, failure: &Failure);

    /// Has it come due later in some cases.
    fn put_off(cases: &[i64], by: Duration);
}

/// What has come of a batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Whether there may be more to do at once.
    pub worked: bool,
    /// Whether all that was claimed has been done.
    pub complete: bool,
}

/// Works on one batch.
pub fn work<D: Duty>(duty: &mut D, careful: Option<Careful>, run: &mut Run<'_>) -> Outcome {
    if let Some(careful) = careful {
        let worked = work_carefully(careful, duty, run);
        return Outcome {
            worked,
            complete: false,
        };
    }
    let mut claimed: Vec<i64> = Vec::new();
    let mut apart: Vec<Apart> = Vec::new();
    let mut worked = false;
    let result = run(&mut || {
        as_engine(|| {
            let mut batch = duty.claim(settings::batch_size());
            (apart, claimed) = set_apart(&mut batch);
            worked = D::process_claimed(batch);
        });
    });
    let complete = result.is_ok() && apart.is_empty();
    let worked = match result {
        Ok(()) => one_by_one::<D>(None, &apart, run) || worked,
        Err(failure) if failure.is_interrupt() => false,
        // Whose it is may not be known: then it was a lock of ours that somebody holds.
        Err(failure) if failure.takes_long() => slow::takes_apart(&failure),
        Err(_) if claimed.is_empty() => false,
        Err(_) => halving(
            run,
            &claimed,
            &|cases| {
                as_engine(|| D::process(Batch::load_free(cases, "engine")));
            },
            &|case, failure| D::blame(*case, failure),
            &slow::takes_apart,
        ),
    };
    Outcome { worked, complete }
}

/// Works on what is due of one case, if nobody else is at it. True if anything was done.
pub fn alone<D: Duty>(case: i64) -> bool {
    D::process(Batch::load_free(&[case], "engine"))
}

/// The cases of a batch that are to be worked on one by one, which it no longer has; and those that it still has.
fn set_apart(batch: &mut Batch) -> (Vec<Apart>, Vec<i64>) {
    let apart = batch.set_apart();
    (apart, batch.cases.iter().map(|c| c.case.id).collect())
}

/// Works on one small batch, each case of which is written down first. True if anything came of it.
fn work_carefully<D: Duty>(careful: Careful, duty: &mut D, run: &mut Run<'_>) -> bool {
    let mut claimed: Vec<i64> = Vec::new();
    let mut apart: Vec<Apart> = Vec::new();
    let limit = settings::batch_size().min(careful::BATCH);
    let noted = run(&mut || {
        as_engine(|| {
            let mut batch = duty.claim(limit);
            (apart, claimed) = set_apart(&mut batch);
            if !claimed.is_empty() {
                let suspects: Vec<_> = claimed.iter().copied().map(D::suspect).collect();
                careful.note(&suspects);
            }
        });
    });
    if noted.is_err() {
        return false;
    }
    let worked = Cell::new(false);
    let went_on = careful::together(
        careful,
        run,
        &claimed,
        &|case| D::suspect(*case),
        &|cases| {
            let did = as_engine(|| D::process(Batch::load_free(cases, "engine")));
            worked.set(did || worked.get());
        },
        &|case, failure| {
            D::blame(*case, failure);
            worked.set(true);
        },
        &|failure| {
            let leave = slow::takes_apart(failure);
            worked.set(leave || worked.get());
            leave
        },
    );
    went_on && one_by_one::<D>(Some(careful), &apart, run) || worked.get()
}

/// Works on cases one by one, for a while, until one has cost much time: those after it are left for the next tick. Those
/// of a version that rests are put off. A careful worker writes down what is next before it is begun. True if anything
/// came of it.
fn one_by_one<D: Duty>(careful: Option<Careful>, apart: &[Apart], run: &mut Run<'_>) -> bool {
    let start = Instant::now();
    let mut resting: Vec<i64> = Vec::new();
    let mut rest = Duration::ZERO;
    let (mut goes_on, mut worked) = (true, false);
    for one in apart {
        let lane = Lane::Version(one.version);
        if let Some(more) = slow::rest_of(lane) {
            rest = rest.max(more);
            resting.push(one.case);
            continue;
        }
        if !goes_on || start.elapsed() > slow::TURN {
            continue;
        }
        let suspect = D::suspect(one.case);
        if let Some(careful) = careful
            && run(&mut || as_engine(|| careful.note_alone(suspect))).is_err()
        {
            return worked;
        }
        let clear = || {
            if let Some(careful) = careful {
                as_engine(|| careful.clear(&[suspect]));
            }
        };
        let begun = Instant::now();
        let mut did = false;
        let result = run(&mut || {
            did = as_engine(|| alone::<D>(one.case));
            clear();
        });
        match result {
            Ok(()) => {
                slow::went_well(lane);
                worked |= did;
            }
            Err(failure) if failure.is_interrupt() => return worked,
            Err(failure) => {
                if failure.takes_long() {
                    slow::cost(lane, begun.elapsed());
                }
                goes_on = !failure.takes_long() && !failure.is_shortage();
                let blamed = run(&mut || {
                    D::blame(one.case, &failure);
                    clear();
                });
                worked |= blamed.is_ok();
            }
        }
    }
    if !resting.is_empty() {
        worked |= run(&mut || as_engine(|| D::put_off(&resting, rest))).is_ok();
    }
    worked
}
