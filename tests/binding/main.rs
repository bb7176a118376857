//! The ERP's side: how changes of bound rows become cases, and that the ERP does not notice.

mod bulk;
mod enrol;
mod erp_notes;
mod hostile_keys;
mod keys;
mod roles;
mod writes;

use serde_json::{Value, json};
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

const NONE: &[&str] = &[];

/// A workflow that starts by itself on posted invoices and stops on paid ones; a task waits in it.
fn follow() -> Value {
    edited(
        invoice_workflow(
            "follow",
            json!([{"name": "look", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 30}}]),
        ),
        |doc| {
            doc["start"] = json!({"when": "state = 'posted'"});
            doc["stop"] = json!([
                {"when": "state = 'paid' or open_amount = 0", "reason": "paid"},
                {"when": "state in ('draft', 'cancelled')", "reason": "withdrawn"}
            ]);
        },
    )
}

/// A database where `follow` is on, on Mon 2026-03-02.
fn following() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&follow());
    db
}

/// Inserts posted invoices with the numbers from `first` to `last`.
fn invoices(db: &mut TestDb, first: i64, last: i64) {
    db.exec(&format!(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series({first}, {last}) AS n"
    ));
}

const CASES: &str = "SELECT key, state, reason FROM probe.cases()";
