//! Collections: kinds of workflow and how a claim goes from one to the next, charges, promises, payment plans, disputes,
//! retries. The workflows are those of examples/collections.

mod breathing_space;
mod charges;
mod disputes;
mod kinds;
mod plans;
mod promises;
mod retry;
mod tolerance;

use serde_json::Value;
use workflow_engine_tests::{TestDb, document};

const NONE: &[&str] = &[];

const BREATHING_SPACE: &str = include_str!("../../examples/collections/breathing-space.json");
const INVESTIGATION: &str = include_str!("../../examples/collections/investigation.json");
const RETRY: &str = include_str!("../../examples/collections/retry.json");
const PAYMENT_PLAN: &str = include_str!("../../examples/collections/payment-plan.json");
const MAIN_OUTREACH: &str = include_str!("../../examples/collections/main-outreach.json");

const CASES: &str = "SELECT workflow, state, outcome, reason FROM probe.cases() ORDER BY case_id";
const CHARGES: &str = "SELECT step, kind, amount, currency, charged_from, charged_until, days, probe.local(charged_at)
                       FROM wf.charges ORDER BY charge_id";

/// The workflows of the examples, turned on one after the other, and the invoice bound.
fn with_workflows(workflows: &[&str]) -> TestDb {
    with_documents(
        &workflows
            .iter()
            .map(|text| document(text))
            .collect::<Vec<_>>(),
    )
}

fn with_documents(documents: &[Value]) -> TestDb {
    let mut db = TestDb::new();
    db.bind_invoice();
    for document in documents {
        db.install(document);
    }
    db
}
