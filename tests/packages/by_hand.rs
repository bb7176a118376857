//! `claims.json`: a workflow of phases and steps that a collector starts by hand.

use super::{invoice, office};

#[test]
fn rcv_01_rcv_07_a_claim_taken_in_hand_goes_step_by_step() {
    let mut db = office();
    invoice(&mut db, 1, 1, "2026-05-10", "900");
    db.run_due();
    // Nothing starts it by itself.
    db.expect(
        "SELECT count(*) FROM wf.case_progress WHERE workflow = 'claims'",
        &[0],
    );
    db.expect("SELECT step FROM wf.start('claims', 1)", &["prepare"]);
    db.expect_error("SELECT wf.start('claims', 1)", "23505", &["claims"]);
    db.at("2026-05-04 10:00");
    db.settle("prepare", None);
    db.at("2026-05-04 10:01");
    let sent = db.send();
    assert_eq!(sent.len(), 1, "{}", db.story());
    db.run_due();
    let sent = db.send();
    assert_eq!(sent[0].channel, "sms", "{}", db.story());
    db.at("2026-05-05 10:00");
    db.settle("ring", Some("not_reached"));
    db.settle("ring", Some("agreed"));
    let task = db.task("agreement");
    db.expect_error(
        &format!("SELECT wf.complete({task}, 'done')"),
        "22023",
        &["document"],
    );
    db.exec(&format!(
        "SELECT wf.complete({task}, 'done', '{{\"document\": \"agreements/1.pdf\"}}')"
    ));
    db.expect(
        "SELECT state, steps FROM wf.case_progress WHERE workflow = 'claims'",
        &["running | pays"],
    );
    db.exec(
        "INSERT INTO public.payments (invoice_id, paid_on, amount) VALUES (1, '2026-05-06', 900)",
    );
    db.run_due();
    db.expect(
        "SELECT state, coalesce(outcome, '') FROM wf.case_progress WHERE workflow = 'claims'",
        &["cancelled | stopped"],
    );
    // Its steps in their order, as they were taken.
    db.expect(
        "SELECT string_agg(step, ' ' ORDER BY h.history_id) FROM probe.history() AS h JOIN wf.cases AS c USING (case_id)
         JOIN wf.workflows AS w USING (workflow_id) WHERE w.name = 'claims' AND h.event = 'step_done'",
        &["prepare announce_email announce_sms ring try_again ring agreement"],
    );
}
