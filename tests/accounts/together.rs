//! Workflows of whole accounts: claims join the case of their account by themselves.

use serde_json::{Value, json};

use crate::{claim, claim_workflow, claims, start};

const NONE: &[&str] = &[];
const CASES: &str = "SELECT account, keys, state FROM wf.case_progress ORDER BY case_id";

fn by_account() -> Value {
    claim_workflow(
        "collect",
        json!({"subjects": "account", "start": {"when": "state = 'open'"}}),
        json!([
            {"name": "first", "kind": "email", "template": "all", "on": {"anchor": "case_start", "days": 3}},
            {"name": "second", "kind": "email", "template": "all", "on": {"anchor": "case_start", "days": 10}},
            {"name": "end", "kind": "finish"}
        ]),
    )
}

#[test]
fn rcv_02_claims_of_an_account_begin_one_case_together_and_join_it_later() {
    let mut db = claims();
    db.install(&by_account());
    claim(&mut db, "C1", "2026-05-01", "1", "EUR");
    claim(&mut db, "C2", "2026-05-01", "2", "EUR");
    db.exec("INSERT INTO claim VALUES ('D1', 'A-2', 'open', '2026-05-01', 5), ('E1', NULL, 'open', '2026-05-01', 6), ('E2', NULL, 'open', '2026-05-01', 7)");
    db.run_due();
    db.expect(
        CASES,
        &[
            "A-1 | {C1,C2} | running",
            "A-2 | {D1} | running",
            "null | {E1} | running",
            "null | {E2} | running",
        ],
    );
    claim(&mut db, "C3", "2026-05-01", "3", "EUR");
    db.at("2026-05-07 09:00");
    let sent = db.send();
    let bodies: Vec<&str> = sent.iter().map(|m| m.body.as_str()).collect();
    assert!(
        bodies.contains(&"C1 €1.00; C2 €2.00; C3 €3.00; €6.00 in 3; "),
        "{bodies:?}"
    );
    // The case is over when none is left; another claim begins another one.
    db.exec("UPDATE claim SET state = 'paid' WHERE account = 'A-1'");
    db.run_due();
    claim(&mut db, "C4", "2026-05-01", "4", "EUR");
    db.run_due();
    db.expect(
        "SELECT keys, state, reason FROM wf.case_progress WHERE account = 'A-1' ORDER BY case_id",
        &["{C1,C2,C3} | cancelled | paid", "{C4} | running | null"],
    );
    // A claim that was paid and is open again comes back, to the account's case of now.
    db.exec("UPDATE claim SET state = 'open' WHERE id = 'C1'");
    db.run_due();
    db.expect(
        "SELECT keys FROM wf.case_progress WHERE account = 'A-1' AND state = 'running'",
        &["{C4,C1}"],
    );
    db.exec("UPDATE claim SET state = 'paid' WHERE id = 'C1'");
    db.run_due();
    db.exec("UPDATE claim SET state = 'open' WHERE id = 'C1'");
    db.run_due();
    db.expect(
        "SELECT keys FROM wf.case_progress WHERE account = 'A-1' AND state = 'running'",
        &["{C4,C1}"],
    );
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn rcv_02_somebody_at_the_case_is_not_waited_for() {
    let mut db = claims();
    db.install(&by_account());
    claim(&mut db, "C1", "2026-05-01", "1", "EUR");
    db.run_due();
    let mut clerk = db.connect();
    clerk.exec("BEGIN");
    clerk.exec("SELECT wf.hold(case_id) FROM wf.case_progress");
    claim(&mut db, "C2", "2026-05-01", "2", "EUR");
    db.exec("SET lock_timeout = '20s'");
    db.run_due();
    db.expect("SELECT keys FROM wf.case_progress", &["{C1}"]);
    clerk.exec("COMMIT");
    db.run_due();
    db.expect(
        "SELECT keys, state FROM wf.case_progress",
        &["{C1,C2} | held"],
    );
}

#[test]
fn rcv_02_an_account_has_one_open_case_of_such_a_workflow() {
    let mut db = claims();
    let mut by_hand = by_account();
    by_hand.as_object_mut().expect("a document").remove("start");
    db.install(&by_hand);
    claim(&mut db, "C1", "2026-05-01", "1", "EUR");
    claim(&mut db, "C2", "2026-05-01", "2", "EUR");
    let case = start(&mut db, "collect", "{C1}");
    let message =
        format!("account A-1 already has an open case of workflow \"collect\": case {case}");
    let hint = format!("wf.add_subject({case}");
    db.expect_error(
        "SELECT wf.start('collect', 'C2')",
        "23505",
        &[&message, &hint],
    );
    db.expect_error(
        "SELECT wf.start_many('collect', '{C2}')",
        "55000",
        &["is about a whole account"],
    );
    db.exec(&format!("SELECT wf.cancel({case})"));
    start(&mut db, "collect", "{C2}");
    let mut dated = by_account();
    dated["name"] = "dated".into();
    dated["start"]["on"] = json!({"anchor": "subject.due_date", "days": 1});
    db.define(&dated);
    db.expect_error(
        "SELECT wf.publish('dated')",
        "22023",
        &["a case of a whole account starts at once"],
    );
}
