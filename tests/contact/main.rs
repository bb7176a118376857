//! Contact policies: windows, zones, limits, opt-outs, channels that take turns, and the switch that stops everything.

mod choices;
mod last_look;
mod limits;
mod switch;

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// A database with this policy as `decent`, and the workflow `reach` of these steps, which goes by it; invoice 1 of
/// customer 1 (Amsterdam). It is Mon 2026-03-02 10:00 there.
fn with_policy(policy: Value, steps: Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.exec(&format!(
        "SELECT wf.set_contact_policy('decent', '{policy}')"
    ));
    let mut workflow = invoice_workflow("reach", steps);
    workflow["contact_policy"] = "decent".into();
    db.install(&workflow);
    db.invoice(1, "2026-04-01", "1000");
    db
}

fn email(name: &str) -> Value {
    json!({"name": name, "kind": "email", "template": "hello"})
}

fn sms(name: &str) -> Value {
    json!({"name": name, "kind": "sms", "template": "hello"})
}

const MESSAGES: &str =
    "SELECT step, channel, state, leaves, coalesce(reason, '-') FROM probe.outbox()";
