//! Throughput with a sender: each step is done when its message has been sent, so that every case goes back and forth
//! between the worker and the sender.

use std::thread::sleep;
use std::time::{Duration, Instant};

use workflow_engine_tests::Session;

use crate::bare::{self, Commits, WORKED};
use crate::cluster::{self, await_rest, checkpoint, copy_of, workers_off, workers_on};
use crate::report::{figure, progress, rate, ratios};
use crate::sizes::Sizes;
use crate::workload;

/// Messages that the sender asks for at one time.
const LEASE: usize = 1000;

/// How long the sender waits when there is nothing to send.
const PAUSE: Duration = Duration::from_millis(2);

/// Measures `engine_sent_to_bare_ratio`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start();
    let cases = sizes.sent_cases;
    let steps = cases * workload::STEPS;
    workload::make_ready(&cluster, "ready", cases, "sent");
    let (mut engine, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=sizes.rounds {
        let mut database = copy_of(&cluster, "ready");
        let mut sender = cluster.connect(cluster::DATABASE);
        checkpoint(&mut database);
        let start = Instant::now();
        workers_on(&mut database);
        let leases = send(&mut sender, steps, start);
        let time = await_rest(&mut database, start, Duration::from_secs(900));
        workers_off(&mut database);
        workload::check(&mut database, cases, "sent");

        bare::prepare(&mut database, WORKED, Commits::EachBatch);
        let filled = bare::fill(&mut database, WORKED);
        progress(format!(
            "round {round}: {steps} steps, {leases} leases; engine {:.2} s, {:.0} steps/s; bare {:.2} s for {}",
            time.as_secs_f64(),
            rate(steps, time),
            filled.time.as_secs_f64(),
            filled.rows
        ));
        engine.push(rate(steps, time));
        bare.push(rate(steps, filled.time));
    }
    figure(
        "engine_sent_to_bare_ratio",
        "ratio",
        &ratios(&engine, &bare),
    );
}

/// Leases and acknowledges until so many messages have left; how many leases there were. As a sender does that has much to
/// send, it leases the next messages in the transaction in which it acknowledges the last ones.
fn send(sender: &mut Session, messages: u64, start: Instant) -> usize {
    let lease = format!("SELECT * FROM wf.lease_messages(NULL, {LEASE})");
    let (mut sent, mut leases) = (0, 0);
    let mut leased = Vec::new();
    loop {
        let ids: Vec<&str> = leased
            .iter()
            .filter_map(|row: &Vec<String>| row.first().map(String::as_str))
            .collect();
        if ids.is_empty() {
            leased = sender.rows(&lease);
        } else {
            sent += ids.len() as u64;
            let acknowledge = format!("SELECT wf.ack_messages('{{{}}}'::bigint[])", ids.join(","));
            if sent >= messages {
                sender.exec(&acknowledge);
                return leases;
            }
            leased = sender.rows(&format!("{acknowledge}; {lease}"));
        }
        if leased.is_empty() {
            assert!(
                start.elapsed() < Duration::from_secs(900),
                "only {sent} of {messages} messages have come"
            );
            sleep(PAUSE);
        } else {
            leases += 1;
        }
    }
}
