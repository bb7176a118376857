//! Accounts: what the cases of several workflows about a row have to do with each other.
//!
//! * `exclusive`: a row is in one exclusive case at a time
//! * `strategy`: default strategies rest while their row is in another case; what becomes of them (`facts`: from what)
//! * `together`: workflows of whole accounts, whose rows get one case together
//! * `settings`: which strategy a row has and whether it runs, as people and steps set it
//!
//! Which rows a case concerns is `engine::members`. A batch whose cases are of no exclusive workflow, and whose subjects
//! have no strategies, pays nothing for any of this.

pub mod exclusive;
mod facts;
mod settings;
pub mod strategy;
pub mod together;

use workflow_core::document::Runs;
use workflow_core::game::Effects;

use crate::engine::batch::Loaded;

/// What follows from a batch that has just been written.
pub fn write(cases: &[Loaded], effects: &Effects, actor: &str) {
    let runs = |loaded: &Loaded| loaded.version.program.document.runs;
    if cases.iter().any(|loaded| runs(loaded) == Runs::Exclusive) {
        exclusive::write(cases, effects);
    }
    if cases.iter().any(|c| together::is_of_accounts(&c.version)) {
        together::write(cases);
    }
    if !effects.strategies.is_empty() {
        settings::by_steps(cases, &effects.strategies, actor);
    }
    let has_strategies = |loaded: &Loaded| loaded.version.subject.strategies;
    if cases.iter().any(has_strategies) {
        strategy::follow(cases, effects);
    }
}

/// Whether a case has begun or ended in this batch.
fn begun_or_ended(loaded: &Loaded) -> bool {
    let (state, started) = (loaded.case.state, loaded.case.started_at.is_some());
    match &loaded.before {
        None => started,
        Some(before) => before.started != started || before.state.is_over() != state.is_over(),
    }
}
