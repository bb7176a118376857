//! Accounts: cases that concern several rows, workflows that exclude each other, default strategies.

mod each;
mod exclusive;
mod members;
mod s12;
mod strategies;
mod together;

use serde_json::{Value, json};
use workflow_engine_tests::TestDb;

/// What the tests of this binary are about: claims of accounts, in several currencies.
pub const CLAIMS: &str = "
    CREATE TABLE claim (id text PRIMARY KEY, account text, state text NOT NULL, due_date date, open_amount numeric,
                        currency text NOT NULL DEFAULT 'EUR', email text DEFAULT 'debtor@example.com');
    SELECT wf.bind_subject('claim', 'claim', 'id', email => 'email', account => 'account')";

/// A database with claims, at Mon 2026-05-04 09:00.
pub fn claims() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-05-04 09:00");
    db.exec(CLAIMS);
    db
}

/// A workflow about claims, started by hand, with a template that lists them all and totals by currency.
pub fn claim_workflow(name: &str, mut head: Value, mut steps: Value) -> Value {
    for step in steps.as_array_mut().expect("steps") {
        step["description"] = format!("Step {}", step["name"]).into();
    }
    let mut document = json!({
        "format": 1, "name": name, "subject": "claim", "subjects": "several", "time_zone": "Europe/Amsterdam",
        "stop": [{"when": "state = 'paid'", "reason": "paid"}],
        "phases": [{"name": "all", "steps": steps}],
        "templates": {"all": {"subject": "Claims",
            "body": "{% for c in subjects %}{{ c.id }} {{ c.open_amount | money(c.currency) }}; {% endfor %}{% for t in subjects | totals('open_amount', 'currency') %}{{ t.total | money(t.currency) }} in {{ t.count }}; {% endfor %}"}}
    });
    for (field, value) in head.as_object_mut().expect("a head") {
        document[field] = value.take();
    }
    document
}

/// A default strategy of two reminders, 10 and 21 days after the due date.
pub fn strategy(name: &str) -> Value {
    let mut document = claim_workflow(
        name,
        json!({"runs": "strategy", "subjects": "one", "start": {"when": "state = 'open'"}}),
        json!([
            {"name": "first", "kind": "email", "template": "mild", "on": {"anchor": "subject.due_date", "days": 10}},
            {"name": "second", "kind": "email", "template": "mild", "on": {"anchor": "subject.due_date", "days": 21}},
            {"name": "end", "kind": "finish"}
        ]),
    );
    document["templates"] =
        json!({"mild": {"subject": "Strategy {{ id }}", "body": "{{ open_amount }}"}});
    document
}

/// A claim of account A-1.
pub fn claim(db: &mut TestDb, id: &str, due: &str, amount: &str, currency: &str) {
    db.exec(&format!(
        "INSERT INTO claim VALUES ('{id}', 'A-1', 'open', '{due}', {amount}, '{currency}')"
    ));
}

/// Starts a case for several claims; its number.
pub fn start(db: &mut TestDb, workflow: &str, keys: &str) -> i64 {
    db.one(&format!(
        "SELECT min(case_id) FROM wf.start('{workflow}', '{keys}'::text[])"
    ))
}
