//! History that nobody rewrites, the chain over it, personal data that go, and what the server log holds.

mod append_only;
mod erasing;
mod logs;
mod retention;
mod seals;

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// A database in which invoices belong to the account of their customer, with a workflow `chat` that writes, asks and
/// notes. It is Mon 2026-03-02 10:00.
fn office() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(
        "SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_details',
             email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone',
             account => 'customer_id')",
    );
    db.install(&invoice_workflow("chat", steps()));
    for key in 1..=9 {
        db.invoice(key, "2026-04-01", "1000");
    }
    db
}

fn steps() -> Value {
    json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "check", "kind": "task", "participant": "clerk", "due": {"anchor": "previous_done", "business_days": 2}},
        {"name": "noted", "kind": "note", "text": "Wrote to {{ customer_name }}"}
    ])
}

/// A case of `chat` from its start to its end; its number.
fn played(db: &mut TestDb, key: i64) -> i64 {
    let case = db.start("chat", key);
    db.run_due();
    db.send();
    let task: i64 = db.one(&format!(
        "SELECT task_id FROM wf.worklist WHERE case_id = {case}"
    ));
    db.exec(&format!(
        "SELECT wf.complete({task}, 'done', '{{\"said\": \"Mrs Jansen was upset\"}}')"
    ));
    db.run_due();
    case
}

/// Rows of history.
fn rows(db: &mut TestDb) -> i64 {
    db.one("SELECT count(*) FROM wf.history")
}

/// What wf.verify_history complains of.
const PROBLEMS: &str =
    "SELECT finding, history_id, case_id, rows FROM wf.verify_history() WHERE status = 'problem'";
