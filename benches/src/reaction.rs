//! From the commit of an ERP change to the commit of the message that follows from it, on an idle system.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::{self, await_rest, await_workers, workers_on};
use crate::report::{latencies, median, progress};
use crate::sizes::Sizes;
use crate::workload::{self, PAST};

/// Between two looks for the message.
const POLL: Duration = Duration::from_micros(100);

/// Changes before those that count.
const WARM: u64 = 20;

/// Measures `erp_to_message_p50_ms` and `erp_to_message_p99_ms`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let mut erp = cluster.database(cluster::DATABASE);
    let mut observer = cluster.connect(cluster::DATABASE);
    let changes = WARM + sizes.reactions;
    workload::erp(&mut erp);
    workload::add_invoices(&mut erp, 1, changes, PAST);
    erp.exec("UPDATE invoice SET state = 'draft'");
    erp.exec("TRUNCATE wf.inbox");
    workload::install(
        &mut erp,
        &json!({
            "format": 1,
            "name": "react",
            "title": "A message at once",
            "description": "Made for the benchmark.",
            "subject": "invoice",
            "time_zone": "Europe/Amsterdam",
            "calendar": "TARGET",
            "roll": "following",
            "start": {"when": "state = 'posted' and open_amount > 5"},
            "stop": [{"when": "state = 'paid' or open_amount <= 5", "reason": "paid"}],
            "phases": [{"name": "all", "steps": [
                {"name": "mail", "kind": "email", "description": "Confirm", "template": "mail", "done_when": "queued",
                 "when": "email is not null"},
                {"name": "end", "kind": "finish", "description": "Sent", "outcome": "confirmed"}
            ]}],
            "templates": {"mail": {"subject": "Invoice {{ number }}",
                "body": "Dear {{ customer_name }},\n\nHere is invoice {{ number }} of {{ open_amount | money(currency) }}."}}
        }),
    );
    erp.exec("VACUUM ANALYZE");
    await_workers(&mut erp, 1);
    cluster::checkpoint(&mut erp);
    workers_on(&mut erp);
    await_rest(&mut erp, Instant::now(), Duration::from_secs(60));

    let mut times = Vec::new();
    let mut polls = Vec::new();
    for change in 1..=changes {
        // The worker has gone to sleep again; the pauses differ, so that nothing beats in time with them.
        sleep(Duration::from_millis(15 + change % 17));
        erp.exec(&format!(
            "BEGIN; UPDATE invoice SET state = 'posted' WHERE id = {change}"
        ));
        let start = Instant::now();
        erp.exec("COMMIT");
        loop {
            let asked = Instant::now();
            let rows = observer.rows(&format!(
                "SELECT FROM wf.outbox WHERE message_id = {change} AND aggregateid IS NOT NULL"
            ));
            polls.push(asked.elapsed().as_secs_f64() * 1000.0);
            if !rows.is_empty() {
                break;
            }
            assert!(
                start.elapsed() < Duration::from_secs(90),
                "no message for change {change}"
            );
            sleep(POLL);
        }
        if change > WARM {
            times.push(start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    erp.expect(
        "SELECT state, count(*) FROM wf.outbox GROUP BY state",
        &[format!("queued | {changes}")],
    );
    progress(format!(
        "one look for the message: {:.3} ms, then a pause of {POLL:?}",
        median(&polls)
    ));
    latencies("erp_to_message", &times);
}
