//! Workflows for a case to play in.

use serde_json::Value;

use super::Play;
use crate::program::Roles;

/// The columns that play a role.
pub fn roles() -> Roles {
    Roles {
        email: Some("email".to_owned()),
        phone: Some("phone".to_owned()),
        ..Roles::default()
    }
}

/// A workflow of these steps, in one phase, that is sound.
pub fn workflow(steps: Value) -> Play {
    with(steps, serde_json::json!({}))
}

/// Like `workflow`, with more fields in the head.
pub fn with(mut steps: Value, head: Value) -> Play {
    for step in steps.as_array_mut().unwrap() {
        step["description"] = "A step".into();
    }
    let mut document = serde_json::json!({
        "format": 1, "name": "w", "subject": "invoice",
        "phases": [{"name": "p", "steps": steps}],
        "templates": {"t": {"subject": "s", "body": "Hello {{ name }}"}}
    });
    for (field, value) in head.as_object().unwrap() {
        document[field] = value.clone();
    }
    let mut play = Play::new(&document.to_string());
    let findings = crate::validate::validate(&play.case.program);
    assert!(!findings.has_errors(), "{findings:#?}");
    play.text("email", "a@example.com");
    play.text("phone", "+31 6");
    play.text("name", "Ann");
    play
}
