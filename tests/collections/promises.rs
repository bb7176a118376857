//! S7, S9: promises to pay.

use workflow_engine_tests::{TestDb, document, edited, step_of};

use super::*;

const PROMISES: &str = "SELECT state, amount, currency, due_on, grace, paid, probe.local(breaks_at), probe.local(ended_at)
                        FROM wf.promises ORDER BY promise_id";
const STATE: &str = "SELECT state FROM probe.cases()";

/// Main outreach of 1,000 EUR: the first message left on Tue 2026-04-28, the second one is due on Tue 2026-05-12. On
/// Mon 05-11 500 are promised for Fri 05-15.
fn promised() -> (TestDb, i64) {
    let mut db = with_workflows(&[MAIN_OUTREACH]);
    db.clock("2026-04-28 10:00");
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    assert_eq!(db.send().len(), 1);
    db.at("2026-05-11 11:00");
    let case: i64 = db.one("SELECT case_id FROM probe.cases()");
    db.expect(
        &format!("SELECT wf.promise({case}, 500, '2026-05-15', 2)"),
        &[1],
    );
    db.run_due();
    (db, case)
}

#[test]
fn s07_a_promise_that_is_not_kept_is_broken_at_midnight_and_the_step_leaves_at_eight() {
    let (mut db, _) = promised();
    db.expect(STATE, &["held"]);
    db.expect(
        PROMISES,
        &["open | 500 | EUR | 2026-05-15 | 2 | null | Wed 2026-05-20 00:00 | null"],
    );
    for moment in ["2026-05-12 12:00", "2026-05-15 12:00", "2026-05-19 23:59"] {
        db.at(moment);
        assert_eq!(db.lease(), [], "{moment}");
        db.expect("SELECT state FROM wf.promises", &["open"]);
    }
    db.at("2026-05-20 00:00");
    db.expect(
        PROMISES,
        &["broken | 500 | EUR | 2026-05-15 | 2 | 0.00 | Wed 2026-05-20 00:00 | Wed 2026-05-20 00:00"],
    );
    db.expect(STATE, &["running"]);
    assert_eq!(db.lease(), []);
    db.at("2026-05-20 07:59");
    assert_eq!(db.lease(), []);
    db.at("2026-05-20 08:00");
    let sent = db.send();
    assert_eq!((sent.len(), sent[0].channel.as_str()), (1, "sms"));
    db.expect(
        "SELECT event, outcome, at FROM probe.history() WHERE event LIKE 'promise%'",
        &[
            "promised | null | Mon 2026-05-11 11:00",
            "promise_ended | broken | Wed 2026-05-20 00:00",
        ],
    );
}

#[test]
fn s07_paid_in_its_last_minutes_a_promise_is_kept() {
    let (mut db, _) = promised();
    db.clock("2026-05-19 23:50");
    db.exec("UPDATE invoice SET open_amount = 500 WHERE id = 1");
    db.run_due();
    db.expect(
        PROMISES,
        &["kept | 500 | EUR | 2026-05-15 | 2 | 500.00 | Wed 2026-05-20 00:00 | Tue 2026-05-19 23:50"],
    );
    db.expect(STATE, &["running"]);
    // The rest is still asked for.
    db.at("2026-05-20 08:00");
    assert_eq!(db.send().len(), 1);
    db.expect(
        "SELECT count(*) FROM wf.holds WHERE released_at IS NULL",
        &[0],
    );
}

#[test]
fn s07_paid_in_part_a_promise_is_partly_kept() {
    let (mut db, _) = promised();
    db.at("2026-05-14 10:00");
    db.exec("UPDATE invoice SET open_amount = 700 WHERE id = 1");
    db.run_due();
    db.expect(STATE, &["held"]);
    db.at("2026-05-20 00:00");
    db.expect(
        PROMISES,
        &["partly_kept | 500 | EUR | 2026-05-15 | 2 | 300.00 | Wed 2026-05-20 00:00 | Wed 2026-05-20 00:00"],
    );
    db.at("2026-05-20 08:00");
    assert_eq!(db.send().len(), 1);
}

#[test]
fn s07_what_counts_is_the_row_as_it_is_whatever_happened_between() {
    let (mut db, _) = promised();
    // Paid, and the payment is taken back before anybody looks.
    db.clock("2026-05-18 10:00");
    db.exec("UPDATE invoice SET open_amount = 500 WHERE id = 1");
    db.exec("UPDATE invoice SET open_amount = 1000 WHERE id = 1");
    db.run_due();
    db.expect("SELECT state FROM wf.promises", &["open"]);
    // The engine was down at midnight, and the change of the row was never seen.
    db.exec("ALTER TABLE invoice DISABLE TRIGGER USER");
    db.exec("UPDATE invoice SET open_amount = 400 WHERE id = 1");
    db.at("2026-05-22 09:00");
    db.expect("SELECT state, paid FROM wf.promises", &["kept | 600.00"]);
}

#[test]
fn s07_paid_in_full_the_promise_is_kept_and_the_case_ends() {
    let (mut db, _) = promised();
    db.exec("UPDATE invoice SET open_amount = 0, state = 'paid' WHERE id = 1");
    db.run_due();
    db.expect("SELECT state, paid FROM wf.promises", &["kept | 1000.00"]);
    db.expect(CASES, &["main outreach | cancelled | stopped | paid"]);
}

#[test]
fn s09_a_promise_that_ends_under_a_moratorium_leaves_the_case_on_hold() {
    let (mut db, case) = promised();
    db.exec(&format!(
        "SELECT wf.hold({case}, 'insolvency', '2026-06-15 00:00 Europe/Amsterdam', 'moratorium')"
    ));
    db.at("2026-05-20 00:00");
    db.expect("SELECT state FROM wf.promises", &["broken"]);
    db.expect(STATE, &["held"]);
    db.at("2026-06-01 12:00");
    assert_eq!(db.lease(), []);
    db.at("2026-06-15 00:00");
    db.expect(STATE, &["running"]);
}

#[test]
fn a_hold_that_is_released_early_leaves_the_promise_to_its_time() {
    let (mut db, case) = promised();
    db.exec(&format!("SELECT wf.release({case})"));
    db.expect(STATE, &["running"]);
    db.at("2026-05-20 00:00");
    db.expect("SELECT state FROM wf.promises", &["broken"]);
}

#[test]
fn several_promises_are_kept_in_their_order() {
    let (mut db, case) = promised();
    db.exec(&format!("SELECT wf.promise({case}, 500, '2026-05-29')"));
    db.expect(
        "SELECT grace, probe.local(breaks_at) FROM wf.promises ORDER BY promise_id",
        &["2 | Wed 2026-05-20 00:00", "2 | Wed 2026-06-03 00:00"],
    );
    db.expect_error(
        &format!("SELECT wf.promise({case}, 1, '2026-05-29')"),
        "22023",
        &["1 is promised", "not promised yet"],
    );
    db.exec("UPDATE invoice SET open_amount = 450 WHERE id = 1");
    db.run_due();
    db.expect(
        "SELECT state, paid FROM wf.promises ORDER BY promise_id",
        &["kept | 550.00", "open | null"],
    );
    db.expect(STATE, &["held"]);
    db.at("2026-06-03 00:00");
    db.expect(
        "SELECT state, paid FROM wf.promises ORDER BY promise_id OFFSET 1",
        &["partly_kept | 50.00"],
    );
    db.expect(STATE, &["running"]);
}

#[test]
fn a_promise_is_withdrawn_and_ends_with_its_case() {
    let (mut db, case) = promised();
    db.exec("SELECT wf.withdraw_promise(1)");
    db.exec("SELECT wf.withdraw_promise(1)");
    db.expect("SELECT state FROM wf.promises", &["withdrawn"]);
    db.expect(STATE, &["running"]);
    db.exec(&format!("SELECT wf.promise({case}, 100, '2026-05-29')"));
    db.exec(&format!("SELECT wf.cancel({case}, 'sold')"));
    db.expect(
        "SELECT state FROM wf.promises ORDER BY promise_id OFFSET 1",
        &["withdrawn"],
    );
    db.expect_error(
        &format!("SELECT wf.promise({case}, 100, '2026-05-29')"),
        "55000",
        &["has ended"],
    );
    db.expect_error("SELECT wf.withdraw_promise(99)", "P0002", &["promise 99"]);
}

#[test]
fn a_promise_that_cannot_be_is_refused() {
    let (mut db, case) = promised();
    let mut refused = |args: &str, sqlstate: &str, part: &str| {
        db.expect_error(&format!("SELECT wf.promise({args})"), sqlstate, &[part])
            .hints("");
    };
    refused("99, 1, '2026-06-01'", "P0002", "case 99");
    refused(&format!("{case}, 0, '2026-06-01'"), "22023", "amount is 0");
    refused(
        &format!("{case}, 501, '2026-06-01'"),
        "22023",
        "500.00 is open",
    );
    refused(&format!("{case}, 1, '2026-05-10'"), "22023", "is past");
    refused(
        &format!("{case}, 1, '2026-06-01', -1"),
        "22023",
        "grace is -1",
    );
    let silent = edited(document(MAIN_OUTREACH), |doc| {
        doc["name"] = "silent".into();
        let head = doc.as_object_mut().expect("an object");
        head.remove("money");
        head.remove("transitions");
        step_of(doc, "again")["max_visits"] = 2.into();
    });
    db.install(&silent);
    db.exec("UPDATE invoice SET open_amount = 999 WHERE id = 1");
    db.run_due();
    let case: i64 = db.one("SELECT case_id FROM probe.cases() WHERE workflow = 'silent'");
    db.expect_error(
        &format!("SELECT wf.promise({case}, 1, '2026-06-01')"),
        "55000",
        &["does not say what is open"],
    )
    .hints("money.open");
}

#[test]
fn s07_a_promise_that_comes_while_a_message_waits_holds_it_back() {
    // It waits for its hour, or for its sender.
    for (moment, state) in [
        ("2026-05-12 00:00", "deferred"),
        ("2026-05-12 08:00", "queued"),
    ] {
        let mut db = with_workflows(&[MAIN_OUTREACH]);
        db.clock("2026-04-28 10:00");
        db.invoice(1, "2026-04-01", "1000.00");
        db.run_due();
        assert_eq!(db.send().len(), 1);
        db.at(moment);
        db.expect(
            "SELECT state FROM probe.outbox() WHERE channel = 'sms'",
            &[state],
        );
        db.exec("SELECT wf.promise(case_id, 500, '2026-05-15', 2) FROM probe.cases()");
        assert_eq!(db.lease(), [], "at once");
        for later in ["2026-05-12 12:00", "2026-05-19 12:00"] {
            db.at(later);
            assert_eq!(db.lease(), [], "{later}");
        }
        db.at("2026-05-20 08:00");
        assert_eq!(db.send().len(), 1, "{}", db.story());
    }
}
