//! What the sender says about messages it was handed: sent, failed, delivered, bounced. Moves the cases that wait for it.

use std::collections::{HashMap, HashSet};

use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use workflow_core::game::{Event, Refusal};
use workflow_core::kinds::DoneWhen;
use workflow_core::{Error, ErrorCode};

use super::senders::{CHANNELS_OF, asked_for, refuse};
use super::{acknowledged, recalled};
use super::{after, retry_pause};
use crate::api::{act, act_only, actor, given, now};
use crate::contact;
use crate::engine::as_engine;
use crate::engine::batch::{lock_free, lock_waiting, lock_with_versions};
use crate::engine::simulation;
use crate::pg::acting::current_role;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{RowPlace, arg, array, array_of, optional};
use crate::settings;

/// With more cases than this in one call, their steps are left to the workers: a sender should not wait for the cases to
/// go on, which the workers have them do meanwhile.
const RUN_ON: usize = 50;

/// A message row, by what its case needs to know.
pub struct Message {
    pub id: i64,
    pub case: i64,
    /// The step whose run it is; 0, which sends nothing, if that was over when the case went over to another version.
    pub step: i16,
    pub visit: i16,
}

/// The sender has handed these to the provider. Gives back how many were waiting for it; the same call again is no
/// error.
#[pg_extern(sql = false)]
fn ack_messages(message_ids: Option<Vec<i64>>, provider_ids: Option<Vec<Option<String>>>) -> i32 {
    let ids = given("message_ids", message_ids);
    let providers = provider_ids.unwrap_or_default();
    if !providers.is_empty() && providers.len() != ids.len() {
        raise_as(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "{} message_ids but {} provider_ids",
                ids.len(),
                providers.len()
            ),
            None,
            Some("Give one provider id for each message, or none at all.".to_owned()),
        );
    }
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let (places, cases) = checked_cases_of(&ids, caller);
        let cases = lock_with_versions(&cases);
        let provider = |i: usize| providers.get(i).cloned().flatten();
        let sent = |all: &[usize], at: &str| {
            // Neither a lease that ran out matters, nor what has become of the message since: it has gone.
            let sql = format!(
                "UPDATE wf.outbox AS o
                 SET state = 'sent', finished_at = $3, provider_id = n.provider_id, reason = NULL
                 FROM (SELECT unnest($1::bigint[]) AS message_id, unnest($2::text[]) AS provider_id,
                              unnest($4::tid[]) AS place) AS n
                 WHERE {at} o.message_id = n.message_id
                   AND o.state IN ('leased', 'queued', 'suppressed', 'dead') AND o.attempts > 0
                 RETURNING o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit"
            );
            let rows = spi::query(
                &sql,
                &[
                    array(all.iter().map(|i| ids[*i])),
                    array_of(all.iter().map(|i| provider(*i))),
                    arg(now()),
                    array_of(all.iter().map(|i| places.get(&ids[*i]).copied())),
                ],
            );
            read(&rows)
        };
        let all: Vec<usize> = (0..ids.len()).collect();
        // Most stand where they were a moment ago; of the others, some have been written again since.
        let mut messages = sent(&all, "o.ctid = n.place AND");
        if messages.len() < ids.len() {
            let done: HashSet<i64> = messages.iter().map(|message| message.id).collect();
            let mut rest = all;
            rest.retain(|i| !done.contains(&ids[*i]));
            if !rest.is_empty() {
                messages.extend(sent(&rest, ""));
            }
        }
        // Who gives a reason gives it for what they do themselves, and who simulates does everything.
        let later = cases.len() > RUN_ON && settings::reason().is_none() && !simulation::is_on();
        if later {
            acknowledged::leave(&messages, &cases, &actor);
        } else {
            let cases: Vec<i64> = cases.iter().map(|(case, _)| *case).collect();
            settle(&cases, &messages, &actor, DoneWhen::Sent);
        }
        i32::try_from(messages.len()).unwrap_or(i32::MAX)
    })
}

/// The sender could not hand these over. They are tried again after `retry_after`, or after a pause that grows; after
/// the last attempt they are dead and an incident.
#[pg_extern(sql = false)]
fn fail_messages(
    message_ids: Option<Vec<i64>>,
    error: Option<String>,
    retry_after: Option<Interval>,
) -> i32 {
    let ids = given("message_ids", message_ids);
    let error = given("error", error);
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let cases = lock_cases_of(&ids, caller);
        let retry_at = retry_after.map(after);
        let rows = spi::query(
            "SELECT o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit,
                    o.attempts
             FROM wf.outbox AS o
             WHERE o.message_id = ANY ($1) AND o.state = 'leased' ORDER BY o.message_id FOR UPDATE",
            &[array(ids.iter().copied())],
        );
        let max = settings::max_attempts();
        let (mut again, mut dead) = (Vec::new(), Vec::new());
        for (message, row) in read(&rows).into_iter().zip(rows.iter()) {
            let attempts: i16 = row.must(5);
            if i32::from(attempts) >= max {
                dead.push(message);
            } else {
                again.push((message.id, retry_pause(attempts)));
            }
        }
        spi::query(
            "UPDATE wf.outbox AS o
             SET state = 'queued', not_before = coalesce($3, wf.now() + n.pause::interval), reason = $4
             FROM ROWS FROM (unnest($1::bigint[]), unnest($2::text[])) AS n(message_id, pause)
             WHERE o.message_id = n.message_id",
            &[
                array(again.iter().map(|(id, _)| *id)),
                array(again.iter().map(|(_, pause)| pause.as_str())),
                optional(retry_at),
                arg(error.as_str()),
            ],
        );
        crate::holds::keep_quiet(&cases);
        recalled::settle();
        bury(&cases, &dead, &error, &actor);
        i32::try_from(again.len() + dead.len()).unwrap_or(i32::MAX)
    })
}

/// The provider reports on a message: `delivered` or `bounced`.
#[pg_extern(sql = false)]
fn report_delivery(message_id: Option<i64>, status: Option<String>, detail: Option<String>) {
    let (id, status) = (given("message_id", message_id), given("status", status));
    if status != "delivered" && status != "bounced" {
        raise_as(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("delivery status \"{status}\" is not known"),
            None,
            Some("Report delivered or bounced.".to_owned()),
        );
    }
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        let cases = lock_cases_of(&[id], caller);
        if status == "bounced" {
            // It was sent first, and its step may still be about to learn that.
            let sent = spi::query(
                "SELECT o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit
                 FROM wf.outbox AS o WHERE o.message_id = $1 AND o.state = 'sent'",
                &[arg(id)],
            );
            settle(&cases, &read(&sent), &actor, DoneWhen::Sent);
        }
        let rows = spi::query(
            "UPDATE wf.outbox AS o SET state = $2::wf.message_state, finished_at = wf.now(), reason = $3
             WHERE o.message_id = $1 AND o.state IN ('leased', 'sent', 'delivered')
               AND o.state <> $2::wf.message_state
             RETURNING o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit",
            &[arg(id), arg(status.as_str()), optional(detail.as_deref())],
        );
        let messages = read(&rows);
        if status == "delivered" {
            settle(&cases, &messages, &actor, DoneWhen::Delivered);
            return;
        }
        let text = detail.unwrap_or_else(|| "no reason given".to_owned());
        undeliverable(
            &cases,
            &messages,
            &actor,
            Event::MessageBounced,
            &format!("the message bounced: {text}"),
        );
    });
}

/// Messages whose sender died at the last attempt: nobody will say so, so the next lease does. Those that were recalled
/// meanwhile, if there are any, are not to be given up but withheld.
pub fn give_up_expired(recalls: bool) {
    let max = settings::max_attempts();
    // With one attempt only, every lease is the last one; otherwise the index has just those that matter.
    let again = if max > 1 { "AND o.attempts > 1" } else { "" };
    let wanted = if recalls {
        "AND NOT EXISTS (SELECT FROM wf.recalled AS r WHERE r.message_id = o.message_id OFFSET 0)"
    } else {
        ""
    };
    let sql = format!(
        "SELECT o.message_id FROM wf.outbox AS o
         WHERE o.state = 'leased' AND o.not_before <= $2 AND o.attempts >= $1 {again} {wanted} LIMIT 1000"
    );
    let rows = spi::query(&sql, &[arg(max), arg(now())]);
    let ids: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    if ids.is_empty() {
        return;
    }
    // Nobody is waited for: the sender may have acknowledged others in this transaction. The rest is left to the next lease.
    let cases = lock_free(&cases_of(&ids, None).1);
    let rows = spi::query(
        "SELECT o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit
         FROM wf.outbox AS o
         WHERE o.message_id = ANY ($1) AND o.case_id = ANY ($2) AND o.state = 'leased' AND o.not_before <= wf.now()
         ORDER BY o.message_id FOR UPDATE",
        &[array(ids), array(cases.iter().copied())],
    );
    bury(
        &cases,
        &read(&rows),
        "the sender did not report back within its lease",
        "engine",
    );
}

fn read(rows: &spi::Rows) -> Vec<Message> {
    rows.iter()
        .map(|row| Message {
            id: row.must(1),
            case: row.must(2),
            step: row.must(3),
            visit: row.must(4),
        })
        .collect()
}

/// The cases of messages, locked before the messages are. Refuses as `checked_cases_of` does.
fn lock_cases_of(ids: &[i64], caller: Oid) -> Vec<i64> {
    lock_waiting(&checked_cases_of(ids, caller).1)
}

/// Where messages are, and their cases. Refuses a message that does not exist, or is not on a channel of the caller's.
fn checked_cases_of(ids: &[i64], caller: Oid) -> (HashMap<i64, RowPlace>, Vec<i64>) {
    let (messages, cases) = cases_of(ids, Some(caller));
    if let Some(unknown) = ids.iter().find(|id| !messages.contains_key(id)) {
        raise_as(
            PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
            format!("message {unknown} does not exist"),
            None,
            Some("Report only messages that wf.lease_messages has given.".to_owned()),
        );
    }
    (messages, cases)
}

/// Those of the messages that exist, each with its place, and their cases in the order of their ids. Refuses a caller messages of channels that
/// are not theirs; nothing to the engine.
fn cases_of(ids: &[i64], caller: Option<Oid>) -> (HashMap<i64, RowPlace>, Vec<i64>) {
    let sql = format!(
        "SELECT o.message_id, o.case_id, CASE WHEN o.type <> ALL ({CHANNELS_OF}::text[]) THEN o.type::text END, o.ctid
         FROM wf.outbox AS o WHERE o.message_id = ANY ($1)"
    );
    let asked = caller.map_or(Oid::INVALID, asked_for);
    let rows = spi::query(&sql, &[array(ids.iter().copied()), arg(asked)]);
    for row in rows.iter() {
        if let (Some(channel), Some(caller)) = (row.get::<String>(3), caller) {
            let message: i64 = row.must(1);
            refuse(&format!("message {message}"), &channel, caller);
        }
    }
    let mut cases: Vec<i64> = rows.iter().map(|row| row.must(2)).collect();
    cases.sort_unstable();
    cases.dedup();
    let places = rows.iter().map(|row| (row.must(1), row.must(4)));
    (places.collect(), cases)
}

fn by_case(messages: &[Message]) -> HashMap<i64, Vec<&Message>> {
    let mut map: HashMap<i64, Vec<&Message>> = HashMap::new();
    for message in messages {
        map.entry(message.case).or_default().push(message);
    }
    map
}

fn settle(cases: &[i64], messages: &[Message], actor: &str, how_far: DoneWhen) {
    if messages.is_empty() {
        return;
    }
    let by_case = by_case(messages);
    let act = if cases.len() > RUN_ON { act_only } else { act };
    act(cases, actor, &|batch, index, facts| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        for message in by_case.get(&case.id).into_iter().flatten() {
            case.message_came_to(
                message.step,
                message.visit,
                how_far,
                facts,
                &env,
                &mut batch.effects,
            );
        }
        Ok(())
    });
}

fn bury(cases: &[i64], dead: &[Message], error: &str, actor: &str) {
    if dead.is_empty() {
        return;
    }
    spi::query(
        "UPDATE wf.outbox AS o SET state = 'dead', reason = $2, finished_at = wf.now() WHERE o.message_id = ANY ($1)",
        &[array(dead.iter().map(|m| m.id)), arg(error)],
    );
    undeliverable(
        cases,
        dead,
        actor,
        Event::MessageDead,
        &format!("the sender has given up: {error}"),
    );
}

/// With a contact policy, the next channel takes its turn.
fn undeliverable(cases: &[i64], messages: &[Message], actor: &str, event: Event, text: &str) {
    if messages.is_empty() {
        return;
    }
    let by_case = by_case(messages);
    let policies = contact::Policies::default();
    act(cases, actor, &|batch, index, facts| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        let policy = policies.of(&case.program.clone())?;
        for message in by_case.get(&case.id).into_iter().flatten() {
            if let Some(policy) = &policy
                && let Some(channel) = contact::failed(message.id, event, text, actor)
            {
                case.contact_refused(
                    message.step,
                    message.visit,
                    &Refusal {
                        channel: &channel,
                        event,
                        reason: text,
                        reach: &policy.reach(),
                    },
                    facts,
                    &env,
                    &mut batch.effects,
                );
                continue;
            }
            let name = case.program.step_name(message.step).to_owned();
            let error = Error::new(ErrorCode::State, format!("step \"{name}\": {text}"))
                .detail(format!("Message {} of case {}.", message.id, message.case))
                .hint("Mend the cause, then call wf.retry for a new message; or wf.skip or wf.cancel.");
            case.message_failed(
                message.step,
                message.visit,
                event,
                &error,
                facts,
                &env,
                &mut batch.effects,
            );
        }
        Ok(())
    });
}
