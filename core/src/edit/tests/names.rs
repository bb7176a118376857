//! Names of steps: found wherever they stand, for every kind, and changed there.

use std::collections::BTreeSet;

use super::super::references::{Names, in_step};
use super::*;
use crate::kinds::KINDS;

/// Steps of every kind, with every field that names a step.
fn every_kind() -> Value {
    let on = json!({"anchor": "step.mail", "days": 1});
    json!([
        {"name": "mail", "kind": "email", "template": "t", "otherwise": "sms", "next": "sms"},
        {"name": "sms", "kind": "sms", "template": "t", "otherwise": "letter"},
        {"name": "letter", "kind": "letter", "template": "t", "otherwise": "task"},
        {"name": "task", "kind": "task", "due": on, "outcomes": [{"name": "x", "next": "phone"}, {"name": "y"}]},
        {"name": "phone", "kind": "call", "due": on, "outcomes": [{"name": "x", "next": "ask"}]},
        {"name": "ask", "kind": "question", "options": [{"name": "x", "next": "note"}, {"name": "y", "next": "push"}]},
        {"name": "push", "kind": "button", "next": "push pushed"},
        {"name": "push pushed", "kind": "event", "button": "push", "next": "update"},
        {"name": "note", "kind": "note", "text": "t", "next": "end"},
        {"name": "update", "kind": "update", "set": {"state": "'x'"}},
        {"name": "choose", "kind": "decision", "legs": [{"name": "x", "when": "true", "next": "wait"}], "otherwise": "fork"},
        {"name": "wait", "kind": "wait", "on": on, "next": "fork"},
        {"name": "fork", "kind": "parallel", "branches": ["one", "two"]},
        {"name": "one", "kind": "note", "text": "t", "next": "meet"},
        {"name": "two", "kind": "note", "text": "t", "next": "meet"},
        {"name": "meet", "kind": "join", "of": "fork", "next": "some"},
        {"name": "some", "kind": "inclusive", "otherwise": "met",
         "legs": [{"name": "x", "when": "true", "next": "three"}, {"name": "y", "when": "true", "next": "four"}]},
        {"name": "three", "kind": "note", "text": "t", "next": "met"},
        {"name": "four", "kind": "note", "text": "t", "next": "met"},
        {"name": "met", "kind": "join", "of": "some", "next": "first"},
        {"name": "first", "kind": "first_of", "branches": ["paid", "late"]},
        {"name": "paid", "kind": "event", "signal": "money in", "next": "again"},
        {"name": "late", "kind": "wait", "on": on, "next": "paper"},
        {"name": "paper", "kind": "file", "due": on, "otherwise": "again", "next": "sign off"},
        {"name": "sign off", "kind": "approval", "of": "paper", "approved": "tell", "rejected": "paper"},
        {"name": "tell", "kind": "notify", "to": "x", "text": "t", "next": "hand over"},
        {"name": "hand over", "kind": "assign", "as": "x", "to": "y", "next": "again"},
        {"name": "again", "kind": "repeat", "back_to": "ask", "max_visits": 2, "exhausted": "end"},
        {"name": "by and by", "kind": "instalments", "overdue": "bill", "kept": "end", "broken": "tell", "updated": "bill", "next": "bill"},
        {"name": "bill", "kind": "charge", "charge": "fee", "amount": "40", "next": "end"},
        {"name": "rest", "kind": "strategy", "do": "pause", "next": "end"},
        {"name": "another", "kind": "start_workflow", "workflow": "w", "next": "end"},
        {"name": "go on", "kind": "continue_with", "workflow": "w"},
        {"name": "sub", "kind": "sub_workflow", "workflow": "w", "outcomes": [{"name": "x", "next": "tell"}], "otherwise": "end"},
        {"name": "each", "kind": "for_each", "workflow": "w", "need": 2, "next": "sub"},
        {"name": "voice", "kind": "voice", "template": "t", "otherwise": "end"},
        {"name": "ticket", "kind": "ticket", "template": "t", "queue": "q", "otherwise": "voice"},
        {"name": "work out", "kind": "sql", "call": "f()", "outcomes": [{"name": "a", "next": "voice"}], "otherwise": "ticket"},
        {"name": "end", "kind": "finish"},
    ])
}

/// A field that leads to a step without `x-step` in its schema would be overlooked when the step goes or is renamed.
#[test]
fn the_schema_tells_every_name_of_a_step_for_every_kind() {
    let text = of_steps(every_kind());
    let program = compile(&text).unwrap();
    let kinds: BTreeSet<&str> = program.steps.iter().map(|s| s.kind.name()).collect();
    let known: BTreeSet<&str> = KINDS.iter().map(|k| k.name).collect();
    assert_eq!(kinds, known, "a kind without a step here");
    let Value::Array(steps) = every_kind() else {
        panic!("a list")
    };
    for (step, fields) in program.steps.iter().zip(steps) {
        let mut found: Vec<(Names, String)> = Vec::new();
        in_step(&mut object(fields.clone()), &mut |kind, _, name| {
            found.push((kind, name.to_owned()));
            None
        });
        let leads: BTreeSet<String> = found
            .iter()
            .filter(|(kind, _)| *kind == Names::LeadsTo)
            .map(|(_, name)| name.clone())
            .collect();
        let legs = step.kind.legs().into_iter().filter_map(|leg| leg.target);
        let next = fields["next"].as_str().map(str::to_owned);
        assert_eq!(leads, legs.chain(next).collect(), "{}", step.name);
        let belongs: Vec<&str> = found
            .iter()
            .filter(|(kind, _)| *kind == Names::BelongsTo)
            .map(|(_, name)| name.as_str())
            .collect();
        let owner = step.kind.joins().or(step.kind.event_of());
        let owner = owner.or(step.kind.approves());
        assert_eq!(
            belongs,
            owner.into_iter().collect::<Vec<_>>(),
            "{}",
            step.name
        );
        let anchors = found.iter().filter(|(kind, _)| *kind == Names::Anchor);
        assert_eq!(
            anchors.count(),
            usize::from(fields["on"].is_object()) + usize::from(fields["due"].is_object())
        );
    }
}

#[test]
fn a_renamed_step_is_named_anew_everywhere() {
    let text = of_steps(every_kind());
    for step in compile(&text).unwrap().steps {
        let new = format!("new {}", step.name);
        let edited = done(&text, set(&step.name, json!({"name": new})));
        let quoted = format!("\"{}\"", step.name);
        let kind = format!("\"kind\": {quoted}");
        let left = edited.text.replace(&kind, "");
        assert!(!left.contains(&quoted), "{quoted} in {left}");
        assert!(!left.contains(&format!("\"step.{}\"", step.name)), "{left}");
        assert_eq!(edited.changes, [""; 0], "nothing leads elsewhere");
    }
    refused(
        &text,
        set("note", json!({"name": "ask"})),
        ErrorCode::Duplicate,
        "there is a step \"ask\" already",
        "",
    );
}

#[test]
fn texts_that_may_mean_a_renamed_step_are_pointed_out() {
    let mut document = value(&line());
    document["phases"][0]["steps"][1]["when"] = "answers ->> 'a' = 'yes'".into();
    document["templates"] = json!({"t": {"body": "You said {{ answers.a }}."}, "u": {"body": "a"}});
    let edited = done(&document.to_string(), set("a", json!({"name": "z"})));
    assert_eq!(
        edited.changes,
        [
            "step \"b\": \"answers ->> 'a' = 'yes'\" mentions 'a'; change it if it means the step, which is \"z\" now",
            "template \"t\" mentions a; change it if it means the step, which is \"z\" now",
        ]
    );
}

#[test]
fn of_two_steps_with_one_name_the_first_is_meant() {
    let text = of_steps(json!([
        {"name": "a", "kind": "note", "text": "1"},
        {"name": "b", "kind": "note", "text": "2", "next": "a"},
        {"name": "a", "kind": "note", "text": "3"},
        {"name": "end", "kind": "finish"},
    ]));
    let edited = done(&text, set("a", json!({"name": "z"})));
    let steps = value(&edited.text)["phases"][0]["steps"].take();
    assert_eq!(steps[0]["name"], "z");
    assert_eq!(steps[1]["next"], "a");
    assert_eq!(steps[2]["name"], "a");
}

#[test]
fn rcv_23_a_workflow_is_renamed_in_its_document() {
    let text = rename(DUNNING, "reminders").unwrap();
    let mut expected = value(DUNNING);
    expected["name"] = "reminders".into();
    assert_eq!(value(&text), expected);
    assert_eq!(
        rename(DUNNING, " ").expect_err("refused").code,
        ErrorCode::Definition
    );
}
