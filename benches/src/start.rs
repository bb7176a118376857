//! Starting many cases in one call, against inserts of the rows that it leaves.

use std::time::Instant;

use crate::bare::{self, Commits, STARTED};
use crate::cluster::{self, checkpoint, copy_of};
use crate::report::{figure, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload::{self, WORKFLOW};

/// Measures `start_many_per_s` and `start_many_to_bare_ratio`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let cases = sizes.start_cases;
    let mut invoices = cluster.database("invoices");
    workload::create(&mut invoices, cases, "queued");
    invoices.exec("VACUUM ANALYZE");
    drop(invoices);
    let (mut engine, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=sizes.rounds {
        let mut database = copy_of(&cluster, "invoices");
        checkpoint(&mut database);
        let start = Instant::now();
        workload::start_cases(&mut database, WORKFLOW, 1, cases);
        let starting = start.elapsed();
        database.expect(
            "SELECT c.state, t.state, count(*) FROM wf.cases AS c JOIN wf.case_steps AS t USING (case_id) GROUP BY 1, 2",
            &[format!("running | scheduled | {cases}")],
        );

        // The call is one transaction, and so are the inserts.
        bare::prepare(&mut database, STARTED, Commits::Once);
        let filled = bare::fill(&mut database, STARTED);
        progress(format!(
            "round {round}: start_many {:.2} s; bare {:.2} s for {}",
            starting.as_secs_f64(),
            filled.time.as_secs_f64(),
            filled.rows
        ));
        engine.push(rate(cases, starting));
        bare.push(rate(cases, filled.time));
    }
    figure("start_many_per_s", "cases/s", &engine);
    figure("start_many_to_bare_ratio", "ratio", &ratios(&engine, &bare));
}
