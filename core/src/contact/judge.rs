//! The verdict on one contact.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::hours::opening;
use super::policy::{After, Gap, Per, Policy, about};
use crate::Error;
use crate::calendar::Zones;
use crate::dates::local_text;
use crate::window::ContactWindow;

/// What happened at a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message was handed out, or somebody was called.
    Attempt,
    /// Somebody was called and talked to.
    Conversation,
}

/// A contact with the person.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub channel: String,
    pub event: Event,
    pub at: DateTime<Utc>,
    /// Whether it was about the same row.
    pub same_subject: bool,
}

/// What is known of a person on a channel.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Why they must not be contacted: an opt-out, an address that bounced.
    pub refused: Option<String>,
    /// Whether they have opted in.
    pub consent: bool,
    pub records: Vec<Record>,
}

/// A contact that is about to be made.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub channel: &'a str,
    pub now: DateTime<Utc>,
    /// Where the person may be; at least one.
    pub zones: &'a [String],
    /// The workflow's own window, which holds besides the policy's.
    pub window: Option<&'a ContactWindow>,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It may be made now, until then.
    Now(Option<DateTime<Utc>>),
    /// Not before `at`.
    Later { at: DateTime<Utc>, reason: String },
    /// Not on this channel.
    Never(String),
}

/// Limits push a date on and on, each beyond the others; more rounds than this would be a policy that never lets go.
const ROUNDS: usize = 400;

impl Policy {
    /// Whether and when a contact may be made.
    ///
    /// # Errors
    /// If no hour suits the windows; if dates end.
    pub fn judge(
        &self,
        question: Question<'_>,
        known: &Known,
        server: &dyn Zones,
    ) -> Result<Verdict, Error> {
        if let Some(reason) = &known.refused {
            return Ok(Verdict::Never(reason.clone()));
        }
        let channel = question.channel;
        if !known.consent && self.consent.iter().any(|one| one == channel) {
            let reason = format!("there is no consent to {channel} (wf.opt_in)");
            return Ok(Verdict::Never(reason));
        }
        let mut reasons: Vec<String> = Vec::new();
        let mut at = question.now;
        for _ in 0..ROUNDS {
            let limits = self.limits(channel, at, known, question.zones, server)?;
            if let Some((later, reason)) = limits {
                at = later;
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
                continue;
            }
            let (opens, closes) =
                opening(self, channel, question.window, at, question.zones, server)?;
            if opens == at {
                return Ok(if at <= question.now {
                    Verdict::Now(closes)
                } else {
                    let reason = reasons.join("; ");
                    Verdict::Later { at, reason }
                });
            }
            let zone = &question.zones[0];
            let when = told(opens, zone, server)?;
            let reason = if question.zones.len() > 1 {
                format!(
                    "the contact window of {channel} is open in all of {} from {when}",
                    question.zones.join(", ")
                )
            } else {
                format!("the contact window of {channel} opens {when}")
            };
            // The last opening is the one that counts.
            reasons.retain(|r| !r.starts_with("the contact window of "));
            reasons.push(reason);
            at = opens;
        }
        Ok(Verdict::Never(format!(
            "the limits never allow it: {}",
            reasons.join("; ")
        )))
    }

    /// The first limit that does not allow a contact at a time: when it does, and why.
    fn limits(
        &self,
        channel: &str,
        at: DateTime<Utc>,
        known: &Known,
        zones: &[String],
        server: &dyn Zones,
    ) -> Result<Option<(DateTime<Utc>, String)>, Error> {
        let day = |at: DateTime<Utc>, zone: &str| Ok::<_, Error>(server.to_local(zone, at)?.date());
        // A day is over for the person only when it is over in every zone that they may be in.
        for zone in zones {
            let today = day(at, zone)?;
            for cap in self.caps.iter().filter(|cap| about(&cap.channels, channel)) {
                let mut days = Vec::new();
                for record in known
                    .records
                    .iter()
                    .filter(|r| counts(r, &cap.channels, cap.per))
                {
                    days.push(day(record.at, zone)?);
                }
                days.sort_unstable_by(|a, b| b.cmp(a));
                let Some(oldest) = usize::try_from(cap.at_most)
                    .ok()
                    .and_then(|most| days.get(most - 1))
                else {
                    continue;
                };
                let again = later_day(*oldest, cap.days);
                if again > today {
                    let what = if cap.channels.is_empty() {
                        "contacts".to_owned()
                    } else {
                        format!("contacts by {}", cap.channels.join(", "))
                    };
                    let reason = format!(
                        "{} {what} in {} day(s), the limit: the first of them was on {}",
                        cap.at_most,
                        cap.days,
                        oldest.format("%a %Y-%m-%d")
                    );
                    return Ok(Some((midnight(again, zone, server)?, reason)));
                }
            }
            for gap in self.gaps.iter().filter(|gap| about(&gap.channels, channel)) {
                let matching = known.records.iter().filter(|r| {
                    counts(r, &gap.channels, gap.per)
                        && (gap.after == After::Contact || r.event == Event::Conversation)
                });
                let Some(last) = matching.map(|r| r.at).max() else {
                    continue;
                };
                let again = if gap.days > 0 {
                    midnight(later_day(day(last, zone)?, gap.days), zone, server)?
                } else {
                    last + exact(gap)
                };
                if again > at {
                    let what = match gap.after {
                        After::Contact => "contact",
                        After::Conversation => "conversation",
                    };
                    let reason = format!(
                        "the last {what} was on {}, and {} are to lie between",
                        told(last, zone, server)?,
                        length(gap)
                    );
                    return Ok(Some((again, reason)));
                }
            }
        }
        Ok(None)
    }
}

/// A moment as the person's clock shows it.
fn told(at: DateTime<Utc>, zone: &str, server: &dyn Zones) -> Result<String, Error> {
    Ok(local_text(server.to_local(zone, at)?))
}

fn counts(record: &Record, channels: &[String], per: Per) -> bool {
    about(channels, &record.channel) && (per == Per::Person || record.same_subject)
}

fn exact(gap: &Gap) -> TimeDelta {
    TimeDelta::minutes(i64::from(gap.hours) * 60 + i64::from(gap.minutes))
}

fn length(gap: &Gap) -> String {
    if gap.days > 0 {
        return format!("{} day(s)", gap.days);
    }
    match (gap.hours, gap.minutes) {
        (hours, 0) => format!("{hours} hour(s)"),
        (0, minutes) => format!("{minutes} minute(s)"),
        (hours, minutes) => format!("{hours} hour(s) {minutes} minute(s)"),
    }
}

fn later_day(day: NaiveDate, days: u32) -> NaiveDate {
    day.checked_add_days(Days::new(u64::from(days)))
        .unwrap_or(NaiveDate::MAX)
}

fn midnight(day: NaiveDate, zone: &str, server: &dyn Zones) -> Result<DateTime<Utc>, Error> {
    server.to_utc(zone, day.and_time(NaiveTime::MIN))
}
