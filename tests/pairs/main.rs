//! Two and three sessions at one case: whatever they call, and whoever comes first, the outcome is that of the same calls
//! one after the other. Nothing is lost, nobody waits for ever, no step appears from nowhere.
//!
//! * `stage`: the case that they meet at, and everything that can be seen of it
//! * `actions`: what a session may do to it
//! * `duel`: who does what when, and what must come of it
//! * `races`: meetings that a table of pairs has no row for: starts, months, names, leases that are given back
//! * `crowd`: random calls by many clients beside live workers

mod actions;
mod crowd;
mod duel;
mod races;
mod stage;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use actions::{Action, NAMED, OTHERS};
use duel::{Arena, Isolation};
use workflow_engine_tests::long_form;

/// Threads that share the pairs of a test; each has a database and two sessions of its own.
const THREADS: usize = 3;

/// Has several threads work through a list.
fn share<T: Sync>(jobs: &[T], work: impl Fn(&mut Arena, &T) -> Vec<String> + Sync) {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let test = std::thread::current().name().unwrap_or("pairs").to_owned();
    std::thread::scope(|scope| {
        for number in 0..THREADS.min(jobs.len()) {
            let (next, wrong, work) = (&next, &wrong, &work);
            let named = std::thread::Builder::new().name(format!("{test}_{number}"));
            let body = move || {
                let mut arena = Arena::new();
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = work(&mut arena, job);
                    wrong.lock().expect("no thread panics").extend(found);
                }
            };
            named.spawn_scoped(scope, body).expect("a thread");
        }
    });
    let wrong = wrong.into_inner().expect("no thread panics");
    println!("{} meetings", jobs.len());
    assert!(
        wrong.is_empty(),
        "{} meetings went wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn pairs<'a>(first: &'a [Action], second: &'a [Action]) -> Vec<(&'a Action, &'a Action)> {
    let of = |a: &'a Action| second.iter().map(move |b| (a, b));
    first.iter().flat_map(of).collect()
}

/// Both ends of the first transaction.
fn meet(arena: &mut Arena, a: &Action, b: &Action, isolation: Isolation) -> Vec<String> {
    let mut wrong = arena.meet(a, b, isolation, true);
    wrong.extend(arena.meet(a, b, isolation, false));
    wrong
}

#[test]
fn every_pair_that_the_mission_names_comes_out_as_one_after_the_other() {
    share(&pairs(NAMED, NAMED), |arena, (a, b)| {
        meet(arena, a, b, Isolation::ReadCommitted)
    });
}

#[test]
fn every_other_call_meets_what_ends_moves_or_sends() {
    let named = |names: &[&str]| -> Vec<Action> {
        let all = NAMED.iter();
        all.filter(|a| long_form() || names.contains(&a.name))
            .copied()
            .collect()
    };
    // The longer transaction first: a sender's and a worker's, and that of the call itself.
    let (before, after) = (named(&["lease", "tick"]), named(&["cancel", "pay"]));
    let mut jobs = pairs(OTHERS, &after);
    jobs.extend(pairs(&before, OTHERS));
    if long_form() {
        jobs.extend(pairs(OTHERS, OTHERS));
    } else {
        // Each beside itself: the same button pushed by two.
        jobs.extend(OTHERS.iter().map(|a| (a, a)));
    }
    share(&jobs, |arena, (a, b)| {
        meet(arena, a, b, Isolation::ReadCommitted)
    });
}

#[test]
fn at_stricter_levels_a_call_is_refused_or_comes_out_as_one_after_the_other() {
    let some = |names: &[&str]| -> Vec<Action> {
        let all = NAMED.iter().chain(OTHERS);
        all.filter(|a| long_form() || names.contains(&a.name))
            .copied()
            .collect()
    };
    let first = some(&["complete", "cancel", "pay", "reassign", "signal"]);
    let second = some(&["complete", "cancel", "hold", "ack"]);
    let jobs = pairs(&first, &second);
    share(&jobs, |arena, (a, b)| {
        let mut wrong = arena.meet(a, b, Isolation::RepeatableRead, true);
        wrong.extend(arena.meet(a, b, Isolation::Serializable, true));
        wrong
    });
}

#[test]
fn two_calls_and_a_tick_come_out_as_one_after_the_other() {
    let all: Vec<Action> = if long_form() {
        NAMED.iter().chain(OTHERS).copied().collect()
    } else {
        let few = ["complete", "cancel", "hold", "pay", "ack"];
        NAMED
            .iter()
            .filter(|a| few.contains(&a.name))
            .copied()
            .collect()
    };
    let mut jobs = Vec::new();
    for (nth, a) in all.iter().enumerate() {
        // In the long form in both orders, and each with itself.
        let from = if long_form() { 0 } else { nth + 1 };
        jobs.extend(all.iter().skip(from).map(|b| (a, b)));
    }
    share(&jobs, |arena, (a, b)| arena.three(a, b));
}
