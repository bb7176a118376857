//! The kinds of workflow: what each may use, and that what is agreed goes along to another version.

use serde_json::json;
use workflow_engine_tests::{TestDb, document, edited, invoice_workflow, step_of};

use super::*;

#[test]
fn fv_07_fv_16_every_kind_of_workflow_reaches_people_on_every_channel() {
    for kind in [
        "breathing_space",
        "main_outreach",
        "payment_plan",
        "on_hold",
        "retry",
        "process",
        "custom",
    ] {
        let mut document = invoice_workflow(
            "all channels",
            json!([
                {"name": "mail", "kind": "email", "template": "hello"},
                {"name": "text", "kind": "sms", "template": "hello"},
                {"name": "speech", "kind": "voice", "template": "hello"},
                {"name": "post", "kind": "letter", "template": "hello"},
                {"name": "desk", "kind": "ticket", "queue": "service", "template": "hello"},
                {"name": "ring", "kind": "call", "participant": "clerk", "due": {"anchor": "previous_done", "days": 1}}
            ]),
        );
        document["kind"] = kind.into();
        let mut db = with_documents(&[document]);
        db.clock("2026-05-04 10:00");
        db.invoice(1, "2026-04-01", "1000");
        db.start("all channels", 1);
        db.run_due();
        let mut channels = Vec::new();
        while let Some(message) = db.send().pop() {
            channels.push(message.channel);
        }
        assert_eq!(
            channels,
            ["email", "sms", "voice", "letter", "ticket"],
            "{kind}: {}",
            db.story()
        );
        db.expect("SELECT step FROM probe.tasks()", &["ring"]);
    }
}

/// Another version of a workflow, with a longer wait for a step of it.
fn changed(db: &mut TestDb, text: &str, step: &str) {
    let document = edited(document(text), |doc| {
        step_of(doc, step)["when"] = "open_amount > 6".into();
    });
    db.define(&document);
    let name = document["name"].as_str().expect("a name").to_owned();
    db.exec(&format!("SELECT wf.publish('{name}')"));
    db.exec(&format!(
        "SELECT * FROM wf.migrate('{name}', 1, 2, dry_run => false)"
    ));
    db.expect(
        &format!("SELECT version FROM wf.case_progress WHERE workflow = '{name}'"),
        &[2],
    );
}

#[test]
fn a_promise_goes_along_to_another_version() {
    let mut db = with_workflows(&[MAIN_OUTREACH]);
    db.clock("2026-05-11 11:00");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    db.send();
    db.exec("SELECT wf.promise(case_id, 500, '2026-05-15', 2) FROM probe.cases()");
    changed(&mut db, MAIN_OUTREACH, "second reminder");
    db.at("2026-05-20 00:00");
    db.expect("SELECT state FROM wf.promises", &["broken"]);
    db.expect("SELECT state FROM probe.cases()", &["running"]);
}

#[test]
fn a_payment_plan_goes_along_to_another_version() {
    let mut db = with_workflows(&[PAYMENT_PLAN, MAIN_OUTREACH]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    db.exec(
        "SELECT wf.agree_plan(case_id, '{2026-06-01,2026-07-01}', '{500,500}') FROM probe.cases()",
    );
    db.run_due();
    db.send();
    db.at("2026-05-29 08:00");
    assert_eq!(db.send().len(), 1);
    changed(&mut db, PAYMENT_PLAN, "overdue notice");
    // Instalment 1 has been reminded of, and is not again.
    db.at("2026-06-01 12:00");
    assert_eq!(db.send(), []);
    db.at("2026-06-04 08:00");
    assert_eq!(
        db.send()[0].subject,
        "Instalment 1 of invoice INV-1 is overdue"
    );
}
