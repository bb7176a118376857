//! Fault 8: transactions of the ERP that last, that are prepared, that go back to savepoints, that hold what the engine
//! needs.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use workflow_engine_tests::{
    Options, Random, Session, TestDb, automatic, invoice_workflow, live, long_form,
};

use super::{completed, expect_exactly_once, hasty, post, until};

fn prepared() -> Options {
    // Only a wake-up can bring the worker in time.
    Options::default()
        .set("max_prepared_transactions", "10")
        .set("workflow_engine.naptime", "1h")
}

fn install(shop: &mut Session) {
    shop.install(&automatic(
        json!([{"name": "fine", "kind": "note", "text": "Fine."}]),
    ));
    shop.install(&invoice_workflow(
        "work",
        json!([
            {"name": "look", "kind": "task", "participant": "clerk", "due": {"days": 1}},
            {"name": "after", "kind": "note", "text": "Done."}
        ]),
    ));
    post(shop, 1, 1);
    completed(shop, 1);
}

const NOTES: &str = "SELECT count(*) FROM wf.notes";

#[test]
fn what_was_prepared_happens_at_commit_prepared_and_not_before() {
    let (mut cluster, mut shop) = live(&prepared());
    install(&mut shop);
    shop.exec("BEGIN");
    post(&mut shop, 2, 2);
    shop.exec("INSERT INTO invoice VALUES (3, 'INV-3', 1, 'draft', NULL, 5, 'EUR')");
    shop.exec("SELECT wf.start('work', 3)");
    shop.exec("PREPARE TRANSACTION 'erp'");
    // The session goes on, and so do the others.
    post(&mut shop, 4, 4);
    completed(&mut shop, 2);
    sleep(Duration::from_millis(500));
    shop.expect("SELECT key FROM wf.cases ORDER BY case_id", &[1, 4]);
    // It also outlives the server.
    drop(shop);
    cluster.kill_postmaster();
    cluster.start_again();
    let mut shop = cluster.connect("shop");
    until(
        &mut shop,
        "an idle worker",
        "SELECT count(*) = 1 FROM wf.workers() WHERE database = 'shop' AND state = 'idle'",
    );
    shop.expect(NOTES, &[2]);
    shop.exec("COMMIT PREPARED 'erp'");
    completed(&mut shop, 3);
    shop.expect(
        "SELECT key, state FROM wf.cases ORDER BY key",
        &[
            "1 | completed",
            "2 | completed",
            "3 | running",
            "4 | completed",
        ],
    );
    let task: i64 = shop.one("SELECT task_id FROM wf.tasks");

    // A task that is settled in a prepared transaction.
    for (end, notes) in [("ROLLBACK", 3), ("COMMIT", 4)] {
        shop.exec(&format!(
            "BEGIN; SELECT wf.complete({task}); PREPARE TRANSACTION 'task'"
        ));
        sleep(Duration::from_millis(300));
        shop.expect(NOTES, &[3]);
        shop.exec(&format!("{end} PREPARED 'task'"));
        until(
            &mut shop,
            "the note",
            &format!("SELECT count(*) = {notes} FROM wf.notes"),
        );
    }
    completed(&mut shop, 4);
    expect_exactly_once(&mut shop, 4, 1);
}

#[test]
fn what_was_rolled_back_after_it_was_prepared_never_happened() {
    let (_cluster, mut shop) = live(&prepared());
    install(&mut shop);
    let before: String = shop.one("SELECT probe.state()");
    shop.exec("INSERT INTO invoice VALUES (3, 'INV-3', 1, 'draft', NULL, 5, 'EUR')");
    shop.exec("BEGIN");
    post(&mut shop, 2, 2);
    shop.exec("SELECT wf.start('work', 3)");
    shop.exec("PREPARE TRANSACTION 'erp'");
    shop.exec("ROLLBACK PREPARED 'erp'");
    sleep(Duration::from_millis(500));
    shop.expect("SELECT probe.state()", &[before]);
    shop.expect("SELECT count(*) FROM wf.inbox", &[0]);
    // Whatever this session remembers of it: the same again goes through.
    post(&mut shop, 2, 2);
    shop.exec("SELECT wf.start('work', 3)");
    completed(&mut shop, 2);
}

/// The very first events of a database make the month of their history: in a transaction that never comes to be.
#[test]
fn a_month_that_was_made_in_a_prepared_transaction_is_made_again() {
    let (_cluster, mut shop) = live(&prepared().set("workflow_engine.databases", ""));
    shop.install(&invoice_workflow(
        "work",
        json!([{"name": "look", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
    ));
    shop.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'draft', NULL, 5, 'EUR' FROM generate_series(1, 3) AS n");
    shop.exec("BEGIN; SELECT wf.start('work', 1); SELECT wf.start('work', 2); PREPARE TRANSACTION 'first'");
    shop.exec("ROLLBACK PREPARED 'first'");
    shop.exec("SELECT wf.start('work', 1); SELECT wf.start('work', 3)");
    shop.expect("SELECT key FROM wf.cases ORDER BY key", &[1, 3]);
    shop.run_due();
    shop.expect("SELECT count(*) FROM wf.tasks", &[2]);
}

/// What a transaction has changed so far, by savepoint.
struct Model {
    levels: Vec<BTreeSet<i64>>,
}

impl Model {
    fn note(&mut self, keys: impl IntoIterator<Item = i64>) {
        self.levels.last_mut().expect("a level").extend(keys);
    }

    fn all(&self) -> BTreeSet<i64> {
        self.levels.iter().flatten().copied().collect()
    }
}

const ROWS: i64 = 600;

/// One random thing that an ERP does in a transaction.
fn erp_does(db: &mut Session, random: &mut Random, model: &mut Model) {
    let row = 1 + random.below(ROWS as u64) as i64;
    let other = 1 + random.below(ROWS as u64) as i64;
    let third = 1 + random.below(ROWS as u64) as i64;
    let change =
        |row: i64| format!("UPDATE invoice SET open_amount = open_amount + 1 WHERE id = {row}");
    match random.below(9) {
        0 | 1 => {
            db.exec(&change(row));
            model.note([row]);
        }
        2 => {
            // In bulk: such rows share one of the inbox.
            let last = (row + random.below(400) as i64).min(ROWS);
            db.exec(&format!(
                "UPDATE invoice SET open_amount = open_amount + 1 WHERE id BETWEEN {row} AND {last}"
            ));
            model.note(row..=last);
        }
        3 => {
            db.exec(&format!("SAVEPOINT s{}", model.levels.len()));
            model.levels.push(BTreeSet::new());
        }
        4 if model.levels.len() > 1 => {
            // Back to any of them; it stays.
            let level = 1 + random.below(model.levels.len() as u64 - 1) as usize;
            db.exec(&format!("ROLLBACK TO s{level}"));
            model.levels.truncate(level);
            model.levels.push(BTreeSet::new());
        }
        5 if model.levels.len() > 1 => {
            let level = 1 + random.below(model.levels.len() as u64 - 1) as usize;
            db.exec(&format!("RELEASE s{level}"));
            let kept: Vec<_> = model.levels.drain(level..).collect();
            model.note(kept.into_iter().flatten());
        }
        6 => {
            db.exec(&format!(
                "DO $$ BEGIN
                     {};
                     BEGIN
                         {};
                         BEGIN UPDATE invoice SET open_amount = 0 WHERE id > {}; EXCEPTION WHEN OTHERS THEN NULL; END;
                         PERFORM 1 / 0;
                     EXCEPTION WHEN division_by_zero THEN
                         {};
                     END;
                 END $$",
                change(row),
                change(other),
                ROWS / 2,
                change(third)
            ));
            model.note([row, third]);
        }
        // The ERP's own trigger on payments: writes the invoice, and goes back on it if the amount is negative.
        7 => {
            db.exec(&format!("INSERT INTO payment (invoice_id, amount) VALUES ({row}, 1), ({other}, -1), ({third}, 1)"));
            model.note([row, third]);
        }
        _ => {
            let failed = db.try_exec(&format!(
                "SAVEPOINT inner_one; {}; SELECT 1 / 0",
                change(other)
            ));
            assert!(failed.is_err());
            db.exec("ROLLBACK TO inner_one; RELEASE inner_one");
        }
    }
}

#[test]
fn the_inbox_has_what_was_committed_whatever_was_rolled_back_in_between() {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.exec(
        "CREATE FUNCTION public.pay() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             BEGIN
                 UPDATE public.invoice SET open_amount = open_amount - NEW.amount WHERE id = NEW.invoice_id;
                 IF NEW.amount < 0 THEN RAISE EXCEPTION 'negative'; END IF;
             EXCEPTION WHEN raise_exception THEN NULL;
             END;
             RETURN NULL;
         END $$;
         CREATE TRIGGER pay AFTER INSERT ON public.payment FOR EACH ROW EXECUTE FUNCTION public.pay()",
    );
    db.exec(&format!(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, 100, 'EUR' FROM generate_series(1, {ROWS}) AS n"
    ));
    let mut random = Random::seeded();
    let rounds = if long_form() { 2000 } else { 120 };
    let mut committed = 0;
    for round in 0..rounds {
        db.exec("DELETE FROM wf.inbox");
        db.exec("BEGIN");
        let mut model = Model {
            levels: vec![BTreeSet::new()],
        };
        for _ in 0..1 + random.below(15) {
            erp_does(&mut db, &mut random, &mut model);
        }
        let keeps = random.below(4) > 0;
        db.exec(if keeps { "COMMIT" } else { "ROLLBACK" });
        let expected = if keeps { model.all() } else { BTreeSet::new() };
        committed += expected.len();
        let found: BTreeSet<i64> = db
            .lines("SELECT DISTINCT k FROM (SELECT key FROM wf.inbox UNION ALL SELECT unnest(keys) FROM wf.inbox) AS i (k) WHERE k IS NOT NULL")
            .iter()
            .map(|key| key.parse().expect("a number"))
            .collect();
        assert_eq!(found, expected, "round {round}");
    }
    println!("{rounds} transactions, {committed} committed keys");
}

#[test]
fn a_long_transaction_of_many_statements_holds_nobody_up_and_is_seen_when_it_commits() {
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        let (cluster, mut shop) = live(&Options::default());
        shop.install(&automatic(json!([
            {"name": "before", "kind": "note", "text": "Before."},
            {"name": "after", "kind": "note", "text": "After."}
        ])));
        let mut long = cluster.connect("shop");
        long.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        for id in 1..=400 {
            long.exec(&format!(
                "INSERT INTO invoice VALUES ({id}, 'INV-{id}', 1, 'draft', NULL, 5, 'EUR')"
            ));
            long.exec(&format!(
                "UPDATE invoice SET state = 'posted' WHERE id = {id}"
            ));
            if id % 100 == 0 {
                post(&mut shop, 1000 + id, 1000 + id + 49);
                completed(&mut shop, id / 2);
                shop.expect(
                    "SELECT count(*) FROM wf.cases WHERE key::bigint < 1000",
                    &[0],
                );
            }
        }
        long.exec("COMMIT");
        completed(&mut shop, 600);
        expect_exactly_once(&mut shop, 600, 2);
    }
}

/// An upgrade of the ERP locks its table for longer than a worker waits.
#[test]
fn a_table_that_the_erp_holds_costs_no_case_its_attempts() {
    let (cluster, mut shop) = live(&hasty());
    shop.install(&automatic(json!([
        {"name": "pause", "kind": "wait", "on": {"anchor": "subject.ready_at", "roll": "none"}},
        {"name": "after", "kind": "note", "text": "After."}
    ])));
    shop.exec("INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, 5, 'EUR', now() + interval '2 seconds' FROM generate_series(1, 50) AS n");
    until(&mut shop, "the cases", "SELECT count(*) = 50 FROM wf.cases");
    // Some of them due, and some changes unread.
    let mut erp = cluster.connect("shop");
    shop.exec("BEGIN");
    post(&mut shop, 51, 60);
    erp.exec("BEGIN");
    shop.exec("COMMIT");
    erp.exec("LOCK TABLE invoice IN ACCESS EXCLUSIVE MODE");
    sleep(Duration::from_secs(if long_form() { 60 } else { 6 }));
    erp.exec("COMMIT");
    completed(&mut shop, 60);
    shop.expect("SELECT count(*) FROM wf.failures", &[0]);
    expect_exactly_once(&mut shop, 60, 1);
}
