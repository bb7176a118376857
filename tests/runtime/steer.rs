//! wf.advance, wf.branch, wf.cancel, wf.retry and wf.skip.

use serde_json::json;
use workflow_engine_tests::invoice_workflow;

use super::{NONE, work};

#[test]
fn advance_does_now_what_is_scheduled() {
    let mut db = work();
    let case = db.start("work", 1);
    db.settle("check", Some("good"));
    db.expect(
        "SELECT step, state FROM probe.open()",
        &["pause | scheduled"],
    );
    db.expect(
        &format!("SELECT state, step FROM wf.advance({case})"),
        &["running | close"],
    );
    db.expect("SELECT step FROM probe.tasks()", &["close"]);
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE step = 'pause' AND event = 'step_done'",
        &[1],
    );
}

#[test]
fn advance_names_the_step_and_starts_a_planned_case() {
    let mut db = work();
    db.scope_10();
    db.report(1, "2029-03-15");
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["planned"]);
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.exec(&format!("SELECT * FROM wf.advance({case})"));
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect("SELECT step FROM probe.outbox()", &["request_email"]);
}

#[test]
fn advance_refuses_what_is_not_scheduled() {
    let mut db = work();
    let case = db.start("work", 1);
    let before: String = db.one("SELECT probe.state()");
    db.expect_error(
        &format!("SELECT * FROM wf.advance({case})"),
        "55000",
        &["check"],
    )
    .hints("wf.complete");
    db.expect_error(
        &format!("SELECT * FROM wf.advance({case}, 'pause')"),
        "55000",
        &["pause"],
    );
    db.expect_error(
        &format!("SELECT * FROM wf.advance({case}, 'pasue')"),
        "42704",
        &["pasue"],
    );
    db.expect_error("SELECT * FROM wf.advance(999999)", "P0002", &["999999"]);
    db.expect("SELECT probe.state()", &[before]);
    db.exec(&format!("SELECT * FROM wf.cancel({case})"));
    db.expect_error(
        &format!("SELECT * FROM wf.advance({case})"),
        "55000",
        &["cancelled"],
    );
}

#[test]
fn branch_takes_a_named_leg() {
    let mut db = work();
    db.install(&invoice_workflow(
        "fork",
        json!([
            {"name": "ask", "kind": "question", "participant": "clerk",
             "options": [{"name": "left", "next": "l"}, {"name": "right", "next": "r"}]},
            {"name": "l", "kind": "note", "text": "left", "next": "end"},
            {"name": "r", "kind": "note", "text": "right", "next": "end"},
            {"name": "end", "kind": "finish", "merge": true}
        ]),
    ));
    let case = db.start("fork", 1);
    db.expect_error(
        &format!("SELECT * FROM wf.branch({case}, 'ask', 'up')"),
        "42704",
        &["up", "left", "right"],
    );
    db.exec(&format!("SELECT * FROM wf.branch({case}, 'ask', 'right')"));
    db.run_due();
    db.expect("SELECT body FROM wf.notes", &["right"]);
    db.expect("SELECT * FROM probe.tasks()", NONE);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.expect_error(
        &format!("SELECT * FROM wf.branch({case}, 'ask', 'left')"),
        "55000",
        &["completed"],
    );
}

#[test]
fn arw_21_25_cancel_is_final_and_may_be_repeated() {
    let mut db = work();
    let case = db.start("work", 1);
    db.expect(
        &format!("SELECT case_id, state, step, task_id FROM wf.cancel({case}, 'unassigned')"),
        &[format!("{case} | cancelled | null | null")],
    );
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | unassigned"],
    );
    db.expect("SELECT * FROM probe.open()", NONE);
    db.expect("SELECT * FROM probe.tasks()", NONE);
    db.expect(
        "SELECT event FROM probe.history() WHERE event::text LIKE 'case%'",
        &["case_started", "case_cancelled"],
    );
    let before: String = db.one("SELECT probe.state()");
    db.exec(&format!("SELECT * FROM wf.cancel({case}, 'unassigned')"));
    db.expect("SELECT probe.state()", &[before]);
    db.at("2026-06-01 10:00");
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | unassigned"],
    );
    db.expect_error("SELECT * FROM wf.cancel(999999)", "P0002", &["999999"])
        .hints("");
}

#[test]
fn cancel_refuses_a_completed_case() {
    let mut db = work();
    let case = db.start("work", 1);
    db.settle("check", Some("bad"));
    db.expect(
        "SELECT state, outcome FROM probe.cases()",
        &["completed | over"],
    );
    db.expect_error(
        &format!("SELECT * FROM wf.cancel({case})"),
        "55000",
        &["completed"],
    );
}

#[test]
fn skip_passes_a_step_over() {
    let mut db = work();
    let case = db.start("work", 1);
    db.exec(&format!(
        "SELECT * FROM wf.skip({case}, 'check', 'checked by the auditor')"
    ));
    db.run_due();
    db.expect("SELECT step FROM probe.open()", &["pause"]);
    db.expect(
        "SELECT step, detail::text LIKE '%auditor%' OR outcome LIKE '%auditor%' FROM probe.history() WHERE event = 'step_skipped'",
        &["check | t"],
    );
    db.expect("SELECT * FROM probe.tasks()", NONE);
    db.expect_error(
        &format!("SELECT * FROM wf.skip({case}, 'close')"),
        "55000",
        &["close"],
    )
    .hints("");
    db.expect_error(
        &format!("SELECT * FROM wf.skip({case}, 'colse')"),
        "42704",
        &["colse"],
    );
}

#[test]
fn retry_runs_a_failed_step_again_when_its_cause_is_gone() {
    let mut db = work();
    db.install(&invoice_workflow(
        "mailing",
        json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}]),
    ));
    db.exec("INSERT INTO invoice VALUES (20, 'INV-20', 3, 'posted', '2026-04-01', 5, 'EUR')");
    let case = db.start("mailing", 20);
    for hour in 10..22 {
        db.at(&format!("2026-03-03 {hour}:00"));
    }
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[1]);
    db.expect("SELECT step, state FROM probe.open()", &["mail | failed"]);

    db.exec("UPDATE customer SET email = 'back@example.com' WHERE id = 3");
    db.exec(&format!("SELECT * FROM wf.retry({case})"));
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
    db.expect_error(
        &format!("SELECT * FROM wf.retry({case})"),
        "55000",
        &["completed"],
    );
}

#[test]
fn retry_refuses_a_step_that_has_not_failed() {
    let mut db = work();
    let case = db.start("work", 1);
    db.expect_error(&format!("SELECT * FROM wf.retry({case})"), "55000", &[])
        .hints("");
    db.expect_error(
        &format!("SELECT * FROM wf.retry({case}, 'check')"),
        "55000",
        &["check"],
    );
}

#[test]
fn steering_is_undone_with_the_callers_transaction() {
    let mut db = work();
    let case = db.start("work", 1);
    let before: String = db.one("SELECT probe.state()");
    for call in ["cancel({})", "skip({}, 'check')"] {
        let call = call.replace("{}", &case.to_string());
        db.exec(&format!("BEGIN; SELECT * FROM wf.{call}; ROLLBACK"));
    }
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn of_two_branches_the_one_whose_condition_fails_is_alone_an_incident() {
    let mut db = work();
    db.install(&invoice_workflow(
        "two ways",
        json!([
            {"name": "both", "kind": "parallel", "branches": ["good", "bad"]},
            {"name": "good", "kind": "note", "text": "Fine.", "next": "meet",
             "on": {"anchor": "case_start", "days": 1, "roll": "none"}},
            {"name": "bad", "kind": "note", "text": "Bad.", "next": "meet", "when": "1 / (open_amount - open_amount) > 0",
             "on": {"anchor": "case_start", "days": 1, "roll": "none"}},
            {"name": "meet", "kind": "join", "of": "both"}
        ]),
    ));
    db.exec("SET workflow_engine.max_attempts = 1");
    let case = db.start("two ways", 1);
    db.run_due();
    let tomorrow: String = db.one("SELECT wf.now() + interval '1 day'");
    db.exec(&format!("SELECT wf.set_clock('{tomorrow}')"));
    db.run_due();
    db.expect(
        &format!("SELECT step, sqlstate FROM wf.incidents WHERE case_id = {case}"),
        &["bad | 22012"],
    );
    db.expect(
        &format!("SELECT body FROM wf.notes WHERE case_id = {case}"),
        &["Fine."],
    );
}
