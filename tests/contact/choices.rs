//! Opting out and in, addresses that bounce, and the channels that take their turn.

use serde_json::json;

use super::*;

const CHAIN: &str = r#"{"fallback": ["sms", "email", "letter"], "task": {"participant": "clerk", "title": "Find another way"}}"#;

fn chain() -> TestDb {
    let mut db = with_policy(
        serde_json::from_str(CHAIN).expect("JSON"),
        json!([sms("text"), {"name": "after", "kind": "note", "text": "on with it"}]),
    );
    db.start("reach", 1);
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox()",
        &["sms | queued"],
    );
    db
}

#[test]
fn s17_an_opt_out_one_second_before_the_lease_wins() {
    let mut db = chain();
    db.clock("2026-03-02 10:00:59");
    db.expect(
        "SELECT wf.opt_out('invoice:1', 'sms', reason => 'said STOP')",
        &[1],
    );
    db.clock("2026-03-02 10:01");
    // The message is suppressed, and its fallback channel takes its turn.
    assert_eq!(db.lease_with("'sms', 10"), []);
    db.run_due();
    db.expect(
        "SELECT channel, state, coalesce(reason, '-') FROM probe.outbox()",
        &[
            "sms | suppressed | opted out of sms on 2026-03-02: said STOP",
            "email | queued | -",
        ],
    );
    // Then the next,
    db.exec("SELECT wf.opt_out('invoice:1', 'email')");
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox() OFFSET 1",
        &["email | suppressed", "letter | queued"],
    );
    db.exec("SELECT wf.opt_out('invoice:1')");
    db.run_due();
    // and with none left, a task.
    db.expect(
        "SELECT count(*) FROM probe.outbox() WHERE state <> 'suppressed'",
        &[0],
    );
    db.expect(
        "SELECT step, participant, title, outcomes FROM wf.worklist",
        &["text | clerk | Find another way | {sent}"],
    );
    db.expect(
        "SELECT detail->>'channel', detail->>'next' FROM probe.history() WHERE event = 'message_suppressed'",
        &["sms | email", "email | letter", "letter | null"],
    );
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    let told = db
        .lines(&format!("SELECT fact FROM wf.explain({case})"))
        .join("\n");
    for part in [
        "sms of step \"text\" was withheld: opted out of sms on 2026-03-02: said STOP",
        "waits for clerk",
    ] {
        assert!(told.contains(part), "{told}");
    }
    db.settle("text", Some("sent"));
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.expect("SELECT body FROM wf.notes", &["on with it"]);
}

#[test]
fn s11_who_opted_out_earlier_gets_nothing_at_a_new_number() {
    let mut db = with_policy(
        serde_json::from_str(CHAIN).expect("JSON"),
        json!([sms("text")]),
    );
    db.exec("SELECT wf.opt_out('invoice:1', 'sms')");
    db.exec("UPDATE customer SET phone = '+31 6 99999999' WHERE id = 1");
    db.start("reach", 1);
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox()",
        &["sms | suppressed", "email | queued"],
    );
}

#[test]
fn an_address_opts_out_for_all_who_have_it_however_it_is_written() {
    let mut db = chain();
    db.expect(
        "SELECT wf.opt_out(address => '+31 (20) 123-4567', channel => 'sms')",
        &[1],
    );
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox()",
        &["sms | suppressed", "email | queued"],
    );
    db.exec("SELECT wf.opt_in(address => '+31201234567', channel => 'sms')");
    db.invoice(2, "2026-04-01", "500");
    db.start("reach", 2);
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox() OFFSET 2",
        &["sms | queued"],
    );
}

#[test]
fn consent_is_asked_for_where_the_policy_says_so() {
    let mut db = with_policy(
        json!({"consent": ["sms"], "fallback": ["sms", "email"]}),
        json!([sms("text")]),
    );
    db.start("reach", 1);
    db.run_due();
    db.expect(
        "SELECT channel, state, coalesce(reason, '-') FROM probe.outbox()",
        &[
            "sms | suppressed | there is no consent to sms (wf.opt_in)",
            "email | queued | -",
        ],
    );
    db.exec("SELECT wf.opt_in('invoice:2', 'sms', reason => 'by contract')");
    db.invoice(2, "2026-04-01", "500");
    db.start("reach", 2);
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox() OFFSET 2",
        &["sms | queued"],
    );
    db.expect(
        "SELECT event, detail FROM wf.contact_log WHERE person = 'invoice:2' AND event = 'opt_in'",
        &["opt_in | by contract"],
    );
}

#[test]
fn an_address_that_bounced_is_not_used_again() {
    let mut db = with_policy(
        json!({"fallback": ["email", "sms"]}),
        json!([email("mail"), email("second")]),
    );
    db.start("reach", 1);
    db.run_due();
    let leased = db.lease();
    assert_eq!(leased.len(), 1);
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'bounced', 'no such mailbox')",
        leased[0].id
    ));
    db.run_due();
    db.expect(
        "SELECT step, channel, state FROM probe.outbox()",
        &["mail | email | bounced", "mail | sms | queued"],
    );
    assert_eq!(db.send().len(), 1);
    db.run_due();
    // The next step does not even try.
    db.expect(
        "SELECT step, channel, state FROM probe.outbox() OFFSET 2",
        &["second | email | suppressed", "second | sms | queued"],
    );
    let reason: String = db.one("SELECT reason FROM probe.outbox() WHERE state = 'suppressed'");
    assert!(
        reason.starts_with("the address bounced on 2026-03-02")
            && reason.contains("no such mailbox"),
        "{reason}"
    );
    // Another address is another matter.
    db.exec("UPDATE customer SET email = 'new@example.com' WHERE id = 1");
    db.invoice(2, "2026-04-01", "500");
    db.start("reach", 2);
    db.run_due();
    db.expect(
        "SELECT channel, state FROM probe.outbox() OFFSET 4",
        &["email | queued"],
    );
}

#[test]
fn who_has_no_address_is_reached_on_another_channel() {
    let mut db = with_policy(json!({"fallback": ["sms", "email"]}), json!([sms("text")]));
    db.exec("UPDATE customer SET phone = NULL WHERE id = 1");
    db.start("reach", 1);
    db.run_due();
    db.expect(
        "SELECT channel, state, coalesce(reason, '-') FROM probe.outbox()",
        &[
            "sms | suppressed | there is no address for sms",
            "email | queued | -",
        ],
    );
}

#[test]
fn without_a_policy_too_nothing_is_leased_after_an_opt_out() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow("plain", json!([sms("text")])));
    db.invoice(1, "2026-04-01", "1000");
    db.invoice(2, "2026-04-01", "1000");
    db.exec("SELECT wf.opt_out('invoice:1', 'sms')");
    db.start("plain", 1);
    db.start("plain", 2);
    db.run_due();
    db.expect("SELECT state FROM probe.outbox()", &["queued", "queued"]);
    let leased = db.lease();
    assert_eq!(leased.len(), 1, "{}", db.story());
    // What the lease has passed over does not stand still in silence.
    db.expect(
        "SELECT state FROM probe.outbox()",
        &["suppressed", "leased"],
    );
    db.expect(
        "SELECT key, title FROM wf.worklist",
        &["1 | Step text: no way to reach them is left (opted out of sms on 2026-03-02)"],
    );
}

#[test]
fn a_call_that_must_not_be_made_becomes_a_task_that_says_so() {
    let mut db = with_policy(
        json!({}),
        json!([{"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 2}}]),
    );
    db.exec("SELECT wf.opt_out('invoice:1', 'call', reason => 'by letter only')");
    db.start("reach", 1);
    db.run_due();
    db.expect(
        "SELECT title FROM wf.worklist",
        &["Step ring (not by call: opted out of call on 2026-03-02: by letter only)"],
    );
    // Settling it is no call; one that may be made is.
    db.settle("ring", None);
    db.expect("SELECT event FROM wf.contact_log", &["opt_out"]);
    db.invoice(2, "2026-04-01", "1000");
    db.start("reach", 2);
    db.run_due();
    db.settle("ring", None);
    db.expect("SELECT event FROM wf.contact_log", &["opt_out", "attempt"]);
}

#[test]
fn what_is_no_choice_is_refused() {
    let mut db = with_policy(json!({}), json!([sms("text")]));
    for (sql, part) in [
        ("SELECT wf.opt_out()", "neither a person nor an address"),
        ("SELECT wf.opt_in(' ')", "neither a person nor an address"),
        ("SELECT wf.opt_out('invoice:1', 'fax')", "\"fax\""),
    ] {
        db.expect_error(sql, "22023", &[part]).hints("");
    }
    let case = db.start("reach", 1);
    for (sql, sqlstate, part) in [
        (
            format!("SELECT wf.log_contact({case}, 'fax')"),
            "22023",
            "\"fax\"",
        ),
        (
            format!("SELECT wf.log_contact({case}, 'call', 'shout')"),
            "22023",
            "\"shout\"",
        ),
        (
            format!("SELECT wf.log_contact({case}, 'call', at => '2026-03-03')"),
            "22023",
            "future",
        ),
        (
            "SELECT wf.log_contact(999, 'call')".to_owned(),
            "P0002",
            "999",
        ),
    ] {
        db.expect_error(&sql, sqlstate, &[part]).hints("");
    }
}
