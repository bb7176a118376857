//! How messages reach people, and when a step that sends one is done.

use schemars::JsonSchema;

/// How a message reaches its addressee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Email,
    Sms,
    Letter,
    /// A call in which a machine reads the text out.
    Voice,
    /// A ticket in the system where others work on it.
    Ticket,
}

impl Channel {
    /// Every channel, by name.
    pub const ALL: [Self; 5] = [
        Channel::Email,
        Channel::Letter,
        Channel::Sms,
        Channel::Ticket,
        Channel::Voice,
    ];

    /// The channel's name in the outbox.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::Letter => "letter",
            Channel::Voice => "voice",
            Channel::Ticket => "ticket",
        }
    }

    /// Whether it reaches the subject's own people, who want to be left alone at night.
    pub fn is_contact(self) -> bool {
        self != Channel::Ticket
    }
}

/// When a message step is done.
///
/// In the order in which a message gets there.
#[derive(
    Clone, Copy, Debug, Default, serde::Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
#[serde(rename_all = "snake_case")]
pub enum DoneWhen {
    /// As soon as the message is in the outbox.
    Queued,
    /// When the sender has acknowledged it.
    #[default]
    Sent,
    /// When its delivery has been reported.
    Delivered,
}

impl DoneWhen {
    /// How far the message has come, as history says it.
    pub fn label(self) -> &'static str {
        match self {
            DoneWhen::Queued => "queued",
            DoneWhen::Sent => "sent",
            DoneWhen::Delivered => "delivered",
        }
    }
}
