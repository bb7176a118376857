//! Measures the installed extension and prints the figures: `name value unit`, one a line, on standard output.
//! Progress and what a figure is made of go to standard error. docs/performance.md says what the figures mean.
//!
//! `BENCH=short` takes fewer cases and one round. The servers are private clusters of the tests' harness: `PG_CONFIG`
//! names the installation, `TMPDIR` the folder.

mod bare;
mod cluster;
mod report;
mod steps;
mod workload;

use report::Report;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Cases of three messages each.
    pub cases: u64,
    /// Rounds, each of the engine and of the bare tables; the figures are medians over them.
    pub rounds: u32,
}

impl Size {
    const FULL: Self = Self {
        cases: 200_000,
        rounds: 3,
    };
    const SHORT: Self = Self {
        cases: 20_000,
        rounds: 1,
    };

    fn from_environment() -> Result<Self, String> {
        match std::env::var("BENCH").as_deref() {
            Err(_) | Ok("" | "full") => Ok(Self::FULL),
            Ok("short") => Ok(Self::SHORT),
            Ok(other) => Err(format!("BENCH={other} is not known: short, or nothing")),
        }
    }
}

fn main() {
    let size = match Size::from_environment() {
        Ok(size) => size,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let mut report = Report::default();
    steps::measure(size, &mut report);
    report.print();
}
