//! One tick of a worker.

use std::time::Duration;

use crate::pg::subtransaction::Failure;

/// What a worker does after a tick.
pub enum Next {
    /// Tick again at once.
    More,
    /// Sleep, for this long at most; None when nothing is planned.
    Idle(Option<Duration>),
}

/// What a worker remembers between ticks.
#[derive(Default)]
pub struct WorkerState;

impl WorkerState {
    /// Remembers nothing yet.
    pub fn new() -> Self {
        Self
    }
}

/// `run` executes its body in a transaction of its own and gives the failure back after rolling it back.
pub fn tick(
    _state: &mut WorkerState,
    _run: &mut dyn FnMut(&mut dyn FnMut()) -> Result<(), Failure>,
) -> Next {
    Next::Idle(None)
}
