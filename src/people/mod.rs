//! Who works on what: tasks of persons and queues, who stands in, who is told when something comes or is late.
//!
//! * `write`: what a batch of moves wants written about people    * `rights`: who may do what with a task
//! * `verbs`: claim, release, delegate, reassign                  * `record`: rows of history and alerts
//! * `config`: participants, members of queues, absences          * `assign`: who stands in for a participant
//! * `sight`: who sees which cases
//! * `escalate`: overdue tasks; part of the worker's tick         * `alerts`: handing alerts over
//!
//! Nothing here moves a token; that is for the rules. Case rows are locked before their tasks, as everywhere.

#![allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]

mod alerts;
mod assign;
mod config;
mod escalate;
mod record;
mod rights;
mod sight;
mod verbs;
mod write;

pub use escalate::escalate_overdue;
pub use rights::{must_be_theirs, step_run};
pub use sight::{must_see, sees};
pub use verbs::is_manager;
pub use write::write;
