//! wf.start and wf.start_many.

use super::{NONE, work};

#[test]
fn start_gives_back_the_case_and_its_open_step() {
    let mut db = work();
    let rows = db.rows("SELECT case_id, state, step, visit, probe.local(due_at), task_id FROM wf.start('work', 1::bigint)");
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0][1..5],
        ["running", "check", "1", "Wed 2026-03-04 00:00"]
    );
    assert_eq!(rows[0][5], db.task("check").to_string());
    db.expect(
        "SELECT workflow, key, state FROM probe.cases()",
        &["work | 1 | running"],
    );
    db.expect(
        "SELECT event, step FROM probe.history()",
        &["case_started | null"],
    );
}

#[test]
fn start_takes_the_key_as_text_number_or_uuid() {
    let mut db = work();
    db.exec("SELECT * FROM wf.start('work', '1')");
    db.exec("SELECT * FROM wf.start('work', 2)");
    db.exec("SELECT * FROM wf.start('work', 3::bigint, '{\"urgent\": true}')");
    db.expect("SELECT key FROM probe.cases()", &["1", "2", "3"]);
    db.expect(
        "SELECT vars->>'urgent' FROM wf.cases ORDER BY case_id",
        &["null", "null", "true"],
    );
    db.clock("2026-05-01 10:00");
    db.scope_10();
    db.report(7, "2029-03-15");
    db.exec("SELECT * FROM wf.start('scope-10', '00000000-0000-0000-0000-000000000007'::uuid)");
    db.expect(
        "SELECT state FROM probe.cases() WHERE workflow = 'scope-10'",
        &["running"],
    );
}

#[test]
fn start_refuses_what_it_cannot_start() {
    let mut db = work();
    let before: String = db.one("SELECT probe.state()");
    db.expect_error("SELECT * FROM wf.start('wrok', 1)", "42704", &["wrok"])
        .hints("");
    db.expect_error("SELECT * FROM wf.start('work', 4711)", "P0002", &["4711"])
        .hints("");
    db.expect_error("SELECT * FROM wf.start('work', 'abc')", "22P02", &["abc"]);
    db.exec("SELECT wf.disable('work')");
    db.expect_error("SELECT * FROM wf.start('work', 1)", "55000", &["work"])
        .hints("wf.enable");
    db.expect("SELECT probe.state()", &[before]);
}

#[test]
fn a_second_open_case_is_refused_naming_the_first() {
    let mut db = work();
    let case = db.start("work", 1);
    db.expect_error(
        "SELECT * FROM wf.start('work', 1)",
        "23505",
        &[&case.to_string()],
    )
    .hints("");
    db.exec(&format!("SELECT * FROM wf.cancel({case})"));
    assert_ne!(db.start("work", 1), case);
}

#[test]
fn start_many_passes_over_what_is_open_already() {
    let mut db = work();
    db.start("work", 2);
    db.expect("SELECT wf.start_many('work', '{1,2,3}'::text[])", &[2]);
    db.expect("SELECT wf.start_many('work', '{1,2,3}'::text[])", &[0]);
    db.expect(
        "SELECT key FROM probe.cases() ORDER BY key::int",
        &["1", "2", "3"],
    );
    db.expect("SELECT count(*) FROM probe.tasks()", &[3]);
    db.expect(
        "SELECT wf.start_many('work', '{4,4}'::text[], '{\"a\": 1}')",
        &[1],
    );
}

#[test]
fn start_is_undone_with_the_callers_transaction() {
    let mut db = work();
    let before: String = db.one("SELECT probe.state()");
    db.exec("BEGIN; SELECT * FROM wf.start('work', 1); SAVEPOINT s; SELECT wf.start_many('work', '{2,3}'::text[]); ROLLBACK");
    db.expect("SELECT probe.state()", &[before]);
    db.exec("BEGIN; SELECT * FROM wf.start('work', 1); SAVEPOINT s; SELECT * FROM wf.start('work', 2); ROLLBACK TO s; COMMIT");
    db.expect("SELECT key FROM probe.cases()", &["1"]);
    db.run_due();
    db.expect("SELECT key FROM probe.cases()", &["1"]);
}

#[test]
fn start_works_for_a_row_of_the_same_transaction() {
    let mut db = work();
    db.exec("BEGIN; INSERT INTO invoice VALUES (11, 'INV-11', 1, 'posted', '2026-04-01', 5, 'EUR'); SELECT * FROM wf.start('work', 11); COMMIT");
    db.run_due();
    db.expect("SELECT key, state FROM probe.cases()", &["11 | running"]);
}

#[test]
fn run_due_refuses_to_run_inside_a_transaction() {
    let mut db = work();
    db.exec("BEGIN");
    db.refused("CALL wf.run_due()");
    db.exec("ROLLBACK");
    db.run_due();
    db.expect("SELECT * FROM probe.cases()", NONE);
}
