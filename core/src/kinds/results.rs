//! Steps whose way on hangs on a text that is known when they are done: the result of a function, the outcome of another
//! case. Some texts lead elsewhere; without any, all of them go on with the step's `next`.

use super::Leg;
use super::control::OTHERWISE;
use super::manual::{self, Choice, check_names};
use crate::finding::Findings;

/// The legs of such a step.
pub(super) fn legs(outcomes: &[Choice], otherwise: Option<&str>) -> Vec<Leg> {
    if outcomes.is_empty() {
        return vec![Leg::next("done")];
    }
    let mut legs = manual::legs(outcomes);
    legs.push(Leg {
        target: otherwise.map(str::to_owned),
        ..Leg::next(OTHERWISE)
    });
    legs
}

/// The leg that a text takes.
pub(super) fn leg_of<'a>(outcomes: &[Choice], text: &'a str) -> &'a str {
    if outcomes.is_empty() {
        "done"
    } else if outcomes.iter().any(|known| known.name == text) {
        text
    } else {
        OTHERWISE
    }
}

/// Findings about the names, and about an `otherwise` that nothing is other than. `what` is what the texts are, in the
/// plural.
pub(super) fn check(
    place: &str,
    what: &str,
    outcomes: &[Choice],
    otherwise: Option<&str>,
    findings: &mut Findings,
) {
    check_names(place, "outcome", outcomes, findings);
    if outcomes.iter().any(|known| known.name == OTHERWISE) {
        findings.error(
            place,
            format!("an outcome is called \"{OTHERWISE}\""),
            format!("Name in otherwise the step that all other {what} lead to."),
        );
    }
    if outcomes.is_empty() && otherwise.is_some() {
        findings.error(
            place,
            "there is an otherwise, and there are no outcomes",
            format!("Name the {what} that lead elsewhere, or say in next where all of them lead."),
        );
    }
}
