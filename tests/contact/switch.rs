//! The switch that stops everything, and holds that stop calls.

use serde_json::json;

use super::*;

#[test]
fn the_switch_stops_all_contact_in_all_workflows_until_it_is_turned_back() {
    let mut db = with_policy(json!({}), json!([email("mail")]));
    db.install(&invoice_workflow("plain", json!([sms("text")])));
    let case = db.start("reach", 1);
    db.start("plain", 1);
    db.run_due();
    db.exec("SELECT wf.stop_contact('a template went wrong')");
    assert_eq!(db.lease(), []);
    let waits: String = db.one(&format!(
        "SELECT fact || ' ' || detail FROM wf.explain({case}) WHERE subject = 'waits for'"
    ));
    for part in ["a template went wrong", "wf.resume_contact"] {
        assert!(waits.contains(part), "{waits}");
    }
    let health = "SELECT status, value, detail FROM wf.health WHERE \"check\" = 'contact'";
    db.expect(
        health,
        &["warning | 1 | stopped, until wf.resume_contact: all channels (a template went wrong)"],
    );
    db.exec("SELECT wf.resume_contact()");
    db.expect(health, &["ok | 0 | null"]);
    db.exec("SELECT wf.stop_contact('provider is down', 'sms')");
    let leased = db.lease();
    assert_eq!(leased.len(), 1);
    db.expect(
        "SELECT channel FROM probe.outbox() WHERE state = 'leased'",
        &["email"],
    );
    db.exec("SELECT wf.resume_contact('sms')");
    assert_eq!(db.lease().len(), 1);
    db.expect_error("SELECT wf.stop_contact(NULL)", "22004", &["reason"]);
}

#[test]
fn arw_24_a_quiet_hold_keeps_calls_here_too() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "plain",
        json!([
            {"name": "wait", "kind": "wait", "on": {"anchor": "case_start", "days": 1}},
            {"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 2}}
        ]),
    ));
    db.invoice(1, "2026-04-01", "1000");
    let case = db.start("plain", 1);
    db.exec(&format!(
        "SELECT * FROM wf.hold({case}, 'silence', kind => 'quiet')"
    ));
    db.at("2026-03-04 10:00");
    db.expect("SELECT step FROM probe.tasks()", NONE);
    db.exec(&format!("SELECT * FROM wf.release({case})"));
    db.run_due();
    db.expect("SELECT step FROM probe.tasks()", &["ring"]);
    db.expect("SELECT * FROM probe.outbox()", NONE);
}

#[test]
fn s25_a_simulation_tells_what_a_policy_delays_and_withholds() {
    let mut db = with_policy(
        json!({"windows": [{"days": "mon-fri", "from": "09:00", "to": "17:00"}], "fallback": ["sms", "email"]}),
        json!([sms("text")]),
    );
    db.exec("SELECT wf.opt_out('invoice:1', 'sms')");
    db.clock("2026-03-07 10:00");
    db.start("reach", 1);
    let before: String = db.one("SELECT probe.state()");
    db.expect(
        "SELECT step, event, coalesce(channel, detail::json->>'channel'), probe.local(at) FROM wf.simulate('reach')
         WHERE event IN ('message_suppressed', 'message_sent')",
        &[
            "text | message_suppressed | sms | Sat 2026-03-07 10:00",
            "text | message_sent | email | Mon 2026-03-09 09:00",
        ],
    );
    db.expect("SELECT probe.state()", &[before]);
    db.expect(
        "SELECT count(*) FROM wf.contact_log WHERE event = 'attempt'",
        &[0],
    );
}
