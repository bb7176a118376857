//! Exclusive workflows: a row is in the case of one of them at a time.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, eventually};

use crate::{claim, claim_workflow, claims, start};

const NONE: &[&str] = &[];

fn exclusive(name: &str, head: Value) -> Value {
    let mut document = claim_workflow(
        name,
        head,
        json!([
            {"name": "work", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 3}},
            {"name": "end", "kind": "finish"}
        ]),
    );
    document["runs"] = "exclusive".into();
    document
}

fn two_claims() -> TestDb {
    let mut db = claims();
    claim(&mut db, "C1", "2026-05-04", "1", "EUR");
    claim(&mut db, "C2", "2026-05-04", "1", "EUR");
    db
}

#[test]
fn rcv_03_parallel_and_side_workflows_run_beside_an_exclusive_one() {
    let mut db = two_claims();
    db.install(&exclusive("first", json!({})));
    for runs in ["parallel", "side"] {
        let mut beside = exclusive(runs, json!({}));
        beside["runs"] = runs.into();
        db.install(&beside);
    }
    start(&mut db, "first", "{C1}");
    start(&mut db, "parallel", "{C1}");
    start(&mut db, "side", "{C1}");
    db.expect(
        "SELECT count(*) FROM wf.case_members WHERE key = 'C1' AND state = 'in'",
        &[3],
    );
}

#[test]
fn s12_rows_that_join_are_taken_and_rows_that_leave_are_free() {
    let mut db = two_claims();
    db.install(&exclusive("first", json!({})));
    db.install(&exclusive("second", json!({})));
    let case = start(&mut db, "first", "{C1}");
    let other = start(&mut db, "second", "{C2}");
    db.expect_error(
        &format!("SELECT wf.add_subject({case}, 'C2')"),
        "23505",
        &[&format!(
            "claim C2 is in case {other} of workflow \"second\""
        )],
    );
    db.exec(&format!("SELECT wf.cancel({other})"));
    db.exec(&format!("SELECT wf.add_subject({case}, 'C2')"));
    db.expect("SELECT key, keys FROM wf.worklist", &["C1 | {C1,C2}"]);
    let hint = format!("SELECT wf.remove_subject({case}, 'C2')");
    db.expect_error("SELECT wf.start('second', 'C2')", "23505", &[&hint]);
    db.exec(&hint);
    db.expect("SELECT count(*) FROM wf.start('second', 'C2')", &[1]);
}

#[test]
fn s12_a_start_rule_waits_until_the_exclusive_case_is_over() {
    let mut db = two_claims();
    db.install(&exclusive("first", json!({})));
    start(&mut db, "first", "{C1}");
    db.install(&exclusive(
        "second",
        json!({"start": {"when": "state = 'open'"}}),
    ));
    db.exec("SELECT wf.reconcile('claim')");
    db.run_due();
    let keys = "SELECT workflow, key FROM wf.case_progress WHERE state = 'running' ORDER BY key";
    db.expect(keys, &["first | C1", "second | C2"]);
    let task: i64 = db.one("SELECT min(task_id) FROM wf.worklist WHERE workflow = 'first'");
    db.exec(&format!("SELECT wf.complete({task})"));
    db.run_due();
    db.expect(keys, &["second | C1", "second | C2"]);
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn s12_an_exclusive_workflow_continues_with_another_and_is_an_incident_if_a_third_is_in_the_way() {
    let mut db = two_claims();
    let mut first = exclusive("first", json!({}));
    first["phases"][0]["steps"] = json!([
        {"name": "work", "kind": "task", "description": "Work", "participant": "clerk", "due": {"anchor": "case_start", "days": 3}},
        {"name": "on", "kind": "continue_with", "description": "Go on", "workflow": "second"}
    ]);
    db.install(&exclusive("second", json!({})));
    db.install(&first);
    start(&mut db, "first", "{C1}");
    db.settle("work", None);
    db.expect(
        "SELECT workflow, state FROM wf.case_progress ORDER BY case_id",
        &["first | completed", "second | running"],
    );
    // A parallel one that goes on with an exclusive one while another runs.
    first["runs"] = "parallel".into();
    first["name"] = "third".into();
    db.install(&first);
    start(&mut db, "first", "{C2}");
    start(&mut db, "third", "{C2}");
    let task: i64 = db.one("SELECT min(task_id) FROM wf.worklist WHERE workflow = 'third'");
    db.exec(&format!("SELECT wf.complete({task})"));
    db.run_due();
    db.expect(
        "SELECT workflow, step, message LIKE '%is in case % of workflow \"first\"%' FROM wf.incidents",
        &["third | on | t"],
    );
}

#[test]
fn s12_two_who_start_at_the_same_time_get_one_case() {
    let mut db = two_claims();
    db.install(&exclusive("first", json!({})));
    db.install(&exclusive("second", json!({})));
    // The month's history is made by the first who needs it.
    start(&mut db, "first", "{C2}");
    let mut one = db.connect();
    one.exec("BEGIN");
    one.exec("SELECT wf.start('first', 'C1')");
    let mut other = db.connect();
    let pid = other.pid();
    let waiting = std::thread::spawn(move || other.try_exec("SELECT wf.start('second', 'C1')"));
    eventually("the second one waits", || {
        let waits: i64 = db.one(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'"
        ));
        (waits == 1).then_some(())
    });
    one.exec("COMMIT");
    let failure = waiting
        .join()
        .expect("a thread")
        .expect_err("the second one");
    failure.is("23505", &["claim C1 is in case", "of workflow \"first\""]);
}
