//! Who writes the ERP's rows, and as whom conditions and updates run.

use serde_json::json;
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

use super::{CASES, following};

#[test]
fn a_role_without_rights_on_the_engine_can_insert_update_and_delete() {
    let mut db = following();
    let role = db.role("clerk");
    db.exec(&format!(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON invoice, customer TO \"{role}\""
    ));
    let mut clerk = db.connect_as(&role);
    clerk.expect_error("SELECT * FROM wf.cases", "42501", &["permission denied"]);
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        clerk.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        clerk.exec("INSERT INTO invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR'), (2, 'B', 1, 'posted', NULL, 5, 'EUR')");
        clerk.exec("COMMIT");
        db.run_due();
        clerk.exec(&format!("BEGIN ISOLATION LEVEL {isolation}"));
        clerk.exec("UPDATE invoice SET state = 'paid' WHERE id = 1; DELETE FROM invoice WHERE id = 2; COMMIT");
        db.run_due();
        clerk.exec("DELETE FROM invoice");
        db.run_due();
    }
    db.expect(
        "SELECT state, count(*) FROM probe.cases() GROUP BY state",
        &["cancelled | 6"],
    );
}

#[test]
fn an_erp_session_cannot_reach_the_engine_through_its_trigger() {
    let mut db = following();
    let role = db.role("clerk");
    db.exec(&format!(
        "GRANT ALL ON invoice TO \"{role}\"; GRANT CREATE ON SCHEMA public TO \"{role}\""
    ));
    let mut clerk = db.connect_as(&role);
    // A search path and temporary tables that shadow what the trigger might name.
    clerk.exec(
        "CREATE TEMP TABLE inbox (xid xid8, inbox_id bigint, subject_id int, key text, op text, watch_id int, watched text, at timestamptz); \
         CREATE TEMP TABLE subjects (subject_id int); CREATE TEMP TABLE pg_class (oid oid); \
         SET search_path = pg_temp, public",
    );
    clerk.exec("INSERT INTO public.invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR')");
    db.run_due();
    db.expect(CASES, &["1 | running | null"]);
    clerk.expect("SELECT count(*) FROM inbox", &[0]);
}

/// A workflow owned by a role that may not read the table `secret`.
fn with_owner(condition_in: &str, step: serde_json::Value) -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    let owner = db.role("author");
    db.exec(&format!(
        "CREATE TABLE secret (n int); INSERT INTO secret VALUES (1); \
         GRANT SELECT ON invoice, invoice_details, customer TO \"{owner}\"; \
         GRANT USAGE ON SCHEMA wf TO \"{owner}\"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wf TO \"{owner}\"; \
         SELECT wf.set_participant('clerk')"
    ));
    // Publishing checks the right as well: the owner has it then, and loses it after.
    db.exec(&format!(
        "GRANT SELECT, UPDATE ON secret, invoice TO \"{owner}\""
    ));
    let document = edited(invoice_workflow("spy", json!([step])), |doc| {
        if condition_in == "start" {
            doc["start"] =
                json!({"when": "state = 'posted' and (select n from public.secret) = 1"});
        }
    });
    let mut author = db.connect_as(&owner);
    author.define(&document);
    author.exec("SELECT wf.publish('spy'); SELECT wf.enable('spy')");
    db.exec(&format!(
        "REVOKE ALL ON secret FROM \"{owner}\"; REVOKE UPDATE ON invoice FROM \"{owner}\""
    ));
    db.invoice(1, "2026-04-01", "5");
    db
}

fn days_pass(db: &mut TestDb) {
    for day in 2..12 {
        db.at(&format!("2026-03-{day:02} 12:00"));
    }
}

#[test]
fn a_condition_that_its_owner_may_not_evaluate_parks_the_case_as_an_incident() {
    let mut db = with_owner(
        "step",
        json!({"name": "look", "kind": "note", "text": "x", "when": "(select n from public.secret) = 1", "on": {"anchor": "case_start", "hours": 1}}),
    );
    db.exec("SELECT * FROM wf.start('spy', 1)");
    days_pass(&mut db);
    db.expect("SELECT count(*) FROM wf.notes", &[0]);
    db.expect("SELECT count(*) FROM wf.incidents", &[1]);
    db.expect(
        "SELECT sqlstate, message LIKE '%\"look\": permission denied for table secret%' FROM wf.failures WHERE resolved_at IS NULL",
        &["42501 | t"],
    );
    db.expect("SELECT step, state FROM probe.open()", &["look | failed"]);
}

#[test]
fn a_start_condition_that_its_owner_may_not_evaluate_starts_nothing_and_is_an_incident() {
    let mut db = with_owner(
        "start",
        json!({"name": "look", "kind": "note", "text": "x"}),
    );
    days_pass(&mut db);
    db.expect("SELECT count(*) FROM probe.cases()", &[0]);
    db.expect("SELECT count(*) > 0 FROM wf.incidents", &["t"]);
    db.expect(
        "SELECT count(*) > 0 FROM wf.failures WHERE message LIKE '%secret%'",
        &["t"],
    );
}

#[test]
fn an_update_step_writes_with_its_owners_rights_only() {
    let mut db = with_owner(
        "step",
        json!({"name": "mark", "kind": "update", "set": {"state": "'marked'"}, "on": {"anchor": "case_start", "hours": 1}}),
    );
    db.exec("SELECT * FROM wf.start('spy', 1)");
    days_pass(&mut db);
    db.expect("SELECT state FROM invoice", &["posted"]);
    db.expect("SELECT count(*) FROM wf.incidents", &[1]);
}

#[test]
fn a_condition_cannot_become_the_superuser() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    let owner = db.role("author");
    db.exec(&format!(
        "GRANT SELECT ON invoice, invoice_details, customer TO \"{owner}\"; GRANT USAGE ON SCHEMA wf TO \"{owner}\"; \
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wf TO \"{owner}\"; GRANT CREATE ON SCHEMA public TO \"{owner}\"; CREATE TABLE seen (who text); GRANT ALL ON seen TO \"{owner}\""
    ));
    let mut author = db.connect_as(&owner);
    author.exec(
        "CREATE FUNCTION public.escape() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN \
           BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END; \
           BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN NULL; END; \
           BEGIN SET ROLE postgres; EXCEPTION WHEN OTHERS THEN NULL; END; \
           IF current_user = 'postgres' THEN RAISE EXCEPTION 'escaped'; END IF; \
           RETURN true; END $$",
    );
    author.define(&invoice_workflow("spy", json!([{"name": "look", "kind": "note", "text": "x", "when": "public.escape()", "on": {"anchor": "case_start", "hours": 1}}])));
    author.exec("SELECT wf.publish('spy'); SELECT wf.enable('spy')");
    db.invoice(1, "2026-04-01", "5");
    db.exec("SELECT * FROM wf.start('spy', 1)");
    days_pass(&mut db);
    db.expect(
        "SELECT count(*) FROM wf.failures WHERE message LIKE '%escaped%'",
        &[0],
    );
    db.expect("SELECT count(*) FROM wf.notes", &[1]);
}
