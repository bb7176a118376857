//! Rows that join and leave a case, and what its messages say of them.

use serde_json::json;

use crate::{claim, claim_workflow, claims, start};

const NONE: &[&str] = &[];
const MEMBERS: &str = "SELECT key, carries, state, reason FROM wf.case_members ORDER BY key";

/// A reminder at 30 and one at 60 days after the due date.
fn reminders() -> serde_json::Value {
    claim_workflow(
        "reminders",
        json!({}),
        json!([
            {"name": "first", "kind": "email", "template": "all", "on": {"anchor": "subject.due_date", "days": 30}},
            {"name": "second", "kind": "email", "template": "all", "on": {"anchor": "subject.due_date", "days": 60}},
            {"name": "end", "kind": "finish"}
        ]),
    )
}

#[test]
fn rcv_02_rcv_03_a_case_concerns_several_claims_of_one_account() {
    let mut db = claims();
    db.install(&reminders());
    claim(&mut db, "C1", "2026-05-01", "100", "EUR");
    claim(&mut db, "C2", "2026-05-01", "200", "EUR");
    db.exec("INSERT INTO claim VALUES ('C9', 'A-2', 'open', '2026-05-01', 5)");
    let case = start(&mut db, "reminders", "{C1,C2,C1}");
    db.expect(
        "SELECT case_id, key, account, keys FROM wf.case_progress",
        &[format!("{case} | C1 | A-1 | {{C1,C2}}")],
    );
    db.expect(
        "SELECT id, state FROM wf.claim_cases ORDER BY id",
        &["C1 | running", "C2 | running"],
    );
    for (call, sqlstate, says) in [
        (
            "wf.start('reminders', '{C2}'::text[])",
            "23505",
            format!("claim C2 already has an open case of workflow \"reminders\": case {case}"),
        ),
        (
            "wf.start('reminders', ARRAY['C9', 'C1'])",
            "23505",
            format!("claim C1 already has an open case of workflow \"reminders\": case {case}"),
        ),
        (
            "wf.start('reminders', '{}'::text[])",
            "22023",
            "keys is empty".to_owned(),
        ),
        (
            "wf.start('reminders', '{C9,C8}'::text[])",
            "P0002",
            "claim C8 does not exist".to_owned(),
        ),
    ] {
        db.expect_error(&format!("SELECT {call}"), sqlstate, &[&says]);
    }
    claim(&mut db, "C3", "2026-05-01", "1", "EUR");
    db.expect_error(
        "SELECT wf.start('reminders', '{C3,C9}'::text[])",
        "22023",
        &["claim C3 and claim C9 belong to different accounts"],
    );
}

#[test]
fn rcv_03_a_workflow_about_one_claim_each_takes_no_second_one() {
    let mut db = claims();
    let mut one = reminders();
    one["subjects"] = "one".into();
    db.define(&one);
    db.expect_error(
        "SELECT wf.publish('reminders')",
        "22023",
        &["subjects is used, but each case concerns one row only"],
    );
    one["templates"]["all"] = json!({"subject": "Claim", "body": "{{ open_amount }}"});
    db.install(&one);
    claim(&mut db, "C1", "2026-05-01", "100", "EUR");
    claim(&mut db, "C2", "2026-05-01", "200", "EUR");
    let one_only = "a case of workflow \"reminders\" concerns one claim only";
    db.expect_error(
        "SELECT wf.start('reminders', '{C1,C2}'::text[])",
        "55000",
        &[one_only],
    );
    let case = start(&mut db, "reminders", "{C1}");
    db.expect_error(
        &format!("SELECT wf.add_subject({case}, 'C2')"),
        "55000",
        &[one_only],
    );
}

#[test]
fn rcv_03_claims_join_and_leave_by_hand() {
    let mut db = claims();
    db.install(&reminders());
    for (id, amount) in [("C1", "100"), ("C2", "200"), ("C3", "300")] {
        claim(&mut db, id, "2026-05-01", amount, "EUR");
    }
    let case = start(&mut db, "reminders", "{C1,C2}");
    db.exec(&format!("SELECT wf.add_subject({case}, 'C3')"));
    db.exec(&format!(
        "SELECT wf.remove_subject({case}, 'C1', 'disputed')"
    ));
    db.expect(
        MEMBERS,
        &[
            "C1 | f | left | disputed",
            "C2 | t | in | null",
            "C3 | f | in | null",
        ],
    );
    db.expect(
        "SELECT event, detail->>'key' FROM probe.history() WHERE event LIKE 'subject%'",
        &["subject_joined | C3", "subject_left | C1"],
    );
    // What somebody has taken out comes back only by somebody.
    db.exec(&format!("SELECT wf.add_subject({case}, 'C1')"));
    db.expect(
        "SELECT key, keys FROM wf.case_progress",
        &["C2 | {C2,C3,C1}"],
    );
    for (call, says) in [
        (
            format!("wf.add_subject({case}, 'C1')"),
            "concerns claim C1 already",
        ),
        (
            format!("wf.remove_subject({case}, 'C7')"),
            "does not concern claim C7",
        ),
    ] {
        db.expect_error(&format!("SELECT {call}"), "55000", &[says]);
    }
    db.exec(&format!(
        "SELECT wf.remove_subject({case}, 'C1'); SELECT wf.remove_subject({case}, 'C2')"
    ));
    db.expect_error(
        &format!("SELECT wf.remove_subject({case}, 'C3')"),
        "55000",
        &["claim C3 is the only one"],
    );
    // A claim that has left may be in another case.
    let other = start(&mut db, "reminders", "{C1,C2}");
    db.expect_error(
        &format!("SELECT wf.add_subject({case}, 'C1')"),
        "23505",
        &[&format!("case {other}")],
    );
}

#[test]
fn rcv_03_a_change_of_any_claim_keeps_the_message_here_until_it_is_looked_at() {
    let mut db = claims();
    db.install(&reminders());
    claim(&mut db, "C1", "2026-04-01", "100", "EUR");
    claim(&mut db, "C2", "2026-04-01", "200", "EUR");
    start(&mut db, "reminders", "{C1,C2}");
    db.run_due();
    db.expect("SELECT state FROM probe.outbox()", &["queued"]);
    db.exec("UPDATE claim SET state = 'paid' WHERE id = 'C2'");
    assert_eq!(db.lease(), []);
    db.run_due();
    // The same message, rendered anew: it does not ask for what has been paid.
    db.expect("SELECT state FROM probe.outbox()", &["queued"]);
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].body, "C1 €100.00; €100.00 in 1; ");
}

#[test]
fn rcv_03_a_message_that_waits_for_its_window_or_failed_lists_who_is_left_then() {
    let mut db = claims();
    let mut late = reminders();
    late["contact_window"] = json!({"days": "mon", "from": "08:00", "to": "20:00"});
    db.install(&late);
    for id in ["C1", "C2", "C3"] {
        claim(&mut db, id, "2026-04-06", "100", "EUR");
    }
    start(&mut db, "reminders", "{C1,C2,C3}");
    db.at("2026-05-06 09:00");
    db.expect("SELECT state FROM probe.outbox()", &["deferred"]);
    db.exec("UPDATE claim SET state = 'paid' WHERE id = 'C1'");
    db.at("2026-05-11 08:00");
    db.expect(
        "SELECT payload->>'body' FROM probe.outbox()",
        &["C2 €100.00; C3 €100.00; €200.00 in 2; "],
    );
    let leased = db.lease();
    assert_eq!(db.fail(&leased, "busy", Some("1 minute")), 1);
    let before: String = db.one("SELECT idempotency_key FROM probe.outbox()");
    db.exec("UPDATE claim SET state = 'paid' WHERE id = 'C2'");
    db.at("2026-05-11 08:05");
    db.expect(
        "SELECT payload->>'body', attempts FROM probe.outbox()",
        &["C3 €100.00; €100.00 in 1;  | 0"],
    );
    let after: String = db.one("SELECT idempotency_key FROM probe.outbox()");
    assert_ne!(before, after, "another text is another message");
}

#[test]
fn rcv_03_no_digit_is_lost_and_currencies_stay_apart() {
    let mut db = claims();
    db.install(&reminders());
    claim(
        &mut db,
        "C1",
        "2026-04-01",
        "12345678901234567890.10",
        "EUR",
    );
    claim(&mut db, "C2", "2026-04-01", "0.07", "EUR");
    claim(&mut db, "C3", "2026-04-01", "9007199254740993.01", "USD");
    start(&mut db, "reminders", "{C1,C2,C3}");
    db.run_due();
    let sent = db.send();
    assert_eq!(
        sent[0].body,
        "C1 €12,345,678,901,234,567,890.10; C2 €0.07; C3 $9,007,199,254,740,993.01; \
         €12,345,678,901,234,567,890.17 in 2; $9,007,199,254,740,993.01 in 1; "
    );
}

#[test]
fn rcv_03_a_claim_that_is_gone_leaves_and_the_pace_stays() {
    let mut db = claims();
    db.install(&reminders());
    claim(&mut db, "C1", "2026-05-01", "100", "EUR");
    claim(&mut db, "C2", "2026-01-01", "200", "EUR");
    start(&mut db, "reminders", "{C1,C2}");
    db.run_due();
    db.exec("DELETE FROM claim WHERE id = 'C1'");
    db.run_due();
    db.expect(
        MEMBERS,
        &["C1 | f | left | subject gone", "C2 | t | in | null"],
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.open()",
        &["first | Mon 2026-06-01"],
    );
    db.expect("SELECT count(*) FROM probe.outbox()", &[0]);
    // A later date in the row that carries it moves the case; an earlier one does not.
    db.exec("UPDATE claim SET due_date = '2026-05-15' WHERE id = 'C2'");
    db.run_due();
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.open()",
        &["first | Mon 2026-06-15"],
    );
}

#[test]
fn rcv_03_a_claim_that_left_paid_gets_a_case_again_when_it_is_open_again() {
    let mut db = claims();
    let mut by_rule = reminders();
    by_rule["start"] = json!({"when": "state = 'open'"});
    db.install(&by_rule);
    claim(&mut db, "C1", "2026-05-01", "100", "EUR");
    claim(&mut db, "C2", "2026-05-01", "200", "EUR");
    let case = start(&mut db, "reminders", "{C1,C2}");
    db.run_due();
    db.exec("UPDATE claim SET state = 'paid' WHERE id = 'C2'");
    db.run_due();
    db.exec("UPDATE claim SET state = 'open' WHERE id = 'C2'");
    db.run_due();
    db.expect(
        "SELECT key, state, reason, case_id = (SELECT min(case_id) FROM wf.cases) FROM wf.case_members ORDER BY case_id, key",
        &["C1 | in | null | t", "C2 | left | paid | t", "C2 | in | null | f"],
    );
    // Taken out by hand, it gets none by itself.
    claim(&mut db, "C4", "2026-05-01", "1", "EUR");
    db.exec("SELECT wf.disable('reminders')");
    db.run_due();
    db.exec(&format!("SELECT wf.add_subject({case}, 'C4')"));
    db.exec(&format!("SELECT wf.remove_subject({case}, 'C4')"));
    db.exec("SELECT wf.enable('reminders')");
    db.exec("UPDATE claim SET open_amount = 2 WHERE id = 'C4'");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM wf.case_members WHERE key = 'C4' AND state = 'in'",
        &[0],
    );
    db.expect("SELECT * FROM wf.incidents", NONE);
}
