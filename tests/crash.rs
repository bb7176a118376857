//! S19: the server is killed at random moments, at least twenty times, and every step has run exactly once.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{
    Cluster, Message, Options, Random, Session, Survivors, automatic, expect_sound_cases, live,
    up_again,
};

const KILLS: usize = 24;

/// The postmaster, or one of its children.
fn kill_something(cluster: &mut Cluster, random: &mut Random, kill: usize) {
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
}

/// Each step of each of so many cases has run once, with one effect.
fn expect_exactly_once(shop: &mut Session, count: i64) {
    expect_sound_cases(shop, count);
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
}

/// The provider has seen every message at least once, and each key stands for one message only.
fn expect_one_message_a_key(provider: &[Message], messages: i64) {
    let mut by_key: HashMap<&str, &Message> = HashMap::new();
    for message in provider {
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
    let connector = cluster.connector();
    let clients = Survivors::start(move || connector.connect("shop"));

    for kill in 0..KILLS {
        sleep(Duration::from_millis(100 + random.below(900)));
        kill_something(&mut cluster, &mut random, kill);
        up_again(&mut cluster);
    }
    // The last crash may be noticed only after a session was let in.
    sleep(Duration::from_secs(1));
    let mut shop = up_again(&mut cluster);
    let (count, sender) = clients.end_posting();
    println!("{count} invoices");
    assert!(count > 0);

    let provider = sender.end(&mut shop, count).messages;

    expect_exactly_once(&mut shop, count);
    expect_one_message_a_key(&provider, count + count / 2);
}
