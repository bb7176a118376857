//! The walk-throughs that must come out exactly, driven by the frozen clock, through SQL alone.
//!
//! Zone Europe/Amsterdam, contact window Mon-Fri 08:00-20:00, calendar TARGET, roll `following`, and a sender that
//! acknowledges at once, unless a test says otherwise.

mod anchor_moves;
mod dates;
mod holidays;
mod outage;
mod refusals;
mod reminders;
mod scope_10;
mod sending;
