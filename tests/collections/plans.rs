//! Payment plans: FV-09, FV-10, FV-19.

use workflow_engine_tests::{TestDb, document, edited};

use super::*;

/// 1,000 EUR uploaded on Mon 2026-05-04 09:12 with a breathing space. On Sun 05-10 the customer commits to pay 400, 300
/// and 300.
fn committed() -> (TestDb, i64) {
    let mut db = with_workflows(&[PAYMENT_PLAN, MAIN_OUTREACH, BREATHING_SPACE]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    db.at("2026-05-10 15:00");
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    let plan: i64 = db.one(&format!(
        "SELECT DISTINCT case_id FROM wf.agree_plan({case}, '{{2026-06-01,2026-07-01,2026-08-03}}', '{{400,300,300}}')"
    ));
    db.run_due();
    (db, plan)
}

fn subjects(db: &mut TestDb, at: &str) -> Vec<String> {
    db.at(at);
    db.send().into_iter().map(|m| m.subject).collect()
}

#[test]
fn s10_fv_09_commitment_in_a_breathing_space_starts_the_plan_without_charges() {
    let (mut db, _) = committed();
    db.expect(
        CASES,
        &[
            "breathing space | completed | continued | null",
            "payment plan | running | null | null",
        ],
    );
    db.at("2026-05-19 08:00");
    db.expect(CHARGES, NONE);
    db.expect(
        "SELECT instalment, due_on, amount FROM wf.instalments",
        &[
            "1 | 2026-06-01 | 400",
            "2 | 2026-07-01 | 300",
            "3 | 2026-08-03 | 300",
        ],
    );
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].body.contains("in 3 instalments"),
        "{}",
        sent[0].body
    );
    assert!(sent[0].body.contains("2026-07-01"), "{}", sent[0].body);
}

#[test]
fn fv_09_each_instalment_is_reminded_of_three_days_before() {
    let (mut db, _) = committed();
    assert_eq!(subjects(&mut db, "2026-05-11 08:00").len(), 1);
    assert_eq!(subjects(&mut db, "2026-05-28 20:00"), NONE);
    db.at("2026-05-29 08:00");
    let sent = db.send();
    assert_eq!(sent[0].subject, "Instalment 1 of invoice INV-1");
    assert!(sent[0].body.contains("400.00"), "{}", sent[0].body);
    // Paid in time: nothing is overdue, and the next one is reminded of in its turn.
    db.exec("UPDATE invoice SET open_amount = 600 WHERE id = 1");
    assert_eq!(subjects(&mut db, "2026-06-20 12:00"), NONE);
    assert_eq!(
        subjects(&mut db, "2026-06-29 08:00"),
        ["Instalment 2 of invoice INV-1"]
    );
    // Both that are left are paid early: the plan is kept at once.
    db.exec("UPDATE invoice SET open_amount = 0 WHERE id = 1");
    db.run_due();
    db.expect(
        &format!("{CASES} OFFSET 1"),
        &["payment plan | completed | plan kept | null"],
    );
}

#[test]
fn fv_10_an_overdue_instalment_is_told_of_and_two_break_the_plan() {
    let (mut db, _) = committed();
    for at in ["2026-05-11 08:00", "2026-05-29 08:00"] {
        assert_eq!(subjects(&mut db, at).len(), 1);
    }
    db.exec("UPDATE invoice SET open_amount = 900 WHERE id = 1");
    // Due on Mon 06-01, two business days of grace: overdue from Thu 06-04 on.
    assert_eq!(subjects(&mut db, "2026-06-03 12:00"), NONE);
    db.at("2026-06-04 08:00");
    let sent = db.send();
    assert_eq!(sent[0].subject, "Instalment 1 of invoice INV-1 is overdue");
    assert!(sent[0].body.contains("300.00"), "{}", sent[0].body);
    assert_eq!(
        subjects(&mut db, "2026-06-29 08:00"),
        ["Instalment 2 of invoice INV-1"]
    );
    db.at("2026-07-04 00:00");
    db.expect(
        &format!("{CASES} OFFSET 1"),
        &[
            "payment plan | completed | continued | null",
            "main outreach | running | null | null",
        ],
    );
}

#[test]
fn fv_19_a_changed_plan_is_confirmed_and_followed() {
    let (mut db, plan) = committed();
    for at in ["2026-05-11 08:00", "2026-05-29 08:00"] {
        assert_eq!(subjects(&mut db, at).len(), 1);
    }
    db.exec("UPDATE invoice SET open_amount = 800 WHERE id = 1");
    db.at("2026-06-02 10:00");
    db.expect(
        &format!("SELECT case_id - {plan} FROM wf.agree_plan({plan}, '{{2026-06-15,2026-07-15}}', '{{400,400}}')"),
        &[0],
    );
    db.run_due();
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].body.contains("in 2 instalments"),
        "{}",
        sent[0].body
    );
    // Nothing more of the old plan.
    assert_eq!(subjects(&mut db, "2026-06-05 12:00"), NONE);
    assert_eq!(
        subjects(&mut db, "2026-06-12 08:00"),
        ["Instalment 1 of invoice INV-1"]
    );
    assert_eq!(
        subjects(&mut db, "2026-06-18 08:00"),
        ["Instalment 1 of invoice INV-1 is overdue"]
    );
}

#[test]
fn fv_10_a_promise_holds_a_plan_as_it_holds_any_case() {
    let (mut db, plan) = committed();
    assert_eq!(subjects(&mut db, "2026-05-11 08:00").len(), 1);
    db.at("2026-05-28 10:00");
    db.exec(&format!("SELECT wf.promise({plan}, 400, '2026-06-04', 0)"));
    assert_eq!(subjects(&mut db, "2026-06-04 12:00"), NONE);
    assert_eq!(
        subjects(&mut db, "2026-06-05 08:00"),
        ["Instalment 1 of invoice INV-1 is overdue"]
    );
}

#[test]
fn a_plan_workflow_that_somebody_starts_waits_for_its_plan() {
    let plan = edited(document(PAYMENT_PLAN), |doc| {
        doc["templates"]["plan"]["body"] = "Let us agree on a plan.".into();
    });
    let mut db = with_documents(&[plan]);
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "100");
    let case = db.start("payment plan", 1);
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.expect(
        "SELECT step, state FROM probe.open()",
        &["instalments | waiting"],
    );
    db.exec(&format!(
        "SELECT wf.agree_plan({case}, '{{2026-05-06}}', '{{100}}')"
    ));
    db.run_due();
    assert_eq!(db.send()[0].subject, "Instalment 1 of invoice INV-1");
    db.expect("SELECT * FROM wf.incidents", NONE);
}

#[test]
fn a_plan_that_cannot_be_is_refused() {
    let (mut db, plan) = committed();
    let mut refused = |case: i64, args: &str, sqlstate: &str, part: &str| {
        db.expect_error(
            &format!("SELECT wf.agree_plan({case}, {args})"),
            sqlstate,
            &[part],
        )
        .hints("");
    };
    refused(99, "'{2026-06-01}', '{1}'", "P0002", "case 99");
    refused(
        plan,
        "'{2026-06-01,2026-07-01}', '{1}'",
        "22023",
        "2 days and 1 amounts",
    );
    refused(plan, "'{}', '{}'", "22023", "no instalments");
    refused(plan, "'{2026-05-01}', '{1}'", "22023", "is past");
    refused(
        plan,
        "'{2026-06-01}', '{1000.01}'",
        "22023",
        "1000.00 is open",
    );
    refused(plan, "'{2026-06-01}', '{0}'", "22023", "an amount is 0");
    refused(
        plan,
        "'{2026-06-01,2026-06-01}', '{1,1}'",
        "22023",
        "instalment 2",
    );
    // A plan whose workflow is off starts nothing, and the case stays what it was.
    db.exec("SELECT wf.disable('payment plan')");
    db.clock("2026-05-11 10:00");
    db.invoice(2, "2026-04-01", "100");
    db.run_due();
    let resting: i64 = db.one("SELECT max(case_id) FROM wf.cases");
    db.expect_error(
        &format!("SELECT wf.agree_plan({resting}, '{{2026-06-01}}', '{{100}}')"),
        "55000",
        &["workflow \"payment plan\" is off"],
    )
    .hints("wf.enable");
    db.expect(
        &format!("SELECT state, vars FROM wf.cases WHERE case_id = {resting}"),
        &["running | null"],
    );
}
