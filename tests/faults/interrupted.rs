//! Fault 3: statements that are cancelled and processes that are terminated, at any moment. What they were at is done
//! wholly or not at all, and once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use serde_json::{Value, json};
use workflow_engine_tests::{
    Cluster, Connector, Options, Random, Session, TestDb, automatic, invoice_workflow, live,
    long_form,
};

use super::{around, completed, expect_exactly_once, post};

fn steps() -> Value {
    around(json!({"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}))
}

/// Does something to the workers again and again.
struct Nuisance {
    stop: Arc<AtomicBool>,
    hits: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Nuisance {
    /// Runs `call` with a pause after it; each of its rows is a hit.
    fn to_workers(cluster: &Cluster, call: &'static str, pause: Duration) -> Self {
        let (stop, hits) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&hits));
        let connector = cluster.connector();
        let thread = spawn(move || {
            let mut session = connector.connect("shop");
            while !stopped.load(Ordering::Relaxed) {
                counted.fetch_add(session.rows(call).len(), Ordering::Relaxed);
                sleep(pause);
            }
        });
        Self { stop, hits, thread }
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.hits.load(Ordering::Relaxed)
    }
}

/// Posts 1,000 invoices again and again until the workers have been hit that often while they worked, however fast they
/// are. How many invoices there are.
fn post_until_hit(shop: &mut Session, nuisance: &Nuisance, at_least: usize) -> i64 {
    for round in 0..500 {
        if nuisance.hits() >= at_least {
            return round * 1000;
        }
        post(shop, round * 1000 + 1, round * 1000 + 1000);
        sleep(Duration::from_millis(500));
    }
    panic!("only {} hits", nuisance.hits());
}

/// Two workers that are hit by `call` at least `at_least` times do each step once.
fn disturbed(call: &'static str, pause: Duration, at_least: usize) {
    let (cluster, mut shop) =
        live(&Options::default().set("workflow_engine.workers_per_database", "2"));
    shop.install(&steps());
    let nuisance = Nuisance::to_workers(&cluster, call, pause);
    let cases = post_until_hit(&mut shop, &nuisance, at_least);
    let hits = nuisance.finish();
    completed(&mut shop, cases);
    expect_exactly_once(&mut shop, cases, 2);
    println!("{cases} cases while workers were hit {hits} times");
}

#[test]
fn workers_that_are_cancelled_at_any_moment_do_every_step_once() {
    disturbed(
        "SELECT pg_cancel_backend(pid) FROM wf.workers() WHERE database = 'shop' AND state = 'working'",
        Duration::from_millis(15),
        if long_form() { 1000 } else { 50 },
    );
}

#[test]
fn workers_that_are_terminated_at_any_moment_do_every_step_once() {
    disturbed(
        "SELECT pg_terminate_backend(pid) FROM wf.workers() WHERE database = 'shop' AND state = 'working'",
        Duration::from_millis(250),
        if long_form() { 30 } else { 3 },
    );
}

/// Runs a statement in one session and cancels it from another after some time. True: it was done.
fn cancelled(connector: &Connector, random: &mut Random, at_most: u64, sql: &str) -> bool {
    let mut session = connector.connect("shop");
    let pid = session.pid();
    let mut other = connector.connect("shop");
    let wait = Duration::from_micros(random.below(at_most));
    let cancel = spawn(move || {
        sleep(wait);
        other.exec(&format!("SELECT pg_cancel_backend({pid})"));
    });
    let result = session.try_exec(sql);
    cancel.join().expect("no panic");
    if let Err(failure) = &result {
        failure.is("57014", &[]);
    }
    result.is_ok()
}

#[test]
fn calls_that_are_cancelled_have_done_all_or_nothing() {
    let (cluster, mut shop) = live(&Options::default().set("workflow_engine.databases", ""));
    shop.install(&invoice_workflow(
        "work",
        json!([
            {"name": "look", "kind": "task", "participant": "clerk", "due": {"days": 1}},
            {"name": "after", "kind": "note", "text": "Done."}
        ]),
    ));
    shop.install(&automatic(
        json!([{"name": "fine", "kind": "note", "text": "Fine."}]),
    ));
    let (mut random, connector) = (Random::seeded(), cluster.connector());
    let rounds = if long_form() { 200 } else { 15 };
    let (mut done, mut undone) = (0, 0);
    let mut count = |was_done: bool| {
        if was_done {
            done += 1;
        } else {
            undone += 1;
        }
    };
    for round in 0..rounds {
        let (first, last) = (round * 100 + 1, round * 100 + 100);
        shop.exec(&format!(
            "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'draft', '2026-04-01', 100, 'EUR', now() FROM generate_series({first}, {last}) AS n"
        ));
        let started = cancelled(
            &connector,
            &mut random,
            20_000,
            &format!(
                "SELECT wf.start_many('work', (SELECT array_agg(n::text) FROM generate_series({first}, {last}) AS n))"
            ),
        );
        count(started);
        let here = format!("FROM wf.cases AS c WHERE c.key::bigint BETWEEN {first} AND {last}");
        shop.expect(
            &format!("SELECT count(*) {here}"),
            &[if started { 100 } else { 0 }],
        );
        if !started {
            shop.exec(&format!(
                "SELECT wf.start('work', n) FROM generate_series({first}, {last}) AS n"
            ));
        }
        let completed = cancelled(
            &connector,
            &mut random,
            40_000,
            &format!(
                "SELECT wf.complete(t.task_id) FROM wf.tasks AS t WHERE t.case_id IN (SELECT c.case_id {here})"
            ),
        );
        count(completed);
        shop.expect(
            &format!(
                "SELECT count(*) FROM wf.tasks AS t WHERE t.case_id IN (SELECT c.case_id {here})"
            ),
            &[if completed { 0 } else { 100 }],
        );
        if !completed {
            shop.exec("SELECT wf.complete(t.task_id) FROM wf.tasks AS t");
        }
        shop.exec(&format!(
            "UPDATE invoice SET state = 'posted' WHERE id BETWEEN {first} AND {last}"
        ));
        count(cancelled(
            &connector,
            &mut random,
            60_000,
            "CALL wf.run_due()",
        ));
    }
    shop.run_due();
    println!("of {} calls {undone} were cancelled", done + undone);
    assert!(undone > 0);
    let cases = rounds * 100;
    shop.expect(
        "SELECT w.name, c.state, count(*) FROM wf.cases AS c JOIN wf.workflows AS w USING (workflow_id) GROUP BY 1, 2 ORDER BY 1",
        &[format!("auto | completed | {cases}"), format!("work | completed | {cases}")],
    );
    shop.expect(
        "SELECT count(*), count(DISTINCT (case_id, step_no)) FROM wf.notes",
        &[format!("{0} | {0}", 2 * cases)],
    );
    shop.expect("SELECT count(*) FROM wf.failures", &[0]);
}

/// The client that runs the engine may be gone at any moment, as pg_cron's is when the server says so.
#[test]
fn a_run_due_that_is_terminated_leaves_nothing_half_done() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.install(&automatic(json!([
        {"name": "before", "kind": "note", "text": "Before."},
        {"name": "after", "kind": "note", "text": "After."}
    ])));
    db.exec("SET workflow_engine.batch_size = 20");
    for round in 0..8 {
        let first = round * 200 + 1;
        db.exec(&format!(
            "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR' FROM generate_series({first}, {first} + 199) AS n"
        ));
        let mut runner = db.connect();
        let pid = runner.pid();
        let running = spawn(move || {
            runner.try_exec("SET workflow_engine.batch_size = 20; CALL wf.run_due()")
        });
        sleep(Duration::from_millis(10 * round));
        db.exec(&format!("SELECT pg_terminate_backend({pid})"));
        let _ = running.join().expect("no panic");
    }
    db.run_due();
    expect_exactly_once(&mut db, 1600, 2);
}
