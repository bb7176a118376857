//! What has to be written after a batch of moves. Plain rows; the shell turns each list into one statement.

use chrono::{DateTime, NaiveDate, Utc};

use crate::collections::charges::Sum;
use crate::kinds::Afterwards;
use crate::people::Document;
use crate::program::StepNo;
use crate::strategy::Verb;

/// What happened, as it stands in history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    CasePlanned,
    CaseStarted,
    CaseCompleted,
    CaseCancelled,
    CaseHeld,
    CaseReleased,
    CaseMigrated,
    Promised,
    PromiseEnded,
    Disputed,
    DisputeSettled,
    StepDone,
    StepSkipped,
    StepFailed,
    StepRetried,
    StepCancelled,
    Rescheduled,
    Signalled,
    SubjectJoined,
    SubjectLeft,
    MessageSuppressed,
    MessageBounced,
    MessageDead,
}

impl Event {
    /// The label of the type wf.history_event.
    pub fn label(self) -> &'static str {
        match self {
            Event::CasePlanned => "case_planned",
            Event::CaseStarted => "case_started",
            Event::CaseCompleted => "case_completed",
            Event::CaseCancelled => "case_cancelled",
            Event::CaseHeld => "case_held",
            Event::CaseReleased => "case_released",
            Event::CaseMigrated => "case_migrated",
            Event::Promised => "promised",
            Event::PromiseEnded => "promise_ended",
            Event::Disputed => "disputed",
            Event::DisputeSettled => "dispute_settled",
            Event::StepDone => "step_done",
            Event::StepSkipped => "step_skipped",
            Event::StepFailed => "step_failed",
            Event::StepRetried => "step_retried",
            Event::StepCancelled => "step_cancelled",
            Event::Rescheduled => "rescheduled",
            Event::Signalled => "signalled",
            Event::SubjectJoined => "subject_joined",
            Event::SubjectLeft => "subject_left",
            Event::MessageSuppressed => "message_suppressed",
            Event::MessageBounced => "message_bounced",
            Event::MessageDead => "message_dead",
        }
    }
}

/// A row of wf.history. Its time and actor are those of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    pub case_id: i64,
    pub version_id: i32,
    pub step: Option<StepNo>,
    pub visit: Option<i16>,
    pub event: Event,
    pub outcome: Option<String>,
    pub entered_at: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub task_id: Option<i64>,
    /// JSON text.
    pub detail: Option<String>,
}

/// The states in which a message is born.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// The contact window is closed; rendered when it opens.
    Deferred,
    /// Rendered, and may be leased.
    Queued,
}

/// A row of wf.outbox.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRow {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub channel: &'static str,
    pub state: MessageState,
    /// JSON text; None while deferred.
    pub payload: Option<String>,
    pub not_before: DateTime<Utc>,
    pub not_after: Option<DateTime<Utc>>,
}

/// A call that somebody has made, for the log of contacts.
#[derive(Clone, Debug, PartialEq)]
pub struct ContactRow {
    pub case_id: i64,
    /// The step's name: the log does not change with versions.
    pub step: String,
    pub channel: &'static str,
    /// Whether somebody was talked to.
    pub talked: bool,
    pub outcome: String,
}

/// A row of wf.tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRow {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub title: String,
    pub participant: Option<String>,
    pub outcomes: Vec<String>,
    pub due_at: Option<DateTime<Utc>>,
    /// When it is escalated unless somebody has settled it.
    pub escalate_at: Option<DateTime<Utc>>,
    /// Whether the participant is alerted.
    pub notify: bool,
}

/// A task's deadline has moved.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskMove {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub due_at: Option<DateTime<Utc>>,
    pub escalate_at: Option<DateTime<Utc>>,
}

/// A row of wf.notes.
#[derive(Clone, Debug, PartialEq)]
pub struct NoteRow {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub body: String,
}

/// A row of wf.documents: what came with a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentRow {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub document: Document,
}

/// A row of wf.notifications that a step has made.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationRow {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub to: String,
    pub body: String,
}

/// A row of wf.assignments that a step has made.
#[derive(Clone, Debug, PartialEq)]
pub struct AssignmentRow {
    pub case_id: i64,
    pub version_id: i32,
    pub step: StepNo,
    pub visit: i16,
    pub participant: String,
    pub assignee: String,
    /// For the whole account of the case, not for the case alone.
    pub account: bool,
}

/// The default strategies of a case's rows are to be paused, resumed or stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyRow {
    pub case_id: i64,
    pub keys: Vec<String>,
    pub verb: Verb,
    /// The step that asks for it.
    pub step: String,
}

/// A row of the subject has joined a case that concerns several.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub case_id: i64,
    pub key: String,
    pub position: i16,
}

/// A row of the subject has left its case, which goes on with the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Departure {
    pub case_id: i64,
    pub key: String,
    /// `STOPPED` if a stop rule held, else what a person did.
    pub outcome: &'static str,
    pub reason: String,
}

/// Messages that must not leave any more: all unsent ones of a case, or of one step run.
#[derive(Clone, Debug, PartialEq)]
pub struct Suppression {
    pub case_id: i64,
    pub step: Option<(StepNo, i16)>,
    pub reason: String,
}

/// Messages of a case that a hold keeps here while the case goes on, or lets go again.
#[derive(Clone, Debug, PartialEq)]
pub struct Quiet {
    pub case_id: i64,
    /// Why, for people; None: they may leave again.
    pub reason: Option<String>,
}

/// A step run that failed for good and waits for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub attempts: i16,
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// A step run asks for a case of another workflow, for the row that its own case is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    /// The other workflow's name.
    pub workflow: String,
    /// How many cases of the asking case's workflow may stand before it in its chain. A case that waits for another one
    /// needs no limit: its row has an open case of that workflow meanwhile.
    pub limit: u16,
    pub afterwards: Afterwards,
}

/// How the cases that a step run waits for have come out, as far as they have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    /// How many there are, and how many of them have ended.
    pub cases: i64,
    pub ended: i64,
    /// The last one, with its outcome and the text of its vars.
    pub last: i64,
    pub outcome: String,
    pub vars: Option<String>,
    /// How many have ended with each outcome, as the text of a JSON object.
    pub tally: Option<String>,
}

/// A step run wants something charged to the row that its case is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub label: String,
    pub currency: Option<String>,
    pub decimals: u32,
    /// Where the subject is: suspensions are told in its days.
    pub zone: String,
    /// The day it is there.
    pub today: NaiveDate,
    pub sum: Sum,
}

/// What has become of a promise to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromiseState {
    /// Nothing yet; it is looked at again later.
    Open,
    /// It was paid in full and in time.
    Kept,
    /// Some of it was paid in time.
    PartlyKept,
    /// Nothing was.
    Broken,
    /// It was taken back, or its case has ended.
    Withdrawn,
}

impl PromiseState {
    /// Its name in wf.promises.
    pub fn label(self) -> &'static str {
        match self {
            PromiseState::Open => "open",
            PromiseState::Kept => "kept",
            PromiseState::PartlyKept => "partly_kept",
            PromiseState::Broken => "broken",
            PromiseState::Withdrawn => "withdrawn",
        }
    }
}

/// A promise is over, with its hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromiseEnd {
    pub case_id: i64,
    pub id: i64,
    pub state: PromiseState,
    /// What has been paid since it was made.
    pub paid: Option<String>,
    /// It could not be told what is open: to be looked at again then.
    pub again_at: Option<DateTime<Utc>>,
}

/// A step run waits to come into a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entering {
    pub case_id: i64,
    pub step: StepNo,
    pub visit: i16,
    pub section: String,
    /// Whether one case of an account is inside at a time, rather than one about a row.
    pub account: bool,
}

/// Everything that a batch of moves wants written, besides the cases and tokens themselves.
#[derive(Debug, Default)]
pub struct Effects {
    pub history: Vec<HistoryRow>,
    pub messages: Vec<MessageRow>,
    pub tasks: Vec<TaskRow>,
    pub task_moves: Vec<TaskMove>,
    pub notes: Vec<NoteRow>,
    pub documents: Vec<DocumentRow>,
    pub notifications: Vec<NotificationRow>,
    pub assignments: Vec<AssignmentRow>,
    pub suppressions: Vec<Suppression>,
    /// Step runs whose messages are looked at once more before they leave, unless a sender has them: (case, step, visit).
    pub reconsidered: Vec<(i64, StepNo, i16)>,
    pub quiets: Vec<Quiet>,
    pub arrivals: Vec<Arrival>,
    pub strategies: Vec<StrategyRow>,
    pub departures: Vec<Departure>,
    /// Another row carries the case from now on: (case, key).
    pub carriers: Vec<(i64, String)>,
    pub contacts: Vec<ContactRow>,
    pub failures: Vec<Failure>,
    /// Cases whose milestones have to be looked at before the batch is written.
    pub milestones: Vec<i64>,
    /// Step runs that wait to come into a section.
    pub entering: Vec<Entering>,
    /// To be met before the batch is written.
    pub starts: Vec<StartRequest>,
    /// Cases with step runs that wait for other cases, or did until now: those have to look at what has become of them.
    pub awaited_by: Vec<i64>,
    /// Cases that wait for one that has ended.
    pub awaiting: Vec<i64>,
    /// To be met before the batch is written.
    pub charges: Vec<ChargeRequest>,
    pub promises: Vec<PromiseEnd>,
    /// Cases that looked into something and have ended, with their outcomes: the holds on the cases beside them end.
    pub looked_into: Vec<(i64, String)>,
    /// Step runs whose open incidents are over: (case, step, visit).
    pub resolved: Vec<(i64, StepNo, i16)>,
}
