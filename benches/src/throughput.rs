//! Throughput: how fast one worker takes cases from step to step, against inserts of the rows that it leaves.

use crate::bare::{self, Commits, WORKED};
use crate::cluster::{self, copy_of, work_off};
use crate::report::{figure, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload;

/// Measures `engine_steps_per_s`, `bare_rows_steps_per_s`, `engine_to_bare_ratio` and `wal_bytes_per_step`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let cases = sizes.throughput_cases;
    let steps = cases * workload::STEPS;
    workload::make_ready(&cluster, "ready", cases, "queued");
    let (mut engine, mut bare, mut wal) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=sizes.rounds {
        let mut database = copy_of(&cluster, "ready");
        let worker = cluster::workers(&mut database);
        progress(format!("round {round}: the worker is {worker:?}"));
        let worked = work_off(&mut database);
        workload::check(&mut database, cases, "queued");

        bare::prepare(&mut database, WORKED, Commits::EachBatch);
        let filled = bare::fill(&mut database, WORKED);
        let body: String =
            database.one("SELECT round(avg(octet_length(payload ->> 'body'))) FROM source.outbox");
        progress(format!(
            "round {round}: {steps} steps with bodies of {body} bytes; worker {:.2} s; bare {:.2} s for {}",
            worked.time.as_secs_f64(),
            filled.time.as_secs_f64(),
            filled.rows,
        ));
        engine.push(rate(steps, worked.time));
        bare.push(rate(steps, filled.time));
        wal.push(worked.wal as f64 / steps as f64);
    }
    figure("engine_steps_per_s", "steps/s", &engine);
    figure("bare_rows_steps_per_s", "steps/s", &bare);
    figure("engine_to_bare_ratio", "ratio", &ratios(&engine, &bare));
    figure("wal_bytes_per_step", "bytes", &wal);
}
