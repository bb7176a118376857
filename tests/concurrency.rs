//! An ERP transaction never waits for the engine, never conflicts with it, and never fails because of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{
    Cluster, Connector, ERP, Options, Random, Session, automatic, eventually_within, live,
};

const WRITERS: i64 = 8;
const ROUNDS: i64 = 120;

/// Something that goes on until it is told to stop, and gives a result then.
struct Background<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Background<T> {
    fn start(body: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self {
            stop,
            thread: spawn(move || body(&|| !seen.load(Ordering::Relaxed))),
        }
    }

    fn finish(self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .expect("a background thread does not panic")
    }
}

/// Looks all the time for ERP sessions that wait for a lock, and says for which, and who holds it.
fn watch_waits(connector: &Connector) -> Background<Vec<String>> {
    let mut session = connector.connect("shop");
    Background::start(move |goes_on| {
        let mut waits = Vec::new();
        while goes_on() {
            // `extend`: two sessions append to one table at the same moment, as they do without any engine.
            waits.extend(session.lines(
                "SELECT a.wait_event, a.query, array(SELECT b.application_name || ': ' || b.query FROM pg_stat_activity AS b \
                 WHERE b.pid = ANY (pg_blocking_pids(a.pid))) FROM pg_stat_activity AS a \
                 WHERE a.application_name = 'erp' AND a.wait_event_type = 'Lock' AND a.wait_event <> 'extend'",
            ));
            sleep(Duration::from_millis(3));
        }
        waits
    })
}

/// What transactions at SERIALIZABLE have read by page or whole relation, so that a conflict can be explained.
fn watch_reads(connector: &Connector) -> Background<BTreeSet<String>> {
    let mut session = connector.connect("shop");
    Background::start(move |goes_on| {
        let mut reads = BTreeSet::new();
        while goes_on() {
            reads.extend(session.lines(
                "SELECT DISTINCT a.application_name, l.locktype, l.relation::regclass, l.page FROM pg_locks AS l \
                 LEFT JOIN pg_stat_activity AS a USING (pid) WHERE l.mode = 'SIReadLock' AND l.locktype <> 'tuple'",
            ));
            sleep(Duration::from_millis(10));
        }
        reads
    })
}

/// A sender that leases and acknowledges all the time.
fn sender(connector: &Connector) -> Background<usize> {
    let mut session = connector.connect("shop");
    Background::start(move |goes_on| {
        let mut sent = 0;
        while goes_on() {
            let messages = session.lease_with("NULL, 50");
            if !messages.is_empty() {
                session.ack(&messages);
                sent += messages.len();
            }
            sleep(Duration::from_millis(10));
        }
        sent
    })
}

/// People who hold and release cases all the time, with transactions that stay open for a while.
fn people(connector: &Connector, seed: u64) -> Background<Vec<String>> {
    let mut session = connector.connect("shop");
    Background::start(move |goes_on| {
        let mut random = Random::new(seed);
        let mut failures = Vec::new();
        while goes_on() {
            let cases = session.rows("SELECT case_id FROM wf.cases WHERE state IN ('running', 'held') ORDER BY random() LIMIT 1");
            let Some(case) = cases.first().map(|row| row[0].clone()) else {
                continue;
            };
            session.exec("BEGIN");
            let verb = if random.below(2) == 0 {
                "hold"
            } else {
                "release"
            };
            match session.try_exec(&format!("SELECT * FROM wf.{verb}({case})")) {
                Ok(()) => {
                    sleep(Duration::from_millis(random.below(30)));
                    session.exec("COMMIT");
                }
                Err(failure) => {
                    // 55000: the case has ended in the meantime.
                    if failure.sqlstate != "55000" {
                        failures.push(failure.text());
                    }
                    session.exec("ROLLBACK");
                }
            }
        }
        failures
    })
}

/// The invoices of a writer. At SERIALIZABLE a look into an index is noted by its page, so they lie far apart.
fn rows_of(writer: i64) -> (i64, i64) {
    let first = 10_000 + writer * 4_000;
    (first, first + 2_000)
}

/// The invoices of the ERP: 200 posted ones, which have cases, and among many drafts those of the writers.
const INVOICES: &str = "INSERT INTO invoice (id, number, customer_id, state, due_date, open_amount) \
     SELECT n, 'INV-' || n, 1, CASE WHEN n <= 200 OR n >= 10000 AND n % 2000 = 0 THEN 'posted' ELSE 'draft' END, '2026-04-01', 100 \
     FROM generate_series(1, 42000) AS n";

/// One writer of the ERP. Its invoices are its own, so that no two writers can get in each other's way; the payments of
/// all writers are for the same two invoices, 1 and 2, half of the writers in one order, half in the other.
fn writer(
    connector: Connector,
    database: &'static str,
    number: i64,
    isolation: &'static str,
) -> JoinHandle<Vec<String>> {
    spawn(move || {
        let mut session = connector.connect(database);
        session.exec("SET application_name = 'erp'");
        let mut random = Random::new(number as u64);
        let mut failures = Vec::new();
        let (mine, other) = rows_of(number);
        let (first, second) = if number % 2 == 0 { (1, 2) } else { (2, 1) };
        for round in 0..ROUNDS {
            let state = if round % 2 == 0 { "paid" } else { "posted" };
            let statements = [
                format!("BEGIN ISOLATION LEVEL {isolation}"),
                format!("UPDATE invoice SET state = '{state}' WHERE id = {mine}"),
                format!("INSERT INTO payment (invoice_id, amount) VALUES ({first}, 1)"),
                format!(
                    "UPDATE invoice SET open_amount = open_amount + 1, number = number || '.' WHERE id = {other}"
                ),
                format!("INSERT INTO payment (invoice_id, amount) VALUES ({second}, 1)"),
                format!("UPDATE invoice SET state = '{state}' WHERE id = {other}"),
                if random.below(10) == 0 {
                    "ROLLBACK"
                } else {
                    "COMMIT"
                }
                .to_owned(),
            ];
            for statement in statements {
                if let Err(failure) = session.try_exec(&statement) {
                    failures.push(format!("{statement}: {}", failure.text()));
                    let _ = session.try_exec("ROLLBACK");
                    break;
                }
                sleep(Duration::from_micros(random.below(2000)));
            }
        }
        failures
    })
}

/// All writers at once, to the end; what failed.
fn write(connector: &Connector, database: &'static str, isolation: &'static str) -> Vec<String> {
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| writer(connector.clone(), database, number, isolation))
        .collect();
    writers
        .into_iter()
        .flat_map(|writer| writer.join().expect("a writer does not panic"))
        .collect()
}

fn load(shop: &mut Session) {
    shop.exec("SELECT wf.watch('invoice', 'public.payment', 'invoice_id')");
    shop.install(&automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "remark", "kind": "note", "text": "Sent {{ number }}.", "when": "open_amount > 0"},
        {"name": "look", "kind": "task", "participant": "clerk", "due": {"anchor": "subject.due_date", "days": 3}}
    ])));
    shop.exec(INVOICES);
    shop.exec("ANALYZE invoice");
}

fn eight_writers(isolation: &'static str) {
    let (cluster, mut shop) = live(
        &Options::default()
            .set("workflow_engine.workers_per_database", "2")
            // The server keeps ten serializable transactions a connection: more than all writers make together. See
            // `without_any_engine_…` below for what happens otherwise.
            .set("max_connections", "120")
            .set("deadlock_timeout", "100ms"),
    );
    load(&mut shop);
    let connector = cluster.connector();

    // The same writers without any engine: whatever happens to them then is their own doing.
    let mut alone = cluster.database("alone");
    alone.exec(ERP);
    alone.exec(INVOICES);
    alone.exec("ANALYZE invoice");
    assert_eq!(write(&connector, "alone", isolation), Vec::<String>::new());

    let waits = watch_waits(&connector);
    let sending = sender(&connector);
    let holding = people(&connector, 1);

    let reads = watch_reads(&connector);
    let failures = write(&connector, "shop", isolation);
    let reads = reads.finish();
    assert!(
        failures.is_empty(),
        "{} failures:\n{}\nread meanwhile:\n{reads:#?}",
        failures.len(),
        failures.join("\n")
    );
    assert_eq!(holding.finish(), Vec::<String>::new());
    let waits = waits.finish();
    assert!(
        waits.is_empty(),
        "{} waits, such as {:?}",
        waits.len(),
        waits.first()
    );

    // Nothing was lost over it: a case for each posted invoice, and for no other.
    // One by one: a worker may end a case in between.
    for case in shop.lines("SELECT case_id FROM wf.cases WHERE state = 'held'") {
        if let Err(failure) = shop.try_exec(&format!("SELECT * FROM wf.release({case})")) {
            failure.is("55000", &[]);
        }
    }
    eventually_within(
        Duration::from_secs(120),
        "cases that agree with the invoices",
        || {
            let odd: i64 = shop.one(
            "SELECT count(*) FROM invoice AS i FULL JOIN (SELECT key FROM probe.cases() WHERE state = 'running') AS c ON c.key = i.id::text \
             WHERE (i.state = 'posted') IS DISTINCT FROM (c.key IS NOT NULL)",
        );
            (odd == 0).then_some(())
        },
    );
    assert!(sending.finish() > 0);
    shop.expect("SELECT count(*) FROM wf.incidents", &[0]);
    let log = cluster.log();
    for trouble in [
        "deadlock detected",
        "could not serialize",
        "PANIC",
        "lock timeout",
    ] {
        assert!(
            !log.contains(trouble),
            "{trouble} in the log:\n{}",
            cluster.log_tail()
        );
    }
}

#[test]
fn eight_writers_at_read_committed_with_workers_flat_out() {
    eight_writers("READ COMMITTED");
}

#[test]
fn eight_writers_at_repeatable_read_with_workers_flat_out() {
    eight_writers("REPEATABLE READ");
}

#[test]
fn eight_writers_at_serializable_with_workers_flat_out() {
    eight_writers("SERIALIZABLE");
}

/// Why a serializable transaction may fail that reads and writes nothing that another one does: while one stays open, the
/// server keeps what the others have read, ten transactions a connection, and sums up the rest; from then on it takes
/// writers for pivots that are none. On a machine that lets one of eight writers wait for a second, that is enough.
#[test]
fn without_any_engine_the_server_refuses_serializable_writers_beside_one_that_stays_open() {
    let cluster = Cluster::start(&Options::plain().set("max_connections", "20"));
    let mut alone = cluster.database("alone");
    alone.exec(ERP);
    alone.exec(INVOICES);
    alone.exec("ANALYZE invoice");
    // It reads and writes a row that nobody else does.
    alone.exec(
        "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE invoice SET state = 'paid' WHERE id = 9000",
    );
    let failures = write(&cluster.connector(), "alone", "SERIALIZABLE");
    assert!(!failures.is_empty());
    for failure in failures {
        assert!(failure.contains("40001"), "{failure}");
    }
}

#[test]
fn people_and_workers_do_not_get_in_each_others_way() {
    let (cluster, mut shop) = live(
        &Options::default()
            .set("workflow_engine.workers_per_database", "2")
            .set("deadlock_timeout", "100ms"),
    );
    load(&mut shop);
    let connector = cluster.connector();
    let sending = sender(&connector);
    let callers: Vec<_> = (0..4)
        .map(|number| {
            let connector = connector.clone();
            spawn(move || {
                let mut session = connector.connect("shop");
                let mut failures = Vec::new();
                for id in (1..=200).filter(|id| id % 4 == number) {
                    let task = eventually_within(Duration::from_secs(120), "the task", || {
                        session
                            .rows(&format!("SELECT task_id FROM probe.tasks() AS t JOIN probe.cases() AS c USING (case_id) WHERE c.key = '{id}'"))
                            .first()
                            .map(|row| row[0].clone())
                    });
                    session.exec(&format!("UPDATE invoice SET open_amount = open_amount + 1 WHERE id = {id}"));
                    if let Err(failure) = session.try_exec(&format!("SELECT * FROM wf.complete({task})")) {
                        failures.push(failure.text());
                    }
                }
                failures
            })
        })
        .collect();
    let failures: Vec<_> = callers
        .into_iter()
        .flat_map(|c| c.join().expect("no panic"))
        .collect();
    assert!(failures.is_empty(), "{failures:?}");
    // The writers' 17 invoices wait for their tasks as well; no message is left behind.
    eventually_within(
        Duration::from_secs(60),
        "the sending of all messages",
        || {
            (shop.one::<i64>("SELECT count(*) FROM wf.outbox WHERE state <> 'sent'") == 0
                && shop.one::<i64>("SELECT count(*) FROM wf.outbox") == 217)
                .then_some(())
        },
    );
    sending.finish();
    shop.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY 1 ORDER BY 1",
        &["completed | 200", "running | 17"],
    );
    let log = cluster.log();
    assert!(!log.contains("deadlock detected"), "{}", cluster.log_tail());
}
