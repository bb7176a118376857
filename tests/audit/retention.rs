//! How long ended cases and months of history are kept.

use workflow_engine_tests::{Options, automatic, edited, eventually, live};

use super::*;

/// Cases ended in March and April 2026; one goes on. It is June 2027.
fn aged() -> TestDb {
    let mut db = office();
    played(&mut db, 1);
    db.clock("2026-04-07 10:00");
    played(&mut db, 2);
    db.start("chat", 3);
    db.run_due();
    db.send();
    db.clock("2027-06-01 10:00");
    db
}

#[test]
fn cases_that_are_over_longer_than_they_are_kept_go_with_all_that_is_theirs() {
    let mut db = aged();
    db.expect("SELECT * FROM wf.apply_retention()", NONE);
    db.exec("SELECT wf.opt_out('7', 'sms'); SELECT wf.set_retention('14 months')");
    let before: String = db.one("SELECT probe.state()");
    let plan = "SELECT what, workflow, rows, probe.local(oldest) FROM wf.apply_retention()";
    db.expect(
        plan,
        &[
            "cases | chat | 1 | Mon 2026-03-02 10:00",
            "messages | chat | 1 | null",
            "notes | chat | 1 | null",
        ],
    );
    db.expect("SELECT probe.state()", &[before]);
    db.expect("SELECT count(*) FROM wf.apply_retention(false)", &[3]);
    db.expect(plan, NONE);
    db.expect(
        "SELECT key, state FROM probe.cases() WHERE state IS NOT NULL",
        &["2 | completed", "3 | running"],
    );
    db.expect(
        "SELECT count(*) FROM wf.outbox WHERE case_id NOT IN (SELECT case_id FROM wf.cases)",
        &[0],
    );
    db.expect("SELECT count(*) FROM wf.notes", &[1]);
    db.expect("SELECT count(*) FROM wf.contact_choices", &[1]);
    // Its history is there without words, and says what became of it.
    db.expect(
        "SELECT count(*) FROM wf.history WHERE detail::text LIKE '%Jansen%' AND case_id NOT IN (SELECT case_id FROM wf.cases)",
        &[0],
    );
    db.expect(
        "SELECT act, detail ->> 'removed' FROM wf.audit_trail WHERE act IN ('case_erased', 'cases removed') ORDER BY act",
        &["case_erased | true", "cases removed | null"],
    );
    // The rule of a workflow goes before that of all.
    db.exec("SELECT wf.set_retention('10 years', 'chat'); SELECT wf.set_retention('1 month')");
    db.expect(plan, NONE);
    db.exec("SELECT wf.set_retention(NULL, 'chat')");
    db.expect(
        "SELECT what, rows FROM wf.apply_retention() LIMIT 1",
        &["cases | 1"],
    );
    db.expect_error(
        "SELECT wf.set_retention('1 year', 'nowhere')",
        "42704",
        &["nowhere"],
    )
    .hints("lists");
    db.expect_error("SELECT wf.set_retention('-1 year')", "22023", &["no time"])
        .hints("7 years");
    db.expect_error(
        "SELECT wf.set_retention('1 year', what => 'cats')",
        "22023",
        &["cats"],
    )
    .hints("history");
    db.expect_error(
        "SELECT wf.set_retention('1 year', 'chat', 'history')",
        "22023",
        &["months"],
    )
    .hints("out");
}

#[test]
fn a_row_whose_case_was_removed_gets_no_second_one_by_its_start_rule() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    for (name, again) in [("once", "never"), ("anew", "after_stop")] {
        db.install(&edited(
            invoice_workflow(
                name,
                json!([{"name": "noted", "kind": "note", "text": "seen"},
                {"name": "wait", "kind": "wait", "on": {"anchor": "case_start", "days": 3}}]),
            ),
            |doc| {
                doc["start"] = json!({"when": "state = 'posted'", "again": again});
                doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
            },
        ));
    }
    db.invoice(1, "2026-04-01", "1000");
    db.invoice(2, "2026-04-01", "1000");
    db.run_due();
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 2");
    db.run_due();
    db.at("2026-03-09 10:00");
    db.expect(
        "SELECT workflow, key, outcome FROM probe.cases()",
        &[
            "anew | 1 | completed",
            "anew | 2 | stopped",
            "once | 1 | completed",
            "once | 2 | stopped",
        ],
    );
    db.clock("2027-06-01 10:00");
    db.exec("SELECT wf.set_retention('1 year'); SELECT wf.apply_retention(false)");
    db.expect("SELECT count(*) FROM wf.cases", &[0]);
    db.exec("UPDATE invoice SET state = 'open'; UPDATE invoice SET state = 'posted'");
    db.run_due();
    // Only where a stop rule had ended the case, and the start rule allows for it.
    db.expect(
        "SELECT workflow, key FROM probe.cases() WHERE state IS NOT NULL",
        &["anew | 2"],
    );
    // By hand, of course.
    db.start("once", 1);
    db.run_due();
    db.expect(
        "SELECT workflow, key FROM wf.case_progress ORDER BY 1",
        &["anew | 2", "once | 1"],
    );
}

#[test]
fn months_of_history_go_as_a_whole_unless_an_open_case_has_rows_in_them() {
    let mut db = aged();
    db.exec("SELECT wf.protect_history(); SELECT wf.set_retention('6 months', what => 'history')");
    let plan = "SELECT what, month, note FROM wf.apply_retention()";
    db.expect(
        plan,
        &[
            "history | 2026-03-01 | null",
            "history | 2026-04-01 | stays: 1 open cases have rows in it",
        ],
    );
    let march: i64 = db.one("SELECT count(*) FROM wf.history_2026_03");
    let all = rows(&mut db);
    db.exec("SELECT wf.apply_retention(false)");
    db.expect(
        "SELECT relname FROM pg_class WHERE relname ~ '^history_[0-9_]+$' ORDER BY 1",
        &["history_2026_04"],
    );
    // Sealed before it went; its block is still there, with who dropped it.
    db.expect(
        "SELECT status, finding, rows FROM wf.verify_history() ORDER BY finding",
        &[
            format!("ok | dropped | {march}"),
            "ok | not sealed | 0".to_owned(),
            format!("ok | sealed | {}", all - march),
        ],
    );
    db.expect(
        "SELECT month, rows, dropped_by, dropped_at IS NOT NULL FROM wf.history_blocks ORDER BY block",
        &[format!("2026-03-01 | {march} | postgres | t"), format!("2026-04-01 | {} | null | f", all - march)],
    );
    db.expect(
        "SELECT act, object, detail ->> 'rows' FROM wf.audit_trail WHERE act = 'history dropped'",
        &[format!("history dropped | 2026-03-01 | {march}")],
    );
    // A month that goes by another way is missed.
    let found = db.lines(&format!("BEGIN; DROP TABLE wf.history_2026_04; {PROBLEMS}"));
    db.exec("ROLLBACK");
    assert!(found[0].starts_with("removed"), "{found:?}");
}

#[test]
fn workers_seal_history_and_remove_what_is_kept_no_longer_by_themselves() {
    let (_cluster, mut shop) = live(&Options::default().set("workflow_engine.naptime", "1"));
    shop.install(&automatic(json!([
        {"name": "noted", "kind": "note", "text": "Wrote to {{ customer_name }}"}
    ])));
    for key in 1..=3 {
        shop.invoice(key, "2026-04-01", "1000");
    }
    eventually("the end of three cases", || {
        let ended: i64 = shop.one("SELECT count(*) FROM wf.cases WHERE ended_at IS NOT NULL");
        (ended == 3).then_some(())
    });
    shop.exec("SELECT wf.protect_history(), wf.set_retention('1 microsecond')");
    eventually("the removal of three cases", || {
        let removed: i64 = shop.one("SELECT count(*) FROM wf.history WHERE event = 'case_erased'");
        (removed == 3).then_some(())
    });
    shop.expect(
        "SELECT (SELECT count(*) FROM wf.cases), (SELECT count(*) FROM wf.notes), (SELECT count(*) FROM wf.case_subjects)",
        &["0 | 0 | 3"],
    );
    shop.expect(
        "SELECT DISTINCT sealed_by FROM wf.history_blocks",
        &["engine"],
    );
    shop.expect(PROBLEMS, NONE);
}
