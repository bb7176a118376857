//! Who may do what with a task.
//!
//! A task is that of whoever claimed it, else of its participant; a queue is its members. Substitutes, the step's second
//! participant, whom it was escalated to, the participant's manager and the workflow's owner may settle it as well. A
//! name that no database role is behind is open to anybody who may call the function: an application vouches for it.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use workflow_core::Error;

use crate::engine::batch::{Batch, lock_waiting};
use crate::pg::acting::{acts_for, role_name, session_role};
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// An open task, and who has to do with it.
pub struct Task {
    pub id: i64,
    pub case: i64,
    pub step: String,
    /// Whose it is: a person or a queue.
    pub participant: Option<String>,
    /// Who works on it.
    pub claimed_by: Option<String>,
    substitute: Option<String>,
    second: Option<String>,
    escalated_to: Option<String>,
    manager: Option<String>,
    /// The workflow's owner.
    owner: Oid,
}

/// The open task of this id, if there is one.
pub fn find(task: i64) -> Option<Task> {
    let rows = spi::query(
        "SELECT t.case_id, coalesce(s.name, 'start'), t.participant, t.claimed_by, t.substitute, s.second, t.escalated_to,
                (SELECT p.manager FROM wf.participants AS p WHERE p.participant = t.participant), w.owner::oid
         FROM wf.tasks AS t
         JOIN wf.cases AS c ON c.case_id = t.case_id
         JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
         LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
         WHERE t.task_id = $1",
        &[arg(task)],
    );
    rows.first().map(|row| Task {
        id: task,
        case: row.must(1),
        step: row.must(2),
        participant: row.get(3),
        claimed_by: row.get(4),
        substitute: row.get(5),
        second: row.get(6),
        escalated_to: row.get(7),
        manager: row.get(8),
        owner: row.must(9),
    })
}

/// The open task, with its case locked. Raises P0002 for one that never was, 55000 for one that is settled.
pub fn locked(task: i64) -> Task {
    if let Some(found) = find(task) {
        lock_waiting(&[found.case]);
    }
    // Looked up again: it may have been settled while we waited for the case.
    find(task).unwrap_or_else(|| {
        let rows = spi::query(
            "SELECT h.case_id FROM wf.history AS h WHERE h.task_id = $1 LIMIT 1",
            &[arg(task)],
        );
        let hint = Some("wf.worklist lists the open tasks.".to_owned());
        match rows.first().map(|row| row.must::<i64>(1)) {
            Some(case) => raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("task {task} of case {case} is no longer open"),
                None,
                hint,
            ),
            None => raise_as(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("task {task} does not exist"),
                None,
                hint,
            ),
        }
    })
}

/// A name, or a member of a queue of that name, and the role behind it.
struct Behind {
    name: String,
    role: Option<Oid>,
}

/// Who is behind some names: their roles and those of their members. A name that is no participant may be a role: one
/// that claimed without being a participant.
fn behind(names: &[&str]) -> Vec<Behind> {
    let rows = spi::query_planned_freely(
        "SELECT n.name, CASE WHEN p.participant IS NULL THEN r.oid ELSE p.role::oid END
         FROM unnest($1::text[]) AS n (name)
         LEFT JOIN wf.participants AS p ON p.participant = n.name
         LEFT JOIN pg_catalog.pg_roles AS r ON p.participant IS NULL AND r.rolname = n.name
         UNION ALL
         SELECT m.queue, p.role::oid
         FROM wf.members AS m JOIN wf.participants AS p ON p.participant = m.member
         WHERE m.queue = ANY ($1)",
        &[array(names.iter().copied())],
    );
    rows.iter()
        .map(|row| Behind {
            name: row.must(1),
            role: row.get(2),
        })
        .collect()
}

/// Whether a caller may settle a task, and what to say if not.
enum Right {
    Theirs,
    Not { of: String, roles: Vec<Oid> },
}

impl Task {
    /// Whoever has it: who works on it, else whose it is.
    pub fn holder(&self) -> Option<&str> {
        self.claimed_by.as_deref().or(self.participant.as_deref())
    }

    fn right_of(&self, caller: Oid) -> Right {
        let Some(holder) = self.holder() else {
            return Right::Theirs;
        };
        let others = [&self.substitute, &self.escalated_to, &self.manager];
        let second = self.second.iter().filter(|_| self.claimed_by.is_none());
        let mut names = vec![holder];
        names.extend(
            others
                .into_iter()
                .flatten()
                .chain(second)
                .map(String::as_str),
        );
        let mut behind = behind(&names);
        if self.claimed_by.is_none() {
            // A participant of a document that happens to be called like a role is not that role.
            let known = spi::query(
                "SELECT 1 FROM wf.participants AS p WHERE p.participant = $1",
                &[arg(holder)],
            );
            if known.is_empty() {
                behind.retain(|b| b.name != holder);
            }
        }
        let roles: Vec<Oid> = behind
            .iter()
            .filter(|b| b.name == holder)
            .filter_map(|b| b.role)
            .collect();
        let open = roles.is_empty();
        let mut all = behind.iter().filter_map(|b| b.role).chain([self.owner]);
        if open || all.any(|role| acts_for(caller, role)) {
            return Right::Theirs;
        }
        Right::Not {
            of: holder.to_owned(),
            roles,
        }
    }

    /// Refuses a caller who may not settle the task.
    pub fn must_be_of(&self, caller: Oid) {
        let Right::Not { of, roles } = self.right_of(caller) else {
            return;
        };
        let names: Vec<String> = roles.iter().map(|role| role_name(*role)).collect();
        let how = if self.claimed_by.is_some() {
            "It is with"
        } else {
            "It belongs to participant"
        };
        raise_as(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "step \"{}\" of case {} is not yours to settle",
                self.step, self.case
            ),
            Some(format!(
                "{how} \"{of}\", that is members of role {}; you are {}.",
                names.join(", "),
                role_name(caller)
            )),
            Some(
                "Have it delegated or reassigned to you (wf.delegate_task, wf.reassign_task), or ask for membership."
                    .to_owned(),
            ),
        )
    }

    /// Whether a person may work on the task in the ordinary way: it is theirs, their queue's, or nobody's in particular.
    pub fn is_for(&self, person: &str) -> bool {
        let names: Vec<&str> = [
            &self.participant,
            &self.substitute,
            &self.second,
            &self.escalated_to,
        ]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
        if names.contains(&person) {
            return true;
        }
        let rows = spi::query(
            "SELECT 1 FROM wf.members AS m WHERE m.member = $1 AND m.queue = ANY ($2)
             UNION ALL
             SELECT 1 FROM wf.participants AS p
             JOIN wf.participants AS q ON q.participant = ANY ($2) AND q.role IS NOT NULL
             WHERE p.participant = $1 AND p.role IS NOT NULL
               AND pg_catalog.pg_has_role(p.role::oid, q.role::oid, 'MEMBER')",
            &[arg(person), array(names.iter().copied())],
        );
        // A participant that nobody is behind: its tasks are for whoever takes them.
        !rows.is_empty()
            || self.participant.as_deref().is_none_or(|name| {
                !behind(&[name]).iter().any(|b| b.role.is_some()) && members(name) == 0
            })
    }
}

fn members(queue: &str) -> usize {
    spi::query(
        "SELECT 1 FROM wf.members AS m WHERE m.queue = $1",
        &[arg(queue)],
    )
    .len()
}

/// A person among the participants.
pub struct Person {
    pub role: Option<Oid>,
}

/// The person of this name, if it is one.
pub fn person_named(name: &str) -> Option<Person> {
    let rows = spi::query(
        "SELECT p.role::oid FROM wf.participants AS p WHERE p.participant = $1 AND p.kind = 'person'",
        &[arg(name)],
    );
    rows.first().map(|row| Person { role: row.get(1) })
}

/// The person whose role this is: who they are among the participants.
fn person_of(role: Oid) -> Option<String> {
    let rows = spi::query(
        "SELECT p.participant FROM wf.participants AS p
         WHERE p.role::oid = $1 AND p.kind = 'person' ORDER BY p.participant LIMIT 1",
        &[arg(role)],
    );
    rows.first().map(|row| row.must(1))
}

/// Who is calling, as a person: the participant whose role acts now; else the one whose role logged in, which a SET ROLE
/// does not hide; else the role that logged in.
pub fn who_calls(caller: Oid) -> String {
    let session = session_role();
    person_of(caller)
        .or_else(|| person_of(session))
        .unwrap_or_else(|| role_name(session))
}

/// The open run of a step that a caller names. What is wrong with the name says where the case stands: only to those who
/// see it.
///
/// # Errors
/// [`workflow_core::ErrorCode::Unknown`] and [`workflow_core::ErrorCode::State`].
pub fn step_run(batch: &Batch, index: usize, step: &str, caller: Oid) -> Result<usize, Error> {
    let case = &batch.cases[index].case;
    let found = case.step_run(Some(step));
    if found.is_err() {
        super::sight::must_see(case.id, caller);
    }
    found
}

/// Refuses a caller who may not settle an open step run, or who would approve what they did themselves; notes who it is
/// for an approval to come.
///
/// # Errors
/// [`workflow_core::ErrorCode::NotYours`] for an approval of one's own work.
pub fn must_be_theirs(
    batch: &mut Batch,
    index: usize,
    token: usize,
    caller: Oid,
) -> Result<(), Error> {
    let open = batch.cases[index].case.tokens[token].task_id.and_then(find);
    let mut who = who_calls(caller);
    if let Some(task) = open {
        task.must_be_of(caller);
        // An application that acts for persons without roles of their own says who it is by claiming.
        let vouched = task.claimed_by.filter(|claimed| {
            person_named(claimed).is_some_and(|p| p.role.is_none())
                && person_of(caller).is_none()
                && person_of(session_role()).is_none()
        });
        who = vouched.unwrap_or(who);
    } else {
        let loaded = &batch.cases[index];
        let step = loaded.case.program.step(loaded.case.tokens[token].step);
        if let Some(step) = step.filter(|step| step.is_manual()) {
            // Not there yet: it will be its participant's.
            Task {
                id: 0,
                case: loaded.case.id,
                step: step.name.clone(),
                participant: step.participant.clone(),
                claimed_by: None,
                substitute: None,
                second: step.people.second.clone(),
                escalated_to: None,
                manager: None,
                owner: loaded.version.owner,
            }
            .must_be_of(caller);
        } else {
            super::sight::must_see(loaded.case.id, caller);
        }
    }
    batch.cases[index].case.four_eyes(token, &who)
}
