//! Figures and how they are printed, and the arithmetic behind them.

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Prints a figure, the median of its values; the values themselves go to standard error when there are several.
/// Nothing is printed for no values.
pub fn figure(name: &str, unit: &str, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    if values.len() > 1 {
        progress(format!("{name}: {}", list(values)));
    }
    println!("{}", line(name, unit, median(values)));
}

/// Values with commas between them.
pub fn list(values: &[f64]) -> String {
    let each: Vec<String> = values.iter().map(|value| rounded(*value)).collect();
    each.join(", ")
}

fn line(name: &str, unit: &str, value: f64) -> String {
    format!("{name} {} {unit}", rounded(value))
}

/// Ratios and milliseconds need their decimals, counts do not have any worth printing.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The middle value, or the mean of the middle two; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The smallest value that this share of the values does not exceed; NaN of nothing. `share` is from 0 to 1.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Prints the median and the 99th percentile of milliseconds, as `<name>_p50_ms` and `<name>_p99_ms`.
pub fn latencies(name: &str, values: &[f64]) {
    progress(format!(
        "{name}: {} samples, mean {} ms, p90 {} ms, longest {} ms",
        values.len(),
        rounded(values.iter().sum::<f64>() / values.len() as f64),
        rounded(percentile(values, 0.9)),
        rounded(percentile(values, 1.0)),
    ));
    figure(&format!("{name}_p50_ms"), "ms", &[percentile(values, 0.5)]);
    figure(&format!("{name}_p99_ms"), "ms", &[percentile(values, 0.99)]);
}

/// Measures two sides in turn, so many rounds; every other round begins with the second. The values of each, round by
/// round.
pub fn alternate<C>(
    rounds: usize,
    context: &mut C,
    first: &mut dyn FnMut(&mut C) -> f64,
    second: &mut dyn FnMut(&mut C) -> f64,
) -> (Vec<f64>, Vec<f64>) {
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            firsts.push(first(context));
            seconds.push(second(context));
        } else {
            seconds.push(second(context));
            firsts.push(first(context));
        }
    }
    (firsts, seconds)
}

/// One over the other, round by round.
pub fn ratios(above: &[f64], below: &[f64]) -> Vec<f64> {
    above.iter().zip(below).map(|(a, b)| a / b).collect()
}

/// So many a second.
pub fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A line of progress, with the seconds since the first one.
pub fn progress(message: impl Display) {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let elapsed = FIRST.get_or_init(Instant::now).elapsed();
    eprintln!("[{:6.1}] {message}", elapsed.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::{alternate, line, median, percentile, ratios};

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), 100.0);
        assert_eq!(percentile(&values, 0.99), 198.0);
        assert_eq!(percentile(&values, 1.0), 200.0);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn a_line_has_name_value_and_unit() {
        assert_eq!(
            line("steps_per_s", "steps/s", 50_000.6),
            "steps_per_s 50001 steps/s"
        );
        assert_eq!(
            line("to_bare_ratio", "ratio", 0.61234),
            "to_bare_ratio 0.612 ratio"
        );
        assert_eq!(line("idle_xids", "ids", 0.0), "idle_xids 0 ids");
    }

    #[test]
    fn sides_take_turns_in_going_first() {
        let mut order = String::new();
        let (first, second) = alternate(
            3,
            &mut order,
            &mut |order| {
                order.push('a');
                1.0
            },
            &mut |order| {
                order.push('b');
                2.0
            },
        );
        assert_eq!(order, "abbaab");
        assert_eq!(ratios(&second, &first), [2.0, 2.0, 2.0]);
    }
}
