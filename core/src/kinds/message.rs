//! Steps that send: email, sms, letter, voice, ticket. Delivery itself is the external sender's work.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Channel, DoneWhen, Firing, Leg, StepKind, Then};
use crate::finding::Findings;

fn legs(otherwise: Option<&str>) -> Vec<Leg> {
    let undeliverable = otherwise.map(|target| Leg::to("undeliverable", target));
    [Leg::next("sent")]
        .into_iter()
        .chain(undeliverable)
        .collect()
}

macro_rules! message_kind {
    ($(#[$doc:meta])* $type:ident, $name:literal, $channel:expr) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $type {
            /// The template that gives the text.
            pub template: String,
            /// When the step is done: `queued`, `sent` (default) or `delivered`.
            #[serde(default)]
            pub done_when: DoneWhen,
            /// The step to go to when the message cannot reach anybody: no address, bounced, given up by the
            /// sender. Without it such a message becomes an incident.
            #[serde(default)]
            #[schemars(extend("x-step" = "leads-to", "x-outcome" = "undeliverable"))]
            pub otherwise: Option<String>,
        }

        impl StepKind for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn legs(&self) -> Vec<Leg> {
                legs(self.otherwise.as_deref())
            }
            fn templates(&self) -> Vec<&str> {
                vec![&self.template]
            }
            fn channel(&self) -> Option<Channel> {
                Some($channel)
            }
            fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
                Then::Send {
                    channel: $channel,
                    template: &self.template,
                    done_when: self.done_when,
                    otherwise: self.otherwise.is_some(),
                }
            }
        }
    };
}

message_kind!(
    /// A templated e-mail.
    Email, "email", Channel::Email
);
message_kind!(
    /// A templated text message.
    Sms, "sms", Channel::Sms
);
message_kind!(
    /// A templated letter, printed and posted by the sender.
    Letter, "letter", Channel::Letter
);
message_kind!(
    /// A templated text that a machine reads out on the telephone.
    Voice, "voice", Channel::Voice
);

/// A ticket for others to work on, in a system outside. The sender opens it; contact windows do not concern it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The template that gives its title (`subject`) and text.
    pub template: String,
    /// The queue or team that gets it, as the sender knows it.
    pub queue: String,
    /// When the step is done: `queued`, `sent` (default: the ticket is there) or `delivered` (the sender has reported that
    /// it is settled).
    #[serde(default)]
    pub done_when: DoneWhen,
    /// The step to go to when the ticket cannot be opened, or was refused. Without it that is an incident.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "undeliverable"))]
    pub otherwise: Option<String>,
}

impl StepKind for Ticket {
    fn name(&self) -> &'static str {
        "ticket"
    }
    fn legs(&self) -> Vec<Leg> {
        legs(self.otherwise.as_deref())
    }
    fn templates(&self) -> Vec<&str> {
        vec![&self.template]
    }
    fn channel(&self) -> Option<Channel> {
        Some(Channel::Ticket)
    }
    fn addressee(&self) -> Option<&str> {
        Some(&self.queue)
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.queue.trim().is_empty() {
            findings.error(
                place,
                "queue is empty",
                "Name in queue who gets the ticket.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Send {
            channel: Channel::Ticket,
            template: &self.template,
            done_when: self.done_when,
            otherwise: self.otherwise.is_some(),
        }
    }
}
