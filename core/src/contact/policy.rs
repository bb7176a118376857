//! What a contact policy says, as its author writes it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::Channel;
use crate::window::ContactWindow;
use crate::{Error, ErrorCode, strict};

/// The channel of calls that people make; it is no channel of the outbox's senders.
pub const CALL: &str = "call";

/// The longest that a limit may look back, in days.
const MAX_DAYS: u32 = 366;

/// A contact policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Zones in which a person may be whose row names none. Contact is then only at hours that suit all of them.
    #[serde(default)]
    pub zones: Vec<String>,
    /// When each channel is open; at any time if no window names it.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// How often a person may be contacted.
    #[serde(default)]
    pub caps: Vec<Cap>,
    /// How long to leave a person alone after something.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Channels that are used only after wf.opt_in.
    #[serde(default)]
    pub consent: Vec<String>,
    /// The channels in the order in which they are tried: a message that cannot or must not go out on its own channel takes
    /// the next one after it.
    #[serde(default)]
    pub fallback: Vec<String>,
    /// The task that is made when no channel is left.
    #[serde(default)]
    pub task: LastResort,
}

/// A window for some channels.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// All channels if absent.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Weekdays and ranges of them: `mon-fri`, `mon,wed,sat`.
    days: String,
    /// Opens at this local time, `HH:MM`.
    from: String,
    /// Closes at this local time, `HH:MM`, up to 24:00.
    to: String,
    #[serde(skip)]
    pub(super) hours: Option<ContactWindow>,
}

/// Whose contacts a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// All of a person's.
    #[default]
    Person,
    /// Those of a person about the same row.
    Subject,
}

/// At most so many contacts in so many days.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// The channels that count together; all if absent.
    #[serde(default)]
    pub channels: Vec<String>,
    /// How many contacts there may be.
    pub at_most: u32,
    /// In how many consecutive days of the person's calendar.
    pub days: u32,
    /// Whose contacts count.
    #[serde(default)]
    pub per: Per,
}

/// What a gap counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// Any contact.
    #[default]
    Contact,
    /// A call in which somebody was talked to.
    Conversation,
}

/// A minimum time between two contacts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The channels that it is about; all if absent.
    #[serde(default)]
    pub channels: Vec<String>,
    /// What it counts from.
    #[serde(default)]
    pub after: After,
    /// Days of the person's calendar: 7 after a Monday is the next Monday.
    #[serde(default)]
    pub days: u32,
    /// Exact hours.
    #[serde(default)]
    pub hours: u32,
    /// Exact minutes.
    #[serde(default)]
    pub minutes: u32,
    /// Whose contacts count.
    #[serde(default)]
    pub per: Per,
}

/// The task that is made when a person cannot be reached on any channel.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastResort {
    /// Who gets it; anybody if absent.
    #[serde(default)]
    pub participant: Option<String>,
    /// Its title.
    #[serde(default)]
    pub title: Option<String>,
}

/// The ways that are left when a channel fails.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    pub chain: Vec<&'static str>,
    pub task: LastResort,
}

impl Reach {
    /// The channel to try after this one.
    pub fn next(&self, after: &str) -> Option<&'static str> {
        let place = self.chain.iter().position(|channel| *channel == after);
        self.chain.get(place.map_or(0, |at| at + 1)).copied()
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`ErrorCode::Json`] for malformed JSON; [`ErrorCode::Definition`] for anything else that will not do, with all that
    /// was found as its detail.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| {
            Error::new(
                ErrorCode::Json,
                format!("the policy is not valid JSON: {e}"),
            )
            .hint("Give one JSON object.")
        })?;
        let unreadable = |problem: String| {
            Error::new(
                ErrorCode::Definition,
                format!("the contact policy cannot be read: {problem}"),
            )
            .hint("docs/contact.md says what a policy may hold.")
        };
        strict::check(text).map_err(|e| unreadable(e.to_string()))?;
        let mut policy: Policy =
            serde_json::from_value(value).map_err(|e| unreadable(e.to_string()))?;
        let mut problems = Vec::new();
        for window in &mut policy.windows {
            let hours =
                serde_json::json!({ "days": window.days, "from": window.from, "to": window.to });
            match serde_json::from_value(hours) {
                Ok(hours) => window.hours = Some(hours),
                Err(e) => problems.push(format!("windows: {e}")),
            }
        }
        policy.check(&mut problems);
        match problems.first() {
            None => Ok(policy),
            Some(first) => Err(unreadable(first.clone()).detail(problems.join("\n"))),
        }
    }

    fn check(&self, problems: &mut Vec<String>) {
        let windows = self.windows.iter().map(|w| ("windows", &w.channels));
        let caps = self.caps.iter().map(|c| ("caps", &c.channels));
        let gaps = self.gaps.iter().map(|g| ("gaps", &g.channels));
        let lists = [("consent", &self.consent), ("fallback", &self.fallback)];
        for (place, channels) in windows.chain(caps).chain(gaps).chain(lists) {
            for channel in channels {
                let is_call = channel == CALL && place != "fallback";
                if !is_call && known_channel(channel).is_none() {
                    let known: Vec<&str> = channels_there_are().collect();
                    problems.push(format!(
                        "{place}: there is no channel \"{channel}\"; channels are {}, and {CALL} for calls that people make",
                        known.join(", ")
                    ));
                }
            }
        }
        for (i, channel) in self.fallback.iter().enumerate() {
            if self.fallback[..i].contains(channel) {
                problems.push(format!("fallback: \"{channel}\" stands twice"));
            }
        }
        for cap in &self.caps {
            if cap.at_most == 0 || cap.days == 0 || cap.days > MAX_DAYS {
                problems.push(format!(
                    "caps: at most {} in {} days; give at_most of 1 or more and days from 1 to {MAX_DAYS}",
                    cap.at_most, cap.days
                ));
            }
        }
        for gap in &self.gaps {
            let exact = u64::from(gap.hours) * 60 + u64::from(gap.minutes);
            if (gap.days > 0) == (exact > 0) {
                problems.push(
                    "gaps: give either days, or hours and minutes, of more than nothing".to_owned(),
                );
            }
            if gap.days > MAX_DAYS || exact > u64::from(MAX_DAYS) * 24 * 60 {
                problems.push(format!("gaps: at most {MAX_DAYS} days"));
            }
        }
        if self.zones.iter().any(|zone| zone.trim().is_empty()) {
            problems.push("zones: a name is empty".to_owned());
        }
    }

    /// How many days back contacts matter.
    pub fn lookback_days(&self) -> u32 {
        let caps = self.caps.iter().map(|cap| cap.days);
        let gaps = self.gaps.iter();
        let gaps = gaps.map(|gap| gap.days + gap.hours / 24 + gap.minutes / 1440 + 1);
        caps.chain(gaps).max().unwrap_or(0) + 1
    }

    /// The ways that are left when a channel fails.
    pub fn reach(&self) -> Reach {
        let chain = self.fallback.iter().filter_map(|name| known_channel(name));
        Reach {
            chain: chain.collect(),
            task: self.task.clone(),
        }
    }
}

/// The names of the channels on which people are contacted by messages.
fn channels_there_are() -> impl Iterator<Item = &'static str> {
    let channels = Channel::ALL.into_iter();
    channels
        .filter(|channel| channel.is_contact())
        .map(Channel::name)
}

fn known_channel(name: &str) -> Option<&'static str> {
    channels_there_are().find(|known| *known == name)
}

/// Whether a list of channels is about one; an empty list is about all.
pub(super) fn about(channels: &[String], channel: &str) -> bool {
    channels.is_empty() || channels.iter().any(|one| one == channel)
}
