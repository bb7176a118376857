//! Cases for each row of a case, and cases that go on with all of them.

use super::*;

const NONE: &[&str] = &[];
const CASES: &str = "SELECT workflow, key, state, outcome FROM probe.cases() ORDER BY case_id, key";

/// A case of `all` for C1, C2 and C3, which has each claim visited by a case of `visit`.
fn visits(need: Option<u16>) -> TestDb {
    visits_with(need, json!({"templates": {}}))
}

/// The same, where claims leave `all` when they are settled, which does not stop a visit.
fn visits_without_stop() -> TestDb {
    visits_with(
        None,
        json!({"templates": {}, "stop": [{"when": "state = 'settled'", "reason": "settled"}]}),
    )
}

fn visits_with(need: Option<u16>, head: Value) -> TestDb {
    let mut db = claims();
    for id in ["C1", "C2", "C3"] {
        claim(&mut db, id, "2026-04-01", "100", "EUR");
    }
    db.install(&claim_workflow(
        "visit",
        json!({"templates": {}, "subjects": "one"}),
        json!([
            {"name": "seen", "kind": "question", "participant": "clerk",
             "options": [{"name": "yes", "next": "home"}, {"name": "no", "next": "away"}]},
            {"name": "home", "kind": "finish"},
            {"name": "away", "kind": "finish", "outcome": "away"}
        ]),
    ));
    let mut each = json!({"name": "visit all", "kind": "for_each", "workflow": "visit"});
    if let Some(need) = need {
        each["need"] = need.into();
    }
    db.install(&claim_workflow(
        "all",
        head,
        json!([
            each,
            {"name": "met", "kind": "decision", "otherwise": "end",
             "legs": [{"name": "most", "when": "(answers -> 'visit all' ->> 'completed')::int > 1", "next": "good"}]},
            {"name": "good", "kind": "finish", "outcome": "met"},
            {"name": "end", "kind": "finish"}
        ]),
    ));
    db.exec("SELECT wf.start('all', '{C1,C2,C3}'::text[])");
    db.run_due();
    db
}

fn answer(db: &mut TestDb, case: i64, answer: &str) {
    db.exec(&format!(
        "SELECT wf.complete_step({case}, 'seen', '{answer}')"
    ));
    db.run_due();
}

#[test]
fn for_each_row_a_case_and_all_are_waited_for() {
    let mut db = visits(None);
    db.expect(
        "SELECT case_id, step, state FROM probe.open()",
        &[
            "1 | visit all | waiting",
            "2 | seen | open",
            "3 | seen | open",
            "4 | seen | open",
        ],
    );
    db.expect(
        "SELECT workflow, key FROM probe.cases() WHERE workflow = 'visit' ORDER BY case_id",
        &["visit | C1", "visit | C2", "visit | C3"],
    );
    answer(&mut db, 3, "yes");
    answer(&mut db, 2, "no");
    db.expect("SELECT state FROM wf.cases WHERE case_id = 1", &["running"]);
    answer(&mut db, 4, "yes");
    db.expect(
        "SELECT state, outcome FROM wf.cases WHERE case_id = 1",
        &["completed | met"],
    );
    db.expect(
        "SELECT outcome, detail FROM probe.history() WHERE step = 'visit all'",
        &[r#"done | {"cases": 3, "ended": 3, "outcomes": {"away": 1, "completed": 2}, "workflow": "visit"}"#],
    );
}

#[test]
fn for_each_row_a_case_and_the_rest_is_withdrawn_when_enough_have_ended() {
    let mut db = visits(Some(1));
    answer(&mut db, 3, "no");
    db.expect(
        "SELECT state, outcome FROM wf.cases ORDER BY case_id",
        &[
            "completed | completed",
            "cancelled | cancelled",
            "completed | away",
            "cancelled | cancelled",
        ],
    );
    db.expect(
        "SELECT reason FROM wf.cases WHERE case_id = 4",
        &["case 1 no longer waits for it"],
    );
    db.expect("SELECT * FROM probe.tasks()", NONE);
}

#[test]
fn for_each_row_a_case_all_are_held_and_one_that_cannot_start_keeps_all_from_it() {
    let mut db = visits(None);
    db.exec("SELECT wf.hold(1)");
    db.expect("SELECT DISTINCT state FROM wf.cases", &["held"]);
    db.exec("SELECT wf.release(1)");
    db.expect("SELECT DISTINCT state FROM wf.cases", &["running"]);
    db.exec("SELECT wf.cancel(1)");
    db.expect("SELECT DISTINCT state FROM wf.cases", &["cancelled"]);
    db.exec("SELECT wf.start('visit', 'C2')");
    db.exec("SELECT wf.start('all', '{C1,C2}'::text[])");
    db.run_due();
    db.expect(
        "SELECT message FROM wf.incidents",
        &["step \"visit all\": claim C2 already has an open case of workflow \"visit\""],
    );
    db.expect("SELECT count(*) FROM wf.cases", &["6"]);
    db.exec("SELECT wf.cancel(5)");
    db.exec("SELECT wf.retry(6)");
    db.run_due();
    db.expect(
        "SELECT workflow, key FROM probe.cases() WHERE case_id > 6 ORDER BY case_id",
        &["visit | C1", "visit | C2"],
    );
}

#[test]
fn arw_18_rcv_03_all_rows_go_along() {
    let mut db = claims();
    for id in ["C1", "C2"] {
        claim(&mut db, id, "2026-04-01", "100", "EUR");
    }
    let note = |text: &str| json!({"name": "noted", "kind": "note", "text": text});
    db.install(&claim_workflow("b", json!({"templates": {}}), json!([
        note("{% for c in subjects %}{{ c.id }} {% endfor %}"), {"name": "end", "kind": "finish"}
    ])));
    db.install(&claim_workflow(
        "a",
        json!({"templates": {}}),
        json!([{"name": "on", "kind": "continue_with", "workflow": "b"}]),
    ));
    db.exec("SELECT wf.start('a', '{C1,C2}'::text[])");
    db.run_due();
    db.expect(
        CASES,
        &[
            "a | C1 | completed | continued",
            "a | C2 | completed | continued",
            "b | C1 | completed | completed",
            "b | C2 | completed | completed",
        ],
    );
    db.expect("SELECT body FROM wf.notes", &["C1 C2 "]);
}

#[test]
fn rcv_03_with_the_row_that_leaves_ends_the_case_that_was_started_for_it() {
    for (way, outcome, reason) in [
        (
            "SELECT wf.remove_subject(1, 'C2', 'disputed')",
            "removed",
            "claim C2 has left case 1: disputed",
        ),
        (
            "UPDATE claim SET state = 'settled' WHERE id = 'C2'",
            "stopped",
            "claim C2 has left case 1: settled",
        ),
    ] {
        let mut db = visits_without_stop();
        db.exec(way);
        db.run_due();
        db.expect(
            "SELECT key, state, outcome, reason FROM probe.cases() WHERE workflow = 'visit' AND state <> 'running'",
            &[format!("C2 | cancelled | {outcome} | {reason}")],
        );
        db.expect(
            "SELECT case_id FROM probe.tasks() ORDER BY case_id",
            &[2, 4],
        );
        for case in [2, 4] {
            db.expect("SELECT state FROM wf.cases WHERE case_id = 1", &["running"]);
            answer(&mut db, case, "yes");
        }
        db.expect(
            "SELECT state, outcome FROM wf.cases WHERE case_id = 1",
            &["completed | met"],
        );
        db.expect(
            "SELECT detail -> 'cases', detail -> 'ended', detail -> 'outcomes' FROM probe.history() WHERE step = 'visit all'",
            &[format!(r#"3 | 3 | {{"{outcome}": 1, "completed": 2}}"#)],
        );
    }
}

#[test]
fn rcv_03_the_case_of_the_last_row_that_was_waited_for_lets_the_others_go_on() {
    let mut db = visits_without_stop();
    for case in [2, 4] {
        answer(&mut db, case, "yes");
    }
    db.exec("SELECT wf.remove_subject(1, 'C2', 'disputed')");
    db.run_due();
    db.expect(
        "SELECT state, outcome FROM wf.cases WHERE case_id = 1",
        &["completed | met"],
    );
}

#[test]
fn a_case_that_is_waited_for_by_itself_stays_when_a_row_leaves() {
    let mut db = claims();
    for id in ["C1", "C2"] {
        claim(&mut db, id, "2026-04-01", "100", "EUR");
    }
    let check =
        json!({"name": "check", "kind": "task", "participant": "clerk", "due": {"days": 5}});
    db.install(&claim_workflow(
        "checking",
        json!({"templates": {}}),
        json!([check, {"name": "end", "kind": "finish"}]),
    ));
    db.install(&claim_workflow(
        "all",
        json!({"templates": {}}),
        json!([{"name": "checked", "kind": "sub_workflow", "workflow": "checking"}, {"name": "end", "kind": "finish"}]),
    ));
    db.exec("SELECT wf.start('all', '{C1,C2}'::text[])");
    db.run_due();
    db.exec("SELECT wf.remove_subject(1, 'C1', 'disputed')");
    db.run_due();
    db.expect(
        "SELECT state FROM wf.cases ORDER BY case_id",
        &["running", "running"],
    );
}
