//! When a message may leave: windows, zones, caps, gaps.

use serde_json::json;

use super::*;

#[test]
fn rcv_28_reached_on_a_saturday_it_goes_out_on_monday_at_nine() {
    let mut db = with_policy(
        json!({"windows": [{"channels": ["email"], "days": "mon-fri", "from": "09:00", "to": "17:00"}]}),
        json!([email("mail")]),
    );
    db.clock("2026-05-09 10:00");
    let case = db.start("reach", 1);
    db.run_due();
    db.expect(
        MESSAGES,
        &["mail | email | deferred | Mon 2026-05-11 09:00 | the contact window of email opens Mon 2026-05-11 09:00"],
    );
    let waits: String = db.one(&format!(
        "SELECT fact FROM wf.explain({case}) WHERE subject = 'waits for'"
    ));
    assert!(waits.contains("opens Mon 2026-05-11 09:00"), "{waits}");
    db.at("2026-05-11 08:59");
    assert_eq!(db.lease(), []);
    db.at("2026-05-11 09:00");
    assert_eq!(db.send().len(), 1);
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.expect(
        "SELECT person, subject, key, channel, event, step FROM wf.contact_log",
        &["invoice:1 | invoice | 1 | email | attempt | mail"],
    );
}

#[test]
fn a_message_that_nobody_fetched_in_its_window_waits_for_the_next_and_counts_once() {
    let mut db = with_policy(
        json!({"windows": [{"days": "mon-fri", "from": "09:00", "to": "17:00"}], "caps": [{"at_most": 1, "days": 2}]}),
        json!([email("mail")]),
    );
    db.start("reach", 1);
    db.run_due();
    db.expect("SELECT state FROM probe.outbox()", &["queued"]);
    db.at("2026-03-02 17:00");
    db.expect(
        "SELECT state, leaves FROM probe.outbox()",
        &["deferred | Tue 2026-03-03 09:00"],
    );
    db.at("2026-03-03 09:00");
    assert_eq!(db.send().len(), 1);
    db.expect(
        "SELECT probe.local(at) FROM wf.contact_log",
        &["Tue 2026-03-03 09:00"],
    );
}

#[test]
fn s14_a_customer_whose_zone_is_unknown_or_ambiguous_is_contacted_when_it_suits_all() {
    let mut db = with_policy(
        json!({"zones": ["America/New_York", "America/Los_Angeles"],
               "windows": [{"days": "mon-sun", "from": "08:00", "to": "21:00"}]}),
        json!([email("mail")]),
    );
    db.exec("UPDATE customer SET time_zone = NULL WHERE id = 1");
    db.clock("2026-05-04 12:00+00");
    db.start("reach", 1);
    db.run_due();
    let leaves = "SELECT to_char(not_before AT TIME ZONE 'UTC', 'DD HH24:MI'), reason FROM wf.outbox ORDER BY message_id DESC LIMIT 1";
    db.expect(
        leaves,
        &["04 15:00 | the contact window of email is open in all of America/New_York, America/Los_Angeles from Mon 2026-05-04 11:00"],
    );
    // Two sources disagree.
    db.exec("UPDATE customer SET time_zone = 'Europe/Amsterdam, America/New_York' WHERE id = 1");
    db.invoice(2, "2026-04-01", "1000");
    db.clock("2026-05-04 06:00+00");
    db.start("reach", 2);
    db.run_due();
    // 08:00 in New York.
    let at: String = db.lines(leaves)[0].clone();
    assert!(at.starts_with("04 12:00"), "{at}");
    // New York alone, over the change of clocks: 08:00 there is 12:00Z.
    db.exec("UPDATE customer SET time_zone = 'America/New_York' WHERE id = 1");
    db.invoice(3, "2026-04-01", "1000");
    db.clock("2026-03-08 02:30+00");
    db.start("reach", 3);
    db.run_due();
    let at: String = db.lines(leaves)[0].clone();
    assert!(at.starts_with("08 12:00"), "{at}");
}

/// Seven calls in seven days for each person and debt; after a conversation, the next call seven days later.
fn calls() -> TestDb {
    with_policy(
        json!({"windows": [{"channels": ["call"], "days": "mon-sun", "from": "08:00", "to": "20:00"}],
               "caps": [{"channels": ["call"], "at_most": 7, "days": 7, "per": "subject"}],
               "gaps": [{"channels": ["call"], "after": "conversation", "days": 7, "per": "subject"}]}),
        json!([
            {"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 2},
             "outcomes": [{"name": "reached", "next": "again"}, {"name": "nobody", "next": "again"}], "talked": ["reached"]},
            {"name": "again", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 2}}
        ]),
    )
}

#[test]
fn s16_the_eighth_call_waits_until_the_first_falls_out_of_the_window() {
    let mut db = calls();
    let case = db.start("reach", 1);
    db.run_due();
    for day in 2..=7 {
        db.clock(&format!("2026-03-{day:02} 10:00"));
        db.exec(&format!("SELECT wf.log_contact({case}, 'call')"));
    }
    // E-mails do not count as calls.
    for _ in 0..5 {
        db.exec(&format!("SELECT wf.log_contact({case}, 'email')"));
    }
    db.expect("SELECT step FROM probe.tasks()", &["ring"]);
    db.at("2026-03-08 10:00");
    db.settle("ring", Some("nobody"));
    // That was the seventh.
    db.expect("SELECT step FROM probe.tasks()", NONE);
    db.expect(
        "SELECT step, channel, state, leaves FROM probe.outbox()",
        &["again | call | deferred | Mon 2026-03-09 08:00"],
    );
    let waits: String = db.one(&format!(
        "SELECT fact FROM wf.explain({case}) WHERE subject = 'waits for'"
    ));
    for part in [
        "Mon 2026-03-09 08:00",
        "7 contacts by call in 7 day(s)",
        "Mon 2026-03-02",
    ] {
        assert!(waits.contains(part), "{waits}");
    }
    assert_eq!(db.lease(), [], "a call is not for senders");
    // Another debt of the same customer is another matter.
    db.invoice(2, "2026-04-01", "500");
    db.start("reach", 2);
    db.run_due();
    db.expect("SELECT step FROM probe.tasks()", &["ring"]);
    db.at("2026-03-09 08:00");
    db.expect(
        "SELECT step FROM probe.tasks() ORDER BY task_id",
        &["ring", "again"],
    );
}

#[test]
fn s16_a_conversation_allows_the_next_call_seven_days_later() {
    let mut db = calls();
    db.start("reach", 1);
    db.run_due();
    db.settle("ring", Some("reached"));
    db.expect(
        "SELECT event, detail FROM wf.contact_log",
        &["conversation | reached"],
    );
    db.at("2026-03-08 19:00");
    db.expect("SELECT step FROM probe.tasks()", NONE);
    db.at("2026-03-09 08:00");
    db.expect("SELECT step FROM probe.tasks()", &["again"]);
}

#[test]
fn fv_20_the_number_of_call_attempts_is_configured_and_a_policy_holds_at_once() {
    let mut db = calls();
    let case = db.start("reach", 1);
    db.run_due();
    db.exec(&format!(
        "SELECT wf.log_contact({case}, 'call'); \
         SELECT wf.set_contact_policy('decent', '{{\"caps\": [{{\"channels\": [\"call\"], \"at_most\": 2, \"days\": 30}}]}}')"
    ));
    db.settle("ring", Some("nobody"));
    db.expect(
        "SELECT state, leaves FROM probe.outbox()",
        &["deferred | Wed 2026-04-01 00:00"],
    );
}

#[test]
fn limits_count_a_persons_messages_of_one_batch_and_of_all_workflows() {
    let mut db = with_policy(
        json!({"gaps": [{"channels": ["email", "sms"], "hours": 24}]}),
        json!([email("mail")]),
    );
    // Customer 1 has two invoices and one account.
    db.exec("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_details', email => 'email', phone => 'phone', time_zone => 'time_zone', account => 'customer_id')");
    db.invoice(2, "2026-04-01", "500");
    db.exec("SELECT wf.start_many('reach', '{1,2}')");
    db.run_due();
    db.expect(
        "SELECT state, leaves FROM probe.outbox()",
        &[
            "queued | Mon 2026-03-02 10:00",
            "deferred | Tue 2026-03-03 10:00",
        ],
    );
    // What was withheld does not count.
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    let first: i64 = db.one("SELECT min(case_id) FROM wf.cases");
    db.exec(&format!("SELECT * FROM wf.cancel({first}, 'paid')"));
    db.invoice(3, "2026-04-01", "500");
    db.start("reach", 3);
    db.run_due();
    db.expect(
        "SELECT state FROM probe.outbox()",
        &["suppressed", "deferred", "queued"],
    );
}

#[test]
fn policies_that_will_not_do_are_refused() {
    let mut db = with_policy(json!({}), json!([email("mail")]));
    db.expect_error(
        "SELECT wf.set_contact_policy('x', '{\"caps\": [{\"at_most\": 0, \"days\": 1}], \"fallback\": [\"fax\"]}')",
        "22023",
        &["at most 0", "\"fax\""],
    )
    .hints("");
    db.expect_error(
        "SELECT wf.set_contact_policy('x', '{\"zones\": [\"Mars/Base\"]}')",
        "22023",
        &["Mars/Base"],
    )
    .hints("pg_timezone_names");
    db.expect_error(
        "SELECT wf.set_contact_policy('', '{}')",
        "22023",
        &["no name"],
    );
    db.expect_error(
        "SELECT wf.drop_contact_policy('decent')",
        "55000",
        &["in use", "reach"],
    )
    .hints("");
    db.expect_error("SELECT wf.drop_contact_policy('x')", "42704", &["\"x\""]);
    db.exec("SELECT wf.set_contact_policy('x', '{}'); SELECT wf.drop_contact_policy('x')");
    let mut workflow = invoice_workflow("other", json!([email("mail")]));
    workflow["contact_policy"] = "nowhere".into();
    db.define(&workflow);
    db.expect_error("SELECT wf.publish('other')", "22023", &["\"nowhere\""])
        .hints("");
}
