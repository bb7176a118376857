//! What persons say about contact, contacts that the engine does not know of, and the switch that stops everything.

use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use workflow_core::contact::CALL;
use workflow_core::game::{Effects, Event};
use workflow_core::kinds::Channel;
use workflow_core::{Error, ErrorCode};

use super::lease::refuse;
use crate::api::{actor, given, now, unknown_case};
use crate::audit;
use crate::engine::as_engine;
use crate::engine::batch::lock_waiting;
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::raise::raise;
use crate::pg::spi;
use crate::pg::types::{arg, array, instant_from_pg, optional};

fn refused(message: impl Into<String>, hint: impl Into<String>) -> ! {
    raise(Error::new(ErrorCode::Input, message).hint(hint))
}

/// Whose choice it is: the person, and the address, as far as they are given.
fn parties(person: Option<&str>, address: Option<&str>) -> Vec<String> {
    let filled = |text: Option<&str>| {
        text.map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let mut parties: Vec<String> = filled(person).into_iter().collect();
    if let Some(address) = filled(address) {
        let rows = spi::query("SELECT 'to:' || wf._address($1)", &[arg(address)]);
        parties.extend(rows.first().map(|row| row.must::<String>(1)));
    }
    if parties.is_empty() {
        refused(
            "neither a person nor an address is given",
            "Name the account, <subject>:<key> for a row without one, or the address.",
        );
    }
    parties
}

/// A channel by name; None: all, written `*`.
fn known_channel(channel: Option<&str>) -> String {
    let Some(channel) = channel else {
        return "*".to_owned();
    };
    let mut known: Vec<&str> = Channel::ALL
        .into_iter()
        .filter(|channel| channel.is_contact())
        .map(Channel::name)
        .collect();
    known.push(CALL);
    if !known.contains(&channel) {
        refused(
            format!("there is no channel \"{channel}\" to contact anybody on"),
            format!("Channels are {}; leave it out for all.", known.join(", ")),
        );
    }
    channel.to_owned()
}

fn choose(choice: &str, parties: &[String], channel: &str, actor: &str, reason: Option<&str>) {
    let args = [
        array(parties.iter().map(String::as_str)),
        arg(channel),
        arg(choice),
        arg(now()),
        arg(actor),
        optional(reason),
    ];
    // A refusal is not undone by an address that bounces.
    spi::query(
        "INSERT INTO wf.contact_choices AS p (party, channel, choice, at, set_by, reason)
         SELECT n.party, $2, $3, $4, $5, $6 FROM unnest($1::text[]) AS n (party)
         ON CONFLICT (party, channel) DO UPDATE
             SET choice = excluded.choice, at = excluded.at, set_by = excluded.set_by, reason = excluded.reason
             WHERE excluded.choice <> 'bounced' OR p.choice <> 'opt_out'",
        &args,
    );
    spi::query(
        "INSERT INTO wf.contact_log (at, person, channel, event, address, actor, detail)
         SELECT $4, n.party, $2, $3, CASE WHEN n.party LIKE 'to:%' THEN pg_catalog.substr(n.party, 4) END, $5, $6
         FROM unnest($1::text[]) AS n (party)",
        &args,
    );
}

/// Nobody contacts a person any more on a channel; what waits is withheld. Gives back how many messages.
#[pg_extern(sql = false)]
fn opt_out(
    person: Option<&str>,
    channel: Option<&str>,
    address: Option<&str>,
    reason: Option<&str>,
) -> i32 {
    let channel = known_channel(channel);
    let actor = actor();
    as_engine(|| {
        let parties = parties(person, address);
        choose("opt_out", &parties, &channel, &actor, reason);
        let mut withheld = 0;
        // Again for what was made meanwhile by whoever was at a case; what comes later the lease finds.
        for _ in 0..2 {
            let waiting = waiting_for(&parties, &channel);
            let cases: Vec<i64> = waiting.iter().map(|row| row.must(2)).collect();
            if cases.is_empty() {
                break;
            }
            lock_waiting(&cases);
            withheld += refuse(&waiting, &actor);
        }
        crate::worker::wake::on_commit();
        withheld
    })
}

/// Messages to some parties that no sender has leased, with their cases. A call whose time has not come is one, too.
fn waiting_for(parties: &[String], channel: &str) -> spi::Rows {
    spi::query_planned_freely(
        &format!(
            "SELECT o.message_id, o.case_id
             FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
             WHERE o.state IN ('deferred', 'queued') AND ($2 = '*' OR o.type = $2)
               AND ({} = ANY ($1) OR 'to:' || wf._address(o.payload ->> 'to') = ANY ($1))
             ORDER BY o.case_id",
            super::person("o.aggregatetype", "o.aggregateid")
        ),
        &[array(parties.iter().map(String::as_str)), arg(channel)],
    )
}

/// A person consents to be contacted on a channel.
#[pg_extern(sql = false)]
fn opt_in(
    person: Option<&str>,
    channel: Option<&str>,
    address: Option<&str>,
    reason: Option<&str>,
) {
    let channel = known_channel(channel);
    let actor = actor();
    as_engine(|| {
        let parties = parties(person, address);
        choose("opt_in", &parties, &channel, &actor, reason);
        crate::worker::wake::on_commit();
    });
}

/// A message of a workflow with a policy has not arrived. An address that bounced is not used again by policies until
/// somebody opts in with it. Gives back the channel; None for one that contacts nobody.
pub fn failed(message: i64, event: Event, reason: &str, actor: &str) -> Option<String> {
    let rows = spi::query(
        "SELECT o.type::text, o.payload ->> 'to' FROM wf.outbox AS o WHERE o.message_id = $1",
        &[arg(message)],
    );
    let row = rows.first()?;
    let channel: String = row.must(1);
    let known = Channel::ALL.into_iter().find(|c| c.name() == channel)?;
    if !known.is_contact() {
        return None;
    }
    if event == Event::MessageBounced
        && let Some(address) = row.get::<String>(2)
    {
        let parties = parties(None, Some(&address));
        choose("bounced", &parties, &channel, actor, Some(reason));
    }
    Some(channel)
}

/// Notes a contact that the engine does not know of.
#[pg_extern(sql = false)]
fn log_contact(
    case_id: Option<i64>,
    channel: Option<&str>,
    event: Option<&str>,
    at: Option<TimestampWithTimeZone>,
    detail: Option<&str>,
) -> i64 {
    let (case, event) = (given("case_id", case_id), given("event", event));
    let channel = known_channel(Some(given("channel", channel)));
    if event != "attempt" && event != "conversation" {
        refused(
            format!("there is no event of contact \"{event}\""),
            "Say attempt, or conversation if somebody was talked to.",
        );
    }
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_see(case, caller);
        let now = now();
        let at = at.map_or(now, |at| instant_from_pg(at.into()));
        if at > now {
            refused(
                "the contact lies in the future",
                "Note it when it has been made.",
            );
        }
        let rows = spi::query(
            &format!(
                "INSERT INTO wf.contact_log (at, person, subject, key, channel, event, case_id, actor, detail)
                 SELECT $2, {}, su.name, c.key, $3, $4, c.case_id, $5, $6
                 FROM wf.cases AS c JOIN wf.versions AS v ON v.version_id = c.version_id
                 JOIN wf.subjects AS su ON su.subject_id = v.subject_id
                 WHERE c.case_id = $1 RETURNING contact_id",
                super::person("su.name", "c.key")
            ),
            &[
                arg(case),
                arg(at),
                arg(channel.as_str()),
                arg(event),
                arg(actor.as_str()),
                optional(detail),
            ],
        );
        match rows.first() {
            Some(row) => row.must(1),
            None => unknown_case(case),
        }
    })
}

/// Calls that people have made, as part of writing a batch.
pub fn write(effects: &Effects, actor: &str, now: DateTime<Utc>) {
    let contacts = &effects.contacts;
    if contacts.is_empty() {
        return;
    }
    spi::query(
        &format!(
            "INSERT INTO wf.contact_log (at, person, subject, key, channel, event, case_id, step, actor, detail)
             SELECT $1, {}, su.name, c.key, n.channel, n.event, c.case_id, n.step, $2, n.outcome
             FROM (SELECT unnest($3::bigint[]) AS case_id, unnest($4::text[]) AS step, unnest($5::text[]) AS channel,
                          unnest($6::text[]) AS event, unnest($7::text[]) AS outcome) AS n
             JOIN wf.cases AS c ON c.case_id = n.case_id
             JOIN wf.versions AS v ON v.version_id = c.version_id
             JOIN wf.subjects AS su ON su.subject_id = v.subject_id",
            super::person("su.name", "c.key")
        ),
        &[
            arg(now),
            arg(actor),
            array(contacts.iter().map(|c| c.case_id)),
            array(contacts.iter().map(|c| c.step.as_str())),
            array(contacts.iter().map(|c| c.channel)),
            array(contacts.iter().map(|c| {
                if c.talked {
                    "conversation"
                } else {
                    "attempt"
                }
            })),
            array(contacts.iter().map(|c| c.outcome.as_str())),
        ],
    );
}

/// Stops all contact, or that on one channel.
#[pg_extern(sql = false)]
fn stop_contact(reason: Option<&str>, channel: Option<&str>) {
    let reason = given("reason", reason);
    let channel = known_channel(channel);
    let actor = actor();
    as_engine(|| {
        spi::query(
            "INSERT INTO wf.contact_stops (channel, reason, stopped_at, stopped_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (channel) DO UPDATE SET reason = excluded.reason",
            &[
                arg(channel.as_str()),
                arg(reason),
                arg(now()),
                arg(actor.as_str()),
            ],
        );
        audit::note(
            &actor,
            "contact stopped",
            Some(&channel),
            Some(reason),
            "{}",
        );
    });
}

/// Ends what `stop_contact` began.
#[pg_extern(sql = false)]
fn resume_contact(channel: Option<&str>) {
    let channel = known_channel(channel);
    let actor = actor();
    as_engine(|| {
        let ended = spi::query(
            "DELETE FROM wf.contact_stops AS s WHERE s.channel = $1",
            &[arg(channel.as_str())],
        );
        if ended.processed() > 0 {
            audit::note(&actor, "contact resumed", Some(&channel), None, "{}");
        }
        crate::worker::wake::on_commit();
    });
}
