//! Disputes: FV-11, FV-12, FV-13.

use workflow_engine_tests::{TestDb, document, edited, step_of};

use super::*;

/// Main outreach of 1,000 EUR; the first message left on Mon 2026-05-04, the second is due on Mon 05-18. The whole claim is
/// disputed on Tue 05-12. The case's id.
fn disputed() -> (TestDb, i64) {
    let mut db = with_workflows(&[INVESTIGATION, MAIN_OUTREACH]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.at("2026-05-12 10:00");
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.expect(&format!("SELECT wf.dispute({case}, 'wrong price')"), &[1]);
    db.run_due();
    assert_eq!(db.send()[0].subject, "Your dispute about invoice INV-1");
    (db, case)
}

const DISPUTES: &str =
    "SELECT reason, amount, outcome, settled_at IS NOT NULL FROM wf.disputes ORDER BY dispute_id";

#[test]
fn fv_11_a_dispute_suspends_regular_communication() {
    let (mut db, _) = disputed();
    db.expect(
        CASES,
        &[
            "main outreach | held | null | null",
            "investigation | running | null | null",
        ],
    );
    db.expect(
        "SELECT kind, reason FROM wf.holds WHERE released_at IS NULL",
        &["dispute | wrong price"],
    );
    db.at("2026-06-12 12:00");
    assert_eq!(db.lease(), []);
    db.expect("SELECT step FROM probe.tasks()", &["look into it"]);
}

#[test]
fn fv_12_what_a_dispute_stops_is_configurable() {
    let mut db = with_workflows(&[INVESTIGATION, MAIN_OUTREACH]);
    db.exec("SELECT wf.set_hold_kind('dispute', blocks => '{communication,charges}')");
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    assert_eq!(db.send().len(), 1);
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.exec(&format!("SELECT wf.dispute({case}, 'wrong price')"));
    db.expect(
        "SELECT state FROM probe.cases() WHERE workflow = 'main outreach'",
        &["running"],
    );
    // The case goes on to its second message, which stays here.
    db.at("2026-05-18 08:00");
    db.expect(
        &format!("SELECT step, state FROM probe.open() WHERE case_id = {case}"),
        &["second reminder | sending"],
    );
    assert!(db.lease().iter().all(|m| m.case_id != case));
}

#[test]
fn fv_13_when_the_investigation_ends_outreach_goes_on_where_it_was() {
    let (mut db, case) = disputed();
    db.at("2026-05-15 10:00");
    db.settle("look into it", Some("rejected"));
    db.expect(
        CASES,
        &[
            "main outreach | running | null | null",
            "investigation | completed | rejected | null",
        ],
    );
    db.expect(DISPUTES, &["wrong price | null | rejected | t"]);
    // Kind dispute: dates move by the business days on hold, 05-12 to 05-15.
    db.expect(
        &format!("SELECT step, run FROM probe.open() WHERE case_id = {case}"),
        &["second reminder | Thu 2026-05-21 00:00"],
    );
    db.at("2026-05-21 08:00");
    assert_eq!(db.send()[0].channel, "sms");
}

#[test]
fn fv_13_settled_by_a_call_the_investigation_ends_too() {
    let (mut db, _) = disputed();
    db.exec("SELECT wf.settle_dispute(1, 'accepted in part')");
    db.exec("SELECT wf.settle_dispute(1, 'once more')");
    db.run_due();
    db.expect(
        CASES,
        &[
            "main outreach | running | null | null",
            "investigation | completed | settled | null",
        ],
    );
    db.expect(DISPUTES, &["wrong price | null | accepted in part | t"]);
    db.expect(
        "SELECT event, outcome FROM probe.history() WHERE event LIKE 'dispute%' ORDER BY history_id",
        &["disputed | null", "dispute_settled | accepted in part"],
    );
}

#[test]
fn fv_13_a_payment_plan_goes_on_where_it_was() {
    let mut db = with_workflows(&[INVESTIGATION, PAYMENT_PLAN, MAIN_OUTREACH]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    let outreach: i64 = db.one("SELECT case_id FROM probe.cases()");
    let plan: i64 = db.one(&format!(
        "SELECT DISTINCT case_id FROM wf.agree_plan({outreach}, '{{2026-06-01}}', '{{1000}}')"
    ));
    db.run_due();
    db.send();
    db.exec(&format!("SELECT wf.dispute({plan}, 'wrong price')"));
    db.run_due();
    db.send();
    db.at("2026-05-29 12:00");
    assert_eq!(db.lease(), []);
    db.exec("SELECT wf.settle_dispute(1, 'rejected')");
    db.run_due();
    assert_eq!(db.send()[0].subject, "Instalment 1 of invoice INV-1");
}

#[test]
fn fv_11_a_dispute_about_a_part_leaves_the_rest_to_be_asked_for() {
    let outreach = edited(document(MAIN_OUTREACH), |doc| {
        doc["templates"]["second"]["body"] =
            "{{ open_amount - vars.disputed_amount }} is not disputed.".into();
        step_of(doc, "interest")["principal"] =
            "open_amount - coalesce((vars ->> 'disputed_amount')::numeric, 0)".into();
    });
    let mut db = with_documents(&[outreach]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    db.send();
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.exec(&format!(
        "SELECT wf.dispute({case}, 'two items missing', 200)"
    ));
    db.exec(&format!("SELECT wf.dispute({case}, 'one broken', 70.50)"));
    db.expect("SELECT state FROM probe.cases()", &["running"]);
    db.at("2026-05-18 08:00");
    assert_eq!(db.send()[0].body, "729.50 is not disputed.");
    db.exec("SELECT wf.settle_dispute(2, 'accepted')");
    db.at("2026-06-01 08:00");
    db.expect(
        "SELECT principal FROM wf.charges WHERE kind = 'interest'",
        &["800.00"],
    );
    db.exec("SELECT wf.settle_dispute(1, 'rejected')");
    db.expect("SELECT vars FROM wf.cases", &["{}"]);
}

#[test]
fn a_dispute_that_cannot_be_is_refused() {
    let (mut db, case) = disputed();
    db.expect_error("SELECT wf.dispute(99, 'x')", "P0002", &["case 99"]);
    db.expect_error(
        &format!("SELECT wf.dispute({case}, 'x', 0)"),
        "22023",
        &["amount is 0"],
    );
    db.expect_error(
        "SELECT wf.settle_dispute(99, 'x')",
        "P0002",
        &["dispute 99"],
    );
    // Two of the whole claim cannot be looked into at once.
    db.expect_error(
        &format!("SELECT wf.dispute({case}, 'again')"),
        "55000",
        &["already has an open case of workflow \"investigation\""],
    );
    db.expect("SELECT count(*) FROM wf.disputes", &[1]);
    db.exec(&format!("SELECT wf.cancel({case}, 'sold')"));
    db.expect_error(
        &format!("SELECT wf.dispute({case}, 'x')"),
        "55000",
        &["has ended"],
    );
}
