//! Steps that send: email, sms, letter. Delivery itself is the external sender's work.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Channel, DoneWhen, Firing, Leg, StepKind, Then};

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
                let mut legs = vec![Leg::next("sent")];
                if let Some(target) = &self.otherwise {
                    legs.push(Leg::to("undeliverable", target));
                }
                legs
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
