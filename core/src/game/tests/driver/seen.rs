//! What a test looks at after a move, as short texts to compare.

use super::Play;
use crate::game::{HistoryRow, TaskRow, Token};
use crate::{Error, ErrorCode};

impl Play {
    /// The token of the only open step run.
    #[track_caller]
    pub fn only(&self) -> &Token {
        assert_eq!(self.open().len(), 1, "{:?}", self.open());
        &self.case.tokens[0]
    }

    /// The open step runs: `step/visit state`, in the order of the document.
    pub fn open(&self) -> Vec<String> {
        let mut tokens: Vec<&Token> = self.case.tokens.iter().collect();
        tokens.sort_by_key(|t| (t.step, t.visit));
        let name = |t: &Token| self.case.program.step_name(t.step).to_owned();
        tokens
            .iter()
            .map(|t| format!("{}/{} {}", name(t), t.visit, t.state.label()))
            .collect()
    }

    /// The history as `event step/visit outcome`; of the case itself, as `event outcome`.
    pub fn history(&self) -> Vec<String> {
        let line = |row: &HistoryRow| {
            let outcome = row
                .outcome
                .as_deref()
                .map_or(String::new(), |o| format!(" {o}"));
            match row.step {
                Some(step) => {
                    let name = self.case.program.step_name(step);
                    format!(
                        "{} {name}/{}{outcome}",
                        row.event.label(),
                        row.visit.unwrap()
                    )
                }
                None => format!("{}{outcome}", row.event.label()),
            }
        };
        self.out.history.iter().map(line).collect()
    }

    /// How many tasks of a kind were made.
    pub fn made(&self, kind: &str) -> usize {
        let of_kind = |t: &&TaskRow| {
            let step = self.case.program.step(t.step);
            step.is_some_and(|s| s.kind.name() == kind)
        };
        self.out.tasks.iter().filter(of_kind).count()
    }

    /// Where the case stands: state, outcome, reason.
    pub fn ended(&self) -> (&'static str, &str, &str) {
        (
            self.case.state.label(),
            self.case.outcome.as_deref().unwrap_or(""),
            self.case.reason.as_deref().unwrap_or(""),
        )
    }
}

/// What an error says, with its SQLSTATE.
pub fn said(result: Result<(), Error>) -> String {
    let error = result.unwrap_err();
    assert!(
        error.hint.is_some() || error.code == ErrorCode::Unknown,
        "{error:?}"
    );
    format!("{}: {}", error.code.sqlstate(), error.message)
}
