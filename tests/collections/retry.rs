//! S11: another attempt when new contact data come, with nothing that had been tried.

use workflow_engine_tests::{TestDb, document, edited};

use super::*;

/// Main outreach of invoice 1 has ended on 2026-07-31, nobody could be reached. Contact data are the invoice's own.
fn unreachable() -> TestDb {
    let mut db = TestDb::new();
    db.exec(
        "CREATE TABLE contact (invoice_id bigint PRIMARY KEY, email text, phone text, address text);
         CREATE VIEW invoice_and_contact AS
         SELECT i.id, i.number, i.state, i.due_date, i.open_amount, i.currency, c.name AS customer_name,
                k.email, k.phone, k.address, c.locale, c.time_zone
         FROM invoice AS i JOIN customer AS c ON c.id = i.customer_id LEFT JOIN contact AS k ON k.invoice_id = i.id;
         SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_and_contact',
                email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone');
         SELECT wf.watch('invoice', 'public.contact', 'invoice_id')",
    );
    for text in [RETRY, MAIN_OUTREACH] {
        db.install(&document(text));
    }
    db.clock("2026-05-04 09:12");
    db.exec("INSERT INTO contact VALUES (1, 'old@example.com', '+31 20 123 45 67', 'Damrak 1')");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    for day in ["2026-05-04 09:12", "2026-05-18 08:00", "2026-06-01 08:00"] {
        db.at(day);
        assert_eq!(db.send().len(), 1, "{day}");
    }
    for day in ["2026-06-10 12:00", "2026-06-20 12:00", "2026-06-30 12:00"] {
        db.at(day);
        db.settle("call", Some("nobody there"));
    }
    db.at("2026-07-31 10:00");
    db.expect(CASES, &["main outreach | completed | unreachable | null"]);
    db
}

const RETRIES: &str =
    "SELECT c.state, c.outcome, k.vars -> 'new_contact' FROM probe.cases() AS c JOIN wf.cases AS k USING (case_id)
     WHERE c.workflow = 'retry' ORDER BY c.case_id";

#[test]
fn s11_fv_14_a_new_number_starts_one_retry_on_that_number_alone() {
    let mut db = unreachable();
    db.exec("UPDATE contact SET phone = '+31 6 1111 1111' WHERE invoice_id = 1");
    db.run_due();
    db.expect(
        RETRIES,
        &[r#"running | null | {"phone": "+31 6 1111 1111"}"#],
    );
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].channel.as_str(), sent[0].recipient.as_str()),
        ("sms", "+31 6 1111 1111")
    );
    // The e-mail and postal addresses had been tried.
    assert_eq!(db.send(), []);
    db.at("2026-08-05 10:00");
    db.settle("call", Some("nobody there"));
    db.expect(
        RETRIES,
        &[r#"completed | unreachable | {"phone": "+31 6 1111 1111"}"#],
    );
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn s11_fv_15_the_same_data_again_start_nothing() {
    let mut db = unreachable();
    // Written otherwise, it is the same number.
    db.exec("UPDATE contact SET phone = '0031-20-1234567' WHERE invoice_id = 1");
    db.exec("UPDATE contact SET email = ' OLD@example.com ' WHERE invoice_id = 1");
    db.run_due();
    db.expect(RETRIES, NONE);
    db.exec("UPDATE contact SET phone = '+31 6 1111 1111' WHERE invoice_id = 1");
    db.run_due();
    db.send();
    db.at("2026-08-05 10:00");
    db.settle("call", Some("nobody there"));
    db.exec("UPDATE contact SET phone = '+31 20 123 45 67' WHERE invoice_id = 1");
    db.run_due();
    db.exec("UPDATE contact SET phone = '+31611111111' WHERE invoice_id = 1");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE workflow = 'retry'",
        &[1],
    );
    // Other data: another retry.
    db.exec("UPDATE contact SET email = 'new@example.com' WHERE invoice_id = 1");
    db.run_due();
    let sent = db.send();
    assert_eq!(
        (sent.len(), sent[0].recipient.as_str()),
        (1, "new@example.com")
    );
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE workflow = 'retry'",
        &[2],
    );
}

#[test]
fn s11_data_that_come_while_a_retry_runs_are_used_by_that_one() {
    let mut db = unreachable();
    db.clock("2026-08-01 10:00");
    db.exec("UPDATE contact SET phone = '+31 6 1111 1111' WHERE invoice_id = 1");
    db.run_due();
    // A Saturday: nothing has left yet.
    db.exec("UPDATE contact SET phone = '+31 6 2222 2222', email = 'new@example.com' WHERE invoice_id = 1");
    db.run_due();
    db.at("2026-08-03 08:00");
    assert_eq!(db.send()[0].recipient, "+31 6 2222 2222");
    assert_eq!(db.send()[0].recipient, "new@example.com");
    db.at("2026-08-10 10:00");
    db.settle("call", Some("nobody there"));
    db.exec("UPDATE invoice SET open_amount = 900 WHERE id = 1");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE workflow = 'retry'",
        &[1],
    );
}

#[test]
fn s11_whoever_opted_out_of_text_messages_gets_none_at_the_new_number() {
    let mut db = unreachable();
    db.exec("SELECT wf.opt_out('invoice:1', 'sms', reason => 'said STOP')");
    db.exec("UPDATE contact SET phone = '+31 6 1111 1111' WHERE invoice_id = 1");
    db.run_due();
    assert_eq!(db.send(), []);
    db.run_due();
    assert_eq!(db.send(), []);
    db.expect(
        "SELECT o.channel, o.state FROM probe.outbox() AS o JOIN probe.cases() AS c USING (case_id) WHERE workflow = 'retry'",
        &["sms | suppressed"],
    );
    // E-mail and letter have nothing new; the number itself may still be called.
    db.at("2026-08-05 10:00");
    db.expect("SELECT step FROM probe.tasks()", &["call"]);
}

#[test]
fn s11_the_channels_that_a_policy_falls_back_to_use_new_data_only_too() {
    let mut db = unreachable();
    db.exec(
        r#"SELECT wf.set_contact_policy('decent', '{"fallback": ["sms", "email", "letter"],
            "task": {"participant": "clerk", "title": "Find another way"}}')"#,
    );
    let decent = edited(document(RETRY), |doc| {
        doc["contact_policy"] = "decent".into();
        let steps = doc["phases"][0]["steps"].as_array_mut().expect("steps");
        for step in steps {
            step.as_object_mut().expect("a step").remove("otherwise");
        }
    });
    db.install(&decent);
    db.exec("SELECT wf.opt_out('invoice:1', 'sms')");
    db.exec("UPDATE contact SET phone = '+31 6 1111 1111' WHERE invoice_id = 1");
    db.run_due();
    assert_eq!(db.send(), []);
    db.expect("SELECT title FROM wf.tasks", &["Find another way"]);
}

#[test]
fn fv_14_no_retry_without_an_outreach_that_ended_in_vain() {
    let mut db = unreachable();
    db.clock("2026-08-03 10:00");
    db.exec("INSERT INTO contact VALUES (2, 'two@example.com', NULL, NULL)");
    db.invoice(2, "2026-07-01", "50.00");
    db.run_due();
    db.exec("UPDATE contact SET email = 'other@example.com' WHERE invoice_id = 2");
    db.run_due();
    db.expect(RETRIES, NONE);
    // Paid meanwhile: nothing to ask for any more.
    db.exec("UPDATE invoice SET state = 'paid', open_amount = 0 WHERE id = 1");
    db.exec("UPDATE contact SET phone = '+31 6 1111 1111' WHERE invoice_id = 1");
    db.run_due();
    db.expect(RETRIES, NONE);
}

#[test]
fn only_a_retry_may_start_on_new_contact_data() {
    let mut db = unreachable();
    let wrong = edited(document(RETRY), |doc| doc["kind"] = "custom".into());
    db.define(&wrong);
    db.expect_error(
        "SELECT wf.publish('retry')",
        "22023",
        &["only a workflow of kind retry"],
    );
}
