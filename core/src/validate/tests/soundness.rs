//! What keeps a case from coming to its end, with the path that leads there: whole findings, as people read them.

use super::*;
use crate::finding::Finding;

#[track_caller]
fn assert_findings(document: &Value, expected: &[(Severity, &str, &str, &str)]) {
    let findings = validate(&compile(document)).0;
    let found: Vec<_> = findings
        .iter()
        .map(
            |Finding {
                 severity,
                 place,
                 message,
                 hint,
             }| (*severity, place.as_str(), message.as_str(), hint.as_str()),
        )
        .collect();
    assert_eq!(found, expected);
}

/// A finding that refuses a document.
fn error<'a>(
    place: &'a str,
    message: &'a str,
    hint: &'a str,
) -> (Severity, &'a str, &'a str, &'a str) {
    (Severity::Error, place, message, hint)
}

/// A decision with one leg.
fn decision(name: &str, leg: &str, otherwise: &str) -> Value {
    json!({"name": name, "kind": "decision", "legs": [{"name": "yes", "when": "true", "next": leg}], "otherwise": otherwise})
}

#[test]
fn s23_soundness_an_unreachable_step_says_where_the_one_before_it_leads() {
    assert_findings(
        &workflow(json!([
            note("a", "c"),
            note("b", "c"),
            note("c", "f"),
            finish("f")
        ])),
        &[error(
            "step \"b\"",
            "the step can never be reached",
            "Let a step lead to it by next or by a leg, or remove it. No path leads there: \"a\", which stands before it, leads to \"c\".",
        )],
    );
}

#[test]
fn s23_soundness_an_open_end_shows_the_path_to_it() {
    let mut e = json!({"name": "e", "kind": "task", "participant": "p", "due": {"days": 1},
        "outcomes": [{"name": "ok", "next": "f"}, {"name": "bad"}]});
    assert_findings(
        &workflow(json!([
            note("a", "d"),
            decision("d", "e", "f"),
            finish("f"),
            e
        ])),
        &[error(
            "step \"e\"",
            "leg \"bad\" leads nowhere",
            "Say in next which step follows, or put a finish step after it. Path: \"a\" -> \"d\" (leg \"yes\") -> \"e\" (leg \"bad\") -> nowhere.",
        )],
    );
    e = question("e", &[("ok", "f"), ("bad", "f")]);
    e["options"][1].as_object_mut().unwrap().remove("next");
    assert_findings(
        &workflow(json!([e, finish("f")])),
        &[error(
            "step \"e\"",
            "answer \"bad\" leads nowhere",
            "Give answer \"bad\" a next step. Path: \"e\" (leg \"bad\") -> nowhere.",
        )],
    );
    let mut e = question("e", &[("ok", "f"), ("bad", "f")]);
    e["when"] = "true".into();
    assert_findings(
        &workflow(json!([note("a", "e"), e, finish("f")])),
        &[error(
            "step \"e\"",
            "when the condition is not met, nothing follows",
            "Say in next which step follows when this one is skipped. Path: \"a\" -> \"e\" (condition not met) -> nowhere.",
        )],
    );
}

/// A note, a parallel step with a note and a task as branches, its join, a note and a finish.
fn parallel() -> Value {
    workflow(json!([
        note("first", "p"),
        {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
        note("a", "j"), task("b", "j"),
        {"name": "j", "kind": "join", "of": "p", "next": "after"},
        note("after", "f"), finish("f")
    ]))
}

#[test]
fn s23_soundness_a_join_that_not_every_branch_reaches_shows_where_one_goes_instead() {
    let mut document = parallel();
    step(&mut document, "a")["next"] = "after".into();
    assert_findings(
        &document,
        &[
            error(
                "step \"p\"",
                "branch \"a\" never reaches its join \"j\"",
                "Let its last step lead to \"j\". Path: \"first\" -> \"p\" -> \"a\" -> \"after\" -> \"f\".",
            ),
            error(
                "step \"a\"",
                "its next \"after\" lies behind the join \"j\", so the branch leaves its join out",
                "Let the branch lead to \"j\"; what has to happen afterwards comes after the join. Path: \"first\" -> \"p\" -> \"a\" -> \"after\".",
            ),
        ],
    );
}

#[test]
fn s23_soundness_a_join_that_one_token_alone_reaches_shows_how_it_gets_there() {
    let mut document = parallel();
    *step(&mut document, "first") = decision("first", "b", "p");
    step(&mut document, "first")["description"] = "d".into();
    assert_findings(
        &document,
        &[error(
            "step \"first\"",
            "the target \"b\" of its leg \"yes\" belongs to a branch of parallel step \"p\", which is not on the way",
            "Let it lead to \"p\", or past the join: a join that only some tokens reach waits for ever. Path: \"first\" (leg \"yes\") -> \"b\" -> \"j\".",
        )],
    );
    let mut document = parallel();
    *step(&mut document, "after") = json!({"name": "after", "kind": "repeat", "description": "d",
        "back_to": "j", "max_visits": 2, "exhausted": "f"});
    assert_findings(
        &document,
        &[error(
            "step \"after\"",
            "the target \"j\" of its leg \"again\" is the join of parallel step \"p\", which is not on the way",
            "Let it lead to \"p\", or past the join: a join that only some tokens reach waits for ever. Path: \"first\" -> \"p\" -> \"a\" -> \"j\" -> \"after\" (leg \"again\") -> \"j\".",
        )],
    );
    let mut document = parallel();
    let steps = document["phases"][0]["steps"].as_array_mut().unwrap();
    steps.swap(0, 2);
    step(&mut document, "after")["next"] = "again".into();
    let again = json!({"name": "again", "kind": "repeat", "description": "d",
        "back_to": "first", "max_visits": 2, "exhausted": "f"});
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .push(again);
    assert_findings(
        &document,
        &[error(
            "step \"a\"",
            "the case begins inside a branch of parallel step \"p\", so its join \"j\" would wait for ever",
            "Let the case begin at \"p\" or before it: the first step of the document is the first one of the case. Path: \"a\" -> \"j\".",
        )],
    );
}

#[test]
fn s23_soundness_branches_that_never_come_together_show_the_parallel_step() {
    let mut document = parallel();
    *step(&mut document, "j") = note("j", "after");
    step(&mut document, "j")["description"] = "d".into();
    assert_findings(
        &document,
        &[error(
            "step \"p\"",
            "the branches never come together",
            "Add a join step with \"of\": \"p\", and let every branch lead to it. Path: \"first\" -> \"p\".",
        )],
    );
}

#[test]
fn s23_soundness_a_token_left_behind_at_a_finish_shows_the_path_to_the_finish() {
    let mut document = parallel();
    *step(&mut document, "b") = question("b", &[("on", "j"), ("off", "end")]);
    step(&mut document, "b")["description"] = "d".into();
    let mut end = finish("end");
    end["description"] = "d".into();
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .push(end);
    assert_findings(
        &document,
        &[error(
            "step \"end\"",
            "the case would end inside a branch of parallel step \"p\", with the other branches still at work",
            "Let the branch lead to \"j\" and finish after it; a stop rule can end the case at any time. Path: \"first\" -> \"p\" -> \"b\" (leg \"off\") -> \"end\".",
        )],
    );
}

#[test]
fn s23_soundness_two_tokens_on_one_step_show_the_link_between_the_branches() {
    let mut document = parallel();
    step(&mut document, "a")["next"] = "b".into();
    assert_findings(
        &document,
        &[error(
            "step \"a\"",
            "its next \"b\" belongs to branch \"b\" of parallel step \"p\"",
            "Let each branch keep to steps of its own until \"j\". Path: \"first\" -> \"p\" -> \"a\" -> \"b\".",
        )],
    );
}

#[test]
fn s23_soundness_a_skip_into_another_branch_shows_both_paths() {
    let mut document = parallel();
    let mut b = question("b", &[("A", "j"), ("B", "j")]);
    b["next"] = "a".into();
    b["description"] = "d".into();
    *step(&mut document, "b") = b;
    assert_findings(
        &document,
        &[error(
            "step \"p\"",
            "branches \"a\" and \"b\" both come to step \"a\" before the join \"j\"",
            "Let each branch keep to steps of its own until \"j\". Paths: \"p\" -> \"a\"; \"p\" -> \"b\" (skipped by a person) -> \"a\".",
        )],
    );
}

#[test]
fn s23_soundness_an_unbounded_cycle_of_automatic_steps_shows_how_to_get_into_it() {
    assert_findings(
        &workflow(json!([
            question("q", &[("A", "a"), ("B", "f")]),
            note("a", "b"),
            {"name": "b", "kind": "wait", "on": {"anchor": "subject.due_date", "days": 30}},
            decision("c", "f", "a"), finish("f")
        ])),
        &[error(
            "step \"a\"",
            "the steps \"a\" -> \"b\" -> \"c\" -> \"a\" go round without end",
            "Put on the way a repeat step with max_visits, a step that a person settles (without a condition in when), an event that waits for a signal, or a date that always lies ahead: forward from previous_done. The date of step \"b\", counted from subject.due_date, may have passed when a case comes by again. Path: \"q\" (leg \"A\") -> \"a\" -> \"b\" -> \"c\" (leg \"otherwise\") -> \"a\".",
        )],
    );
}

#[test]
fn as_18_soundness_steps_without_a_way_to_a_finish_show_the_path_into_them() {
    assert_findings(
        &workflow(json!([
            question("q", &[("A", "f"), ("B", "a")]),
            task("a", "b"),
            task("b", "a"),
            finish("f")
        ])),
        &[error(
            "step \"a\"",
            "from here the case never ends; it stays in \"a\" and \"b\"",
            "Let one of these steps lead to a finish step. Path: \"q\" (leg \"B\") -> \"a\".",
        )],
    );
}

#[test]
fn soundness_a_step_whose_date_may_never_come_shows_the_path_without_it() {
    let on = |field: &str| {
        let mut b = task("b", "f");
        b[field] = json!({"anchor": "step.x", "days": 1});
        workflow(json!([
            question("q", &[("A", "x"), ("B", "b")]),
            note("x", "m"),
            {"name": "m", "kind": "note", "text": "x", "merge": true, "next": "b"},
            {"name": "b", "merge": true, "kind": "task", "participant": "p", "next": "f",
             "due": b["due"], field: b[field]},
            finish("f")
        ]))
    };
    assert_findings(
        &on("on"),
        &[error(
            "step \"b\"",
            "on counts from step \"x\", and there is a way here that does not pass it",
            "On that way the step gets no date and never starts; count from something that is always there. Path: \"q\" (leg \"B\") -> \"b\".",
        )],
    );
    assert_findings(
        &on("due"),
        &[(
            Severity::Warning,
            "step \"b\"",
            "due counts from step \"x\", and there is a way here that does not pass it",
            "On that way the step gets no deadline; count from something that is always there. Path: \"q\" (leg \"B\") -> \"b\".",
        )],
    );
}

#[test]
fn soundness_behind_a_join_every_branch_has_been_passed() {
    // The way through branch b does not pass a, and behind the join a is done all the same.
    let mut document = parallel();
    step(&mut document, "after")["on"] = json!({"anchor": "step.a", "days": 1});
    assert_findings(&document, &[]);
    // In the other branch it may not be.
    let mut document = parallel();
    step(&mut document, "b")["on"] = json!({"anchor": "step.a", "days": 1});
    assert_found(
        &document,
        &["error|step \"b\"|on counts from step \"a\", which is never done before"],
    );
    // Nor in the first round, where a later round makes it possible.
    step(&mut document, "after")["next"] = "r".into();
    let r = json!({"name": "r", "kind": "repeat", "description": "d", "back_to": "p", "max_visits": 2, "exhausted": "f"});
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .push(r);
    assert_found(
        &document,
        &[
            "error|step \"b\"|on counts from step \"a\", and there is a way here that does not pass it",
        ],
    );
    // A branch that leads straight to the join, and one that may go round the anchor.
    let mut document = parallel();
    step(&mut document, "p")["branches"] = json!(["a", "j"]);
    *step(&mut document, "b") = decision("b", "j", "j");
    step(&mut document, "a")["next"] = "b".into();
    step(&mut document, "b")["description"] = "d".into();
    step(&mut document, "after")["on"] = json!({"anchor": "step.b", "days": 1});
    assert_findings(&document, &[]);
    *step(&mut document, "a") = decision("a", "b", "j");
    step(&mut document, "a")["description"] = "d".into();
    assert_found(
        &document,
        &[
            "error|step \"after\"|on counts from step \"b\", and there is a way here that does not pass it",
        ],
    );
}

#[test]
fn soundness_a_long_path_is_cut_in_the_middle() {
    let mut steps: Vec<Value> = (0..100)
        .map(|i| note(&format!("n{i}"), &format!("n{}", i + 1)))
        .collect();
    steps.push(json!({"name": "n100", "kind": "decision", "legs": [{"name": "x", "when": "true", "next": "n100"}], "otherwise": "f"}));
    steps.push(finish("f"));
    let hint = &validate(&compile(&workflow(steps.into()))).0[0].hint;
    assert!(
        hint.ends_with("Path: \"n0\" -> \"n1\" -> \"n2\" -> \"n3\" -> (90 more) -> \"n94\" -> \"n95\" -> \"n96\" -> \"n97\" -> \"n98\" -> \"n99\" -> \"n100\" (leg \"x\") -> \"n100\"."),
        "{hint}"
    );
}
