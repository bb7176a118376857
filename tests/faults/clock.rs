//! Fault 9: the server's clock jumps, and its zone changes to summer time and back. No step runs twice or before its time;
//! what has not come yet by the clock waits until it has.

use std::time::{Duration, Instant};

use serde_json::json;
use workflow_engine_tests::{Random, Session, automatic, eventually_within, live, long_form};

use super::{completed, expect_exactly_once, hasty, until};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The worker has nothing more to do, and does not turn round and round.
fn settled(shop: &mut Session) {
    until(
        shop,
        "an idle worker",
        "SELECT count(*) = 1 FROM wf.workers() WHERE database = 'shop' AND state = 'idle'",
    );
}

#[test]
fn when_the_clock_jumps_no_step_runs_twice_or_before_its_time() {
    // It sleeps by another clock, and looks at this one each second.
    let (cluster, mut shop) = live(&hasty().with_shim().set("workflow_engine.naptime", "1s"));
    shop.install(&automatic(json!([
        {"name": "pause", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}},
        {"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"},
        {"name": "after", "kind": "note", "text": "After."}
    ])));
    // One each six hours, for twenty days.
    shop.exec(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, 5, 'EUR', now() + n * interval '6 hours' + interval '1 minute' \
         FROM generate_series(0, 79) AS n",
    );
    until(&mut shop, "the cases", "SELECT count(*) = 80 FROM wf.cases");
    let mut jumps = vec![
        HOUR,
        -2 * HOUR,
        2 * DAY,
        DAY,
        -30 * DAY,
        5 * DAY,
        5 * DAY + HOUR,
        -HOUR,
    ];
    let mut random = Random::seeded();
    if long_form() {
        jumps.extend((0..100).map(|_| random.below(50 * DAY as u64) as i64 - 30 * DAY));
    }
    let mut furthest = 0;
    for jump in &jumps {
        cluster.shim().set_clock(*jump);
        furthest = furthest.max(*jump);
        // What is due by the furthest that the clock has ever been is done, and nothing else.
        let due = (furthest - 60).div_euclid(6 * HOUR) + 1;
        completed(&mut shop, due.clamp(0, 80));
        settled(&mut shop);
        shop.expect(
            "SELECT count(*) FROM wf.cases WHERE state = 'completed'",
            &[due.clamp(0, 80)],
        );
    }
    // Right again, and on: all that is left comes at its time.
    cluster.shim().set_clock(21 * DAY);
    completed(&mut shop, 80);
    expect_exactly_once(&mut shop, 80, 1);
    shop.expect(
        "SELECT count(*) FROM wf.notes AS n JOIN wf.cases AS c USING (case_id) JOIN invoice AS i ON i.id = c.key::bigint WHERE n.at < i.ready_at",
        &[0],
    );
    shop.expect(
        "SELECT count(*) FROM wf.outbox AS o JOIN wf.cases AS c USING (case_id) JOIN invoice AS i ON i.id = c.key::bigint WHERE o.not_before < i.ready_at",
        &[0],
    );
    println!("80 cases, {} jumps", jumps.len() + 1);
}

#[test]
fn a_lease_and_a_retry_wait_at_most_until_the_clock_is_right_again() {
    let (cluster, mut shop) = live(&hasty().with_shim().set("workflow_engine.naptime", "1s"));
    shop.install(&automatic(json!([
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "after", "kind": "note", "text": "After."}
    ])));
    cluster.shim().set_clock(DAY);
    shop.exec("INSERT INTO invoice VALUES (1, 'INV-1', 1, 'posted', NULL, 5, 'EUR', now())");
    let leased = eventually_within(Duration::from_secs(30), "the message", || {
        let leased = shop.lease();
        (!leased.is_empty()).then_some(leased)
    });
    // A day back: the lease of ten minutes seems to last for a day and ten minutes.
    cluster.shim().set_clock(0);
    assert_eq!(shop.lease(), []);
    cluster.shim().set_clock(DAY + 11 * 60);
    let again = shop.lease();
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].idempotency_key, leased[0].idempotency_key);
    // And reported while the clock is behind again.
    cluster.shim().set_clock(-DAY);
    assert_eq!(shop.ack(&again), 1);
    completed(&mut shop, 1);
    expect_exactly_once(&mut shop, 1, 1);
}

/// An idle worker's processor time over some seconds, after the clock went back by a month.
#[test]
fn a_clock_that_goes_back_makes_no_worker_turn_round_and_round() {
    let (cluster, mut shop) = live(&hasty().with_shim());
    shop.install(&automatic(json!([
        {"name": "pause", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}},
        {"name": "after", "kind": "note", "text": "After."}
    ])));
    shop.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, 5, 'EUR', now() + interval '1 hour' FROM generate_series(1, 20) AS n");
    until(&mut shop, "the cases", "SELECT count(*) = 20 FROM wf.cases");
    settled(&mut shop);
    let worker: i32 = shop.one("SELECT pid FROM wf.workers() WHERE database = 'shop'");
    let used = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).expect("a process");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split(' ').collect();
        fields[12].parse::<u64>().expect("ticks") + fields[13].parse::<u64>().expect("ticks")
    };
    cluster.shim().set_clock(-30 * DAY);
    shop.exec("UPDATE invoice SET open_amount = 6 WHERE id = 1");
    until(
        &mut shop,
        "the inbox to be read",
        "SELECT count(*) = 0 FROM wf.inbox",
    );
    settled(&mut shop);
    let (before, start) = (used(), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    // A hundred ticks are a second of processor time.
    let (ticks, seconds) = (used() - before, start.elapsed().as_secs());
    assert!(ticks < 20 * seconds, "{ticks} ticks in {seconds} s");
}

/// Sets the server's clock to a time by its own zone's change, and lets it run from there.
fn clock_at(shop: &mut Session, utc: &str) -> i64 {
    let now: i64 = shop.one(&format!(
        "SELECT extract(epoch FROM timestamptz '{utc} UTC' - clock_timestamp())::bigint"
    ));
    now
}

#[test]
fn in_the_night_of_the_change_a_server_in_that_zone_does_every_step_once() {
    let nights = [
        // 02:30 does not exist in Amsterdam, is 03:30: the worker sleeps across the gap.
        (
            "Europe/Amsterdam",
            "2026-03-29",
            "2026-03-29 01:29:57",
            "2026-03-29 01:30",
        ),
        // 02:30 comes twice; the second is it.
        (
            "Europe/Amsterdam",
            "2026-10-25",
            "2026-10-25 00:30:30",
            "2026-10-25 01:30",
        ),
        // A server elsewhere changes nothing about it.
        (
            "America/New_York",
            "2026-10-25",
            "2026-10-25 01:29:57",
            "2026-10-25 01:30",
        ),
        (
            "Australia/Lord_Howe",
            "2026-03-29",
            "2026-03-29 01:29:57",
            "2026-03-29 01:30",
        ),
    ];
    // Servers elsewhere in the long form.
    let count = if long_form() { nights.len() } else { 2 };
    for (zone, day, before, after) in nights.into_iter().take(count) {
        let (cluster, mut shop) = live(
            &hasty()
                .with_shim()
                .set("workflow_engine.naptime", "1s")
                .set("timezone", zone),
        );
        shop.install(&automatic(json!([
            {"name": "act", "kind": "wait", "on": {"anchor": "subject.due_date", "time": "02:30", "roll": "none"}},
            {"name": "after", "kind": "note", "text": "After."}
        ])));
        let ahead = clock_at(&mut shop, before);
        cluster.shim().set_clock(ahead);
        shop.exec(&format!(
            "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '{day}', 5, 'EUR', now() FROM generate_series(1, 10) AS n"
        ));
        until(&mut shop, "the cases", "SELECT count(*) = 10 FROM wf.cases");
        shop.expect(
            "SELECT DISTINCT run_at AT TIME ZONE 'UTC' FROM wf.case_steps WHERE state = 'scheduled' AND run_at > now()",
            &[format!("{after}:00")],
        );
        if before.starts_with("2026-10-25 00") {
            // The first 02:30 has just been: nothing yet. Then on to the second one.
            settled(&mut shop);
            shop.expect("SELECT count(*) FROM wf.notes", &[0]);
            cluster.shim().set_clock(ahead + 3600 - 35);
        }
        completed(&mut shop, 10);
        shop.expect(
            &format!("SELECT count(*) FROM wf.notes WHERE at < '{after} UTC'"),
            &[0],
        );
        // Through the rest of the night.
        for half_hour in 1..5 {
            cluster.shim().set_clock(ahead + half_hour * 1800);
            settled(&mut shop);
        }
        expect_exactly_once(&mut shop, 10, 1);
    }
}
