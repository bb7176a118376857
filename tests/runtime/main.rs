//! The runtime's functions: what they give back, what they do, what they refuse, and that the caller's transaction
//! decides.

mod appended;
mod complete;
mod errors;
mod hold;
mod start;
mod steer;

use serde_json::json;
use workflow_engine_tests::{TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// A database with the workflow `work` (a task with two outcomes, a note, a wait of ten days, a task, the end) and ten
/// posted invoices, on Mon 2026-03-02.
fn work() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "work",
        json!([
            {"name": "check", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "business_days": 2},
             "outcomes": [{"name": "good"}, {"name": "bad", "next": "end"}]},
            {"name": "remark", "kind": "note", "text": "Checked {{ number }}."},
            {"name": "pause", "kind": "wait", "on": {"anchor": "previous_done", "days": 10}},
            {"name": "close", "kind": "task", "participant": "clerk", "due": {"anchor": "previous_done", "days": 1}},
            {"name": "end", "kind": "finish", "outcome": "over"}
        ]),
    ));
    db.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series(1, 10) AS n");
    db.run_due();
    db
}
