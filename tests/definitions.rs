//! Definitions: saving, checking, publishing, on and off, export, import, clone, and messages that a DBA can act on.

use serde_json::{Value, json};
use workflow_engine_tests::{
    DUNNING, SCOPE_10, TestDb, define_sql, document, edited, invoice_workflow, literal, step_of,
};

const NONE: &[&str] = &[];

fn bound() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.bind_invoice();
    db.exec("SELECT wf.set_participant(p) FROM unnest('{ar_specialist,back_office,clerk}'::text[]) AS p");
    db
}

fn note(text: &str) -> Value {
    invoice_workflow(
        "small",
        json!([{"name": "remark", "kind": "note", "text": text}]),
    )
}

#[test]
fn rcv_24_a_draft_is_saved_and_saved_again_and_runs_only_when_published() {
    let mut db = bound();
    db.expect(&define_sql(&document(DUNNING)), &["dunning | 1 | 0"]);
    db.expect(&define_sql(&document(DUNNING)), &["dunning | 1 | 0"]);
    db.expect("SELECT number, state FROM wf.versions", &["1 | draft"]);
    db.expect_error("SELECT wf.enable('dunning')", "55000", &["dunning"])
        .hints("wf.publish");
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    db.expect("SELECT * FROM probe.cases()", NONE);
    db.expect("SELECT wf.publish('dunning')", &[1]);
    db.expect(
        "SELECT name, enabled, owner FROM wf.workflows",
        &["dunning | f | postgres"],
    );
    db.expect(
        "SELECT number, state, published_by FROM wf.versions",
        &["1 | published | postgres"],
    );
}

#[test]
fn the_document_may_come_as_jsonb() {
    let mut db = bound();
    db.expect(
        &format!("SELECT * FROM wf.define({}::jsonb)", literal(DUNNING)),
        &["dunning | 1 | 0"],
    );
    db.expect("SELECT wf.publish('dunning')", &[1]);
}

#[test]
fn publishing_projects_the_document_into_rows() {
    let mut db = bound();
    db.define(&document(DUNNING));
    db.exec("SELECT wf.publish('dunning')");
    db.expect(
        "SELECT name FROM wf.phases ORDER BY phase_no",
        &["reminders", "handover"],
    );
    db.expect(
        "SELECT step_no, name, kind, manual, participant FROM wf.steps ORDER BY step_no",
        &[
            "1 | level_1 | email | f | null",
            "2 | level_2 | email | f | null",
            "3 | level_2_sms | sms | f | null",
            "4 | level_3 | letter | f | null",
            "5 | review | task | t | ar_specialist",
            "6 | agency_note | note | f | null",
            "7 | closed | finish | f | null",
        ],
    );
    db.expect(
        "SELECT outcome, to_step FROM wf.transitions WHERE from_step = 5 ORDER BY outcome",
        &["to_agency | 6", "written_off | 7"],
    );
    db.expect(
        "SELECT locale FROM wf.templates WHERE name = 'level_1' ORDER BY locale",
        &["", "nl"],
    );
}

#[test]
fn a_new_version_is_for_new_cases_only() {
    let mut db = bound();
    db.install(&edited(note("one"), |doc| {
        let steps = doc["phases"][0]["steps"].as_array_mut().expect("steps");
        steps.insert(
            0,
            json!({"name": "go", "kind": "task", "description": "Go", "participant": "clerk",
            "due": {"anchor": "case_start", "days": 1}}),
        );
    }));
    db.invoice(1, "2026-04-01", "10");
    let old = db.start("small", 1);
    db.expect(&define_sql(&note("two")), &["small | 2 | 1"]);
    db.expect("SELECT wf.publish('small')", &[2]);
    db.expect(
        "SELECT number, state FROM wf.versions ORDER BY number",
        &["1 | retired", "2 | published"],
    );
    db.invoice(2, "2026-04-01", "10");
    let new = db.start("small", 2);
    db.run_due();
    db.expect(
        &format!("SELECT body FROM wf.notes WHERE case_id = {new}"),
        &["two"],
    );
    db.settle("go", None);
    db.expect(
        &format!("SELECT body FROM wf.notes WHERE case_id = {old}"),
        &["one"],
    );
}

#[test]
fn arw_19_off_touches_new_starts_only() {
    let mut db = bound();
    db.install(&document(DUNNING));
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    db.exec("SELECT wf.disable('dunning')");
    db.exec("SELECT wf.disable('dunning')");
    db.invoice(2, "2026-04-01", "1000");
    db.at("2026-05-04 08:00");
    db.expect("SELECT key, state FROM probe.cases()", &["1 | running"]);
    assert_eq!(db.send().len(), 1);
    db.expect("SELECT wf.enable('dunning')", &[1]);
    db.run_due();
    db.expect(
        "SELECT key, state FROM probe.cases()",
        &["1 | running", "2 | running"],
    );
    db.expect("SELECT wf.enable('dunning')", &[0]);
}

#[test]
fn enabling_without_backfill_leaves_the_existing_rows_alone() {
    let mut db = bound();
    db.define(&document(DUNNING));
    db.exec("SELECT wf.publish('dunning')");
    db.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series(1, 5) AS n");
    db.run_due();
    db.expect("SELECT wf.enable('dunning', backfill => false)", &[0]);
    db.run_due();
    db.expect("SELECT * FROM probe.cases()", NONE);
    db.invoice(6, "2026-04-01", "100");
    db.run_due();
    db.expect("SELECT key FROM probe.cases()", &["6"]);
}

#[test]
fn arw_20_a_clone_is_a_draft_with_a_new_name_off_without_cases() {
    let mut db = bound();
    db.install(&document(DUNNING));
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    db.expect("SELECT wf.clone('dunning', 'gentle')", &["gentle"]);
    db.expect(
        "SELECT w.name, w.enabled, v.number, v.state FROM wf.workflows AS w JOIN wf.versions AS v USING (workflow_id) WHERE name = 'gentle'",
        &["gentle | f | 1 | draft"],
    );
    db.expect("SELECT DISTINCT workflow FROM probe.cases()", &["dunning"]);
    db.expect_error("SELECT wf.clone('dunning', 'gentle')", "42710", &["gentle"]);
    db.expect_error("SELECT wf.clone('dunnign', 'other')", "42704", &["dunnign"])
        .hints("");
}

#[test]
fn a_published_version_cannot_be_changed_even_by_direct_sql() {
    // Rows may be added to the projection, for a restore does so; what runs is the document.
    let mut db = bound();
    db.install(&document(DUNNING));
    for sql in [
        "UPDATE wf.versions SET document = '{}'",
        "UPDATE wf.versions SET number = 7",
        "DELETE FROM wf.versions",
        "UPDATE wf.steps SET kind = 'note' WHERE name = 'level_1'",
        "DELETE FROM wf.transitions",
        "UPDATE wf.templates SET body = 'x'",
        "DELETE FROM wf.phases",
    ] {
        let failure = db.refused(sql);
        failure.is("55000", &["published"]);
    }
    db.exec("UPDATE wf.versions SET state = 'retired' WHERE false");
    // A draft may still be thrown away or replaced.
    db.define(&document(DUNNING));
    db.expect(
        "SELECT number, state FROM wf.versions ORDER BY number",
        &["1 | published", "2 | draft"],
    );
}

#[test]
fn export_gives_back_what_was_written_in_its_order() {
    let mut db = bound();
    db.exec(&format!(
        "SELECT * FROM wf.define({}::text)",
        literal(DUNNING)
    ));
    db.expect(
        &format!(
            "SELECT wf.export('dunning')::jsonb = {}::jsonb",
            literal(DUNNING)
        ),
        &["t"],
    );
    let text: String = db.one("SELECT wf.export('dunning')");
    let order = [
        "\"format\"",
        "\"name\"",
        "\"title\"",
        "\"subject\"",
        "\"phases\"",
        "\"templates\"",
    ];
    let places: Vec<_> = order
        .iter()
        .map(|key| text.find(key).expect("the key is there"))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn the_json_schema_names_every_kind_of_step() {
    let mut db = bound();
    let schema: Value =
        serde_json::from_str(&db.one::<String>("SELECT wf.document_schema()")).expect("JSON");
    let text = schema.to_string();
    for kind in [
        "task", "call", "email", "sms", "letter", "note", "update", "question", "decision", "wait",
        "parallel", "join", "repeat", "finish",
    ] {
        assert!(
            text.contains(&format!("\"{kind}\"")),
            "no {kind} in the schema"
        );
    }
}

#[test]
fn both_examples_are_without_findings() {
    let mut db = bound();
    db.bind_report();
    for text in [DUNNING, SCOPE_10] {
        db.expect(
            &format!("SELECT * FROM wf.validate_document({})", literal(text)),
            NONE,
        );
    }
}

#[test]
fn malformed_json_is_refused_with_its_position() {
    let mut db = bound();
    db.expect_error(
        "SELECT * FROM wf.define(E'{\"format\": 1,\\n \"name\": oops}'::text)",
        "22032",
        &["line 2", "column 10"],
    )
    .hints("");
    db.expect_error("SELECT * FROM wf.define(''::text)", "22032", &["line"]);
    // Validation tells it as a finding, like everything else that it finds.
    db.expect(
        "SELECT severity, message LIKE '%line 1%', hint <> '' FROM wf.validate_document('[1')",
        &["error | t | t"],
    );
}

#[test]
fn an_unknown_step_kind_is_refused_with_the_known_ones() {
    let mut db = bound();
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["kind"] = "pigeon".into()
    });
    db.expect_error(
        &define_sql(&wrong),
        "22023",
        &[
            "level_2", "pigeon", "email", "sms", "letter", "question", "parallel",
        ],
    )
    .hints("");
}

#[test]
fn an_unknown_field_is_refused_with_its_place() {
    let mut db = bound();
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["tempalte"] = "level_2".into()
    });
    db.expect_error(&define_sql(&wrong), "22023", &["level_2", "tempalte"])
        .hints("");
    let wrong = edited(document(DUNNING), |doc| doc["sbuject"] = "invoice".into());
    db.expect_error(&define_sql(&wrong), "22023", &["sbuject"])
        .hints("");
}

/// The refusal of publishing a document, which must name a finding's place, and have a hint with the finding.
#[track_caller]
fn unpublishable(document: &Value, place: &str, parts: &[&str]) {
    let mut db = bound();
    db.define(document);
    let name = literal(document["name"].as_str().expect("a name"));
    db.expect_error(&format!("SELECT wf.publish({name})"), "22023", parts);
    let findings = db.rows(&format!(
        "SELECT place, message, hint FROM wf.validate({name}) WHERE severity = 'error'"
    ));
    let found = findings.iter().find(|finding| finding[0].contains(place));
    let Some(found) = found else {
        panic!("no finding at {place:?} in {findings:?}");
    };
    for part in parts {
        assert!(
            findings.concat().concat().contains(part),
            "no {part:?} in {findings:?}"
        );
    }
    assert!(!found[2].is_empty(), "no hint with {found:?}");
}

#[test]
fn an_unknown_column_in_a_condition_gets_the_catalogues_error_and_the_step() {
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2_sms")["when"] = "fone is not null".into()
    });
    unpublishable(
        &wrong,
        "level_2_sms",
        &["level_2_sms", "column \"fone\" does not exist"],
    );
    let wrong = edited(document(DUNNING), |doc| {
        doc["start"]["when"] = "status = 'posted'".into()
    });
    unpublishable(&wrong, "start", &["column \"status\" does not exist"]);
    let wrong = edited(document(DUNNING), |doc| {
        doc["stop"][1]["when"] = "state = 3".into()
    });
    unpublishable(&wrong, "stop", &["operator does not exist"]);
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2_sms")["when"] = "open_amount".into()
    });
    unpublishable(&wrong, "level_2_sms", &["level_2_sms", "boolean"]);
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2_sms")["when"] = "true) or (true".into()
    });
    unpublishable(&wrong, "level_2_sms", &["level_2_sms"]);
}

#[test]
fn a_time_zone_that_does_not_exist_is_refused() {
    let wrong = edited(document(DUNNING), |doc| {
        doc["time_zone"] = "Europe/Amsterdamned".into()
    });
    unpublishable(&wrong, "workflow", &["Europe/Amsterdamned"]);
}

#[test]
fn a_template_variable_that_is_not_there_is_refused() {
    let wrong = edited(document(DUNNING), |doc| {
        doc["templates"]["level_2"]["body"] = "Pay {{ open_amuont }} now.".into();
    });
    unpublishable(&wrong, "level_2", &["open_amuont"]);
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "agency_note")["text"] = "Invoice {{ nmuber }}".into();
    });
    unpublishable(&wrong, "agency_note", &["nmuber"]);
    let wrong = edited(document(DUNNING), |doc| {
        doc["templates"]["level_2"]["body"] = "Pay {{ open_amount".into();
    });
    unpublishable(&wrong, "level_2", &["level_2"]);
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["template"] = "levle_2".into()
    });
    unpublishable(&wrong, "level_2", &["levle_2"]);
}

#[test]
fn an_anchor_or_calendar_that_is_not_there_is_refused() {
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["on"]["anchor"] = "subject.deu_date".into()
    });
    unpublishable(&wrong, "level_2", &["deu_date"]);
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["on"]["anchor"] = "step.levle_1".into()
    });
    unpublishable(&wrong, "level_2", &["levle_1"]);
    let wrong = edited(document(DUNNING), |doc| {
        step_of(doc, "level_2")["on"]["anchor"] = "subject.number".into()
    });
    unpublishable(&wrong, "level_2", &["number", "date"]);
    let wrong = edited(document(DUNNING), |doc| doc["calendar"] = "TARGTE".into());
    unpublishable(&wrong, "", &["TARGTE"]);
}

#[test]
fn a_workflow_on_an_unbound_subject_is_refused() {
    let mut db = TestDb::new();
    db.define(&document(DUNNING));
    db.expect_error("SELECT wf.publish('dunning')", "22023", &["invoice"])
        .hints("");
    db.expect(
        "SELECT count(*) > 0 FROM wf.validate('dunning') WHERE severity = 'error' AND hint LIKE '%wf.bind_subject%'",
        &["t"],
    );
}

#[test]
fn unknown_workflows_are_refused_everywhere() {
    let mut db = bound();
    for call in [
        "SELECT wf.publish('dunnign')",
        "SELECT wf.enable('dunnign')",
        "SELECT wf.disable('dunnign')",
        "SELECT wf.export('dunnign')",
        "SELECT * FROM wf.validate('dunnign')",
    ] {
        db.expect_error(call, "42704", &["dunnign"]).hints("");
    }
}

#[test]
fn publishing_without_a_draft_is_refused() {
    let mut db = bound();
    db.install(&document(DUNNING));
    db.expect_error("SELECT wf.publish('dunning')", "55000", &["dunning"])
        .hints("wf.define");
}

#[test]
fn defining_is_undone_with_the_callers_transaction() {
    let mut db = bound();
    db.exec(&format!(
        "BEGIN; {}; SELECT wf.publish('dunning'); SELECT wf.enable('dunning'); ROLLBACK",
        define_sql(&document(DUNNING))
    ));
    db.expect("SELECT count(*) FROM wf.workflows", &[0]);
    db.expect("SELECT count(*) FROM wf.versions", &[0]);
    db.invoice(1, "2026-04-01", "100");
    db.run_due();
    db.expect("SELECT * FROM probe.cases()", NONE);
}
