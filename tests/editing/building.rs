//! Workflows built and changed step by step: what the functions make is what the document says.

use serde_json::{Value, json};
use workflow_engine_tests::{DUNNING, SCOPE_10, Session, document, literal};

use super::{FLOW, NONE, bound, saved, small};

#[test]
fn rcv_21_cs_16_a_new_workflow_has_a_phase_a_step_and_its_start() {
    let mut db = bound();
    db.expect(
        "SELECT workflow, version, findings > 0, changes FROM wf.create_workflow('w', 'invoice')",
        &["w | 1 | t | {}"],
    );
    db.expect("SELECT name FROM wf.phases", &["phase 1"]);
    db.expect(
        "SELECT step_no, name, kind, stage FROM wf.steps",
        &["1 | step 1 | task | 1"],
    );
    db.expect(
        "SELECT name, enabled, owner FROM wf.workflows",
        &["w | f | postgres"],
    );
    // Its start event needs no adding: a case of any workflow begins with it.
    let mut db = saved();
    db.invoice(1, "2026-04-01", "10");
    db.start("w", 1);
    db.expect(
        "SELECT event FROM probe.history() ORDER BY history_id LIMIT 1",
        &["case_started"],
    );
}

/// Builds a document by the functions alone, one statement for each thing in it.
fn rebuild(db: &mut Session, document: &Value) {
    let name = literal(document["name"].as_str().expect("a name"));
    let json = |value: &Value| literal(&value.to_string());
    let mut head = document.clone();
    let fields = head.as_object_mut().expect("an object");
    let subject = json(&fields.remove("subject").expect("a subject")).replace('"', "");
    let phases = fields.remove("phases").expect("phases");
    fields.retain(|field, _| field != "name" && field != "format");
    db.exec(&format!(
        "SELECT wf.create_workflow({name}, {subject}, {})",
        json(&head)
    ));
    for (p, phase) in phases.as_array().expect("a list").iter().enumerate() {
        let phase_name = literal(phase["name"].as_str().expect("a name"));
        db.exec(&match p {
            0 => format!("SELECT wf.rename_phase({name}, 'phase 1', {phase_name})"),
            _ => format!("SELECT wf.add_phase({name}, {phase_name})"),
        });
        for (s, step) in phase["steps"]
            .as_array()
            .expect("a list")
            .iter()
            .enumerate()
        {
            if (p, s) == (0, 0) {
                db.exec(&format!(
                    "SELECT wf.set_step({name}, 'step 1', {})",
                    json(step)
                ));
                continue;
            }
            let mut fields = step.clone();
            let map = fields.as_object_mut().expect("an object");
            let step_name = literal(map.remove("name").expect("a name").as_str().expect("text"));
            let kind = literal(map.remove("kind").expect("a kind").as_str().expect("text"));
            db.exec(&format!(
                "SELECT wf.add_step({name}, {step_name}, {kind}, {})",
                json(&fields)
            ));
        }
    }
}

#[test]
fn rcv_06_rcv_19_both_examples_can_be_built_by_the_functions_and_come_out_the_same() {
    let mut db = bound();
    db.bind_report();
    for text in [DUNNING, SCOPE_10] {
        let document = document(text);
        rebuild(&mut db, &document);
        let name = literal(document["name"].as_str().expect("a name"));
        db.expect(
            &format!("SELECT wf.export({name})::jsonb = {}::jsonb", literal(text)),
            &["t"],
        );
        db.expect(&format!("SELECT * FROM wf.validate({name})"), NONE);
        db.expect(&format!("SELECT wf.save({name})"), &[1]);
    }
}

#[test]
fn rcv_09_rcv_19_20_phases_and_steps_come_and_go() {
    let mut db = small();
    db.exec(
        r#"SELECT wf.add_phase('w', 'later', after => 'phase 1');
           SELECT wf.rename_phase('w', 'phase 1', 'now');
           SELECT wf.add_step('w', 'third', 'note', '{"description": "D", "text": "x"}', phase => 'later');
           SELECT wf.move_step('w', 'end', phase => 'later')"#,
    );
    let phases = "SELECT p.name, string_agg(s.name, ',' ORDER BY s.step_no) FROM wf.phases AS p
                  LEFT JOIN wf.steps AS s USING (version_id, phase_no) GROUP BY p.phase_no, p.name ORDER BY p.phase_no";
    db.expect(phases, &["now | first,second", "later | third,end"]);
    db.expect("SELECT count(*) FROM wf.validate('w')", &[0]);
    db.expect(
        "SELECT findings, changes FROM wf.remove_step('w', 'third')",
        &["0 | {\"step \\\"second\\\", outcome \\\"done\\\": leads to \\\"end\\\", before to \\\"third\\\"\"}"],
    );
    db.exec("SELECT wf.add_phase('w', 'between', before => 'later')");
    db.expect(
        phases,
        &["now | first,second", "between | null", "later | end"],
    );
    db.expect(
        "SELECT place, message FROM wf.validate('w')",
        &["phase \"between\" | the phase has no steps"],
    );
    db.exec("SELECT wf.remove_phase('w', 'between')");
    db.expect(
        "SELECT findings FROM wf.remove_phase('w', 'later', instead => 'first')",
        &[1],
    );
    db.expect(FLOW, &["first | done | second", "second | done | first"]);
}

#[test]
fn rcv_15_16_17_what_a_step_lacks_or_must_not_have_is_told_with_its_name_when_saving() {
    let edit = |sql: &str, place: &str, message: &str, hint: &str| {
        let mut db = small();
        db.exec(sql);
        let failure = db.expect_error("SELECT wf.save('w')", "22023", &[place, message]);
        failure.hints(hint);
        assert!(
            failure.message.contains(&format!("{place}: {message}")),
            "{}",
            failure.text()
        );
    };
    edit(
        r#"SELECT wf.set_step('w', 'second', '{"description": null}')"#,
        "step \"second\"",
        "the description is missing",
        "Say in description",
    );
    edit(
        r#"SELECT wf.set_step('w', 'first', '{"participant": null}')"#,
        "step \"first\"",
        "a task needs a participant",
        "Name in participant",
    );
    edit(
        r#"SELECT wf.set_step('w', 'first', '{"due": null}')"#,
        "step \"first\"",
        "a task needs a date",
        "Give its deadline in due",
    );
    edit(
        r#"SELECT wf.set_step('w', 'second', '{"participant": "clerk"}')"#,
        "step \"second\"",
        "a note is automatic and has no participant",
        "Remove participant",
    );
    edit(
        r#"SELECT wf.set_step('w', 'second', '{"due": {"days": 1}}')"#,
        "step \"second\"",
        "a note is automatic and has no deadline",
        "remove due",
    );
}

#[test]
fn s23_cs_12_13_open_ends_islands_and_endless_loops_are_refused_when_saving() {
    let edit = |sql: &str, place: &str, message: &str, hint: &str| {
        let mut db = small();
        db.exec(sql);
        let failure = db.expect_error("SELECT wf.save('w')", "22023", &[place, message]);
        failure.hints(hint);
    };
    edit(
        r#"SELECT wf.add_step('w', 'ask', 'question', '{"description": "Q", "participant": "clerk",
           "options": [{"name": "yes", "next": "end"}, {"name": "no"}]}', after => 'first')"#,
        "step \"ask\"",
        "answer \"no\" leads nowhere",
        "Give answer \"no\" a next step",
    );
    edit(
        r#"SELECT wf.add_step('w', 'island', 'note', '{"description": "I", "text": "x"}', after => 'end')"#,
        "step \"island\"",
        "leg \"done\" leads nowhere",
        "finish",
    );
    edit(
        r#"SELECT wf.add_step('w', 'island', 'note', '{"description": "I", "text": "x", "next": "end"}', after => 'end')"#,
        "step \"island\"",
        "can never be reached",
        "Let a step lead to it",
    );
    edit(
        r#"SELECT wf.add_step('w', 'round', 'decision', '{"description": "R",
               "legs": [{"name": "out", "when": "open_amount = 0", "next": "end"}], "otherwise": "second"}', after => 'second')"#,
        "step \"second\"",
        "go round without end",
        "repeat",
    );
}

#[test]
fn arw_14_15_a_workflow_without_a_first_activity_is_refused_when_saving() {
    let mut db = bound();
    db.exec(r#"SELECT wf.create_workflow('w', 'invoice', '{"title": "W", "description": "What it is for"}')"#);
    db.expect_error(
        "SELECT wf.save('w')",
        "22023",
        &["step \"step 1\"", "finish"],
    )
    .hints("description");
    db.expect(
        "SELECT wf.export('w')::json ->> 'description'",
        &["What it is for"],
    );
}

#[test]
fn arw_05_16_each_further_action_comes_so_many_days_later() {
    let mut db = bound();
    db.exec(
        r#"SELECT wf.create_workflow('w', 'invoice', '{"roll": "none"}');
           SELECT wf.set_step('w', 'step 1', '{"kind": "note", "description": "D", "text": "one", "on": {"anchor": "case_start", "days": 2}}');
           SELECT wf.add_step('w', 'step 2', 'note', '{"description": "D", "text": "two", "on": {"anchor": "previous_done", "days": 3}}');
           SELECT wf.add_step('w', 'end', 'finish', '{"description": "D"}');
           SELECT wf.save('w'); SELECT wf.enable('w')"#,
    );
    db.invoice(1, "2026-04-01", "10");
    db.start("w", 1);
    for (at, notes) in [
        ("2026-03-17 23:59", vec![]),
        ("2026-03-18 00:00", vec!["one"]),
        ("2026-03-20 23:59", vec!["one"]),
        ("2026-03-21 00:00", vec!["one", "two"]),
    ] {
        db.at(at);
        db.expect("SELECT body FROM wf.notes ORDER BY note_id", &notes);
    }
}

#[test]
fn arw_17_a_deleted_action_is_not_done_and_the_next_one_is() {
    let mut db = saved();
    db.expect("SELECT findings FROM wf.remove_step('w', 'second')", &[0]);
    db.expect("SELECT wf.save('w')", &[2]);
    db.invoice(1, "2026-04-01", "10");
    db.start("w", 1);
    db.settle("first", None);
    db.expect("SELECT count(*) FROM wf.notes", &[0]);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn arw_20_as_20_a_clone_or_an_import_can_be_extended_and_leaves_the_original_alone() {
    let mut db = bound();
    db.install(&document(DUNNING));
    db.exec(
        r#"SELECT wf.clone('dunning', 'gentle');
           SELECT wf.add_step('gentle', 'thanks', 'note', '{"description": "T", "text": "Thank you"}', after => 'agency_note')"#,
    );
    db.exec(&format!("SELECT wf.import({}, 'bought')", literal(DUNNING)));
    db.exec("SELECT wf.remove_step('bought', 'agency_note')");
    db.expect("SELECT wf.save('gentle')", &[1]);
    db.expect("SELECT wf.save('bought')", &[1]);
    db.expect(
        &format!(
            "SELECT wf.export('dunning')::jsonb = {}::jsonb",
            literal(DUNNING)
        ),
        &["t"],
    );
    db.expect("SELECT wf.export('gentle') LIKE '%thanks%'", &["t"]);
    db.expect("SELECT wf.export('bought') LIKE '%agency_note%'", &["f"]);
}

#[test]
fn a_renamed_step_keeps_its_links_and_dates() {
    let mut db = bound();
    db.define(&document(DUNNING));
    db.exec(r#"SELECT wf.set_step('dunning', 'level_1', '{"name": "first_letter"}')"#);
    db.exec(r#"SELECT wf.set_step('dunning', 'closed', '{"name": "the end"}')"#);
    db.expect("SELECT * FROM wf.validate('dunning')", NONE);
    db.expect(
        "SELECT wf.export('dunning') ~ 'step.level_1|\"closed\"'",
        &["f"],
    );
}

#[test]
fn the_schema_of_documents_says_which_fields_name_steps() {
    let mut db = bound();
    let schema: Value =
        serde_json::from_str(&db.one::<String>("SELECT wf.document_schema()")).expect("JSON");
    let repeat = &schema["$defs"]["Step_repeat"]["properties"];
    assert_eq!(repeat["back_to"]["x-step"], "leads-to");
    assert_eq!(repeat["back_to"]["x-outcome"], "again");
    assert_eq!(
        schema["$defs"]["Step_event"]["properties"]["button"]["x-step"],
        json!("belongs-to")
    );
}
