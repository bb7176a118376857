//! Whether an old snapshot, such as a report's that runs for long, slows the queue down: dead rows that vacuum may not
//! remove pile up where the queue is read.
//!
//! Two databases of one cluster get the same load at the same time. In one of them a snapshot is open; it holds back
//! vacuum in its own database only.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use workflow_engine_tests::Session;

use crate::cluster::{self, await_rest, workers_off, workers_on};
use crate::report::{alternate, figure, list, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload::{self, STEPS, WORKFLOW, run_cases};

/// Portions of the load in each second.
const PORTIONS: u64 = 4;

/// Measures `old_snapshot_ratio`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start_with(&[("workflow_engine.databases", "held,free")]);
    let load = sizes.load_seconds * sizes.load_cases_per_s;
    let measured = sizes.loaded_cases * sizes.rounds as u64;
    let [mut held, mut free] = ["held", "free"].map(|name| {
        let mut database = cluster.database(name);
        workload::create(&mut database, 0, "queued");
        let mut from = 1;
        while from <= load + measured {
            let to = (from + 99_999).min(load + measured);
            workload::add_invoices(&mut database, from, to, workload::PAST);
            from = to + 1;
        }
        database.exec("VACUUM ANALYZE");
        database
    });
    let mut holder = cluster.connect("held");
    holder.exec("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM wf.case_steps");

    workers_on(&mut held);
    let start = Instant::now();
    scope(|threads| {
        for database in [&mut held, &mut free] {
            threads.spawn(|| feed(database, sizes));
        }
    });
    for database in [&mut held, &mut free] {
        await_rest(database, start, Duration::from_secs(3600));
    }
    progress(format!(
        "the load took {:.0} s",
        start.elapsed().as_secs_f64()
    ));
    for database in [&mut held, &mut free] {
        workers_off(database);
        database.expect(
            "SELECT state, count(*) FROM wf.cases GROUP BY state",
            &[format!("completed | {load}")],
        );
        let dead: String = database.one(
            "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relid = 'wf.case_steps'::regclass",
        );
        progress(format!(
            "{load} cases have run: {dead} dead rows in case_steps"
        ));
    }

    let cases = sizes.loaded_cases;
    let mut runs = [0_u64; 2];
    let mut steps_per_s = |database: &mut Session, side: usize| {
        let from = load + runs[side] * cases + 1;
        runs[side] += 1;
        rate(
            cases * STEPS,
            run_cases(database, from, from + cases - 1).time,
        )
    };
    let mut sides = (held, free, &mut steps_per_s);
    let (with, without) = alternate(
        sizes.rounds,
        &mut sides,
        &mut |(held, _, steps_per_s)| steps_per_s(held, 0),
        &mut |(_, free, steps_per_s)| steps_per_s(free, 1),
    );
    progress(format!(
        "with the snapshot: {} steps/s; without: {} steps/s",
        list(&with),
        list(&without)
    ));
    holder.exec("COMMIT");
    figure("old_snapshot_ratio", "ratio", &ratios(&with, &without));
}

/// Starts cases at a steady pace.
fn feed(database: &mut Session, sizes: &Sizes) {
    let start = Instant::now();
    let portion = sizes.load_cases_per_s / PORTIONS;
    for number in 0..sizes.load_seconds * PORTIONS {
        let at = Duration::from_millis(number * 1000 / PORTIONS);
        sleep(at.saturating_sub(start.elapsed()));
        let from = number * portion + 1;
        workload::start_cases(database, WORKFLOW, from, from + portion - 1);
    }
}
