//! Transitions: added, changed and taken away.

use super::*;

fn choices() -> String {
    of_steps(json!([
        {"name": "ask", "kind": "question", "options": [{"name": "yes", "next": "work"}, {"name": "no", "next": "end"}]},
        {"name": "work", "kind": "task"},
        {"name": "mail", "kind": "email", "template": "t"},
        {"name": "choose", "kind": "decision", "legs": [{"name": "big", "when": "x > 1", "next": "fork"}]},
        {"name": "again", "kind": "repeat", "back_to": "ask", "max_visits": 2, "exhausted": "end"},
        {"name": "fork", "kind": "parallel", "branches": ["one", "two"]},
        {"name": "one", "kind": "note", "text": "1", "next": "meet"},
        {"name": "two", "kind": "note", "text": "2"},
        {"name": "meet", "kind": "join", "of": "fork"},
        {"name": "end", "kind": "finish"},
    ]))
}

/// The fields of a step after linking, and what it leads to.
#[track_caller]
fn linked(from: &str, to: &str, outcome: Option<&str>) -> (Value, String) {
    let edited = done(&choices(), link(from, to, outcome));
    let document = value(&edited.text);
    let steps = document["phases"][0]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|s| s["name"] == from).expect("there");
    let leads = flow(&edited.text)
        .into_iter()
        .find(|s| s.starts_with(&format!("{from}>")));
    (step.clone(), leads.expect("there"))
}

#[test]
fn each_kind_takes_a_transition_where_it_keeps_its_links() {
    let leads = |from, to, outcome| linked(from, to, outcome).1;
    assert_eq!(leads("work", "end", None), "work>end");
    assert_eq!(leads("work", "end", Some("done")), "work>end");
    assert_eq!(leads("work", "end", Some("lost")), "work>end");
    assert_eq!(
        linked("work", "end", Some("lost")).0["outcomes"],
        json!([{"name": "lost", "next": "end"}])
    );
    assert_eq!(leads("ask", "mail", Some("no")), "ask>work,mail");
    assert_eq!(leads("ask", "mail", Some("maybe")), "ask>work,end,mail");
    assert_eq!(leads("mail", "end", Some("sent")), "mail>end");
    assert_eq!(
        leads("mail", "end", Some("undeliverable")),
        "mail>choose,end"
    );
    assert_eq!(leads("choose", "end", Some("otherwise")), "choose>fork,end");
    assert_eq!(leads("choose", "end", Some("big")), "choose>end,again");
    assert_eq!(leads("choose", "end", None), "choose>fork,end");
    assert_eq!(leads("again", "work", Some("again")), "again>work,end");
    assert_eq!(leads("again", "work", Some("exhausted")), "again>ask,work");
    assert_eq!(leads("fork", "mail", None), "fork>one,two,mail");
}

#[test]
fn a_condition_goes_to_the_legs_of_a_decision_and_nowhere_else() {
    let with = |from, outcome, condition| Edit::AddTransition {
        from,
        to: "end",
        outcome,
        condition: Some(condition),
    };
    let text = done(&choices(), with("choose", Some("small"), "x < 1")).text;
    let text = done(&text, with("choose", Some("big"), "x > 2")).text;
    assert_eq!(
        value(&text)["phases"][0]["steps"][3]["legs"],
        json!([{"name": "big", "when": "x > 2", "next": "end"}, {"name": "small", "when": "x < 1", "next": "end"}])
    );
    refused(
        &choices(),
        link("choose", "end", Some("small")),
        ErrorCode::Definition,
        "outcome \"small\" of step \"choose\" has no condition",
        "condition =>",
    );
    for (from, outcome) in [
        ("work", None),
        ("ask", Some("yes")),
        ("ask", Some("maybe")),
        ("mail", Some("undeliverable")),
        ("choose", Some("otherwise")),
    ] {
        let error = apply(&choices(), with(from, outcome, "x > 1")).expect_err(from);
        assert_eq!(error.code, ErrorCode::Definition, "{error:?}");
        assert!(
            error.message.starts_with(&format!("step \"{from}\" is a ")),
            "{error}"
        );
        assert!(error.hint.expect("a hint").contains("decision"));
    }
}

#[test]
fn cs_18_a_link_to_what_is_no_step_of_the_workflow_is_refused() {
    refused(
        &choices(),
        link("work", "wrok", None),
        ErrorCode::Unknown,
        "workflow \"w\" has no step \"wrok\"",
        "Did you mean \"work\"?",
    );
    refused(
        &choices(),
        link("wrok", "work", None),
        ErrorCode::Unknown,
        "workflow \"w\" has no step \"wrok\"",
        "Did you mean \"work\"?",
    );
}

#[test]
fn links_that_cannot_be_are_refused() {
    refused(
        &choices(),
        link("end", "work", None),
        ErrorCode::State,
        "step \"end\" is a finish: the case ends there and leads nowhere",
        "wf.set_step",
    );
    refused(
        &choices(),
        link("end", "work", Some("done")),
        ErrorCode::Unknown,
        "step \"end\" has no outcome \"done\"",
        "",
    );
    refused(
        &choices(),
        link("mail", "work", Some("lost")),
        ErrorCode::Unknown,
        "step \"mail\" has no outcome \"lost\"",
        "decision step",
    );
    refused(
        &choices(),
        link("ask", "work", None),
        ErrorCode::Definition,
        "step \"ask\" leads to several steps; it is not said by which outcome to \"work\"",
        "outcome =>",
    );
    refused(
        &choices(),
        link("again", "work", None),
        ErrorCode::Definition,
        "step \"again\" leads to several steps; it is not said by which outcome to \"work\"",
        "outcome =>",
    );
    refused(
        &choices(),
        link("fork", "one", None),
        ErrorCode::Duplicate,
        "step \"fork\" leads to \"one\" already",
        "another branch",
    );
    refused(
        &choices(),
        link("fork", "mail", Some("x")),
        ErrorCode::Unknown,
        "step \"fork\" has no outcome \"x\"",
        "leave the outcome out",
    );
}

#[test]
fn transitions_are_taken_away() {
    let cut = |from, outcome| Edit::RemoveTransition { from, outcome };
    let leads = |from: &'static str, outcome| {
        let text = done(&choices(), cut(from, outcome)).text;
        flow(&text)
            .into_iter()
            .find(|s| s.starts_with(from))
            .expect("there")
    };
    assert_eq!(leads("one", None), "one>two");
    assert_eq!(leads("ask", Some("no")), "ask>work");
    assert_eq!(leads("choose", Some("big")), "choose>again");
    assert_eq!(leads("fork", Some("two")), "fork>one");
    let linked = done(&choices(), link("mail", "end", Some("undeliverable"))).text;
    let text = done(&linked, cut("mail", Some("undeliverable"))).text;
    assert_eq!(value(&text), value(&choices()));

    refused(
        &choices(),
        cut("two", None),
        ErrorCode::Unknown,
        "step \"two\" names no next step",
        "wf.move_step",
    );
    refused(
        &choices(),
        cut("work", Some("done")),
        ErrorCode::State,
        "outcome \"done\" of step \"work\" comes with its kind",
        "wf.add_transition",
    );
    refused(
        &choices(),
        cut("mail", Some("lost")),
        ErrorCode::Unknown,
        "step \"mail\" has no outcome \"lost\"",
        "",
    );
    refused(
        &choices(),
        cut("mail", Some("undeliverable")),
        ErrorCode::Unknown,
        "step \"mail\" has no outcome \"undeliverable\"",
        "",
    );
    refused(
        &choices(),
        cut("again", Some("exhausted")),
        ErrorCode::Definition,
        "step \"again\": repeat: missing field `exhausted`",
        "",
    );
}
