//! Figures gathered over the rounds, and how they are printed.

use std::fmt::Display;
use std::time::Duration;

/// The figures in the order in which they first came.
#[derive(Default)]
pub struct Report {
    figures: Vec<Figure>,
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Report {
    /// One round's value of a figure.
    pub fn add(&mut self, name: &'static str, value: f64, unit: &'static str) {
        match self.figures.iter_mut().find(|figure| figure.name == name) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure {
                name,
                unit,
                values: vec![value],
            }),
        }
    }

    /// Prints the median of each figure.
    pub fn print(&self) {
        for figure in &self.figures {
            println!("{}", figure.line());
        }
    }
}

impl Figure {
    fn line(&self) -> String {
        let value = median(&self.values);
        // Ratios need their decimals, counts do not have any worth printing.
        let digits = match value.abs() {
            v if v >= 100.0 => 0,
            v if v >= 10.0 => 1,
            _ => 3,
        };
        format!("{} {value:.digits$} {}", self.name, self.unit)
    }
}

/// The middle value, or the mean of the middle two; NaN of nothing.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// So many a second.
pub fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A line of progress.
pub fn progress(message: impl Display) {
    eprintln!("{message}");
}

#[cfg(test)]
mod tests {
    use super::{Report, median};

    #[test]
    fn the_median_is_the_middle_or_between_the_middle_two() {
        assert!(median(&[]).is_nan());
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_line_has_name_value_and_unit() {
        let mut report = Report::default();
        for value in [40_000.4, 50_000.6, 60_000.0] {
            report.add("steps_per_s", value, "1/s");
        }
        report.add("to_bare_ratio", 0.61234, "ratio");
        let lines: Vec<String> = report.figures.iter().map(|f| f.line()).collect();
        assert_eq!(
            lines,
            ["steps_per_s 50001 1/s", "to_bare_ratio 0.612 ratio"]
        );
    }
}
