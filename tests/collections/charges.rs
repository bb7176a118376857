//! Fees and interest.

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

use super::*;

/// One case on invoice 1 (1,000 EUR, due 2026-04-01), started on Mon 2026-05-04 10:00, with these steps.
fn with_steps(steps: Value) -> (TestDb, i64) {
    let mut db = with_documents(&[invoice_workflow("charging", steps)]);
    db.clock("2026-05-04 10:00");
    db.invoice(1, "2026-04-01", "1000");
    let case = db.start("charging", 1);
    db.run_due();
    (db, case)
}

fn interest(name: &str, days: i32) -> Value {
    json!({"name": name, "kind": "charge", "charge": "interest", "principal": "open_amount", "rate": "7.3",
           "since": "due_date", "currency": "currency",
           "on": {"anchor": "case_start", "days": days, "roll": "none"}})
}

#[test]
fn fv_18_interest_goes_on_where_it_was_last_charged() {
    let (mut db, _) = with_steps(json!([interest("first", 0), interest("second", 10)]));
    db.at("2026-05-14 00:00");
    db.expect(
        CHARGES,
        &[
            "first | interest | 6.60 | EUR | 2026-04-01 | 2026-05-04 | 33 | Mon 2026-05-04 10:00",
            "second | interest | 2.00 | EUR | 2026-05-04 | 2026-05-14 | 10 | Thu 2026-05-14 00:00",
        ],
    );
    // Another workflow about the same row charges no day again.
    db.install(&invoice_workflow("other", json!([interest("third", 0)])));
    db.start("other", 1);
    db.run_due();
    db.expect("SELECT count(*) FROM wf.charges", &[2]);
    db.expect(
        "SELECT outcome FROM probe.history() WHERE step = 'third'",
        &["nothing due"],
    );
}

#[test]
fn charges_are_numeric_and_keep_every_digit() {
    let mut fee =
        json!({"name": "fee", "kind": "charge", "charge": "fee", "amount": "open_amount"});
    let mut db = with_documents(&[invoice_workflow("charging", json!([fee.clone()]))]);
    db.clock("2026-05-04 10:00");
    db.invoice(1, "2026-04-01", "12345678901234567890.12");
    db.start("charging", 1);
    db.run_due();
    db.expect(
        "SELECT amount FROM wf.charges",
        &["12345678901234567890.12"],
    );
    fee["amount"] = "0.1 + 0.2".into();
    fee["decimals"] = 3.into();
    db.install(&invoice_workflow("sums", json!([fee])));
    db.start("sums", 1);
    db.run_due();
    db.expect("SELECT amount FROM wf.charges OFFSET 1", &["0.300"]);
}

#[test]
fn a_charge_that_cannot_be_told_is_an_incident() {
    let fee = |amount: &str| json!([{"name": "fee", "kind": "charge", "charge": "fee", "amount": amount}]);
    let (mut db, case) = with_steps(fee("nullif(open_amount, 1000)"));
    db.expect(
        "SELECT step, message FROM wf.incidents",
        &["fee | step \"fee\": amount is null, so nothing can be charged"],
    );
    db.exec("UPDATE invoice SET open_amount = 20 WHERE id = 1");
    db.exec(&format!("SELECT wf.retry({case})"));
    db.run_due();
    db.expect("SELECT amount FROM wf.charges", &["20.00"]);
    let (mut db, _) = with_steps(fee("-open_amount"));
    db.expect(
        "SELECT message FROM wf.incidents",
        &["step \"fee\": the amount to charge is -1000, below zero"],
    );
    db.expect(CHARGES, NONE);
}

#[test]
fn what_a_charge_step_needs_and_forbids_is_checked() {
    let mut db = with_documents(&[]);
    let mut refused = |fields: Value, parts: &[&str]| {
        let mut step = json!({"name": "c", "kind": "charge"});
        let own = fields.as_object().expect("an object").clone();
        step.as_object_mut().expect("an object").extend(own);
        db.define(&invoice_workflow("charging", json!([step])));
        db.expect_error("SELECT wf.publish('charging')", "22023", &["step \"c\""])
            .is("22023", parts);
    };
    refused(json!({"charge": "fee"}), &["a fee needs amount"]);
    refused(
        json!({"charge": "fee", "amount": "40", "rate": "8"}),
        &["a fee has no rate"],
    );
    refused(
        json!({"charge": "interest", "rate": "8"}),
        &["interest needs principal"],
    );
    refused(
        json!({"charge": "interest", "rate": "8", "principal": "open_amount", "amount": "4"}),
        &["interest has no amount"],
    );
    refused(
        json!({"charge": "interest", "rate": "8", "principal": "open_amount", "days_in_year": 12}),
        &["days_in_year is 12"],
    );
    refused(
        json!({"charge": "fee", "amount": "no_such_column"}),
        &["no_such_column"],
    );
    refused(
        json!({"charge": "fee", "amount": "1); DROP TABLE invoice; --"}),
        &["syntax error"],
    );
    refused(
        json!({"charge": "interest", "rate": "8", "principal": "open_amount", "since": "open_amount"}),
        &["cannot cast type numeric to date"],
    );
    refused(
        json!({"charge": "fee", "amount": "40", "participant": "clerk"}),
        &["automatic and has no participant"],
    );
}

#[test]
fn people_charge_and_waive_by_hand() {
    let (mut db, case) = with_steps(json!([
        {"name": "later", "kind": "wait", "on": {"anchor": "case_start", "days": 30}}
    ]));
    let charge: i64 = db.one(&format!(
        "SELECT wf.charge({case}, 12.50, 'Returned debit', 'EUR')"
    ));
    db.exec(&format!("SELECT wf.waive_charge({charge}, 'our mistake')"));
    db.exec(&format!("SELECT wf.waive_charge({charge}, 'once more')"));
    db.expect(
        "SELECT fees, total, waived FROM wf.charge_totals",
        &["0 | 0 | 12.50"],
    );
    db.expect("SELECT reason FROM wf.charges", &["our mistake"]);
    db.expect_error("SELECT wf.waive_charge(99, 'x')", "P0002", &["charge 99"]);
    db.expect_error("SELECT wf.charge(99, 1, 'x')", "P0002", &["case 99"]);
    for amount in ["0", "-1", "'NaN'"] {
        db.expect_error(
            &format!("SELECT wf.charge({case}, {amount}::numeric, 'x')"),
            "22023",
            &["amount is"],
        )
        .hints("above zero");
    }
    db.exec(&format!("SELECT wf.cancel({case})"));
    db.expect_error(
        &format!("SELECT wf.charge({case}, 1, 'x')"),
        "55000",
        &["has ended"],
    );
}

#[test]
fn a_hundred_charges_are_one_batch() {
    let fee = json!([{"name": "fee", "kind": "charge", "charge": "fee", "amount": "id", "currency": "currency"}]);
    let mut db = with_documents(&[invoice_workflow("charging", fee)]);
    db.clock("2026-05-04 10:00");
    db.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 1000, 'EUR' FROM generate_series(1, 100) AS n");
    db.exec("SELECT wf.start_many('charging', array_agg(id::text)) FROM invoice");
    db.run_due();
    db.expect(
        "SELECT count(*), count(DISTINCT xmin::text), sum(amount) FROM wf.charges",
        &["100 | 1 | 5050.00"],
    );
}

#[test]
fn fv_18_days_of_a_moratorium_do_not_count_either() {
    let (mut db, case) = with_steps(json!([interest("first", 0), interest("second", 30)]));
    db.at("2026-05-08 10:00");
    db.exec(&format!(
        "SELECT wf.hold({case}, 'no charges agreed', '2026-05-13 10:00 Europe/Amsterdam', 'no charges')"
    ));
    db.expect_error(
        &format!("SELECT wf.charge({case}, 5, 'Reminder fee')"),
        "55000",
        &["nothing can be charged", "no charges agreed"],
    );
    db.at("2026-05-13 10:00");
    // From 05-04 to 06-03 there are 30 days, without 05-08 to 05-13.
    db.at("2026-06-03 00:00");
    db.expect(
        &format!("{CHARGES} OFFSET 1"),
        &["second | interest | 4.80 | EUR | 2026-05-04 | 2026-06-03 | 24 | Wed 2026-06-03 00:00"],
    );
}
