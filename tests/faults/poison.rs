//! Fault 2: SQL of a case that raises errors, runs for ever, eats memory or ends its process. Only its own case suffers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workflow_engine_tests::{
    Cluster, Options, Session, TestDb, automatic, edited, eventually, eventually_within,
    invoice_workflow, live,
};

use super::{around, completed, expect_exactly_once, hasty, post, until};

/// What is done for invoice 13: as the body of shop.act, in PL/pgSQL.
fn poison(shop: &mut Session, body: &str) {
    shop.exec("CREATE SCHEMA IF NOT EXISTS shop");
    shop.exec(&format!(
        "CREATE OR REPLACE FUNCTION shop.act(id bigint) RETURNS text LANGUAGE plpgsql AS $$
         BEGIN
             IF id % 1000 = 13 THEN {body} END IF;
             RETURN 'well';
         END $$"
    ));
}

const SPIN: &str = "LOOP NULL; END LOOP;";
/// It will not be stopped by a cancellation.
const STUBBORN: &str =
    "LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;";
/// What an incident says then: its token had been taken back to the step before.
const OVERTIME: &str = ", then step \"act\": its SQL took longer than 300 ms and was cancelled";
const DIE: &str = "PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60);";

fn call() -> Value {
    around(json!({"name": "act", "kind": "sql", "call": "shop.act(id)"}))
}

fn condition() -> Value {
    around(json!({"name": "act", "kind": "note", "text": "Well.", "when": "shop.act(id) = 'well'"}))
}

fn update() -> Value {
    around(json!({"name": "act", "kind": "update", "set": {"number": "shop.act(id)"}}))
}

/// The case of invoice 13 has become an incident that says all of this; the others are done. Once mended, `wf.retry`
/// brings it to its end.
#[track_caller]
fn only_thirteen(shop: &mut Session, cases: i64, notes_each: i64, sqlstate: &str, says: &str) {
    completed(shop, cases - 1);
    until(
        shop,
        "the incident",
        "SELECT count(*) > 0 FROM wf.incidents",
    );
    shop.expect(
        "SELECT key, step, sqlstate, attempts, message, hint LIKE '%wf.retry%' FROM wf.incidents",
        &[format!(
            "13 | before | {sqlstate} | 3 | workflow \"auto\", step \"before\"{says} | t"
        )],
    );
    shop.exec("CREATE OR REPLACE FUNCTION shop.act(id bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'well' $$");
    shop.exec("SELECT wf.retry(case_id, step) FROM wf.incidents");
    completed(shop, cases);
    expect_exactly_once(shop, cases, notes_each);
}

#[test]
fn a_call_that_never_ends_is_an_incident_of_its_own_case() {
    let (_cluster, mut shop) = live(&hasty());
    poison(&mut shop, SPIN);
    shop.install(&call());
    post(&mut shop, 1, 300);
    only_thirteen(&mut shop, 300, 2, "54000", OVERTIME);
}

#[test]
fn a_condition_that_never_ends_is_an_incident_of_its_own_case() {
    let (_cluster, mut shop) = live(&hasty());
    poison(&mut shop, SPIN);
    shop.install(&condition());
    post(&mut shop, 1, 300);
    only_thirteen(&mut shop, 300, 3, "54000", OVERTIME);
}

#[test]
fn an_update_that_never_ends_is_an_incident_of_its_own_case() {
    let (_cluster, mut shop) = live(&hasty());
    poison(&mut shop, SPIN);
    shop.install(&update());
    post(&mut shop, 1, 300);
    only_thirteen(&mut shop, 300, 2, "54000", OVERTIME);
}

#[test]
fn the_columns_of_a_template_that_never_come_are_an_incident_of_their_own_case() {
    let (_cluster, mut shop) = live(&hasty());
    poison(&mut shop, SPIN);
    // Else the view would call it for all rows whenever one is read.
    shop.exec("ALTER FUNCTION shop.act STABLE");
    shop.exec(
        "CREATE OR REPLACE VIEW invoice_details AS SELECT i.*, c.name AS customer_name, c.email, c.phone, c.address, c.locale, c.time_zone, \
         shop.act(i.id) AS remark FROM invoice AS i JOIN customer AS c ON c.id = i.customer_id",
    );
    shop.install(&around(
        json!({"name": "act", "kind": "note", "text": "All is {{ remark }}."}),
    ));
    post(&mut shop, 1, 300);
    only_thirteen(&mut shop, 300, 3, "54000", OVERTIME);
}

#[test]
fn an_error_or_too_large_a_value_is_an_incident_of_its_own_case() {
    let (_cluster, mut shop) = live(&hasty().set("workflow_engine.step_timeout", "20s"));
    let poisons = [
        (
            "RAISE EXCEPTION 'not thirteen' USING ERRCODE = '23514';",
            "23514 | not thirteen",
        ),
        (
            "RETURN repeat('x', 1073741823) || 'x';",
            "54000 | requested length too large",
        ),
        (
            "RETURN repeat('x', 20000000);",
            "54000 | the result of the call has more than 1000000 characters",
        ),
        (
            "RETURN array_fill(1, ARRAY[300000000])::text;",
            "54000 | array size exceeds the maximum allowed (134217727)",
        ),
        (
            "SET LOCAL temp_file_limit = '1MB'; PERFORM count(*) FROM (SELECT n FROM generate_series(1, 1000000) AS n ORDER BY n DESC) AS s;",
            "53400 | temporary file size exceeds temp_file_limit (1024kB)",
        ),
    ];
    let cases: String = (poisons.iter().enumerate())
        .map(|(nth, (body, _))| format!("IF id = {} THEN {body} END IF;\n", 13 + nth))
        .collect();
    shop.exec(&format!(
        "CREATE SCHEMA shop; CREATE FUNCTION shop.act(id bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN {cases} RETURN 'well'; END $$"
    ));
    shop.install(&call());
    post(&mut shop, 1, 100);
    completed(&mut shop, 95);
    until(
        &mut shop,
        "the incidents",
        "SELECT count(*) = 5 FROM wf.incidents WHERE attempts = 3",
    );
    let expected: Vec<String> = (poisons.iter().enumerate())
        .map(|(nth, (_, says))| {
            let says = says.replace(
                " | ",
                " | workflow \"auto\", step \"before\", then step \"act\": ",
            );
            format!("{} | {says}", 13 + nth)
        })
        .collect();
    // PostgreSQL 18 puts the setting's name into quotes.
    shop.expect(
        "SELECT key, sqlstate, replace(message, '\"temp_file_limit\"', 'temp_file_limit') FROM wf.incidents ORDER BY key::bigint",
        &expected,
    );
    shop.exec("CREATE OR REPLACE FUNCTION shop.act(id bigint) RETURNS text LANGUAGE sql AS $$ SELECT 'well' $$");
    shop.exec("SELECT wf.retry(case_id, step) FROM wf.incidents");
    completed(&mut shop, 100);
    expect_exactly_once(&mut shop, 100, 2);
}

#[test]
fn run_due_is_limited_and_careful_with_time_as_well() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    poison(&mut db, SPIN);
    db.exec(
        "SET workflow_engine.step_timeout = '200ms'; SET workflow_engine.retry_backoff = '1min'",
    );
    db.install(&invoice_workflow(
        "auto",
        json!([
            {"name": "act", "kind": "sql", "call": "shop.act(id)"},
            {"name": "after", "kind": "note", "text": "After."}
        ]),
    ));
    for id in 1..=40 {
        db.invoice(id, "2026-05-01", "10");
        db.start("auto", id);
    }
    db.run_due();
    db.expect("SELECT count(*) FROM wf.notes", &[39]);
    db.expect(
        "SELECT step, attempts, run FROM probe.open()",
        &["act | 1 | Mon 2026-03-02 10:01"],
    );
    eventually("the incident", || {
        // What costs so much rests by real time.
        std::thread::sleep(Duration::from_millis(300));
        db.exec("SELECT wf.set_clock(wf.now() + interval '1 hour')");
        db.run_due();
        (db.one::<i64>("SELECT count(*) FROM wf.incidents") == 1).then_some(())
    });
    db.expect(
        "SELECT key, attempts, sqlstate FROM wf.incidents",
        &["13 | 5 | 54000"],
    );
    // The session goes on, and its own calls are its own affair.
    db.expect("SELECT pg_sleep(0.5)", &[""]);
}

#[test]
fn a_client_that_sets_a_statement_timeout_ends_its_own_call_and_harms_no_case() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    poison(&mut db, SPIN);
    db.install(&invoice_workflow(
        "auto",
        json!([
            {"name": "act", "kind": "sql", "call": "shop.act(id)"},
            {"name": "after", "kind": "note", "text": "After."}
        ]),
    ));
    db.invoice(13, "2026-05-01", "10");
    db.start("auto", 13);
    db.exec("SET statement_timeout = '300ms'");
    db.expect_error("CALL wf.run_due()", "57014", &["statement timeout"]);
    db.expect("SELECT attempts FROM wf.case_steps", &[0]);
}

/// How long it takes until so many more cases of a workflow have ended.
fn time_of(shop: &mut Session, first: i64, last: i64) -> Duration {
    let start = Instant::now();
    post(shop, first, last);
    until(
        shop,
        "the cases of the others",
        &format!(
            "SELECT count(*) = {} FROM wf.cases AS c WHERE c.state = 'completed' AND c.key::bigint BETWEEN {first} AND {last} AND c.key::bigint % 1000 <> 13",
            last - first + 1 - (first..=last).filter(|n| n % 1000 == 13).count() as i64
        ),
    );
    start.elapsed()
}

/// A whole workflow that never ends takes a fifth of a worker's time at most, however many cases it has.
#[test]
fn a_workflow_that_is_poison_in_every_case_leaves_the_others_their_throughput() {
    let (_cluster, mut shop) = live(&hasty().set("workflow_engine.retry_backoff", "2s"));
    shop.exec(
        "CREATE SCHEMA shop; CREATE FUNCTION shop.never(id bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN LOOP NULL; END LOOP; END $$",
    );
    shop.install(&edited(
        automatic(json!([
            {"name": "act", "kind": "sql", "call": "shop.never(id)"},
            {"name": "after", "kind": "note", "text": "After."}
        ])),
        |doc| {
            doc["name"] = "endless".into();
            doc["start"] = json!({"when": "state = 'draft'"});
        },
    ));
    shop.install(&automatic(
        json!([{"name": "fine", "kind": "note", "text": "Fine."}]),
    ));
    let before = time_of(&mut shop, 1, 400);
    shop.exec("INSERT INTO invoice SELECT n, 'BAD-' || n, 1, 'draft', '2026-04-01', 100, 'EUR', now() FROM generate_series(100001, 100200) AS n");
    until(
        &mut shop,
        "the first poison",
        "SELECT count(*) = 200 FROM wf.cases WHERE state = 'running'",
    );
    let mut slowest = Duration::ZERO;
    for round in 0..5 {
        let first = 1001 + round * 1000;
        slowest = slowest.max(time_of(&mut shop, first, first + 399));
    }
    println!(
        "400 cases of the others: {before:?} before, {slowest:?} at most beside 200 cases that never end"
    );
    // What has been tried is parked in the end, and the others never were held up by it.
    until(
        &mut shop,
        "an incident",
        "SELECT count(*) > 0 FROM wf.incidents WHERE workflow = 'endless' AND attempts = 3",
    );
}

#[test]
fn a_start_rule_or_stop_rule_that_never_ends_harms_its_own_row() {
    let (_cluster, mut shop) = live(&hasty());
    poison(&mut shop, "");
    shop.install(&edited(
        automatic(
            json!([{"name": "fine", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
        ),
        |doc| {
            doc["start"] = json!({"when": "state = 'posted' AND shop.act(id) = 'well'"});
            doc["stop"] =
                json!([{"when": "state = 'paid' AND shop.act(id) = 'well'", "reason": "paid"}]);
        },
    ));
    post(&mut shop, 1, 50);
    until(&mut shop, "the cases", "SELECT count(*) = 50 FROM wf.cases");
    poison(&mut shop, SPIN);
    shop.exec("UPDATE invoice SET state = 'paid' WHERE id <= 50");
    post(&mut shop, 1001, 1050);
    // The stop rule for 13, the start rule for 1013.
    until(
        &mut shop,
        "all the others",
        "SELECT (SELECT count(*) FROM wf.cases WHERE outcome = 'stopped') = 49 AND (SELECT count(*) FROM wf.cases WHERE ended_at IS NULL) = 50",
    );
    until(
        &mut shop,
        "the incidents",
        "SELECT count(*) = 2 FROM wf.incidents",
    );
    shop.expect(
        "SELECT sqlstate, message LIKE '%took longer than 300 ms%' FROM wf.incidents",
        &["54000 | t", "54000 | t"],
    );
    poison(&mut shop, "");
    shop.exec("SELECT wf.reconcile('invoice')");
    until(
        &mut shop,
        "the two",
        "SELECT (SELECT count(*) FROM wf.cases WHERE outcome = 'stopped') = 50 AND (SELECT count(*) FROM wf.cases WHERE ended_at IS NULL) = 50 \
         AND NOT EXISTS (SELECT FROM wf.incidents)",
    );
}

#[test]
fn a_call_that_ends_its_process_is_an_incident_of_its_own_case() {
    let (cluster, mut shop) = live(&hasty());
    poison(&mut shop, DIE);
    shop.install(&call());
    post(&mut shop, 1, 250);
    only_thirteen(
        &mut shop,
        250,
        2,
        "57P02",
        ": the server process that worked on it ended",
    );
    let falls = cluster
        .log()
        .matches("terminating background worker \"workflow_engine worker")
        .count();
    println!("the worker fell {falls} times");
    // Once by surprise, once among others, once for each attempt.
    assert!((4..=6).contains(&falls), "{falls}");
}

#[test]
fn a_call_that_cannot_be_cancelled_ends_its_process_and_is_an_incident_of_its_own_case() {
    let (_cluster, mut shop) = live(&hasty().set("workflow_engine.max_attempts", "2"));
    poison(&mut shop, STUBBORN);
    shop.install(&call());
    post(&mut shop, 10, 15);
    completed(&mut shop, 5);
    until(
        &mut shop,
        "the incident",
        "SELECT count(*) > 0 FROM wf.incidents",
    );
    shop.expect(
        "SELECT key, sqlstate, attempts FROM wf.incidents",
        &["13 | 57P02 | 2"],
    );
}

#[test]
fn a_start_rule_that_ends_its_process_harms_its_own_row() {
    let (_cluster, mut shop) = live(&hasty());
    poison(&mut shop, DIE);
    shop.install(&edited(
        automatic(json!([{"name": "fine", "kind": "note", "text": "Fine."}])),
        |doc| doc["start"] = json!({"when": "shop.act(id) = 'well'"}),
    ));
    post(&mut shop, 1, 50);
    completed(&mut shop, 49);
    until(
        &mut shop,
        "the incident",
        "SELECT count(*) > 0 FROM wf.incidents",
    );
    shop.expect(
        "SELECT what, sqlstate, message FROM wf.incidents",
        &["row | 57P02 | subject \"invoice\", key 13: the server process that worked on it ended"],
    );
    poison(&mut shop, "");
    shop.exec("SELECT wf.reconcile('invoice')");
    completed(&mut shop, 50);
    expect_exactly_once(&mut shop, 50, 1);
}

/// Kills whatever process works for invoice 13, as the out-of-memory killer would; the server starts again each time.
fn kill_who_sleeps(cluster: &Cluster) -> usize {
    let mut kills = 0;
    let start = Instant::now();
    loop {
        assert!(
            start.elapsed() < Duration::from_secs(120),
            "killed {kills} times and no end"
        );
        std::thread::sleep(Duration::from_millis(20));
        let Ok(mut shop) = cluster.connector().try_connect("shop") else {
            continue;
        };
        let Ok(rows) = shop.try_rows(
            "SELECT pid, (SELECT count(*) FROM wf.incidents) FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
             UNION ALL SELECT 0, count(*) FROM wf.incidents",
        ) else {
            continue;
        };
        for row in rows {
            if row[1] != "0" {
                return kills;
            }
            if row[0] != "0" {
                cluster.kill_child(row[0].parse().expect("a process id"));
                kills += 1;
                break;
            }
        }
    }
}

#[test]
fn a_call_that_crashes_the_server_is_an_incident_of_its_own_case() {
    let options = hasty().set("workflow_engine.step_timeout", "60s");
    let (cluster, mut shop) = live(&options);
    poison(&mut shop, "PERFORM pg_sleep(100);");
    shop.install(&call());
    post(&mut shop, 1, 250);
    drop(shop);
    let kills = kill_who_sleeps(&cluster);
    println!("{kills} crashes");
    assert!((4..=8).contains(&kills), "{kills}");
    let mut shop = eventually_within(Duration::from_secs(60), "the server", || {
        cluster.connector().try_connect("shop").ok()
    });
    only_thirteen(
        &mut shop,
        250,
        2,
        "57P02",
        ": the server process that worked on it ended",
    );
    // Who looks into the tables finds that nothing is left of it.
    shop.expect("SELECT count(*) FROM wf.suspects", &[0]);
}

#[test]
fn without_a_crash_nothing_is_written_down() {
    let (_cluster, mut shop) = live(&Options::default());
    shop.install(&automatic(
        json!([{"name": "fine", "kind": "note", "text": "Fine."}]),
    ));
    post(&mut shop, 1, 500);
    completed(&mut shop, 500);
    shop.exec("SELECT pg_stat_force_next_flush()");
    shop.expect(
        "SELECT n_tup_ins FROM pg_stat_all_tables WHERE relid = 'wf.suspects'::regclass",
        &[0],
    );
}
