//! Steps that a person settles: task, call, question, file, approval.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Firing, Leg, Nature, StepKind, Then};
use crate::contact::CALL;
use crate::finding::Findings;
use crate::people::Document;
use crate::{Error, ErrorCode};

/// An outcome that a person may choose.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The outcome's name, as given to wf.complete.
    pub name: String,
    /// What people read.
    #[serde(default)]
    #[allow(dead_code, reason = "for people and programs that read the document")]
    pub label: Option<String>,
    /// The step it leads to; the step's `next` if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to"))]
    pub next: Option<String>,
}

/// Work for a person.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The outcomes to choose from; only `done` if absent.
    #[serde(default)]
    pub outcomes: Vec<Choice>,
}

/// A telephone call for a person to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The outcomes to choose from; only `done` if absent.
    #[serde(default)]
    pub outcomes: Vec<Choice>,
    /// The outcomes that mean that somebody was talked to; contact policies count conversations apart.
    #[serde(default)]
    pub talked: Vec<String>,
}

fn work_legs(outcomes: &[Choice]) -> Vec<Leg> {
    if outcomes.is_empty() {
        vec![Leg::next("done")]
    } else {
        legs(outcomes)
    }
}

/// A question that a person answers; the answer picks the branch and is kept in `answers`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The possible answers, each with the step it leads to.
    pub options: Vec<Choice>,
    /// Whether several of them may be chosen at once. All of them go on with the step's `next` then, and the options name
    /// no step; conditions find the list in `answers`.
    #[serde(default)]
    pub multiple: bool,
    /// With multiple: how many have to be chosen; one if absent.
    #[serde(default)]
    pub at_least: Option<u16>,
    /// With multiple: how many may be chosen; all of them if absent.
    #[serde(default)]
    pub at_most: Option<u16>,
}

/// Somebody brings a document: settling it needs a reference, as in wf.complete(task, data => '{"document": "…"}').
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The types allowed, as extensions (`pdf`) or media types (`application/pdf`); any if absent.
    #[serde(default)]
    pub types: Vec<String>,
    /// The step to go to when there is no document to be had, with outcome `missing`; without it there is no such way.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "missing"))]
    pub otherwise: Option<String>,
}

/// Somebody else than who settled a step approves what they did, or rejects it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The manual step whose settling is approved.
    #[schemars(extend("x-step" = "belongs-to"))]
    pub of: String,
    /// The step that follows when it is approved; the step's `next` if absent.
    #[serde(default)]
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "approved"))]
    pub approved: Option<String>,
    /// The step that follows when it is rejected.
    #[schemars(extend("x-step" = "leads-to", "x-outcome" = "rejected"))]
    pub rejected: String,
}

/// The outcome of a file step without a document.
const MISSING: &str = "missing";

/// The legs of choices.
pub(super) fn legs(choices: &[Choice]) -> Vec<Leg> {
    choices
        .iter()
        .map(|c| Leg {
            outcome: c.name.clone(),
            target: c.next.clone(),
            condition: None,
        })
        .collect()
}

/// Findings about choices without a name, or with that of another one.
pub(super) fn check_names(place: &str, what: &str, choices: &[Choice], findings: &mut Findings) {
    for (i, choice) in choices.iter().enumerate() {
        if choice.name.trim().is_empty() {
            findings.error(
                place,
                format!("{what} {} has no name", i + 1),
                "Give it a name.",
            );
        }
        if choices[..i].iter().any(|other| other.name == choice.name) {
            findings.error(
                place,
                format!("{what} \"{}\" stands twice", choice.name),
                format!("Give each {what} a name of its own."),
            );
        }
    }
}

/// The outcome of a question with several answers.
const ANSWERED: &str = "answered";

/// What a person has chosen: one as the outcome, or any number as a list in the data.
fn chosen(outcome: Option<&str>, data: Option<&Map<String, Value>>) -> Result<Vec<String>, Error> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = match data.and_then(|data| data.get("answers")) {
        None => None,
        Some(Value::Array(list)) => list.iter().map(text).collect::<Option<Vec<String>>>(),
        Some(_) => None,
    };
    let is_given = data.is_some_and(|data| data.contains_key("answers"));
    match (list, outcome.filter(|outcome| *outcome != ANSWERED)) {
        (Some(list), None) => Ok(list),
        (None, Some(one)) if !is_given => Ok(vec![one.to_owned()]),
        (None, None) if !is_given => Ok(Vec::new()),
        (Some(_), Some(_)) => Err(Error::new(
            ErrorCode::Input,
            "answers are given twice, as outcome and in data",
        )
        .hint("Leave the outcome out.")),
        _ => Err(
            Error::new(ErrorCode::Input, "answers in data is no list of texts")
                .hint("Give a list: '{\"answers\": [\"…\", \"…\"]}'."),
        ),
    }
}

impl Question {
    /// How many answers are wanted.
    fn bounds(&self) -> (usize, usize) {
        let most = self.at_most.map_or(self.options.len(), usize::from);
        (self.at_least.map_or(1, usize::from), most)
    }

    fn check_multiple(&self, place: &str, findings: &mut Findings) {
        if !self.multiple {
            if self.at_least.is_some() || self.at_most.is_some() {
                findings.error(
                    place,
                    "at_least and at_most are for questions with several answers",
                    "Say \"multiple\": true, or leave them out.",
                );
            }
            return;
        }
        for option in self.options.iter().filter(|option| option.next.is_some()) {
            findings.error(
                place,
                format!("answer \"{}\" names a step, but several answers may be given at once", option.name),
                "Name the step that follows in next, and choose there with a decision or an inclusive decision over answers.",
            );
        }
        let (least, most) = self.bounds();
        if least > most || most == 0 || most > self.options.len() {
            findings.error(
                place,
                format!(
                    "{least} to {most} of {} answers are wanted",
                    self.options.len()
                ),
                "Let at_least be no more than at_most, and that no more than there are options.",
            );
        }
    }
}

impl StepKind for Task {
    fn name(&self) -> &'static str {
        "task"
    }
    fn nature(&self) -> Nature {
        Nature::Manual { due_required: true }
    }
    fn legs(&self) -> Vec<Leg> {
        work_legs(&self.outcomes)
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check_names(place, "outcome", &self.outcomes, findings);
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}

impl StepKind for Call {
    fn name(&self) -> &'static str {
        "call"
    }
    fn nature(&self) -> Nature {
        Nature::Manual { due_required: true }
    }
    fn legs(&self) -> Vec<Leg> {
        work_legs(&self.outcomes)
    }
    fn contact(&self) -> Option<&'static str> {
        Some(CALL)
    }
    fn talked(&self, outcome: &str) -> bool {
        self.talked.iter().any(|one| one == outcome)
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check_names(place, "outcome", &self.outcomes, findings);
        let outcomes = self.legs();
        for unknown in &self.talked {
            if !outcomes.iter().any(|leg| leg.outcome == *unknown) {
                findings.error(
                    place,
                    format!("talked names \"{unknown}\", which is no outcome of the call"),
                    "Name outcomes of the call that mean that somebody was talked to.",
                );
            }
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}

impl StepKind for Question {
    fn name(&self) -> &'static str {
        "question"
    }
    fn nature(&self) -> Nature {
        Nature::Manual {
            due_required: false,
        }
    }
    fn legs(&self) -> Vec<Leg> {
        if self.multiple {
            vec![Leg::next(ANSWERED)]
        } else {
            legs(&self.options)
        }
    }
    fn keeps_legs_apart(&self) -> bool {
        !self.multiple
    }
    fn choices(&self) -> Option<Vec<&str>> {
        let names = self.options.iter().map(|option| option.name.as_str());
        self.multiple.then(|| names.collect())
    }
    fn choose(
        &self,
        outcome: Option<&str>,
        data: Option<&Map<String, Value>>,
    ) -> Result<Option<Vec<String>>, Error> {
        if !self.multiple {
            return Ok(None);
        }
        let chosen = chosen(outcome, data)?;
        for (i, name) in chosen.iter().enumerate() {
            if !self.options.iter().any(|option| option.name == *name) {
                let known: Vec<&str> = self.options.iter().map(|o| o.name.as_str()).collect();
                return Err(Error::new(
                    ErrorCode::Unknown,
                    format!("there is no answer \"{name}\""),
                )
                .detail(format!("Its answers are {}.", known.join(", ")))
                .hint("Give some of these."));
            }
            if chosen[..i].contains(name) {
                return Err(Error::new(
                    ErrorCode::Input,
                    format!("answer \"{name}\" is given twice"),
                )
                .hint("Give each answer once."));
            }
        }
        let (least, most) = self.bounds();
        if !(least..=most).contains(&chosen.len()) {
            return Err(Error::new(
                ErrorCode::Input,
                format!(
                    "{} answer(s) are given, and {least} to {most} are wanted",
                    chosen.len()
                ),
            )
            .hint("Say which: wf.complete(task, data => '{\"answers\": [\"…\", \"…\"]}')."));
        }
        Ok(Some(chosen))
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        check_names(place, "answer", &self.options, findings);
        self.check_multiple(place, findings);
        if self.options.len() < 2 {
            findings.error(
                place,
                format!("the question has {} answer(s)", self.options.len()),
                "Give it at least two options, or make it a task.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}

impl StepKind for File {
    fn name(&self) -> &'static str {
        "file"
    }
    fn nature(&self) -> Nature {
        Nature::Manual { due_required: true }
    }
    fn legs(&self) -> Vec<Leg> {
        let missing = self.otherwise.iter().map(|step| Leg::to(MISSING, step));
        [Leg::next("done")].into_iter().chain(missing).collect()
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.types.iter().any(|kind| kind.trim().is_empty()) {
            findings.error(
                place,
                "a type in types is empty",
                "Name types such as pdf, or leave types out.",
            );
        }
    }
    fn documents(
        &self,
        outcome: &str,
        data: Option<&Map<String, Value>>,
    ) -> Result<Vec<Document>, Error> {
        let documents = Document::read(data, &self.types)?;
        if documents.is_empty() && outcome != MISSING {
            return Err(Error::new(ErrorCode::Input, "a document is needed").hint(
                "Say where it lies: wf.complete(task, data => '{\"document\": \"archive/4711.pdf\"}').",
            ));
        }
        Ok(documents)
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}

impl StepKind for Approval {
    fn name(&self) -> &'static str {
        "approval"
    }
    fn nature(&self) -> Nature {
        Nature::Manual {
            due_required: false,
        }
    }
    fn legs(&self) -> Vec<Leg> {
        let approved = Leg {
            target: self.approved.clone(),
            ..Leg::next("approved")
        };
        vec![approved, Leg::to("rejected", &self.rejected)]
    }
    fn approves(&self) -> Option<&str> {
        Some(&self.of)
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Task
    }
}
