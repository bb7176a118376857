//! Default strategies: levels, pause and resume, and how they rest while a claim is in another case.

use serde_json::json;

use crate::{claim, claim_workflow, claims, start, strategy};

const NONE: &[&str] = &[];
const STATUS: &str =
    "SELECT key, workflow, status, reason, case_state FROM wf.strategy_status ORDER BY key";
const OPEN: &str = "SELECT p.key, o.step, substr(o.due, 5, 10), o.state FROM probe.open() AS o \
     JOIN wf.case_progress AS p USING (case_id) ORDER BY p.key, o.case_id";

#[test]
fn rcv_05_the_nearest_level_says_which_strategy_a_claim_has() {
    let mut db = claims();
    for name in ["mild", "strict", "special"] {
        db.install(&strategy(name));
    }
    for id in ["C1", "C2", "C3"] {
        claim(&mut db, id, "2026-05-04", "1", "EUR");
    }
    db.exec("UPDATE claim SET account = 'A-2' WHERE id IN ('C2', 'C3')");
    db.exec("INSERT INTO claim VALUES ('C9', 'A-1', 'draft', '2026-05-04', 1)");
    // Without a setting nothing has a strategy, though its start condition holds.
    db.run_due();
    db.expect(STATUS, NONE);
    db.exec("SELECT wf.set_strategy('claim', 'special', key => 'C3')");
    db.exec("SELECT wf.set_strategy('claim', 'strict', account => 'A-2')");
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    db.run_due();
    let each = [
        "C1 | mild | running | null | running",
        "C2 | strict | running | null | running",
        "C3 | special | running | null | running",
    ];
    db.expect(STATUS, &each);
    // A new claim of the account, and one that is opened later.
    db.exec("INSERT INTO claim VALUES ('C4', 'A-2', 'open', '2026-05-04', 1); UPDATE claim SET state = 'open' WHERE id = 'C9'");
    db.run_due();
    db.expect(
        "SELECT key, workflow FROM wf.strategy_status WHERE key IN ('C4', 'C9') ORDER BY key",
        &["C4 | strict", "C9 | mild"],
    );
    // Taken away, the level above counts; moved to another account, that one's.
    db.exec("SELECT wf.set_strategy('claim', NULL, key => 'C3')");
    db.exec("UPDATE claim SET account = 'A-2' WHERE id = 'C1'");
    db.run_due();
    db.run_due();
    db.expect(
        "SELECT key, workflow, status FROM wf.strategy_status WHERE key IN ('C1', 'C3') ORDER BY key",
        &["C1 | strict | running", "C3 | strict | running"],
    );
    db.expect(
        "SELECT key, reason FROM wf.case_progress WHERE state = 'cancelled' ORDER BY key",
        &["C1 | another strategy", "C3 | another strategy"],
    );
}

#[test]
fn rcv_05_so_does_it_say_whether_it_runs() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    for id in ["C1", "C2", "C3"] {
        claim(&mut db, id, "2026-05-04", "1", "EUR");
    }
    db.exec("UPDATE claim SET account = 'A-2' WHERE id = 'C3'");
    db.run_due();
    db.exec("SELECT wf.pause_strategy('claim', account => 'A-1', reason => 'bankrupt')");
    db.run_due();
    db.expect(
        STATUS,
        &[
            "C1 | mild | paused | bankrupt | held",
            "C2 | mild | paused | bankrupt | held",
            "C3 | mild | running | null | running",
        ],
    );
    // For one claim it goes on all the same.
    db.exec("SELECT wf.resume_strategy('claim', 'C1')");
    db.expect(
        "SELECT key, status FROM wf.strategy_status WHERE account = 'A-1' ORDER BY key",
        &["C1 | running", "C2 | paused"],
    );
    db.exec("SELECT wf.resume_strategy('claim', account => 'A-1')");
    db.run_due();
    db.exec("SELECT wf.pause_strategy('claim', reason => 'strike')");
    db.run_due();
    db.expect(
        STATUS,
        &[
            "C1 | mild | running | null | running",
            "C2 | mild | paused | strike | held",
            "C3 | mild | paused | strike | held",
        ],
    );
    db.at("2026-05-14 09:00");
    let sent: Vec<String> = db.send().into_iter().map(|m| m.subject).collect();
    assert_eq!(sent, ["Strategy C1"]);
}

#[test]
fn rcv_04_a_claim_under_a_workflow_leaves_its_strategy_and_returns_to_where_it_was() {
    for runs in ["exclusive", "parallel"] {
        let mut db = claims();
        db.install(&strategy("mild"));
        db.exec("SELECT wf.set_strategy('claim', 'mild')");
        db.install(&claim_workflow(
            "talk",
            json!({"runs": runs}),
            json!([
                {"name": "call", "kind": "call", "participant": "clerk", "due": {"anchor": "case_start", "days": 30}},
                {"name": "end", "kind": "finish"}
            ]),
        ));
        claim(&mut db, "C1", "2026-05-04", "1", "EUR");
        claim(&mut db, "C2", "2026-05-04", "1", "EUR");
        db.run_due();
        db.at("2026-05-13 09:00");
        let case = start(&mut db, "talk", "{C1}");
        // Nothing of the strategy fires for it, not even a message that waits for its sender.
        db.at("2026-05-18 09:00");
        let sent: Vec<String> = db.send().into_iter().map(|m| m.subject).collect();
        assert_eq!(sent, ["Strategy C2"], "{runs}");
        db.expect(
            "SELECT h.kind, h.reason FROM wf.holds AS h WHERE h.released_at IS NULL",
            &[format!("strategy | in case {case} of workflow \"talk\"")],
        );
        db.settle("call", None);
        db.expect(
            "SELECT status, resting_for, case_state FROM wf.strategy_status WHERE key = 'C1'",
            &["running | null | running"],
        );
        // It was away for five days, and goes on five days later.
        db.expect(
            OPEN,
            &[
                "C1 | first | 2026-05-19 | scheduled",
                "C2 | second | 2026-05-25 | scheduled",
            ],
        );
        db.at("2026-05-19 09:00");
        let sent: Vec<String> = db.send().into_iter().map(|m| m.subject).collect();
        assert_eq!(sent, ["Strategy C1"], "{runs}");
    }
}

#[test]
fn rcv_04_a_message_of_the_strategy_that_is_ready_stays_here_meanwhile() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.install(&claim_workflow(
        "talk",
        json!({}),
        json!([{"name": "wait", "kind": "wait", "on": {"anchor": "case_start", "days": 5}}, {"name": "end", "kind": "finish"}]),
    ));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    claim(&mut db, "C1", "2026-04-20", "1", "EUR");
    db.run_due();
    db.expect("SELECT state FROM probe.outbox()", &["queued"]);
    start(&mut db, "talk", "{C1}");
    assert_eq!(db.lease(), []);
    db.run_due();
    assert_eq!(db.lease(), []);
    db.at("2026-05-11 09:00");
    assert_eq!(db.send().len(), 1);
}

#[test]
fn rcv_04_a_side_workflow_leaves_the_strategy_alone() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    db.install(&claim_workflow(
        "check",
        json!({"runs": "side"}),
        json!([{"name": "look", "kind": "call", "participant": "clerk", "due": {"anchor": "case_start", "days": 3}},
               {"name": "end", "kind": "finish"}]),
    ));
    claim(&mut db, "C1", "2026-05-04", "1", "EUR");
    db.run_due();
    start(&mut db, "check", "{C1}");
    db.run_due();
    db.expect(STATUS, &["C1 | mild | running | null | running"]);
    db.at("2026-05-14 09:00");
    assert_eq!(db.send().len(), 1);
}

#[test]
fn rcv_27_pause_resume_where_it_left_off_and_stop_for_good() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    claim(&mut db, "C1", "2026-05-04", "1", "EUR");
    db.run_due();
    db.at("2026-05-12 09:00");
    db.exec("SELECT wf.pause_strategy('claim', 'C1', reason => 'they call back')");
    db.exec("SELECT wf.pause_strategy('claim', 'C1', reason => 'again')");
    db.expect(STATUS, &["C1 | mild | paused | they call back | held"]);
    db.at("2026-05-20 09:00");
    assert_eq!(db.lease(), []);
    // Two days were left, and two days are left.
    db.exec("SELECT wf.resume_strategy('claim', 'C1')");
    db.expect(OPEN, &["C1 | first | 2026-05-22 | scheduled"]);
    db.at("2026-05-22 09:00");
    assert_eq!(db.send().len(), 1);
    db.exec("SELECT wf.stop_strategy('claim', 'C1', reason => 'deceased'); SELECT wf.stop_strategy('claim', 'C1')");
    db.expect(STATUS, &["C1 | mild | stopped | deceased | cancelled"]);
    for verb in ["pause", "resume"] {
        db.expect_error(
            &format!("SELECT wf.{verb}_strategy('claim', 'C1')"),
            "55000",
            &[
                "the default strategy of claim C1 has been stopped for good",
                "wf.set_strategy",
            ],
        );
    }
    db.exec("UPDATE claim SET open_amount = 2");
    db.run_due();
    db.expect("SELECT count(*) FROM wf.cases", &[1]);
    // Unless somebody sets one anew.
    db.exec("SELECT wf.set_strategy('claim', 'mild', key => 'C1')");
    db.run_due();
    db.expect(STATUS, &["C1 | mild | running | null | running"]);
    db.expect("SELECT count(*) FROM wf.cases", &[2]);
}

#[test]
fn rcv_14_a_step_pauses_resumes_and_stops_the_strategies_of_the_cases_claims() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    let step = |name: &str, verb: &str| json!({"name": name, "kind": "strategy", "do": verb});
    let wait = |name: &str, days: i32| json!({"name": name, "kind": "wait", "on": {"anchor": "case_start", "days": days}});
    db.install(&claim_workflow(
        "steer",
        json!({"runs": "side"}),
        json!([
            step("rest", "pause"), wait("a week", 7), step("on", "resume"), wait("two weeks", 14),
            step("enough", "stop"), {"name": "end", "kind": "finish"}
        ]),
    ));
    for id in ["C1", "C2", "C3"] {
        claim(&mut db, id, "2026-05-04", "1", "EUR");
    }
    db.run_due();
    let case = start(&mut db, "steer", "{C1,C2}");
    db.run_due();
    db.expect(
        STATUS,
        &[
            format!("C1 | mild | paused | step \"rest\" of case {case} | held"),
            format!("C2 | mild | paused | step \"rest\" of case {case} | held"),
            "C3 | mild | running | null | running".to_owned(),
        ],
    );
    db.at("2026-05-11 09:00");
    db.expect(
        "SELECT key, status FROM wf.strategy_status ORDER BY key",
        &["C1 | running", "C2 | running", "C3 | running"],
    );
    db.expect(
        "SELECT DISTINCT substr(due, 5, 10) FROM probe.open() WHERE step = 'first' ORDER BY 1",
        &["2026-05-14", "2026-05-21"],
    );
    db.at("2026-05-18 09:00");
    db.expect(
        "SELECT key, status, case_state FROM wf.strategy_status ORDER BY key",
        &[
            "C1 | stopped | cancelled",
            "C2 | stopped | cancelled",
            "C3 | running | running",
        ],
    );
    db.expect(
        "SELECT state FROM wf.case_progress WHERE workflow = 'steer'",
        &["completed"],
    );
}

#[test]
fn rcv_05_a_strategy_ends_with_its_claim_and_comes_back_with_it() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    claim(&mut db, "C1", "2026-05-04", "1", "EUR");
    db.run_due();
    db.exec("UPDATE claim SET state = 'paid'");
    db.run_due();
    db.expect(STATUS, &["C1 | mild | stopped | paid | cancelled"]);
    db.exec("UPDATE claim SET state = 'open'");
    db.run_due();
    db.expect(STATUS, &["C1 | mild | running | null | running"]);
}

#[test]
fn rcv_05_a_strategy_that_has_come_to_its_end_is_over() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    claim(&mut db, "C1", "2026-05-04", "1", "EUR");
    claim(&mut db, "C2", "2026-05-04", "1", "EUR");
    db.run_due();
    db.exec("SELECT wf.cancel(case_id, 'by hand') FROM wf.strategy_status WHERE key = 'C2'");
    for at in ["2026-05-14 09:00", "2026-05-25 09:00"] {
        db.at(at);
        assert_eq!(db.send().len(), 1);
        db.run_due();
    }
    let over = [
        "C1 | mild | stopped | completed | completed",
        "C2 | mild | stopped | by hand | cancelled",
    ];
    db.expect(STATUS, &over);
    db.exec("UPDATE claim SET open_amount = 2");
    db.run_due();
    db.expect(STATUS, &over);
}

#[test]
fn rcv_05_what_cannot_be_a_strategy_is_refused() {
    let mut db = claims();
    db.bind_invoice();
    db.install(&strategy("mild"));
    db.install(&claim_workflow(
        "plain",
        json!({}),
        json!([{"name": "end", "kind": "finish"}]),
    ));
    claim(&mut db, "C1", "2026-05-04", "1", "EUR");
    for (call, sqlstate, says) in [
        (
            "wf.pause_strategy('claim', 'C1')",
            "55000",
            "subject \"claim\" has no default strategy",
        ),
        (
            "wf.set_strategy('claim', 'plain')",
            "55000",
            "workflow \"plain\" is no default strategy",
        ),
        (
            "wf.set_strategy('claim', 'nothing')",
            "42704",
            "workflow \"nothing\" does not exist",
        ),
        (
            "wf.set_strategy('clam', 'mild')",
            "42704",
            "subject \"clam\" does not exist",
        ),
        (
            "wf.set_strategy('invoice', 'mild')",
            "55000",
            "is about subject \"claim\", not \"invoice\"",
        ),
        (
            "wf.set_strategy('claim', 'mild', 'A-1', 'C1')",
            "22023",
            "both an account and a key are given",
        ),
        (
            "wf.set_strategy('invoice', NULL, account => 'A')",
            "55000",
            "names no column for accounts",
        ),
        (
            "wf.start('mild', 'C1')",
            "55000",
            "workflow \"mild\" is a default strategy",
        ),
    ] {
        db.expect_error(&format!("SELECT {call}"), sqlstate, &[says]);
    }
    let mut by_hand = strategy("by hand");
    by_hand.as_object_mut().unwrap().remove("start");
    db.define(&by_hand);
    db.expect_error(
        "SELECT wf.publish('by hand')",
        "22023",
        &["a default strategy needs a start rule"],
    );
    let agent = db.role("agent");
    db.exec(&format!("SELECT wf.grant_role('\"{agent}\"', 'agent')"));
    db.connect_as(&agent).expect_error(
        "SELECT wf.pause_strategy('claim', 'C1')",
        "42501",
        &["permission denied"],
    );
}
