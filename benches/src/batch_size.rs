//! How large a batch should be: steps a second and the time of a batch, for several sizes. Not part of a whole run; the
//! table in docs/performance.md comes from here.

use crate::cluster::{self, batch_times, copy_of, work_off};
use crate::report::{figure, percentile, progress, rate};
use crate::sizes::Sizes;
use crate::workload;

/// The sizes that are compared.
const BATCH_SIZES: [u32; 6] = [100, 250, 500, 1000, 2000, 4000];

/// Measures `batch_<size>_steps_per_s` and `batch_<size>_p99_ms`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start_with(&[("track_commit_timestamp", "on")]);
    let cases = sizes.batch_size_cases;
    workload::make_ready(&cluster, "ready", cases, "queued");
    let mut seen = BATCH_SIZES.map(|size| (size, Vec::new(), Vec::new()));
    for round in 0..sizes.rounds {
        // There and back, so that none is always first.
        if round > 0 {
            seen.reverse();
        }
        for (size, rates, times) in &mut seen {
            let mut database = copy_of(&cluster, "ready");
            database.exec(&format!(
                "ALTER SYSTEM SET workflow_engine.batch_size = {size}"
            ));
            let worked = work_off(&mut database);
            workload::check(&mut database, cases, "queued");
            rates.push(rate(cases * workload::STEPS, worked.time));
            times.extend(batch_times(&mut database, "0"));
        }
    }
    seen.sort_by_key(|(size, ..)| *size);
    for (size, rates, times) in &seen {
        progress(format!(
            "{size}: {} batches, median {:.1} ms",
            times.len() + sizes.rounds,
            percentile(times, 0.5)
        ));
        figure(&format!("batch_{size}_steps_per_s"), "steps/s", rates);
        figure(
            &format!("batch_{size}_p99_ms"),
            "ms",
            &[percentile(times, 0.99)],
        );
    }
}
