//! The primary dies under load and the standby takes over.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;
use workflow_engine_tests::{
    Cluster, Connector, Delivered, Options, Random, Session, Survivors, automatic, eventually,
    eventually_within, expect_sound_cases, live, long_form,
};

/// The server that clients are to use now.
struct Address(Mutex<Connector>);

impl Address {
    fn now(&self) -> Connector {
        self.0.lock().expect("nobody panics with it").clone()
    }

    /// A session on the server that there is, as soon as it takes one.
    fn connect(&self) -> Session {
        eventually_within(Duration::from_secs(120), "a server", || {
            self.now().try_connect("shop").ok()
        })
    }
}

/// Has each commit on the primary wait until the standby has it.
fn wait_for_commits(primary: &Cluster) {
    let mut session = primary.connect("postgres");
    session.exec("ALTER SYSTEM SET synchronous_standby_names = 'standby'; ");
    session.exec("SELECT pg_reload_conf()");
    eventually("a synchronous standby", || {
        let state = session.lines("SELECT sync_state FROM pg_stat_replication");
        (state == ["sync"]).then_some(())
    });
}

/// Makes a primary of a standby, and waits for its worker. `certain`: its commits waited for it.
fn promote(standby: &Cluster, certain: bool) {
    let mut session = standby.connect("shop");
    session.exec("SELECT pg_promote()");
    if certain {
        // The next standby is this one's; none is waited for until it is there.
        session.exec("ALTER SYSTEM RESET synchronous_standby_names");
        session.exec("SELECT pg_reload_conf()");
    }
    eventually_within(
        Duration::from_secs(20),
        "a worker after the promotion",
        || {
            let ticks = session.lines(
                "SELECT 1 FROM wf.workers() WHERE database = 'shop' AND last_tick IS NOT NULL",
            );
            (!ticks.is_empty()).then_some(())
        },
    );
}

/// Each step of each of so many cases has run once, with one effect.
fn expect_exactly_once(shop: &mut Session, count: i64) {
    expect_sound_cases(shop, count);
    shop.expect(
        "SELECT step, count(*), count(DISTINCT case_id) FROM probe.history() \
         WHERE event = 'step_done' AND kind <> 'finish' GROUP BY 1 ORDER BY 1",
        &["last", "mail", "mark", "pause", "remark"]
            .map(|step| format!("{step} | {count} | {count}")),
    );
    shop.expect(
        "SELECT count(*) FROM invoice WHERE open_amount <> id + 1000000",
        &[0],
    );
    shop.expect(
        "SELECT count(*), count(DISTINCT idempotency_key) FROM wf.outbox",
        &[format!("{count} | {count}")],
    );
}

/// The provider knows every message by one key; with every commit certain no other key has ever been handed out, and none
/// that was acknowledged came again.
fn expect_delivered(shop: &mut Session, delivered: &Delivered, certain: bool) {
    let mut times_by_key: HashMap<&str, usize> = HashMap::new();
    for message in &delivered.messages {
        *times_by_key.entry(&message.idempotency_key).or_default() += 1;
    }
    let keys: HashSet<String> = shop
        .lines("SELECT idempotency_key FROM wf.outbox")
        .into_iter()
        .collect();
    assert!(
        keys.iter()
            .all(|key| times_by_key.contains_key(key.as_str()))
    );
    if certain {
        assert_eq!(times_by_key.len(), keys.len());
        assert_eq!(delivered.again, []);
    }
    println!(
        "{} messages handed over {} times",
        keys.len(),
        delivered.messages.len()
    );
}

/// What becomes of the work when the primary dies, again and again. With `certain`, the standby has every commit before
/// the client hears of it.
fn fails_over(certain: bool, times: usize) {
    let options = Options::default()
        .set("workflow_engine.workers_per_database", "2")
        .set("workflow_engine.batch_size", "100")
        .set("log_checkpoints", "off");
    let (mut primary, mut shop) = live(&options);
    shop.install(&automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "remark", "kind": "note", "text": "Mailed {{ number }}."},
        {"name": "pause", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}},
        {"name": "mark", "kind": "update", "set": {"open_amount": "open_amount + 1000000"}},
        {"name": "last", "kind": "note", "text": "Over."}
    ])));
    drop(shop);

    let mut random = Random::seeded();
    let address = Arc::new(Address(Mutex::new(primary.connector())));
    let clients = Survivors::start({
        let address = address.clone();
        move || address.connect()
    });

    for round in 0..times {
        let mut standby = primary.standby("standby", &Options::plain().preload("workflow_engine"));
        if certain {
            wait_for_commits(&primary);
        }
        sleep(Duration::from_millis(1500 + random.below(1500)));
        primary.kill_postmaster();
        let began = Instant::now();
        promote(&standby, certain);
        println!(
            "failover {round}: a worker at work after {:?}",
            began.elapsed()
        );
        *address.0.lock().expect("nobody panics with it") = standby.connector();
        std::mem::swap(&mut primary, &mut standby);
    }
    sleep(Duration::from_millis(500));
    let (told, sender) = clients.end_posting();
    let mut shop = primary.connect("shop");
    let count: i64 = shop.one("SELECT count(*) FROM invoice");
    println!("{told} invoices were posted, {count} are there");
    assert!(count > 0);
    if certain {
        assert_eq!(count, told, "no commit that the ERP has heard of is lost");
    }

    let delivered = sender.end(&mut shop, count);

    expect_exactly_once(&mut shop, count);
    expect_delivered(&mut shop, &delivered, certain);
}

#[test]
fn a_standby_that_takes_over_under_load_loses_nothing_and_does_nothing_twice() {
    fails_over(true, if long_form() { 20 } else { 2 });
}

#[test]
fn a_standby_that_lags_goes_on_with_what_it_has() {
    fails_over(false, if long_form() { 20 } else { 1 });
}
