//! `call-follow-up.json`: started by the call centre in the call's own transaction, moved on by buttons.

use workflow_engine_tests::TestDb;

use super::office;

const CASES: &str =
    "SELECT state, coalesce(outcome, '') FROM wf.case_progress WHERE workflow = 'call-follow-up'";

/// A call of customer 1 as the call centre's script writes it.
fn insert(id: i64, chargeable: bool) -> String {
    format!(
        "INSERT INTO public.calls (id, customer_id, called_at, chargeable, reason) OVERRIDING SYSTEM VALUE
         VALUES ({id}, 1, wf.now(), {chargeable}, 'a claim');"
    )
}

/// A charged call with its follow-up.
fn called(db: &mut TestDb) {
    db.exec(&format!(
        "BEGIN; {} SELECT wf.start('call-follow-up', 1); COMMIT",
        insert(1, true)
    ));
    db.run_due();
}

/// What waits for whom.
fn worklist(db: &mut TestDb) -> Vec<String> {
    db.lines("SELECT step, kind, participant FROM wf.worklist ORDER BY step")
}

#[test]
fn cs_04_05_the_follow_up_begins_in_the_call_s_own_transaction_and_nothing_else_runs_in_it() {
    let mut db = office();
    db.exec(&format!(
        "BEGIN; {} SELECT wf.start('call-follow-up', 1); ROLLBACK",
        insert(1, true)
    ));
    db.expect("SELECT count(*) FROM wf.cases", &[0]);
    db.expect("SELECT count(*) FROM wf.alerts", &[0]);
    // A case of another workflow that is due meanwhile is left alone.
    super::invoice(&mut db, 1, 1, "2026-05-06", "2000");
    db.run_due();
    db.clock("2026-05-04 10:00");
    let before = db.lines("SELECT * FROM probe.open() ORDER BY 1, 2");
    called(&mut db);
    let after = db.lines(
        "SELECT o.* FROM probe.open() AS o JOIN wf.cases AS c USING (case_id) WHERE c.account = '1' AND c.key = '1'
         AND c.workflow_id <> (SELECT workflow_id FROM wf.workflows WHERE name = 'call-follow-up') ORDER BY 1, 2",
    );
    assert_eq!(after, before);
    db.expect(
        "SELECT participant, body FROM wf.alerts",
        &["back_office | Jansen BV has called: a claim."],
    );
}

#[test]
fn cs_06_07_a_call_that_is_not_charged_gets_no_case() {
    let mut db = office();
    db.exec(&insert(2, false));
    let failure = db.refused("SELECT wf.start('call-follow-up', 2)");
    failure.is("P0002", &["call 2", "eligible"]);
    db.expect("SELECT count(*) FROM wf.cases", &[0]);
}

#[test]
fn cs_02_03_a_pushed_button_brings_the_next_follow_up_to_the_back_office() {
    let mut db = office();
    called(&mut db);
    assert_eq!(
        worklist(&mut db),
        [
            "call_back | button | back_office",
            "send_form | button | back_office"
        ]
    );
    let case: i64 = db.one("SELECT case_id FROM wf.cases");
    db.exec(&format!("SELECT wf.push_button({case}, 'call_back')"));
    // The dependent follow-up, and only that.
    assert_eq!(worklist(&mut db), ["ring | call | back_office"]);
    db.expect(
        "SELECT participant FROM wf.alerts ORDER BY notification_id",
        &["back_office", "back_office"],
    );
    db.settle("ring", None);
    db.expect(CASES, &["completed | followed up"]);
    db.expect_error(
        &format!("SELECT wf.push_button({case}, 'send_form')"),
        "55000",
        &["ended"],
    );
}

#[test]
fn cs_08_cs_14_the_form_is_sent_or_the_time_event_tells_the_manager() {
    let mut db = office();
    called(&mut db);
    let case: i64 = db.one("SELECT case_id FROM wf.cases");
    db.exec(&format!("SELECT wf.push_button({case}, 'send_form')"));
    db.run_due();
    let sent = db.send();
    assert_eq!(sent[0].subject, "The form that you asked for");
    db.run_due();
    assert_eq!(worklist(&mut db), ["form_back | task | back_office"]);
    let stages = db.lines(
        "SELECT DISTINCT stage FROM probe.history() WHERE event = 'step_done' ORDER BY stage",
    );
    assert!(stages.len() > 1, "{stages:?}");

    let mut db = office();
    called(&mut db);
    db.at("2026-05-11 10:00");
    db.expect(CASES, &["completed | not followed up"]);
    db.expect(
        "SELECT participant FROM wf.alerts ORDER BY notification_id DESC LIMIT 1",
        &["office_manager"],
    );
}
