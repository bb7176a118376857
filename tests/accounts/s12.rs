//! S12: an account with several claims, exactly as it is told.

use serde_json::json;

use crate::{claim, claim_workflow, claims, start, strategy};

const STATUS: &str =
    "SELECT key, status, resting_for_workflow, case_state FROM wf.strategy_status ORDER BY key";

#[test]
fn s12_rcv_02_03_04_several_claims() {
    let mut db = claims();
    db.install(&strategy("mild"));
    db.exec("SELECT wf.set_strategy('claim', 'mild')");
    for name in ["collect", "legal"] {
        db.install(&claim_workflow(
            name,
            json!({"runs": "exclusive"}),
            json!([
                {"name": "first", "kind": "email", "template": "all", "on": {"anchor": "subject.due_date", "days": 10}},
                {"name": "second", "kind": "email", "template": "all", "on": {"anchor": "subject.due_date", "days": 40}},
                {"name": "court", "kind": "letter", "template": "all", "on": {"anchor": "subject.due_date", "days": 70}},
                {"name": "end", "kind": "finish"}
            ]),
        ));
    }
    claim(&mut db, "C1", "2026-05-04", "100.10", "EUR");
    claim(&mut db, "C2", "2026-05-04", "200.20", "EUR");
    claim(&mut db, "C3", "2026-05-04", "300.30", "EUR");
    db.exec("INSERT INTO claim VALUES ('C4', 'A-1', 'open', '2026-05-04', 7, 'USD')");
    db.run_due();
    db.expect(
        STATUS,
        &[
            "C1 | running | null | running",
            "C2 | running | null | running",
            "C3 | running | null | running",
            "C4 | running | null | running",
        ],
    );

    // Started for C1 and C2 (and C4, in another currency). They leave the default strategy at once, C3 does not.
    let case = start(&mut db, "collect", "{C1,C2,C4}");
    let left = [
        "C1 | running | collect | held",
        "C2 | running | collect | held",
        "C3 | running | null | running",
        "C4 | running | collect | held",
    ];
    db.expect(STATUS, &left);
    // C2 turns out to be much older than C1: by its own dates the case would be at court.
    db.exec("UPDATE claim SET due_date = '2026-01-05' WHERE id = 'C2'");
    db.run_due();
    db.expect(STATUS, &left);

    // A second exclusive workflow on C2 is refused, naming the running case.
    let message = format!(
        "claim C2 is in case {case} of workflow \"collect\", which is exclusive as \"legal\" is"
    );
    let cancel = format!("SELECT wf.cancel({case})");
    for call in [
        "wf.start('legal', 'C2')",
        "wf.start('legal', '{C3,C2}'::text[])",
    ] {
        db.expect_error(&format!("SELECT {call}"), "23505", &[&message, &cancel]);
    }
    db.expect("SELECT wf.start_many('legal', '{C2}')", &[0]);

    // One e-mail lists them with a total for each currency; of the strategy only C3's goes out.
    db.at("2026-05-14 09:00");
    let mut sent = db.send();
    sent.sort_by_key(|message| message.case_id);
    assert_eq!(sent.len(), 2, "{}", db.story());
    assert_eq!(sent[0].subject, "Strategy C3");
    assert_eq!(
        sent[1].body,
        "C1 €100.10; C2 €200.20; C4 $7.00; €300.30 in 2; $7.00 in 1; "
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.open() JOIN wf.case_progress USING (case_id) WHERE workflow = 'collect'",
        &["second | Mon 2026-06-15"],
    );

    // C1 paid: it leaves, the case goes on with C2, and jumps to no harsher step.
    db.exec("UPDATE claim SET state = 'paid' WHERE id = 'C1'");
    db.at("2026-05-20 09:00");
    db.expect(
        "SELECT key, carries, state, reason FROM wf.case_members WHERE workflow = 'collect' ORDER BY key",
        &[
            "C1 | f | left | paid",
            "C2 | t | in | null",
            "C4 | f | in | null",
        ],
    );
    db.expect(
        "SELECT step, substr(due, 1, 14) FROM probe.open() JOIN wf.case_progress USING (case_id) WHERE workflow = 'collect'",
        &["second | Mon 2026-06-15"],
    );
    assert_eq!(db.lease(), []);
    // C1 is free for another exclusive workflow, C2 is not.
    db.exec("UPDATE claim SET state = 'open' WHERE id = 'C1'");
    db.run_due();
    db.expect("SELECT count(*) FROM wf.start('legal', 'C1')", &[1]);
    db.expect_error("SELECT wf.start('legal', 'C2')", "23505", &[&message]);
    db.exec("SELECT wf.cancel(case_id) FROM wf.case_progress WHERE workflow = 'legal'");

    db.at("2026-06-15 09:00");
    let sent = db.send();
    let collected: Vec<&str> = sent
        .iter()
        .filter(|message| message.case_id == case)
        .map(|message| message.body.as_str())
        .collect();
    assert_eq!(
        collected,
        ["C2 €200.20; C4 $7.00; €200.20 in 1; $7.00 in 1; "]
    );

    // All closed: the case ends.
    db.exec("UPDATE claim SET state = 'paid' WHERE id IN ('C2', 'C4')");
    db.run_due();
    db.expect(
        "SELECT state, outcome, reason FROM wf.case_progress WHERE workflow = 'collect'",
        &["cancelled | stopped | paid"],
    );
    db.expect("SELECT count(*) FROM wf.exclusive_subjects", &[0]);
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}
