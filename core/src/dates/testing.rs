//! For tests: where the subjects of the scenarios live.

use super::DateContext;
use crate::calendar::testing::TzZones;
use crate::calendar::{Calendars, Roll};

/// Rules are read in Amsterdam; one that names no calendar or no roll takes these.
pub(super) fn in_amsterdam<'a>(
    calendars: &'a dyn Calendars,
    default_calendar: &'a str,
    default_roll: Roll,
) -> DateContext<'a> {
    DateContext {
        zone: "Europe/Amsterdam",
        zones: &TzZones,
        calendars,
        default_calendar,
        default_roll,
    }
}
