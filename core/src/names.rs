//! Names that are close to a mistyped one, for hints.

/// Longer names get no hint, as comparing them takes time that grows with the square of their length.
const MAX_NAME_BYTES: usize = 200;

/// The known names that are within a few letters of the wanted one, the closest first, at most three.
pub(crate) fn close<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if wanted.len() > MAX_NAME_BYTES {
        return Vec::new();
    }
    let limit = (wanted.chars().count() / 3).clamp(1, 4);
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| {
            (
                distance(&wanted.to_lowercase(), &name.to_lowercase(), limit),
                name,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// "Did you mean …?", if any known name is close.
pub(crate) fn did_you_mean<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let close = close(wanted, known);
    if close.is_empty() {
        return None;
    }
    let quoted: Vec<String> = close.iter().map(|name| format!("\"{name}\"")).collect();
    Some(format!("Did you mean {}?", quoted.join(" or ")))
}

/// Letters to insert, delete, replace or swap; anything above the limit is `limit + 1`.
fn distance(left: &str, right: &str, limit: usize) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().abs_diff(right.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut current = vec![i];
        for j in 1..=right.len() {
            let replace = previous[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replace.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(0).min(limit + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_found_and_far_ones_are_not() {
        let known = ["customer_name", "number", "due_date", "open_amount"];
        assert_eq!(close("custmer_name", known), ["customer_name"]);
        assert_eq!(close("nubmer", known), ["number"]);
        assert_eq!(close("Due_Date", known), ["due_date"]);
        assert!(close("iban", known).is_empty());
        assert_eq!(
            did_you_mean("numbr", known).as_deref(),
            Some("Did you mean \"number\"?")
        );
    }
}
