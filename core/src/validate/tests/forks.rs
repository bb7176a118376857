//! Joins that need some of their branches, and inclusive decisions.

use super::*;

fn inclusive(legs: &[(&str, &str)], otherwise: &str) -> Value {
    let legs: Vec<Value> = legs
        .iter()
        .map(|(name, next)| json!({"name": name, "when": "true", "next": next}))
        .collect();
    json!({"name": "i", "kind": "inclusive", "legs": legs, "otherwise": otherwise})
}

fn join(of: &str) -> Value {
    json!({"name": "j", "kind": "join", "of": of})
}

#[test]
fn a_join_needs_one_branch_at_least_and_no_more_than_there_are() {
    let needing = |need: u16| {
        let mut join = join("p");
        join["need"] = need.into();
        found(&workflow(json!([
            {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
            note("a", "j"), note("b", "j"), join, finish("f")
        ])))
    };
    assert_eq!(needing(1), Vec::<String>::new());
    assert_eq!(needing(2), Vec::<String>::new());
    assert_eq!(
        needing(0),
        ["error|step \"j\"|it needs 0 of the 2 branches of \"p\""]
    );
    assert_eq!(
        needing(3),
        ["error|step \"j\"|it needs 3 of the 2 branches of \"p\""]
    );
}

#[test]
fn the_legs_of_an_inclusive_decision_meet_at_its_join() {
    let with = |i: Value, b: &str| {
        found(&workflow(json!([
            i,
            note("a", "j"),
            note("b", b),
            join("i"),
            finish("f")
        ])))
    };
    let both = || inclusive(&[("A", "a"), ("B", "b")], "j");
    assert_eq!(with(both(), "j"), Vec::<String>::new());
    assert!(with(both(), "f").contains(
        &"error|step \"b\"|its next \"f\" lies behind the join \"j\", so the branch leaves its join out"
            .to_owned()
    ));
    assert!(
        with(inclusive(&[("A", "a"), ("B", "a")], "j"), "j")
            .contains(&"error|step \"i\"|two of its legs lead to \"a\"".to_owned())
    );
    assert!(
        with(inclusive(&[("A", "a"), ("A", "b")], "j"), "j")
            .contains(&"error|step \"i\"|leg \"A\" stands twice".to_owned())
    );
    assert!(
        with(inclusive(&[("A", "a")], "b"), "j")
            .contains(&"error|step \"i\"|the inclusive decision has 1 leg(s)".to_owned())
    );
    assert!(
        with(inclusive(&[("A", "a"), ("B", "nix")], "j"), "j")
            .contains(&"error|step \"i\"|leg \"B\" leads to \"nix\", which is no step".to_owned())
    );
}

#[test]
fn a_date_does_not_count_from_a_branch_that_a_join_does_without() {
    let dated = |fork: Value, join: Value| {
        let steps = json!([
            fork, note("a", "j"), note("b", "j"), join,
            {"name": "w", "kind": "wait", "on": {"anchor": "step.a", "days": 3}}, finish("f")
        ]);
        found(&workflow(steps))
    };
    let parallel = || json!({"name": "i", "kind": "parallel", "branches": ["a", "b"]});
    let refused =
        "error|step \"w\"|on counts from step \"a\", and there is a way here that does not pass it";
    assert_eq!(dated(parallel(), join("i")), Vec::<String>::new());
    let mut first = join("i");
    first["need"] = 1.into();
    assert_eq!(dated(parallel(), first), [refused]);
    assert_eq!(
        dated(inclusive(&[("A", "a"), ("B", "b")], "j"), join("i")),
        [refused]
    );
}

#[test]
fn a_step_that_starts_another_workflow_names_it_and_has_a_limit() {
    for kind in ["start_workflow", "continue_with"] {
        let with = |workflow: &str, limit: u16| {
            let step = json!({"name": "s", "kind": kind, "workflow": workflow, "limit": limit});
            match kind {
                "continue_with" => found(&super::workflow(json!([step]))),
                _ => found(&super::workflow(json!([step, finish("f")]))),
            }
        };
        assert_eq!(with("b", 1), Vec::<String>::new());
        assert_eq!(with(" ", 1), ["error|step \"s\"|workflow is empty"]);
        assert_eq!(with("b", 0), ["error|step \"s\"|limit is 0"]);
        assert_eq!(with("b", 1001), ["error|step \"s\"|limit is 1001"]);
    }
}

#[test]
fn a_branch_does_not_continue_with_another_workflow() {
    let steps = json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
        {"name": "a", "kind": "continue_with", "workflow": "w"},
        note("b", "j"),
        join("p"),
        finish("f")
    ]);
    assert!(
        found(&workflow(steps))
            .iter()
            .any(|f| f.contains("the case would end inside a branch"))
    );
}
