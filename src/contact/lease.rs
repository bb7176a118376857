//! What a lease has to ask besides: the stop switch, opt-outs, quiet holds. It learns along with the time whether there
//! are any, and pays for no more where there are none.

use chrono::{DateTime, Utc};
use pgrx::pg_sys::Oid;
use workflow_core::game::{Event, Refusal};

use super::known::refusal;
use super::person;
use super::policies::Policies;
use crate::api::act;
use crate::outbox::senders::{CHANNELS_OF, asked_for};
use crate::pg::spi::{self, Rows};
use crate::pg::types::{arg, array};

/// What keeps messages here at present.
pub struct Gate {
    /// When the lease runs out.
    pub until: DateTime<Utc>,
    opt_outs: bool,
    quiet: bool,
    recalls: bool,
    /// The channels on which all is stopped, between commas.
    stopped: String,
    /// The channels that the caller may lease from, if not all.
    theirs: Option<Vec<Option<String>>>,
}

/// What keeps messages from a caller, and the end of a lease of this length.
pub fn gate(lease: &str, caller: Oid) -> Gate {
    let sql = format!(
        "SELECT wf.now() + $1::interval,
                EXISTS (SELECT FROM wf.contact_choices AS p WHERE p.choice = 'opt_out'),
                EXISTS (SELECT FROM wf.holds AS h WHERE h.released_at IS NULL AND 'communication' = ANY (h.blocks)),
                pg_catalog.array_to_string(ARRAY(SELECT s.channel FROM wf.contact_stops AS s), ','),
                EXISTS (SELECT FROM wf.recalled), {CHANNELS_OF}"
    );
    let rows = spi::query(&sql, &[arg(lease), arg(asked_for(caller))]);
    rows.first().map_or(
        Gate {
            until: DateTime::<Utc>::MAX_UTC,
            opt_outs: false,
            quiet: false,
            recalls: false,
            stopped: String::new(),
            theirs: None,
        },
        |row| Gate {
            until: row.must(1),
            opt_outs: row.must(2),
            quiet: row.must(3),
            stopped: row.must(4),
            recalls: row.must(5),
            theirs: row.get(6),
        },
    )
}

impl Gate {
    /// Whether a channel is the caller's to lease from.
    pub fn lets_in(&self, channel: &str) -> bool {
        let channels = self.theirs.as_ref();
        channels.is_none_or(|channels| channels.iter().flatten().any(|theirs| theirs == channel))
    }

    /// Whether nothing may be handed out on a channel.
    pub fn stops(&self, channel: &str) -> bool {
        self.stopped
            .split(',')
            .any(|stopped| stopped == channel || stopped == "*" && is_contact(channel))
    }

    /// Whether some messages of the channel may have to be withheld for good.
    pub fn withholds(&self, channel: &str) -> bool {
        self.opt_outs && is_contact(channel)
    }

    /// Whether there are messages that were to be withdrawn while a lease was taking them.
    pub fn recalls(&self) -> bool {
        self.recalls
    }

    /// What else a lease asks of wf.outbox AS o, beginning with AND; empty where there is nothing to ask.
    pub fn conditions(&self, channel: &str) -> String {
        let mut sql = String::new();
        if self.withholds(channel) {
            sql.push_str(&format!(
                "AND NOT EXISTS (SELECT FROM wf.contact_choices AS p
                                 WHERE p.choice = 'opt_out' AND p.channel IN (o.type, '*') AND p.party IN (
                                     (SELECT {} FROM wf.cases AS c WHERE c.case_id = o.case_id),
                                     'to:' || wf._address(o.payload ->> 'to')) OFFSET 0) ",
                person("o.aggregatetype", "o.aggregateid")
            ));
        }
        if self.recalls {
            sql.push_str(
                "AND NOT EXISTS (SELECT FROM wf.recalled AS r WHERE r.message_id = o.message_id OFFSET 0) ",
            );
        }
        if self.quiet && is_contact(channel) {
            sql.push_str(
                "AND NOT EXISTS (SELECT FROM wf.holds AS h
                                 WHERE h.case_id = o.case_id AND h.released_at IS NULL
                                   AND 'communication' = ANY (h.blocks) OFFSET 0) ",
            );
        }
        sql
    }
}

fn is_contact(channel: &str) -> bool {
    workflow_core::kinds::Channel::ALL
        .into_iter()
        .any(|c| c.name() == channel && c.is_contact())
}

/// Withholds what a lease has passed over for an opt-out: messages that were made while it was being written, or by
/// workflows without a policy. Only of cases that nobody is at; the others are found by the next lease.
pub fn withhold(channel: &str, actor: &str) {
    let rows = spi::query(
        &format!(
            "SELECT o.message_id, c.case_id
             FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
             JOIN wf.contact_choices AS p ON p.choice = 'opt_out' AND p.channel IN (o.type, '*')
                  AND p.party IN ({}, 'to:' || wf._address(o.payload ->> 'to'))
             WHERE o.type = $1 AND o.state = 'queued' AND o.not_before <= wf.now()
             ORDER BY c.case_id LIMIT 1000 FOR UPDATE OF c SKIP LOCKED",
            person("o.aggregatetype", "o.aggregateid")
        ),
        &[arg(channel)],
    );
    refuse(&rows, actor);
}

/// Withholds messages, given by their ids with those of their cases, which are locked; their steps take the next channel.
/// Gives back how many. Those that a sender is leasing have been handed over before.
pub fn refuse(rows: &Rows, actor: &str) -> i32 {
    let messages: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    if messages.is_empty() {
        return 0;
    }
    let sql = format!(
        "SELECT o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit,
                o.type::text, p.choice, p.channel::text, p.at, p.reason
         FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
         CROSS JOIN LATERAL (
             SELECT p.* FROM wf.contact_choices AS p
             WHERE p.choice = 'opt_out' AND p.channel IN (o.type, '*')
               AND p.party IN ({}, 'to:' || wf._address(o.payload ->> 'to')) LIMIT 1) AS p
         WHERE o.message_id = ANY ($1) AND o.state IN ('deferred', 'queued')
         ORDER BY o.message_id FOR UPDATE OF o SKIP LOCKED",
        person("o.aggregatetype", "o.aggregateid")
    );
    let rows = spi::query(&sql, &[array(messages)]);
    struct Refused {
        message: i64,
        case: i64,
        step: i16,
        visit: i16,
        channel: String,
        reason: String,
    }
    let refused: Vec<Refused> = rows
        .iter()
        .map(|row| Refused {
            message: row.must(1),
            case: row.must(2),
            step: row.must(3),
            visit: row.must(4),
            channel: row.must(5),
            reason: refusal(
                &row.must::<String>(6),
                &row.must::<String>(7),
                row.must(8),
                row.get(9),
            ),
        })
        .collect();
    if refused.is_empty() {
        return 0;
    }
    spi::query(
        "UPDATE wf.outbox AS o SET state = 'suppressed', reason = n.reason, finished_at = wf.now()
         FROM (SELECT unnest($1::bigint[]) AS message_id, unnest($2::text[]) AS reason) AS n
         WHERE o.message_id = n.message_id",
        &[
            array(refused.iter().map(|r| r.message)),
            array(refused.iter().map(|r| r.reason.as_str())),
        ],
    );
    let mut cases: Vec<i64> = refused.iter().map(|r| r.case).collect();
    cases.sort_unstable();
    cases.dedup();
    let policies = Policies::default();
    act(&cases, actor, &|batch, index, facts| {
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        let policy = policies.of(&case.program.clone())?;
        let reach = policy.map(|policy| policy.reach()).unwrap_or_default();
        let id = case.id;
        for one in refused.iter().filter(|one| one.case == id) {
            case.contact_refused(
                one.step,
                one.visit,
                &Refusal {
                    channel: &one.channel,
                    event: Event::MessageSuppressed,
                    reason: &one.reason,
                    reach: &reach,
                },
                facts,
                &env,
                &mut batch.effects,
            );
        }
        Ok(())
    });
    i32::try_from(refused.len()).unwrap_or(i32::MAX)
}
