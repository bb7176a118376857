//! What reading refuses, and how it says so.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Error, ErrorCode};

fn refused(text: &str) -> Error {
    Document::parse(text).expect_err(text)
}

/// All problems of a document that is JSON.
fn problems(document: &Value) -> Vec<String> {
    let error = refused(&document.to_string());
    assert_eq!(error.code, ErrorCode::Definition);
    assert!(error.hint.is_some());
    let problems: Vec<String> = error.detail.unwrap().lines().map(str::to_owned).collect();
    assert_eq!(
        error.message,
        format!("the document cannot be read: {}", problems[0])
    );
    problems
}

fn minimal() -> Value {
    json!({
        "format": 1, "name": "w", "subject": "invoice",
        "phases": [{"name": "p", "steps": [{"name": "f", "kind": "finish"}]}]
    })
}

#[test]
fn a_minimal_document_reads() {
    let document = Document::parse(&minimal().to_string()).unwrap();
    assert_eq!(document.steps().count(), 1);
    assert_eq!(document.head.name, "w");
}

#[test]
fn malformed_json_names_line_and_column() {
    let error = refused("{\n  \"format\": 1,\n  \"name\" \"w\"\n}");
    assert_eq!(error.code, ErrorCode::Json);
    assert_eq!(
        error.message,
        "the document is not valid JSON: expected `:`"
    );
    assert_eq!(error.detail.as_deref(), Some("At line 3, column 10."));
    assert!(error.hint.is_some());
    for text in ["", "{", "[1,]", "nul", "{\"a\": 01}", "\"\u{1}\"", "{} {}"] {
        assert_eq!(refused(text).code, ErrorCode::Json, "{text}");
    }
}

#[test]
fn json_that_is_no_object_is_refused() {
    for text in ["[]", "1", "null", "\"w\""] {
        let error = refused(text);
        assert_eq!(error.code, ErrorCode::Definition);
        assert_eq!(
            error.message,
            "the document cannot be read: the document is not a JSON object"
        );
    }
}

#[test]
fn an_unknown_kind_lists_the_known_ones() {
    let mut document = minimal();
    document["phases"][0]["steps"][0]["kind"] = "e-mail".into();
    let known: Vec<&str> = crate::kinds::KINDS.iter().map(|kind| kind.name).collect();
    assert!(known.contains(&"email"));
    assert_eq!(
        problems(&document),
        [format!(
            "step \"f\": unknown kind \"e-mail\"; known kinds are {}",
            known.join(", ")
        )]
    );
}

#[test]
fn unknown_and_missing_fields_are_named_with_their_place() {
    let mut document = minimal();
    document["colour"] = "red".into();
    document["phases"][0]["colour"] = "red".into();
    document["phases"][0]["steps"] = json!([
        {"name": "a", "kind": "finish", "colour": "red"},
        {"name": "b", "kind": "email"},
        {"kind": "finish"},
        {"name": "c"},
        {"name": "d", "kind": "task", "due": {"days": "three"}, "outcomes": [{"label": "x"}]},
        7
    ]);
    let found = problems(&document);
    let starts = [
        "unknown field `colour`",
        "phase \"p\": unknown field \"colour\"",
        "step \"a\": finish: unknown field `colour`",
        "step \"b\": email: missing field `template`",
        "phase \"p\", step 3: missing field `name`",
        "step \"c\": missing field `kind`",
        "step \"d\": task: field \"outcomes[0]\": missing field `name`",
        "step \"d\": field \"due.days\": invalid type: string \"three\"",
        "phase \"p\", step 6: not a JSON object",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
    assert_eq!(
        problems(&json!({})),
        ["missing field `format`", "the field \"phases\" is missing"]
    );
}

#[test]
fn phases_that_are_no_phases_are_named() {
    let mut document = minimal();
    document["phases"] = json!([
        {"name": "p"}, {"steps": [{"name": "a", "kind": "nix"}]}, {"name": " ", "steps": []},
        {"name": 1, "steps": []}, []
    ]);
    let found = problems(&document);
    assert_eq!(
        found[..2],
        [
            "phase \"p\": the field \"steps\" is missing or not a list",
            "phase 2: the field \"name\" is missing",
        ]
    );
    assert!(found[2].starts_with("step \"a\": unknown kind \"nix\""));
    assert_eq!(
        found[3..],
        [
            "phase 3: the name is empty",
            "phase 4: the name is not a text",
            "phase 5: not a JSON object"
        ]
    );
    document["phases"] = json!({});
    assert_eq!(problems(&document), ["\"phases\" is not a list"]);
}

#[test]
fn rcv_08_no_name_no_workflow() {
    let mut document = minimal();
    document["name"] = " ".into();
    assert_eq!(problems(&document), ["the name is empty"]);
}

#[test]
fn another_format_is_refused() {
    let mut document = minimal();
    document["format"] = 2.into();
    assert_eq!(
        problems(&document),
        ["format 2 is not known; this version reads format 1"]
    );
}

#[test]
fn a_field_that_stands_twice_is_refused_with_its_place() {
    let text = "{\"format\": 1, \"name\": \"w\", \"subject\": \"invoice\", \"templates\": {\n\"t\": {\"body\": \"1\"},\n\"t\": {\"body\": \"2\"}}, \"phases\": []}";
    let error = refused(text);
    assert_eq!(error.code, ErrorCode::Definition);
    assert_eq!(
        error.message,
        "the document cannot be read: the field \"t\" stands twice in one object"
    );
    assert_eq!(error.detail.as_deref(), Some("At line 3, column 3."));
    // Under an escape, too.
    assert!(
        refused(r#"{"name": 1, "n\u0061me": 2}"#)
            .message
            .contains("twice")
    );
}

#[test]
fn the_character_that_postgresql_cannot_store_is_refused() {
    let mut document = minimal();
    document["title"] = "a\0b".into();
    let error = refused(&document.to_string());
    assert_eq!(error.code, ErrorCode::Definition);
    assert!(error.message.contains("U+0000"), "{error}");
}

#[test]
fn hostile_nesting_and_size_give_errors() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    assert_eq!(refused(&deep).code, ErrorCode::Json);
    assert_eq!(refused(&"{\"a\":".repeat(10_000)).code, ErrorCode::Json);

    let mut document = minimal();
    let steps: Vec<Value> = (0..40_000)
        .map(|i| json!({"name": format!("f{i}"), "kind": "finish"}))
        .collect();
    document["phases"][0]["steps"] = steps.into();
    assert_eq!(
        problems(&document),
        ["the workflow has 40000 steps; at most 1000 are allowed"]
    );

    let mut document = minimal();
    let options: Vec<Value> = (0..10_001)
        .map(|i| json!({"name": format!("o{i}"), "next": "q"}))
        .collect();
    let question = json!({"name": "q", "kind": "question", "participant": "p", "options": options});
    document["phases"][0]["steps"] = json!([question]);
    assert_eq!(
        problems(&document),
        ["the steps have 10001 legs in all; at most 10000 are allowed"]
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    for days in ["1e3", "2.5", "99999999999999999999", "-2147483649"] {
        let text = minimal().to_string().replace(
            "\"kind\":\"finish\"",
            &format!("\"kind\":\"finish\",\"on\":{{\"days\":{days}}}"),
        );
        assert_eq!(refused(&text).code, ErrorCode::Definition, "{days}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,64}") {
        let _ = Document::parse(&text);
    }

    #[test]
    fn no_damaged_document_panics(at in 0usize..4000, with in "[\\x00-\\x7f]{0,3}", cut in 0usize..8) {
        let mut text = include_str!("../../../examples/dunning.json").to_owned();
        let at = (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &with);
        if let Ok(document) = Document::parse(&text) {
            let _ = crate::validate::validate(&crate::program::Program::compile(document, Default::default()));
        }
    }
}
