//! The workflow, its phases, and each step by itself.

use super::*;

#[test]
fn arw_14_15_an_empty_workflow_is_refused() {
    let mut document = workflow(json!([]));
    assert_found(&document, &["error|phase \"p\"|the phase has no steps"]);
    document["phases"] = json!([]);
    assert_found(&document, &["error|workflow|the workflow has no phase"]);
}

#[test]
fn rcv_21_22_the_default_phase_and_step_1_cannot_be_taken_away() {
    let mut document = workflow(json!([finish("f")]));
    document["phases"] = json!([{"name": "p", "steps": []}]);
    let findings = validate(&compile(&document)).0;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].place, "phase \"p\"");
    assert_eq!(findings[0].hint, "Add a step to it, or remove the phase.");
}

#[test]
fn names_that_stand_twice_are_refused() {
    let mut document = workflow(json!([note("a", "f"), note("a", "f"), finish("f")]));
    assert!(found(&document).contains(&"error|step \"a\"|the name stands twice".to_owned()));
    document["phases"] = json!([
        {"name": "p", "steps": [note("a", "f")]},
        {"name": "p", "steps": [finish("f")]}
    ]);
    assert!(found(&document).contains(&"error|phase \"p\"|the name stands twice".to_owned()));
}

#[test]
fn names_that_nobody_can_type_are_refused() {
    let long = "n".repeat(64);
    for (name, complaint) in [
        ("", "the name of the step is empty"),
        (" ", "the name of the step is empty"),
        ("a\nb", "the name of the step contains a control character"),
        ("a ", "the name of the step begins or ends with a blank"),
        (&long, "the name of the step has 64 characters"),
        ("start", "\"start\" is the name of a case's own beginning"),
    ] {
        let document = workflow(json!([finish(name)]));
        let expected = format!("error|step \"{name}\"|{complaint}");
        assert_found(&document, &[&expected]);
    }
    assert_found(&workflow(json!([finish(&"é".repeat(63))])), &[]);

    let mut document = workflow(json!([finish("f")]));
    document["name"] = long.as_str().into();
    document["phases"][0]["name"] = "p\u{7}".into();
    assert_found(
        &document,
        &[
            "error|workflow|the name of the workflow has 64 characters",
            "error|phase \"p\u{7}\"|the name of the phase contains a control character",
        ],
    );
    let mut document = workflow(json!([
        question("q", &[("yes\n", "f"), ("no", "f")]),
        finish("f")
    ]));
    assert_found(
        &document,
        &[
            "error|step \"q\"|the name of leg \"yes\n\" contains a control character",
            "error|step \"q\"|the name of leg \"yes\n\" begins or ends with a blank",
        ],
    );
    document["phases"][0]["steps"][0]["options"][0]["name"] = " ".into();
    assert_found(&document, &["error|step \"q\"|answer 1 has no name"]);
}

#[test]
fn an_empty_head_says_what_is_missing() {
    let mut document = workflow(json!([finish("f")]));
    document["subject"] = " ".into();
    document["time_zone"] = "".into();
    document["calendar"] = "".into();
    document["start"] = json!({"when": " ", "late": "ask"});
    document["stop"] = json!([{"when": "paid", "reason": "paid"}, {"when": "", "reason": ""}]);
    assert_found(
        &document,
        &[
            "error|workflow|the subject is empty",
            "error|workflow|time_zone is empty",
            "error|workflow|calendar is empty",
            "error|start|the condition is empty",
            "warning|start|nothing is ever late without a date",
            "error|stop rule 2|the condition is empty",
            "error|stop rule 2|the reason is empty",
        ],
    );
}

#[test]
fn rcv_15_a_description_is_required_on_every_step() {
    for (name, _, _) in KIND_SAMPLES {
        let mut document = sample(name);
        step(&mut document, "s")["description"] = " ".into();
        assert_found(&document, &["error|step \"s\"|the description is missing"]);
        step(&mut document, "s")
            .as_object_mut()
            .unwrap()
            .remove("description");
        assert_found(&document, &["error|step \"s\"|the description is missing"]);
    }
}

/// One step `s` of each kind in a sound workflow: kind, its fields, the steps around it.
const KIND_SAMPLES: &[(&str, &str, &str)] = &[
    ("task", r#"{"participant": "p", "due": {"days": 1}}"#, "[]"),
    ("call", r#"{"participant": "p", "due": {"days": 1}}"#, "[]"),
    (
        "question",
        r#"{"participant": "p", "options": [{"name": "A", "next": "f"}, {"name": "B", "next": "f"}]}"#,
        "[]",
    ),
    ("email", r#"{"template": "t"}"#, "[]"),
    ("sms", r#"{"template": "t"}"#, "[]"),
    ("letter", r#"{"template": "t"}"#, "[]"),
    ("note", r#"{"text": "x"}"#, "[]"),
    ("update", r#"{"set": {"state": "'reminded'"}}"#, "[]"),
    (
        "decision",
        r#"{"legs": [{"name": "A", "when": "true", "next": "f"}]}"#,
        "[]",
    ),
    ("wait", r#"{"on": {"days": 1}}"#, "[]"),
    (
        "parallel",
        r#"{"branches": ["b1", "b2"]}"#,
        r#"[
        {"name": "b1", "kind": "note", "text": "x", "description": "d", "next": "j"},
        {"name": "b2", "kind": "note", "text": "x", "description": "d"},
        {"name": "j", "kind": "join", "of": "s", "description": "d"}]"#,
    ),
    (
        "inclusive",
        r#"{"legs": [{"name": "A", "when": "true", "next": "b1"}, {"name": "B", "when": "true", "next": "b2"}],
            "otherwise": "j"}"#,
        r#"[
        {"name": "b1", "kind": "note", "text": "x", "description": "d", "next": "j"},
        {"name": "b2", "kind": "note", "text": "x", "description": "d"},
        {"name": "j", "kind": "join", "of": "s", "description": "d"}]"#,
    ),
    ("start_workflow", r#"{"workflow": "other"}"#, "[]"),
    (
        "continue_with",
        r#"{"workflow": "other", "limit": 3}"#,
        "[]",
    ),
    ("finish", r#"{"outcome": "over"}"#, "[]"),
];

/// The sample of a kind.
fn sample(kind: &str) -> Value {
    let (_, fields, others) = KIND_SAMPLES.iter().find(|(k, _, _)| *k == kind).unwrap();
    let mut s: Value = serde_json::from_str(fields).unwrap();
    s["name"] = "s".into();
    s["kind"] = kind.into();
    let others: Vec<Value> = serde_json::from_str(others).unwrap();
    let mut steps = vec![s];
    steps.extend(others);
    if !matches!(kind, "finish" | "continue_with") {
        steps.push(finish("f"));
    }
    let mut document = workflow(steps.into());
    if matches!(kind, "email" | "sms" | "letter") {
        document["templates"] = json!({"t": {"subject": "s", "body": "b"}});
    }
    document
}

#[test]
fn rcv_16_17_manual_steps_need_a_participant_and_a_date() {
    for kind in ["task", "call"] {
        let mut document = sample(kind);
        assert_found(&document, &[]);
        let s = step(&mut document, "s");
        s["participant"] = " ".into();
        s["due"] = Value::Null;
        assert_found(
            &document,
            &[
                &format!("error|step \"s\"|a {kind} needs a participant"),
                &format!("error|step \"s\"|a {kind} needs a date"),
            ],
        );
    }
    let mut document = sample("question");
    step(&mut document, "s")["participant"] = Value::Null;
    assert_found(
        &document,
        &["error|step \"s\"|a question needs a participant"],
    );
}

#[test]
fn rcv_18_s23_automatic_steps_have_neither() {
    for (kind, _, _) in KIND_SAMPLES {
        if matches!(*kind, "task" | "call" | "question") {
            continue;
        }
        let mut document = sample(kind);
        assert_found(&document, &[]);
        let s = step(&mut document, "s");
        s["participant"] = "p".into();
        s["due"] = json!({"days": 3});
        assert_found(
            &document,
            &[
                &format!("error|step \"s\"|a {kind} is automatic and has no participant"),
                &format!("error|step \"s\"|a {kind} is automatic and has no deadline"),
            ],
        );
    }
}

#[test]
fn conditions_and_expressions_must_say_something() {
    let document = workflow(json!([
        {"name": "n", "kind": "note", "text": " ", "when": ""},
        {"name": "d", "kind": "decision", "legs": [{"name": "A", "when": " ", "next": "f"}]},
        {"name": "u", "kind": "update", "set": {"": "1", "state": ""}},
        {"name": "v", "kind": "update", "set": {}},
        finish("f")
    ]));
    assert_found(
        &document,
        &[
            "error|step \"n\"|when is empty",
            "error|step \"d\"|the condition of leg \"A\" is empty",
            "error|step \"u\"|a column to set has no name",
            "error|step \"u\"|the expression for column \"state\" is empty",
            "error|step \"v\"|the update sets no column",
            "error|step \"n\"|the text is empty",
        ],
    );
}

#[test]
fn a_wait_needs_a_date_and_a_join_has_none() {
    let mut document = sample("wait");
    step(&mut document, "s")
        .as_object_mut()
        .unwrap()
        .remove("on");
    assert_found(
        &document,
        &["error|step \"s\"|the wait has no date, so it waits for nothing"],
    );
    let mut document = sample("parallel");
    step(&mut document, "j")["on"] = json!({"days": 1});
    assert_found(
        &document,
        &["error|step \"j\"|a join goes on when its last branch has come, at no other time"],
    );
}

#[test]
fn a_finish_followed_by_something_is_a_slip() {
    let document = workflow(json!([
        {"name": "f", "kind": "finish", "next": "g"}, finish("g")
    ]));
    assert_found(
        &document,
        &["warning|step \"f\"|the step has a next, but the case ends here"],
    );
}

#[test]
fn templates_missing_unused_or_broken() {
    let mut document = sample("email");
    document["templates"] = json!({
        "t": {"body": "b"},
        "other": {"subject": "s", "body": " "},
        "broken": {"subject": "{{ x", "body": "b", "locales": {"nl": {"body": "{% if %}"}}}
    });
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .insert(
            0,
            json!({"name": "m", "kind": "sms", "description": "d", "template": "othre"}),
        );
    document["phases"][0]["steps"]
        .as_array_mut()
        .unwrap()
        .insert(
            0,
            json!({"name": "n", "kind": "note", "description": "d", "text": "{{ }}"}),
        );
    let findings = found(&document);
    for expected in [
        "error|step \"m\"|template \"othre\" does not exist",
        "warning|step \"s\"|template \"t\" has no subject line",
        "error|template \"other\"|the text is empty",
        "warning|template \"other\"|no step uses the template",
        "warning|template \"broken\"|no step uses the template",
    ] {
        assert!(
            findings.iter().any(|f| f == expected),
            "{expected}: {findings:#?}"
        );
    }
    for start in [
        "error|step \"n\"|body: ",
        "error|template \"broken\"|subject: ",
        "error|template \"broken\"|body, locale \"nl\": ",
    ] {
        assert!(
            findings.iter().any(|f| f.starts_with(start)),
            "{start}: {findings:#?}"
        );
    }
    let hints = validate(&compile(&document)).0;
    assert_eq!(hints[0].hint, "Did you mean \"other\"?");
}

#[test]
fn date_rules_that_contradict_themselves() {
    let mut document = sample("task");
    document["start"] =
        json!({"when": "true", "on": {"anchor": "subject.d", "months": 1, "hours": 1}});
    step(&mut document, "s")["due"] = json!({"business_days": 9999, "calendar": " "});
    assert_found(
        &document,
        &[
            "error|start|on: hours and minutes cannot be combined with months, days or business_days",
            "error|step \"s\"|due: business_days is 9999, out of range",
            "error|step \"s\"|due.calendar is empty",
        ],
    );
}

#[test]
fn as_23_anchors_on_steps_that_are_not_done_by_then() {
    let with_anchor = |field: &str, anchor: &str| {
        let mut b = task("b", "c");
        b[field] = json!({"anchor": anchor, "days": 1});
        workflow(json!([
            {"name": "a", "kind": "decision", "legs": [{"name": "short", "when": "true", "next": "b"}]},
            note("x", "b"), b, task("c", "f"), finish("f")
        ]))
    };
    assert_found(&with_anchor("due", "step.a"), &[]);
    assert_found(
        &with_anchor("due", "step.nix"),
        &["error|step \"b\"|due counts from step \"nix\", which does not exist"],
    );
    assert_found(
        &with_anchor("due", "step.c"),
        &["warning|step \"b\"|due counts from step \"c\", which is never done before"],
    );
    assert_found(
        &with_anchor("on", "step.c"),
        &["error|step \"b\"|on counts from step \"c\", which is never done before"],
    );
    assert_found(
        &with_anchor("on", "step.b"),
        &["error|step \"b\"|on counts from step \"b\", which is never done before"],
    );
    assert_found(
        &with_anchor("on", "step.x"),
        &[
            "error|step \"b\"|on counts from step \"x\", and there is a way here that does not pass it",
        ],
    );
    let mut document = sample("task");
    document["start"] = json!({"when": "true", "on": {"anchor": "step.s"}});
    assert_found(
        &document,
        &["error|start|on counts from step \"s\", and no step is done before the start"],
    );
}
