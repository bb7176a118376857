//! Who sees which cases: managers, readers and the extension's owner all of them, agents those with a task that is theirs
//! or their queues', and those that were assigned to them.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use crate::engine::as_engine;
use crate::pg::acting::{current_role, role_name};
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::arg;

/// The open tasks that concern a role. As in wf.my_worklist, but that a task which a colleague has claimed is still the
/// queue's, and that managers of participants see their tasks.
const TASKS: &str = "WITH me AS MATERIALIZED (
         SELECT p.participant FROM wf.participants AS p
         WHERE p.role IS NOT NULL AND pg_catalog.pg_has_role($1, p.role::oid, 'MEMBER')),
     mine AS MATERIALIZED (
         SELECT m.participant FROM me AS m
         UNION
         SELECT q.queue FROM wf.members AS q JOIN me AS m ON m.participant = q.member)
     SELECT t.task_id, t.case_id
     FROM wf.tasks AS t
     JOIN wf.cases AS c ON c.case_id = t.case_id
     LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
     LEFT JOIN wf.participants AS p ON p.participant = t.participant
     WHERE t.participant IN (SELECT m.participant FROM mine AS m)
        OR t.claimed_by IN (SELECT m.participant FROM me AS m)
        OR t.claimed_by = $2 AND NOT EXISTS (SELECT FROM wf.participants AS o WHERE o.participant = t.claimed_by)
        OR t.substitute IN (SELECT m.participant FROM me AS m)
        OR t.escalated_to IN (SELECT m.participant FROM mine AS m)
        OR s.second IN (SELECT m.participant FROM mine AS m)
        OR p.manager IN (SELECT m.participant FROM me AS m)
        OR p.role IS NULL AND t.claimed_by IS NULL
           AND NOT EXISTS (SELECT FROM wf.members AS q JOIN wf.participants AS o ON o.participant = q.member
                           WHERE q.queue = t.participant AND o.role IS NOT NULL)";

/// Whether a role sees every case.
fn sees_every_case(role: Oid) -> bool {
    let rows = spi::query(
        "SELECT pg_catalog.has_function_privilege($1, 'wf._every_case()', 'EXECUTE')",
        &[arg(role)],
    );
    rows.first().is_some_and(|row| row.must(1))
}

fn tasks_of(role: Oid) -> Vec<(i64, i64)> {
    let name = role_name(role);
    let rows = spi::query_planned_freely(TASKS, &[arg(role), arg(name.as_str())]);
    rows.iter().map(|row| (row.must(1), row.must(2))).collect()
}

fn cases_of(role: Oid) -> Vec<i64> {
    let mut cases: Vec<i64> = tasks_of(role).into_iter().map(|(_, case)| case).collect();
    // The latest row of an assignment counts, a case's own before its account's.
    let rows = spi::query_planned_freely(
        "WITH me AS MATERIALIZED (
             SELECT p.participant FROM wf.participants AS p
             WHERE p.role IS NOT NULL AND pg_catalog.pg_has_role($1, p.role::oid, 'MEMBER'))
         SELECT DISTINCT a.case_id FROM wf.assignments AS a
         WHERE a.case_id IS NOT NULL AND a.assignee IN (SELECT m.participant FROM me AS m)
           AND wf._assignee(a.case_id, a.participant) = a.assignee
         UNION
         SELECT c.case_id
         FROM (SELECT DISTINCT a.account, a.participant, a.assignee FROM wf.assignments AS a
               WHERE a.account IS NOT NULL AND a.assignee IN (SELECT m.participant FROM me AS m)) AS a
         JOIN wf.cases AS c ON c.account = a.account
         WHERE wf._assignee(c.case_id, a.participant) = a.assignee",
        &[arg(role)],
    );
    cases.extend(rows.iter().map(|row| row.must::<i64>(1)));
    cases.sort_unstable();
    cases.dedup();
    cases
}

/// Whether the caller sees every case.
#[pg_extern(sql = false)]
fn sees_all() -> bool {
    let caller = current_role();
    as_engine(|| sees_every_case(caller))
}

/// The open tasks of the caller.
#[pg_extern(sql = false)]
fn my_tasks() -> SetOfIterator<'static, i64> {
    let caller = current_role();
    let tasks = as_engine(|| tasks_of(caller));
    SetOfIterator::new(tasks.into_iter().map(|(task, _)| task))
}

/// The cases of the caller.
#[pg_extern(sql = false)]
fn my_cases() -> SetOfIterator<'static, i64> {
    let caller = current_role();
    SetOfIterator::new(as_engine(|| cases_of(caller)))
}

/// Whether a role sees a case.
pub fn sees(case: i64, role: Oid) -> bool {
    sees_every_case(role) || cases_of(role).contains(&case)
}

/// Refuses a caller who does not see a case; for the engine's own rights. A case that does not exist is nobody's, and for
/// others to refuse.
pub fn must_see(case: i64, caller: Oid) {
    if sees(case, caller) {
        return;
    }
    let exists = spi::query(
        "SELECT 1 FROM wf.cases AS c WHERE c.case_id = $1",
        &[arg(case)],
    );
    if exists.is_empty() {
        return;
    }
    raise_as(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("case {case} is not yours"),
        Some(format!(
            "An agent sees cases with tasks of their own or of their queues, and those assigned to them; you are {}.",
            role_name(caller)
        )),
        Some("Ask a manager, or have it assigned to you (wf.assign).".to_owned()),
    )
}
