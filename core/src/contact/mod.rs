//! Contact policies: whether a person may be contacted on a channel, and from when on.
//!
//! A policy is a JSON document of its own, which workflows name; it may change under running cases. What is known of a
//! person (what they chose, when they were contacted) comes from the shell; this says what follows: now, later, or not at
//! all, each with a reason for people.
//!
//! * `policy`: what is written    * `hours`: when windows are open, in one zone or several    * `judge`: the verdict

mod hours;
mod judge;
mod policy;

pub use hours::zones_of;
pub use judge::{Event, Known, Question, Record, Verdict};
pub use policy::{CALL, Policy, Reach};

#[cfg(test)]
mod tests;
