//! What a batch of moves wants written about people: tasks, documents, assignments, alerts. One statement each, and none
//! where there is nothing.

use chrono::{DateTime, Utc};
use workflow_core::game::Effects;

use super::config::must_exist;
use super::record::announce;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of};

/// Writes it all; the cases are written already.
pub fn write(effects: &Effects, actor: &str, now: DateTime<Utc>) {
    // First, for a task of the same batch may go to whoever was just assigned.
    assignments(effects, actor, now);
    tasks(effects, actor, now);
    moves(effects);
    documents(effects, actor, now);
    notifications(effects, now);
}

/// New tasks go to whoever stands in for their participant. Both questions are asked of an index that is empty in most
/// databases, and only an answer costs a call.
fn tasks(effects: &Effects, actor: &str, now: DateTime<Utc>) {
    let tasks = &effects.tasks;
    if tasks.is_empty() {
        return;
    }
    // Outcomes travel as JSON: arrays of arrays must be rectangular.
    let outcomes = tasks
        .iter()
        .map(|t| serde_json::to_string(&t.outcomes).unwrap_or_default());
    spi::query(
        "INSERT INTO wf.tasks (case_id, step_no, visit, title, participant, substitute, outcomes, opened_at, created_by,
                               due_at, escalate_at)
         SELECT n.case_id, n.step_no, n.visit, n.title, w.participant,
                CASE WHEN EXISTS (SELECT FROM wf.absences AS b
                                  WHERE b.participant = w.participant AND b.absent_until > $8 AND b.absent_from <= $8)
                     THEN wf._substitute(w.participant, $8) END,
                ARRAY(SELECT pg_catalog.json_array_elements_text(n.outcomes::json)), $8, $9, n.due_at, n.escalate_at
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit, unnest($4::text[]) AS title, unnest($5::text[]) AS participant, unnest($6::text[]) AS outcomes, unnest($7::timestamptz[]) AS due_at, unnest($10::timestamptz[]) AS escalate_at) AS n
         CROSS JOIN LATERAL (
             SELECT CASE WHEN EXISTS (SELECT FROM wf.assignments AS a
                                      WHERE a.participant = n.participant AND a.case_id = n.case_id)
                           OR EXISTS (SELECT FROM wf.assignments AS a
                                      WHERE a.participant = n.participant AND a.account IS NOT NULL)
                         THEN wf._assignee(n.case_id, n.participant) ELSE n.participant END AS participant) AS w",
        &[
            array(tasks.iter().map(|t| t.case_id)),
            array(tasks.iter().map(|t| t.step)),
            array(tasks.iter().map(|t| t.visit)),
            array(tasks.iter().map(|t| t.title.as_str())),
            array_of(tasks.iter().map(|t| t.participant.as_deref())),
            array(outcomes),
            array_of(tasks.iter().map(|t| t.due_at)),
            arg(now),
            arg(actor),
            array_of(tasks.iter().map(|t| t.escalate_at)),
        ],
    );
    let alerting: Vec<_> = tasks.iter().filter(|t| t.notify).collect();
    if alerting.is_empty() {
        return;
    }
    let told = spi::query(
        "INSERT INTO wf.notifications (at, participant, kind, body, case_id, step_no, visit, task_id)
         SELECT $4, p.participant, 'task', t.title, t.case_id, t.step_no, t.visit, t.task_id
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit) AS n
         JOIN wf.tasks AS t ON t.case_id = n.case_id AND t.step_no = n.step_no AND t.visit = n.visit
         CROSS JOIN LATERAL (VALUES (t.participant), (t.substitute)) AS p (participant)
         WHERE p.participant IS NOT NULL
         RETURNING participant",
        &[
            array(alerting.iter().map(|t| t.case_id)),
            array(alerting.iter().map(|t| t.step)),
            array(alerting.iter().map(|t| t.visit)),
            arg(now),
        ],
    );
    announce(told.iter().map(|row| row.must(1)).collect());
}

fn moves(effects: &Effects) {
    let moves = &effects.task_moves;
    if moves.is_empty() {
        return;
    }
    spi::query(
        "UPDATE wf.tasks AS t SET due_at = n.due_at, escalate_at = n.escalate_at
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit, unnest($4::timestamptz[]) AS due_at, unnest($5::timestamptz[]) AS escalate_at) AS n
         WHERE t.case_id = n.case_id AND t.step_no = n.step_no AND t.visit = n.visit",
        &[
            array(moves.iter().map(|t| t.case_id)),
            array(moves.iter().map(|t| t.step)),
            array(moves.iter().map(|t| t.visit)),
            array_of(moves.iter().map(|t| t.due_at)),
            array_of(moves.iter().map(|t| t.escalate_at)),
        ],
    );
}

fn documents(effects: &Effects, actor: &str, now: DateTime<Utc>) {
    let documents = &effects.documents;
    if documents.is_empty() {
        return;
    }
    spi::query(
        "INSERT INTO wf.documents (case_id, step_no, visit, at, actor, reference, name, kind)
         SELECT n.case_id, n.step_no, n.visit, $7, $8, n.reference, n.name, n.kind
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit, unnest($4::text[]) AS reference, unnest($5::text[]) AS name, unnest($6::text[]) AS kind) AS n",
        &[
            array(documents.iter().map(|d| d.case_id)),
            array(documents.iter().map(|d| d.step)),
            array(documents.iter().map(|d| d.visit)),
            array(documents.iter().map(|d| d.document.reference.as_str())),
            array_of(documents.iter().map(|d| d.document.name.as_deref())),
            array_of(documents.iter().map(|d| d.document.kind.as_deref())),
            arg(now),
            arg(actor),
        ],
    );
}

/// Assignments that steps make, with a row of history each that says who it was before.
fn assignments(effects: &Effects, actor: &str, now: DateTime<Utc>) {
    let assignments = &effects.assignments;
    if assignments.is_empty() {
        return;
    }
    must_exist(assignments.iter().map(|a| a.assignee.as_str()));
    crate::engine::partitions::ensure(now);
    spi::query(
        "WITH n AS MATERIALIZED (
             SELECT a.*, wf._assignee(a.case_id, a.participant) AS before, c.account
             FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int[]) AS version_id, unnest($3::int2[]) AS step_no, unnest($4::int2[]) AS visit, unnest($5::text[]) AS participant, unnest($6::text[]) AS assignee, unnest($7::bool[]) AS whole_account) AS a
             JOIN wf.cases AS c ON c.case_id = a.case_id),
         noted AS (
             INSERT INTO wf.history (at, case_id, version_id, step_no, visit, event, actor, detail)
             SELECT $8, n.case_id, n.version_id, n.step_no, n.visit, 'assigned', $9,
                    pg_catalog.jsonb_build_object('participant', n.participant, 'from', n.before, 'to', n.assignee,
                        'scope', CASE WHEN n.whole_account AND n.account IS NOT NULL THEN 'account' ELSE 'case' END)
             FROM n)
         INSERT INTO wf.assignments (participant, case_id, account, assignee, assigned_at, assigned_by)
         SELECT n.participant, CASE WHEN n.whole_account AND n.account IS NOT NULL THEN NULL ELSE n.case_id END,
                CASE WHEN n.whole_account THEN n.account END, n.assignee, $8, $9
         FROM n",
        &[
            array(assignments.iter().map(|a| a.case_id)),
            array(assignments.iter().map(|a| a.version_id)),
            array(assignments.iter().map(|a| a.step)),
            array(assignments.iter().map(|a| a.visit)),
            array(assignments.iter().map(|a| a.participant.as_str())),
            array(assignments.iter().map(|a| a.assignee.as_str())),
            array(assignments.iter().map(|a| a.account)),
            arg(now),
            arg(actor),
        ],
    );
}

/// Alerts of notify steps; they reach whoever stands in for the participant in the case.
fn notifications(effects: &Effects, now: DateTime<Utc>) {
    let all = &effects.notifications;
    if all.is_empty() {
        return;
    }
    let told = spi::query(
        "INSERT INTO wf.notifications (at, participant, kind, body, case_id, step_no, visit)
         SELECT $6, wf._assignee(n.case_id, n.participant), 'notify', n.body, n.case_id, n.step_no, n.visit
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit, unnest($4::text[]) AS participant, unnest($5::text[]) AS body) AS n
         RETURNING participant",
        &[
            array(all.iter().map(|n| n.case_id)),
            array(all.iter().map(|n| n.step)),
            array(all.iter().map(|n| n.visit)),
            array(all.iter().map(|n| n.to.as_str())),
            array(all.iter().map(|n| n.body.as_str())),
            arg(now),
        ],
    );
    announce(told.iter().map(|row| row.must(1)).collect());
}
