//! A sender of one channel that wants messages of another one.

use super::*;

/// A message by e-mail and one by text, and the attacker, a sender for texts.
fn set_up() -> (Stage, i64, i64) {
    let mut stage = Stage::new(None);
    let me = stage.me.clone();
    stage.exec(&format!(
        "SELECT wf.grant_role('\"{me}\"', 'sender', '{{sms}}')"
    ));
    for (name, kind) in [("mails", "email"), ("texts", "sms")] {
        stage.install(&invoice_workflow(
            name,
            json!([{"name": "send", "kind": kind, "template": "hello", "done_when": "delivered"}]),
        ));
    }
    stage.invoice(1, "2026-04-01", "1000");
    stage.exec("SELECT wf.start('mails', 1), wf.start('texts', 1)");
    stage.run_due();
    let id = |stage: &mut Stage, channel: &str| {
        stage.one(&format!(
            "SELECT message_id FROM wf.outbox WHERE type = '{channel}'"
        ))
    };
    let (mail, text) = (id(&mut stage, "email"), id(&mut stage, "sms"));
    (stage, mail, text)
}

const MAILS: &str = "SELECT state, attempts, sender FROM wf.outbox WHERE type = 'email'";

#[test]
fn a_sender_leases_and_reports_on_its_own_channels_only() {
    let (mut stage, mail, text) = set_up();
    let mut mallory = stage.mallory();
    mallory
        .expect_error(
            "SELECT * FROM wf.lease_messages('email')",
            "42501",
            &["email", "not yours"],
        )
        .hints("wf.grant_role");
    // Of all that are theirs.
    mallory.expect(
        "SELECT message_id, channel FROM wf.lease_messages()",
        &[format!("{text} | sms")],
    );
    stage.expect(MAILS, &["queued | 0 | null"]);
    stage.expect(&format!("SELECT message_id FROM wf.lease_messages('email', sender => 'the right one') WHERE message_id = {mail}"), &[mail]);
    for call in [
        format!("wf.ack_messages('{{{mail}}}')"),
        format!("wf.ack_messages('{{{text},{mail}}}', '{{a,b}}')"),
        format!("wf.fail_messages('{{{mail}}}', 'no')"),
        format!("wf.report_delivery({mail}, 'bounced')"),
        format!("wf.report_delivery({mail}, 'delivered')"),
    ] {
        mallory.expect_error(
            &format!("SELECT {call}"),
            "42501",
            &[&format!("message {mail} is not yours"), "email"],
        );
    }
    stage.expect(MAILS, &["leased | 1 | the right one"]);
    mallory.exec(&format!(
        "SELECT wf.ack_messages('{{{text}}}'); SELECT wf.report_delivery({text}, 'delivered')"
    ));
    stage.expect(
        "SELECT type, state FROM wf.outbox ORDER BY 1",
        &["email | leased", "sms | delivered"],
    );
    // An unknown channel and an unknown message are what they are to others.
    mallory.expect_error("SELECT * FROM wf.lease_messages('fax')", "42704", &["fax"]);
    mallory.expect_error("SELECT wf.ack_messages('{99999}')", "P0002", &["99999"]);
}

#[test]
fn a_sender_reads_no_table_and_does_not_widen_its_channels() {
    let (mut stage, ..) = set_up();
    let me = stage.me.clone();
    let mut mallory = stage.mallory();
    for sql in [
        "SELECT payload FROM wf.outbox",
        "SELECT * FROM wf.sender_channels",
        "DELETE FROM wf.sender_channels",
        "SELECT wf.grant_role(current_user::regrole, 'sender')",
        "SELECT wf.revoke_role(current_user::regrole)",
        "COPY wf.outbox TO STDOUT",
        "SELECT * FROM wf.incidents",
        "SELECT * FROM wf.invoice_cases",
        "SELECT wf.explain(1)",
    ] {
        mallory.expect_error(sql, "42501", &[]);
    }
    // Who is in the role is in the channels.
    let friend = stage.role("friend");
    stage.exec(&format!("GRANT \"{me}\" TO \"{friend}\""));
    stage.connect_as(&friend).expect_error(
        "SELECT * FROM wf.lease_messages('email')",
        "42501",
        &["email"],
    );
    // Superusers are in every role, and in no channel.
    stage.expect("SELECT count(*) FROM wf.lease_messages()", &[2]);
}

#[test]
fn channels_are_given_and_taken_with_the_rights_of_a_sender() {
    let (mut stage, mail, text) = set_up();
    let me = stage.me.clone();
    for (channels, kind) in [
        ("{fax}", "sender"),
        ("{}", "sender"),
        ("{sms,NULL}", "sender"),
        ("{sms}", "reader"),
    ] {
        stage
            .expect_error(
                &format!("SELECT wf.grant_role('\"{me}\"', '{kind}', '{channels}')"),
                "22023",
                &[kind],
            )
            .hints("email");
    }
    stage.expect("SELECT channel FROM wf.sender_channels", &["sms"]);
    stage.exec(&format!(
        "SELECT wf.grant_role('\"{me}\"', 'sender', '{{sms,email}}')"
    ));
    stage.mallory().expect(
        "SELECT message_id FROM wf.lease_messages() ORDER BY 1",
        &[mail, text],
    );
    stage.exec(&format!("SELECT wf.grant_role('\"{me}\"', 'sender')"));
    stage.expect("SELECT channel FROM wf.sender_channels", NONE);
    stage
        .mallory()
        .exec("SELECT * FROM wf.lease_messages('letter')");
    stage.exec(&format!(
        "SELECT wf.grant_role('\"{me}\"', 'sender', '{{sms}}'); SELECT wf.revoke_role('\"{me}\"')"
    ));
    stage.expect("SELECT channel FROM wf.sender_channels", NONE);
}
