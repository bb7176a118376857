//! Random workflows, random changes in the ERP, random calls, by 4 clients and 2 workers, while backends, workers and
//! the postmaster are killed at random: nothing is lost, nothing happens twice, and every case is what the pure rules
//! make of the same events.
//!
//! What the comparison covers is said in `replay`. The seed gives the same workflows and the same wishes of the clients;
//! which of them meet which moment is up to the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use workflow_engine_tests::{Cluster, Connector, Options, Random, long_form, up_again};

use crate::checks;
use crate::clients::{Client, Field, Told};
use crate::flows::flow;

const TRACED: &str = include_str!("../sql/torture.sql");
const CLIENTS: u64 = 4;

/// How much there is of everything.
struct Size {
    kills: usize,
    flows: u64,
    room: i64,
}

/// Kills one of the postmaster's children of a kind, or the postmaster; what it was.
fn kill(cluster: &mut Cluster, random: &mut Random) -> &'static str {
    let (kind, title) = match random.below(10) {
        0..=1 => {
            cluster.kill_postmaster();
            return "postmaster";
        }
        2..=5 => ("backend", "postgres shop"),
        6..=8 => ("worker", "workflow"),
        _ => ("server's own", "postgres:"),
    };
    // After a crash they are not back at once.
    for _ in 0..40 {
        if let Some(pid) = random.pick(&cluster.children_named(title)) {
            cluster.kill_child(*pid);
            return kind;
        }
        sleep(Duration::from_millis(50));
    }
    cluster.kill_postmaster();
    "postmaster"
}

/// A database with random workflows in it, in which everything leaves a trace.
fn prepared(cluster: &Cluster, flows: u64, random: &mut Random) {
    let mut shop = cluster.database("shop");
    shop.try_exec("CREATE EXTENSION workflow_engine")
        .unwrap_or_else(|failure| {
            panic!(
                "install the extension first (make install): {}",
                failure.text()
            )
        });
    shop.exec(TRACED);
    shop.exec("SELECT wf.bind_subject('job', 'public.job', key => 'id', email => 'email')");
    for number in 0..flows {
        shop.install(&flow(random, number));
    }
}

fn clients(
    connector: &Connector,
    field: &Arc<Field>,
    seed: u64,
) -> Vec<std::thread::JoinHandle<Told>> {
    (0..CLIENTS)
        .map(|id| {
            let (connector, field) = (connector.clone(), Arc::clone(field));
            spawn(move || {
                let client = Client::new(id as i64, seed.wrapping_add(id), connector);
                client.work(&field)
            })
        })
        .collect()
}

#[test]
fn whatever_is_killed_each_case_is_what_the_rules_make_of_its_events() {
    let size = if long_form() {
        Size {
            kills: 200,
            flows: 40,
            room: 300,
        }
    } else {
        Size {
            kills: 10,
            flows: 12,
            room: 100,
        }
    };
    let mut random = Random::seeded();
    let start = Instant::now();
    let mut cluster = Cluster::start(
        &Options::default()
            .set("workflow_engine.workers_per_database", "2")
            .set("workflow_engine.batch_size", "50")
            .set("workflow_engine.max_attempts", "3")
            .set("workflow_engine.time_zone", "UTC")
            .set("log_checkpoints", "off"),
    );
    prepared(&cluster, size.flows, &mut random);

    let field = Arc::new(Field {
        goes_on: AtomicBool::new(true),
        jobs: AtomicI64::new(0),
        room: size.room,
        flows: size.flows,
    });
    println!("prepared after {:?}", start.elapsed());
    let working = clients(&cluster.connector(), &field, random.number());
    let mut kills: std::collections::BTreeMap<&str, usize> = Default::default();
    for _ in 0..size.kills {
        sleep(Duration::from_millis(100 + random.below(900)));
        *kills.entry(kill(&mut cluster, &mut random)).or_default() += 1;
        drop(up_again(&mut cluster));
    }
    // The last crash may be noticed only after a session was let in.
    sleep(Duration::from_secs(1));
    drop(up_again(&mut cluster));
    field.goes_on.store(false, Ordering::Relaxed);
    let told: Vec<Told> = working
        .into_iter()
        .map(|client| client.join().expect("a client does not panic"))
        .collect();
    println!(
        "killed {} after {:?}: {kills:?}",
        size.kills,
        start.elapsed()
    );

    let mut shop = up_again(&mut cluster);
    checks::comes_to_rest(&mut shop);
    checks::nothing_is_lost(&mut shop, &told);
    // Then everybody does what there is to do, and every case comes to its end.
    shop.exec("UPDATE job SET ready_at = now(), c1 = true, email = 'a@example.com'");
    let mut last = Client::new(CLIENTS as i64, random.number(), cluster.connector());
    let playing = Instant::now();
    while last.play_out() {
        assert!(
            playing.elapsed() < Duration::from_secs(120),
            "cases do not end:\n{}",
            checks::open(&mut shop)
        );
        sleep(Duration::from_millis(50));
    }
    checks::comes_to_rest(&mut shop);
    shop.expect("SELECT count(*) FROM wf.cases WHERE ended_at IS NULL", &[0]);
    let told: Vec<Told> = told.into_iter().chain([last.told()]).collect();
    checks::nothing_is_lost(&mut shop, &told);
    checks::nothing_happened_twice(&mut shop);
    checks::the_rules_agree(&mut shop, size.kills);
    checks::figures(&mut shop, &told);
    println!("took {:?}", start.elapsed());
}
