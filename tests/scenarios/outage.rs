//! S20: the engine was down for three days over three due steps of one case.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

/// Messages due on 05-04, 05-05 and 05-06; nobody looks between 05-03 and 05-07 10:00.
fn down(outage: Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-05-01 10:00");
    db.bind_invoice();
    let mail = |name: &str, days: i32| json!({"name": name, "kind": "email", "template": "hello", "on": {"anchor": "subject.due_date", "days": days}});
    let mut workflow = invoice_workflow(
        "three",
        json!([mail("first", 0), mail("second", 1), mail("third", 2)]),
    );
    workflow["outage"] = outage;
    db.install(&workflow);
    db.invoice(1, "2026-05-04", "1000");
    db.start("three", 1);
    db.at("2026-05-03 23:59");
    db.at("2026-05-07 10:00");
    db
}

const SENT: &str =
    "SELECT step, at FROM probe.history() WHERE event = 'step_done' AND kind = 'email'";

#[test]
fn s20_latest_the_newest_goes_out_and_the_others_are_expired() {
    let mut db = down(json!({"policy": "latest"}));
    assert_eq!(db.send().len(), 1);
    db.run_due();
    db.expect("SELECT step, state FROM probe.outbox()", &["third | sent"]);
    db.expect(
        "SELECT step, status, outcome, detail->>'reason' FROM wf.case_timeline WHERE kind = 'email' ORDER BY step",
        &[
            "first | expired | expired | its day had passed, and \"second\" is newer",
            "second | expired | expired | its day had passed, and \"third\" is newer",
            "third | done | sent | null",
        ],
    );
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn s20_replay_all_go_out_in_order_with_the_minimum_gap() {
    let mut db = down(json!({"policy": "replay", "gap_minutes": 60}));
    for (at, step) in [
        ("2026-05-07 10:00", "first"),
        ("2026-05-07 11:00", "second"),
        ("2026-05-07 12:00", "third"),
    ] {
        db.at(at);
        assert_eq!(db.send().len(), 1, "{step}");
        db.run_due();
        assert_eq!(db.lease(), []);
    }
    db.expect(
        SENT,
        &[
            "first | Thu 2026-05-07 10:00",
            "second | Thu 2026-05-07 11:00",
            "third | Thu 2026-05-07 12:00",
        ],
    );
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.expect(
        "SELECT step, detail->>'reason' FROM probe.history() WHERE event = 'rescheduled'",
        &[
            "second | its day had passed; 60 minutes after the one before it",
            "third | its day had passed; 60 minutes after the one before it",
        ],
    );
}

#[test]
fn s20_due_is_at_the_moment_and_not_before() {
    let mut db = down(json!({"policy": "replay"}));
    db.exec("DELETE FROM wf.contact_log");
    db.invoice(2, "2026-05-11", "1000");
    db.start("three", 2);
    db.at("2026-05-10 23:59:59");
    db.expect(
        "SELECT count(*) FROM probe.outbox() WHERE case_id = 2",
        &[0],
    );
    db.at("2026-05-11 00:00");
    db.expect(
        "SELECT count(*) FROM probe.outbox() WHERE step = 'first' AND state = 'queued' AND leaves = 'Mon 2026-05-11 00:00'",
        &[1],
    );
}

#[test]
fn an_outage_policy_that_is_none_is_refused() {
    let mut db = TestDb::new();
    db.bind_invoice();
    let mut workflow = invoice_workflow("x", json!([]));
    workflow["outage"] = json!({"policy": "forget"});
    let define = workflow_engine_tests::define_sql(&workflow);
    db.expect_error(&define, "22023", &["forget", "latest"])
        .hints("");
}
