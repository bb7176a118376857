//! S23: what is refused, naming the step and what to do.

use serde_json::{Value, json};
use workflow_engine_tests::{
    DUNNING, TestDb, define_sql, document, edited, invoice_workflow, literal, step_of,
};

/// The refusal of a document, when it is saved or when it is published.
#[track_caller]
fn refusal(document: &Value) -> String {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.exec("SELECT wf.set_participant(p) FROM unnest('{ar_specialist,clerk}'::text[]) AS p");
    if let Err(failure) = db.try_exec(&define_sql(document)) {
        assert_eq!(failure.sqlstate, "22023", "{}", failure.text());
        return failure.text();
    }
    let name = literal(document["name"].as_str().expect("a name"));
    let failure = db.refused(&format!("SELECT wf.publish({name})"));
    assert_eq!(failure.sqlstate, "22023", "{}", failure.text());
    let errors = db.rows(&format!(
        "SELECT place, message, hint FROM wf.validate({name}) WHERE severity = 'error'"
    ));
    assert!(
        !errors.is_empty(),
        "wf.validate finds what wf.publish refuses"
    );
    for error in &errors {
        assert!(
            !error[2].is_empty() && error[2] != "null",
            "no hint with {error:?}"
        );
        assert!(
            failure.text().contains(&error[1]),
            "{:?} is not among the findings of {}",
            error[1],
            failure.text()
        );
    }
    format!("{}\n{errors:?}", failure.text())
}

#[track_caller]
fn refused(document: &Value, parts: &[&str]) {
    let text = refusal(document);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

fn with_step(step: Value) -> Value {
    invoice_workflow(
        "wrong",
        json!([{"name": "first", "kind": "note", "text": "hello"}, step]),
    )
}

#[test]
fn s23_cs_12_an_answer_without_a_leg() {
    let question = json!({"name": "ask", "kind": "question", "participant": "clerk",
        "options": [{"name": "yes", "next": "end"}, {"name": "no"}]});
    refused(&with_step(question), &["ask", "no"]);
}

#[test]
fn s23_rcv_21_the_default_phase_and_step_one_cannot_be_removed() {
    let empty = |phases: Value| {
        edited(invoice_workflow("wrong", json!([])), |doc| {
            doc["phases"] = phases
        })
    };
    refused(&empty(json!([])), &["phase"]);
    refused(&empty(json!([{"name": "all", "steps": []}])), &["step"]);
}

#[test]
fn s23_rcv_16_a_manual_step_without_participant_or_date() {
    refused(
        &with_step(
            json!({"name": "work", "kind": "task", "due": {"anchor": "case_start", "days": 1}}),
        ),
        &["work", "participant"],
    );
    refused(
        &with_step(json!({"name": "work", "kind": "task", "participant": "clerk"})),
        &["work", "due"],
    );
    refused(
        &with_step(json!({"name": "ring", "kind": "call", "participant": "clerk"})),
        &["ring", "due"],
    );
}

#[test]
fn s23_rcv_17_18_an_automatic_step_with_participant_or_date() {
    refused(
        &with_step(
            json!({"name": "mail", "kind": "email", "template": "hello", "participant": "clerk"}),
        ),
        &["mail", "participant"],
    );
    refused(
        &with_step(
            json!({"name": "mail", "kind": "email", "template": "hello", "due": {"anchor": "case_start", "days": 1}}),
        ),
        &["mail", "due"],
    );
}

#[test]
fn s23_rcv_15_a_step_without_a_description() {
    let blank = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["description"] = " ".into();
    });
    refused(&blank, &["level_2", "description"]);
}

#[test]
fn s23_an_unreachable_step() {
    let document = invoice_workflow(
        "wrong",
        json!([
            {"name": "first", "kind": "note", "text": "hello", "next": "end"},
            {"name": "island", "kind": "note", "text": "nobody comes here"},
            {"name": "end", "kind": "finish"}
        ]),
    );
    refused(&document, &["island"]);
}

#[test]
fn s23_an_open_end() {
    let open = edited(
        invoice_workflow(
            "wrong",
            json!([{"name": "first", "kind": "note", "text": "hello"}]),
        ),
        |doc| {
            doc["phases"][0]["steps"]
                .as_array_mut()
                .expect("steps")
                .pop();
        },
    );
    refused(&open, &["first"]);
}

#[test]
fn s23_cs_18_a_link_to_a_step_that_is_not_there() {
    refused(
        &with_step(json!({"name": "second", "kind": "note", "text": "x", "next": "nowhere"})),
        &["second", "nowhere"],
    );
}

#[test]
fn s23_an_unbounded_cycle_of_automatic_steps() {
    let document = invoice_workflow(
        "wrong",
        json!([
            {"name": "ping", "kind": "note", "text": "a"},
            {"name": "choose", "kind": "decision", "legs": [{"name": "out", "when": "open_amount = 0", "next": "end"}], "otherwise": "ping"},
            {"name": "end", "kind": "finish"}
        ]),
    );
    refused(&document, &["ping", "choose"]);
}

#[test]
fn s23_all_findings_come_at_once() {
    let document = edited(document(DUNNING), |doc| {
        step_of(doc, "level_1")["participant"] = "ar_specialist".into();
        step_of(doc, "review")["participant"] = Value::Null;
        step_of(doc, "agency_note")["next"] = "nowhere".into();
    });
    refused(&document, &["level_1", "review", "agency_note", "nowhere"]);
}

#[test]
fn s23_arw_03_who_may_not_edit_is_denied_by_function_and_by_direct_sql() {
    let mut db = TestDb::new();
    db.dunning();
    let role = db.role("specialist");
    let mut specialist = db.connect_as(&role);
    for sql in [
        define_sql(&document(DUNNING)),
        "SELECT wf.publish('dunning')".to_owned(),
        "SELECT wf.disable('dunning')".to_owned(),
        "SELECT wf.clone('dunning', 'mine')".to_owned(),
        "UPDATE wf.versions SET document = '{}'".to_owned(),
        "UPDATE wf.workflows SET enabled = false".to_owned(),
        "DELETE FROM wf.steps".to_owned(),
        "INSERT INTO wf.templates SELECT * FROM wf.templates".to_owned(),
    ] {
        specialist.expect_error(&sql, "42501", &["permission denied"]);
    }
    // With the schema open to it, the role still owns nothing.
    db.exec(&format!("GRANT USAGE ON SCHEMA wf TO \"{role}\""));
    for sql in [
        "UPDATE wf.versions SET document = '{}'",
        "DELETE FROM wf.steps",
    ] {
        specialist.expect_error(sql, "42501", &["permission denied"]);
    }
}
