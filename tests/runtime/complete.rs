//! wf.complete and wf.complete_step.

use serde_json::json;
use workflow_engine_tests::invoice_workflow;

use super::work;

#[test]
fn complete_settles_the_task_and_gives_back_what_comes_next() {
    let mut db = work();
    db.start("work", 1);
    let task = db.task("check");
    db.expect(
        &format!("SELECT state, step, visit, probe.local(due_at), task_id FROM wf.complete({task}, 'good')"),
        &["running | pause | 1 | Thu 2026-03-12 00:00 | null"],
    );
    db.expect("SELECT body FROM wf.notes", &["Checked INV-1."]);
    db.expect(
        "SELECT step, event, outcome, actor FROM probe.history() WHERE event = 'step_done'",
        &[
            "check | step_done | good | postgres",
            "remark | step_done | done | postgres",
        ],
    );
    db.expect("SELECT count(*) FROM probe.tasks()", &[0]);
}

#[test]
fn complete_gives_back_the_next_task_at_once() {
    let mut db = work();
    db.install(&invoice_workflow(
        "two",
        json!([
            {"name": "one", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 1}},
            {"name": "two", "kind": "question", "participant": "clerk",
             "options": [{"name": "yes", "next": "end"}, {"name": "no", "next": "end"}], "merge": true},
            {"name": "end", "kind": "finish", "merge": true}
        ]),
    ));
    db.start("two", 1);
    let task = db.task("one");
    let rows = db.rows(&format!("SELECT step, task_id FROM wf.complete({task})"));
    assert_eq!(rows, [["two".to_owned(), db.task("two").to_string()]]);
    let question = db.task("two");
    db.expect(
        &format!("SELECT state, step, visit, due_at, task_id FROM wf.complete({question}, 'yes')"),
        &["completed | null | null | null | null"],
    );
    db.expect(
        "SELECT state, outcome FROM probe.cases()",
        &["completed | completed"],
    );
}

#[test]
fn the_same_call_again_is_no_error_and_changes_nothing() {
    let mut db = work();
    let case = db.start("work", 1);
    let task = db.task("check");
    let call = format!(
        "SELECT state, step, visit, due_at FROM wf.complete({task}, 'good', '{{\"by\": \"phone\"}}')"
    );
    let first = db.lines(&call);
    let before: String = db.one("SELECT probe.state()");
    assert_eq!(db.lines(&call), first);
    let by_step =
        format!("SELECT state, step, visit, due_at FROM wf.complete_step({case}, 'check', 'good')");
    assert_eq!(db.lines(&by_step), first);
    db.expect("SELECT probe.state()", std::slice::from_ref(&before));

    // Another answer is not the same call.
    db.expect_error(
        &format!("SELECT * FROM wf.complete({task}, 'bad')"),
        "55000",
        &["good"],
    )
    .hints("");
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn the_data_of_a_completion_is_kept_for_conditions_and_texts() {
    let mut db = work();
    db.install(&invoice_workflow(
        "data",
        json!([
            {"name": "ask", "kind": "question", "participant": "clerk",
             "options": [{"name": "high", "next": "choose"}, {"name": "low", "next": "end"}]},
            {"name": "choose", "kind": "decision",
             "legs": [{"name": "urgent", "when": "(vars->>'days')::int < 3 and answers->>'ask' = 'high'", "next": "hurry"}],
             "otherwise": "end"},
            {"name": "hurry", "kind": "note", "text": "Hurry."},
            {"name": "end", "kind": "finish", "merge": true}
        ]),
    ));
    for (key, days, notes) in [(1, 2, 1), (2, 9, 1)] {
        db.start("data", key);
        let task = db.task("ask");
        db.exec(&format!(
            "SELECT * FROM wf.complete({task}, 'high', '{{\"days\": {days}}}')"
        ));
        db.run_due();
        db.expect("SELECT count(*) FROM wf.notes", &[notes]);
    }
    db.expect(
        "SELECT vars->>'days' FROM wf.cases ORDER BY case_id",
        &["2", "9"],
    );
}

#[test]
fn complete_refuses_what_is_not_there() {
    let mut db = work();
    let case = db.start("work", 1);
    let task = db.task("check");
    let before: String = db.one("SELECT probe.state()");
    db.expect_error("SELECT * FROM wf.complete(999999)", "P0002", &["999999"])
        .hints("");
    db.expect_error(
        &format!("SELECT * FROM wf.complete({task}, 'great')"),
        "42704",
        &["great", "good", "bad"],
    );
    db.expect_error(
        &format!("SELECT * FROM wf.complete({task})"),
        "42704",
        &["good", "bad"],
    );
    db.expect_error(
        &format!("SELECT * FROM wf.complete_step({case}, 'chekc', 'good')"),
        "42704",
        &["chekc"],
    );
    db.expect_error(
        &format!("SELECT * FROM wf.complete_step({case}, 'close')"),
        "55000",
        &["close"],
    )
    .hints("");
    db.expect_error(
        "SELECT * FROM wf.complete_step(999999, 'check', 'good')",
        "P0002",
        &["999999"],
    );
    db.expect("SELECT probe.state()", &[before]);

    db.exec(&format!("SELECT * FROM wf.cancel({case})"));
    db.expect_error(
        &format!("SELECT * FROM wf.complete({task}, 'good')"),
        "55000",
        &[&task.to_string()],
    );
    db.expect_error(
        &format!("SELECT * FROM wf.complete_step({case}, 'check', 'good')"),
        "55000",
        &["cancelled"],
    );
}

#[test]
fn complete_is_undone_with_the_callers_transaction() {
    let mut db = work();
    db.start("work", 1);
    let task = db.task("check");
    let before: String = db.one("SELECT probe.state()");
    db.exec(&format!(
        "BEGIN; SELECT * FROM wf.complete({task}, 'good'); ROLLBACK"
    ));
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn a_task_of_another_role_is_not_yours() {
    let mut db = work();
    let (mine, other) = (db.role("clerk"), db.role("other"));
    db.exec(&format!("SELECT wf.set_participant('clerk', '{mine}')"));
    for role in [&mine, &other] {
        db.exec(&format!(
            "GRANT USAGE ON SCHEMA wf TO \"{role}\"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wf TO \"{role}\""
        ));
    }
    db.start("work", 1);
    let task = db.task("check");
    let call = format!("SELECT state FROM wf.complete({task}, 'good')");
    db.connect_as(&other)
        .expect_error(&call, "42501", &["clerk"]);
    db.expect("SELECT count(*) FROM probe.tasks()", &[1]);
    db.connect_as(&mine).expect(&call, &["running"]);
    db.expect(
        &format!("SELECT actor = '{mine}' FROM probe.history() WHERE step = 'check' AND event = 'step_done'"),
        &["t"],
    );
}

#[test]
fn two_people_who_settle_at_once_settle_once() {
    let mut db = work();
    db.start("work", 1);
    let task = db.task("check");
    let callers: Vec<_> = ["good", "bad", "good", "bad"]
        .into_iter()
        .map(|outcome| {
            let mut session = db.connect();
            std::thread::spawn(move || {
                session
                    .try_exec(&format!("SELECT * FROM wf.complete({task}, '{outcome}')"))
                    .err()
            })
        })
        .collect();
    let failures: Vec<_> = callers
        .into_iter()
        .filter_map(|c| c.join().expect("no panic"))
        .collect();
    assert_eq!(failures.len(), 2, "{failures:?}");
    for failure in failures {
        failure.is("55000", &[]);
    }
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE step = 'check' AND event = 'step_done'",
        &[1],
    );
}
