//! Who may edit, and two who edit at the same time.

use std::thread;

use workflow_engine_tests::{Failure, Session, TestDb, eventually};

use super::{FLOW, bound, saved};

/// Runs a statement in another session while it has to wait for the first one's transaction; what it gave.
fn meanwhile(
    db: &mut TestDb,
    mut other: Session,
    sql: &'static str,
    then: &str,
) -> Result<Vec<Vec<String>>, Failure> {
    let pid = other.pid();
    let waiter = thread::spawn(move || other.try_rows(sql));
    let mut watcher = db.connect();
    eventually("the second designer waiting", || {
        let waits: String =
            watcher.one(&format!("SELECT cardinality(pg_blocking_pids({pid})) > 0"));
        (waits == "t").then_some(())
    });
    db.exec(then);
    waiter.join().expect("the session goes on")
}

#[test]
fn of_two_designers_the_second_goes_on_from_what_the_first_has_left() {
    let mut db = saved();
    let other = db.connect();
    db.exec(r#"BEGIN; SELECT wf.add_step('w', 'mine', 'note', '{"description": "M", "text": "x"}', before => 'end')"#);
    let theirs = r#"SELECT version, findings FROM wf.add_step('w', 'yours', 'note', '{"description": "Y", "text": "x"}', before => 'end')"#;
    let rows = meanwhile(&mut db, other, theirs, "COMMIT").expect("both edits fit together");
    assert_eq!(rows, [["2", "0"]]);
    db.expect(
        FLOW,
        &[
            "first | done | second",
            "second | done | mine",
            "mine | done | yours",
            "yours | done | end",
        ],
    );
}

#[test]
fn of_two_designers_the_second_is_told_when_the_first_has_taken_the_ground_away() {
    let mut db = saved();
    let gone = |db: &mut TestDb, first: &str, second: &'static str, part: &str| {
        let other = db.connect();
        db.exec(&format!("BEGIN; {first}"));
        let failure = meanwhile(db, other, second, "COMMIT").expect_err("too late");
        failure.is("42704", &[part]).hints("");
    };
    gone(
        &mut db,
        "SELECT wf.remove_step('w', 'second')",
        r#"SELECT wf.set_step('w', 'second', '{"text": "y"}')"#,
        "has no step \"second\"",
    );
    gone(
        &mut db,
        "SELECT wf.rename_workflow('w', 'x')",
        "SELECT wf.add_phase('w', 'y')",
        "workflow \"w\" does not exist",
    );
    gone(
        &mut db,
        "SELECT wf.drop_workflow('x')",
        "SELECT wf.save('x')",
        "workflow \"x\" does not exist",
    );
    // What has been rolled back, the second one never sees.
    let mut db = saved();
    let other = db.connect();
    db.exec("BEGIN; SELECT wf.remove_step('w', 'second')");
    meanwhile(
        &mut db,
        other,
        r#"SELECT wf.set_step('w', 'second', '{"text": "y"}')"#,
        "ROLLBACK",
    )
    .expect("it is there");
}

#[test]
fn two_who_make_the_same_workflow_end_up_with_one() {
    let mut db = bound();
    let other = db.connect();
    db.exec("BEGIN; SELECT wf.create_workflow('w', 'invoice')");
    let failure = meanwhile(
        &mut db,
        other,
        "SELECT wf.create_workflow('w', 'invoice')",
        "COMMIT",
    )
    .expect_err("taken");
    failure.is("42710", &["\"w\""]).hints("another name");
    db.expect("SELECT count(*) FROM wf.workflows", &[1]);
}

#[test]
fn a_designer_at_work_keeps_no_case_from_starting() {
    let mut db = saved();
    db.invoice(1, "2026-04-01", "10");
    let mut designer = db.connect();
    designer.exec("BEGIN; SELECT wf.remove_step('w', 'second'); SELECT wf.save('w')");
    db.exec("SET lock_timeout = '10s'");
    db.start("w", 1);
    db.settle("first", None);
    db.expect("SELECT body FROM wf.notes", &["INV-1 seen"]);
    designer.exec("ROLLBACK");
}

/// A role with a kind of rights.
fn with_rights(db: &mut TestDb, name: &str, kind: &str) -> String {
    let role = db.role(name);
    db.exec(&format!("SELECT wf.grant_role('\"{role}\"', '{kind}')"));
    role
}

#[test]
fn s23_arw_03_04_a_specialist_who_edits_is_denied_by_function_and_by_direct_sql() {
    let mut db = saved();
    for kind in ["agent", "reader", "sender"] {
        let role = with_rights(&mut db, kind, kind);
        let mut specialist = db.connect_as(&role);
        for sql in [
            "SELECT wf.create_workflow('mine', 'invoice')",
            "SELECT wf.set_workflow('w', '{}')",
            "SELECT wf.rename_workflow('w', 'x')",
            "SELECT wf.drop_workflow('w')",
            "SELECT wf.add_phase('w', 'x')",
            "SELECT wf.rename_phase('w', 'phase 1', 'x')",
            "SELECT wf.remove_phase('w', 'x')",
            "SELECT wf.add_step('w', 'x', 'note')",
            "SELECT wf.set_step('w', 'first', '{}')",
            "SELECT wf.move_step('w', 'first', after => 'second')",
            "SELECT wf.remove_step('w', 'second')",
            "SELECT wf.add_transition('w', 'first', 'end')",
            "SELECT wf.remove_transition('w', 'first')",
            "SELECT wf.save('w')",
            "SELECT wf.discard('w')",
            "UPDATE wf.versions SET document = '{}'",
            "INSERT INTO wf.versions (workflow_id, number, document, saved_at, saved_by) VALUES (1, 9, '{}', now(), 'x')",
            "UPDATE wf.workflows SET name = 'x'",
            "DELETE FROM wf.workflows",
            "UPDATE wf.steps SET name = 'x'",
            "DELETE FROM wf.phases",
            "INSERT INTO wf.transitions VALUES (1, 1, 'x', 2)",
        ] {
            specialist.expect_error(sql, "42501", &["permission denied"]);
        }
    }
}

#[test]
fn arw_03_managers_and_owners_edit_what_is_theirs() {
    for kind in ["manager", "owner"] {
        let mut db = saved();
        let role = with_rights(&mut db, kind, kind);
        db.exec(&format!(
            "GRANT SELECT ON invoice_details, invoice TO \"{role}\""
        ));
        let mut manager = db.connect_as(&role);
        manager.exec(
            r#"SELECT wf.create_workflow('mine', 'invoice');
               SELECT wf.set_step('mine', 'step 1', '{"kind": "finish", "description": "Over"}');
               SELECT wf.save('mine'); SELECT wf.enable('mine')"#,
        );
        db.expect(
            &format!("SELECT owner = '\"{role}\"'::regrole FROM wf.workflows WHERE name = 'mine'"),
            &["t"],
        );
        for sql in [
            "SELECT wf.add_phase('w', 'x')",
            "SELECT wf.rename_workflow('w', 'x')",
            "SELECT wf.drop_workflow('w')",
            "SELECT wf.save('w')",
            "SELECT wf.discard('w')",
        ] {
            manager
                .expect_error(
                    sql,
                    "42501",
                    &["workflow \"w\"", "belongs to role postgres"],
                )
                .hints("wf.clone");
        }
        // What belongs to a group belongs to its members.
        let group = db.role("group");
        db.exec(&format!(
            "GRANT \"{group}\" TO \"{role}\"; UPDATE wf.workflows SET owner = '\"{group}\"' WHERE name = 'w'"
        ));
        manager.exec("SELECT wf.add_phase('w', 'x'); SELECT wf.discard('w')");
    }
}

#[test]
fn who_may_not_edit_a_workflow_does_not_wait_for_it_either() {
    let mut db = saved();
    let role = with_rights(&mut db, "manager", "manager");
    let mut manager = db.connect_as(&role);
    manager.exec("SET lock_timeout = '10s'");
    db.exec("BEGIN; SELECT wf.add_phase('w', 'x')");
    manager.expect_error(
        "SELECT wf.add_phase('w', 'y')",
        "42501",
        &["workflow \"w\""],
    );
    manager.expect_error(
        "SELECT wf.define(wf.export('w'))",
        "42501",
        &["workflow \"w\""],
    );
    db.exec("ROLLBACK");
}
