//! New workflows, phases and steps; fields changed; steps moved.

use super::*;

#[test]
fn rcv_08_a_workflow_begins_with_its_name() {
    for name in ["", "  ", " x", "a\nb", &"x".repeat(64)] {
        let error = create(name, "invoice", Fields::new()).expect_err(name);
        assert_eq!(error.code, ErrorCode::Definition);
        assert!(
            error.message.contains("the name of the workflow"),
            "{error}"
        );
        assert!(error.hint.is_some());
    }
}

#[test]
fn rcv_21_a_new_workflow_has_one_phase_with_one_step() {
    let text = create(
        "w",
        "invoice",
        object(json!({"title": "T", "templates": {"t": {"body": "b"}}})),
    )
    .unwrap();
    assert_eq!(
        value(&text),
        json!({"format": 1, "name": "w", "subject": "invoice", "title": "T",
            "phases": [{"name": "phase 1", "steps": [{"name": "step 1", "kind": "task"}]}],
            "templates": {"t": {"body": "b"}}})
    );
    let keys: Vec<String> = object(value(&text)).keys().cloned().collect();
    assert_eq!(
        keys,
        ["format", "name", "subject", "title", "phases", "templates"]
    );
    let error = create("w", "invoice", object(json!({"colour": "red"}))).expect_err("refused");
    assert!(error.message.contains("colour"), "{error}");
}

#[test]
fn fields_of_the_workflow_are_merged_and_null_removes() {
    let fields = json!({"category": null, "roll": "preceding",
        "templates": {"level_1": {"subject": "Please pay"}, "level_2": null}});
    let edited = done(
        DUNNING,
        Edit::SetWorkflow {
            fields: object(fields),
        },
    );
    let document = value(&edited.text);
    assert_eq!(document["category"], Value::Null);
    assert_eq!(document["roll"], "preceding");
    assert_eq!(document["templates"]["level_1"]["subject"], "Please pay");
    assert_eq!(
        document["templates"]["level_1"]["body"],
        value(DUNNING)["templates"]["level_1"]["body"]
    );
    assert_eq!(document["templates"]["level_2"], Value::Null);
    for (field, hint) in [
        ("name", "wf.rename_workflow"),
        ("phases", "wf.define"),
        ("format", ""),
    ] {
        let fields = object(json!({field: 1}));
        refused(
            DUNNING,
            Edit::SetWorkflow { fields },
            ErrorCode::Definition,
            &format!("workflow \"dunning\": \"{field}\" is not changed this way"),
            hint,
        );
    }
}

#[test]
fn an_edit_keeps_every_digit_and_the_order_of_fields() {
    let text = r#"{"format": 1, "subject": "s", "name": "w", "phases": [{"steps": [
        {"kind": "note", "text": "x", "name": "a"}], "name": "p"}], "description": "12345678901234567890.10"}"#;
    let edited = done(text, set("a", json!({"merge": true})));
    let order = |text: &str, words: &[&str]| {
        let places: Vec<_> = words.iter().map(|w| text.find(w).expect("there")).collect();
        assert!(places.is_sorted(), "{text}");
    };
    order(
        &edited.text,
        &[
            "format",
            "subject",
            "name",
            "phases",
            "steps",
            "kind",
            "text",
            "merge",
            "description",
        ],
    );
}

#[test]
fn rcv_19_phases_and_steps_are_added_where_they_are_wanted() {
    let phase = |phase, place| Edit::AddPhase { phase, place };
    let text = done(&line(), phase("late", Place::default())).text;
    let text = done(&text, phase("early", before("p"))).text;
    let text = done(&text, phase("middle", after("early"))).text;
    let names = |text: &str| -> Vec<String> {
        let document = value(text);
        let phases = document["phases"].as_array().expect("phases").iter();
        phases
            .map(|p| p["name"].as_str().unwrap_or("").to_owned())
            .collect()
    };
    assert_eq!(names(&text), ["early", "middle", "p", "late"]);
    let rename = Edit::RenamePhase {
        phase: "p",
        new_name: "main",
    };
    let text = done(&text, rename).text;
    assert_eq!(names(&text), ["early", "middle", "main", "late"]);
    refused(
        &text,
        phase("late", Place::default()),
        ErrorCode::Duplicate,
        "there is a phase \"late\" already",
        "name of its own",
    );
    refused(
        &text,
        phase(" ", Place::default()),
        ErrorCode::Definition,
        "the name of the phase is empty",
        "Give it a name",
    );
    refused(
        &text,
        phase("x", after("lat")),
        ErrorCode::Unknown,
        "workflow \"w\" has no phase \"lat\"",
        "Did you mean \"late\"?",
    );
    let rename = Edit::RenamePhase {
        phase: "late",
        new_name: "main",
    };
    refused(
        &text,
        rename,
        ErrorCode::Duplicate,
        "there is a phase \"main\" already",
        "",
    );

    // Without a place: the end of the last phase; a phase alone: its end.
    let note = || json!({"text": "n", "description": "N"});
    let edited = done(&text, add("x", "note", note(), Place::default()));
    assert_eq!(flow(&edited.text), ["a>b", "b>c", "c>end", "end>", "x>?"]);
    let in_phase = Edit::AddStep {
        step: "x",
        kind: "note",
        fields: object(note()),
        phase: Some("early"),
        place: Place::default(),
    };
    let edited = done(&text, in_phase);
    assert_eq!(flow(&edited.text), ["x>a", "a>b", "b>c", "c>end", "end>"]);
    assert_eq!(
        edited.changes,
        ["cases begin at step \"x\", before at \"a\""]
    );
    let edited = done(&text, add("x", "note", note(), after("a")));
    assert_eq!(flow(&edited.text), ["a>x", "x>b", "b>c", "c>end", "end>"]);
    assert_eq!(
        edited.changes,
        ["step \"a\", outcome \"done\": leads to \"x\", before to \"b\""]
    );
    let edited = done(&text, add("x", "note", note(), before("end")));
    assert_eq!(flow(&edited.text), ["a>b", "b>c", "c>x", "x>end", "end>"]);
}

#[test]
fn a_step_added_after_another_one_comes_between_it_and_where_it_led() {
    let named = done(&line(), link("a", "end", None)).text;
    let note = || json!({"text": "n"});
    let edited = done(&named, add("x", "note", note(), after("a")));
    assert_eq!(flow(&edited.text), ["a>x", "x>end", "b>c", "c>end", "end>"]);
    let own = json!({"text": "n", "next": "c"});
    let edited = done(&named, add("x", "note", own, after("a")));
    assert_eq!(flow(&edited.text)[..2], ["a>x", "x>c"]);
    // A finish leads nowhere, and what chooses its way is not led elsewhere.
    let edited = done(&named, add("x", "finish", json!({}), after("a")));
    assert_eq!(flow(&edited.text)[..2], ["a>x", "x>"]);
    assert_eq!(
        value(&edited.text)["phases"][0]["steps"][1]["next"],
        Value::Null
    );
    let edited = done(SCOPE_10, add("x", "note", note(), after("how_to_go_on")));
    assert!(flow(&edited.text).contains(&"how_to_go_on>a_note,b_email,c_email".to_owned()));
    // After a button means after its event.
    let text = done(&named, add("push", "button", json!({}), after("a"))).text;
    let text = done(&text, add("x", "note", note(), after("push"))).text;
    let expected = ["a>push", "push>push pushed", "push pushed>x", "x>end"];
    assert_eq!(flow(&text)[..4], expected);
    let moved = Edit::MoveStep {
        step: "b",
        phase: None,
        place: after("push"),
    };
    assert_eq!(
        flow(&done(&text, moved).text)[2..4],
        ["push pushed>b", "b>x"]
    );
}

#[test]
fn a_new_step_has_its_fields_in_the_usual_order() {
    let fields = json!({"next": "a", "text": "t", "when": "true", "description": "D"});
    let edited = done(&line(), add("x", "note", fields, Place::default()));
    let step = value(&edited.text)["phases"][0]["steps"][4].take();
    let keys: Vec<String> = object(step).keys().cloned().collect();
    assert_eq!(
        keys,
        ["name", "kind", "description", "when", "text", "next"]
    );
}

#[test]
fn what_cannot_be_a_step_is_refused() {
    let text = line();
    let add = |step, kind, fields| add(step, kind, fields, Place::default());
    let wrong = ErrorCode::Definition;
    refused(
        &text,
        add("a", "note", json!({})),
        ErrorCode::Duplicate,
        "there is a step \"a\" already",
        "name of its own",
    );
    refused(
        &text,
        add("x", "note", json!({})),
        wrong,
        "step \"x\": note: missing field `text`",
        "wf.document_schema()",
    );
    refused(
        &text,
        add("x", "note", json!({"text": "t", "colour": "red"})),
        wrong,
        "step \"x\": note: unknown field `colour`, expected `text`",
        "null removes",
    );
    refused(
        &text,
        add("x", "note", json!({"name": "y"})),
        wrong,
        "step \"x\": its name stands among the fields, too",
        "argument",
    );
    refused(
        &text,
        set("a", json!({"kind": "email"})),
        wrong,
        "step \"a\": email: unknown field `text`, expected one of `template`, `done_when`, `otherwise`",
        "null removes",
    );
    let error = apply(&text, add("x", "pigeon", json!({}))).expect_err("refused");
    assert!(
        error
            .message
            .starts_with("step \"x\": unknown kind \"pigeon\"; known kinds are task"),
        "{error}"
    );
    let both = Place {
        after: Some("a"),
        before: Some("b"),
    };
    refused(
        &text,
        super::add("x", "finish", json!({}), both),
        wrong,
        "it cannot go both after \"a\" and before \"b\"",
        "not both",
    );
    refused(
        &text,
        super::add("x", "finish", json!({}), after("d")),
        ErrorCode::Unknown,
        "workflow \"w\" has no step \"d\"",
        "Did you mean",
    );
    let elsewhere = Edit::AddStep {
        step: "x",
        kind: "finish",
        fields: Fields::new(),
        phase: Some("q"),
        place: after("a"),
    };
    refused(
        &text,
        elsewhere.clone(),
        ErrorCode::Unknown,
        "workflow \"w\" has no phase \"q\"",
        "Did you mean",
    );
    let two = done(
        &text,
        Edit::AddPhase {
            phase: "q",
            place: Place::default(),
        },
    )
    .text;
    refused(
        &two,
        elsewhere,
        wrong,
        "step \"a\" is in phase \"p\", not in phase \"q\"",
        "Leave out the phase",
    );
    let none = of_steps(json!([])).replace(r#"{"name":"p","steps":[]}"#, "");
    refused(
        &none,
        add("x", "finish", json!({})),
        ErrorCode::State,
        "workflow \"w\" has no phase to put a step into",
        "wf.add_phase",
    );
    let many: Vec<Value> = (0..1000)
        .map(|i| json!({"name": format!("f{i}"), "kind": "finish"}))
        .collect();
    refused(
        &of_steps(many.into()),
        add("x", "finish", json!({})),
        wrong,
        "the workflow has 1001 steps; at most 1000 are allowed",
        "",
    );
}

#[test]
fn every_problem_of_an_edit_comes_at_once() {
    let fields = json!({"colour": "red", "due": {"days": "three"}, "text": "t"});
    let error = apply(&line(), add("x", "note", fields, Place::default())).expect_err("refused");
    assert_eq!(error.detail.expect("both").lines().count(), 2);
}

#[test]
fn fields_of_a_step_are_merged_and_null_removes() {
    let text = of_steps(json!([{"name": "a", "kind": "task", "participant": "x",
        "due": {"anchor": "case_start", "days": 3}}, {"name": "end", "kind": "finish"}]));
    let change =
        json!({"participant": null, "due": {"days": 5, "time": "09:00"}, "description": "A"});
    let edited = done(&text, set("a", change));
    assert_eq!(
        value(&edited.text)["phases"][0]["steps"][0],
        json!({"name": "a", "kind": "task", "due": {"anchor": "case_start", "days": 5, "time": "09:00"}, "description": "A"})
    );
    let edited = done(
        &text,
        set(
            "a",
            json!({"kind": "note", "text": "t", "participant": null, "due": null}),
        ),
    );
    assert_eq!(
        value(&edited.text)["phases"][0]["steps"][0],
        json!({"name": "a", "kind": "note", "text": "t"})
    );
}

#[test]
fn a_moved_step_is_followed_by_what_stands_behind_it() {
    let to = |step, place| Edit::MoveStep {
        step,
        phase: None,
        place,
    };
    let edited = done(&line(), to("a", after("c")));
    assert_eq!(flow(&edited.text), ["b>c", "c>a", "a>end", "end>"]);
    assert_eq!(
        edited.changes,
        [
            "cases begin at step \"b\", before at \"a\"",
            "step \"a\", outcome \"done\": leads to \"end\", before to \"b\"",
            "step \"c\", outcome \"done\": leads to \"a\", before to \"end\"",
        ]
    );
    assert_eq!(
        flow(&done(&line(), to("c", before("a"))).text),
        ["c>a", "a>b", "b>end", "end>"]
    );
    assert_eq!(
        flow(&done(&line(), to("b", after("a"))).text),
        flow(&line())
    );
    let two = done(
        &line(),
        Edit::AddPhase {
            phase: "q",
            place: Place::default(),
        },
    )
    .text;
    let edited = done(
        &two,
        Edit::MoveStep {
            step: "end",
            phase: Some("q"),
            place: Place::default(),
        },
    );
    assert_eq!(value(&edited.text)["phases"][1]["steps"][0]["name"], "end");
    assert_eq!(edited.changes, [""; 0]);

    // Links by name stay.
    let named = done(&line(), link("a", "c", None)).text;
    assert_eq!(
        flow(&done(&named, to("a", after("b"))).text),
        ["b>a", "a>c", "c>end", "end>"]
    );

    let wrong = ErrorCode::Definition;
    refused(
        &line(),
        to("a", Place::default()),
        wrong,
        "it is not said where step \"a\" goes",
        "after or before",
    );
    refused(
        &line(),
        to("a", after("a")),
        wrong,
        "step \"a\" cannot go next to itself",
        "another step",
    );
    refused(
        &line(),
        to("x", after("a")),
        ErrorCode::Unknown,
        "workflow \"w\" has no step \"x\"",
        "",
    );
    refused(
        &line(),
        to("a", after("x")),
        ErrorCode::Unknown,
        "workflow \"w\" has no step \"x\"",
        "",
    );
}

#[test]
fn what_is_no_object_is_no_fields() {
    for text in [
        "[]",
        "1",
        "null",
        "{",
        &format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000)),
    ] {
        let error = super::super::fields(text).expect_err(text);
        assert_eq!(error.code, ErrorCode::Definition);
        assert!(error.hint.is_some());
    }
    assert_eq!(super::super::fields("{\"a\": 1}").unwrap().len(), 1);
}
