//! Contact policies at work: asking what is known of persons, and writing what comes of it. What follows from a policy is
//! decided by `workflow_core::contact`, what it does to a case by the token game.
//!
//! Workflows without a policy never get here, but for leases, which ask along with the time whether anybody has opted out
//! at all. With a policy, a batch pays for each step three statements: the policy, what is known of all its persons, and
//! the log. One process at a time does so, for two could each see room for the last contact that a limit allows.
//!
//! * `ready`: messages and calls that wait for the policy's word    * `known`: what is known of their persons
//! * `choices`: opting out and in, the log, the stop switch          * `policies`: defining them
//! * `lease`: what a lease has to ask, and what it finds withheld

mod choices;
mod known;
mod lease;
mod policies;
mod ready;

pub use choices::{failed, write};
pub use lease::{Gate, gate, withhold};
pub use policies::{Policies, check};
pub use ready::{open, take_turn};

/// The person that a case is about, as SQL over wf.cases AS c and the name of its subject.
fn person(subject: &str, key: &str) -> String {
    format!("coalesce(c.account, {subject} || ':' || {key})")
}
