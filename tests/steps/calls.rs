//! Functions that steps call, voice messages, tickets, and questions with several answers.

use super::*;

const FUNCTIONS: &str = "
    CREATE SCHEMA shop;
    CREATE TABLE shop.calls (id bigint, who text);
    CREATE FUNCTION shop.block(id bigint) RETURNS text LANGUAGE plpgsql AS $$
    BEGIN
        IF id = 13 THEN
            RAISE EXCEPTION 'not thirteen' USING ERRCODE = 'check_violation';
        END IF;
        INSERT INTO shop.calls VALUES (id, current_user);
        RETURN CASE WHEN id = 1 THEN 'blocked' END;
    END $$;
    CREATE FUNCTION shop.nothing(id bigint) RETURNS void LANGUAGE sql AS 'INSERT INTO shop.calls VALUES (id, ''nothing'')';
    CREATE FUNCTION shop.facts(id bigint) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{\"risk\": 12345678901234567890.10}'::jsonb $$";

fn with_functions(steps: Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.exec(FUNCTIONS);
    db.install(&invoice_workflow("flow", steps));
    db
}

fn block() -> Value {
    json!([
        {"name": "block", "kind": "sql", "call": "shop.block(id)", "outcomes": [{"name": "blocked", "next": "noted"}],
         "otherwise": "work"},
        {"name": "noted", "kind": "note", "text": "blocked", "next": "end"},
        {"name": "work", "kind": "task", "participant": "clerk", "due": {"days": 1}, "next": "end"},
        {"name": "end", "kind": "finish"}
    ])
}

#[test]
fn need_2_sql_function_runs_as_the_owner_once_a_case_and_its_result_picks_the_leg() {
    let mut db = with_functions(block());
    let owner = db.role("designer");
    db.exec(&format!(
        "GRANT USAGE ON SCHEMA shop TO \"{owner}\"; GRANT INSERT ON shop.calls TO \"{owner}\";
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{owner}\";
         UPDATE wf.workflows SET owner = '\"{owner}\"'"
    ));
    for id in [1, 2, 13] {
        db.invoice(id, "2026-04-01", "1000");
    }
    db.exec("SELECT wf.start_many('flow', '{1,2,13}')");
    db.run_due();
    // One fails, and the others go on; what the failed one did has not happened.
    db.expect(
        "SELECT id, who LIKE 'designer%' FROM shop.calls ORDER BY id",
        &["1 | t", "2 | t"],
    );
    db.expect(
        "SELECT case_id, step FROM probe.open() WHERE case_id <> 3",
        &["2 | work"],
    );
    db.expect("SELECT body FROM wf.notes", &["blocked"]);
    for _ in 0..20 {
        let next: Option<String> = db
            .rows("SELECT probe.local(min(run_at)) FROM wf.case_steps WHERE state = 'scheduled'")
            [0]
        .first()
        .cloned();
        if next.is_none_or(|at| at == "null") {
            break;
        }
        db.exec("SELECT wf.set_clock(wf.now() + interval '1 hour')");
        db.run_due();
    }
    db.expect(
        "SELECT key, step, sqlstate, message LIKE '%not thirteen%' FROM wf.incidents",
        &["13 | block | 23514 | t"],
    );
    db.expect("SELECT count(*) FROM shop.calls", &["2"]);
}

#[test]
fn need_2_sql_function_keeps_its_result_with_all_digits() {
    let mut db = with_functions(json!([
        {"name": "ask", "kind": "sql", "call": "shop.facts(id)", "into": "facts"},
        {"name": "more", "kind": "sql", "call": "vars #>> '{facts,risk}'", "into": "risk"},
        {"name": "do", "kind": "sql", "call": "shop.nothing(id) -- and nothing more"},
        {"name": "none", "kind": "sql", "call": "NULL::text", "into": "none"},
        {"name": "noted", "kind": "note", "text": "{{ vars.risk }}"}
    ]));
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    db.run_due();
    db.expect(
        "SELECT vars FROM wf.cases",
        &[r#"{"none": null, "risk": "12345678901234567890.10", "facts": {"risk": 12345678901234567890.10}}"#],
    );
    db.expect("SELECT body FROM wf.notes", &["12345678901234567890.10"]);
    db.expect("SELECT id, who FROM shop.calls", &["1 | nothing"]);
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn need_2_sql_function_is_not_called_in_a_simulation() {
    let mut db = with_functions(block());
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    db.expect(
        "SELECT step, event, outcome FROM wf.simulate('flow', to_time => wf.now() + interval '2 days') WHERE step = 'block'",
        &["block | step_done | otherwise"],
    );
    db.expect("SELECT * FROM shop.calls", NONE);
}

#[test]
fn need_2_sql_function_is_checked_before_publishing() {
    let mut db = with_functions(block());
    for (call, message) in [
        ("shop.blok(id)", "%shop.blok%does not exist%"),
        ("1; DROP TABLE invoice", "%is not a single SQL expression%"),
        ("nix", "%column \"nix\" does not exist%"),
        (" ", "call is empty"),
    ] {
        db.define(&invoice_workflow(
            "bad",
            json!([{"name": "do", "kind": "sql", "call": call}]),
        ));
        db.expect(
            &format!("SELECT place, message LIKE '{message}' FROM wf.validate('bad') WHERE severity = 'error'"),
            &["step \"do\" | t"],
        );
    }
    db.define(&invoice_workflow(
        "bad",
        json!([{"name": "do", "kind": "sql", "call": "1", "into": "", "otherwise": "end"}]),
    ));
    db.expect(
        "SELECT message FROM wf.validate('bad') WHERE severity = 'error' ORDER BY 1",
        &[
            "into is empty",
            "there is an otherwise, and there are no outcomes",
        ],
    );
}

#[test]
fn fv_07_voice_and_ticket_go_to_their_senders() {
    let mut document = invoice_workflow(
        "flow",
        json!([
            {"name": "pass on", "kind": "ticket", "template": "hello", "queue": "data quality", "done_when": "delivered"},
            {"name": "say", "kind": "voice", "template": "hello"}
        ]),
    );
    // At night nobody is called; a ticket is no call.
    document["contact_window"] = json!({"days": "mon-sun", "from": "08:00", "to": "20:00"});
    let mut db = TestDb::new();
    db.clock("2026-03-02 22:00");
    db.bind_invoice();
    db.install(&document);
    db.invoice(1, "2026-04-01", "1000");
    db.start("flow", 1);
    db.run_due();
    let sent = db.send();
    assert_eq!(sent.len(), 1, "{}", db.story());
    assert_eq!(
        (
            sent[0].channel.as_str(),
            sent[0].recipient.as_str(),
            sent[0].subject.as_str()
        ),
        ("ticket", "data quality", "About INV-1")
    );
    db.expect(OPEN, &["pass on"]);
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'delivered')",
        sent[0].id
    ));
    db.run_due();
    db.expect(OPEN, &["say"]);
    assert_eq!(db.send().len(), 0);
    db.at("2026-03-03 08:00");
    let sent = db.send();
    assert_eq!(
        (
            sent[0].channel.as_str(),
            sent[0].recipient.as_str(),
            sent[0].body.as_str()
        ),
        ("voice", "+31201234567", "Invoice INV-1, 1000 open.")
    );
    db.expect(CASE, &["completed | completed"]);
}

#[test]
fn fv_07_voice_and_ticket_need_an_addressee() {
    let mut db = TestDb::new();
    db.exec("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id')");
    let mut document = invoice_workflow(
        "flow",
        json!([
            {"name": "say", "kind": "voice", "template": "plain"},
            {"name": "pass on", "kind": "ticket", "template": "plain", "queue": " ", "participant": "clerk"}
        ]),
    );
    document["templates"] = json!({"plain": {"body": "Look at it."}});
    db.define(&document);
    db.expect(
        "SELECT severity, place, message FROM wf.validate('flow') ORDER BY 1, 2, 3",
        &[
            "error | step \"pass on\" | a ticket is automatic and has no participant",
            "error | step \"pass on\" | queue is empty",
            "error | step \"say\" | subject \"invoice\" names no column for voice addresses",
            "warning | step \"pass on\" | template \"plain\" has no subject line",
        ],
    );
}

fn several() -> TestDb {
    with_steps(json!([
        {"name": "what is wrong", "kind": "question", "participant": "clerk", "multiple": true, "at_most": 2,
         "options": [{"name": "price"}, {"name": "goods"}, {"name": "date"}]},
        {"name": "what to do", "kind": "inclusive", "otherwise": "met",
         "legs": [{"name": "p", "when": "answers -> 'what is wrong' ? 'price'", "next": "price check"},
                  {"name": "g", "when": "answers -> 'what is wrong' ? 'goods'", "next": "goods check"}]},
        {"name": "price check", "kind": "note", "text": "price {{ vars.by }}", "next": "met"},
        {"name": "goods check", "kind": "note", "text": "goods", "next": "met"},
        {"name": "met", "kind": "join", "of": "what to do"}
    ]))
}

#[test]
fn need_2_question_with_several_answers() {
    let mut db = several();
    db.expect("SELECT outcomes FROM wf.worklist", &["{price,goods,date}"]);
    let task = db.task("what is wrong");
    for (arguments, sqlstate, words) in [
        (
            "data => '{\"answers\": [\"price\", \"colour\"]}'",
            "42704",
            "colour",
        ),
        (
            "data => '{\"answers\": [\"price\", \"price\"]}'",
            "22023",
            "twice",
        ),
        (
            "data => '{\"answers\": [\"price\", \"goods\", \"date\"]}'",
            "22023",
            "3 answer(s) are given, and 1 to 2 are wanted",
        ),
        ("data => '{\"answers\": []}'", "22023", "0 answer(s)"),
        ("data => '{\"answers\": \"price\"}'", "22023", "no list"),
        ("'price', '{\"answers\": [\"goods\"]}'", "22023", "twice"),
        ("NULL", "22023", "0 answer(s)"),
    ] {
        db.expect_error(
            &format!("SELECT wf.complete({task}, {arguments})"),
            sqlstate,
            &["what is wrong", words],
        );
    }
    db.exec(&format!(
        "SELECT wf.complete({task}, data => '{{\"answers\": [\"goods\", \"price\"], \"by\": \"ann\"}}')"
    ));
    db.run_due();
    db.expect(
        "SELECT body FROM wf.notes ORDER BY 1",
        &["goods", "price ann"],
    );
    db.expect(
        "SELECT outcome, detail FROM probe.history() WHERE step = 'what is wrong'",
        &[r#"answered | {"data": {"by": "ann"}, "answers": ["goods", "price"]}"#],
    );
    db.expect("SELECT vars FROM wf.cases", &[r#"{"by": "ann"}"#]);
    db.expect(CASE, &["completed | completed"]);
    // One answer is an outcome like any other; the same call again is no error.
    let mut db = several();
    let task = db.task("what is wrong");
    db.exec(&format!("SELECT wf.complete({task}, 'date')"));
    db.run_due();
    db.exec(&format!("SELECT wf.complete({task})"));
    db.expect(
        "SELECT memory -> 'answers' FROM wf.cases",
        &[r#"{"what is wrong": ["date"]}"#],
    );
    db.expect("SELECT body FROM wf.notes", NONE);
}

#[test]
fn need_2_question_with_several_answers_is_checked() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.define(&invoice_workflow(
        "flow",
        json!([
            {"name": "one", "kind": "question", "participant": "clerk", "multiple": true, "at_least": 3,
             "options": [{"name": "a", "next": "end"}, {"name": "b"}]},
            {"name": "two", "kind": "question", "participant": "clerk", "at_most": 1,
             "options": [{"name": "a"}, {"name": "b"}]},
            {"name": "end", "kind": "finish"}
        ]),
    ));
    db.expect(
        "SELECT place, message FROM wf.validate('flow') WHERE severity = 'error' ORDER BY 1, 2",
        &[
            "step \"one\" | 3 to 2 of 2 answers are wanted",
            "step \"one\" | answer \"a\" names a step, but several answers may be given at once",
            "step \"two\" | answer \"a\" leads nowhere",
            "step \"two\" | answer \"b\" leads nowhere",
            "step \"two\" | at_least and at_most are for questions with several answers",
        ],
    );
}
