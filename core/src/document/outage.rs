//! What a document says about messages whose day has passed.

use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of messages whose day has passed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// Which of several messages of a case go out.
    pub policy: OutagePolicy,
    /// With `replay`: how long to wait between two of them.
    #[serde(default = "Outage::an_hour")]
    pub gap_minutes: u32,
}

impl Outage {
    fn an_hour() -> u32 {
        60
    }
}

/// Which of several messages of a case go out whose day has passed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum OutagePolicy {
    /// The newest; the others are skipped as `expired`.
    Latest,
    /// All of them, in order.
    Replay,
}
