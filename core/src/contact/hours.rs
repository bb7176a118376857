//! When a channel is open: windows of the policy and of the workflow, in every zone that the person may be in.

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::{Policy, about};
use crate::calendar::Zones;
use crate::window::ContactWindow;
use crate::{Error, ErrorCode};

/// The zones in which a person may be: those that the row names, parted by commas; if the server knows none of them, the
/// candidates; without any, the one zone that all else goes by.
pub fn zones_of(
    row: Option<&str>,
    candidates: &[String],
    otherwise: &str,
    zones: &dyn Zones,
) -> Vec<String> {
    let known = |name: &str| zones.to_local(name, DateTime::<Utc>::UNIX_EPOCH).is_ok();
    let mut found: Vec<String> = Vec::new();
    let named = row.into_iter().flat_map(|text| text.split([',', ';']));
    for name in named.map(str::trim).filter(|name| known(name)) {
        if !found.iter().any(|one| one == name) {
            found.push(name.to_owned());
        }
    }
    if found.is_empty() {
        found = candidates
            .iter()
            .filter(|name| known(name))
            .cloned()
            .collect();
    }
    if found.is_empty() {
        found.push(otherwise.to_owned());
    }
    found
}

/// How far ahead an hour that suits all zones is looked for.
const AHEAD: TimeDelta = TimeDelta::days(15);

/// From when on a channel is open after `at`, and until when. None for the end: there is no window.
///
/// # Errors
/// [`ErrorCode::Definition`] if no hour of two weeks suits all windows and zones; those of [`ContactWindow::opening`].
pub(super) fn opening(
    policy: &Policy,
    channel: &str,
    workflow: Option<&ContactWindow>,
    at: DateTime<Utc>,
    zones: &[String],
    server: &dyn Zones,
) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), Error> {
    let windows = policy.windows.iter();
    let own: Vec<&ContactWindow> = windows
        .filter(|window| about(&window.channels, channel))
        .filter_map(|window| window.hours.as_ref())
        .collect();
    let sets: Vec<Vec<&ContactWindow>> = [own, workflow.into_iter().collect()]
        .into_iter()
        .filter(|set| !set.is_empty())
        .collect();
    if sets.is_empty() {
        return Ok((at, None));
    }
    let mut from = at;
    while from <= at + AHEAD {
        let (mut opens, mut closes) = (from, None::<DateTime<Utc>>);
        for zone in zones {
            for set in &sets {
                let (first, last) = any_of(set, from, zone, server)?;
                opens = opens.max(first);
                closes = Some(closes.map_or(last, |closes| closes.min(last)));
            }
        }
        if opens == from {
            return Ok((from, closes));
        }
        from = opens;
    }
    Err(Error::new(
        ErrorCode::Definition,
        format!(
            "no hour suits the windows of channel {channel} in all of {}",
            zones.join(", ")
        ),
    )
    .hint("Widen the windows, or enter the person's zone."))
}

/// When any window of a set is open after `at`.
fn any_of(
    set: &[&ContactWindow],
    at: DateTime<Utc>,
    zone: &str,
    server: &dyn Zones,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Error> {
    let mut best: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for window in set {
        let (opens, closes) = window.opening(at, zone, server)?;
        best = Some(match best {
            Some((first, last)) if first == opens => (first, last.max(closes)),
            Some(earlier) if earlier.0 < opens => earlier,
            _ => (opens, closes),
        });
    }
    // A set is never empty.
    Ok(best.unwrap_or((at, at)))
}
