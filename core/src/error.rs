//! The one error type of the rules. The shell turns it into a PostgreSQL error with SQLSTATE, detail and hint.

use std::fmt;

/// What kind of thing went wrong; each has one SQLSTATE in the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The definition cannot be read or is not sound (SQLSTATE 22023).
    Definition,
    /// The document is not JSON (22032).
    Json,
    /// No such time zone (22023).
    TimeZone,
    /// A calendar does not exist or does not know the year (22023).
    Calendar,
    /// A date rule leads nowhere: its anchor is empty or out of range (22004).
    Anchor,
    /// A template fails to compile or to render (22023).
    Template,
    /// The subject's row lacks what the step needs, such as an address (22004).
    MissingValue,
    /// The call does not fit the state of the case or step (55000).
    State,
    /// No such step, leg or outcome (42704).
    Unknown,
    /// The name is taken (42710).
    Duplicate,
    /// What somebody gave with a call will not do (22023).
    Input,
    /// Somebody else has to do it (42501).
    NotYours,
}

impl ErrorCode {
    /// The SQLSTATE under which the shell raises it.
    pub fn sqlstate(self) -> &'static str {
        match self {
            ErrorCode::Definition
            | ErrorCode::TimeZone
            | ErrorCode::Calendar
            | ErrorCode::Template
            | ErrorCode::Input => "22023",
            ErrorCode::Json => "22032",
            ErrorCode::Anchor | ErrorCode::MissingValue => "22004",
            ErrorCode::State => "55000",
            ErrorCode::Unknown => "42704",
            ErrorCode::Duplicate => "42710",
            ErrorCode::NotYours => "42501",
        }
    }
}

/// An error a person can act on: what happened, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: ErrorCode,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Error {
    /// An error with its message, as PostgreSQL words them: lower case, no full stop.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// Says at which step it happened.
    #[must_use]
    pub fn of_step(self, step: &str) -> Self {
        Self {
            message: format!("step \"{step}\": {}", self.message),
            ..self
        }
    }

    /// Adds the detail: facts beyond the message, in full sentences.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the hint: what to do about it, in full sentences.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
