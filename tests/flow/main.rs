//! Where cases go: joins, events and signals, the first of several, cancelling.
//! * `linked`: cases that start others  * `sub`: cases that others wait for  * `milestones`  * `sections`  * `page`: the page on steps, which runs  * `withdrawn`: messages on their way

mod linked;
mod milestones;
mod page;
mod sections;
mod sub;
mod withdrawn;

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// One case of a workflow with these steps, on invoice 1 (1,000 EUR, due 2026-04-01), started on Mon 2026-03-02 10:00.
fn with_steps(steps: Value) -> (TestDb, i64) {
    with_document(invoice_workflow("flow", steps))
}

fn with_document(document: Value) -> (TestDb, i64) {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&document);
    db.invoice(1, "2026-04-01", "1000");
    let case = db.start("flow", 1);
    db.run_due();
    (db, case)
}

fn task(name: &str, next: &str) -> Value {
    json!({"name": name, "kind": "task", "participant": "clerk", "next": next,
           "due": {"anchor": "previous_done", "days": 1}})
}

const CASE: &str = "SELECT state, outcome FROM probe.cases()";
const OPEN: &str = "SELECT step, state FROM probe.open()";
const TASKS: &str = "SELECT step FROM probe.tasks()";
const CANCELLED: &str =
    "SELECT step, outcome, detail ->> 'reason' FROM probe.history() WHERE event = 'step_cancelled'";

/// Two approvals and a mail side by side.
fn approvals(need: Option<u16>) -> (TestDb, i64) {
    let mut join = json!({"name": "met", "kind": "join", "of": "all"});
    if let Some(need) = need {
        join["need"] = need.into();
    }
    with_steps(json!([
        {"name": "all", "kind": "parallel", "branches": ["ann", "mail", "cem"]},
        task("ann", "met"),
        {"name": "mail", "kind": "email", "template": "hello", "next": "met"},
        task("cem", "met"),
        join
    ]))
}

#[test]
fn control_flow_join_of_all_waits_for_all() {
    let (mut db, _) = approvals(None);
    db.settle("ann", None);
    db.settle("cem", None);
    db.expect(OPEN, &["mail | sending", "met | joining"]);
    assert_eq!(db.send().len(), 1);
    db.expect(CASE, &["completed | completed"]);
    db.expect(CANCELLED, NONE);
}

#[test]
fn control_flow_join_of_one_withdraws_tasks_and_messages_of_the_rest() {
    let (mut db, _) = approvals(Some(1));
    db.expect(TASKS, &["ann", "cem"]);
    db.settle("cem", None);
    db.expect(CASE, &["completed | completed"]);
    db.expect(TASKS, NONE);
    db.expect(
        CANCELLED,
        &[
            "ann | not needed | join \"met\" goes on with 1 of 3 branches",
            "mail | not needed | join \"met\" goes on with 1 of 3 branches",
        ],
    );
    db.expect(
        "SELECT step, state, reason FROM probe.outbox()",
        &["mail | suppressed | join \"met\" goes on with 1 of 3 branches"],
    );
    assert_eq!(db.send().len(), 0);
}

#[test]
fn control_flow_join_of_two_of_three() {
    let (mut db, _) = approvals(Some(2));
    db.settle("ann", None);
    db.expect(CASE, &["running | null"]);
    assert_eq!(db.send().len(), 1);
    db.expect(CASE, &["completed | completed"]);
    db.expect(
        CANCELLED,
        &["cem | not needed | join \"met\" goes on with 2 of 3 branches"],
    );
}

#[test]
fn control_flow_inclusive_decision_waits_for_the_legs_it_took() {
    let steps = || {
        json!([
            {"name": "what", "kind": "inclusive", "otherwise": "met",
             "legs": [{"name": "large", "when": "open_amount > 500", "next": "ring"},
                      {"name": "dollars", "when": "currency = 'USD'", "next": "convert"},
                      {"name": "posted", "when": "state = 'posted'", "next": "look"}]},
            task("ring", "met"), task("convert", "met"), task("look", "met"),
            {"name": "met", "kind": "join", "of": "what"}
        ])
    };
    let (mut db, _) = with_steps(steps());
    db.expect(TASKS, &["ring", "look"]);
    db.expect(
        "SELECT outcome FROM probe.history() WHERE step = 'what'",
        &["large, posted"],
    );
    db.settle("look", None);
    db.expect(CASE, &["running | null"]);
    db.settle("ring", None);
    db.expect(CASE, &["completed | completed"]);
}

fn papers() -> (TestDb, i64) {
    with_steps(json!([
        task("ask", "papers"),
        {"name": "papers", "kind": "event", "signal": "papers in"},
        {"name": "noted", "kind": "note", "text": "{{ vars.pages }} pages"},
        task("read", "end"),
        {"name": "end", "kind": "finish"}
    ]))
}

#[test]
fn cs_14_a_signal_in_time_early_and_late() {
    let (mut db, case) = papers();
    db.settle("ask", None);
    db.expect(OPEN, &["papers | waiting"]);
    db.expect(
        &format!("SELECT state, step FROM wf.signal({case}, 'papers in', '{{\"pages\": 3}}')"),
        &["running | read"],
    );
    db.expect("SELECT body FROM wf.notes", &["3 pages"]);
    db.expect(
        "SELECT outcome, detail FROM probe.history() WHERE step = 'papers'",
        &[r#"done | {"data": {"pages": 3}, "signal": "papers in"}"#],
    );
    // Late.
    db.exec(&format!(
        "SELECT wf.signal({case}, 'papers in', '{{\"pages\": 9}}')"
    ));
    db.expect(
        "SELECT event, outcome, detail ->> 'signal' FROM probe.history() ORDER BY history_id DESC LIMIT 1",
        &["signalled | late | papers in"],
    );
    db.expect("SELECT vars FROM wf.case_progress", &[r#"{"pages": 3}"#]);
    db.settle("read", None);
    db.expect_error(
        &format!("SELECT wf.signal({case}, 'papers in')"),
        "55000",
        &["has ended"],
    );
    // Early, by the key.
    db.invoice(2, "2026-04-01", "1000");
    db.start("flow", 2);
    db.exec("SELECT wf.signal('flow', '2', 'papers in', '{\"pages\": 5}')");
    db.expect(OPEN, &["ask | open"]);
    db.settle("ask", None);
    db.expect(
        "SELECT body FROM wf.notes ORDER BY note_id DESC LIMIT 1",
        &["5 pages"],
    );
    db.expect(OPEN, &["read | open"]);
}

#[test]
fn cs_14_signals_that_cannot_be_are_refused() {
    let (mut db, case) = papers();
    let before = db.lines("SELECT probe.state()");
    db.expect_error(
        &format!("SELECT wf.signal({case}, 'papers out')"),
        "42704",
        &["papers out", "papers in"],
    );
    db.expect_error("SELECT wf.signal(999, 'papers in')", "P0002", &["999"]);
    db.expect_error(
        "SELECT wf.signal('flow', '7', 'papers in')",
        "P0002",
        &["7"],
    )
    .hints("wf.start");
    db.expect_error(
        "SELECT wf.signal('nix', '1', 'papers in')",
        "42704",
        &["nix"],
    );
    db.expect_error(
        &format!("SELECT wf.signal({case}, NULL::text)"),
        "22004",
        &["signal"],
    );
    assert_eq!(db.lines("SELECT probe.state()"), before);
}

#[test]
fn cs_14_an_event_of_the_subject_follows_its_row() {
    let (mut db, _) = with_steps(json!([
        {"name": "paid", "kind": "event", "until": "open_amount < 100"},
        {"name": "thanks", "kind": "email", "template": "hello"}
    ]));
    db.expect(OPEN, &["paid | waiting"]);
    db.exec("UPDATE invoice SET open_amount = 500 WHERE id = 1");
    db.run_due();
    db.expect(OPEN, &["paid | waiting"]);
    db.exec("UPDATE invoice SET open_amount = 50 WHERE id = 1");
    db.run_due();
    db.expect(OPEN, &["thanks | sending"]);
}

#[test]
fn cs_15_a_button_is_pushed_by_name() {
    let (mut db, case) = with_steps(json!([
        {"name": "call back", "kind": "button", "participant": "clerk"},
        {"name": "pushed", "kind": "event", "button": "call back"},
        task("ring", "end"),
        {"name": "end", "kind": "finish"}
    ]));
    db.expect(
        &format!(
            "SELECT state, step FROM wf.push_button({case}, 'call back', '{{\"at\": \"noon\"}}')"
        ),
        &["running | ring"],
    );
    db.expect("SELECT vars FROM wf.case_progress", &[r#"{"at": "noon"}"#]);
    db.expect_error(
        &format!("SELECT wf.push_button({case}, 'call back')"),
        "55000",
        &["not open"],
    );
    db.expect_error(
        &format!("SELECT wf.push_button({case}, 'ring')"),
        "55000",
        &["not a button"],
    )
    .hints("wf.complete_step");
    db.expect_error(
        &format!("SELECT wf.push_button({case}, 'call')"),
        "42704",
        &["call"],
    );
}

/// An event, ten days, or a task.
fn first_of() -> (TestDb, i64) {
    with_steps(json!([
        {"name": "first", "kind": "first_of", "branches": ["paid", "late", "ring"]},
        {"name": "paid", "kind": "event", "signal": "paid", "next": "thanked"},
        {"name": "late", "kind": "wait", "on": {"anchor": "previous_done", "days": 10}, "next": "chased"},
        task("ring", "settled"),
        {"name": "thanked", "kind": "finish", "outcome": "thanked"},
        {"name": "chased", "kind": "finish", "outcome": "chased"},
        {"name": "settled", "kind": "finish", "outcome": "settled"}
    ]))
}

#[test]
fn control_flow_the_first_of_several_wins_and_the_others_are_withdrawn() {
    let (mut db, case) = first_of();
    db.expect(OPEN, &["paid | waiting", "late | scheduled", "ring | open"]);
    db.exec(&format!("SELECT wf.signal({case}, 'paid')"));
    db.expect(CASE, &["completed | thanked"]);
    db.expect(TASKS, NONE);
    db.expect(
        CANCELLED,
        &[
            "late | not needed | step \"paid\" came first",
            "ring | not needed | step \"paid\" came first",
        ],
    );
    let (mut db, _) = first_of();
    db.at("2026-03-12 09:00");
    db.expect(CASE, &["completed | chased"]);
    let (mut db, _) = first_of();
    let ring = db.task("ring");
    db.exec(&format!("SELECT wf.complete({ring})"));
    db.expect(CASE, &["completed | settled"]);
}

#[test]
fn control_flow_a_task_that_loses_at_once_is_never_made() {
    let (mut db, case) = with_steps(json!([
        task("before", "first"),
        {"name": "first", "kind": "first_of", "branches": ["ring", "paid"]},
        task("ring", "end"),
        {"name": "paid", "kind": "event", "signal": "paid", "next": "end"},
        {"name": "end", "kind": "finish"}
    ]));
    db.exec(&format!("SELECT wf.signal({case}, 'paid')"));
    db.settle("before", None);
    db.expect(CASE, &["completed | completed"]);
    db.expect("SELECT count(*) FROM wf.tasks", &["0"]);
}

#[test]
fn control_flow_a_step_is_cancelled_and_its_branch_ends() {
    let (mut db, case) = approvals(None);
    db.expect(
        &format!("SELECT step FROM wf.cancel_step({case}, 'mail', 'by phone') ORDER BY 1"),
        &["ann", "cem"],
    );
    db.expect(
        "SELECT state, reason FROM probe.outbox()",
        &["suppressed | by phone"],
    );
    db.settle("ann", None);
    db.exec(&format!("SELECT wf.cancel_step({case}, 'cem')"));
    db.run_due();
    db.expect(CASE, &["completed | completed"]);
    db.expect(
        CANCELLED,
        &["mail | cancelled | by phone", "cem | cancelled | cancelled"],
    );
    db.expect(TASKS, NONE);
}

#[test]
fn control_flow_the_only_way_on_is_not_cancelled() {
    let (mut db, case) = papers();
    db.expect_error(
        &format!("SELECT wf.cancel_step({case}, 'ask')"),
        "55000",
        &["only way on"],
    )
    .hints("wf.skip");
    db.expect_error(
        &format!("SELECT wf.cancel_step({case}, 'nix')"),
        "42704",
        &["nix"],
    );
    db.expect_error("SELECT wf.cancel_step(999, 'ask')", "P0002", &["999"]);
}

#[test]
fn control_flow_a_phase_is_cancelled_and_the_next_one_follows() {
    let mut document = invoice_workflow(
        "flow",
        json!([task("a", "b"), {"name": "b", "kind": "note", "text": "b"}]),
    );
    let mut steps = document["phases"][0]["steps"].take();
    let rest = steps.as_array_mut().map(|steps| steps.split_off(1));
    document["phases"] = json!([{"name": "one", "steps": steps}, {"name": "two", "steps": rest}]);
    let (mut db, case) = with_document(document);
    db.expect_error(
        &format!("SELECT wf.cancel_phase({case}, 'three')"),
        "42704",
        &["one, two"],
    );
    db.expect_error(
        &format!("SELECT wf.cancel_phase({case}, 'two')"),
        "55000",
        &["no open step"],
    );
    db.exec(&format!(
        "SELECT wf.cancel_phase({case}, 'one', 'not here')"
    ));
    db.expect(CASE, &["completed | completed"]);
    db.expect(CANCELLED, &["a | cancelled | not here"]);
    db.expect(TASKS, NONE);
}
