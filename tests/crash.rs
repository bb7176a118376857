//! S19: the server is killed at random moments, at least twenty times, and every step has run exactly once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{sleep, spawn};
use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{
    Connector, Message, Options, Random, automatic, eventually_within, live, up_again,
};

const KILLS: usize = 24;
const BATCH: i64 = 10;

/// The ERP: inserts invoices, ten at a time, whatever happens to the server; a batch whose fate it does not know it
/// sends again. How many there are in the end is in `posted`.
fn erp(connector: &Connector, goes_on: &AtomicBool, posted: &AtomicI64) {
    let mut session = connector.connect("shop");
    while goes_on.load(Ordering::Relaxed) {
        let first = posted.load(Ordering::Relaxed) + 1;
        let last = first + BATCH - 1;
        let insert = format!(
            "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, n, 'EUR', now() + interval '1 second' \
             FROM generate_series({first}, {last}) AS n ON CONFLICT DO NOTHING"
        );
        while session.try_exec(&insert).is_err() {
            session = connector.connect("shop");
        }
        posted.store(last, Ordering::Relaxed);
        sleep(Duration::from_millis(15));
    }
}

/// The sender: hands messages to a provider, here a list, and acknowledges them, if it gets to it.
fn sender(connector: &Connector, goes_on: &AtomicBool) -> Vec<Message> {
    let mut session = connector.connect("shop");
    let mut provider = Vec::new();
    while goes_on.load(Ordering::Relaxed) {
        let Ok(messages) = session.try_lease_with("NULL, 100, '2 seconds', 'sender'") else {
            session = connector.connect("shop");
            continue;
        };
        if messages.is_empty() {
            sleep(Duration::from_millis(20));
            continue;
        }
        let ids = workflow_engine_tests::ids(&messages);
        provider.extend(messages);
        if session
            .try_exec(&format!("SELECT wf.ack_messages({ids})"))
            .is_err()
        {
            session = connector.connect("shop");
        }
    }
    provider
}

#[test]
fn s19_killed_at_any_moment_each_step_runs_exactly_once() {
    let (mut cluster, mut shop) = live(
        &Options::default()
            .set("workflow_engine.workers_per_database", "2")
            .set("workflow_engine.batch_size", "100")
            .set("log_checkpoints", "off"),
    );
    shop.install(&automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "remark", "kind": "note", "text": "Mailed {{ number }}.", "when": "open_amount > 0"},
        {"name": "choose", "kind": "decision", "legs": [{"name": "even", "when": "open_amount % 2 = 0", "next": "both"}], "otherwise": "mark"},
        {"name": "both", "kind": "parallel", "branches": ["left", "right"]},
        {"name": "left", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}, "next": "meet"},
        {"name": "right", "kind": "sms", "template": "hello", "done_when": "queued", "next": "meet"},
        {"name": "meet", "kind": "join", "of": "both"},
        {"name": "mark", "kind": "update", "set": {"open_amount": "open_amount + 1000000"}, "merge": true},
        {"name": "last", "kind": "note", "text": "Over."}
    ])));
    drop(shop);

    let mut random = Random::seeded();
    let goes_on = Arc::new(AtomicBool::new(true));
    let sends_on = Arc::new(AtomicBool::new(true));
    let posted = Arc::new(AtomicI64::new(0));
    let writing = {
        let (connector, goes_on, posted) = (
            cluster.connector(),
            Arc::clone(&goes_on),
            Arc::clone(&posted),
        );
        spawn(move || erp(&connector, &goes_on, &posted))
    };
    let sending = {
        let (connector, sends_on) = (cluster.connector(), Arc::clone(&sends_on));
        spawn(move || sender(&connector, &sends_on))
    };

    for kill in 0..KILLS {
        sleep(Duration::from_millis(100 + random.below(900)));
        match random.below(4) {
            0 => cluster.kill_postmaster(),
            choice => {
                let title = if choice == 1 { "postgres" } else { "workflow" };
                let children = cluster.children_named(title);
                if let Some(pid) = random.pick(&children) {
                    println!("kill {kill}: a child, {title}");
                    cluster.kill_child(*pid);
                } else {
                    println!("kill {kill}: the postmaster, for lack of a child");
                    cluster.kill_postmaster();
                }
            }
        }
        up_again(&mut cluster);
    }
    // The last crash may be noticed only after a session was let in.
    sleep(Duration::from_secs(1));
    let mut shop = up_again(&mut cluster);
    goes_on.store(false, Ordering::Relaxed);
    writing.join().expect("the ERP does not panic");
    let count = posted.load(Ordering::Relaxed);
    println!("{count} invoices");
    assert!(count > 0);

    eventually_within(Duration::from_secs(180), "the end of all cases", || {
        let left: i64 = shop.one(&format!(
            "SELECT {count} - count(*) FROM wf.cases WHERE state = 'completed'"
        ));
        (left == 0).then_some(())
    });
    // What the sender lost is leased again, and goes out a second time under the same key.
    eventually_within(
        Duration::from_secs(60),
        "the sending of all messages",
        || {
            (shop.one::<i64>("SELECT count(*) FROM wf.outbox WHERE state <> 'sent'") == 0)
                .then_some(())
        },
    );
    sends_on.store(false, Ordering::Relaxed);
    let provider = sending.join().expect("the sender does not panic");

    shop.expect("SELECT count(*) FROM wf.incidents", &[0]);
    shop.expect(
        "SELECT count(*), count(DISTINCT key) FROM wf.case_subjects",
        &[format!("{count} | {count}")],
    );
    shop.expect(
        "SELECT case_id, step, visit, count(*) FROM probe.history() WHERE event = 'step_done' GROUP BY 1, 2, 3 HAVING count(*) <> 1",
        &[] as &[&str],
    );
    let half = count / 2;
    shop.expect(
        "SELECT step, count(*) FROM probe.history() WHERE event = 'step_done' AND kind <> 'finish' GROUP BY 1 ORDER BY 1",
        &[
            format!("both | {half}"),
            format!("choose | {count}"),
            format!("last | {count}"),
            format!("left | {half}"),
            format!("mail | {count}"),
            format!("mark | {count}"),
            format!("meet | {half}"),
            format!("remark | {count}"),
            format!("right | {half}"),
        ],
    );
    shop.expect(
        "SELECT count(*), count(DISTINCT (case_id, step_no)) FROM wf.notes",
        &[format!("{0} | {0}", 2 * count)],
    );
    let messages = count + half;
    shop.expect(
        "SELECT count(*), count(DISTINCT (case_id, step_no, visit)), count(DISTINCT idempotency_key) FROM wf.outbox",
        &[format!("{messages} | {messages} | {messages}")],
    );
    shop.expect(
        "SELECT count(*) FROM invoice WHERE open_amount <> id + 1000000",
        &[0],
    );
    shop.expect("SELECT count(*) FROM wf.case_steps", &[0]);

    // The provider has seen every message at least once, and each key stands for one message only.
    let mut by_key: HashMap<&str, &Message> = HashMap::new();
    for message in &provider {
        let first = *by_key.entry(&message.idempotency_key).or_insert(message);
        assert_eq!(
            (first.id, first.case_id, &first.recipient, &first.body),
            (
                message.id,
                message.case_id,
                &message.recipient,
                &message.body
            )
        );
        assert!(message.attempt >= first.attempt);
    }
    assert_eq!(by_key.len() as i64, messages);
    println!("{} messages handed over {} times", messages, provider.len());
}
