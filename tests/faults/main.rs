//! Faults from outside and from within: SQL that harms its process, resources that run out, statements that are cancelled,
//! transactions that last, clocks that jump. After each of them everything goes on, nothing is half done, and every step
//! has run exactly once.

mod clock;
mod interrupted;
mod poison;
mod shortage;
mod transactions;

use serde_json::{Value, json};
use workflow_engine_tests::{Options, Session, automatic, expect_sound_cases, post, until};

const NONE: &[&str] = &[];

/// What fails is tried again soon and not often, so that tests need not wait.
fn hasty() -> Options {
    Options::default()
        .set("workflow_engine.retry_backoff", "1s")
        .set("workflow_engine.max_attempts", "3")
        .set("workflow_engine.step_timeout", "300ms")
}

/// Waits until so many cases have ended.
#[track_caller]
fn completed(shop: &mut Session, count: i64) {
    until(
        shop,
        &format!("{count} cases that have ended"),
        &format!("SELECT count(*) >= {count} FROM wf.cases WHERE state = 'completed'"),
    );
}

/// Every step of every case has run once, and no case has been started twice.
#[track_caller]
fn expect_exactly_once(shop: &mut Session, cases: i64, notes_each: i64) {
    expect_sound_cases(shop, cases);
    shop.expect(
        "SELECT case_id, step, visit, count(*) FROM probe.history() WHERE event = 'step_done' GROUP BY 1, 2, 3 HAVING count(*) <> 1",
        NONE,
    );
    shop.expect(
        "SELECT count(*), count(DISTINCT (case_id, step_no)) FROM wf.notes",
        &[format!("{0} | {0}", notes_each * cases)],
    );
    shop.expect("SELECT count(*) FROM wf.case_steps", &[0]);
}

/// Two notes around a step.
fn around(step: Value) -> Value {
    automatic(json!([
        {"name": "before", "kind": "note", "text": "Before."},
        step,
        {"name": "after", "kind": "note", "text": "After."}
    ]))
}
