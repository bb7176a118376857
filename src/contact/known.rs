//! What is known of the persons of a group of messages: one statement for all of them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use workflow_core::contact::{Event, Known, Record};

use super::person;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of};

/// A message that is asked about.
pub struct Asked {
    pub message: i64,
    pub case: i64,
    pub subject: String,
    pub key: String,
    /// As the row has it now; None: as the message was rendered.
    pub address: Option<String>,
}

/// What is known of its person.
#[derive(Default)]
struct Person {
    name: String,
    refused: Option<String>,
    consent: bool,
}

struct Logged {
    channel: String,
    event: Event,
    at: DateTime<Utc>,
    message: Option<i64>,
    subject: Option<String>,
}

/// What is known, by message and by person.
#[derive(Default)]
pub struct Persons {
    persons: HashMap<i64, Person>,
    log: HashMap<String, Vec<Logged>>,
}

fn row_of(subject: &str, key: &str) -> String {
    format!("{subject}:{key}")
}

impl Persons {
    /// Asks for all of them. Contacts count that lie no further back than so many days; of messages that have been
    /// withheld since, none does.
    pub fn ask(asked: &[Asked], now: DateTime<Utc>, lookback_days: u32) -> Self {
        let mut found = Self::default();
        if asked.is_empty() {
            return found;
        }
        let sql = format!(
            "WITH n AS MATERIALIZED (
                 SELECT q.message_id, {} AS person, o.type AS channel,
                        'to:' || wf._address(coalesce(q.address, o.payload ->> 'to')) AS address
                 FROM (SELECT unnest($1::bigint[]) AS message_id, unnest($2::bigint[]) AS case_id,
                              unnest($3::text[]) AS subject, unnest($4::text[]) AS key,
                              unnest($5::text[]) AS address) AS q
                 JOIN wf.cases AS c ON c.case_id = q.case_id
                 JOIN wf.outbox AS o ON o.message_id = q.message_id)
             SELECT n.message_id, n.person, 'person', NULL::text, NULL::timestamptz, NULL::text, NULL::bigint FROM n
             UNION ALL
             SELECT n.message_id, NULL, p.choice, p.channel, p.at, p.reason, NULL
             FROM n JOIN wf.contact_choices AS p ON p.party = n.person AND p.channel IN (n.channel, '*')
             UNION ALL
             SELECT n.message_id, NULL, p.choice, p.channel, p.at, p.reason, NULL
             FROM n JOIN wf.contact_choices AS p ON p.party = n.address AND p.channel IN (n.channel, '*')
             UNION ALL
             SELECT l.message_id, l.person, l.event, l.channel, l.at, l.subject || ':' || l.key, l.message_id
             FROM (SELECT DISTINCT n.person FROM n) AS p
             JOIN wf.contact_log AS l ON l.person = p.person AND l.at >= $6 AND l.event IN ('attempt', 'conversation')
             WHERE NOT EXISTS (SELECT FROM wf.outbox AS o
                               WHERE o.message_id = l.message_id AND o.state IN ('suppressed', 'dead'))",
            person("q.subject", "q.key")
        );
        let rows = spi::query(
            &sql,
            &[
                array(asked.iter().map(|a| a.message)),
                array(asked.iter().map(|a| a.case)),
                array(asked.iter().map(|a| a.subject.as_str())),
                array(asked.iter().map(|a| a.key.as_str())),
                array_of(asked.iter().map(|a| a.address.as_deref())),
                arg(now - TimeDelta::days(i64::from(lookback_days))),
            ],
        );
        for row in rows.iter() {
            let what: String = row.must(3);
            if what == "person" {
                let person = found.persons.entry(row.must(1)).or_default();
                person.name = row.must(2);
            } else if let Some(event) = event(&what) {
                found.log.entry(row.must(2)).or_default().push(Logged {
                    channel: row.must(4),
                    event,
                    at: row.must(5),
                    message: row.get(7),
                    subject: row.get(6),
                });
            } else {
                let person = found.persons.entry(row.must(1)).or_default();
                let (channel, at): (String, DateTime<Utc>) = (row.must(4), row.must(5));
                if what == "opt_in" {
                    person.consent = true;
                } else {
                    person.refused = Some(refusal(&what, &channel, at, row.get(6)));
                }
            }
        }
        found
    }

    /// What is known of the person of a message, on its channel.
    pub fn known(&self, asked: &Asked) -> Known {
        let Some(person) = self.persons.get(&asked.message) else {
            return Known::default();
        };
        let about = row_of(&asked.subject, &asked.key);
        let log = self.log.get(&person.name);
        let others = log
            .into_iter()
            .flatten()
            // One that waits for its next window must not stand in its own way.
            .filter(|l| l.message != Some(asked.message));
        let records = others.map(|l| Record {
            channel: l.channel.clone(),
            event: l.event,
            at: l.at,
            same_subject: l.subject.as_ref() == Some(&about),
        });
        Known {
            refused: person.refused.clone(),
            consent: person.consent,
            records: records.collect(),
        }
    }

    /// A message has got its place: it counts for those behind it.
    pub fn count(&mut self, asked: &Asked, channel: &str, at: DateTime<Utc>) {
        if let Some(person) = self.persons.get(&asked.message) {
            self.log
                .entry(person.name.clone())
                .or_default()
                .push(Logged {
                    channel: channel.to_owned(),
                    event: Event::Attempt,
                    at,
                    message: Some(asked.message),
                    subject: Some(row_of(&asked.subject, &asked.key)),
                });
        }
    }

    /// The person of a message, by name.
    pub fn name(&self, message: i64) -> &str {
        self.persons
            .get(&message)
            .map_or("", |person| person.name.as_str())
    }
}

fn event(what: &str) -> Option<Event> {
    match what {
        "attempt" => Some(Event::Attempt),
        "conversation" => Some(Event::Conversation),
        _ => None,
    }
}

/// Why a person is not to be contacted, in words.
pub fn refusal(choice: &str, channel: &str, at: DateTime<Utc>, reason: Option<String>) -> String {
    let day = at.format("%Y-%m-%d");
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    match (choice, channel) {
        ("bounced", _) => format!("the address bounced on {day}{reason}"),
        (_, "*") => format!("opted out of all contact on {day}{reason}"),
        (_, channel) => format!("opted out of {channel} on {day}{reason}"),
    }
}
