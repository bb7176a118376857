//! Seeing: pictures, explanations, and what will happen.

mod simulate;

use workflow_engine_tests::TestDb;

#[test]
fn a_workflow_is_drawn_in_each_format_its_draft_while_nothing_is_published() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.bind_invoice();
    let draft = workflow_engine_tests::document(workflow_engine_tests::DUNNING);
    db.define(&draft);
    let mermaid: String = db.one("SELECT wf.diagram('dunning')");
    assert!(mermaid.contains("flowchart TD"), "{mermaid}");
    assert!(mermaid.contains("level_2_sms"), "{mermaid}");
    assert!(mermaid.contains("|\"written_off\"|"), "{mermaid}");
    let dot: String = db.one("SELECT wf.diagram('dunning', 'dot')");
    assert!(dot.starts_with("digraph workflow {"), "{dot}");
    let svg: String = db.one("SELECT wf.diagram('dunning', 'svg')");
    assert!(svg.starts_with("<svg "), "{svg}");

    // Once there is a published version, that is what runs, whatever the draft says.
    db.install(&draft);
    let next = workflow_engine_tests::edited(draft, |doc| {
        doc["phases"][0]["steps"][0]["name"] = "first_level".into();
    });
    db.define(&next);
    let published: String = db.one("SELECT wf.diagram('dunning')");
    assert_eq!(published, mermaid);
}

#[test]
fn a_case_is_drawn_where_it_stands() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.exec("SET timezone = 'Europe/Amsterdam'");
    let step = |name: &str, picture: &str| {
        let line = picture
            .lines()
            .find(|l| l.contains(&format!("\"{name}<br/>")));
        line.unwrap_or_else(|| panic!("no {name} in\n{picture}"))
            .to_owned()
    };
    let before: String = db.one(&format!("SELECT wf.diagram({case})"));
    let at = step("level_1", &before);
    assert!(
        at.contains("on 2026-05-04 00:00") && at.ends_with(":::here"),
        "{at}"
    );

    db.at("2026-05-04 08:00");
    assert_eq!(db.send().len(), 1);
    db.run_due();
    let after: String = db.one(&format!("SELECT wf.diagram({case})"));
    assert!(step("level_1", &after).ends_with(":::done"), "{after}");
    assert!(step("level_2", &after).ends_with(":::here"), "{after}");
    assert!(after.contains("linkStyle"), "{after}");
    assert!(after.contains("invoice 1: running"), "{after}");

    db.exec("UPDATE invoice SET state = 'paid'");
    db.run_due();
    let ended: String = db.one(&format!("SELECT wf.diagram({case}, 'svg')"));
    assert!(ended.contains("cancelled, stopped, paid"), "{ended}");
    assert!(!ended.contains("class=\"step here\""), "{ended}");
}

#[test]
fn what_cannot_be_drawn_is_refused_with_what_to_do() {
    let mut db = TestDb::new();
    db.dunning();
    db.expect_error(
        "SELECT wf.diagram('nothing')",
        "42704",
        &["workflow \"nothing\" does not exist", "\"dunning\""],
    );
    db.expect_error(
        "SELECT wf.diagram(4711)",
        "P0002",
        &["case 4711 does not exist", "wf.case_progress"],
    );
    db.expect_error(
        "SELECT wf.diagram('dunning', 'png')",
        "22023",
        &["\"png\"", "mermaid, dot, svg"],
    );
    db.expect_error("SELECT wf.diagram('dunning', NULL)", "22004", &["format"]);
    let agent = db.role("agent");
    db.exec(&format!("SELECT wf.grant_role('\"{agent}\"', 'agent')"));
    let nobody = db.role("nobody");
    db.exec(&format!("GRANT USAGE ON SCHEMA wf TO \"{nobody}\""));
    db.connect_as(&agent).exec("SELECT wf.diagram('dunning')");
    db.connect_as(&nobody)
        .expect_error("SELECT wf.diagram('dunning')", "42501", &["diagram"]);
}

/// What wf.explain says first: what keeps the case from moving.
fn waits_for(db: &mut TestDb, case: i64) -> String {
    db.lines(&format!(
        "SELECT fact, detail FROM wf.explain({case}) WHERE subject = 'waits for'"
    ))
    .join("\n")
}

fn says(db: &mut TestDb, case: i64) -> String {
    db.lines(&format!("SELECT * FROM wf.explain({case})"))
        .join("\n")
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn s25_explain_tells_how_a_date_came_about_and_what_comes_next() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    let first = waits_for(&mut db, case);
    holds(
        &first,
        &[
            "step \"level_1\": waits for its date, Mon 2026-05-04 00:00",
            "30 days after due_date (Wed 2026-04-01) is Fri 2026-05-01, closed in calendar TARGET; roll following: Mon 05-04",
            "zone Europe/Amsterdam",
        ],
    );
    holds(
        &says(&mut db, case),
        &[
            "case 1 | running",
            "workflow dunning, version 1, key 1",
            "then | step \"level_2\" (email), 60 days after due_date",
        ],
    );

    // The date is gone from the ERP's row: the step says which column it misses.
    db.exec("UPDATE invoice SET due_date = NULL");
    holds(
        &waits_for(&mut db, case),
        &["a change of its row has not been looked at yet"],
    );
    db.run_due();
    holds(
        &waits_for(&mut db, case),
        &[
            "step \"level_1\": waits for a date: column \"due_date\" is empty",
            "30 days after due_date",
            "wf.advance",
        ],
    );

    // The condition of a stop rule is told before the engine has acted on it.
    db.exec("UPDATE invoice SET state = 'paid', due_date = '2026-04-01'");
    holds(
        &says(&mut db, case),
        &["stop rule \"paid\" | its condition is true"],
    );
    db.run_due();
    holds(
        &says(&mut db, case),
        &[
            "cancelled",
            "stopped, paid",
            "waits for | nothing: the case is over",
        ],
    );
}

#[test]
fn s25_explain_names_windows_people_holds_failures_and_withheld_messages() {
    let mut db = TestDb::new();
    db.exec("SET timezone = 'Europe/Amsterdam'");
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.exec("INSERT INTO invoice VALUES (2, 'INV-2', 3, 'posted', '2026-04-01', 50, 'EUR')");
    db.run_due();
    db.at("2026-05-04 01:00");
    let case_of = |db: &mut TestDb, key: i64| -> i64 {
        db.one(&format!(
            "SELECT case_id FROM probe.cases() WHERE key = '{key}'"
        ))
    };
    let (case, silent) = (case_of(&mut db, 1), case_of(&mut db, 2));
    holds(
        &waits_for(&mut db, case),
        &[
            "step \"level_1\": message",
            "waits for the contact window, which opens Mon 2026-05-04 08:00",
        ],
    );
    // Customer 3 has no address.
    holds(
        &waits_for(&mut db, silent),
        &[
            "step \"level_1\": failed",
            "column \"email\" is empty",
            "wf.retry",
        ],
    );

    db.exec(&format!(
        "SELECT wf.hold({case}, 'in dispute', '2026-06-01')"
    ));
    holds(
        &waits_for(&mut db, case),
        &[
            "hold: in dispute, until Mon 2026-06-01 00:00",
            "wf.release ends it",
        ],
    );
    db.exec(&format!("SELECT wf.release({case})"));
    db.at("2026-05-04 08:00");
    holds(
        &waits_for(&mut db, case),
        &[
            "waits for a sender to lease it",
            "jansen@example.com",
            "closes Mon 2026-05-04 20:00",
        ],
    );
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    db.run_due();
    holds(
        &says(&mut db, case),
        &["email of step \"level_1\" was withheld: paid"],
    );
    db.expect_error(
        "SELECT * FROM wf.explain(99)",
        "P0002",
        &["case 99 does not exist"],
    );

    db.scope_10();
    db.report(1, "2027-03-15");
    db.run_due();
    db.send();
    db.run_due();
    let report: i64 = db.one("SELECT case_id FROM probe.cases() WHERE workflow = 'scope-10'");
    let before: String = db.one("SELECT probe.state()");
    holds(
        &waits_for(&mut db, report),
        &[
            "step \"follow_up\": waits for back_office since",
            "due Mon 2026-08-17 00:00",
            "Outcomes: done",
        ],
    );
    holds(
        &says(&mut db, report),
        &[
            "deadline Mon 2026-08-17",
            "7 months before end_date (Mon 2027-03-15) is Sat 2026-08-15",
            "then | step \"how_to_go_on\" (question)",
        ],
    );
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn explain_tells_which_branches_a_join_still_misses() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.install(&workflow_engine_tests::invoice_workflow(
        "both",
        serde_json::json!([
            {"name": "fork", "kind": "parallel", "branches": ["one", "two"]},
            {"name": "one", "kind": "note", "text": "x", "next": "meet"},
            {"name": "two", "kind": "task", "participant": "clerk", "due": {"days": 1}, "next": "meet"},
            {"name": "meet", "kind": "join", "of": "fork"}
        ]),
    ));
    db.invoice(1, "2026-04-01", "1000");
    let case = db.start("both", 1);
    db.run_due();
    holds(
        &says(&mut db, case),
        &["step \"meet\" | 1 of 2 branches have come | Still on their way: step \"two\"."],
    );
    holds(
        &waits_for(&mut db, case),
        &["step \"two\": waits for clerk"],
    );
}

#[test]
fn explain_says_what_it_can_of_a_case_whose_binding_is_out_of_order() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.run_due();
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.exec("DROP VIEW invoice_details");
    holds(
        &says(&mut db, case),
        &["case 1 | running", "subject | cannot be looked at:"],
    );
}

#[test]
fn a_date_that_has_passed_when_a_case_comes_to_its_step_stays_what_it_is_and_is_no_delay_of_the_engine()
 {
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    db.bind_invoice();
    db.install(&workflow_engine_tests::invoice_workflow(
        "late",
        serde_json::json!([{"name": "mail", "kind": "email", "template": "hello", "on": {"anchor": "subject.due_date"}}]),
    ));
    db.exec("INSERT INTO invoice VALUES (1, 'INV-1', 1, 'posted', '2026-03-02', 100, 'EUR')");
    db.exec("SELECT wf.start_many('late', ARRAY['1'])");
    db.expect(
        "SELECT probe.local(due_at) FROM wf.case_timeline WHERE step = 'mail'",
        &["Mon 2026-03-02 00:00"],
    );
    db.expect(
        "SELECT step, probe.local(due_at) FROM wf.upcoming",
        &["mail | Mon 2026-03-16 12:00"],
    );
    let due = "SELECT status, value FROM wf.health WHERE \"check\" = 'due steps'";
    db.expect(due, &["ok | 1"]);
    db.clock("2026-03-16 14:00");
    db.expect(due, &["problem | 1"]);
}
