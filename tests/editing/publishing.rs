//! Drafts and versions: saving, discarding, renaming, dropping.

use serde_json::Value;
use workflow_engine_tests::{DUNNING, document};

use super::{NONE, bound, saved, small};

const VERSIONS: &str = "SELECT v.number, v.state FROM wf.versions AS v ORDER BY v.number";
const OTHER_TEXT: &str = r#"SELECT wf.set_step('w', 'second', '{"text": "changed"}')"#;

#[test]
fn rcv_24_edits_are_a_draft_until_saved() {
    let mut db = saved();
    db.invoice(1, "2026-04-01", "10");
    db.invoice(2, "2026-04-01", "10");
    db.expect(
        r#"SELECT version, findings, changes FROM wf.set_step('w', 'second', '{"text": "changed"}')"#,
        &["2 | 0 | {}"],
    );
    db.expect(VERSIONS, &["1 | published", "2 | draft"]);
    let old = db.start("w", 1);
    db.settle("first", None);
    db.expect("SELECT wf.save('w')", &[2]);
    db.expect(VERSIONS, &["1 | retired", "2 | published"]);
    let new = db.start("w", 2);
    db.settle("first", None);
    db.expect(
        &format!("SELECT case_id = {old}, case_id = {new}, body FROM wf.notes ORDER BY case_id"),
        &["t | f | INV-1 seen", "f | t | changed"],
    );
}

#[test]
fn rcv_24_a_discarded_draft_leaves_what_is_published() {
    let mut db = saved();
    let before: String = db.one("SELECT wf.export('w')");
    db.exec(OTHER_TEXT);
    db.exec("SELECT wf.remove_step('w', 'second')");
    db.expect("SELECT wf.discard('w')", &[1]);
    assert_eq!(db.one::<String>("SELECT wf.export('w')"), before);
    db.expect(VERSIONS, &["1 | published"]);
    db.expect("SELECT count(*) FROM wf.steps", &[3]);
    // The next edit begins with what is published.
    db.expect(
        r#"SELECT version FROM wf.set_step('w', 'second', '{"text": "again"}')"#,
        &[2],
    );
    db.expect_error("SELECT wf.discard('v')", "42704", &["\"v\""])
        .hints("\"w\"");
    db.expect("SELECT wf.discard('w')", &[1]);
    db.expect_error("SELECT wf.discard('w')", "55000", &["\"w\"", "no draft"])
        .hints("wf.drop_workflow");
    db.expect_error("SELECT wf.save('w')", "55000", &["\"w\"", "no draft"])
        .hints("editing functions");
}

#[test]
fn rcv_24_a_workflow_that_was_never_saved_goes_with_its_draft() {
    let mut db = small();
    db.expect("SELECT wf.discard('w')", &["null"]);
    for table in ["workflows", "versions", "phases", "steps"] {
        db.expect(&format!("SELECT count(*) FROM wf.{table}"), &[0]);
    }
    db.expect_error("SELECT wf.save('w')", "42704", &["\"w\""]);
}

#[test]
fn rcv_25_26_what_is_saved_and_on_can_be_picked_and_started() {
    let mut db = small();
    let startable = "SELECT workflow, description, subject, version FROM wf.startable";
    db.expect(startable, NONE);
    db.exec("SELECT wf.save('w')");
    db.expect(startable, NONE);
    db.exec("SELECT wf.enable('w')");
    db.expect(startable, &["w | Made for a test | invoice | 1"]);
    db.invoice(1, "2026-04-01", "10");
    db.start("w", 1);
    db.expect("SELECT step FROM wf.worklist", &["first"]);
    db.exec("SELECT wf.disable('w')");
    db.expect(startable, NONE);
    let mut db = bound();
    db.install(&document(DUNNING));
    let document: Value = document(DUNNING);
    db.expect(
        "SELECT title, category, author, related FROM wf.startable",
        &[["title", "category", "author", "related"]
            .map(|field| match &document[field] {
                Value::String(text) => text.clone(),
                Value::Array(list) if list.is_empty() => "{}".to_owned(),
                _ => "null".to_owned(),
            })
            .join(" | ")],
    );
}

#[test]
fn arw_19_saved_but_off_is_legal() {
    let mut db = small();
    db.expect("SELECT wf.save('w')", &[1]);
    db.invoice(1, "2026-04-01", "10");
    db.expect_error("SELECT wf.start('w', '1')", "55000", &["\"w\" is off"])
        .hints("wf.enable");
    db.exec(OTHER_TEXT);
    db.expect("SELECT wf.save('w')", &[2]);
    db.expect("SELECT enabled FROM wf.workflows", &["f"]);
}

#[test]
fn cs_11_a_workflow_that_runs_is_amended_without_touching_its_cases() {
    let mut db = saved();
    db.invoice(1, "2026-04-01", "10");
    let case = db.start("w", 1);
    db.exec("SELECT wf.set_step('w', 'first', '{\"name\": \"look\"}'); SELECT wf.remove_step('w', 'second')");
    db.exec("SELECT wf.save('w')");
    db.expect("SELECT step FROM wf.worklist", &["first"]);
    db.settle("first", None);
    db.expect("SELECT body FROM wf.notes", &["INV-1 seen"]);
    db.expect(
        &format!("SELECT state, version FROM wf.case_progress WHERE case_id = {case}"),
        &["completed | 1"],
    );
}

#[test]
fn rcv_23_a_rename_is_for_all_versions_and_cases_at_once() {
    let mut db = saved();
    db.exec(r#"SELECT wf.set_step('w', 'second', '{"text": "{{ case.workflow }}"}'); SELECT wf.save('w')"#);
    db.invoice(1, "2026-04-01", "10");
    db.start("w", 1);
    db.expect("SELECT wf.rename_workflow('w', 'claims')", &["claims"]);
    db.expect("SELECT workflow FROM wf.case_progress", &["claims"]);
    db.expect("SELECT wf.export('claims')::json ->> 'name'", &["claims"]);
    db.expect(
        "SELECT workflow, version FROM wf.startable",
        &["claims | 2"],
    );
    db.settle("first", None);
    db.expect("SELECT body FROM wf.notes", &["claims"]);
    db.expect_error("SELECT wf.export('w')", "42704", &["\"w\""])
        .hints("\"claims\"");
    // The draft that an edit opens has the new name, so that it is saved under it.
    db.expect(
        r#"SELECT workflow, version FROM wf.set_step('claims', 'first', '{"description": "New"}')"#,
        &["claims | 3"],
    );
    db.expect("SELECT wf.rename_workflow('claims', 'w')", &["w"]);
    db.expect("SELECT wf.save('w')", &[3]);
    db.expect("SELECT count(*) FROM wf.workflows", &[1]);
    db.expect("SELECT wf.rename_workflow('w', 'w')", &["w"]);
}

#[test]
fn rcv_23_a_workflow_is_dropped_when_no_case_is_open_and_its_history_stays() {
    let mut db = saved();
    db.invoice(1, "2026-04-01", "10");
    db.invoice(2, "2026-04-01", "10");
    let case = db.start("w", 1);
    db.start("w", 2);
    db.expect_error(
        "SELECT wf.drop_workflow('w')",
        "55000",
        &["workflow \"w\" cannot be dropped", "2 open case(s)"],
    )
    .hints("wf.cancel");
    db.settle("first", None);
    db.settle("first", None);
    db.exec(OTHER_TEXT);
    db.exec("SELECT wf.drop_workflow('w')");
    db.expect("SELECT workflow FROM wf.workflow_stats", NONE);
    db.expect("SELECT * FROM wf.startable", NONE);
    db.expect(VERSIONS, &["1 | published"]);
    for call in [
        "wf.start('w', '1')",
        "wf.drop_workflow('w')",
        "wf.enable('w')",
        "wf.export('w')",
        "wf.add_phase('w', 'x')",
    ] {
        db.expect_error(&format!("SELECT {call}"), "42704", &["\"w\""])
            .hints("");
    }
    db.expect(
        &format!("SELECT workflow, state FROM wf.case_progress WHERE case_id = {case}"),
        &["w | completed"],
    );
    db.expect(
        "SELECT body FROM wf.notes ORDER BY body",
        &["INV-1 seen", "INV-2 seen"].map(String::from),
    );
    // The name is free again.
    db.expect(
        "SELECT version FROM wf.create_workflow('w', 'invoice')",
        &[1],
    );
    db.exec("SELECT wf.drop_workflow('w')");
    db.expect("SELECT count(*) FROM wf.workflows", &[1]);
}

#[test]
fn a_dropped_workflow_starts_no_case_by_its_rule() {
    let mut db = bound();
    db.install(&document(DUNNING));
    db.exec("SELECT wf.drop_workflow('dunning')");
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    db.expect("SELECT * FROM probe.cases()", NONE);
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn an_edit_is_undone_with_the_callers_transaction() {
    let mut db = saved();
    let state = "SELECT md5(string_agg(v::text, ',' ORDER BY v.version_id)) FROM wf.versions AS v";
    let before: String = db.one(state);
    db.exec(&format!(
        "BEGIN; {OTHER_TEXT}; SELECT wf.save('w'); SELECT wf.rename_workflow('w', 'x'); ROLLBACK"
    ));
    db.expect(state, &[before]);
    db.expect("SELECT name FROM wf.workflows", &["w"]);
}
