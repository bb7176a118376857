//! The token game: what an event does to a case.
//!
//! A case is a set of tokens on the steps of its program. Every function here takes a case as it was loaded, one
//! event, and what the database said about the subject's row; it moves tokens in memory and adds to `Effects` what
//! has to be written. The shell writes all of it in one transaction, or none.
//!
//! * `enter`: a case begins           * `fire`: a token's time has come
//! * `calls`: what people ask for     * `watch`: the subject's row has changed
//! * `agreements`: promises, payment plans  * `disputes`: disputes, and retries with new contact data
//! * `another`: cases that start others  * `charge`: fees and interest
//! * `messages`: what senders report  * `signals`: events from outside
//! * `cancel`: parts of a case         * `plan`: when
//! * `render`: what a message says    * `outage`: messages whose day has passed
//! * `people`: four eyes, documents, escalation, who is told
//! * `case`: the moves that all of them share  * `branches`: tokens that part, meet, and are withdrawn
//! * `contact`: messages and calls that a contact policy has a say in
//! * `hold`: on hold and off again      * `members`: the rows of a case that concerns several
//! * `migrate`: to another version     * `milestones`: without which steps do not go on
//! * `sections`: in which one case is at a time

mod agreements;
mod another;
mod branches;
mod calls;
mod cancel;
mod case;
mod charge;
mod contact;
mod disputes;
mod effects;
mod enter;
mod fire;
mod hold;
mod members;
mod messages;
mod migrate;
mod milestones;
mod outage;
mod outside;
mod people;
mod plan;
mod render;
mod sections;
mod signals;
mod states;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use agreements::{Made, OpenPromise, Promised};
pub use calls::{Settlement, parse_data};
pub use case::{Case, Memory, Mishap, Token};
pub use contact::Refusal;
pub use effects::{
    Arrival, AssignmentRow, Awaited, ChargeRequest, ContactRow, Departure, DocumentRow, Effects,
    Entering, Event, Failure, HistoryRow, MessageRow, MessageState, NoteRow, NotificationRow,
    PromiseEnd, PromiseState, Quiet, StartRequest, StrategyRow, Suppression, TaskMove, TaskRow,
};
pub use fire::{Fired, STOPPED};
pub use hold::{Block, Clock, Hold, PLAIN, Span, parse_blocks};
pub use members::{Look, Member, MemberRow};
pub use migrate::{KeptTask, Moved, MovedRun, PastRun};
pub use render::Rendering;
pub use states::{CaseState, TokenState};

use chrono::{DateTime, Utc};

use crate::calendar::{Calendars, Zones};
use crate::row::Row;

/// What every move may look at besides the case: the engine's clock, zones and calendars.
pub struct Env<'a> {
    /// The engine's time, `wf.now()`.
    pub now: DateTime<Utc>,
    pub zones: &'a dyn Zones,
    pub calendars: &'a dyn Calendars,
    /// The zone for rows and workflows that name none.
    pub default_zone: &'a str,
}

/// What the database said about a case's subject, for one `program::Read`.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Whether the subject's row (still) exists.
    pub found: bool,
    /// The answers to the read's conditions, in order; NULL is false.
    pub conditions: &'a [bool],
    pub row: Row<'a>,
}
