//! Content: what people read reaches running cases when it is published.

use serde_json::json;
use workflow_engine_tests::{edited, literal, step_of};

use super::{database, publish, restructured, with_text, work};

#[test]
fn s21_text_fixes_reach_running_cases() {
    let mut db = database(&work());
    let case = db.start("work", 1);
    // This session has the version compiled.
    db.expect("SELECT title FROM wf.tasks", &["Step check"]);
    let second = edited(with_text("Now {{ number }}."), |doc| {
        step_of(doc, "check")["description"] = "Check it well".into();
        doc["title"] = "Work!".into();
    });
    assert_eq!(publish(&mut db, &second), 2);
    db.expect("SELECT title FROM wf.tasks", &["Check it well"]);
    db.settle("check", None);
    db.at("2026-03-23 10:00");
    db.expect(
        "SELECT payload->>'body' FROM probe.outbox()",
        &["Now INV-1."],
    );
    db.expect(
        &format!("SELECT version, state FROM wf.case_progress WHERE case_id = {case}"),
        &["1 | running"],
    );
    // And once more, for cases of both versions.
    db.start("work", 2);
    assert_eq!(
        publish(
            &mut db,
            &edited(second, |doc| {
                doc["templates"]["hello"]["body"] = "At last {{ number }}.".into();
            })
        ),
        3
    );
    db.settle("check", None);
    db.at("2026-04-23 10:00");
    db.expect(
        "SELECT payload->>'body' FROM probe.outbox() ORDER BY message_id",
        &["At last INV-1.", "At last INV-2."],
    );
}

#[test]
fn s21_history_says_who_changed_which_text() {
    let mut db = database(&work());
    db.start("work", 1);
    db.clock("2026-03-03 10:00");
    publish(
        &mut db,
        &edited(with_text("New"), |doc| {
            doc["templates"]["hello"]["locales"] = json!({"nl": {"body": "Nieuw"}});
        }),
    );
    publish(&mut db, &restructured());
    db.expect(
        "SELECT version, place, field, before, after, published_by FROM wf.version_changes ORDER BY field",
        &[
            "2 | template \"hello\" | body | Invoice {{ number }}, {{ open_amount }} open. | New | postgres",
            "2 | template \"hello\" | locales | null | {\"nl\":{\"body\":\"Nieuw\"}} | postgres",
        ],
    );
    db.expect(
        "SELECT version, state, changed, texts_of, open_cases FROM wf.version_history ORDER BY version",
        &[
            "1 | retired | structure | 2 | 1",
            "2 | retired | content | 2 | 0",
            "3 | published | structure | 3 | 0",
        ],
    );
    // What was published stays as it was.
    db.expect(
        "SELECT document->'templates'->'hello'->>'body' FROM wf.versions WHERE number = 1",
        &["Invoice {{ number }}, {{ open_amount }} open."],
    );
    db.expect_error(
        "UPDATE wf.content_changes SET after = 'x'",
        "55000",
        &["version", "published"],
    );
}

#[test]
fn s21_a_text_fix_reaches_what_no_sender_has_had_in_hand() {
    let mut db = database(&work());
    db.start("work", 1);
    db.start("work", 2);
    for _ in 0..2 {
        db.settle("check", None);
    }
    db.at("2026-03-23 10:00");
    let first = db.lease_with("NULL, 1");
    let handed: String = db.one(&format!(
        "SELECT payload->>'body' FROM wf.outbox WHERE message_id = {}",
        first[0].id
    ));
    publish(&mut db, &with_text("Now {{ number }}."));
    db.run_due();
    db.expect(
        "SELECT state, payload->>'body' FROM probe.outbox() ORDER BY message_id",
        &[
            format!("leased | {handed}"),
            "queued | Now INV-2.".to_owned(),
        ],
    );
    db.fail(&first, "no", Some("1 second"));
    db.at("2026-03-23 10:01");
    let sent = db.send();
    assert_eq!(
        sent.iter().map(|m| m.body.as_str()).collect::<Vec<_>>(),
        [handed.as_str(), "Now INV-2."]
    );
}

#[test]
fn s21_other_sessions_and_undone_changes_are_noticed() {
    let mut db = database(&work());
    let mut other = db.connect();
    for (session, key) in [(&mut other, 1), (&mut *db, 2)] {
        session.start("work", key);
    }
    db.exec("BEGIN");
    db.define(&with_text("Undone"));
    db.exec("SELECT wf.publish('work')");
    let note = "SELECT * FROM wf.advance((SELECT min(case_id) FROM wf.cases), 'pause')";
    db.settle_in_transaction("check");
    db.exec(note);
    db.expect("SELECT payload->>'body' FROM probe.outbox()", &["Undone"]);
    db.exec("ROLLBACK");
    db.define(&with_text("Here to stay"));
    db.exec("SELECT wf.publish('work')");
    for session in [&mut other, &mut *db] {
        session.settle_in_transaction("check");
        session.exec("SELECT wf.advance(case_id, 'pause') FROM wf.case_steps WHERE step_no = 2 AND state = 'scheduled'");
    }
    db.expect(
        "SELECT payload->>'body' FROM probe.outbox()",
        &["Here to stay", "Here to stay"],
    );
}

/// Settling without wf.run_due, which commits.
trait Settle {
    fn settle_in_transaction(&mut self, step: &str);
}

impl Settle for workflow_engine_tests::Session {
    fn settle_in_transaction(&mut self, step: &str) {
        let task: i64 = self.one(&format!(
            "SELECT min(task_id) FROM probe.tasks() WHERE step = {}",
            literal(step)
        ));
        self.exec(&format!("SELECT * FROM wf.complete({task})"));
    }
}
