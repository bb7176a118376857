//! What one call of `wf.start` and of `wf.complete` takes: on the server, in a session that has made such calls before,
//! each in a transaction of its own whose commit is not counted.

use serde_json::{Value, json};
use workflow_engine_tests::Session;

use crate::cluster;
use crate::report::{latencies, percentile, progress};
use crate::sizes::Sizes;
use crate::workload::{self, WORKFLOW};

/// Calls before those that count: plans are made, caches filled.
const WARM: u64 = 300;

/// Measures `start_p50_ms`, `start_p99_ms`, `complete_p50_ms` and `complete_p99_ms`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let mut database = cluster.database(cluster::DATABASE);
    let calls = sizes.calls;
    prepare(&mut database, WARM + calls);
    database.exec("VACUUM ANALYZE");

    let before: u64 = database.one("SELECT count(*) FROM wf.cases WHERE version_id = 1");
    let started = timed_starts(&mut database, WARM, calls);
    let there: u64 = database.one("SELECT count(*) FROM wf.cases WHERE version_id = 1");
    assert_eq!(there - before, WARM + calls, "cases started");
    latencies("start", &started);

    latencies(
        "complete",
        &timed_completes(&mut database, "desk", WARM, calls),
    );
    let sending = timed_completes(&mut database, "desk_mail", WARM, calls);
    progress(format!(
        "complete, when the next step is a message and then a task: p50 {:.3} ms, p99 {:.3} ms",
        percentile(&sending, 0.5),
        percentile(&sending, 0.99)
    ));
}

/// Invoices and the workflows, those with tasks having cases.
fn prepare(database: &mut Session, calls: u64) {
    workload::create(database, calls, "queued");
    for name in ["desk", "desk_mail"] {
        workload::install(database, &desk(name));
        workload::start_cases(database, name, 1, calls);
    }
}

/// Two tasks after each other; in `desk_mail` with an e-mail between them.
pub fn desk(name: &str) -> Value {
    let task = |name: &str, kind: &str| {
        json!({"name": name, "kind": kind, "description": format!("Do the {kind}"), "participant": "ar_specialist",
               "due": {"anchor": "previous_done", "business_days": 2}, "outcomes": [{"name": "settled"}]})
    };
    let mut steps = vec![task("talk", "call")];
    if name == "desk_mail" {
        steps.push(json!({
            "name": "mail", "kind": "email", "description": "Confirm", "template": "mail", "done_when": "queued",
            "when": "email is not null"
        }));
    }
    steps.push(task("review", "task"));
    steps.push(
        json!({"name": "end", "kind": "finish", "description": "All done", "outcome": "settled"}),
    );
    json!({
        "format": 1,
        "name": name,
        "title": "Two tasks",
        "description": "Made for the benchmark.",
        "subject": "invoice",
        "time_zone": "Europe/Amsterdam",
        "calendar": "TARGET",
        "roll": "following",
        "stop": [{"when": "state = 'paid' or open_amount <= 5", "reason": "paid"}],
        "phases": [{"name": "desk", "steps": steps}],
        "templates": {"mail": {"subject": "About invoice {{ number }}", "body": "Dear {{ customer_name }},\n\nAs agreed."}}
    })
}

/// Milliseconds of each call of `wf.start`, for the invoices from 1 on; the first `warm` are left out.
fn timed_starts(database: &mut Session, warm: u64, calls: u64) -> Vec<f64> {
    timed(
        database,
        &format!(
            "SELECT array_agg(n) FROM generate_series(1::bigint, {}) AS n",
            warm + calls
        ),
        &format!("PERFORM * FROM wf.start('{WORKFLOW}', id::text)"),
        warm,
        calls,
    )
}

/// Milliseconds of each call of `wf.complete` for the first tasks of a workflow of [`desk`]; the first `warm` are left
/// out.
pub fn timed_completes(database: &mut Session, workflow: &str, warm: u64, calls: u64) -> Vec<f64> {
    let open = |title: &str| {
        format!(
            "SELECT t.task_id FROM wf.tasks AS t JOIN wf.cases AS c USING (case_id)
             JOIN wf.workflows AS w USING (workflow_id)
             WHERE w.name = '{workflow}' AND t.title = '{title}' ORDER BY t.task_id"
        )
    };
    let next_tasks = format!("SELECT count(*) FROM ({}) AS t", open("Do the task"));
    let before: u64 = database.one(&next_tasks);
    let times = timed(
        database,
        &format!(
            "SELECT array_agg(task_id ORDER BY task_id) FROM ({} LIMIT {}) AS t",
            open("Do the call"),
            warm + calls
        ),
        "PERFORM * FROM wf.complete(id, 'settled')",
        warm,
        calls,
    );
    let after: u64 = database.one(&next_tasks);
    assert_eq!(after - before, warm + calls, "next tasks");
    times
}

/// Calls a function for each id that a query gives as an array, in a transaction each, and times it on the server.
/// `call` is a statement of PL/pgSQL with `id` in it.
fn timed(database: &mut Session, ids: &str, call: &str, warm: u64, calls: u64) -> Vec<f64> {
    database.exec(
        "DROP TABLE IF EXISTS took; CREATE UNLOGGED TABLE took (n bigint, ms double precision)",
    );
    database.exec(&format!(
        "CREATE OR REPLACE PROCEDURE timed() LANGUAGE plpgsql AS $$
         DECLARE
             ids bigint[] := ({ids});
             id bigint;
             n bigint := 0;
             before timestamptz;
             after timestamptz;
         BEGIN
             FOREACH id IN ARRAY ids LOOP
                 n := n + 1;
                 before := clock_timestamp();
                 {call};
                 after := clock_timestamp();
                 INSERT INTO took VALUES (n, extract(epoch FROM after - before) * 1000);
                 COMMIT;
             END LOOP;
         END $$"
    ));
    database.exec("CHECKPOINT");
    database.exec("CALL timed()");
    let times: Vec<f64> = database
        .rows(&format!("SELECT ms FROM took WHERE n > {warm} ORDER BY n"))
        .iter()
        .filter_map(|row| row.first()?.parse().ok())
        .collect();
    assert_eq!(times.len() as u64, calls, "calls timed");
    times
}
