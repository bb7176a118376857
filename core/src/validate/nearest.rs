//! Hints for names that name nothing.

/// `Did you mean "x"?` if one of the known names is within a few letters, else what to do without such a guess.
pub(super) fn hint<'a>(
    wanted: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    let limit = wanted.chars().count() / 3 + 1;
    let near = known
        .into_iter()
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min();
    match near {
        Some((_, name)) => format!("Did you mean \"{name}\"?"),
        None => otherwise.to_owned(),
    }
}

/// Letters to insert, delete or replace, upper and lower case being the same.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, letter) in left.to_lowercase().chars().enumerate() {
        let mut current = vec![i + 1];
        for (j, other) in right.iter().enumerate() {
            let replaced = previous[j] + usize::from(letter != *other);
            current.push(replaced.min(previous[j + 1] + 1).min(current[j] + 1));
        }
        previous = current;
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn close_names_are_offered_and_far_ones_are_not() {
        let known = ["b_note", "a_note", "finish"];
        let hint = |wanted| hint(wanted, known, "Name a step.");
        assert_eq!(hint("b_nte"), "Did you mean \"b_note\"?");
        assert_eq!(hint("Finish"), "Did you mean \"finish\"?");
        assert_eq!(hint("review"), "Name a step.");
        assert_eq!(hint(""), "Name a step.");
    }
}
