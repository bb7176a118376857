//! The outbox: lease, acknowledge, fail, delivery, and the last look before a message leaves.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

const NONE: &[&str] = &[];

/// A workflow with one e-mail and a note after it, on invoices 1 to `count`, all started on Mon 2026-03-02 10:00.
fn with_messages(count: i64, step: Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    let mut mail = json!({"name": "mail", "kind": "email", "template": "hello"});
    for (field, value) in step.as_object().expect("fields of the step") {
        mail[field] = value.clone();
    }
    db.install(&edited(
        invoice_workflow(
            "mailing",
            json!([mail, {"name": "after", "kind": "note", "text": "Sent."}]),
        ),
        |doc| doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]),
    ));
    db.exec(&format!(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', n, 'EUR' FROM generate_series(1, {count}) AS n"
    ));
    db.exec(&format!(
        "SELECT wf.start_many('mailing', (SELECT array_agg(n::text) FROM generate_series(1, {count}) AS n))"
    ));
    db.run_due();
    db
}

const STATE: &str = "SELECT DISTINCT state FROM probe.outbox()";

#[test]
fn rcv_13_a_lease_gives_all_that_a_sender_needs() {
    let mut db = with_messages(1, json!({}));
    let rows = db.rows(
        "SELECT channel, recipient, payload->>'to', payload->>'subject', payload->>'body', payload->>'locale', payload->>'template', \
         attempt, probe.local(leased_until), idempotency_key IS NOT NULL, case_id IS NOT NULL \
         FROM wf.lease_messages('email', 10, '10 minutes', 'mailer')",
    );
    assert_eq!(
        rows.concat().join(" | "),
        "email | jansen@example.com | jansen@example.com | About INV-1 | Invoice INV-1, 1 open. | null | hello | 1 | \
         Mon 2026-03-02 10:10 | t | t"
    );
    db.expect("SELECT state, sender FROM wf.outbox", &["leased | mailer"]);
    db.expect(
        "SELECT aggregateid = case_id::text OR aggregateid = '1', type FROM wf.outbox",
        &["t | email"],
    );
}

#[test]
fn a_lease_takes_its_channel_and_no_more_than_asked() {
    let mut db = with_messages(5, json!({}));
    assert_eq!(db.lease_with("'sms', 10"), []);
    assert_eq!(db.lease_with("'email', 2").len(), 2);
    assert_eq!(db.lease_with("NULL, 2").len(), 2);
    assert_eq!(db.lease().len(), 1);
    assert_eq!(db.lease(), []);
}

#[test]
fn two_senders_never_get_the_same_message() {
    let db = with_messages(200, json!({}));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let mut session = db.connect();
            std::thread::spawn(move || {
                let mut ids = Vec::new();
                loop {
                    let messages = session.lease_with("NULL, 7");
                    if messages.is_empty() {
                        return ids;
                    }
                    ids.extend(messages.into_iter().map(|message| message.id));
                }
            })
        })
        .collect();
    let mut ids: Vec<_> = senders
        .into_iter()
        .flat_map(|sender| sender.join().expect("no panic"))
        .collect();
    ids.sort_unstable();
    let leased = ids.len();
    ids.dedup();
    assert_eq!((leased, ids.len()), (200, 200));
}

#[test]
fn acknowledging_is_idempotent_and_keeps_the_providers_id() {
    let mut db = with_messages(2, json!({}));
    let leased = db.lease();
    let (a, b) = (leased[0].id, leased[1].id);
    db.expect(
        &format!("SELECT wf.ack_messages('{{{a},{b}}}', '{{p1,p2}}')"),
        &[2],
    );
    db.expect(
        "SELECT state, provider_id FROM wf.outbox ORDER BY message_id",
        &["sent | p1", "sent | p2"],
    );
    db.expect(
        &format!("SELECT wf.ack_messages('{{{a},{b}}}', '{{p1,p2}}')"),
        &[0],
    );
    db.run_due();
    db.expect("SELECT count(*) FROM wf.notes", &[2]);
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
    db.expect(&format!("SELECT wf.ack_messages('{{{a}}}')"), &[0]);
    db.expect_error("SELECT wf.ack_messages('{999999}')", "P0002", &["999999"])
        .hints("");
    db.expect("SELECT count(*) FROM wf.notes", &[2]);
}

#[test]
fn acknowledging_is_undone_with_the_senders_transaction() {
    let mut db = with_messages(1, json!({}));
    let leased = db.lease();
    let before: String = db.one("SELECT probe.state()");
    db.exec(&format!(
        "BEGIN; SELECT wf.ack_messages('{{{}}}'); ROLLBACK",
        leased[0].id
    ));
    db.run_due();
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn a_failed_message_comes_again_when_the_provider_says_so_with_the_same_key() {
    let mut db = with_messages(1, json!({}));
    let first = db.lease();
    assert_eq!(db.fail(&first, "421 try later", Some("30 minutes")), 1);
    assert_eq!(db.lease(), []);
    db.at("2026-03-02 10:29");
    assert_eq!(db.lease(), []);
    db.at("2026-03-02 10:30");
    let second = db.lease();
    assert_eq!(second.len(), 1, "{}", db.story());
    assert_eq!(second[0].idempotency_key, first[0].idempotency_key);
    assert_eq!(second[0].attempt, 2);
    assert_eq!(db.ack(&second), 1);
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

/// Fails every attempt, each followed by a day's wait.
fn fail_for_good(db: &mut TestDb) {
    for day in 2..20 {
        db.at(&format!("2026-03-{day:02} 11:00"));
        let leased = db.lease();
        db.fail(&leased, "550 no such mailbox", Some("1 minute"));
        db.run_due();
    }
}

#[test]
fn after_its_attempts_a_message_is_dead_and_an_incident() {
    let mut db = with_messages(1, json!({}));
    fail_for_good(&mut db);
    db.expect("SELECT state, attempts FROM probe.outbox()", &["dead | 5"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[1]);
    db.expect("SELECT count(*) FROM wf.failures WHERE message LIKE '%550 no such mailbox%' OR detail LIKE '%550 no such mailbox%'", &[1]);
    db.expect(
        "SELECT event FROM probe.history() WHERE event = 'message_dead'",
        &["message_dead"],
    );
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.expect("SELECT * FROM wf.notes", NONE);
}

#[test]
fn a_dead_message_takes_the_steps_other_way_if_it_has_one() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "mailing",
        json!([
            {"name": "mail", "kind": "email", "template": "hello", "otherwise": "ring", "next": "end"},
            {"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 1}, "next": "end"},
            {"name": "end", "kind": "finish", "merge": true}
        ]),
    ));
    db.invoice(1, "2026-04-01", "5");
    db.start("mailing", 1);
    db.run_due();
    fail_for_good(&mut db);
    db.expect("SELECT step FROM probe.tasks()", &["ring"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn as_03_04_a_step_is_done_when_its_message_was_sent_queued_or_delivered() {
    // sent, the default
    let mut db = with_messages(1, json!({}));
    db.expect("SELECT * FROM wf.notes", NONE);
    let leased = db.lease();
    db.run_due();
    db.expect("SELECT * FROM wf.notes", NONE);
    db.ack(&leased);
    db.run_due();
    db.expect("SELECT body FROM wf.notes", &["Sent."]);

    let mut db = with_messages(1, json!({"done_when": "queued"}));
    db.expect("SELECT body FROM wf.notes", &["Sent."]);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    // The message leaves all the same.
    assert_eq!(db.send().len(), 1);
    db.expect(STATE, &["sent"]);

    let mut db = with_messages(1, json!({"done_when": "delivered"}));
    let sent = db.send();
    db.expect("SELECT * FROM wf.notes", NONE);
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'delivered')",
        sent[0].id
    ));
    db.run_due();
    db.expect(STATE, &["delivered"]);
    db.expect("SELECT body FROM wf.notes", &["Sent."]);
}

#[test]
fn a_bounce_is_recorded_and_takes_the_other_way_while_the_step_waits() {
    let mut db = with_messages(1, json!({"done_when": "delivered"}));
    let sent = db.send();
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'bounced', 'mailbox full')",
        sent[0].id
    ));
    db.run_due();
    db.expect(
        "SELECT state, reason FROM probe.outbox()",
        &["bounced | mailbox full"],
    );
    db.expect(
        "SELECT event FROM probe.history() WHERE event = 'message_bounced'",
        &["message_bounced"],
    );
    db.expect("SELECT count(*) FROM wf.incidents", &[1]);
    db.expect("SELECT * FROM wf.notes", NONE);
}

#[test]
fn a_bounce_after_the_step_was_done_changes_only_the_message() {
    let mut db = with_messages(1, json!({}));
    let sent = db.send();
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'bounced', 'mailbox full')",
        sent[0].id
    ));
    db.run_due();
    db.expect(STATE, &["bounced"]);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn delivery_reports_refuse_other_words_and_unknown_messages() {
    let mut db = with_messages(1, json!({}));
    let sent = db.send();
    db.expect_error(
        &format!("SELECT wf.report_delivery({}, 'arrived')", sent[0].id),
        "22023",
        &["arrived", "delivered", "bounced"],
    );
    db.expect_error(
        "SELECT wf.report_delivery(999999, 'delivered')",
        "P0002",
        &["999999"],
    );
}

#[test]
fn lease_refuses_senseless_numbers() {
    let mut db = with_messages(1, json!({}));
    db.expect_error(
        "SELECT * FROM wf.lease_messages(NULL, 0)",
        "22023",
        &["max_messages"],
    );
    db.expect_error(
        "SELECT * FROM wf.lease_messages(NULL, 10, '-1 minute')",
        "22023",
        &["lease"],
    );
}

#[test]
fn a_lease_looks_at_unread_changes_holds_and_the_end_of_the_case() {
    let mut db = with_messages(4, json!({}));
    let case = |db: &mut TestDb, key: i64| {
        db.one::<i64>(&format!(
            "SELECT case_id FROM probe.cases() WHERE key = '{key}'"
        ))
    };
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    let (held, ended) = (case(&mut db, 2), case(&mut db, 3));
    db.exec(&format!("SELECT * FROM wf.hold({held})"));
    db.exec(&format!("SELECT * FROM wf.cancel({ended})"));
    let leased = db.lease();
    assert_eq!(leased.len(), 1, "{}", db.story());
    assert_eq!(leased[0].subject, "About INV-4");
}

#[test]
fn s18_a_payment_also_stops_what_a_completed_case_has_left_in_the_outbox() {
    let mut db = with_messages(2, json!({"done_when": "queued"}));
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
    db.exec("UPDATE invoice SET state = 'paid' WHERE id = 1");
    assert_eq!(db.lease_with("'email', 10").len(), 1);
    db.run_due();
    assert_eq!(db.lease_with("'email', 10"), []);
    db.expect(
        "SELECT aggregateid, state, reason FROM wf.outbox ORDER BY 1",
        &["1 | suppressed | paid", "2 | leased | null"],
    );
}

#[test]
fn an_unread_change_that_does_not_end_the_case_holds_the_message_only_until_it_is_read() {
    let mut db = with_messages(1, json!({}));
    db.exec("UPDATE invoice SET open_amount = 7");
    assert_eq!(db.lease(), []);
    db.run_due();
    assert_eq!(db.lease().len(), 1);
}

#[test]
fn a_leased_message_that_its_sender_lost_is_not_leased_again_once_the_case_has_ended() {
    let mut db = with_messages(1, json!({}));
    let leased = db.lease();
    assert_eq!(leased.len(), 1);
    db.exec("UPDATE invoice SET state = 'paid'");
    db.at("2026-03-02 11:00");
    assert_eq!(db.lease(), []);
}

#[test]
fn acknowledging_what_lost_its_lease_still_counts() {
    let mut db = with_messages(1, json!({}));
    let first = db.lease();
    db.at("2026-03-02 10:30");
    // The slow sender reports before anybody else took the message: it has been sent.
    assert_eq!(db.ack(&first), 1);
    db.run_due();
    assert_eq!(db.lease(), []);
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn a_text_is_rendered_from_the_data_of_the_moment_it_may_leave() {
    let mut db = TestDb::new();
    db.clock("2026-03-01 10:00");
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "mailing",
            json!([{"name": "mail", "kind": "email", "template": "hello"}]),
        ),
        |doc| doc["contact_window"] = json!({"days": "mon-fri", "from": "08:00", "to": "20:00"}),
    ));
    db.invoice(1, "2026-04-01", "12345678901234567890.12");
    db.start("mailing", 1);
    db.run_due();
    db.expect(STATE, &["deferred"]);
    db.exec("UPDATE invoice SET open_amount = 98765432109876543210.98");
    db.exec("UPDATE customer SET email = 'new@example.com' WHERE id = 1");
    db.at("2026-03-02 08:00");
    let leased = db.lease();
    assert_eq!(leased.len(), 1, "{}", db.story());
    assert_eq!(leased[0].recipient, "new@example.com");
    assert_eq!(
        leased[0].body,
        "Invoice INV-1, 98765432109876543210.98 open."
    );
}

#[test]
fn a_process_that_first_let_a_waiting_message_out_also_runs_the_step_for_others() {
    let mut db = TestDb::new();
    db.clock("2026-03-01 10:00");
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "mailing",
            json!([{"name": "mail", "kind": "email", "template": "hello"}]),
        ),
        |doc| {
            doc["contact_window"] = json!({"days": "mon-fri", "from": "08:00", "to": "20:00"});
            doc["start"] = json!({"when": "state = 'posted'"});
        },
    ));
    db.invoice(1, "2026-04-01", "5");
    db.run_due();
    db.expect(STATE, &["deferred"]);
    db.clock("2026-03-02 08:00");
    let mut fresh = db.connect();
    fresh.run_due();
    db.expect(STATE, &["queued"]);
    for id in 2..=4 {
        db.invoice(id, "2026-04-01", "5");
        fresh.run_due();
        db.expect(
            "SELECT count(*) FROM probe.outbox() WHERE state = 'queued'",
            &[id],
        );
    }
}

#[test]
fn rcv_28_a_message_of_a_completed_case_also_waits_for_the_next_opening() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "mailing",
            json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}]),
        ),
        |doc| {
            doc["contact_window"] = json!({"days": "mon-fri", "from": "09:00", "to": "17:00"});
            doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
        },
    ));
    for id in 1..=2 {
        db.invoice(id, "2026-04-01", "5");
        db.start("mailing", id);
    }
    db.run_due();
    db.expect("SELECT DISTINCT state FROM probe.cases()", &["completed"]);
    // The sender was down all day, and one of the two was paid at night, behind the workflow's back.
    db.at("2026-03-02 18:00");
    db.expect(
        "SELECT DISTINCT state, leaves FROM probe.outbox()",
        &["deferred | Tue 2026-03-03 09:00"],
    );
    db.exec("SET session_replication_role = replica; UPDATE invoice SET state = 'paid' WHERE id = 2; RESET session_replication_role");
    db.at("2026-03-03 09:00");
    let leased = db.lease();
    assert_eq!(leased.len(), 1, "{}", db.story());
    assert_eq!(leased[0].body, "Invoice INV-1, 5 open.");
    db.expect(
        "SELECT state::text FROM wf.outbox ORDER BY 1",
        &["leased", "suppressed"],
    );
}

#[test]
fn rcv_28_a_message_whose_window_has_closed_waits_for_the_next_opening() {
    let mut db = TestDb::new();
    db.clock("2026-02-28 10:00");
    db.bind_invoice();
    db.install(&edited(
        invoice_workflow(
            "mailing",
            json!([{"name": "mail", "kind": "email", "template": "hello"}]),
        ),
        |doc| doc["contact_window"] = json!({"days": "mon-fri", "from": "09:00", "to": "17:00"}),
    ));
    db.invoice(1, "2026-04-01", "5");
    db.start("mailing", 1);
    db.run_due();
    db.expect(
        "SELECT state, leaves FROM probe.outbox()",
        &["deferred | Mon 2026-03-02 09:00"],
    );
    db.at("2026-03-02 09:00");
    db.expect(STATE, &["queued"]);
    // The sender was down all day: at night it gets nothing.
    db.at("2026-03-02 22:00");
    assert_eq!(db.lease(), []);
    db.at("2026-03-03 09:00");
    assert_eq!(db.send().len(), 1);
}
