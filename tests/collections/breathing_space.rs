//! S10: a rest of 14 days before main outreach, in which nothing is charged.

use workflow_engine_tests::{TestDb, document, edited, step_of};

use super::*;

/// 1,000 EUR uploaded on Mon 2026-05-04 09:12, with 14 days of breathing space.
fn uploaded() -> TestDb {
    let mut db = with_workflows(&[MAIN_OUTREACH, BREATHING_SPACE]);
    upload(&mut db);
    db
}

fn upload(db: &mut TestDb) {
    db.clock("2026-05-04 09:12");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
}

#[test]
fn s10_fv_03_fv_08_outreach_and_charges_begin_when_the_breathing_space_is_over() {
    let mut db = uploaded();
    db.expect(CASES, &["breathing space | running | null | null"]);
    db.at("2026-05-18 23:59");
    db.expect(CASES, &["breathing space | running | null | null"]);
    db.expect(CHARGES, NONE);
    assert_eq!(db.lease(), []);
    db.at("2026-05-19 00:00");
    db.expect(
        CASES,
        &[
            "breathing space | completed | continued | null",
            "main outreach | running | null | null",
        ],
    );
    db.expect(
        CHARGES,
        &["collection fee | fee | 150.00 | EUR | null | null | null | Tue 2026-05-19 00:00"],
    );
    assert_eq!(db.lease(), []);
    db.at("2026-05-19 07:59");
    assert_eq!(db.lease(), []);
    db.at("2026-05-19 08:00");
    let sent = db.send();
    assert_eq!((sent.len(), sent[0].subject.as_str()), (1, "Invoice INV-1"));
    db.expect("SELECT count(*) FROM wf.case_links", &[1]);
}

#[test]
fn s10_fv_17_switched_off_outreach_starts_at_once() {
    let mut db = with_workflows(&[MAIN_OUTREACH, BREATHING_SPACE]);
    db.exec("SELECT wf.disable('breathing space')");
    upload(&mut db);
    db.expect(CASES, &["main outreach | running | null | null"]);
    assert_eq!(db.send().len(), 1);
    db.expect("SELECT kind, amount FROM wf.charges", &["fee | 150.00"]);
}

#[test]
fn s10_fv_17_switched_off_for_one_claim_outreach_starts_at_once() {
    let mut db = uploaded();
    db.clock("2026-05-06 10:00");
    db.exec("SELECT wf.advance(case_id, 'over') FROM probe.cases()");
    db.run_due();
    db.expect(
        CASES,
        &[
            "breathing space | completed | continued | null",
            "main outreach | running | null | null",
        ],
    );
    assert_eq!(db.send().len(), 1);
    // The day on which it ends does not belong to it any more.
    db.expect(
        CHARGES,
        &["collection fee | fee | 150.00 | EUR | null | null | null | Wed 2026-05-06 10:00"],
    );
}

#[test]
fn s10_fv_04_an_engine_that_is_late_does_not_lengthen_the_breathing_space() {
    let mut db = uploaded();
    db.at("2026-05-19 08:30");
    db.expect(
        CHARGES,
        &["collection fee | fee | 150.00 | EUR | null | null | null | Tue 2026-05-19 08:30"],
    );
    // Interest from the 19th on, through yesterday.
    db.send();
    db.at("2026-06-02 10:00");
    db.send();
    db.at("2026-06-20 12:00");
    db.expect(
        "SELECT kind, charged_from, charged_until, days FROM wf.charges WHERE kind = 'interest'",
        &["interest | 2026-05-19 | 2026-06-20 | 32"],
    );
}

#[test]
fn fv_17_switched_off_later_a_claim_that_rests_goes_on_resting() {
    let mut db = uploaded();
    db.exec("SELECT wf.disable('breathing space')");
    db.exec("UPDATE invoice SET open_amount = 900 WHERE id = 1");
    db.run_due();
    db.expect(CASES, &["breathing space | running | null | null"]);
    // Nor does one that has rested and gone on get another case by the start rule.
    db.at("2026-05-19 00:00");
    db.exec("UPDATE invoice SET open_amount = 800 WHERE id = 1");
    db.run_due();
    db.expect(
        CASES,
        &[
            "breathing space | completed | continued | null",
            "main outreach | running | null | null",
        ],
    );
}

#[test]
fn s10_fv_04_paid_in_the_breathing_space_nothing_was_charged() {
    let mut db = uploaded();
    db.clock("2026-05-18 23:59");
    db.exec("UPDATE invoice SET state = 'paid', open_amount = 0 WHERE id = 1");
    db.run_due();
    db.expect(CASES, &["breathing space | completed | paid | null"]);
    db.at("2026-06-30 12:00");
    db.expect(CHARGES, NONE);
    assert_eq!(db.lease(), []);
}

#[test]
fn fv_05_its_length_is_configurable() {
    let rest = edited(document(BREATHING_SPACE), |doc| {
        step_of(doc, "over")["on"]["days"] = 8.into();
    });
    let mut db = with_documents(&[document(MAIN_OUTREACH), rest]);
    upload(&mut db);
    db.at("2026-05-11 23:59");
    db.expect("SELECT workflow FROM probe.cases()", &["breathing space"]);
    db.at("2026-05-12 00:00");
    db.expect(
        "SELECT workflow FROM probe.cases() ORDER BY case_id",
        &["breathing space", "main outreach"],
    );
    // And by the editing functions.
    db.exec("SELECT wf.set_step('breathing space', 'over', '{\"on\": {\"anchor\": \"case_start\", \"days\": 31, \"roll\": \"none\"}}')");
    db.exec("SELECT wf.publish('breathing space')");
    db.clock("2026-06-01 10:00");
    db.invoice(2, "2026-05-01", "500");
    db.run_due();
    db.expect(
        "SELECT probe.local(t.run_at) FROM wf.case_steps AS t JOIN wf.case_subjects AS s USING (case_id)
         WHERE s.key = '2' AND t.run_at IS NOT NULL",
        &["Thu 2026-07-02 00:00"],
    );
}

#[test]
fn fv_18_interest_of_the_breathing_space_is_not_made_up_for() {
    let outreach = edited(document(MAIN_OUTREACH), |doc| {
        step_of(doc, "interest")["since"] = "due_date".into();
    });
    let mut db = with_documents(&[outreach, document(BREATHING_SPACE)]);
    upload(&mut db);
    db.at("2026-05-19 00:00");
    db.at("2026-05-19 08:00");
    db.send();
    db.at("2026-06-02 08:00");
    db.send();
    // Case start 05-19 plus 28 days: from 04-01 there are 76 days, 15 of which belong to the breathing space.
    db.at("2026-06-16 00:00");
    db.expect(
        &format!("{CHARGES} OFFSET 1"),
        &["interest | interest | 13.37 | EUR | 2026-04-01 | 2026-06-16 | 61 | Tue 2026-06-16 00:00"],
    );
    db.expect(
        "SELECT subject, key, currency, fees, interest, total, waived FROM wf.charge_totals",
        &["invoice | 1 | EUR | 150.00 | 13.37 | 163.37 | 0"],
    );
}

#[test]
fn fv_04_a_charge_in_a_breathing_space_is_refused() {
    let mut db = with_workflows(&[MAIN_OUTREACH]);
    let charging = edited(document(BREATHING_SPACE), |doc| {
        let steps = doc["phases"][0]["steps"].as_array_mut();
        steps.expect("steps").insert(
            0,
            serde_json::json!({"name": "fee", "kind": "charge", "description": "A fee", "charge": "fee", "amount": "40"}),
        );
    });
    db.define(&charging);
    db.expect_error(
        "SELECT wf.publish('breathing space')",
        "22023",
        &["step \"fee\"", "nothing is charged in a breathing space"],
    )
    .hints("workflow that comes after it");
}

#[test]
fn fv_04_nothing_is_charged_beside_a_breathing_space_either() {
    let mut db = uploaded();
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.expect_error(
        &format!("SELECT wf.charge({case}, 40, 'Returned debit')"),
        "55000",
        &["breathing space"],
    );
    // Another workflow about the same row, which charges at once.
    db.start("main outreach", 1);
    db.run_due();
    db.expect(CHARGES, NONE);
    db.expect(
        "SELECT outcome FROM probe.history() WHERE step = 'collection fee'",
        &["suspended"],
    );
}

#[test]
fn fv_01_fv_02_each_state_of_a_case_is_a_kind_of_workflow() {
    let mut db = with_workflows(&[MAIN_OUTREACH, BREATHING_SPACE]);
    db.expect(
        "SELECT w.name, v.kind FROM wf.versions AS v JOIN wf.workflows AS w USING (workflow_id) ORDER BY w.name",
        &["breathing space | breathing_space", "main outreach | main_outreach"],
    );
    let wrong = edited(document(MAIN_OUTREACH), |doc| {
        doc["kind"] = "resting".into()
    });
    let failure = db.refused(&workflow_engine_tests::define_sql(&wrong));
    failure.is("22023", &["resting", "breathing_space", "payment_plan"]);
}

#[test]
fn fv_06_main_outreach_has_several_stages() {
    let mut db = with_workflows(&[MAIN_OUTREACH]);
    upload(&mut db);
    assert_eq!(db.send()[0].channel, "email");
    db.at("2026-05-18 08:00");
    assert_eq!(db.send()[0].channel, "sms");
    db.at("2026-06-01 08:00");
    assert_eq!(db.send()[0].channel, "letter");
    db.expect(
        "SELECT DISTINCT stage FROM probe.history() WHERE step IS NOT NULL ORDER BY stage",
        &["1", "2", "3"],
    );
}

#[test]
fn fv_20_the_number_of_call_attempts_is_configurable() {
    for (attempts, how) in [(3, "as it is"), (5, "changed")] {
        let outreach = edited(document(MAIN_OUTREACH), |doc| {
            step_of(doc, "again")["max_visits"] = attempts.into();
        });
        let mut db = with_documents(&[outreach]);
        upload(&mut db);
        for day in ["2026-05-04 09:12", "2026-05-18 08:00", "2026-06-01 08:00"] {
            db.at(day);
            db.send();
        }
        let mut calls = 0;
        while db.one::<String>("SELECT state FROM probe.cases()") == "running" {
            db.at(&format!("2026-07-{:02} 12:00", 1 + 5 * calls));
            db.settle("call", Some("nobody there"));
            calls += 1;
        }
        assert_eq!(calls, attempts, "{how}: {}", db.story());
        db.expect(
            "SELECT state, outcome FROM probe.cases()",
            &["completed | unreachable"],
        );
    }
}
