//! Whether cases that wait for future dates slow down those that are due: many against few, and a plot over their number.

use std::path::Path;

use workflow_engine_tests::Session;

use crate::calls::{desk, timed_completes};
use crate::cluster::{self, await_autovacuum, batch_times, last_message};
use crate::plot::{Panel, Scale, Series, draw};
use crate::report::{alternate, figure, list, percentile, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload::{self, STEPS, add_waiting, run_cases};

/// The tables in which waiting cases have rows.
const TABLES: [&str; 3] = ["cases", "case_subjects", "case_steps"];

/// Calls of `wf.complete` at each point of the plot, and those before them.
const CALLS: u64 = 1000;
const WARM: u64 = 300;

/// Measures `waiting_ratio`; draws a plot if `BENCH_PLOT` names a file for it.
pub fn measure(sizes: &Sizes) {
    let changes = [
        ("workflow_engine.databases", "many,few"),
        ("track_commit_timestamp", "on"),
    ];
    let cluster = cluster::start_with(&changes);
    let (many, few) = sizes.waiting;
    let [mut many_waiting, mut few_waiting] = ["many", "few"].map(|name| {
        let mut database = cluster.database(name);
        workload::create(&mut database, sizes.extra_cases, "queued");
        workload::install(&mut database, &desk("desk"));
        database
    });
    add_waiting(&mut few_waiting, sizes.extra_cases + 1, few);
    if let Some(path) = std::env::var_os("BENCH_PLOT").filter(|path| !path.is_empty()) {
        plot(&mut many_waiting, sizes, Path::new(&path));
    } else {
        add_waiting(&mut many_waiting, sizes.extra_cases + 1, many);
    }
    for database in [&mut many_waiting, &mut few_waiting] {
        await_autovacuum(database, &TABLES);
    }

    let cases = sizes.extra_cases;
    let steps_per_s =
        |database: &mut Session| rate(cases * STEPS, run_cases(database, 1, cases).time);
    let (with_many, with_few) = alternate(
        sizes.rounds,
        &mut (many_waiting, few_waiting),
        &mut |(many, _)| steps_per_s(many),
        &mut |(_, few)| steps_per_s(few),
    );
    progress(format!(
        "{many} waiting: {} steps/s; {few} waiting: {} steps/s",
        list(&with_many),
        list(&with_few)
    ));
    figure("waiting_ratio", "ratio", &ratios(&with_many, &with_few));
}

/// Measures at rising numbers of waiting cases, up to the many, and draws what came out.
fn plot(database: &mut Session, sizes: &Sizes, path: &Path) {
    let (mut rates, mut batches, mut completes) = (Vec::new(), Vec::new(), Vec::new());
    let mut waiting = 0;
    // Invoices of the past that have no case of the workflow with tasks yet.
    let mut fresh = 1;
    for &point in sizes.plotted {
        add_waiting(database, sizes.extra_cases + 1 + waiting, point - waiting);
        waiting = point;
        await_autovacuum(database, &TABLES);
        let before = last_message(database);
        let worked = run_cases(database, 1, sizes.extra_cases);
        let times = batch_times(database, &before);
        workload::start_cases(database, "desk", fresh, fresh + WARM + CALLS - 1);
        fresh += WARM + CALLS;
        let calls = timed_completes(database, "desk", WARM, CALLS);
        let x = point as f64;
        rates.push((x, rate(sizes.extra_cases * STEPS, worked.time)));
        batches.push((x, percentile(&times, 0.99)));
        completes.push((x, percentile(&calls, 0.99)));
        progress(format!(
            "{point} waiting: {:.0} steps/s; p99 of a batch {:.1} ms, of wf.complete {:.2} ms",
            rates.last().map_or(0.0, |(_, y)| *y),
            percentile(&times, 0.99),
            percentile(&calls, 0.99)
        ));
    }
    let batch: String = database.one("SHOW workflow_engine.batch_size");
    let panels = [
        Panel {
            title: "Message steps a second, one worker",
            y_unit: "steps/s",
            y_scale: Scale::Linear,
            series: vec![Series {
                name: "three-step message cases".to_owned(),
                points: rates,
            }],
        },
        Panel {
            title: "99th percentile of the time, in milliseconds",
            y_unit: "ms",
            y_scale: Scale::Logarithmic,
            series: vec![
                Series {
                    name: format!("one batch of {batch} cases, {STEPS} steps each"),
                    points: batches,
                },
                Series {
                    name: "one call of wf.complete".to_owned(),
                    points: completes,
                },
            ],
        },
    ];
    let svg = draw("Cases waiting for future dates", &panels);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .unwrap_or_else(|error| panic!("cannot make {folder:?}: {error}"));
    }
    std::fs::write(path, svg).unwrap_or_else(|error| panic!("cannot write {path:?}: {error}"));
    progress(format!("the plot is in {}", path.display()));
}
