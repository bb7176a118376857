//! Joins that need only some of their branches, branches that conditions choose, and what is withdrawn.

use super::*;

/// Three tasks side by side, of which so many are needed, then a task.
fn needing(need: u16) -> Play {
    workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "b", "c"]},
        {"name": "a", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "b", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "mail"},
        {"name": "mail", "kind": "email", "template": "t", "next": "j"},
        {"name": "c", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "j", "kind": "join", "of": "p", "need": need},
        {"name": "last", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "f", "kind": "finish"}
    ]))
}

#[test]
fn the_first_branch_of_a_join_that_needs_one_withdraws_the_rest() {
    let mut play = needing(1);
    play.sender = false;
    play.start();
    play.settle("b", None).unwrap();
    assert_eq!(play.open(), ["a/1 open", "mail/1 sending", "c/1 open"]);
    play.settle("c", None).unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
    let history = play.history();
    assert!(history.contains(&"step_cancelled a/1 not needed".to_owned()));
    assert!(history.contains(&"step_cancelled mail/1 not needed".to_owned()));
    let why = "join \"j\" goes on with 1 of 3 branches";
    let row = play
        .out
        .history
        .iter()
        .find(|h| h.event == Event::StepCancelled);
    assert_eq!(
        row.unwrap().detail,
        Some(json!({"reason": why}).to_string())
    );
    // The message that was on its way stays here.
    let mail = play.case.program.step_named("mail").unwrap().no;
    assert_eq!(
        play.out.suppressions,
        [Suppression {
            case_id: 1,
            step: Some((mail, 1)),
            reason: why.to_owned()
        }]
    );
    // What the sender says of it later moves nothing.
    play.came_to(mail, 1, crate::kinds::DoneWhen::Sent);
    assert_eq!(play.open(), ["last/1 open"]);
    play.settle("last", None).unwrap();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn a_join_that_needs_two_of_three_waits_for_two() {
    let mut play = needing(2);
    play.start();
    play.settle("a", None).unwrap();
    assert_eq!(play.open(), ["b/1 open", "c/1 open", "j/1 joining"]);
    play.hold().unwrap();
    play.settle("c", None).unwrap();
    assert_eq!(play.open(), ["j/1 held"]);
    play.release().unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
}

#[test]
fn a_join_that_needs_all_says_so_or_says_nothing() {
    let mut play = needing(3);
    play.start();
    for step in ["a", "b", "c"] {
        assert_ne!(play.open(), ["last/1 open"]);
        play.settle(step, None).unwrap();
    }
    assert_eq!(play.open(), ["last/1 open"]);
    assert!(!play.history().iter().any(|h| h.contains("cancelled")));
}

/// Two fields of inquiry, each asked about if it matters.
fn inclusive(conditions: &[&str]) -> Play {
    let mut play = workflow(json!([
        {"name": "i", "kind": "inclusive", "otherwise": "j",
         "legs": [{"name": "A", "when": "a", "next": "ta"}, {"name": "B", "when": "b", "next": "tb"},
                  {"name": "C", "when": "c", "next": "tc"}]},
        {"name": "ta", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "tb", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "tc", "kind": "note", "text": "c", "next": "j"},
        {"name": "j", "kind": "join", "of": "i"},
        {"name": "last", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "f", "kind": "finish"}
    ]));
    play.true_conditions = conditions.iter().map(|c| (*c).to_owned()).collect();
    play.start();
    play
}

#[test]
fn an_inclusive_decision_takes_every_leg_that_holds_and_its_join_waits_for_those() {
    let mut play = inclusive(&["a", "b", "c"]);
    assert_eq!(play.open(), ["ta/1 open", "tb/1 open", "j/1 joining"]);
    play.settle("tb", None).unwrap();
    assert_eq!(play.open(), ["ta/1 open", "j/1 joining"]);
    play.settle("ta", None).unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
    assert!(play.history().contains(&"step_done i/1 A, B, C".to_owned()));
    let mut play = inclusive(&["b"]);
    assert_eq!(play.open(), ["tb/1 open"]);
    play.settle("tb", None).unwrap();
    assert_eq!(play.open(), ["last/1 open"]);
}

#[test]
fn an_inclusive_decision_without_a_leg_that_holds_goes_the_other_way() {
    let play = inclusive(&[]);
    assert_eq!(play.open(), ["last/1 open"]);
    assert!(
        play.history()
            .contains(&"step_done i/1 otherwise".to_owned())
    );
}

#[test]
fn a_task_that_is_withdrawn_in_the_same_breath_is_never_made() {
    let mut play = workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "j"]},
        {"name": "a", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "j", "kind": "join", "of": "p", "need": 1},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(play.ended().0, "completed");
    assert_eq!(play.made("task"), 0);
    assert!(
        play.history()
            .contains(&"step_cancelled a/1 not needed".to_owned())
    );
}

#[test]
fn inner_branches_are_withdrawn_with_the_outer_one() {
    let mut play = workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "p2"]},
        {"name": "a", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j"},
        {"name": "p2", "kind": "parallel", "branches": ["x", "y"]},
        {"name": "x", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "j2"},
        {"name": "y", "kind": "note", "text": "y"},
        {"name": "j2", "kind": "join", "of": "p2"},
        {"name": "j", "kind": "join", "of": "p", "need": 1},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(play.open(), ["a/1 open", "x/1 open", "j2/1 joining"]);
    play.settle("a", None).unwrap();
    assert_eq!(play.ended().0, "completed");
    assert!(
        play.history()
            .contains(&"step_cancelled j2/1 not needed".to_owned())
    );
}
