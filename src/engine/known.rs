//! What a batch knows of its subjects' rows while its tokens fire, so that each row is read as seldom as possible.
//!
//! One read answers for a step of many cases. When dates have passed, a token runs on from step to step within one
//! batch; then one read answers for all the steps that it may get to. Nothing that a batch does changes the answers,
//! but for the rows that an `update` step writes.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use workflow_core::game::Facts;
use workflow_core::program::{START, StepNo};

use super::batch::{Loaded, questions};
use super::reads::Answers;
use super::versions::Version;

/// From where tokens may run on in a batch: a version remembers whether they do for each of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// Step runs that are due.
    #[default]
    Due,
    /// Step runs whose message has been sent.
    Sent,
}

impl Origin {
    fn ran_on(self, version: &Version) -> &Cell<bool> {
        match self {
            Self::Due => &version.ran_on,
            Self::Sent => &version.ran_on_when_sent,
        }
    }
}

/// The answers that are at hand, by the case's index in its batch.
#[derive(Default)]
pub struct Known {
    step_by_step: bool,
    from: Origin,
    at_hand: HashMap<usize, (Rc<Answers>, usize)>,
    /// Versions of which a case has fired more than once.
    ran_on: HashSet<i32>,
}

impl Known {
    /// Looks at no step before a token stands on it.
    pub fn asking_step_by_step() -> Self {
        Self {
            step_by_step: true,
            ..Self::default()
        }
    }

    /// Looks ahead where tokens that came from there ran on in the last batch.
    pub fn looking_ahead(from: Origin) -> Self {
        Self {
            from,
            ..Self::default()
        }
    }

    /// Sees to it that `facts` has the answers for these cases, all of one version, on a step.
    pub fn ask(&mut self, cases: &[Loaded], step: StepNo, members: &[usize]) {
        let Some(version) = members.first().map(|first| &cases[*first].version) else {
            return;
        };
        let mut missing = Vec::with_capacity(members.len());
        for case in members {
            match self.at_hand.get(case) {
                Some((answers, index)) => {
                    self.ran_on.insert(version.id);
                    if self.step_by_step || answers.facts_of(*index, step).is_none() {
                        missing.push(*case);
                    }
                }
                None => missing.push(*case),
            }
        }
        if missing.is_empty() {
            return;
        }
        let plan = if step == START {
            version.reads.of_start(version)
        } else {
            let ahead = !self.step_by_step && self.from.ran_on(version).get();
            version.reads.of_step(version, step, ahead)
        };
        let answers = Rc::new(plan.ask(&questions(cases, &missing)));
        for (index, case) in missing.into_iter().enumerate() {
            self.at_hand.insert(case, (answers.clone(), index));
        }
    }

    /// The answers for a case on a step that has been asked about.
    pub fn facts(&self, case: usize, step: StepNo) -> Option<Facts<'_>> {
        let (answers, index) = self.at_hand.get(&case)?;
        answers.facts_of(*index, step)
    }

    /// Another row carries a case from now on.
    pub fn forget(&mut self, case: usize) {
        self.at_hand.remove(&case);
    }

    /// An `update` step has written: other rows of the details may look different, too.
    pub fn rows_changed(&mut self) {
        self.at_hand.clear();
    }

    /// Lets the versions know for the next batch whether their tokens ran on in this one.
    pub fn remember(&self, cases: &[Loaded]) {
        for version in cases.iter().map(|loaded| &loaded.version) {
            let ran_on = self.ran_on.contains(&version.id);
            self.from.ran_on(version).set(ran_on);
        }
    }
}
