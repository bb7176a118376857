//! Buttons and their events, and the stages that these begin.

use super::*;

#[test]
fn cs_15_a_button_brings_its_event() {
    let button = json!({"description": "Push when they call", "participant": "clerk", "next": "c"});
    let edited = done(&line(), add("call back", "button", button, after("a")));
    assert_eq!(
        flow(&edited.text),
        [
            "a>call back",
            "call back>call back pushed",
            "call back pushed>c",
            "b>c",
            "c>end",
            "end>",
        ]
    );
    assert_eq!(
        value(&edited.text)["phases"][0]["steps"][2],
        json!({"name": "call back pushed", "kind": "event", "description": "Button \"call back\" was pushed",
            "button": "call back", "next": "c"})
    );
    let text = edited.text;

    // It follows its button's name and place, and goes with it.
    let moved = Edit::MoveStep {
        step: "call back",
        phase: None,
        place: after("b"),
    };
    assert_eq!(
        flow(&done(&text, moved).text)[1..4],
        [
            "b>call back",
            "call back>call back pushed",
            "call back pushed>c"
        ]
    );
    let renamed = done(&text, set("call back", json!({"name": "ring"}))).text;
    assert_eq!(
        flow(&renamed)[..3],
        ["a>ring", "ring>ring pushed", "ring pushed>c"]
    );
    assert_eq!(value(&renamed)["phases"][0]["steps"][2]["button"], "ring");
    assert_eq!(
        flow(&done(&text, remove("call back")).text),
        ["a>c", "b>c", "c>end", "end>"]
    );

    refused(
        &text,
        remove("call back pushed"),
        ErrorCode::State,
        "step \"call back pushed\" cannot be removed: button \"call back\" would lose its event",
        "wf.remove_step",
    );
    refused(
        &text,
        set("call back", json!({"kind": "task"})),
        ErrorCode::State,
        "step \"call back\" is a button and stays one, as long as it has its event",
        "Remove the button",
    );
    refused(
        &text,
        link("call back", "end", None),
        ErrorCode::State,
        "step \"call back\" is a button and leads to its own event",
        "Let its event \"call back pushed\" lead to \"end\".",
    );
    refused(
        &text,
        Edit::RemoveTransition {
            from: "call back",
            outcome: None,
        },
        ErrorCode::State,
        "step \"call back\" is a button and leads to its own event",
        "goes with it",
    );
    let taken = done(
        &line(),
        add("x pushed", "finish", json!({}), Place::default()),
    )
    .text;
    refused(
        &taken,
        add("x", "button", json!({}), after("a")),
        ErrorCode::Duplicate,
        "there is a step \"x pushed\" already",
        "",
    );

    // A step that becomes a button, and one that a document wrote without its event.
    let made = done(
        &line(),
        set("b", json!({"kind": "button", "text": null, "next": "end"})),
    )
    .text;
    assert_eq!(flow(&made)[1..3], ["b>b pushed", "b pushed>end"]);
    let bare =
        of_steps(json!([{"name": "x", "kind": "button"}, {"name": "end", "kind": "finish"}]));
    assert_eq!(
        flow(&done(&bare, set("x", json!({"label": "X"}))).text),
        ["x>x pushed", "x pushed>end", "end>"]
    );
}

#[test]
fn cs_08_an_event_and_what_follows_it_share_a_stage() {
    let text = of_steps(json!([
        {"name": "mail", "kind": "note", "text": "1"},
        {"name": "push", "kind": "button", "next": "push pushed"},
        {"name": "push pushed", "kind": "event", "button": "push"},
        {"name": "noted", "kind": "note", "text": "2"},
        {"name": "ask", "kind": "task"},
        {"name": "end", "kind": "finish"},
    ]));
    let stages: Vec<i16> = compile(&text)
        .unwrap()
        .steps
        .iter()
        .map(|s| s.stage)
        .collect();
    assert_eq!(stages, [1, 1, 2, 2, 3, 3]);
}
