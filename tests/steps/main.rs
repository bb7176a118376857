//! Each kind of step, by what it does to a case.
//! * `calls`: functions, voice, tickets, questions with several answers

mod calls;

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// One case of a workflow with these steps, on invoice 1 (1,000 EUR, due 2026-04-01), started on Mon 2026-03-02 10:00.
fn with_steps(steps: Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow("flow", steps));
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    db.run_due();
    db
}

fn task(name: &str) -> Value {
    json!({"name": name, "kind": "task", "participant": "clerk", "due": {"anchor": "previous_done", "days": 1}})
}

const CASE: &str = "SELECT state, outcome FROM probe.cases()";
const DONE: &str =
    "SELECT step, outcome FROM probe.history() WHERE event = 'step_done' AND kind <> 'finish'";
const OPEN: &str = "SELECT step FROM probe.open()";

#[test]
fn rcv_10_task() {
    let mut db = with_steps(json!([task("work")]));
    db.expect(
        "SELECT title, participant, outcomes, probe.local(due_at) FROM wf.tasks",
        &["Step work | clerk | {done} | Tue 2026-03-03 00:00"],
    );
    db.settle("work", None);
    db.expect(DONE, &["work | done"]);
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn arw_10_call() {
    let mut db = with_steps(json!([
        {"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "business_days": 1},
         "outcomes": [{"name": "reached"}, {"name": "voicemail", "next": "again"}]},
        {"name": "thanks", "kind": "note", "text": "Reached.", "next": "end"},
        {"name": "again", "kind": "note", "text": "Voicemail."},
        {"name": "end", "kind": "finish"}
    ]));
    db.expect(
        "SELECT step, outcomes FROM probe.tasks()",
        &["ring | reached,voicemail"],
    );
    db.settle("ring", Some("voicemail"));
    db.expect("SELECT body FROM wf.notes", &["Voicemail."]);
}

#[test]
fn as_06_question() {
    let mut db = with_steps(json!([
        {"name": "ask", "kind": "question", "participant": "clerk",
         "options": [{"name": "yes", "next": "good"}, {"name": "no", "next": "bad"}]},
        {"name": "good", "kind": "finish", "outcome": "agreed"},
        {"name": "bad", "kind": "finish", "outcome": "refused"}
    ]));
    db.settle("ask", Some("no"));
    db.expect(CASE, &["completed | refused"]);
    db.expect(DONE, &["ask | no"]);
}

#[test]
fn a_manual_step_with_a_date_appears_on_it() {
    let mut db = with_steps(json!([
        {"name": "later", "kind": "task", "participant": "clerk", "on": {"anchor": "case_start", "days": 7},
         "due": {"anchor": "case_start", "days": 9}}
    ]));
    db.expect("SELECT * FROM probe.tasks()", NONE);
    db.at("2026-03-08 23:59");
    db.expect("SELECT * FROM probe.tasks()", NONE);
    db.at("2026-03-09 00:00");
    db.expect(
        "SELECT step, due FROM probe.tasks()",
        &["later | Wed 2026-03-11 00:00"],
    );
}

#[test]
fn rcv_12_email_sms_and_letter() {
    let mut db = with_steps(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "text", "kind": "sms", "template": "hello"},
        {"name": "post", "kind": "letter", "template": "hello"}
    ]));
    for (channel, recipient) in [
        ("email", "jansen@example.com"),
        ("sms", "+31201234567"),
        ("letter", "Damrak 1, Amsterdam"),
    ] {
        let sent = db.send();
        assert_eq!(sent.len(), 1, "{}", db.story());
        assert_eq!(
            (sent[0].channel.as_str(), sent[0].recipient.as_str()),
            (channel, recipient)
        );
        assert_eq!(sent[0].body, "Invoice INV-1, 1000 open.");
    }
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn a_message_without_an_address_takes_the_other_way_or_parks() {
    let steps = json!([
        {"name": "mail", "kind": "email", "template": "hello", "otherwise": "ring", "next": "end"},
        {"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 1}},
        {"name": "end", "kind": "finish", "merge": true}
    ]);
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow("flow", steps));
    db.exec("INSERT INTO invoice VALUES (1, 'INV-1', 3, 'posted', '2026-04-01', 5, 'EUR')");
    db.start("flow", 1);
    db.run_due();
    db.expect("SELECT step FROM probe.tasks()", &["ring"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn arw_07_note() {
    let mut db = with_steps(json!([
        {"name": "remark", "kind": "note", "text": "{{ customer_name }} owes {{ open_amount | money(currency) }} since {{ due_date | date }}."}
    ]));
    let body: String = db.one("SELECT body FROM wf.notes");
    assert!(body.starts_with("Jansen BV owes "), "{body}");
    assert!(body.contains("000"), "{body}");
    db.expect(
        "SELECT case_id IS NOT NULL, step_no, visit FROM wf.notes",
        &["t | 1 | 1"],
    );
}

#[test]
fn arw_11_update_writes_the_erp_row() {
    let mut db = with_steps(json!([
        {"name": "mark", "kind": "update", "set": {"state": "'reminded'", "open_amount": "open_amount + 12.5"}}
    ]));
    db.expect(
        "SELECT state, open_amount FROM invoice",
        &["reminded | 1012.5"],
    );
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn update_comes_back_later_when_the_erp_holds_the_row() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "flow",
        json!([
            {"name": "go", "kind": "wait", "on": {"anchor": "case_start", "hours": 1}},
            {"name": "mark", "kind": "update", "set": {"state": "'reminded'"}}
        ]),
    ));
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    let mut erp = db.connect();
    erp.exec("BEGIN; UPDATE invoice SET number = 'INV-1a' WHERE id = 1");
    db.exec("SET lock_timeout = '20s'");
    db.at("2026-03-02 11:00");
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect(OPEN, &["mark"]);
    erp.exec("COMMIT");
    db.at("2026-03-02 12:00");
    db.expect("SELECT number, state FROM invoice", &["INV-1a | reminded"]);
    db.expect(CASE, &["completed | completed"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn as_22_decision() {
    let steps = json!([
        {"name": "choose", "kind": "decision",
         "legs": [{"name": "large", "when": "open_amount > 500", "next": "big"}, {"name": "dollars", "when": "currency = 'USD'", "next": "usd"}],
         "otherwise": "small"},
        {"name": "big", "kind": "finish", "outcome": "big"},
        {"name": "usd", "kind": "finish", "outcome": "usd"},
        {"name": "small", "kind": "finish", "outcome": "small"}
    ]);
    let mut db = with_steps(steps);
    db.expect(CASE, &["completed | big"]);
    db.expect(DONE, &["choose | large"]);
    for (id, amount, currency) in [
        (2, "600", "USD"),
        (3, "5", "USD"),
        (4, "5", "EUR"),
        (5, "NULL", "EUR"),
    ] {
        db.exec(&format!("INSERT INTO invoice VALUES ({id}, 'INV-{id}', 1, 'posted', NULL, {amount}, '{currency}')"));
        db.start("flow", id);
        db.run_due();
    }
    db.expect(
        "SELECT key, outcome FROM probe.cases()",
        &["1 | big", "2 | big", "3 | usd", "4 | small", "5 | small"],
    );
}

#[test]
fn a_step_whose_condition_is_not_true_is_skipped() {
    let mut db = with_steps(json!([
        {"name": "never", "kind": "note", "text": "x", "when": "open_amount > 5000"},
        {"name": "unknown", "kind": "note", "text": "x", "when": "NULL::boolean"},
        {"name": "always", "kind": "note", "text": "y", "when": "due_date is not null"}
    ]));
    db.expect("SELECT body FROM wf.notes", &["y"]);
    db.expect(
        "SELECT step FROM probe.history() WHERE event = 'step_skipped'",
        &["never", "unknown"],
    );
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn a_condition_is_asked_when_the_step_is_due_not_before() {
    let mut db = with_steps(json!([
        {"name": "later", "kind": "note", "text": "Still large.", "when": "open_amount > 500", "on": {"anchor": "case_start", "days": 7}}
    ]));
    db.exec("UPDATE invoice SET open_amount = 1");
    db.at("2026-03-09 00:00");
    db.expect("SELECT * FROM wf.notes", NONE);
    db.expect(
        "SELECT step FROM probe.history() WHERE event = 'step_skipped'",
        &["later"],
    );
}

#[test]
fn arw_16_wait() {
    let mut db = with_steps(json!([
        {"name": "first", "kind": "wait", "on": {"anchor": "previous_done", "hours": 36}},
        {"name": "second", "kind": "wait", "on": {"anchor": "previous_done", "days": 2, "time": "14:30"}},
        {"name": "third", "kind": "wait", "on": {"anchor": "step.first", "business_days": 5}}
    ]));
    db.expect(
        "SELECT step, run FROM probe.open()",
        &["first | Tue 2026-03-03 22:00"],
    );
    db.at("2026-03-03 21:59");
    db.expect(OPEN, &["first"]);
    db.at("2026-03-03 22:00");
    db.expect(
        "SELECT step, run FROM probe.open()",
        &["second | Thu 2026-03-05 14:30"],
    );
    db.at("2026-03-05 14:30");
    db.expect(
        "SELECT step, run FROM probe.open()",
        &["third | Tue 2026-03-10 00:00"],
    );
    db.at("2026-03-10 00:00");
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn steps_whose_dates_have_passed_run_one_after_the_other() {
    let mut db = with_steps(json!([
        {"name": "a", "kind": "wait", "on": {"anchor": "case_start", "days": 1}},
        {"name": "b", "kind": "wait", "on": {"anchor": "case_start", "days": 2}},
        {"name": "c", "kind": "wait", "on": {"anchor": "case_start", "days": 3}}
    ]));
    db.at("2026-03-20 10:00");
    db.expect(DONE, &["a | done", "b | done", "c | done"]);
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn parallel_and_join() {
    let mut db = with_steps(json!([
        {"name": "both", "kind": "parallel", "branches": ["left", "right"]},
        {"name": "left", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 1}, "next": "meet"},
        {"name": "right", "kind": "wait", "on": {"anchor": "case_start", "days": 7}, "next": "meet"},
        {"name": "meet", "kind": "join", "of": "both"},
        {"name": "after", "kind": "note", "text": "Both."}
    ]));
    db.expect(OPEN, &["left", "right"]);
    db.settle("left", None);
    db.expect("SELECT * FROM wf.notes", NONE);
    db.expect(OPEN, &["right", "meet"]);
    db.at("2026-03-09 00:00");
    db.expect("SELECT body FROM wf.notes", &["Both."]);
    db.expect(CASE, &["completed | completed"]);
    db.expect(
        "SELECT count(*) FROM probe.history() WHERE step = 'meet' AND event = 'step_done'",
        &[1],
    );
}

#[test]
fn parallel_branches_that_end_together_join_once() {
    let mut db = with_steps(json!([
        {"name": "both", "kind": "parallel", "branches": ["left", "right", "middle"]},
        {"name": "left", "kind": "wait", "on": {"anchor": "case_start", "days": 7}, "next": "meet"},
        {"name": "right", "kind": "wait", "on": {"anchor": "case_start", "days": 7}, "next": "meet"},
        {"name": "middle", "kind": "wait", "on": {"anchor": "case_start", "days": 7}, "next": "meet"},
        {"name": "meet", "kind": "join", "of": "both"},
        {"name": "after", "kind": "note", "text": "All."}
    ]));
    db.at("2026-03-09 00:00");
    db.expect("SELECT body FROM wf.notes", &["All."]);
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn cancelling_ends_every_branch() {
    let mut db = with_steps(json!([
        {"name": "both", "kind": "parallel", "branches": ["left", "right"]},
        {"name": "left", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 1}, "next": "meet"},
        {"name": "right", "kind": "email", "template": "hello", "next": "meet"},
        {"name": "meet", "kind": "join", "of": "both"}
    ]));
    db.exec("SELECT wf.cancel(case_id) FROM probe.cases()");
    db.expect(OPEN, NONE);
    db.expect("SELECT * FROM probe.tasks()", NONE);
    assert_eq!(db.lease(), []);
}

#[test]
fn repeat_goes_back_a_bounded_number_of_times() {
    let mut db = with_steps(json!([
        task("try"),
        {"name": "again", "kind": "repeat", "back_to": "try", "max_visits": 3, "exhausted": "gave_up"},
        {"name": "gave_up", "kind": "finish", "outcome": "gave up"}
    ]));
    for visit in 1..=3 {
        db.expect(
            "SELECT step, visit FROM probe.tasks()",
            &[format!("try | {visit}")],
        );
        db.settle("try", None);
    }
    db.expect(CASE, &["completed | gave up"]);
    db.expect(
        "SELECT visit FROM probe.history() WHERE step = 'try' AND event = 'step_done'",
        &[1, 2, 3],
    );
}

#[test]
fn finish_gives_the_case_its_outcome() {
    let mut db =
        with_steps(json!([{"name": "over", "kind": "finish", "outcome": "nothing to do"}]));
    db.expect(CASE, &["completed | nothing to do"]);
    db.expect(
        "SELECT event, outcome FROM probe.history() WHERE event = 'case_completed'",
        &["case_completed | nothing to do"],
    );
}

#[test]
fn a_stop_rule_is_looked_at_before_every_step() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    let mut flow = invoice_workflow(
        "flow",
        json!([
            {"name": "later", "kind": "note", "text": "Too late.", "on": {"anchor": "case_start", "days": 7}}
        ]),
    );
    // The clock decides here, no change of any row.
    flow["stop"] = json!([{"when": "due_date < '2026-04-02' and wf.now() > '2026-03-05'", "reason": "over time"}]);
    db.install(&flow);
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.at("2026-03-09 10:00");
    db.expect(
        "SELECT state, reason FROM probe.cases()",
        &["cancelled | over time"],
    );
    db.expect("SELECT * FROM wf.notes", NONE);
}

/// Once tokens have run on from step to step, a batch asks about the steps ahead together with the one that is due.
#[test]
fn asking_ahead_does_no_harm_where_a_step_is_not_reached() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec("CREATE SEQUENCE asked");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "flow",
        json!([
            {"name": "choose", "kind": "decision", "otherwise": "plain", "legs": [
                {"name": "divided", "when": "open_amount < 0", "next": "divided"},
                {"name": "counted", "when": "open_amount < -1", "next": "counted"}]},
            {"name": "divided", "kind": "note", "text": "Divided.", "when": "1 / (open_amount - 1000) > 0", "next": "end"},
            {"name": "counted", "kind": "note", "text": "Counted.", "when": "nextval('public.asked') > 0", "next": "end"},
            {"name": "plain", "kind": "note", "text": "Plain.", "next": "end"},
            {"name": "end", "kind": "finish"}
        ]),
    ));
    for id in 1..=4 {
        db.invoice(id, "2026-04-01", "1000");
        db.start("flow", id);
        db.run_due();
    }
    db.expect("SELECT DISTINCT body FROM wf.notes", &["Plain."]);
    db.expect(
        "SELECT count(*) FROM wf.cases WHERE outcome = 'completed'",
        &[4],
    );
    db.expect("SELECT count(*) FROM wf.failures", &[0]);
    db.expect("SELECT is_called FROM asked", &["f"]);
}
