//! The token game, played in memory: a driver that does what the shell does, in waves, with a table row for a subject.

mod another;
mod branches;
mod calls;
mod cancel;
pub(crate) mod driver;
mod events;
mod hold;
mod members;
mod outage;
mod parallel;
pub(crate) mod pieces;
pub(crate) mod random;
mod scenarios;
mod steps;
mod verbs;

use serde_json::json;

use driver::{Play, said, with, workflow};

use super::*;
use crate::ErrorCode;
use crate::calendar::testing::{amsterdam, utc};
use crate::row::ColumnType;
