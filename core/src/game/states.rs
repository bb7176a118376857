//! The states of cases and their tokens, as SQL names them.

/// The states of a case (wf.case_state).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseState {
    Planned,
    Running,
    Held,
    Completed,
    Cancelled,
}

impl CaseState {
    /// The label of the type wf.case_state.
    pub fn label(self) -> &'static str {
        match self {
            CaseState::Planned => "planned",
            CaseState::Running => "running",
            CaseState::Held => "held",
            CaseState::Completed => "completed",
            CaseState::Cancelled => "cancelled",
        }
    }

    /// The state of a label.
    pub fn from_label(label: &str) -> Option<Self> {
        [
            Self::Planned,
            Self::Running,
            Self::Held,
            Self::Completed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|state| state.label() == label)
    }

    pub fn is_over(self) -> bool {
        matches!(self, CaseState::Completed | CaseState::Cancelled)
    }
}

/// The states of a token (wf.step_state).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// The engine acts on it at `run_at`; without one it waits for a date that is not known yet.
    Scheduled,
    /// A person has to settle it.
    Open,
    /// Its message is on the way.
    Sending,
    /// It waits at a join for the other branches.
    Joining,
    /// It waits for a signal, or for something to become true of the subject.
    Waiting,
    /// It would be scheduled, but the case is on hold.
    Held,
    /// It failed for good and waits for wf.retry or wf.skip.
    Failed,
}

impl TokenState {
    /// The label of the type wf.step_state.
    pub fn label(self) -> &'static str {
        match self {
            TokenState::Scheduled => "scheduled",
            TokenState::Open => "open",
            TokenState::Sending => "sending",
            TokenState::Joining => "joining",
            TokenState::Waiting => "waiting",
            TokenState::Held => "held",
            TokenState::Failed => "failed",
        }
    }

    /// The state of a label.
    pub fn from_label(label: &str) -> Option<Self> {
        [
            Self::Scheduled,
            Self::Open,
            Self::Sending,
            Self::Joining,
            Self::Waiting,
            Self::Held,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.label() == label)
    }
}
