//! `reminders.json`: what accounts receivable do around the due date, and what they go on with.

use workflow_engine_tests::TestDb;

use super::{invoice, office};

const CASES: &str = "SELECT workflow, state, coalesce(outcome, reason, '') FROM wf.case_progress WHERE workflow IN ('reminders', 'claims') ORDER BY case_id";

/// Reminded until somebody is to call: an invoice of this amount, due on Fri 2026-05-15.
fn reminded(amount: &str) -> TestDb {
    let mut db = office();
    invoice(&mut db, 1, 1, "2026-05-15", amount);
    db.run_due();
    db.at("2026-05-12 08:00");
    let sent = db.send();
    assert_eq!(sent.len(), 1, "{}", db.story());
    assert_eq!(sent[0].subject, "Factuur INV-1 vervalt op 15 mei 2026");
    db.run_due();
    db.at("2026-05-20 08:00");
    let sent = db.send();
    assert_eq!(sent[0].channel, "sms", "{}", db.story());
    db.at("2026-05-27 09:00");
    db
}

#[test]
fn arw_01_02_08_09_a_sequence_of_emails_texts_and_calls_shortens_the_time_to_payment() {
    let mut db = reminded("2000");
    db.expect(
        "SELECT participant, body FROM wf.alerts",
        &["ar_specialist | Invoice INV-1 of Jansen BV is still open: please call."],
    );
    db.settle("ring", Some("promised"));
    db.expect("SELECT reminder_status FROM public.invoices", &["called"]);
    db.expect(CASES, &["reminders | completed | left to dunning"]);
    // The other one is paid before it is due, and hears nothing.
    invoice(&mut db, 2, 2, "2026-06-30", "3000");
    db.run_due();
    db.at("2026-06-01 12:00");
    db.exec("UPDATE public.invoices SET state = 'paid' WHERE id = 2");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM wf.outbox AS o JOIN wf.cases AS c USING (case_id) WHERE c.key = '2'",
        &[0],
    );
    // What the reports say about time to payment.
    db.expect(
        "SELECT completed, stopped, date_trunc('hour', average_to_stop) FROM wf.workflow_stats WHERE workflow = 'reminders'",
        &["1 | 1 | 5 days 03:00:00"],
    );
}

#[test]
fn arw_18_fv_20_a_large_one_goes_on_as_a_claim_after_three_attempts() {
    let mut db = reminded("5000");
    for _ in 0..3 {
        db.settle("ring", Some("not_reached"));
    }
    db.expect(
        CASES,
        &["reminders | completed | continued", "claims | running | "],
    );
}

#[test]
fn arw_22_23_26_the_dashboard_counts_cases_and_customers_and_off_starts_no_more() {
    let mut db = office();
    for (id, customer) in [(1, 1), (2, 1), (3, 2)] {
        invoice(&mut db, id, customer, "2026-05-15", "2000");
    }
    db.run_due();
    db.expect(
        "SELECT enabled, running, customers FROM wf.workflow_stats WHERE workflow = 'reminders'",
        &["t | 3 | 2"],
    );
    db.exec("SELECT wf.disable('reminders')");
    invoice(&mut db, 4, 2, "2026-05-15", "2000");
    db.at("2026-05-12 10:00");
    // Saved but off: those that run go on, no other begins.
    db.expect(
        "SELECT enabled, running, customers FROM wf.workflow_stats WHERE workflow = 'reminders'",
        &["f | 3 | 2"],
    );
    assert_eq!(db.send().len(), 3, "{}", db.story());
}
