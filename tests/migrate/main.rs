//! Versions under running cases: content reaches them at once, structure does not, and wf.migrate moves them.

mod content;
mod live;

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, edited, invoice_workflow, literal, step_of};

const NONE: &[&str] = &[];

/// A task, a wait, an e-mail, a task.
fn work() -> Value {
    invoice_workflow(
        "work",
        json!([
            {"name": "check", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 10}},
            {"name": "pause", "kind": "wait", "on": {"anchor": "case_start", "days": 20}},
            {"name": "mail", "kind": "email", "template": "hello"},
            {"name": "close", "kind": "task", "participant": "clerk", "due": {"anchor": "previous_done", "days": 2}},
            {"name": "end", "kind": "finish"}
        ]),
    )
}

/// A database on Mon 2026-03-02 with ten posted invoices and the workflow on.
fn database(document: &Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(document);
    db.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series(1, 20) AS n");
    db.run_due();
    db
}

/// Saves and publishes another version.
fn publish(db: &mut TestDb, document: &Value) -> i32 {
    db.define(document);
    let name = document["name"].as_str().expect("a name");
    db.one(&format!("SELECT wf.publish({})", literal(name)))
}

fn with_text(body: &str) -> Value {
    edited(work(), |doc| {
        doc["templates"]["hello"]["body"] = body.into()
    })
}

/// The same with `check` under another name, the wait of another length, and a step before them.
fn restructured() -> Value {
    edited(work(), |doc| {
        step_of(doc, "check")["due"]["days"] = 12.into();
        step_of(doc, "check")["description"] = "Look at it".into();
        step_of(doc, "check")["participant"] = "back_office".into();
        step_of(doc, "check")["name"] = "look".into();
        step_of(doc, "pause")["on"]["days"] = 30.into();
        let steps = doc["phases"][0]["steps"].as_array_mut().expect("steps");
        steps.insert(
            0,
            json!({"name": "first", "kind": "note", "description": "First", "text": "First."}),
        );
    })
}

#[test]
fn s21_ten_cases_are_listed_by_the_dry_run_and_moved_in_one_transaction() {
    let mut db = database(&work());
    for key in 1..=10 {
        db.start("work", key);
    }
    let case = |key: i64| format!("(SELECT case_id FROM probe.cases() WHERE key = '{key}')");
    // One waits, one waits on hold, one has come to its last task, one waits for its sender, one has ended.
    for key in 1..=4 {
        db.exec(&format!("SELECT wf.complete_step({}, 'check')", case(key)));
    }
    db.exec(&format!(
        "SELECT wf.advance({}), wf.advance({})",
        case(3),
        case(4)
    ));
    db.run_due();
    let mail = db.lease_with("'email', 1");
    db.ack(&mail);
    db.run_due();
    db.exec(&format!("SELECT wf.hold({})", case(2)));
    db.exec(&format!("SELECT wf.cancel({})", case(10)));
    let tasks = db.lines("SELECT task_id FROM wf.tasks ORDER BY task_id");
    assert_eq!(publish(&mut db, &restructured()), 2);
    db.clock("2026-03-05 10:00");

    let before: String = db.one("SELECT probe.state()");
    let rows = "SELECT key, from_step, to_step, outcome, probe.local(due_at), left(reason, 40)";
    db.expect(
        &format!("{rows} FROM wf.migrate('work', 1, 2) ORDER BY key::int"),
        &[
            "1 | pause | pause | migrated | Wed 2026-04-01 00:00 | null",
            "2 | pause | pause | migrated | Wed 2026-04-01 00:00 | null",
            "3 | close | close | migrated | Wed 2026-03-04 00:00 | null",
            "4 | mail | mail | migrated | null | null",
            "5 | check | null | refused | null | step \"check\" is not in version 2: name t",
            "6 | check | null | refused | null | step \"check\" is not in version 2: name t",
            "7 | check | null | refused | null | step \"check\" is not in version 2: name t",
            "8 | check | null | refused | null | step \"check\" is not in version 2: name t",
            "9 | check | null | refused | null | step \"check\" is not in version 2: name t",
        ],
    );
    let map = r#"'{"check": "look"}'"#;
    let listed = db.lines(&format!(
        "{rows} FROM wf.migrate('work', 1, 2, {map}) ORDER BY key::int"
    ));
    assert_eq!(
        listed[4],
        "5 | check | look | migrated | Mon 2026-03-16 00:00 | null"
    );
    assert_eq!(
        before,
        db.one::<String>("SELECT probe.state()"),
        "a dry run changes nothing"
    );

    db.expect(
        &format!("{rows} FROM wf.migrate('work', 1, 2, {map}, false) ORDER BY key::int"),
        &listed,
    );
    db.expect(
        "SELECT version, count(*) FROM wf.case_progress GROUP BY 1 ORDER BY 1",
        &["1 | 1", "2 | 9"],
    );
    // The same tasks, in the new words.
    assert_eq!(
        tasks,
        db.lines("SELECT task_id FROM wf.tasks ORDER BY task_id")
    );
    db.expect(
        "SELECT DISTINCT step, title, participant, probe.local(due_at) FROM wf.worklist ORDER BY 1",
        &[
            "close | Step close | clerk | Wed 2026-03-04 00:00",
            "look | Look at it | back_office | Mon 2026-03-16 00:00",
        ],
    );
    db.expect(
        "SELECT count(*), min(detail->>'from'), min(detail->>'to') FROM probe.history() WHERE event = 'case_migrated'",
        &["9 | 1 | 2"],
    );
    db.expect(
        "SELECT (detail->'steps'->0) - 'old' - 'new' FROM probe.history() WHERE event = 'case_migrated' ORDER BY 1 LIMIT 1",
        &[r#"{"to": "close", "from": "close"}"#],
    );
    db.expect("SELECT * FROM wf.migrate('work', 1, 2, NULL, false)", NONE);

    // They go on by the new version.
    db.send();
    for _ in 0..5 {
        db.settle("look", None);
    }
    db.exec(&format!("SELECT wf.release({})", case(2)));
    db.at("2026-03-31 23:00");
    db.expect(
        "SELECT count(*) FROM probe.open() WHERE step = 'pause'",
        &[7],
    );
    db.at("2026-04-01 00:00");
    db.send();
    for _ in 0..9 {
        db.settle("close", None);
    }
    db.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY 1 ORDER BY 1",
        &["cancelled | 1", "completed | 9"],
    );
    db.expect("SELECT message FROM wf.incidents", NONE);
}

#[test]
fn s21_reports_on_messages_from_before_do_not_move_what_has_their_number_now() {
    let mails = |names: [&str; 2]| {
        invoice_workflow(
            "mails",
            json!([
                {"name": names[0], "kind": "email", "template": "hello", "done_when": "queued"},
                {"name": names[1], "kind": "email", "template": "hello", "done_when": "delivered"},
                {"name": "end", "kind": "finish"}
            ]),
        )
    };
    let mut db = database(&mails(["one", "two"]));
    let case = db.start("mails", 1);
    db.run_due();
    let sent = db.lease();
    db.ack(&sent);
    db.expect("SELECT step, state FROM probe.open()", &["two | sending"]);
    // The order of the steps turns: `two` is now the first.
    publish(&mut db, &mails(["two", "one"]));
    db.expect(
        "SELECT outcome FROM wf.migrate('mails', 1, 2, NULL, false)",
        &["migrated"],
    );
    db.expect(
        "SELECT m.step_no, v.number FROM wf.outbox AS m LEFT JOIN wf.versions AS v USING (version_id) ORDER BY message_id",
        &["1 | 1", "1 | null"],
    );
    // Step `two` is number 1 now, as `one` was: a report on the message of `one` is no report on it.
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'bounced', 'no such box')",
        sent[0].id
    ));
    db.run_due();
    db.expect("SELECT step, state FROM probe.open()", &["two | sending"]);
    db.expect("SELECT what, step FROM wf.incidents", &["message | one"]);
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'delivered')",
        sent[1].id
    ));
    db.run_due();
    db.expect(
        "SELECT step, kind FROM wf.case_timeline WHERE status = 'sending'",
        &["one | email"],
    );
    db.expect(
        &format!("SELECT state FROM wf.case_progress WHERE case_id = {case}"),
        &["running"],
    );
}

#[test]
fn s21_steps_that_change_places_keep_their_tasks_and_incidents() {
    let fork = |branches: [&str; 3]| {
        let task = |name: &str| json!({"name": name, "kind": "task", "participant": "clerk", "due": {"days": 5}, "next": "meet"});
        let note = json!({"name": "broken", "kind": "note", "text": "{{ open_amount / 0 }}", "next": "meet"});
        let steps = branches.map(|name| {
            if name == "broken" {
                note.clone()
            } else {
                task(name)
            }
        });
        let mut all = vec![json!({"name": "fork", "kind": "parallel", "branches": branches})];
        all.extend(steps);
        all.push(json!({"name": "meet", "kind": "join", "of": "fork"}));
        invoice_workflow("fork", all.into())
    };
    let mut db = database(&fork(["a", "b", "broken"]));
    let case = db.start("fork", 1);
    db.run_due();
    db.expect(
        "SELECT step, state FROM probe.open() ORDER BY step",
        &["a | open", "b | open", "broken | failed"],
    );
    let tasks = db.lines("SELECT step, task_id FROM probe.tasks() ORDER BY 1");
    publish(&mut db, &fork(["broken", "b", "a"]));
    db.expect(
        "SELECT outcome, reason FROM wf.migrate('fork', 1, 2, NULL, false)",
        &["migrated | null"],
    );
    assert_eq!(
        tasks,
        db.lines("SELECT step, task_id FROM probe.tasks() ORDER BY 1")
    );
    db.expect("SELECT step FROM wf.incidents", &["broken"]);
    db.settle("a", None);
    // A join waits: a third version goes along with it, or the case stays.
    let third = edited(fork(["a", "b", "broken"]), |doc| {
        step_of(doc, "fork")["branches"]
            .as_array_mut()
            .expect("branches")
            .push("c".into());
        let steps = doc["phases"][0]["steps"].as_array_mut().expect("steps");
        let mut c = steps[1].clone();
        c["name"] = "c".into();
        steps.insert(3, c);
    });
    publish(&mut db, &third);
    let refused: String = db.one("SELECT reason FROM wf.migrate('fork', 2, 3, NULL, false)");
    assert!(
        refused.contains("\"fork\" would have 3 of 4 branches"),
        "{refused}"
    );
    db.expect(
        "SELECT outcome FROM wf.migrate('fork', 2, 1, NULL, false)",
        &["migrated"],
    );
    db.exec(&format!("SELECT wf.skip({case}, 'broken')"));
    db.expect("SELECT step FROM wf.incidents", NONE);
    db.settle("b", None);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn s21_planned_cases_get_the_new_start_date() {
    let planned = |days: i32| {
        edited(work(), |doc| {
            doc["start"] = json!({"when": "state = 'posted'", "on": {"anchor": "subject.due_date", "days": days}});
        })
    };
    let mut db = database(&planned(10));
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["planned"]);
    publish(&mut db, &planned(20));
    publish(&mut db, &work());
    db.expect(
        "SELECT DISTINCT from_step, to_step, outcome, probe.local(due_at) FROM wf.migrate('work', 1, 2, NULL, false)",
        &["start | start | migrated | Tue 2026-04-21 00:00"],
    );
    let refused: String =
        db.one("SELECT DISTINCT reason FROM wf.migrate('work', 2, 3, NULL, false)");
    assert!(
        refused.contains("no start rule") && refused.contains("wf.advance"),
        "{refused}"
    );
    db.at("2026-04-21 10:00");
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["running"]);
}

#[test]
fn s21_dates_may_count_from_steps_done_before() {
    let mut db = database(&work());
    db.start("work", 1);
    db.settle("check", None);
    db.clock("2026-03-04 10:00");
    publish(
        &mut db,
        &edited(work(), |doc| {
            step_of(doc, "pause")["on"] = json!({"anchor": "step.check", "days": 40});
        }),
    );
    db.expect(
        "SELECT probe.local(due_at) FROM wf.migrate('work', 1, 2, NULL, false)",
        &["Mon 2026-04-13 00:00"],
    );
}

#[test]
fn s21_content_versions_need_no_migration() {
    let mut db = database(&work());
    db.start("work", 1);
    publish(&mut db, &with_text("New"));
    let before: String = db.one("SELECT probe.state()");
    db.expect(
        "SELECT outcome, from_step, to_step, left(reason, 43) FROM wf.migrate('work', 1, 2, NULL, false)",
        &["unchanged | check | check | versions 1 and 2 have the same structure; t"],
    );
    assert_eq!(before, db.one::<String>("SELECT probe.state()"));
}

#[test]
fn s21_what_cannot_be_migrated_is_refused_as_a_whole() {
    let mut db = database(&work());
    db.start("work", 1);
    publish(&mut db, &restructured());
    db.define(&work());
    let before: String = db.one("SELECT probe.state()");
    for (call, sqlstate, parts, hint) in [
        ("'nothing', 1, 2", "42704", ["nothing", "exist"], "work"),
        (
            "'work', 1, 9",
            "42704",
            ["work", "version 9"],
            "version_history",
        ),
        (
            "'work', 9, 2",
            "42704",
            ["work", "version 9"],
            "version_history",
        ),
        ("'work', 1, 3", "55000", ["version 3", "draft"], "publish"),
        (
            r#"'work', 1, 2, '{"chek": "look"}', false"#,
            "42704",
            ["version 1", "chek"],
            "step",
        ),
        (
            r#"'work', 1, 2, '{"check": "lok"}', false"#,
            "42704",
            ["version 2", "lok"],
            "step",
        ),
        (
            r#"'work', 1, 2, '["check"]', false"#,
            "22023",
            ["step_map", "object"],
            "old version",
        ),
        (
            r#"'work', 1, 2, '{"check": null}', false"#,
            "22023",
            ["check", "null"],
            "old version",
        ),
    ] {
        let failure = db.expect_error(
            &format!("SELECT * FROM wf.migrate({call})"),
            sqlstate,
            &parts,
        );
        failure.hints(hint);
    }
    db.expect_error(
        "SELECT * FROM wf.migrate('work', NULL, 2)",
        "22004",
        &["from_version"],
    );
    assert_eq!(before, db.one::<String>("SELECT probe.state()"));
}

#[test]
fn s21_owners_and_managers_migrate_others_do_not() {
    let mut db = database(&work());
    db.start("work", 1);
    publish(&mut db, &restructured());
    let call = r#"SELECT outcome FROM wf.migrate('work', 1, 2, '{"check": "look"}', false)"#;
    for kind in ["agent", "sender", "reader"] {
        let role = db.role(kind);
        db.exec(&format!("SELECT wf.grant_role('\"{role}\"', '{kind}')"));
        db.connect_as(&role)
            .expect_error(call, "42501", &["migrate"]);
    }
    let role = db.role("manager");
    db.exec(&format!("SELECT wf.grant_role('\"{role}\"', 'manager')"));
    db.connect_as(&role).expect(call, &["migrated"]);
    db.expect(
        "SELECT actor FROM probe.history() WHERE event = 'case_migrated'",
        &[role],
    );
}

#[test]
fn s21_a_case_that_somebody_is_at_is_left_alone() {
    let mut db = database(&work());
    let one = db.start("work", 1);
    db.start("work", 2);
    publish(&mut db, &restructured());
    let mut other = db.connect();
    other.exec("BEGIN");
    other.exec(&format!("SELECT wf.hold({one})"));
    let call = r#"SELECT key, outcome, left(reason, 26) FROM wf.migrate('work', 1, 2, '{"check": "look"}', false) ORDER BY key"#;
    db.expect(
        call,
        &[
            "1 | refused | somebody is at the case at",
            "2 | migrated | null",
        ],
    );
    other.exec("COMMIT");
    db.expect(call, &["1 | migrated | null"]);
    db.expect(
        "SELECT state FROM probe.cases() ORDER BY key",
        &["held", "running"],
    );
}
