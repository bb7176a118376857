//! Cancelling a step or a phase: what becomes of its token.

use super::*;

fn task(name: &str, next: &str) -> serde_json::Value {
    json!({"name": name, "kind": "task", "participant": "p", "due": {"days": 1}, "next": next})
}

/// Branches `a` (two steps) and `b`, then a task.
fn branches(need: Option<u16>) -> Play {
    let mut join = json!({"name": "j", "kind": "join", "of": "p"});
    if let Some(need) = need {
        join["need"] = need.into();
    }
    let mut play = workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "b", "c"]},
        task("a", "a2"), task("a2", "j"), task("b", "j"), task("c", "j"),
        join, task("last", "f"),
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play
}

#[test]
fn a_cancelled_step_ends_its_branch() {
    let mut play = branches(None);
    play.cancel_step("a", "not our customer").unwrap();
    assert_eq!(play.open(), ["b/1 open", "c/1 open"]);
    let row = play.out.history.last().unwrap();
    assert_eq!(
        (row.event, row.outcome.as_deref(), row.detail.as_deref()),
        (
            Event::StepCancelled,
            Some("cancelled"),
            Some(r#"{"reason":"not our customer"}"#)
        )
    );
    play.settle("b", None).unwrap();
    assert_eq!(play.open(), ["c/1 open", "j/1 joining"]);
    let error = play.cancel_step("j", "x").unwrap_err();
    assert_eq!(error.code, ErrorCode::State);
    play.settle("c", None).unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
}

#[test]
fn the_join_goes_on_when_no_branch_is_left() {
    let mut play = branches(Some(2));
    play.settle("b", None).unwrap();
    play.cancel_step("a", "x").unwrap();
    assert_eq!(play.open(), ["c/1 open", "j/1 joining"]);
    play.cancel_step("c", "x").unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
    let mut play = branches(None);
    for step in ["a", "b", "c"] {
        play.cancel_step(step, "x").unwrap();
    }
    assert_eq!(play.open(), ["last/1 open"]);
}

#[test]
fn the_only_way_on_is_not_cancelled_by_itself() {
    let mut play = workflow(json!([task("a", "f"), {"name": "f", "kind": "finish"}]));
    play.start();
    let error = play.cancel_step("a", "x").unwrap_err();
    assert_eq!(error.code, ErrorCode::State);
    assert!(error.hint.unwrap().contains("wf.skip"));
    assert_eq!(play.open(), ["a/1 open"]);
}

#[test]
fn of_several_steps_that_wait_side_by_side_the_others_go_on() {
    let mut play = workflow(json!([
        {"name": "first", "kind": "first_of", "branches": ["a", "paid"]},
        task("a", "f"),
        {"name": "paid", "kind": "event", "signal": "paid", "next": "f"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.cancel_step("a", "x").unwrap();
    assert_eq!(play.open(), ["paid/1 waiting"]);
    assert_eq!(
        play.cancel_step("paid", "x").unwrap_err().code,
        ErrorCode::State
    );
}

/// The phases `one`: a; `two`: a fork, its branches b and c; `three`: the join's other side.
fn phases(steps: serde_json::Value) -> Play {
    let document = json!({
        "format": 1, "name": "w", "subject": "s", "phases": steps,
        "templates": {"t": {"subject": "s", "body": "b"}}
    });
    let mut play = Play::new(&document.to_string());
    play.start();
    play
}

fn three_phases() -> Play {
    phases(json!([
        {"name": "one", "steps": [task("a", "p")]},
        {"name": "two", "steps": [
            {"name": "p", "kind": "parallel", "branches": ["b", "c"]}, task("b", "j"), task("c", "j"),
            {"name": "j", "kind": "join", "of": "p"}]},
        {"name": "three", "steps": [task("d", "f"), {"name": "f", "kind": "finish"}]}
    ]))
}

#[test]
fn a_cancelled_phase_is_followed_by_the_next_one() {
    let mut play = three_phases();
    play.cancel_phase("one", "not needed here").unwrap();
    assert_eq!(play.open(), ["b/1 open", "c/1 open"]);
    play.settle("b", None).unwrap();
    play.cancel_phase("two", "settled by phone").unwrap();
    assert_eq!(play.open(), ["d/1 open"]);
    assert_eq!(
        play.history()[4..],
        [
            "step_cancelled c/1 cancelled",
            "step_cancelled j/1 cancelled"
        ]
    );
    play.cancel_phase("three", "over").unwrap();
    assert_eq!(play.ended(), ("cancelled", "cancelled", "over"));
}

#[test]
fn a_phase_that_is_not_there_or_not_open_is_not_cancelled() {
    let mut play = three_phases();
    let error = play.cancel_phase("four", "x").unwrap_err();
    assert_eq!(error.code, ErrorCode::Unknown);
    assert_eq!(error.detail.unwrap(), "Its phases are one, two, three.");
    let error = play.cancel_phase("two", "x").unwrap_err();
    assert_eq!(error.code, ErrorCode::State);
    assert_eq!(play.open(), ["a/1 open"]);
}

#[test]
fn a_phase_that_is_a_branch_ends_with_it() {
    let mut play = phases(json!([
        {"name": "one", "steps": [{"name": "p", "kind": "parallel", "branches": ["a", "b"]}]},
        {"name": "left", "steps": [task("a", "j")]},
        {"name": "right", "steps": [task("b", "b2"), task("b2", "j")]},
        {"name": "both", "steps": [{"name": "j", "kind": "join", "of": "p"}, task("d", "f"), {"name": "f", "kind": "finish"}]}
    ]));
    play.settle("b", None).unwrap();
    play.cancel_phase("right", "x").unwrap();
    assert_eq!(play.open(), ["a/1 open"]);
    play.settle("a", None).unwrap();
    assert_eq!(play.open(), ["d/1 open"]);
}

#[test]
fn the_next_phase_cannot_begin_inside_a_branch() {
    let mut play = phases(json!([
        {"name": "one", "steps": [task("a", "p")]},
        {"name": "left", "steps": [task("x", "j")]},
        {"name": "two", "steps": [{"name": "p", "kind": "parallel", "branches": ["x", "y"]}, task("y", "j"),
            {"name": "j", "kind": "join", "of": "p"}, {"name": "f", "kind": "finish"}]}
    ]));
    let error = play.cancel_phase("one", "x").unwrap_err();
    assert_eq!(error.code, ErrorCode::State);
    assert!(error.message.contains("\"x\""), "{error:?}");
    assert_eq!(play.open(), ["a/1 open"]);
}
