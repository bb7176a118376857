//! The calls that people and programs make, as the shell makes them.

use super::driver::Play;
use crate::Error;
use crate::game::Settlement;

impl Play {
    /// wf.complete_step.
    pub fn settle(&mut self, step: &str, outcome: Option<&str>) -> Result<(), Error> {
        self.settle_with(step, outcome, None)
    }

    /// wf.complete_step with data.
    pub fn settle_with(
        &mut self,
        step: &str,
        outcome: Option<&str>,
        data: Option<&str>,
    ) -> Result<(), Error> {
        let settlement = Settlement { outcome, data };
        self.call(Some(step), |case, index, facts, env, out| {
            case.settle(index, settlement, facts, env, out)
        })
    }

    /// wf.branch.
    pub fn branch(&mut self, step: &str, leg: &str) -> Result<(), Error> {
        self.call(Some(step), |case, index, facts, env, out| {
            case.branch(index, leg, facts, env, out)
        })
    }

    /// wf.advance.
    pub fn advance(&mut self, step: &str) -> Result<(), Error> {
        self.call(Some(step), |case, index, _, env, _| {
            case.advance(index, env)
        })
    }

    /// wf.skip.
    pub fn skip(&mut self, step: &str) -> Result<(), Error> {
        self.call(Some(step), |case, index, facts, env, out| {
            case.skip(index, None, facts, env, out)
        })
    }

    /// wf.signal.
    pub fn signal(&mut self, name: &str, data: Option<&str>) -> Result<(), Error> {
        self.on_case(|case, facts, env, out| case.signal(name, data, facts, env, out))
    }

    /// wf.cancel_step.
    pub fn cancel_step(&mut self, step: &str, reason: &str) -> Result<(), Error> {
        self.call(Some(step), |case, index, _, env, out| {
            case.cancel_step(index, reason, env, out)
        })
    }

    /// wf.cancel_phase.
    pub fn cancel_phase(&mut self, phase: &str, reason: &str) -> Result<(), Error> {
        self.on_case(|case, facts, env, out| case.cancel_phase(phase, reason, facts, env, out))
    }

    /// wf.retry.
    pub fn retry(&mut self, step: &str) -> Result<(), Error> {
        self.call(Some(step), |case, index, facts, env, out| {
            case.retry(index, facts, env, out)
        })
    }
}
