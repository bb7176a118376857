//! A version compiled for running: steps by number, legs resolved, and what each step must read from the database.
//!
//! Compiling never fails on an unsound document: legs that lead nowhere stay unresolved and `validate` names them.
//! Only a version without error findings is published, so a running case always finds its legs.
//!
//! * `values`: what is read besides columns: what is owed, and what fields of steps give
//! * `step`: one step, its legs resolved
//! * `guards`: milestones, and the steps that they are about
//! * `layout`: which steps are branches of which join, and which ones wait side by side
//! * `members`: what is read of all the rows of a case that concerns several

mod guards;
mod layout;
mod members;
mod step;
mod values;

pub use guards::CompiledMilestone;
pub use values::{CURRENCY, OPEN_AMOUNT, Value, value_name};

use std::collections::{BTreeSet, HashMap};

use crate::calendar::Roll;
use crate::dates::{Anchor, DateRule};
use crate::document::{Document, Late, StopRule};
use crate::kinds::{Nature, StepKind};
use crate::people::People;
use crate::template::{TemplateFinding, Templates};

/// A step's number in its version, from 1 in document order; 0 is the start of a planned case.
pub type StepNo = i16;

/// The pseudo-step of a case that has not started yet.
pub const START: StepNo = 0;

/// How many steps are looked at beyond the one that is due.
const LOOKAHEAD: usize = 8;

/// Which columns of a subject's details play which role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    pub email: Option<String>,
    pub phone: Option<String>,
    pub address: Option<String>,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    pub account: Option<String>,
}

/// A way out of a compiled step.
#[derive(Debug)]
pub struct CompiledLeg {
    pub outcome: String,
    /// None: it leads nowhere (an open end), which publishing refuses.
    pub target: Option<StepNo>,
    pub condition: Option<String>,
}

/// A step, ready to run.
#[derive(Debug)]
pub struct CompiledStep {
    pub no: StepNo,
    pub phase: usize,
    pub name: String,
    pub description: Option<String>,
    pub kind: Box<dyn StepKind>,
    pub on: Option<DateRule>,
    pub due: Option<DateRule>,
    pub participant: Option<String>,
    /// What else concerns the people who settle it.
    pub people: People,
    pub when: Option<String>,
    pub merge: bool,
    pub legs: Vec<CompiledLeg>,
    /// Where a token goes that skips the step: the explicit `next`, or the step that follows in the document.
    pub next: Option<StepNo>,
    /// An explicit `next` that names no step.
    pub unknown_next: Option<String>,
    /// Legs whose target names no step: (outcome, name).
    pub unknown_targets: Vec<(String, String)>,
    /// Progress through the workflow, from 1: an event and the actions that follow it share a stage.
    pub stage: i16,
    /// Whether visits must be counted: the step may be reached again.
    pub in_cycle: bool,
    /// Whether another step's date hangs on when this one was done.
    pub is_anchor: bool,
    /// The steps that wait beside it, of which the first one that is over decides.
    pub rivals: Vec<StepNo>,
    /// For a join: how many branches its fork has.
    pub branches: usize,
    /// For a join: how many branches have to come before it goes on, unless no other is under way any more.
    pub needs: usize,
    /// For a join: the steps of its branches, in order.
    pub region: Vec<StepNo>,
    /// The joins of the branches that it lies on, from the inside out.
    pub within: Vec<StepNo>,
    /// The milestones that are about it, by their place in the program.
    pub milestones: Vec<usize>,
    /// Those of them by which a token on it goes elsewhere; for the others, the join around it does.
    pub exits: Vec<usize>,
    /// The section that it lies in, by its place in the document.
    pub section: Option<usize>,
}

impl CompiledStep {
    pub fn is_manual(&self) -> bool {
        matches!(self.kind.nature(), Nature::Manual { .. })
    }

    /// What people read of its task.
    pub fn title(&self) -> String {
        let description = self.description.clone();
        description.unwrap_or_else(|| self.name.clone())
    }

    /// The leg of an outcome.
    pub fn leg(&self, outcome: &str) -> Option<&CompiledLeg> {
        self.legs.iter().find(|leg| leg.outcome == outcome)
    }

    /// The names of all outcomes, for error messages and tasks.
    pub fn outcomes(&self) -> Vec<String> {
        match self.kind.choices() {
            Some(choices) => choices.into_iter().map(str::to_owned).collect(),
            None => self.legs.iter().map(|leg| leg.outcome.clone()).collect(),
        }
    }
}

/// What a read of subject rows must answer: conditions, and columns of the details.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Read {
    /// SQL conditions, each answered with true or false.
    pub conditions: Vec<String>,
    /// Columns by name.
    pub columns: Vec<String>,
    /// SQL expressions, answered as columns under names of their own.
    pub values: Vec<Value>,
}

/// A compiled version.
#[derive(Debug)]
pub struct Program {
    pub document: crate::document::Head,
    pub phases: Vec<String>,
    pub steps: Vec<CompiledStep>,
    pub roles: Roles,
    pub templates: Templates,
    pub template_findings: Vec<TemplateFinding>,
    /// Steps whose name stands twice.
    pub duplicates: Vec<String>,
    pub milestones: Vec<CompiledMilestone>,
    by_name: HashMap<String, StepNo>,
}

impl Program {
    /// Compiles a document. `roles` comes from the subject's binding.
    pub fn compile(document: Document, roles: Roles) -> Self {
        let Document { mut head, phases } = document;
        let paid = head.money.as_ref().and_then(values::paid_rule);
        head.stop.extend(paid);
        let sources = std::mem::take(&mut head.templates);
        let (mut templates, mut template_findings) = Templates::compile(&sources);
        head.templates = sources;

        let mut by_name = HashMap::new();
        let mut duplicates = Vec::new();
        let mut no: StepNo = 0;
        for step in phases.iter().flat_map(|p| &p.steps) {
            no += 1;
            if by_name.insert(step.common.name.clone(), no).is_some() {
                duplicates.push(step.common.name.clone());
            }
        }
        let last = no;

        let mut steps = Vec::with_capacity(usize::try_from(last).unwrap_or(0));
        let mut names = Vec::with_capacity(phases.len());
        for (phase, content) in phases.into_iter().enumerate() {
            names.push(content.name);
            for step in content.steps {
                let no = StepNo::try_from(steps.len() + 1).unwrap_or(StepNo::MAX);
                for (i, text) in step.kind.inline_texts().into_iter().enumerate() {
                    let name = inline_name(&step.common.name, i);
                    template_findings.extend(templates.add_inline(&name, text).err());
                }
                steps.push(step::compile(step, no, phase, last, &by_name));
            }
        }
        let mut program = Self {
            document: head,
            phases: names,
            steps,
            roles,
            templates,
            template_findings,
            duplicates,
            milestones: Vec::new(),
            by_name,
        };
        program.mark_anchors();
        program.number_stages();
        program.lay_out_milestones();
        program.lay_out_sections();
        program.mark_cycles();
        program.lay_out_races();
        program
    }

    /// A step by number. None for `START` and numbers out of range.
    pub fn step(&self, no: StepNo) -> Option<&CompiledStep> {
        usize::try_from(no)
            .ok()?
            .checked_sub(1)
            .and_then(|i| self.steps.get(i))
    }

    /// A step by name.
    pub fn step_named(&self, name: &str) -> Option<&CompiledStep> {
        self.by_name.get(name).and_then(|no| self.step(*no))
    }

    /// The name under which people know a step number.
    pub fn step_name(&self, no: StepNo) -> &str {
        self.step(no).map_or("start", |step| &step.name)
    }

    pub fn stops(&self) -> &[StopRule] {
        &self.document.stop
    }

    /// The calendar of dates that name none.
    pub fn default_calendar(&self) -> &str {
        self.document.calendar.as_deref().unwrap_or("TARGET")
    }

    /// The roll of dates that name none.
    pub fn default_roll(&self) -> Roll {
        self.document.roll.unwrap_or(Roll::Following)
    }

    pub fn late(&self) -> Late {
        self.document.start.as_ref().map_or(Late::Now, |s| s.late)
    }

    /// What enrolling needs: what a change of the subject needs, and the account.
    pub fn start_read(&self) -> Read {
        let mut read = self.watch_read();
        let milestones = read.conditions.len() - self.milestones.len();
        read.conditions.truncate(milestones);
        read.columns.extend(self.roles.account.clone());
        if self
            .document
            .start
            .as_ref()
            .is_some_and(|s| s.retries.is_some())
        {
            let contact = self.contact_columns();
            read.columns
                .extend(contact.map(|(_, column)| column.to_owned()));
        }
        read.columns.sort();
        read.columns.dedup();
        read
    }

    /// Whether a row that answered `start_read` or `watch_read` so gets a case by the start rule: no stop rule holds,
    /// the start condition does, and whatever the shell has added to the conditions.
    pub fn starts(&self, conditions: &[bool]) -> bool {
        let (stops, rest) = conditions.split_at(self.stops().len().min(conditions.len()));
        !stops.contains(&true) && rest.iter().all(|holds| *holds)
    }

    /// What a change of the subject needs: the stop rules' conditions, the start condition (for planned
    /// cases), the milestones', and the columns that dates hang on.
    pub fn watch_read(&self) -> Read {
        let stops = self.stops().iter().map(|s| s.when.clone());
        let start = self.document.start.iter().map(|s| s.when.clone());
        Read {
            conditions: stops
                .chain(start)
                .chain(self.held_by_milestones())
                .collect(),
            columns: self.base_columns().into_iter().collect(),
            values: self.money_values(),
        }
    }

    /// What firing a step needs: the stop rules' conditions, its milestones', then the step's `when` if it has one, then its kind's
    /// own; the columns that dates hang on, and those that its texts use.
    pub fn step_read(&self, step: &CompiledStep) -> Read {
        let stops = self.stops().iter().map(|s| s.when.clone());
        let own = step.kind.conditions().into_iter().map(str::to_owned);
        let mut columns = self.base_columns();
        if self.document.contact_policy.is_some() && step.kind.contact().is_some() {
            // Any of them may be the one that is left.
            for channel in crate::kinds::Channel::ALL {
                columns.extend(self.address_column(channel).map(str::to_owned));
            }
        }
        if let Some(channel) = step.kind.channel() {
            columns.extend(self.address_column(channel).map(str::to_owned));
            columns.extend(self.roles.locale.clone());
            columns.extend(self.roles.account.clone());
        }
        let inline = (0..step.kind.inline_texts().len()).map(|i| inline_name(&step.name, i));
        let named = step.kind.templates().into_iter().map(str::to_owned);
        for template in inline.chain(named) {
            columns.extend(self.templates.variables(&template));
        }
        Read {
            conditions: stops
                .chain(self.milestones_of(step))
                .chain(step.when.clone())
                .chain(own)
                .collect(),
            columns: columns.into_iter().collect(),
            values: self.step_values(step),
        }
    }

    /// The steps that a token on this one may still get to without a person and without an update of the row, this one
    /// first: what one read can answer at once when dates have passed. At most `LOOKAHEAD`.
    pub fn run_on(&self, from: StepNo) -> Vec<StepNo> {
        let mut steps = vec![from];
        let mut next = 0;
        while let Some(step) = steps.get(next).and_then(|no| self.step(*no)) {
            next += 1;
            if step.is_manual() || !step.kind.writes().is_empty() || step.kind.call().is_some() {
                continue;
            }
            let targets = step.legs.iter().filter_map(|leg| leg.target);
            for target in targets.chain(step.next) {
                if !steps.contains(&target) && steps.len() < LOOKAHEAD {
                    steps.push(target);
                }
            }
        }
        steps
    }

    /// The column that holds the address for a channel.
    pub fn address_column(&self, channel: crate::kinds::Channel) -> Option<&str> {
        use crate::kinds::Channel;
        match channel {
            Channel::Email => self.roles.email.as_deref(),
            Channel::Sms | Channel::Voice => self.roles.phone.as_deref(),
            Channel::Letter => self.roles.address.as_deref(),
            Channel::Ticket => None,
        }
    }

    /// Every date rule, with the place it stands in.
    pub fn date_rules(
        &self,
    ) -> impl Iterator<Item = (Option<&CompiledStep>, &'static str, &DateRule)> {
        let start = self.document.start.iter().filter_map(|s| s.on.as_ref());
        let steps = self.steps.iter().flat_map(|step| {
            let on = step.on.iter().map(move |rule| (Some(step), "on", rule));
            let escalation = step.people.escalation.iter();
            on.chain(step.due.iter().map(move |rule| (Some(step), "due", rule)))
                .chain(escalation.map(move |rule| (Some(step), "escalate", rule)))
        });
        start.map(|rule| (None, "on", rule)).chain(steps)
    }

    /// The subject's columns that any date hangs on, and its time zone.
    fn base_columns(&self) -> BTreeSet<String> {
        let anchors = self
            .date_rules()
            .filter_map(|(_, _, rule)| match &rule.anchor {
                Anchor::Subject(column) => Some(column.clone()),
                _ => None,
            });
        anchors.chain(self.roles.time_zone.clone()).collect()
    }

    fn mark_anchors(&mut self) {
        let names: BTreeSet<String> = self
            .date_rules()
            .filter_map(|(_, _, rule)| match &rule.anchor {
                Anchor::Step(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        for step in &mut self.steps {
            step.is_anchor = names.contains(&step.name);
        }
    }

    fn mark_cycles(&mut self) {
        for index in 0..self.steps.len() {
            let no = self.steps[index].no;
            self.steps[index].in_cycle = self.reachable(self.successors(no)).contains(&no);
        }
        // A step that waited in vain beside others comes again with them, even if it leads elsewhere itself.
        let races = self.steps.iter().filter(|s| s.kind.lets_legs_race());
        let again = races.filter(|race| race.in_cycle);
        let legs = again.flat_map(|race| race.legs.iter().filter_map(|leg| leg.target));
        for no in legs.collect::<Vec<_>>() {
            if let Some(step) = self.step_mut(no) {
                step.in_cycle = true;
            }
        }
    }

    /// The steps that a token may go to from here: by its legs, or by skipping.
    pub fn successors(&self, no: StepNo) -> Vec<StepNo> {
        let Some(step) = self.step(no) else {
            return Vec::new();
        };
        let mut targets: Vec<StepNo> = step.legs.iter().filter_map(|leg| leg.target).collect();
        // Where it goes when it is skipped; without a condition a person may still skip it.
        targets.extend(step.next);
        targets.extend(self.exits(step));
        targets
    }

    /// All steps that can be reached from some, these included.
    pub fn reachable(&self, from: Vec<StepNo>) -> BTreeSet<StepNo> {
        let mut seen = vec![false; self.steps.len()];
        let mut open = from;
        while let Some(no) = open.pop() {
            let Some(step) = self.step(no) else { continue };
            let index = usize::try_from(no).unwrap_or(0).saturating_sub(1);
            if !std::mem::replace(&mut seen[index], true) {
                open.extend(step.legs.iter().filter_map(|leg| leg.target));
                open.extend(step.next);
                open.extend(self.exits(step));
            }
        }
        let steps = self.steps.iter().zip(seen);
        steps
            .filter_map(|(step, seen)| seen.then_some(step.no))
            .collect()
    }

    fn number_stages(&mut self) {
        let mut stage = 0;
        for index in 0..self.steps.len() {
            let step = &self.steps[index];
            let starts = index == 0
                || step.kind.begins_stage()
                || step.on.is_some()
                || self.steps[index - 1].phase != step.phase;
            stage += i16::from(starts);
            self.steps[index].stage = stage;
        }
    }
}

/// The name under which a text that stands in a step is compiled. The space keeps it apart from template names.
pub fn inline_name(step: &str, index: usize) -> String {
    format!("{step} text {}", index + 1)
}
