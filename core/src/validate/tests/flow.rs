//! Open ends, steps out of reach, loops.

use super::*;

#[test]
fn cs_12_13_an_open_end_is_refused_naming_the_leg() {
    let document = workflow(json!([
        {"name": "t", "kind": "task", "participant": "p", "due": {"days": 1},
         "outcomes": [{"name": "paid", "next": "f"}, {"name": "refused"}]},
    ]));
    let mut document_2 = document.clone();
    document_2["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .insert(0, finish("f"));
    document_2["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    // "refused" falls through to the step that follows in the document.
    step(&mut document_2, "f")["description"] = "d".into();
    assert_found(&document_2, &[]);
    document_2["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    document_2["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .insert(
            0,
            json!({"name": "n", "kind": "note", "description": "d", "text": "x", "next": "t"}),
        );
    assert_found(
        &document_2,
        &["error|step \"t\"|leg \"refused\" leads nowhere"],
    );
    let mut document = workflow(json!([finish("f"), {"name": "n", "kind": "note", "text": "x"}]));
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    assert_found(&document, &[]);
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    assert_found(
        &document,
        &[
            "error|step \"n\"|leg \"done\" leads nowhere",
            "error|step \"n\"|the step can never be reached",
        ],
    );
}

#[test]
fn s23_an_answer_without_a_leg_is_refused() {
    let mut document = scope_10();
    step(&mut document, "how_to_go_on")["options"][1]
        .as_object_mut()
        .unwrap()
        .remove("next");
    assert_found(
        &document,
        &[
            "error|step \"how_to_go_on\"|answer \"B\" leads nowhere",
            "error|step \"b_email\"|the step can never be reached, nor can \"b_note\", \"b_task\" and \"b_finish\" behind it",
        ],
    );
    let mut document = scope_10();
    step(&mut document, "how_to_go_on")["options"] = json!([{"name": "A", "next": "a_note"}]);
    assert!(
        found(&document)[0].starts_with("error|step \"how_to_go_on\"|the question has 1 answer")
    );
}

#[test]
fn cs_18_links_stay_within_the_workflow() {
    let mut document = scope_10();
    step(&mut document, "how_to_go_on")["options"][0]["next"] = "a_nte".into();
    step(&mut document, "b_task")["next"] = "elsewhere".into();
    let findings = validate(&compile(&document)).0;
    let texts: Vec<_> = findings
        .iter()
        .map(|f| (f.place.as_str(), f.message.as_str(), f.hint.as_str()))
        .collect();
    assert_eq!(
        texts[..2],
        [
            (
                "step \"how_to_go_on\"",
                "leg \"A\" leads to \"a_nte\", which is no step",
                "Did you mean \"a_note\"?"
            ),
            (
                "step \"b_task\"",
                "next leads to \"elsewhere\", which is no step",
                "Name a step of this workflow."
            ),
        ]
    );
}

#[test]
fn a_skipped_step_must_be_followed_by_something() {
    let mut q = question("q", &[("A", "f"), ("B", "f")]);
    q["when"] = "true".into();
    let mut document = workflow(json!([q, finish("f")]));
    assert_found(
        &document,
        &["error|step \"q\"|when the condition is not met, nothing follows"],
    );
    step(&mut document, "q")["next"] = "f".into();
    assert_found(&document, &[]);
}

#[test]
fn s23_an_unreachable_step_is_refused() {
    let document = workflow(json!([
        note("a", "f"),
        note("lost", "f"),
        finish("f"),
        note("ring", "ring_2"),
        task("ring_2", "ring")
    ]));
    assert_found(
        &document,
        &[
            "error|step \"lost\"|the step can never be reached",
            "error|step \"ring\"|the step can never be reached, nor can \"ring_2\" behind it",
        ],
    );
}

/// Steps a, b and c that go round until a condition holds.
fn looped(b: Value) -> Value {
    workflow(json!([
        note("a", "b"), b,
        {"name": "c", "kind": "decision", "legs": [{"name": "paid", "when": "paid", "next": "f"}], "otherwise": "a"},
        finish("f")
    ]))
}

#[test]
fn s23_an_unbounded_cycle_of_automatic_steps_is_refused() {
    let document = looped(json!({"name": "b", "kind": "note", "text": "x", "next": "c"}));
    assert_found(
        &document,
        &["error|step \"a\"|the steps \"a\" -> \"b\" -> \"c\" -> \"a\" go round without end"],
    );
    let document = workflow(json!([note("a", "a"), finish("f")]));
    assert_found(
        &document,
        &[
            "error|step \"f\"|the step can never be reached",
            "error|step \"a\"|the steps \"a\" -> \"a\" go round without end",
        ],
    );
}

#[test]
fn a_person_or_a_bounded_repeat_on_the_way_bounds_a_cycle() {
    let decision = json!({"name": "c", "kind": "decision", "legs": [{"name": "paid", "when": "paid", "next": "f"}], "otherwise": "a"});
    let mut document = workflow(json!([
        note("a", "b"),
        task("b", "c"),
        decision,
        finish("f")
    ]));
    assert_found(&document, &[]);
    // A task that may be skipped bounds nothing.
    step(&mut document, "b")["when"] = "not paid".into();
    assert_found(
        &document,
        &["error|step \"a\"|the steps \"a\" -> \"b\" -> \"c\" -> \"a\" go round without end"],
    );

    let repeat =
        json!({"name": "r", "kind": "repeat", "back_to": "a", "max_visits": 3, "exhausted": "f"});
    let mut document = workflow(json!([note("a", "r"), repeat, finish("f")]));
    assert_found(&document, &[]);
    // The leg that is taken when the visits are used up is not bounded.
    step(&mut document, "r")["exhausted"] = "a".into();
    assert_found(
        &document,
        &[
            "error|step \"f\"|the step can never be reached",
            "error|step \"a\"|the steps \"a\" -> \"r\" -> \"a\" go round without end",
        ],
    );
}

#[test]
fn as_24_a_date_that_always_lies_ahead_bounds_a_cycle() {
    let dated = |on: Value| {
        let mut document =
            looped(json!({"name": "b", "kind": "note", "text": "x", "on": on, "next": "c"}));
        // The date comes first, the condition is asked then.
        step(&mut document, "b")["when"] = "true".into();
        document
    };
    for on in [
        json!({"months": 12}),
        json!({"days": 1}),
        json!({"days": 1, "time": "09:00", "roll": "none"}),
        json!({"business_days": 1, "roll": "preceding"}),
        json!({"months": 1, "roll": "modified_following"}),
        json!({"days": 14, "roll": "preceding"}),
        json!({"minutes": 1}),
        json!({"hours": 1, "minutes": -59}),
    ] {
        assert_found(&dated(on), &[]);
    }
    for on in [
        json!({"anchor": "case_start", "days": 30}),
        json!({"anchor": "subject.report_end", "months": 12}),
        json!({"anchor": "step.a", "days": 1}),
        json!({}),
        json!({"time": "09:00"}),
        json!({"days": -1}),
        json!({"months": 1, "days": -30}),
        // From Saturday one day ahead to Sunday, and back to Friday.
        json!({"days": 1, "roll": "preceding"}),
        json!({"days": 13, "roll": "modified_following"}),
        json!({"hours": 1, "minutes": -60}),
    ] {
        let findings = validate(&compile(&dated(on.clone()))).0;
        assert_eq!(findings.len(), 1, "{on}: {findings:#?}");
        assert_eq!(
            findings[0].message,
            "the steps \"a\" -> \"b\" -> \"c\" -> \"a\" go round without end"
        );
        let anchor = on["anchor"].as_str().unwrap_or("previous_done");
        let told = format!("The date of step \"b\", counted from {anchor}, may have passed");
        assert!(findings[0].hint.contains(&told), "{}", findings[0].hint);
    }
    // The workflow's own roll counts, too.
    let mut document = dated(json!({"days": 1}));
    document["roll"] = "preceding".into();
    assert_eq!(found(&document).len(), 1);
    // A deadline keeps nobody waiting.
    let mut document = looped(task("b", "c"));
    step(&mut document, "b")["when"] = "not paid".into();
    assert_eq!(found(&document).len(), 1);
}

#[test]
fn cs_12_a_workflow_without_a_finish_is_refused() {
    let document = workflow(json!([task("a", "b"), task("b", "a")]));
    assert_found(&document, &["error|workflow|the workflow has no finish"]);
}

#[test]
fn as_18_a_loop_of_people_without_a_way_out_is_refused() {
    let document = workflow(json!([
        question("q", &[("A", "f"), ("B", "a")]),
        task("a", "b"),
        task("b", "a"),
        finish("f")
    ]));
    assert_found(
        &document,
        &["error|step \"a\"|from here the case never ends; it stays in \"a\" and \"b\""],
    );
}

#[test]
fn as_12_a_repeat_comes_by_again() {
    let repeat = |back: &str, visits: u32| json!({"name": "r", "kind": "repeat", "back_to": back, "max_visits": visits, "exhausted": "f"});
    let document =
        |back, visits| workflow(json!([note("a", "r"), repeat(back, visits), finish("f")]));
    assert_found(&document("a", 2), &[]);
    assert_found(
        &document("f", 2),
        &["error|step \"r\"|step \"f\", to which it goes back, does not lead to it again"],
    );
    assert_found(
        &document("r", 2),
        &["error|step \"r\"|the step goes back to itself"],
    );
    assert_found(&document("a", 1), &["error|step \"r\"|max_visits is 1"]);
    assert_found(
        &document("a", 1001),
        &["error|step \"r\"|max_visits is 1001"],
    );
}

#[test]
fn a_thousand_steps_are_checked_in_no_time() {
    let mut steps: Vec<Value> = (0..998)
        .map(|i| {
            question(
                &format!("q{i}"),
                &[("A", &format!("q{}", i + 1)), ("B", "f")],
            )
        })
        .collect();
    steps.push(finish("q998"));
    steps.push(finish("f"));
    assert_found(&workflow(steps.into()), &[]);
}
