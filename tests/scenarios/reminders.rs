//! S5: reminders at 30, 60 and 90 days, paid midway.

use workflow_engine_tests::{DUNNING, TestDb, document, edited};

const NONE: &[&str] = &[];
const NEXT: &str = "SELECT step, substr(due, 1, 14) FROM probe.open()";
const ISOLATION: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

fn with_invoice(roll: &str) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-15 12:00");
    db.bind_invoice();
    db.install(&edited(document(DUNNING), |doc| doc["roll"] = roll.into()));
    db.invoice(1, "2026-04-01", "1000.00");
    db.run_due();
    db
}

#[test]
fn s05_arw_06_levels_follow_the_due_date() {
    let mut db = with_invoice("following");
    db.expect(
        "SELECT workflow, key, state FROM probe.cases()",
        &["dunning | 1 | running"],
    );
    db.expect(NEXT, &["level_1 | Mon 2026-05-04"]);
    db.at("2026-05-03 23:59");
    db.expect("SELECT * FROM probe.outbox()", NONE);
    db.at("2026-05-04 07:59");
    assert_eq!(db.lease(), []);
    db.at("2026-05-04 08:00");
    let sent = db.send();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].subject, "Herinnering: factuur INV-1");
    db.expect(NEXT, &["level_2 | Mon 2026-06-01"]);

    db.at("2026-06-01 08:00");
    assert_eq!(db.send().len(), 1);
    let sms = db.send();
    assert_eq!(sms.len(), 1);
    assert_eq!(
        (sms[0].channel.as_str(), sms[0].recipient.as_str()),
        ("sms", "+31201234567")
    );
    db.expect(NEXT, &["level_3 | Tue 2026-06-30"]);
    db.at("2026-06-30 08:00");
    let letter = db.send();
    assert_eq!(letter.len(), 1);
    assert_eq!(letter[0].channel, "letter");
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.tasks()",
        &["review | Tue 2026-07-14"],
    );
    db.settle("review", Some("to_agency"));
    db.expect(
        "SELECT state, outcome FROM probe.cases()",
        &["completed | handed over"],
    );
}

#[test]
fn s05_modified_following_stays_in_the_month() {
    let mut db = with_invoice("modified_following");
    db.at("2026-05-04 08:00");
    db.send();
    db.expect(NEXT, &["level_2 | Fri 2026-05-29"]);
}

#[test]
fn s05_paid_midway_the_case_is_cancelled_and_nothing_more_leaves() {
    for isolation in ISOLATION {
        let mut db = with_invoice("following");
        db.at("2026-05-04 08:00");
        assert_eq!(db.send().len(), 1);
        db.clock("2026-05-20 11:00");
        let before: String = db.one("SELECT probe.state()");

        let mut erp = db.connect();
        erp.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        erp.exec("UPDATE invoice SET state = 'paid', open_amount = 0 WHERE id = 1");
        erp.exec("ROLLBACK");
        db.run_due();
        db.expect("SELECT probe.state()", &[before]);

        erp.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        erp.exec("UPDATE invoice SET state = 'paid', open_amount = 0 WHERE id = 1");
        db.run_due();
        db.expect("SELECT state FROM probe.cases()", &["running"]);
        erp.exec("COMMIT");
        db.run_due();
        db.expect(
            "SELECT state, reason FROM probe.cases()",
            &["cancelled | paid"],
        );
        db.expect("SELECT * FROM probe.open()", NONE);
        db.at("2026-07-15 08:00");
        assert_eq!(db.lease(), []);
        db.expect("SELECT count(*) FROM probe.outbox()", &[1]);
    }
}

#[test]
fn s05_once_paid_no_message_can_be_leased_and_rolled_back_it_still_can() {
    for isolation in ISOLATION {
        let mut db = with_invoice("following");
        db.invoice(2, "2026-04-01", "1000.00");
        db.run_due();
        db.at("2026-05-04 08:00");
        db.expect(
            "SELECT count(*) FROM probe.outbox() WHERE state = 'queued'",
            &[2],
        );

        let mut erp = db.connect();
        for (id, end) in [(1, "ROLLBACK"), (2, "COMMIT")] {
            erp.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
            erp.exec(&format!(
                "UPDATE invoice SET state = 'paid' WHERE id = {id}"
            ));
            erp.exec(end);
        }
        let leased = db.lease();
        assert_eq!(leased.len(), 1, "{isolation}: {}", db.story());
        assert!(
            leased[0].subject.contains("INV-1"),
            "{isolation}: {leased:?}"
        );
    }
}

#[test]
fn s05_the_erp_never_waits_for_the_engine() {
    for isolation in ISOLATION {
        let mut db = with_invoice("following");
        let mut user = db.connect();
        user.exec("BEGIN");
        user.exec("SELECT wf.hold(case_id, 'asking the manager') FROM probe.cases()");
        let mut erp = db.connect();
        erp.exec("SET lock_timeout = '20s'");
        erp.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        erp.exec("UPDATE invoice SET open_amount = 500 WHERE id = 1");
        erp.exec("UPDATE invoice SET state = 'paid', open_amount = 0 WHERE id = 1");
        erp.exec("COMMIT");
        // Nor does the engine wait for the user: it comes back to the case later.
        db.exec("SET lock_timeout = '20s'");
        db.run_due();
        db.expect("SELECT state FROM probe.cases()", &["running"]);
        user.exec("COMMIT");
        db.run_due();
        db.expect(
            "SELECT state, reason FROM probe.cases()",
            &["cancelled | paid"],
        );
    }
}

#[test]
fn s05_the_erp_never_fails_because_of_a_broken_definition() {
    for (breaking, noticed) in [
        // A view goes on under the old name.
        ("ALTER TABLE invoice RENAME COLUMN state TO status", "f"),
        (
            "ALTER VIEW invoice_details RENAME COLUMN state TO status",
            "t",
        ),
        ("DROP VIEW invoice_details", "t"),
    ] {
        let mut db = with_invoice("following");
        db.exec(breaking);
        db.exec("UPDATE invoice SET open_amount = 1 WHERE id = 1");
        db.exec("INSERT INTO invoice SELECT 2, 'INV-2', customer_id, 'posted', due_date, 7, currency FROM invoice WHERE id = 1");
        db.exec("DELETE FROM invoice WHERE id = 2");
        // The engine notes what is wrong and goes on: nothing of it reaches the caller.
        db.run_due();
        db.expect("SELECT count(*) > 0 FROM wf.incidents", &[noticed]);
    }
}
