//! Default strategies: what becomes of the one of a row, from what is set for it and what the row is in.
//!
//! Which strategy a row has, and whether that runs, is set for all rows, for an account, or for the row itself; the nearest
//! counts. While the row is in a case of another workflow, its strategy rests, and goes on afterwards.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether a strategy runs, as somebody has set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Running,
    Paused,
    /// For good.
    Stopped,
}

impl Status {
    /// Its name in SQL.
    pub fn label(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }

    /// The one of this name.
    pub fn from_label(label: &str) -> Option<Self> {
        [Status::Running, Status::Paused, Status::Stopped]
            .into_iter()
            .find(|status| status.label() == label)
    }
}

/// What somebody does to a strategy.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Nothing of it fires until it is resumed.
    Pause,
    /// It goes on where it was paused.
    Resume,
    /// It ends for good.
    Stop,
}

impl Verb {
    /// The status that it leads to.
    pub fn leads_to(self) -> Status {
        match self {
            Verb::Pause => Status::Paused,
            Verb::Resume => Status::Running,
            Verb::Stop => Status::Stopped,
        }
    }
}

/// What is known of a row and its strategy. Workflows are given by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    /// The strategy that it is to have.
    pub wanted: Option<i32>,
    pub status: Status,
    /// It is in a case of another workflow.
    pub elsewhere: bool,
    /// The strategy that it has a case of.
    pub open: Option<i32>,
    /// The strategy that it had last, and whether it may have that again: a stop rule ended it.
    pub earlier: Option<(i32, bool)>,
}

/// What is to be done about a row's strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// There is nothing to do, or nothing yet.
    Nothing,
    /// Its start condition decides.
    Start,
    /// Its case stays, on hold or not.
    Keep { paused: bool, resting: bool },
    /// Its case ends, for this reason; another strategy may follow.
    End { reason: &'static str },
}

impl Claim {
    /// Decides.
    pub fn then(&self) -> Then {
        match (self.open, self.wanted) {
            (Some(_), _) if self.status == Status::Stopped => Then::End {
                reason: "strategy stopped",
            },
            (Some(open), wanted) if wanted != Some(open) => Then::End {
                reason: "another strategy",
            },
            (Some(_), _) => Then::Keep {
                paused: self.status == Status::Paused,
                resting: self.elsewhere,
            },
            (None, Some(wanted)) => {
                let had = self.earlier.filter(|(workflow, _)| *workflow == wanted);
                let may = had.is_none_or(|(_, again)| again);
                if may && self.status == Status::Running && !self.elsewhere {
                    Then::Start
                } else {
                    Then::Nothing
                }
            }
            (None, None) => Then::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: Claim = Claim {
        wanted: Some(1),
        status: Status::Running,
        elsewhere: false,
        open: Some(1),
        earlier: None,
    };

    #[test]
    fn rcv_04_a_row_that_is_in_another_case_leaves_its_strategy_and_returns() {
        let elsewhere = Claim {
            elsewhere: true,
            ..RUNS
        };
        let keeps = |paused, resting| Then::Keep { paused, resting };
        assert_eq!(elsewhere.then(), keeps(false, true));
        assert_eq!(RUNS.then(), keeps(false, false));
        let new = Claim { open: None, ..RUNS };
        assert_eq!(new.then(), Then::Start);
        let new_elsewhere = Claim {
            open: None,
            ..elsewhere
        };
        assert_eq!(new_elsewhere.then(), Then::Nothing);
    }

    #[test]
    fn rcv_27_paused_it_stays_and_stopped_it_ends_for_good() {
        let with = |status, open| Claim {
            status,
            open,
            ..RUNS
        };
        let keep = Then::Keep {
            paused: true,
            resting: false,
        };
        assert_eq!(with(Status::Paused, Some(1)).then(), keep);
        assert_eq!(with(Status::Paused, None).then(), Then::Nothing);
        let end = Then::End {
            reason: "strategy stopped",
        };
        assert_eq!(with(Status::Stopped, Some(1)).then(), end);
        for status in [Status::Running, Status::Stopped] {
            let ended = Claim {
                earlier: Some((1, false)),
                ..with(status, None)
            };
            assert_eq!(ended.then(), Then::Nothing, "{status:?}");
        }
    }

    #[test]
    fn rcv_05_another_strategy_takes_the_place_of_the_one_before() {
        let changed = Claim {
            wanted: Some(2),
            ..RUNS
        };
        let end = Then::End {
            reason: "another strategy",
        };
        assert_eq!(changed.then(), end);
        let ended = Claim {
            open: None,
            earlier: Some((1, false)),
            ..changed
        };
        assert_eq!(ended.then(), Then::Start);
        let none = Claim {
            wanted: None,
            ..RUNS
        };
        assert_eq!(none.then(), end);
        let paid_once = Claim {
            open: None,
            earlier: Some((1, true)),
            ..RUNS
        };
        assert_eq!(paid_once.then(), Then::Start);
    }

    #[test]
    fn labels_are_read_back() {
        for verb in [Verb::Pause, Verb::Resume, Verb::Stop] {
            let status = verb.leads_to();
            assert_eq!(Status::from_label(status.label()), Some(status));
        }
        assert_eq!(Status::from_label("resting"), None);
    }
}
