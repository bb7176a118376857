//! Meetings that a table of pairs has no row for. Each is made to happen: the first session stands still in the middle.

use serde_json::{Value, json};
use workflow_engine_tests::{Session, TestDb, edited, eventually};

use crate::stage::document;

/// Two sessions beside the one of the database; none of them waits for ever.
fn sessions(db: &TestDb) -> (Session, Session) {
    let (mut one, mut two) = (db.connect(), db.connect());
    for session in [&mut one, &mut two] {
        session.exec("SET lock_timeout = '20s'; SET deadlock_timeout = '200ms'");
    }
    (one, two)
}

/// A database with invoices, and a workflow with one task.
fn with_invoices(name: &str) -> TestDb {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.clock("2026-05-04 09:00");
    db.install(&one_task(name));
    for id in 1..=6 {
        db.invoice(id, "2026-05-01", "100");
    }
    db.run_due();
    db
}

fn one_task(name: &str) -> Value {
    workflow_engine_tests::invoice_workflow(
        name,
        json!([
            {"name": "say", "kind": "note", "text": "{{ case.workflow }}"},
            {"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 5}}
        ]),
    )
}

/// `second` runs in a thread while `first` has an open transaction; it has to wait until that one ends.
#[track_caller]
fn has_to_wait<T: Send>(
    db: &mut TestDb,
    first: &mut Session,
    second: &mut Session,
    call: impl FnOnce(&mut Session) -> T + Send,
) -> T {
    let pid = second.pid();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || call(second));
        eventually("the second session to wait", || {
            let waits: bool = db
                .one::<String>(&format!("SELECT cardinality(pg_blocking_pids({pid})) > 0"))
                == "t";
            (waits || waiting.is_finished()).then_some(())
        });
        assert!(!waiting.is_finished(), "it did not wait");
        first.exec("COMMIT");
        waiting.join().expect("no panic")
    })
}

#[test]
fn two_who_write_a_months_first_history_at_once_both_do() {
    let mut db = with_invoices("work");
    let cases = [
        db.start("work", 1),
        db.start("work", 2),
        db.start("work", 3),
    ];
    for (level, month, cases) in [
        ("READ COMMITTED", "2031-03-04 09:00", [cases[0], cases[1]]),
        ("REPEATABLE READ", "2032-03-04 09:00", [cases[1], cases[2]]),
        ("SERIALIZABLE", "2033-03-04 09:00", [cases[2], cases[0]]),
    ] {
        let (mut one, mut two) = sessions(&db);
        db.clock(month);
        one.exec(&format!("BEGIN; SELECT wf.hold({}, '{month}')", cases[0]));
        two.exec(&format!("BEGIN ISOLATION LEVEL {level}; SELECT wf.now()"));
        has_to_wait(&mut db, &mut one, &mut two, |two| {
            two.exec(&format!("SELECT wf.hold({}, '{month}')", cases[1]));
            two.exec("COMMIT");
        });
        db.expect(
            &format!("SELECT count(*) FROM wf.history AS h WHERE h.at = '{month} Europe/Amsterdam' AND event = 'case_held'"),
            &[2],
        );
    }
}

#[test]
fn a_workflow_is_not_dropped_while_a_case_of_it_starts() {
    let mut db = with_invoices("work");
    let (mut one, mut two) = sessions(&db);
    one.exec("BEGIN; SELECT wf.start('work', 1)");
    let refused = has_to_wait(&mut db, &mut one, &mut two, |two| {
        two.refused("SELECT wf.drop_workflow('work')")
    });
    refused.is("55000", &["1 open case"]);

    // The start is undone, and nothing is in the way any more.
    let case: i64 = db.one("SELECT case_id FROM wf.cases");
    db.exec(&format!("SELECT wf.cancel({case})"));
    one.exec("BEGIN; SELECT wf.start('work', 2); ROLLBACK");
    two.exec("SELECT wf.drop_workflow('work')");
}

#[test]
fn no_case_of_a_dropped_workflow_comes_to_be() {
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut db = with_invoices("work");
        let (mut one, mut two) = sessions(&db);
        one.exec("BEGIN; SELECT wf.drop_workflow('work')");
        two.exec(&format!(
            "BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM wf.workflows"
        ));
        let refused = has_to_wait(&mut db, &mut one, &mut two, |two| {
            two.refused("SELECT wf.start('work', 1)")
        });
        if level == "READ COMMITTED" {
            refused.is("42704", &["work"]);
        } else {
            refused.is("40001", &[]);
        }
        two.exec("ROLLBACK");
        db.expect("SELECT count(*) FROM wf.cases", &[0]);
    }
}

#[test]
fn a_worker_leaves_alone_what_a_designer_is_dropping() {
    let mut db = with_invoices("other");
    db.install(&edited(one_task("work"), |doc| {
        doc["start"] = json!({"when": "state = 'posted'"});
    }));
    db.run_due();
    let (mut one, mut two) = sessions(&db);
    db.exec("SELECT wf.cancel(case_id) FROM wf.cases");
    one.exec("BEGIN; SELECT wf.drop_workflow('work')");
    db.invoice(11, "2026-05-01", "100");
    two.exec("SET lock_timeout = '100ms'");
    two.run_due();
    one.exec("ROLLBACK");
    // Nothing was lost, and nobody is to blame.
    two.run_due();
    db.expect(
        "SELECT workflow, key FROM probe.cases() WHERE state = 'running'",
        &["work | 11"],
    );
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);

    db.exec("SELECT wf.cancel(case_id) FROM wf.cases WHERE ended_at IS NULL");
    one.exec("BEGIN; SELECT wf.drop_workflow('work')");
    db.invoice(12, "2026-05-01", "100");
    two.run_due();
    one.exec("COMMIT");
    two.run_due();
    db.expect("SELECT count(*) FROM wf.cases WHERE ended_at IS NULL", &[0]);
    db.expect("SELECT count(*) FROM wf.inbox", &[0]);
}

#[test]
fn a_worker_goes_on_beside_a_start_that_takes_its_time() {
    let mut db = with_invoices("other");
    db.install(&edited(one_task("work"), |doc| {
        doc["start"] = json!({"when": "state = 'posted' and open_amount > 500"});
    }));
    let (mut one, mut two) = sessions(&db);
    two.exec("SET lock_timeout = '10ms'");
    // The month is there, so that only the row is in the way.
    db.start("other", 1);
    db.invoice(11, "2026-05-01", "1000");
    db.invoice(12, "2026-05-01", "1000");
    one.exec("BEGIN; SELECT wf.start('work', 11)");
    two.run_due();
    db.expect(
        "SELECT workflow, key FROM probe.cases()",
        &["other | 1", "work | 12"],
    );
    one.exec("ROLLBACK");
    // The inbox may rest for a moment after the row has kept it waiting twice.
    eventually("the row's turn", || {
        two.run_due();
        (db.one::<i64>("SELECT count(*) FROM wf.inbox") == 0).then_some(())
    });
    db.expect(
        "SELECT workflow, key FROM probe.cases()",
        &["other | 1", "work | 11", "work | 12"],
    );
    db.expect("SELECT count(*) FROM wf.incidents", &[0]);
}

#[test]
fn of_two_who_start_the_same_row_the_second_is_told() {
    let mut db = with_invoices("work");
    let (mut one, mut two) = sessions(&db);
    one.exec("BEGIN; SELECT wf.start('work', 1)");
    let refused = has_to_wait(&mut db, &mut one, &mut two, |two| {
        two.refused("SELECT wf.start('work', 1)")
    });
    refused.is("23505", &[]);
    one.exec("BEGIN; SELECT wf.start('work', 2)");
    let started: i64 = has_to_wait(&mut db, &mut one, &mut two, |two| {
        two.one("SELECT wf.start_many('work', '{4,3,2,1}')")
    });
    assert_eq!(started, 2);
    db.expect(
        "SELECT key, count(*) FROM probe.cases() GROUP BY 1 ORDER BY 1",
        &["1 | 1", "2 | 1", "3 | 1", "4 | 1"],
    );
}

#[test]
fn starts_of_many_rows_in_opposite_orders_do_not_block_each_other() {
    let mut db = with_invoices("work");
    let mut several = one_task("several");
    several["subjects"] = "several".into();
    db.install(&several);
    for call in [
        "wf.start_many('work', '{4,3,2,1}')",
        "wf.start('several', '{4,3,2,1}'::bigint[])",
    ] {
        let (mut one, mut two) = sessions(&db);
        let workflow = if call.contains("several") {
            "several"
        } else {
            "work"
        };
        one.exec(&format!("BEGIN; SELECT wf.start('{workflow}', 1)"));
        let pid = two.pid();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| two.try_rows(&format!("SELECT {call}")));
            eventually("the second session to wait", || {
                let waits =
                    db.one::<String>(&format!("SELECT cardinality(pg_blocking_pids({pid})) > 0"));
                (waits == "t").then_some(())
            });
            // It waits for the first of the keys and has none of the others.
            one.exec(&format!("SELECT wf.start('{workflow}', 4)"));
            one.exec("COMMIT");
            match waiting.join().expect("no panic") {
                Ok(rows) => assert_eq!(rows, [["2"]], "{call}"),
                Err(failure) => assert_eq!(failure.sqlstate, "23505", "{call}: {}", failure.text()),
            }
        });
    }
}

#[test]
fn a_renamed_workflow_has_its_new_name_in_every_session() {
    let mut db = with_invoices("before");
    let (mut one, mut two) = sessions(&db);
    // Both know it by its old name.
    for (session, key) in [(&mut one, 1), (&mut two, 2)] {
        session.start("before", key);
        session.run_due();
    }
    one.exec("SELECT wf.rename_workflow('before', 'after')");
    two.start("after", 3);
    two.run_due();
    one.start("after", 4);
    one.run_due();
    db.expect(
        "SELECT key, body FROM wf.notes JOIN wf.cases USING (case_id) ORDER BY key",
        &["1 | before", "2 | before", "3 | after", "4 | after"],
    );
    let refused = two.refused("SELECT wf.start('after', 3)");
    refused.is("23505", &["\"after\""]);
    let case: i64 = two.one("SELECT min(case_id) FROM wf.cases");
    two.refused(&format!("SELECT wf.cancel_phase({case}, 'nowhere')"))
        .is("42704", &["\"after\""]);
}

#[test]
fn of_two_who_give_the_same_name_the_second_is_told() {
    let mut db = with_invoices("first");
    db.install(&one_task("second"));
    let (mut one, mut two) = sessions(&db);
    one.exec("BEGIN; SELECT wf.rename_workflow('first', 'wanted')");
    let refused = has_to_wait(&mut db, &mut one, &mut two, |two| {
        two.refused("SELECT wf.rename_workflow('second', 'wanted')")
    });
    refused
        .is("42710", &["workflow \"wanted\" exists already"])
        .hints("another name");
    one.exec("BEGIN; SELECT wf.rename_workflow('wanted', 'new')");
    let refused = has_to_wait(&mut db, &mut one, &mut two, |two| {
        two.refused("SELECT wf.clone('second', 'new')")
    });
    refused.is("42710", &["workflow \"new\""]);
}

/// A case of `whole` waits for one of `part`.
fn with_part() -> (TestDb, i64, i64) {
    let mut db = with_invoices("part");
    db.install(&workflow_engine_tests::invoice_workflow(
        "whole",
        json!([{"name": "sub", "kind": "sub_workflow", "workflow": "part"}]),
    ));
    let whole = db.start("whole", 1);
    db.run_due();
    let part: i64 = db.one("SELECT case_id FROM probe.cases() WHERE workflow = 'part'");
    (db, whole, part)
}

#[test]
fn a_case_and_the_one_that_waits_for_it_end_at_the_same_time() {
    for first in ["whole", "part"] {
        let (mut db, whole, part) = with_part();
        let task = db.task("ask");
        let (mut one, mut two) = sessions(&db);
        two.exec("SET lock_timeout = '2s'");
        let cancel = format!("SELECT wf.cancel({whole}, 'enough')");
        let complete = format!("SELECT wf.complete({task})");
        let (a, b) = if first == "whole" {
            (cancel, complete)
        } else {
            (complete, cancel)
        };
        one.exec(&format!("BEGIN; {a}"));
        // Neither waits for the other's case.
        if let Err(failure) = two.try_exec(&format!("BEGIN; {b}")) {
            assert!(
                first == "whole" && failure.sqlstate == "55P03",
                "{}",
                failure.text()
            );
            two.exec("ROLLBACK");
            one.exec("COMMIT");
        } else {
            one.exec("COMMIT");
            two.exec("COMMIT");
        }
        db.run_due();
        let story = db.story();
        let states = db.lines("SELECT workflow, state FROM probe.cases()");
        assert!(
            states[1] == "whole | cancelled"
                && ["part | completed", "part | cancelled"].contains(&states[0].as_str()),
            "{states:?}\n{story}"
        );
        db.expect("SELECT count(*) FROM wf.case_steps", &[0]);
        db.expect("SELECT count(*) FROM wf.tasks", &[0]);
        assert!(part > whole);
    }
}

#[test]
fn one_case_is_in_a_section_however_many_come_at_once() {
    let mut db = TestDb::new();
    db.clock("2026-05-04 09:00");
    db.exec(
        "CREATE TABLE claim (id bigint PRIMARY KEY, account text, state text, due_date date, open_amount numeric, email text);
         SELECT wf.bind_subject('claim', 'claim', 'id', account => 'account', email => 'email');
         INSERT INTO claim SELECT n, 'A-1', 'open', '2026-05-01', 100 FROM generate_series(1, 3) AS n",
    );
    let mut section = document(
        "section",
        json!([
            {"name": "wait", "kind": "task", "participant": "clerk", "due": {"days": 5}},
            {"name": "talk", "kind": "task", "participant": "clerk", "due": {"days": 5}},
            {"name": "end", "kind": "finish"}
        ]),
        1,
    );
    section["sections"] = json!([{"name": "talks", "per": "account", "steps": ["talk"]}]);
    section["subjects"] = "one".into();
    section["templates"] = json!({});
    db.install(&section);
    let cases: Vec<i64> = (1..=3).map(|key| db.start("section", key)).collect();
    db.run_due();
    let (mut one, mut two) = sessions(&db);
    one.exec(&format!(
        "BEGIN; SELECT wf.complete_step({}, 'wait')",
        cases[0]
    ));
    two.exec(&format!(
        "BEGIN; SELECT wf.complete_step({}, 'wait')",
        cases[1]
    ));
    one.exec("COMMIT");
    two.exec("COMMIT");
    db.exec(&format!("SELECT wf.complete_step({}, 'wait')", cases[2]));
    for second in 10..=59 {
        db.at(&format!("2026-05-04 09:00:{second}"));
        let inside: i64 = db.one("SELECT count(*) FROM probe.tasks() WHERE step = 'talk'");
        assert_eq!(inside, 1, "{}", db.story());
        let leaves = db.task("talk");
        if second % 20 == 0 {
            // The next one comes in as this one leaves.
            db.exec(&format!("SELECT wf.complete({leaves})"));
            db.run_due();
        }
        if db.one::<i64>("SELECT count(*) FROM wf.cases WHERE ended_at IS NULL") == 1 {
            return;
        }
    }
    panic!("only one case came in\n{}", db.story());
}
