//! Who works on tasks: queues, claims, substitutes, approvals, documents, escalation, alerts.

mod deadlines;
mod documents_and_approvals;
mod queues;
mod specialists;

use serde_json::{Value, json};
use workflow_engine_tests::{Session, TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// A database with these steps as workflow `desk`, the persons anna, bert, carla and boss with login roles of their own,
/// and the queue `clerks` of anna and bert, whose manager is boss. It is Mon 2026-03-02 10:00.
struct Desk {
    db: TestDb,
}

impl std::ops::Deref for Desk {
    type Target = TestDb;
    fn deref(&self) -> &TestDb {
        &self.db
    }
}

impl std::ops::DerefMut for Desk {
    fn deref_mut(&mut self) -> &mut TestDb {
        &mut self.db
    }
}

impl Desk {
    fn new(steps: Value) -> Self {
        Self::at("2026-03-02 10:00", steps)
    }

    fn at(at: &str, steps: Value) -> Self {
        let mut db = TestDb::new();
        db.clock(at);
        db.bind_invoice();
        for person in ["boss", "anna", "bert", "carla"] {
            let role = db.role(person);
            let kind = if person == "boss" { "manager" } else { "agent" };
            db.exec(&format!(
                "SELECT wf.grant_role('\"{role}\"', '{kind}'); \
                 SELECT wf.set_participant('{person}', '{role}', manager => nullif('boss', '{person}'))"
            ));
        }
        db.exec(
            "SELECT wf.set_participant('clerks', manager => 'boss'); SELECT wf.set_members('clerks', '{anna,bert}')",
        );
        db.install(&invoice_workflow("desk", steps));
        db.invoice(1, "2026-04-01", "1000");
        Self { db }
    }

    fn started(steps: Value) -> (Self, i64) {
        let mut desk = Self::new(steps);
        desk.start("desk", 1);
        let task = desk.one("SELECT min(task_id) FROM wf.tasks");
        (desk, task)
    }

    fn person(&mut self, name: &str) -> Session {
        let role: String = self.one(&format!(
            "SELECT trim('\"' FROM role::text) FROM wf.participants WHERE participant = '{name}'"
        ));
        self.connect_as(&role)
    }
}

fn work(name: &str, participant: &str) -> Value {
    json!({"name": name, "kind": "task", "participant": participant, "due": {"anchor": "previous_done", "business_days": 2}})
}

const HANDED: &str = "SELECT event, detail->>'from', detail->>'to', coalesce(detail->>'reason', '-') \
     FROM probe.history() WHERE event LIKE 'task_%'";
