//! What a soak measures: sizes of tables and indexes, memory of processes, latencies.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use workflow_engine_tests::{Cluster, Session};

/// Tables that hold only what is open, with their indexes, and indexes over what is open in the others: their size
/// follows the number of live cases.
const LIVE: &str = "case_steps, tasks, inbox, outbox_lease, outbox_deferred, outbox_window, outbox_leased_again, \
                    failures_open, holds_case, holds_until";

/// Tables that keep a row of everything that was: their size follows the number of rows.
const KEPT: &str = "cases, case_subjects, outbox, notes";

/// One look at everything.
#[derive(Debug, Default)]
pub struct Sample {
    /// Since the beginning.
    pub at: Duration,
    pub live_cases: i64,
    /// Bytes of what is live, indexes included.
    pub live: BTreeMap<String, f64>,
    /// Bytes a row of what is kept, indexes included.
    pub kept: BTreeMap<String, f64>,
    /// Memory of its own that each process has, in kB; by what the process is.
    pub memory: BTreeMap<String, f64>,
    /// How long calls have taken since the last look, in milliseconds: the median and the 95th of a hundred.
    pub latencies: BTreeMap<String, (f64, f64)>,
}

/// How long calls took.
#[derive(Debug, Default)]
pub struct Latencies(Mutex<BTreeMap<&'static str, Vec<f64>>>);

impl Latencies {
    /// Makes a call and notes how long it took.
    pub fn of<T>(&self, what: &'static str, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let took = start.elapsed().as_secs_f64() * 1_000.0;
        let mut all = self.0.lock().expect("no thread panics with it");
        all.entry(what).or_default().push(took);
        result
    }

    fn take(&self) -> BTreeMap<String, (f64, f64)> {
        let all = std::mem::take(&mut *self.0.lock().expect("no thread panics with it"));
        let of = |mut took: Vec<f64>| {
            took.sort_by(f64::total_cmp);
            (took[took.len() / 2], took[took.len() * 95 / 100])
        };
        all.into_iter()
            .map(|(what, took)| (what.to_owned(), of(took)))
            .collect()
    }
}

/// The memory that is a process's own, in kB.
fn own_memory(pid: i32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Looks at everything. `sessions` are the clients' processes, by name.
pub fn look(
    shop: &mut Session,
    cluster: &Cluster,
    start: Instant,
    latencies: &Latencies,
    sessions: &[(String, i32)],
) -> Sample {
    let sizes = |rows: Vec<Vec<String>>| -> BTreeMap<String, f64> {
        let pairs = rows
            .into_iter()
            .map(|row| (row[0].clone(), row[1].parse().expect("a number")));
        pairs.collect()
    };
    let live = sizes(shop.rows(&format!(
        "SELECT n, pg_total_relation_size(('wf.' || n)::regclass) FROM unnest('{{{LIVE}}}'::text[]) AS n"
    )));
    let mut kept = BTreeMap::new();
    for table in KEPT.split(", ") {
        kept.insert(table.to_owned(), shop.one(&format!(
            "SELECT pg_total_relation_size('wf.{table}')::float8 / greatest(count(*), 1) FROM wf.{table}"
        )));
    }
    let workers = cluster.children_named("workflow");
    let processes = workers
        .iter()
        .enumerate()
        .map(|(n, pid)| (format!("engine {n}"), *pid));
    let memory = processes
        .chain(sessions.iter().cloned())
        .filter_map(|(name, pid)| Some((name, own_memory(pid)?)))
        .collect();
    Sample {
        at: start.elapsed(),
        live_cases: shop.one("SELECT count(*) FROM wf.cases WHERE ended_at IS NULL"),
        live,
        kept,
        memory,
        latencies: latencies.take(),
    }
}

/// Several looks in one: the most that there was of sizes, for they rise until the next vacuum, and of memory; the mean of
/// latencies.
pub fn together(samples: &[Sample]) -> Sample {
    let mut all = Sample::default();
    let count = samples.len() as f64;
    for sample in samples {
        all.at = all.at.max(sample.at);
        all.live_cases = all.live_cases.max(sample.live_cases);
        let sizes = [
            (&mut all.live, &sample.live),
            (&mut all.kept, &sample.kept),
            (&mut all.memory, &sample.memory),
        ];
        for (all, one) in sizes {
            for (name, value) in one {
                let most = all.entry(name.clone()).or_default();
                *most = most.max(*value);
            }
        }
        for (name, (median, most)) in &sample.latencies {
            let mean = all.latencies.entry(name.clone()).or_default();
            *mean = (mean.0 + median / count, mean.1 + most / count);
        }
    }
    all
}

/// How something has grown between two looks.
#[derive(Debug)]
pub struct Growth {
    pub what: String,
    pub before: f64,
    pub after: f64,
    /// How many times as much it may be at most.
    pub bound: f64,
    /// So little is no growth at all.
    pub slack: f64,
}

impl Growth {
    pub fn is_too_much(&self) -> bool {
        self.after > self.before * self.bound && self.after > self.before + self.slack
    }
}

/// Compares two looks.
pub fn growth(before: &Sample, after: &Sample) -> Vec<Growth> {
    let of = |what: &str,
              before: &BTreeMap<String, f64>,
              after: &BTreeMap<String, f64>,
              bound: f64,
              slack: f64| {
        let both = before
            .iter()
            .filter_map(|(name, old)| Some((name, *old, *after.get(name)?)));
        both.map(|(name, before, after)| Growth {
            what: format!("{what} {name}"),
            before,
            after,
            bound,
            slack,
        })
        .collect::<Vec<_>>()
    };
    let medians = |sample: &Sample| -> BTreeMap<String, f64> {
        let all = sample.latencies.iter();
        all.map(|(what, (median, _))| (what.clone(), *median))
            .collect()
    };
    let mut all = of("bytes of", &before.live, &after.live, 1.5, 64.0 * 1024.0);
    all.extend(of("bytes a row of", &before.kept, &after.kept, 1.5, 0.0));
    all.extend(of(
        "kB of",
        &before.memory,
        &after.memory,
        1.5,
        4.0 * 1024.0,
    ));
    all.extend(of("ms of", &medians(before), &medians(after), 3.0, 5.0));
    all
}
