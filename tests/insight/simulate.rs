//! wf.simulate: what it foresees comes, and it leaves nothing behind.

use workflow_engine_tests::TestDb;

use super::holds;

/// Everything that has happened since a time, as wf.simulate tells it.
const HAPPENED: &str = "SELECT h.at, c.key, s.name, h.event::text, h.outcome
    FROM wf.history AS h JOIN wf.cases AS c USING (case_id)
    LEFT JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
    WHERE h.at >= '2026-05-03 12:00 Europe/Amsterdam'
    UNION ALL
    SELECT o.finished_at, c.key, s.name, CASE o.state WHEN 'sent' THEN 'message_sent' ELSE 'message_withheld' END,
           o.type || coalesce(' ' || o.reason, '')
    FROM wf.outbox AS o JOIN wf.cases AS c USING (case_id)
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = o.step_no
    WHERE o.state IN ('sent', 'suppressed') AND o.finished_at >= '2026-05-03 12:00 Europe/Amsterdam'";

#[test]
fn s25_simulate_and_the_two_weeks_that_follow_agree() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.invoice(2, "2026-04-10", "500");
    db.invoice(3, "2026-03-15", "80");
    // Nobody to send to; somebody in New York, whose window opens later; and one without a telephone.
    db.exec(
        "INSERT INTO invoice VALUES (4, 'INV-4', 3, 'posted', '2026-04-01', 50, 'EUR'),
                                        (5, 'INV-5', 2, 'posted', '2026-04-08', 70, 'USD')",
    );
    db.run_due();
    // Level 2 of invoice 3 waits for a window; it is paid, and nobody has looked at that yet.
    db.at("2026-04-14 03:00");
    db.send();
    db.at("2026-04-14 09:00");
    db.send();
    db.run_due();
    db.exec("UPDATE invoice SET due_date = '2026-03-01' WHERE id = 3");
    db.at("2026-05-03 11:00");
    db.clock("2026-05-03 12:00");
    db.exec("UPDATE invoice SET open_amount = 0 WHERE id = 3");

    let before: String = db.one("SELECT probe.state()");
    db.exec(
        "CREATE TABLE foreseen AS
         SELECT at, key, step, event, CASE WHEN channel IS NULL THEN outcome
                                           ELSE channel || CASE event WHEN 'message_withheld' THEN ' ' || detail ELSE '' END END AS what
         FROM wf.simulate('dunning') WHERE event NOT IN ('task_opened', 'message_deferred')",
    );
    db.expect("SELECT probe.state()", &[before]);
    db.expect(
        "SELECT wf.now() = '2026-05-03 12:00 Europe/Amsterdam'",
        &["t"],
    );

    for hour in 0..=24 * 14 {
        db.exec(&format!(
            "SELECT wf.set_clock('2026-05-03 12:00 Europe/Amsterdam'::timestamptz + interval '{hour} hours')"
        ));
        db.run_due();
        if !db.send().is_empty() {
            db.run_due();
        }
    }
    db.exec(&format!(
        "CREATE TABLE happened (at, key, step, event, what) AS {HAPPENED}"
    ));
    for (what, one, other) in [
        ("foreseen, and did not happen", "foreseen", "happened"),
        ("happened, and was not foreseen", "happened", "foreseen"),
    ] {
        let rows = db.lines(&format!(
            "SELECT at, key, step, event::text, what FROM {one} EXCEPT ALL SELECT at, key, step, event::text, what FROM {other} ORDER BY 1"
        ));
        assert!(
            rows.is_empty(),
            "{what}:\n{}\n{}",
            rows.join("\n"),
            db.story()
        );
    }
    // It is not about nothing.
    let events = db.lines("SELECT DISTINCT event FROM foreseen ORDER BY 1");
    for event in [
        "case_cancelled",
        "message_sent",
        "message_withheld",
        "step_done",
        "step_failed",
    ] {
        assert!(
            events.iter().any(|e| e == event),
            "no {event} in {events:?}\n{}",
            db.story()
        );
    }
}

#[test]
fn simulate_leaves_nothing_behind_not_even_in_the_session() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    let everything = "SELECT probe.state(), (SELECT count(*) FROM wf.inbox), (SELECT count(*) FROM wf.failures),
        (SELECT count(*) FROM pg_class WHERE relname LIKE 'history\\_%'), wf.now(), current_setting('lock_timeout')";
    let before = db.lines(everything);
    db.exec("BEGIN");
    let rows =
        db.lines("SELECT DISTINCT event FROM wf.simulate('dunning', to_time => '2026-12-31')");
    assert!(rows.contains(&"case_started".to_owned()), "{rows:?}");
    assert!(rows.contains(&"task_opened".to_owned()), "{rows:?}");
    // What it had locked is free while the transaction goes on.
    db.expect(
        "SELECT DISTINCT l.mode, c.relname FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
         WHERE l.pid = pg_backend_pid() AND c.relnamespace = 'wf'::regnamespace AND l.mode <> 'AccessShareLock' AND c.relkind <> 'S'",
        &[] as &[&str],
    );
    db.exec("COMMIT");
    assert_eq!(db.lines(everything), before);
    // The same session then does the same things for good, in months that the simulation had made for itself.
    db.at("2026-05-04 08:00");
    db.expect(
        "SELECT step, state FROM probe.outbox()",
        &["level_1 | queued"],
    );
    db.at("2026-12-01 08:00");
}

#[test]
fn simulate_writes_no_row_of_the_erp() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.install(&workflow_engine_tests::invoice_workflow(
        "writes",
        serde_json::json!([
            {"name": "mark", "kind": "update", "set": {"state": "'reminded'"}, "on": {"days": 1, "anchor": "case_start"}},
            {"name": "look", "kind": "task", "participant": "clerk", "due": {"days": 1}}
        ]),
    ));
    db.invoice(1, "2026-04-01", "1000");
    db.start("writes", 1);
    db.exec("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'touched'; END $$;
             CREATE TRIGGER no BEFORE UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION no()");
    db.expect(
        "SELECT step, event, recipient FROM wf.simulate('writes')",
        &["mark | step_done | null", "look | task_opened | clerk"],
    );
}

#[test]
fn simulate_answers_tasks_at_their_deadline_only_if_asked_to() {
    let mut db = TestDb::new();
    db.clock("2026-01-05 12:00");
    db.scope_10();
    db.report(1, "2027-03-15");
    db.run_due();
    let with = |answers: bool| {
        format!(
            "SELECT to_char(at AT TIME ZONE 'Europe/Amsterdam', 'YYYY-MM-DD HH24:MI'), step, event, outcome
             FROM wf.simulate('scope-10', to_time => '2027-12-31', answer_tasks => {answers})"
        )
    };
    db.expect(
        &with(false),
        &[
            "2026-04-15 00:00 | null | case_started | null",
            "2026-04-15 00:00 | request_email | message_deferred | null",
            "2026-04-15 08:00 | request_email | message_sent | null",
            "2026-04-15 08:00 | request_email | step_done | sent",
            "2026-04-15 08:00 | follow_up | task_opened | null",
        ],
    );
    let answered = db.lines(&with(true)).join("\n");
    holds(
        &answered,
        &[
            "2026-08-17 00:00 | follow_up | step_done | done",
            "how_to_go_on | task_opened",
        ],
    );
}

#[test]
fn simulate_takes_a_subject_or_everything_and_a_period_ahead() {
    let mut db = TestDb::new();
    db.clock("2026-01-05 12:00");
    db.scope_10();
    db.dunning();
    db.report(1, "2027-03-15");
    db.invoice(1, "2026-01-01", "1000");
    db.run_due();
    let workflows = |arguments: &str| {
        format!("SELECT DISTINCT workflow_name FROM wf.simulate({arguments}) ORDER BY 1")
    };
    let year = "to_time => '2026-12-31'";
    db.expect(&workflows(year), &["dunning", "scope-10"]);
    db.expect(
        &workflows(&format!("subject => 'invoice', {year}")),
        &["dunning"],
    );
    db.expect(&workflows(&format!("'scope-10', {year}")), &["scope-10"]);
    db.expect(&workflows("'scope-10'"), &[] as &[&str]);
    // What happens before the period has happened in it.
    db.expect(
        "SELECT DISTINCT step FROM wf.simulate('dunning', '2026-03-01', '2026-03-10') ORDER BY 1",
        &["level_2", "level_2_sms"],
    );
    db.expect(
        "SELECT count(*), max(event) FILTER (WHERE event = 'stopped_here') FROM wf.simulate(to_time => '2026-12-31', max_events => 3)",
        &["4 | stopped_here"],
    );
    db.expect_error("SELECT wf.simulate('nothing')", "42704", &["nothing"]);
    db.expect_error(
        "SELECT wf.simulate(subject => 'nothing')",
        "42704",
        &["nothing"],
    );
    db.expect_error(
        "SELECT wf.simulate('dunning', subject => 'invoice')",
        "22023",
        &["both", "one of them"],
    );
    db.expect_error(
        "SELECT wf.simulate('dunning', '2025-01-01')",
        "22023",
        &["now or later"],
    );
    db.expect_error(
        "SELECT wf.simulate('dunning', to_time => 'infinity')",
        "22023",
        &["finite"],
    );
    db.expect_error(
        "SELECT wf.simulate('dunning', '2026-02-02', '2026-02-01')",
        "22023",
        &["before its beginning"],
    );
    db.expect_error(
        "SELECT wf.simulate('dunning', max_events => 0)",
        "22023",
        &["max_events"],
    );
    let agent = db.role("agent");
    db.exec(&format!("SELECT wf.grant_role('\"{agent}\"', 'agent')"));
    db.connect_as(&agent)
        .expect_error("SELECT wf.simulate()", "42501", &["simulate"]);
    let manager = db.role("manager");
    db.exec(&format!("SELECT wf.grant_role('\"{manager}\"', 'manager')"));
    db.connect_as(&manager).exec("SELECT wf.simulate()");
}

#[test]
fn simulate_gives_way_to_whoever_is_at_a_case() {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.dunning();
    db.invoice(1, "2026-04-01", "1000");
    db.invoice(2, "2026-04-01", "1000");
    db.run_due();
    let mut other = db.connect();
    let case: i64 = db.one("SELECT case_id FROM probe.cases() WHERE key = '1'");
    other.exec(&format!(
        "BEGIN; SELECT * FROM wf.hold({case}, 'looking at it')"
    ));
    db.expect(
        "SELECT DISTINCT key FROM wf.simulate('dunning', to_time => '2026-05-20')",
        &["2"],
    );
    other.exec("ROLLBACK");
}
