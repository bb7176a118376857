//! Tasks whose deadline has passed: somebody else is told, and may settle them as well.
//!
//! The time stands on the task itself (`escalate_at`): it comes and goes with the task, and costs nothing where no step
//! escalates. A second token or timer would have to be kept in step with the first whenever the deadline moves.

use crate::api::now;
use crate::engine::partitions;
use crate::pg::spi;
use crate::pg::types::{arg, array};
use crate::settings;

use super::record::announce;

/// Escalates one batch of tasks of cases that nobody else is at and that are not on hold. Gives back how many.
pub fn escalate_overdue() -> usize {
    let now = now();
    let cases = spi::query_in_order(
        "SELECT c.case_id FROM wf.tasks AS t JOIN wf.cases AS c ON c.case_id = t.case_id
         WHERE t.escalate_at <= $1 AND c.state IN ('running', 'planned')
         ORDER BY t.escalate_at LIMIT $2 FOR UPDATE OF c SKIP LOCKED",
        &[arg(now), arg(settings::batch_size())],
    );
    let cases: Vec<i64> = cases.iter().map(|row| row.must(1)).collect();
    if cases.is_empty() {
        return 0;
    }
    partitions::ensure(now);
    // To whom the step says, else the manager of its participant; whoever stands in for them, and their substitute
    // while they are away. With nobody to go to, the alert has no participant: the application decides.
    let told = spi::query(
        "WITH late AS MATERIALIZED (
             SELECT t.task_id, t.case_id, t.step_no, t.visit, t.title, t.due_at, c.version_id,
                    coalesce(t.claimed_by, t.participant) AS holder,
                    coalesce(wf._substitute(w.who, $2), w.who) AS who
             FROM wf.tasks AS t
             JOIN wf.cases AS c ON c.case_id = t.case_id
             LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
             LEFT JOIN wf.participants AS p ON p.participant = t.participant
             CROSS JOIN LATERAL (
                 SELECT CASE WHEN s.escalate_to IS NOT NULL THEN wf._assignee(t.case_id, s.escalate_to)
                             ELSE p.manager END AS who) AS w
             WHERE t.case_id = ANY ($1) AND t.escalate_at <= $2),
         moved AS (
             UPDATE wf.tasks AS t SET escalated_to = l.who, escalate_at = NULL
             FROM late AS l WHERE t.task_id = l.task_id),
         noted AS (
             INSERT INTO wf.history (at, case_id, version_id, step_no, visit, event, due_at, task_id, actor, detail)
             SELECT $2, l.case_id, l.version_id, l.step_no, l.visit, 'task_escalated', l.due_at, l.task_id, 'engine',
                    pg_catalog.jsonb_build_object('from', l.holder, 'to', l.who, 'reason', 'overdue')
             FROM late AS l)
         INSERT INTO wf.notifications (at, participant, kind, body, case_id, step_no, visit, task_id)
         SELECT $2, l.who, 'escalated', l.title, l.case_id, l.step_no, l.visit, l.task_id FROM late AS l
         RETURNING coalesce(participant, '')",
        &[array(cases), arg(now)],
    );
    let count = told.len();
    announce(told.iter().map(|row| row.must(1)).collect());
    count
}
