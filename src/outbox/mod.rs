//! The sender's side: lease, acknowledge, fail, report delivery.
//!
//! A lease hands messages over for a while; if the sender dies, they are leased again with the same idempotency key.
//! Holds, cancelled cases and unread changes of the subject are looked at in the very statement that leases: once a
//! payment has committed, no message of its case is handed over any more.
//!
//! Lock order: a lease locks message rows only and passes over those that are locked; everything else locks the cases
//! first, in id order.

pub mod acknowledged;
pub mod recalled;
mod report;
pub mod senders;

use chrono::{DateTime, Utc};
use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use workflow_core::kinds::Channel;

use crate::api::{actor, given};
use crate::contact::{self, Gate};
use crate::engine::as_engine;
use crate::pg::acting::current_role;
use crate::pg::raise::raise_as;
use crate::pg::rows::Store;
use crate::pg::spi;
use crate::pg::types::{arg, interval_text, optional};
use crate::settings;

/// An interval from now, as the instant it leads to.
fn after(interval: Interval) -> DateTime<Utc> {
    let rows = spi::query(
        "SELECT wf.now() + $1::interval",
        &[arg(interval_text(interval))],
    );
    rows.first()
        .map_or(DateTime::<Utc>::MAX_UTC, |row| row.must(1))
}

/// Hands over messages that may leave now.
#[pg_extern(sql = false)]
fn lease_messages(
    channel: Option<String>,
    max_messages: Option<i32>,
    lease: Option<Interval>,
    sender: Option<String>,
    call: pg_sys::FunctionCallInfo,
) {
    let max_messages = given("max_messages", max_messages);
    let lease = given("lease", lease);
    if max_messages < 1 {
        raise_as(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("max_messages is {max_messages}"),
            None,
            Some("Ask for at least one message.".to_owned()),
        );
    }
    let (actor, caller) = (actor(), current_role());
    // SAFETY: this call, of a function that is declared to return wf.leased_message rows; dropped before it returns.
    let out = unsafe { Store::of(call) };
    as_engine(|| {
        let gate = contact::gate(&interval_text(lease), caller);
        if gate.until <= crate::api::now() {
            raise_as(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "the lease is not longer than nothing",
                None,
                Some("Give a positive interval, longer than sending takes.".to_owned()),
            );
        }
        let mut channels = match channel {
            Some(channel) => vec![known_channel(channel)],
            None => Channel::ALL.map(|c| c.name().to_owned()).to_vec(),
        };
        if let [channel] = channels.as_slice()
            && !gate.lets_in(channel)
        {
            senders::refuse("a lease", channel, caller);
        }
        channels.retain(|channel| gate.lets_in(channel));
        report::give_up_expired(gate.recalls());
        if gate.recalls() {
            recalled::settle();
        }
        let mut wanted = i64::from(max_messages);
        for channel in channels {
            if wanted <= 0 || gate.stops(&channel) {
                continue;
            }
            wanted -= lease_channel(&channel, wanted, &gate, sender.as_deref(), &out);
            if wanted > 0 && gate.withholds(&channel) {
                contact::withhold(&channel, &actor);
            }
        }
    });
}

fn known_channel(channel: String) -> String {
    let known = Channel::ALL.map(Channel::name);
    if !known.contains(&channel.as_str()) {
        raise_as(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("channel \"{channel}\" does not exist"),
            None,
            Some(format!("Channels are {}.", known.join(", "))),
        );
    }
    channel
}

/// The one statement that leases, with everything that can keep a message here. Gives back how many it handed over.
///
/// It is written so that no plan of it can read more than the messages it hands over and those in between, whatever the
/// planner knows: `OFFSET 0` keeps a question from becoming a join, the order comes from one index only, and the rows
/// that were locked are found by their place. Whether there are unread changes at all is asked once, where the answer spares
/// many messages the question and cannot take long: with a large inbox it may have to pass by many dead rows.
fn lease_channel(channel: &str, limit: i64, gate: &Gate, sender: Option<&str>, out: &Store) -> i64 {
    let conditions = gate.conditions(channel);
    let sql = format!(
        "WITH due AS MATERIALIZED (
             SELECT o.ctid AS place
             FROM wf.outbox AS o
             WHERE o.type = $1 AND o.state IN ('queued', 'leased') AND o.not_before <= $5
               AND (o.not_after IS NULL OR o.not_after > $5)
               AND (SELECT c.state IN ('running', 'completed') FROM wf.cases AS c WHERE c.case_id = o.case_id)
               AND (NOT (SELECT $2 < 100 OR pg_catalog.pg_relation_size('wf.inbox'::pg_catalog.regclass) > 524288
                                OR EXISTS (SELECT FROM wf.inbox))
                    OR NOT EXISTS (
                   SELECT FROM wf.case_subjects AS s
                   WHERE s.case_id = o.case_id
                     AND (s.subject_id = ANY (ARRAY(
                             SELECT b.subject_id FROM wf.subjects AS b
                             WHERE EXISTS (SELECT FROM wf.inbox AS i WHERE i.subject_id = b.subject_id AND i.key IS NULL
                                           OFFSET 0)))
                          OR EXISTS (SELECT FROM wf.inbox AS i WHERE i.subject_id = s.subject_id AND i.key = s.key
                                     OFFSET 0))
                   OFFSET 0))
               {conditions}ORDER BY o.not_before LIMIT $2
             FOR UPDATE SKIP LOCKED)
         UPDATE wf.outbox AS o
         SET state = 'leased', attempts = o.attempts + 1, not_before = $3, sender = $4
         FROM due AS d WHERE o.ctid = d.place
         RETURNING o.message_id, o.case_id, o.type::text, NULL::text, o.payload, o.idempotency_key, o.attempts::int4, o.not_before"
    );
    let rows = spi::query(
        &sql,
        &[
            arg(channel),
            arg(limit),
            arg(gate.until),
            optional(sender),
            arg(crate::api::now()),
        ],
    );
    for row in rows.iter() {
        let to = row.get::<String>(5).and_then(|payload| recipient(&payload));
        out.put(row, 4, to.as_deref());
    }
    rows.len() as i64
}

/// Whom a payload is for. The server's own way there takes as long as the message's way through an index.
fn recipient(payload: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Payload {
        #[serde(default)]
        to: Option<String>,
    }
    serde_json::from_str(payload).map_or_else(
        // None of ours: somebody has written it by hand.
        |_| {
            let rows = spi::query("SELECT $1::json ->> 'to'", &[arg(payload)]);
            rows.first().and_then(|row| row.get(1))
        },
        |payload: Payload| payload.to,
    )
}

/// How long a message waits before it is tried again, after so many attempts.
fn retry_pause(attempts: i16) -> String {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0).min(10);
    let seconds = settings::retry_backoff().as_secs().max(1) << doublings;
    format!("{seconds} seconds")
}
