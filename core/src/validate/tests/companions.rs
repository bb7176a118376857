//! Buttons and their events.

use super::*;

fn button(name: &str, next: &str) -> Value {
    json!({"name": name, "kind": "button", "participant": "p", "next": next})
}

fn event(name: &str, button: &str) -> Value {
    json!({"name": name, "kind": "event", "button": button})
}

#[test]
fn cs_15_a_button_leads_to_an_event_of_its_own() {
    let pair = |button: Value, events: Vec<Value>| {
        let steps = [vec![note("n", "b"), button], events, vec![finish("f")]].concat();
        found(&workflow(steps.into()))
    };
    assert_eq!(
        pair(button("b", "e"), vec![event("e", "b")]),
        Vec::<String>::new()
    );
    assert_eq!(
        pair(button("b", "f"), vec![]),
        ["error|step \"b\"|the button has no event that says it was pushed"]
    );
    assert!(pair(button("b", "f"), vec![event("e", "b")]).contains(
        &"error|step \"b\"|the button leads to step \"f\" and not to its event \"e\"".to_owned()
    ));
    assert!(
        pair(button("b", "e"), vec![event("e", "b"), event("e2", "b")])
            .contains(&"error|step \"e2\"|button \"b\" has an event already".to_owned())
    );
    assert!(
        pair(button("b", "e"), vec![event("e", "n")])
            .contains(&"error|step \"e\"|it is the event of \"n\", which is no button".to_owned())
    );
    for finding in validate(&compile(&workflow(json!([
        button("b", "e"),
        event("e", "c")
    ]))))
    .0
    {
        assert!(!finding.hint.is_empty(), "{finding:?}");
    }
}

#[test]
fn cs_15_nothing_but_its_button_leads_to_an_event() {
    let steps = json!([
        note("n", "e"),
        button("b", "e"),
        event("e", "b"),
        finish("f")
    ]);
    assert!(found(&workflow(steps)).contains(
        &"error|step \"n\"|its next \"e\" is the event of button \"b\", which nobody has pushed then"
            .to_owned()
    ));
    let steps = json!([event("e", "b"), button("b", "e")]);
    assert!(found(&workflow(steps)).contains(
        &"error|step \"e\"|a case cannot begin with the event of button \"b\"".to_owned()
    ));
}
