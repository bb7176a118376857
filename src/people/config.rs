//! Participants, the members of queues, and who is away.

use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use workflow_core::{Error, ErrorCode};

use super::rights::person_named;
use super::verbs::is_manager;
use crate::api::{actor, given, now};
use crate::engine::as_engine;
use crate::pg::acting::{acts_for, current_role};
use crate::pg::raise::{raise, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, array, instant_from_pg, optional};

/// Enters a participant of the workflows, or changes one.
#[pg_extern(sql = false)]
fn set_participant(
    participant: Option<&str>,
    role: Option<&str>,
    title: Option<&str>,
    manager: Option<&str>,
    kind: Option<&str>,
) {
    let participant = given("participant", participant);
    if let Some(kind) = kind.filter(|kind| !["person", "queue"].contains(kind)) {
        raise(
            Error::new(
                ErrorCode::Input,
                format!("there is no kind of participant \"{kind}\""),
            )
            .hint("The kinds are person and queue."),
        );
    }
    as_engine(|| {
        if let Some(manager) = manager {
            must_exist([manager]);
        }
        // A queue with members stays one when its title changes.
        spi::query(
            "INSERT INTO wf.participants (participant, role, title, manager, kind)
             SELECT $1, r.oid::regrole, $3, $4,
                    coalesce($5, CASE WHEN EXISTS (SELECT FROM wf.members AS m WHERE m.queue = $1) THEN 'queue'
                                      WHEN r.rolcanlogin THEN 'person' ELSE 'queue' END)
             FROM (SELECT $2 AS name) AS n LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = n.name
             ON CONFLICT (participant) DO UPDATE
                 SET role = excluded.role, title = excluded.title, manager = excluded.manager, kind = excluded.kind",
            &[
                arg(participant),
                optional(role.map(known_role)),
                optional(title),
                optional(manager),
                optional(kind),
            ],
        );
    });
}

fn known_role(role: &str) -> &str {
    let known = spi::query(
        "SELECT 1 FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1",
        &[arg(role)],
    );
    if known.is_empty() {
        raise(
            Error::new(
                ErrorCode::Unknown,
                format!("role \"{role}\" does not exist"),
            )
            .hint("Create it with CREATE ROLE."),
        );
    }
    role
}

/// Refuses names that are no participants.
pub fn must_exist<'a>(names: impl IntoIterator<Item = &'a str>) {
    let rows = spi::query_planned_freely(
        "SELECT n.name FROM unnest($1::text[]) AS n (name)
         WHERE NOT EXISTS (SELECT FROM wf.participants AS p WHERE p.participant = n.name) LIMIT 1",
        &[array(names)],
    );
    let Some(unknown) = rows.first().map(|row| row.must::<String>(1)) else {
        return;
    };
    let known = spi::query_planned_freely(
        "SELECT p.participant FROM wf.participants AS p ORDER BY p.participant LIMIT 20",
        &[],
    );
    let known: Vec<String> = known.iter().map(|row| row.must(1)).collect();
    raise(
        Error::new(
            ErrorCode::Unknown,
            format!("participant \"{unknown}\" does not exist"),
        )
        .detail(format!("Participants are {}.", known.join(", ")))
        .hint("Enter it with wf.set_participant."),
    );
}

/// Refuses a participant that is no person.
pub fn must_be_person(name: &str, hint: &str) {
    if person_named(name).is_none() {
        raise(
            Error::new(
                ErrorCode::Input,
                format!("participant \"{name}\" is a queue, not a person"),
            )
            .hint(hint),
        );
    }
}

/// Says who works from a queue.
#[pg_extern(sql = false)]
fn set_members(queue: Option<&str>, members: Option<Vec<Option<String>>>) {
    let (queue, members) = (given("queue", queue), given("members", members));
    let members: Vec<String> = members.into_iter().map(|m| given("members", m)).collect();
    as_engine(|| {
        must_exist([queue]);
        must_exist(members.iter().map(String::as_str));
        if person_named(queue).is_some() {
            raise(
                Error::new(
                    ErrorCode::Input,
                    format!("participant \"{queue}\" is a person and has no members"),
                )
                .hint("Make it a queue: wf.set_participant(…, kind => 'queue')."),
            );
        }
        for member in &members {
            must_be_person(member, "Let the queue have persons as members.");
        }
        spi::query(
            "DELETE FROM wf.members AS m WHERE m.queue = $1 AND m.member <> ALL ($2)",
            &[arg(queue), array(members.iter().map(String::as_str))],
        );
        spi::query(
            "INSERT INTO wf.members (queue, member) SELECT DISTINCT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
            &[arg(queue), array(members.iter().map(String::as_str))],
        );
    });
}

/// Notes that a person is away; gives back the number of the absence.
#[pg_extern(sql = false)]
fn set_absence(
    participant: Option<&str>,
    absent_from: Option<TimestampWithTimeZone>,
    absent_until: Option<TimestampWithTimeZone>,
    substitute: Option<&str>,
    open_tasks: Option<bool>,
) -> i64 {
    let participant = given("participant", participant);
    let from = instant_from_pg(given("absent_from", absent_from).into());
    let until = instant_from_pg(given("absent_until", absent_until).into());
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_exist([participant].into_iter().chain(substitute));
        must_be_person(
            participant,
            "A queue is never away; take members out of it.",
        );
        must_be_theirs(participant, caller);
        if from >= until || until <= now() {
            raise(
                Error::new(
                    ErrorCode::Input,
                    "the absence ends before it begins, or has ended already",
                )
                .hint("Give the moment of leaving and, later, that of the return."),
            );
        }
        if substitute == Some(participant) {
            raise(
                Error::new(
                    ErrorCode::Input,
                    format!("\"{participant}\" cannot stand in for themselves"),
                )
                .hint("Name somebody else, or nobody."),
            );
        }
        let rows = spi::query(
            "INSERT INTO wf.absences (participant, substitute, absent_from, absent_until, set_by)
             VALUES ($1, $2, $3, $4, $5) RETURNING absence_id",
            &[
                arg(participant),
                optional(substitute),
                arg(from),
                arg(until),
                arg(actor.as_str()),
            ],
        );
        if open_tasks == Some(true) {
            spi::query(
                "UPDATE wf.tasks AS t SET substitute = n.substitute
                 FROM (SELECT wf._substitute($1, greatest($2, $3)) AS substitute) AS n
                 WHERE coalesce(t.claimed_by, t.participant) = $1 AND t.substitute IS NULL",
                &[arg(participant), arg(from), arg(now())],
            );
        }
        rows.first().map_or(0, |row| row.must(1))
    })
}

/// Refuses to speak of somebody else's absence: for themselves, their manager, and managers.
fn must_be_theirs(participant: &str, caller: Oid) {
    let rows = spi::query(
        "SELECT p.role::oid, (SELECT m.role::oid FROM wf.participants AS m WHERE m.participant = p.manager)
         FROM wf.participants AS p WHERE p.participant = $1",
        &[arg(participant)],
    );
    let roles: Vec<Oid> = rows
        .iter()
        .flat_map(|row| [row.get(1), row.get(2)])
        .flatten()
        .collect();
    if roles.is_empty() || roles.iter().any(|role| acts_for(caller, *role)) || is_manager(caller) {
        return;
    }
    raise_as(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("the absence of \"{participant}\" is not yours to set"),
        None,
        Some("They themselves may, their manager, and whoever may reassign tasks.".to_owned()),
    );
}

/// Takes an absence back, or ends it now.
#[pg_extern(sql = false)]
fn cancel_absence(absence_id: Option<i64>) {
    let absence = given("absence_id", absence_id);
    let caller = current_role();
    as_engine(|| {
        let rows = spi::query(
            "SELECT b.participant FROM wf.absences AS b WHERE b.absence_id = $1",
            &[arg(absence)],
        );
        let Some(participant) = rows.first().map(|row| row.must::<String>(1)) else {
            raise_as(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("absence {absence} does not exist"),
                None,
                Some("wf.absences lists them.".to_owned()),
            );
        };
        must_be_theirs(&participant, caller);
        spi::query(
            "DELETE FROM wf.absences AS b WHERE b.absence_id = $1 AND b.absent_from >= $2",
            &[arg(absence), arg(now())],
        );
        spi::query(
            "UPDATE wf.absences AS b SET absent_until = $2 WHERE b.absence_id = $1 AND b.absent_until > $2",
            &[arg(absence), arg(now())],
        );
    });
}
