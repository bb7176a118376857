//! The kinds of steps: one file for each family, one entry each in `KINDS`.
//!
//! A kind says which fields it has, which legs lead out of it, which conditions it wants answered, and what happens
//! when a token fires on it. What the answer (`Then`) means for the case is the token game's business, so that a new
//! kind is a new file and an entry here, and no branch anywhere else.

mod another;
mod channel;
mod charge;
mod control;
mod event;
mod first_of;
mod inclusive;
mod instalments;
mod manual;
mod message;
mod people;
mod record;
mod results;
mod sql;
mod strategy;

use std::fmt::Debug;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::finding::Findings;
use crate::people::Document;
use crate::row::ColumnType;
use crate::strategy::Verb;
use crate::{Error, strict};

/// How a step of a kind behaves between its arrival and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A person settles it: participant required; task and call also need a deadline.
    Manual { due_required: bool },
    /// The engine does it: neither participant nor deadline allowed.
    Automatic,
}

/// A way out of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The outcome that takes it, as it stands in history.
    pub outcome: String,
    /// The step it leads to; None: the step's `next`.
    pub target: Option<String>,
    /// The condition that chooses it, for decisions.
    pub condition: Option<String>,
}

impl Leg {
    /// The leg of an outcome that goes on to the step's `next`.
    pub fn next(outcome: &str) -> Self {
        Self {
            outcome: outcome.to_owned(),
            target: None,
            condition: None,
        }
    }

    /// The leg of an outcome that leads to a named step.
    pub fn to(outcome: &str, target: &str) -> Self {
        Self {
            outcome: outcome.to_owned(),
            target: Some(target.to_owned()),
            condition: None,
        }
    }
}

/// What a kind may look at when it decides.
pub struct Firing<'a> {
    /// The answers to the kind's own `conditions`, in order; SQL NULL counts as false.
    pub conditions: &'a [bool],
    /// How often a step has been visited in this case so far.
    pub visits: &'a dyn Fn(&str) -> u32,
}

/// What becomes of a case that has started another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes on at once.
    GoesOn,
    /// It ends.
    Ends,
    /// Its step waits until the other one has ended.
    Waits,
    /// One starts for each of its rows, and its step waits for those.
    WaitsForEach,
}

impl Afterwards {
    /// Whether the step waits.
    pub fn waits(self) -> bool {
        matches!(self, Self::Waits | Self::WaitsForEach)
    }
}

/// An SQL expression to be worked out for each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    pub sql: &'a str,
    /// The name in the case's vars that takes the result; then it comes as JSON, else as text.
    pub into: Option<&'a str>,
}

/// What happens when a token fires on a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Then<'a> {
    /// The step is over with this outcome, and the token takes its leg.
    Done(&'a str),
    /// A person has to settle it; any leg's outcome will do.
    Task,
    /// A message goes to the outbox; the step is over when `done_when` says so.
    Send {
        channel: Channel,
        template: &'a str,
        done_when: DoneWhen,
        otherwise: bool,
    },
    /// A note with this text is written, and the step is over.
    Note { text: &'a str },
    /// Somebody is alerted, and the step is over; its texts are whom and what.
    Notify,
    /// Somebody else stands in for a participant from now on, in the case or on its whole account; its text is who.
    Assign { participant: &'a str, account: bool },
    /// The default strategies of the case's rows are paused, resumed or stopped.
    Strategy(Verb),
    /// Columns of the subject's row are set to SQL expressions; over when the row could be written.
    Write,
    /// A fee or interest is charged, and the step is over.
    Charge(&'a Charge),
    /// An SQL function is called; its result may pick the leg.
    Call,
    /// The next thing in a payment plan happens, or the token waits for it.
    Instalments(&'a Instalments),
    /// A token goes out on every leg.
    Fork,
    /// A token goes out on each of these legs.
    Split(Vec<&'a str>),
    /// The token waits for a signal of this name, unless it has come already.
    Listen(&'a str),
    /// The token waits for the next change of the subject, and its step is then asked again.
    LookAgain,
    /// The token waits until every branch has come.
    Join,
    /// A case of another workflow starts for the same row; `limit`: in a chain of how many cases of this workflow.
    StartAnother {
        workflow: &'a str,
        limit: u16,
        afterwards: Afterwards,
    },
    /// The case is completed with this outcome.
    End { outcome: &'a str },
}

/// The behaviour of a kind of step.
pub trait StepKind: Debug {
    /// The kind's name in documents.
    fn name(&self) -> &'static str;

    fn nature(&self) -> Nature {
        Nature::Automatic
    }

    /// The ways out, the default one first.
    fn legs(&self) -> Vec<Leg> {
        vec![Leg::next("done")]
    }

    /// Conditions to be answered by the database before it fires.
    fn conditions(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Names of the document's templates that it renders.
    fn templates(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Texts with placeholders that stand in the step itself.
    fn inline_texts(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The channel it sends on, if it sends.
    fn channel(&self) -> Option<Channel> {
        None
    }

    /// Whom it sends to, if that is no column of the subject.
    fn addressee(&self) -> Option<&str> {
        None
    }

    /// The SQL expression that it has the database work out, for what that does or for its result.
    fn call(&self) -> Option<Call<'_>> {
        None
    }

    /// What a person may answer, if the step takes several answers at once.
    fn choices(&self) -> Option<Vec<&str>> {
        None
    }

    /// The answers that a person gives to a step that takes several.
    ///
    /// # Errors
    /// [`ErrorCode::Input`](crate::ErrorCode::Input) or [`ErrorCode::Unknown`](crate::ErrorCode::Unknown) with what will
    /// not do; the caller names the step.
    fn choose(
        &self,
        _outcome: Option<&str>,
        _data: Option<&Map<String, Value>>,
    ) -> Result<Option<Vec<String>>, Error> {
        Ok(None)
    }

    /// The channel on which it contacts a person, by a message or by somebody who calls.
    fn contact(&self) -> Option<&'static str> {
        let channel = self.channel().filter(|channel| channel.is_contact());
        channel.map(Channel::name)
    }

    /// Whether somebody was talked to, if a call comes to this outcome.
    fn talked(&self, _outcome: &str) -> bool {
        false
    }

    /// Columns of the subject's table that it writes, with the SQL expression for each.
    fn writes(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    /// Values that it needs of the subject's row: the field, the SQL expression that stands there, and its type.
    fn values(&self) -> Vec<(&'static str, &str, ColumnType)> {
        Vec::new()
    }

    /// Whether it looks at what is owed.
    fn wants_open_amount(&self) -> bool {
        false
    }

    /// Whether it waits by itself for what comes next, and comes to an end of it: no loop over it is endless.
    fn paces_itself(&self) -> bool {
        false
    }

    /// Whether it adds to what is owed.
    fn charges(&self) -> bool {
        false
    }

    /// The forking step that a join belongs to.
    fn joins(&self) -> Option<&str> {
        None
    }

    /// How many branches have to come to a join; None: all that are under way.
    fn needs(&self) -> Option<usize> {
        None
    }

    /// Whether its first leg is taken only so many times: a bounded repeat.
    fn bounds_a_loop(&self) -> bool {
        false
    }

    /// Whether tokens go out on several legs at once.
    fn forks(&self) -> bool {
        false
    }

    /// Whether conditions say which legs of a fork get a token: at least one, perhaps not all.
    fn forks_by_condition(&self) -> bool {
        false
    }

    /// Whether the steps that its legs lead to wait side by side, until the first of them is over.
    fn lets_legs_race(&self) -> bool {
        false
    }

    /// The workflow that it starts a case of.
    fn workflow(&self) -> Option<&str> {
        None
    }

    /// Whether it waits until the cases that it has started have ended.
    fn awaits_cases(&self) -> bool {
        false
    }

    /// For such a step, or one that calls: the leg that this outcome takes.
    fn leg_of<'a>(&'a self, outcome: &'a str) -> &'a str {
        outcome
    }

    /// For such a step: how many of its cases it waits for; None: all.
    fn needs_cases(&self) -> Option<u16> {
        None
    }

    /// For such a step: whether it starts one for each row that its own case concerns.
    fn for_each(&self) -> bool {
        false
    }

    /// For such a step: the vars of the other case that it takes over.
    fn takes(&self) -> &[String] {
        &[]
    }

    /// The signal that it waits for.
    fn signal(&self) -> Option<&str> {
        None
    }

    /// Whether it waits for something to become true of the subject.
    fn watches_subject(&self) -> bool {
        false
    }

    /// Whether it waits for something from outside: a person, an event, a date.
    fn waits(&self) -> bool {
        matches!(self.nature(), Nature::Manual { .. })
            || self.waits_for_date()
            || self.signal().is_some()
            || self.watches_subject()
            || self.awaits_cases()
    }

    /// Whether each leg begins a branch of its own, which others do not enter unless they say so.
    fn keeps_legs_apart(&self) -> bool {
        false
    }

    /// Whether it is a button, whose leg leads to the event that it has been pushed.
    fn brings_event(&self) -> bool {
        false
    }

    /// The button whose push it stands for.
    fn event_of(&self) -> Option<&str> {
        None
    }

    /// Whether a new stage begins with it: an event, or what a person settles.
    fn begins_stage(&self) -> bool {
        matches!(self.nature(), Nature::Manual { .. })
    }

    /// Whether it makes no sense without a date in `on`.
    fn waits_for_date(&self) -> bool {
        false
    }

    /// The step whose settling it approves, so that somebody else has to do it.
    fn approves(&self) -> Option<&str> {
        None
    }

    /// Whether a person may settle it with this outcome and data, and the documents that come with it.
    ///
    /// # Errors
    /// [`ErrorCode::Input`](crate::ErrorCode::Input) with what is missing or will not do; the caller names the step.
    fn documents(
        &self,
        _outcome: &str,
        _data: Option<&Map<String, Value>>,
    ) -> Result<Vec<Document>, Error> {
        Ok(Vec::new())
    }

    /// Findings about the kind's own fields; references to steps are checked for all kinds alike.
    fn check(&self, _place: &str, _findings: &mut Findings) {}

    /// What happens when a token fires on it.
    fn fire<'a>(&'a self, firing: &Firing<'_>) -> Then<'a>;
}

/// A kind's entry: its name, its reader, and the schema of its fields.
pub struct Entry {
    pub name: &'static str,
    parse: fn(Value) -> Result<Box<dyn StepKind>, String>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Entry {
    /// The JSON Schema of the fields of this kind alone.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

const fn entry<K: StepKind + DeserializeOwned + JsonSchema + 'static>(name: &'static str) -> Entry {
    Entry {
        name,
        parse: |value| Ok(Box::new(strict::read::<K>(value)?)),
        schema: |generator| K::json_schema(generator),
    }
}

/// Every kind there is.
pub const KINDS: &[Entry] = &[
    entry::<manual::Task>("task"),
    entry::<manual::Call>("call"),
    entry::<manual::Question>("question"),
    entry::<event::Button>("button"),
    entry::<event::Event>("event"),
    entry::<manual::File>("file"),
    entry::<manual::Approval>("approval"),
    entry::<message::Email>("email"),
    entry::<message::Sms>("sms"),
    entry::<message::Letter>("letter"),
    entry::<message::Voice>("voice"),
    entry::<message::Ticket>("ticket"),
    entry::<record::Note>("note"),
    entry::<record::Update>("update"),
    entry::<sql::Sql>("sql"),
    entry::<strategy::Strategy>("strategy"),
    entry::<people::Notify>("notify"),
    entry::<people::Assign>("assign"),
    entry::<charge::Charge>("charge"),
    entry::<instalments::Instalments>("instalments"),
    entry::<control::Decision>("decision"),
    entry::<inclusive::Inclusive>("inclusive"),
    entry::<control::Wait>("wait"),
    entry::<control::Parallel>("parallel"),
    entry::<control::Join>("join"),
    entry::<first_of::FirstOf>("first_of"),
    entry::<control::Repeat>("repeat"),
    entry::<another::Start>("start_workflow"),
    entry::<another::Continue>("continue_with"),
    entry::<another::SubWorkflow>("sub_workflow"),
    entry::<another::ForEach>("for_each"),
    entry::<control::Finish>("finish"),
];

pub use channel::{Channel, DoneWhen};
pub use charge::{Charge, Type as ChargeType};
pub use event::event_of_button;
pub use instalments::Instalments;

/// Reads the fields of a kind.
pub fn parse(name: &str, fields: Value) -> Result<Box<dyn StepKind>, String> {
    let Some(entry) = KINDS.iter().find(|k| k.name == name) else {
        let known: Vec<_> = KINDS.iter().map(|k| k.name).collect();
        return Err(format!(
            "unknown kind \"{name}\"; known kinds are {}",
            known.join(", ")
        ));
    };
    (entry.parse)(fields).map_err(|e| format!("{name}: {e}"))
}
