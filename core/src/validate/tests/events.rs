//! Events, and steps that wait side by side.

use super::*;

fn event(fields: Value) -> Value {
    let mut step = json!({"name": "e", "kind": "event", "next": "f"});
    for (field, value) in fields.as_object().unwrap() {
        step[field] = value.clone();
    }
    step
}

#[test]
fn cs_14_an_event_waits_for_one_thing() {
    let with = |fields: Value| found(&workflow(json!([event(fields), finish("f")])));
    assert_eq!(with(json!({"signal": "s"})), Vec::<String>::new());
    assert_eq!(with(json!({"until": "a = 0"})), Vec::<String>::new());
    assert_eq!(with(json!({"on": {"days": 3}})), Vec::<String>::new());
    assert_eq!(
        with(json!({"signal": "s", "until": "a = 0"})),
        ["error|step \"e\"|the event waits for several things: signal, until"]
    );
    assert_eq!(
        with(json!({"signal": " "})),
        ["error|step \"e\"|signal is empty"]
    );
    assert_eq!(
        with(json!({"until": ""})),
        ["error|step \"e\"|until is empty"]
    );
    assert_eq!(
        with(json!({})),
        ["error|step \"e\"|the event has no date, so it waits for nothing"]
    );
    assert_eq!(
        with(json!({"signal": "s", "participant": "p"})),
        ["error|step \"e\"|a event is automatic and has no participant"]
    );
}

#[test]
fn the_condition_of_an_event_is_checked_like_others() {
    let program = compile(&workflow(json!([
        event(json!({"until": "a = 0"})),
        finish("f")
    ])));
    let texts = sql_texts(&program);
    assert_eq!(texts.len(), 1);
    assert_eq!(
        (texts[0].sql.as_str(), &texts[0].scope),
        ("a = 0", &SqlScope::Subject)
    );
}

#[test]
fn a_loop_over_a_signal_takes_its_time_and_one_over_a_condition_does_not() {
    let around = |fields: Value| {
        let mut e = event(fields);
        e["next"] = "d".into();
        found(&workflow(json!([
            e,
            {"name": "d", "kind": "decision", "otherwise": "f",
             "legs": [{"name": "on", "when": "true", "next": "e"}]},
            finish("f")
        ])))
    };
    assert_eq!(around(json!({"signal": "s"})), Vec::<String>::new());
    assert_eq!(
        around(json!({"until": "a = 0"})),
        ["error|step \"e\"|the steps \"e\" -> \"d\" -> \"e\" go round without end"]
    );
}

fn first_of(branches: &[&str]) -> Value {
    json!({"name": "r", "kind": "first_of", "branches": branches})
}

fn signal(name: &str, next: &str) -> Value {
    json!({"name": name, "kind": "event", "signal": name, "next": next})
}

#[test]
fn what_waits_side_by_side_has_to_wait() {
    let with = |a: Value| {
        found(&workflow(json!([
            first_of(&["a", "b"]),
            a,
            signal("b", "f"),
            finish("f")
        ])))
    };
    assert_eq!(with(signal("a", "f")), Vec::<String>::new());
    assert_eq!(with(task("a", "f")), Vec::<String>::new());
    assert_eq!(
        with(note("a", "f")),
        [
            "error|step \"a\"|\"r\" waits for the first of several steps, and a note waits for nothing"
        ]
    );
    let mut a = signal("a", "f");
    a["when"] = "true".into();
    assert_eq!(
        with(a),
        [
            "error|step \"a\"|the step waits beside others in \"r\", and would come first if it were skipped"
        ]
    );
    assert_eq!(
        found(&workflow(json!([
            first_of(&["a"]),
            task("a", "f"),
            finish("f")
        ]))),
        ["error|step \"r\"|there are 1 step(s) to wait for"]
    );
    assert!(
        found(&workflow(json!([
            first_of(&["a", "a"]),
            task("a", "f"),
            finish("f")
        ])))
        .contains(&"error|step \"r\"|branch \"a\" stands twice".to_owned())
    );
    assert!(
        found(&workflow(json!([
            first_of(&["a", "nix"]),
            task("a", "f"),
            finish("f")
        ])))
        .contains(&"error|step \"r\"|leg \"nix\" leads to \"nix\", which is no step".to_owned())
    );
}

#[test]
fn nothing_else_leads_to_what_waits_side_by_side() {
    assert_eq!(
        found(&workflow(json!([
            task("t", "a"),
            first_of(&["a", "b"]),
            signal("a", "f"),
            signal("b", "f"),
            finish("f")
        ])))[0],
        "error|step \"r\"|the step can never be reached, nor can \"b\" behind it"
    );
    let steps = json!([
        question("q", &[("x", "r"), ("y", "n")]),
        note("n", "a"),
        first_of(&["a", "b"]),
        signal("a", "f"),
        signal("b", "f"),
        finish("f")
    ]);
    assert!(found(&workflow(steps)).contains(
        &"error|step \"n\"|its next \"a\" waits beside others in \"r\", which are not there then"
            .to_owned()
    ));
    let steps = json!([
        signal("a", "r"),
        first_of(&["a", "b"]),
        signal("b", "f"),
        finish("f")
    ]);
    assert!(
        found(&workflow(steps)).contains(
            &"error|step \"a\"|a case cannot begin with a step that waits beside others in \"r\""
                .to_owned()
        )
    );
}
