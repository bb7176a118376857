//! Sections, in which one case is at a time. A case waits outside with a step run that has not fired yet, and never holds
//! one section while a step run of it needs another to go on: so nobody can wait in a circle (see `validate::guards`).

use super::Env;
use super::case::{Case, Token};
use super::effects::{Effects, Entering};
use super::states::TokenState;
use crate::guards::Per;
use crate::program::CompiledStep;

impl Case {
    /// Before a step fires: whether its token has to wait for others to leave the step's section. The shell is asked, and
    /// lets it in with `comes_in`.
    pub(super) fn waits_outside(
        &mut self,
        index: usize,
        step: &CompiledStep,
        out: &mut Effects,
    ) -> bool {
        let program = self.program.clone();
        let Some(section) = program.section(step) else {
            return false;
        };
        if self.memory.sections.get(&section.name) == Some(&true) {
            return false;
        }
        self.memory.sections.insert(section.name.clone(), false);
        let token = &self.tokens[index];
        out.entering.push(Entering {
            case_id: self.id,
            step: token.step,
            visit: token.visit,
            section: section.name.clone(),
            account: section.per == Per::Account,
        });
        self.wait(index);
        true
    }

    /// It is the case's turn: what waited outside the section fires.
    pub fn comes_in(&mut self, section: &str, env: &Env<'_>) {
        let Some(inside) = self.memory.sections.get_mut(section) else {
            return;
        };
        if std::mem::replace(inside, true) {
            return;
        }
        let program = self.program.clone();
        let state = self.waiting();
        for token in &mut self.tokens {
            let lies_in = program
                .step(token.step)
                .and_then(|step| program.section(step))
                .is_some_and(|s| s.name == section);
            if lies_in && token.state == TokenState::Waiting {
                token.state = state;
                token.run_at = Some(env.now);
            }
        }
    }

    /// Whether the case is in a section, waits outside, or has come back to it.
    pub fn wants_section(&self, section: &str) -> bool {
        self.memory.sections.contains_key(section)
    }

    /// Whether a token waits outside its step's section.
    pub fn is_outside(&self, token: &Token) -> Option<&str> {
        let step = self.program.step(token.step)?;
        let section = self.program.section(step)?;
        let outside = self.memory.sections.get(&section.name) == Some(&false);
        (outside && token.state == TokenState::Waiting).then_some(&section.name)
    }

    /// Somebody else is just looking who is next: the step run asks again shortly.
    pub fn asks_again(&mut self, entering: &Entering, env: &Env<'_>) {
        let state = self.waiting();
        if let Some(index) = self.token_of(entering.step, entering.visit) {
            let token = &mut self.tokens[index];
            token.state = state;
            token.run_at = Some(env.now + chrono::TimeDelta::seconds(1));
        }
    }

    /// The sections that the case was in or waited for, and in which no step run of it is any more. It forgets them.
    pub fn left_sections(&mut self) -> Vec<String> {
        let program = self.program.clone();
        let tokens = &self.tokens;
        let still = |name: &String| {
            tokens.iter().any(|token| {
                let section = program.step(token.step).and_then(|s| program.section(s));
                section.is_some_and(|s| s.name == *name)
            })
        };
        let left: Vec<String> = self
            .memory
            .sections
            .keys()
            .filter(|name| !still(name))
            .cloned()
            .collect();
        for name in &left {
            self.memory.sections.remove(name);
        }
        left
    }
}
