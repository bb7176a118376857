//! Hours of mixed load, of which this is one: with a constant number of live cases, what is hot stays small, calls stay
//! as fast as they were, and processes as large. Autovacuum runs as it does by default, with what the extension sets for
//! its own tables.
//!
//! `WF_SOAK_MINUTES` says how long the long form takes (60). The last twelfth of the time is held against the one that ends
//! after a sixth: at an hour, the last five minutes against those before the tenth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use serde_json::json;
use workflow_engine_tests::{Options, Random, Session, automatic, live, long_form};

use crate::measures::{Latencies, Sample, growth, look, together};

/// How long, how many live cases, and how long a case waits for its date, in seconds.
struct Size {
    length: Duration,
    live: i64,
    wait: u64,
}

impl Size {
    fn asked_for() -> Self {
        if !long_form() {
            return Self {
                length: Duration::from_secs(18),
                live: 60,
                wait: 3,
            };
        }
        let minutes = std::env::var("WF_SOAK_MINUTES")
            .ok()
            .and_then(|m| m.parse().ok());
        Self {
            length: Duration::from_secs(60 * minutes.unwrap_or(60)),
            live: 600,
            wait: 60,
        }
    }
}

/// What somebody does until the end.
type Work = fn(Session, &Shared);

struct Shared {
    goes_on: AtomicBool,
    latencies: Latencies,
    size: Size,
    invoices: AtomicI64,
}

impl Shared {
    fn goes_on(&self) -> bool {
        self.goes_on.load(Ordering::Relaxed)
    }
}

/// The ERP: as many new invoices as cases have ended, dates that move, and payments.
fn erp(mut session: Session, shared: &Shared) {
    let mut random = Random::new(1);
    while shared.goes_on() {
        let live: i64 = session.one("SELECT count(DISTINCT case_id) FROM wf.case_steps");
        let unread: i64 = session.one("SELECT count(*) FROM wf.inbox");
        let room = (shared.size.live - live - unread).clamp(0, 20);
        let first = shared.invoices.fetch_add(room, Ordering::Relaxed) + 1;
        let last = first + room - 1;
        let wait = shared.size.wait * 1_000;
        shared.latencies.of("insert", || {
            session.exec(&format!(
                "INSERT INTO invoice SELECT n, 'INV-' || n, 1 + n % 2, 'posted', NULL, n, 'EUR',
                        now() + random() * interval '{wait} milliseconds'
                 FROM generate_series({first}, {last}) AS n"
            ));
        });
        let some = last - random.below(shared.size.live as u64) as i64;
        shared.latencies.of("update", || {
            session.exec(&format!(
                "UPDATE invoice SET ready_at = ready_at + interval '1 second' WHERE id BETWEEN {some} AND {some} + 2"
            ));
        });
        if random.below(4) == 0 {
            session.exec(&format!(
                "UPDATE invoice SET state = 'paid' WHERE id = {some} - 5"
            ));
        }
        sleep(Duration::from_millis(100));
    }
}

/// People: settle what is on their list, the oldest first.
fn people(mut session: Session, shared: &Shared) {
    while shared.goes_on() {
        let tasks = session.rows("SELECT task_id FROM wf.tasks ORDER BY task_id LIMIT 20");
        for task in &tasks {
            // A payment may have come first.
            let settled = shared.latencies.of("complete", || {
                session.try_exec(&format!("SELECT * FROM wf.complete({})", task[0]))
            });
            if let Err(failure) = settled {
                assert!(
                    ["55000", "P0002"].contains(&failure.sqlstate.as_str()),
                    "{}",
                    failure.text()
                );
            }
        }
        sleep(Duration::from_millis(100));
    }
}

/// The sender: one message in twenty fails at first.
fn sender(mut session: Session, shared: &Shared) {
    let mut random = Random::new(2);
    while shared.goes_on() {
        let mut sent = shared.latencies.of("lease", || {
            session.lease_with("NULL, 50, '1 minute', 'sender'")
        });
        let failed: Vec<_> = sent.extract_if(.., |_| random.below(20) == 0).collect();
        if !failed.is_empty() {
            session.fail(&failed, "busy", Some("1 second"));
        }
        if !sent.is_empty() {
            shared.latencies.of("ack", || session.ack(&sent));
        }
        sleep(Duration::from_millis(100));
    }
}

fn told(sample: &Sample) -> String {
    let list = |of: &std::collections::BTreeMap<String, f64>| -> String {
        of.iter()
            .map(|(name, value)| format!("{name} {value:.0}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let latencies = sample.latencies.iter();
    let latencies: Vec<String> = latencies
        .map(|(name, (median, most))| format!("{name} {median:.1}/{most:.1}"))
        .collect();
    format!(
        "after {} s: {} live cases; bytes: {}; a row: {}; kB: {}; ms: {}",
        sample.at.as_secs(),
        sample.live_cases,
        list(&sample.live),
        list(&sample.kept),
        list(&sample.memory),
        latencies.join(", ")
    )
}

#[test]
fn under_hours_of_mixed_load_what_is_hot_stays_small_and_fast() {
    let (cluster, mut shop) =
        live(&Options::default().set("workflow_engine.workers_per_database", "2"));
    shop.install(&automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "talk", "kind": "task", "participant": "clerk", "due": {"anchor": "subject.ready_at", "days": 1, "roll": "none"}},
        {"name": "both", "kind": "parallel", "branches": ["left", "right"]},
        {"name": "left", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}, "next": "meet"},
        {"name": "right", "kind": "email", "template": "hello", "next": "meet"},
        {"name": "meet", "kind": "join", "of": "both"},
        {"name": "mark", "kind": "update", "set": {"open_amount": "open_amount + 1"}},
        {"name": "remark", "kind": "note", "text": "About {{ number }}."}
    ])));

    let shared = Arc::new(Shared {
        goes_on: AtomicBool::new(true),
        latencies: Latencies::default(),
        size: Size::asked_for(),
        invoices: AtomicI64::new(0),
    });
    let roles: [(&str, Work); 3] = [("ERP", erp), ("people", people), ("sender", sender)];
    let mut sessions = Vec::new();
    let mut working = Vec::new();
    for (name, work) in roles {
        let mut session = cluster.connect("shop");
        sessions.push((name.to_owned(), session.pid()));
        let shared = Arc::clone(&shared);
        working.push(spawn(move || work(session, &shared)));
    }

    let start = Instant::now();
    let length = shared.size.length;
    let looks = if long_form() { 60 } else { 6 };
    let mut samples = Vec::new();
    for nth in 1..=looks {
        let until = length * nth / looks;
        sleep(until.saturating_sub(start.elapsed()));
        assert!(
            working.iter().all(|thread| !thread.is_finished()),
            "somebody has stopped working"
        );
        let sample = look(&mut shop, &cluster, start, &shared.latencies, &sessions);
        println!("{}", told(&sample));
        samples.push(sample);
    }
    shared.goes_on.store(false, Ordering::Relaxed);
    for thread in working {
        thread.join().expect("nobody panics");
    }

    let looks = looks as usize;
    let window = (looks / 12).max(1);
    let before = together(&samples[looks / 6 - window..looks / 6]);
    let after = together(&samples[looks - window..]);
    let growth = growth(&before, &after);
    for of in &growth {
        println!(
            "{}: {:.1} -> {:.1}, {:.2} times",
            of.what,
            of.before,
            of.after,
            of.after / of.before.max(0.001)
        );
    }
    println!(
        "{}",
        shop.lines(
            "SELECT format('%s cases ended, %s step runs, %s messages sent', (SELECT count(*) FROM wf.cases WHERE ended_at IS NOT NULL),
                    (SELECT count(*) FROM wf.history WHERE event = 'step_done'), (SELECT count(*) FROM wf.outbox WHERE state = 'sent'))"
        )[0]
    );
    shop.expect("SELECT count(*) FROM wf.incidents", &[0]);
    // The short form is over before there was anything to vacuum: it holds the load itself to its word.
    let bounds = if long_form() {
        growth.iter().filter(|g| g.is_too_much()).collect()
    } else {
        Vec::new()
    };
    assert!(bounds.is_empty(), "grew too much: {bounds:#?}");
    assert!(
        samples
            .iter()
            .all(|sample| sample.live_cases <= shared.size.live + 20),
        "the number of live cases is to be constant"
    );
    let completed: i64 = shop.one("SELECT count(*) FROM wf.cases WHERE state = 'completed'");
    assert!(completed > 0, "no case came to its end");
}
