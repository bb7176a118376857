//! Milestones: when the condition no longer holds without which steps do not go on, what is open there is withdrawn, and the
//! case goes on where the milestone says.

use super::case::Case;
use super::effects::Effects;
use super::{Env, Facts};
use crate::program::{CompiledStep, StepNo};

/// The outcome of a step run that was withdrawn because its milestone no longer holds.
const CEASED: &str = "no longer";

impl Case {
    /// Looks at all milestones; `facts` answers `Program::watch_read`.
    pub fn look_at_milestones(&mut self, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        let program = self.program.clone();
        if program.milestones.is_empty() || !facts.found {
            return;
        }
        let before = program.stops().len() + usize::from(program.document.start.is_some());
        let holds = facts.conditions.get(before..).unwrap_or(&[]);
        for (at, holds) in holds.iter().take(program.milestones.len()).enumerate() {
            if !*holds && !self.state.is_over() {
                self.cease(at, facts, env, out);
            }
        }
    }

    /// Before a step fires: whether one of its milestones does not hold, so that the case leaves it. The other conditions
    /// of the step, if they all hold.
    pub(super) fn ceases_first<'f>(
        &mut self,
        step: &CompiledStep,
        conditions: &'f [bool],
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> Option<&'f [bool]> {
        let count = step.milestones.len().min(conditions.len());
        let (held, rest) = conditions.split_at(count);
        let failing = held.iter().position(|holds| !*holds);
        let Some(failing) = failing else {
            return Some(rest);
        };
        self.cease(step.milestones[failing], facts, env, out);
        None
    }

    /// A milestone no longer holds: what stands on its steps is withdrawn, and for each token that had come there one goes
    /// on elsewhere.
    fn cease(&mut self, at: usize, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        let program = self.program.clone();
        let Some(milestone) = program.milestones.get(at) else {
            return;
        };
        let Some(otherwise) = milestone.otherwise else {
            return;
        };
        // Only those that stand there now: should one come back, it waits for the next look.
        let standing: Vec<(StepNo, i16)> = self.tokens.iter().map(|t| (t.step, t.visit)).collect();
        for (no, visit) in standing {
            let Some(step) = program.step(no).filter(|s| s.milestones.contains(&at)) else {
                continue;
            };
            if self.token_of(no, visit).is_none() {
                continue;
            }
            let leaving = match step.exits.contains(&at) {
                true => Some(step),
                false => program.leaves_with(step, at),
            };
            let leaving = leaving.unwrap_or(step);
            let mut gone: Vec<StepNo> = leaving.region.clone();
            gone.extend(&leaving.rivals);
            gone.push(leaving.no);
            gone.sort_unstable();
            self.withdraw_all(&gone, CEASED, &milestone.reason, out);
            self.arrive(otherwise, facts, env, out);
        }
    }
}
