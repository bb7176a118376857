//! Tokens side by side.

use super::*;

/// A task and a dated e-mail side by side, then a task.
pub(super) fn two_branches() -> Play {
    workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
        {"name": "a", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "b", "kind": "email", "template": "t", "on": {"days": 10, "roll": "none"}},
        {"name": "j", "kind": "join", "of": "p"},
        {"name": "last", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "f", "kind": "finish"}
    ]))
}

#[test]
fn a_join_waits_for_every_branch() {
    let mut play = two_branches();
    play.start();
    assert_eq!(play.open(), ["a/1 open", "b/1 scheduled"]);
    play.settle("a", None).unwrap();
    assert_eq!(play.open(), ["b/1 scheduled", "j/1 joining"]);
    for refused in [
        play.advance("j"),
        play.skip("j"),
        play.settle("j", None),
        play.retry("j"),
    ] {
        assert_eq!(refused.unwrap_err().code, ErrorCode::State);
    }
    play.advance("b").unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
    play.settle("last", None).unwrap();
    assert_eq!(play.ended().0, "completed");
    let joins = play.history().iter().filter(|h| h.contains(" j/")).count();
    assert_eq!(joins, 1);
}

#[test]
fn the_other_order_and_a_hold_in_between_come_to_the_same() {
    let mut play = two_branches();
    play.start();
    play.clock(amsterdam("2026-01-16 09:00"));
    assert_eq!(play.open(), ["a/1 open", "j/1 joining"]);
    play.hold().unwrap();
    play.settle("a", None).unwrap();
    assert_eq!(play.open(), ["j/1 held"]);
    play.release().unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
}

#[test]
fn cancelling_takes_every_token_off() {
    let mut play = two_branches();
    play.start();
    play.settle("a", None).unwrap();
    play.cancel("enough").unwrap();
    assert!(play.case.tokens.is_empty());
    assert_eq!(
        play.history()[3..],
        [
            "step_cancelled b/1 enough",
            "step_cancelled j/1 enough",
            "case_cancelled cancelled"
        ]
    );
}

#[test]
fn a_parallel_step_in_a_loop_joins_anew_each_time() {
    let mut play = workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
        {"name": "a", "kind": "note", "text": "a", "next": "j"},
        {"name": "b", "kind": "note", "text": "b"},
        {"name": "j", "kind": "join", "of": "p"},
        {"name": "r", "kind": "repeat", "back_to": "p", "max_visits": 2, "exhausted": "f"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(play.ended().0, "completed");
    assert_eq!(play.out.notes.len(), 4);
    assert!(play.history().contains(&"step_done j/2 done".to_owned()));
}

#[test]
fn nested_branches_join_inside_out() {
    let mut play = workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "p2"]},
        {"name": "a", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "p2", "kind": "parallel", "branches": ["x", "y"]},
        {"name": "x", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j2"},
        {"name": "y", "kind": "note", "text": "y"},
        {"name": "j2", "kind": "join", "of": "p2"},
        {"name": "j", "kind": "join", "of": "p"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(play.open(), ["a/1 open", "x/1 open", "j2/1 joining"]);
    play.settle("x", None).unwrap();
    assert_eq!(play.open(), ["a/1 open", "j/1 joining"]);
    play.settle("a", None).unwrap();
    assert_eq!(play.ended().0, "completed");
}
