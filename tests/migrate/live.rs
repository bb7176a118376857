//! Cases move while a worker and a sender are at them.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{Options, automatic, edited, eventually, live};

use super::NONE;

/// With a live worker and a sender at them, every case ends exactly once, whatever version it was on when.
#[test]
fn s21_cases_migrate_under_a_live_worker() {
    let (cluster, mut db) = live(&Options::default());
    let steps = |first: &str, order: [&str; 2]| {
        automatic(json!([
            {"name": first, "kind": "note", "text": "First."},
            {"name": "wait", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}},
            {"name": order[0], "kind": "email", "template": "hello"},
            {"name": order[1], "kind": "email", "template": "hello"},
            {"name": "end", "kind": "finish"}
        ]))
    };
    db.install(&steps("a", ["x", "y"]));
    db.exec("INSERT INTO invoice (id, number, customer_id, state, due_date, open_amount, ready_at)
             SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, now() + n * interval '10 ms' FROM generate_series(1, 200) AS n");
    db.define(&edited(steps("b", ["x", "y"]), |doc| {
        let steps = doc["phases"][0]["steps"].as_array_mut().expect("steps");
        steps.insert(
            1,
            json!({"name": "more", "kind": "note", "description": "More", "text": "More."}),
        );
    }));
    db.exec("SELECT wf.publish('auto')");
    let connector = cluster.connector();
    let sender = std::thread::spawn(move || {
        let mut session = connector.connect("shop");
        let mut sent = 0;
        while sent < 400 {
            let messages = session.lease_with("NULL, 20");
            if !messages.is_empty() {
                session.ack(&messages);
                sent += messages.len();
            }
            sleep(Duration::from_millis(5));
        }
    });
    let mut moved = 0;
    eventually("the end of all cases", || {
        for (from, to) in [(1, 2), (2, 1), (1, 2)] {
            moved += db
                .lines(&format!("SELECT 1 FROM wf.migrate('auto', {from}, {to}, '{{\"{}\": \"{}\"}}', false) WHERE outcome = 'migrated'",
                    if from == 1 { "a" } else { "b" }, if from == 1 { "b" } else { "a" }))
                .len();
        }
        let done: i64 = db.one("SELECT count(*) FROM wf.cases WHERE state = 'completed'");
        (done == 200).then_some(())
    });
    sender.join().expect("the sender comes to its end");
    assert!(moved > 0, "cases moved while they ran");
    // Each e-mail step once, each note at most once, nothing left over.
    db.expect(
        "SELECT s.name, count(*), count(DISTINCT h.case_id) FROM wf.history AS h
         JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
         WHERE h.event = 'step_done' AND s.kind = 'email' GROUP BY 1 ORDER BY 1",
        &["x | 200 | 200", "y | 200 | 200"],
    );
    db.expect(
        "SELECT count(*), count(*) FILTER (WHERE state = 'sent') FROM wf.outbox",
        &["400 | 400"],
    );
    db.expect("SELECT count(*) FROM wf.case_steps", &[0]);
    db.expect("SELECT message FROM wf.incidents", NONE);
    db.expect(
        "SELECT count(*) FROM wf.cases AS c WHERE NOT EXISTS (SELECT FROM wf.history AS h
         WHERE h.case_id = c.case_id AND h.event = 'case_completed' AND h.version_id = c.version_id)",
        &[0],
    );
}
