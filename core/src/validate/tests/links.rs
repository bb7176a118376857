//! Branches that cross: answers of a question, branches of a parallel step.

use super::*;

#[test]
fn s3_as_17_a_c_branch_that_links_into_branch_b_is_refused_naming_both_steps() {
    let mut document = scope_10();
    step(&mut document, "c_email")["next"] = "b_note".into();
    let findings = found(&document);
    assert_eq!(
        findings,
        [
            "error|step \"c_note\"|the step can never be reached, nor can \"c_task\", \"c_report_in\", \"c_enter_date\", \"c_done_note\", \"c_no_email\", \"c_no_note\", \"c_control\", \"c_again\", \"c_exhausted\" and \"c_finish\" behind it",
            "error|step \"c_email\"|its next \"b_note\" belongs to answer \"B\" of question \"how_to_go_on\"",
        ]
    );
    let hint = &validate(&compile(&document)).0[1].hint;
    assert!(
        hint.contains("\"merge\": true on step \"b_note\""),
        "{hint}"
    );
}

#[test]
fn s3_a_link_by_an_answer_further_down_is_refused_too() {
    let mut document = scope_10();
    step(&mut document, "c_report_in")["options"][0]["next"] = "a_enter_date".into();
    assert!(found(&document).contains(
        &"error|step \"c_report_in\"|the target \"a_enter_date\" of its leg \"yes\" belongs to answer \"A\" of question \"how_to_go_on\"".to_owned()
    ));
}

#[test]
fn as_17_two_answers_with_the_same_step_are_refused_unless_they_merge() {
    let mut document = workflow(json!([
        question("q", &[("A", "a"), ("B", "b"), ("C", "b")]),
        note("a", "f"),
        note("b", "f"),
        finish("f")
    ]));
    assert_found(
        &document,
        &["error|step \"q\"|answer \"C\" leads to step \"b\", which belongs to answer \"B\""],
    );
    step(&mut document, "b")["merge"] = true.into();
    assert_found(&document, &[]);
}

#[test]
fn as_17_behind_a_merge_the_branches_are_one() {
    let mut document = workflow(json!([
        question("q", &[("A", "a"), ("B", "b"), ("C", "c")]),
        note("a", "m"), note("b", "m"),
        {"name": "m", "kind": "note", "text": "x", "merge": true}, note("tail", "f"),
        note("c", "f"), finish("f")
    ]));
    assert_found(&document, &[]);
    step(&mut document, "c")["next"] = "tail".into();
    assert_found(
        &document,
        &[
            "error|step \"c\"|its next \"tail\" belongs to answers \"A\" and \"B\" of question \"q\"",
        ],
    );
}

#[test]
fn going_back_to_before_the_question_is_no_crossing() {
    let again = |name: &str| json!({"name": name, "kind": "repeat", "back_to": "first", "max_visits": 3, "exhausted": "f"});
    let document = workflow(json!([
        note("first", "q"),
        question("q", &[("A", "a"), ("B", "b")]),
        note("a", "ra"),
        again("ra"),
        note("b", "rb"),
        again("rb"),
        finish("f")
    ]));
    assert_found(&document, &[]);
}

#[test]
fn a_loop_within_the_target_does_not_hide_whose_it_is() {
    let document = workflow(json!([
        question("q", &[("A", "a"), ("B", "b")]),
        note("a", "b_2"), note("b", "b_2"), note("b_2", "r"),
        {"name": "r", "kind": "repeat", "back_to": "b_2", "max_visits": 2, "exhausted": "f"},
        finish("f")
    ]));
    assert_found(
        &document,
        &["error|step \"a\"|its next \"b_2\" belongs to answer \"B\" of question \"q\""],
    );
}

/// A parallel step with two branches of one step each, a join and a finish.
fn parallel() -> Value {
    workflow(json!([
        note("first", "p"),
        {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
        note("a", "j"), task("b", "j"),
        {"name": "j", "kind": "join", "of": "p", "next": "after"},
        note("after", "f"), finish("f")
    ]))
}

fn add(document: &mut Value, mut step: Value) {
    step["description"] = "d".into();
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .push(step);
}

#[test]
fn a_parallel_step_with_its_join_is_sound() {
    assert_found(&parallel(), &[]);
    // Nested, with a question inside one branch whose answers meet at the join.
    let mut document = parallel();
    step(&mut document, "a")["next"] = "p2".into();
    add(
        &mut document,
        json!({"name": "p2", "kind": "parallel", "branches": ["x", "y"]}),
    );
    add(&mut document, note("x", "j2"));
    add(&mut document, question("y", &[("A", "j2"), ("B", "y_2")]));
    add(&mut document, note("y_2", "j2"));
    add(
        &mut document,
        json!({"name": "j2", "kind": "join", "of": "p2", "next": "j"}),
    );
    assert_found(&document, &[]);
    // The whole of it may be repeated.
    step(&mut document, "after")["next"] = "r".into();
    add(
        &mut document,
        json!({"name": "r", "kind": "repeat", "back_to": "first", "max_visits": 2, "exhausted": "f"}),
    );
    assert_found(&document, &[]);
}

#[test]
fn every_parallel_step_has_one_join() {
    let mut document = parallel();
    step(&mut document, "j")["of"] = "pp".into();
    assert_found(
        &document,
        &[
            "error|step \"j\"|it joins \"pp\", which is no step",
            "error|step \"p\"|the branches never come together",
        ],
    );
    step(&mut document, "j")["of"] = "first".into();
    assert_found(
        &document,
        &[
            "error|step \"j\"|it joins \"first\", which is no parallel step",
            "error|step \"p\"|the branches never come together",
        ],
    );
    let mut document = parallel();
    step(&mut document, "b")["next"] = "j2".into();
    add(
        &mut document,
        json!({"name": "j2", "kind": "join", "of": "p", "next": "f"}),
    );
    assert_found(
        &document,
        &["error|step \"p\"|it has several joins: \"j\" and \"j2\""],
    );
    let mut document = parallel();
    step(&mut document, "p")["branches"] = json!(["a", "a"]);
    step(&mut document, "a")["next"] = "b".into();
    assert!(found(&document).contains(&"error|step \"p\"|branch \"a\" stands twice".to_owned()));
    step(&mut document, "p")["branches"] = json!(["a"]);
    assert_found(
        &document,
        &["error|step \"p\"|the parallel step has 1 branch(es)"],
    );
}

#[test]
fn a_branch_that_ends_before_the_join_is_refused() {
    let mut document = parallel();
    step(&mut document, "a")["next"] = "end".into();
    add(&mut document, finish("end"));
    assert_found(
        &document,
        &[
            "error|step \"p\"|branch \"a\" never reaches its join \"j\"",
            "error|step \"end\"|the case would end inside a branch of parallel step \"p\", with the other branches still at work",
        ],
    );
}

#[test]
fn a_branch_that_goes_round_the_join_is_refused() {
    let mut document = parallel();
    let b = step(&mut document, "b");
    b["outcomes"] = json!([{"name": "ok", "next": "j"}, {"name": "hurry", "next": "after"}, {"name": "redo", "next": "first"}]);
    b.as_object_mut().unwrap().remove("next");
    assert_found(
        &document,
        &[
            "error|step \"b\"|the target \"after\" of its leg \"hurry\" lies behind the join \"j\", so the branch leaves its join out",
            "error|step \"b\"|the target \"first\" of its leg \"redo\" goes back before parallel step \"p\", so the branch leaves its join out",
        ],
    );
}

#[test]
fn branches_that_cross_are_refused() {
    let mut document = parallel();
    step(&mut document, "a")["next"] = "b".into();
    assert_found(
        &document,
        &["error|step \"a\"|its next \"b\" belongs to branch \"b\" of parallel step \"p\""],
    );
}

#[test]
fn a_join_that_is_reached_without_its_parallel_step_is_refused() {
    let mut document = parallel();
    let p = step(&mut document, "p");
    p["when"] = "open_amount > 100".into();
    p["next"] = "j".into();
    assert_found(
        &document,
        &[
            "error|step \"p\"|its next \"j\" is the join of parallel step \"p\", which is not on the way",
        ],
    );
    step(&mut document, "p")["next"] = "after".into();
    assert_found(&document, &[]);

    // A person who skips it takes one branch alone.
    let mut document = parallel();
    step(&mut document, "p")["next"] = "b".into();
    assert_found(
        &document,
        &[
            "error|step \"p\"|its next \"b\" belongs to a branch of parallel step \"p\", which is not on the way",
        ],
    );

    let mut document = parallel();
    let first = step(&mut document, "first");
    *first = json!({"name": "first", "kind": "decision", "description": "d", "next": "p",
        "legs": [{"name": "short", "when": "true", "next": "b"}]});
    assert_found(
        &document,
        &[
            "error|step \"first\"|the target \"b\" of its leg \"short\" belongs to a branch of parallel step \"p\", which is not on the way",
        ],
    );

    let mut document = parallel();
    step(&mut document, "a")["next"] = "after".into();
    step(&mut document, "b")["next"] = "after".into();
    let findings = found(&document);
    assert!(
        findings
            .contains(&"error|step \"j\"|no branch of parallel step \"p\" leads to it".to_owned()),
        "{findings:#?}"
    );
}

#[test]
fn a_way_back_to_the_join_alone_is_refused() {
    // One token goes back to the join, which counts two.
    let mut document = parallel();
    step(&mut document, "after")["next"] = "r".into();
    add(
        &mut document,
        json!({"name": "r", "kind": "repeat", "back_to": "j", "max_visits": 2, "exhausted": "f"}),
    );
    assert_found(
        &document,
        &[
            "error|step \"r\"|the target \"j\" of its leg \"again\" is the join of parallel step \"p\", which is not on the way",
        ],
    );
}

#[test]
fn a_link_into_the_middle_of_another_branch_s_loop_is_refused() {
    // Whoever enters the loop comes to each of its steps, so the steps themselves do not say whose they are.
    let mut document = parallel();
    let a = step(&mut document, "a");
    a["kind"] = "decision".into();
    a.as_object_mut().unwrap().remove("text");
    a["legs"] = json!([{"name": "odd", "when": "true", "next": "r"}]);
    step(&mut document, "b")["next"] = "r".into();
    add(
        &mut document,
        json!({"name": "r", "kind": "repeat", "back_to": "b", "max_visits": 2, "exhausted": "j"}),
    );
    assert_found(
        &document,
        &[
            "error|step \"a\"|the target \"r\" of its leg \"odd\" belongs to branch \"b\" of parallel step \"p\"",
        ],
    );
    // The same for the answers of a question.
    let document = workflow(json!([
        question("q", &[("A", "a"), ("B", "b")]),
        note("a", "r"),
        note("b", "r"),
        {"name": "r", "kind": "repeat", "back_to": "b", "max_visits": 2, "exhausted": "f"},
        finish("f")
    ]));
    assert_found(
        &document,
        &["error|step \"a\"|its next \"r\" belongs to answer \"B\" of question \"q\""],
    );
}
