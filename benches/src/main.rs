//! Measures the installed extension and prints the figures: `name value unit`, one a line, on standard output, each as
//! soon as it is known. Progress and what a figure is made of go to standard error. docs/performance.md says what the
//! figures mean.
//!
//! `BENCH=short` takes smaller sizes, `BENCH_ONLY=name,name` only these groups; `BENCH_PLOT=path` has the group
//! `waiting` draw a plot. The servers are private clusters of the
//! tests' harness: `PG_CONFIG` names the installation, `TMPDIR` the folder.

mod bare;
mod batch_size;
mod bulk;
mod calls;
mod cluster;
mod history;
mod idle;
mod memory;
mod plot;
mod reaction;
mod report;
mod sent;
mod single;
mod size;
mod sizes;
mod snapshot;
mod start;
mod throughput;
mod waiting;
mod workers;
mod workload;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use report::progress;
use sizes::Sizes;

/// Figures that are measured together.
struct Group {
    name: &'static str,
    /// Measured unless `BENCH_ONLY` names others.
    by_default: bool,
    measure: fn(&Sizes),
}

const fn group(name: &'static str, measure: fn(&Sizes)) -> Group {
    Group {
        name,
        by_default: true,
        measure,
    }
}

/// All groups, those that are soon done first.
const GROUPS: &[Group] = &[
    group("throughput", throughput::measure),
    group("start", start::measure),
    group("sent", sent::measure),
    group("workers", workers::measure),
    group("calls", calls::measure),
    group("reaction", reaction::measure),
    group("bulk", bulk::measure),
    group("single", single::measure),
    group("size", size::measure),
    group("idle", idle::measure),
    group("memory", memory::measure),
    group("waiting", waiting::measure),
    group("history", history::measure),
    group("snapshot", snapshot::measure),
    Group {
        name: "batch_size",
        by_default: false,
        measure: batch_size::measure,
    },
];

fn main() {
    let (sizes, groups) = match Sizes::from_environment().and_then(|s| Ok((s, chosen()?))) {
        Ok(found) => found,
        Err(message) => {
            eprintln!("{message}");
            std::process::exit(2);
        }
    };
    let mut failed = Vec::new();
    for group in groups {
        progress(format!("--- {}", group.name));
        let start = Instant::now();
        // A figure that cannot be had does not cost the others; the panic has said why.
        if catch_unwind(AssertUnwindSafe(|| (group.measure)(&sizes))).is_err() {
            failed.push(group.name);
        }
        progress(format!(
            "--- {}: {:.0} s",
            group.name,
            start.elapsed().as_secs_f64()
        ));
    }
    if !failed.is_empty() {
        eprintln!("no figures, or not all, of: {}", failed.join(", "));
        std::process::exit(1);
    }
}

/// The groups that `BENCH_ONLY` names, or those of a whole run.
fn chosen() -> Result<Vec<&'static Group>, String> {
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let names: Vec<&str> = only
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let known: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(format!(
            "BENCH_ONLY: no group {name}; there are {}",
            known.join(", ")
        )),
        None => Ok(GROUPS
            .iter()
            .filter(|group| match names[..] {
                [] => group.by_default,
                _ => names.contains(&group.name),
            })
            .collect()),
    }
}
