//! Rows that say what has happened to a task: in history for the record, among the alerts for whom it concerns.

use serde_json::{Map, Value};

use super::rights::Task;
use crate::api::now;
use crate::engine::partitions;
use crate::pg::spi;
use crate::pg::types::{arg, array};
use crate::settings;

/// A row of history about a task that has changed hands: from whom, to whom, why.
pub fn history(
    task: &Task,
    event: &str,
    actor: &str,
    from: Option<&str>,
    to: Option<&str>,
    reason: Option<&str>,
) {
    let mut detail = Map::new();
    let of_session = settings::reason();
    let reason = reason.or(of_session.as_deref());
    for (name, value) in [("from", from), ("to", to), ("reason", reason)] {
        if let Some(value) = value {
            detail.insert(name.to_owned(), Value::from(value));
        }
    }
    let at = now();
    partitions::ensure(at);
    spi::query(
        "INSERT INTO wf.history (at, case_id, version_id, step_no, visit, event, due_at, task_id, actor, detail)
         SELECT $1, t.case_id, c.version_id, t.step_no, t.visit, $3::wf.history_event, t.due_at, t.task_id, $4, $5::jsonb
         FROM wf.tasks AS t JOIN wf.cases AS c ON c.case_id = t.case_id WHERE t.task_id = $2",
        &[
            arg(at),
            arg(task.id),
            arg(event),
            arg(actor),
            arg(Value::Object(detail).to_string()),
        ],
    );
}

/// Alerts a participant about a task.
pub fn alert(task: &Task, kind: &str, participant: &str) {
    spi::query(
        "INSERT INTO wf.notifications (at, participant, kind, body, case_id, step_no, visit, task_id)
         SELECT $1, $3, $4, t.title, t.case_id, t.step_no, t.visit, t.task_id FROM wf.tasks AS t WHERE t.task_id = $2",
        &[arg(now()), arg(task.id), arg(participant), arg(kind)],
    );
    announce(vec![participant.to_owned()]);
}

/// Tells whoever listens that there are alerts for these participants, once the transaction has committed. Only where
/// there are alerts: a NOTIFY takes a lock that all of them share.
pub fn announce(participants: Vec<String>) {
    if participants.is_empty() {
        return;
    }
    spi::query(
        "SELECT pg_catalog.pg_notify('wf_alerts', n.participant)
         FROM (SELECT DISTINCT pg_catalog.left(unnest($1::text[]), 1000) AS participant) AS n",
        &[array(participants)],
    );
}
