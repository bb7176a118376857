//! History is only ever added to, and says who, when, from what to what, and why.

use workflow_engine_tests::edited;

use super::*;

/// What somebody might try who owns the tables.
const CHANGES: [&str; 8] = [
    "UPDATE wf.history SET actor = 'somebody else'",
    "DELETE FROM wf.history",
    "TRUNCATE wf.history",
    "UPDATE wf.history_2026_03 SET outcome = 'other'",
    "DELETE FROM wf.history_2026_03",
    "TRUNCATE wf.history_2026_03",
    "TRUNCATE wf.history_2026_06",
    "DELETE FROM wf.history_2026_06",
];

#[test]
fn history_is_not_rewritten_even_by_its_owner() {
    let mut db = office();
    played(&mut db, 1);
    db.clock("2026-06-02 10:00");
    played(&mut db, 2);
    let before = db.lines("SELECT h::text FROM wf.history AS h ORDER BY h.history_id");
    for change in CHANGES {
        db.expect_error(change, "55000", &["only ever added to"])
            .hints("wf.erase_account");
    }
    // As a role that has all the rights of the owner, and as one that was given the table's.
    let (member, guest) = (db.role("member"), db.role("guest"));
    db.exec(&format!(
        "GRANT postgres TO \"{member}\"; GRANT USAGE ON SCHEMA wf TO \"{guest}\";
         GRANT ALL ON ALL TABLES IN SCHEMA wf TO \"{guest}\""
    ));
    let mut member = db.connect_as(&member);
    for change in CHANGES {
        member.expect_error(change, "55000", &["only ever added to"]);
    }
    let mut guest = db.connect_as(&guest);
    for change in CHANGES {
        assert!(guest.try_exec(change).is_err(), "{change}");
    }
    assert_eq!(
        db.lines("SELECT h::text FROM wf.history AS h ORDER BY h.history_id"),
        before
    );
}

#[test]
fn the_log_of_what_belongs_to_no_case_and_the_seals_are_not_rewritten_either() {
    let mut db = office();
    played(&mut db, 1);
    db.exec("SELECT wf.protect_history(); SELECT wf.seal_history()");
    for table in ["audit_log", "history_seals"] {
        assert!(db.one::<i64>(&format!("SELECT count(*) FROM wf.{table}")) > 0);
        let column = if table == "audit_log" {
            "actor"
        } else {
            "sealed_by"
        };
        db.expect_error(
            &format!("UPDATE wf.{table} SET {column} = 'x'"),
            "55000",
            &[table],
        );
        db.expect_error(&format!("DELETE FROM wf.{table}"), "55000", &[table]);
        db.expect_error(&format!("TRUNCATE wf.{table}"), "55000", &[table]);
    }
}

#[test]
fn the_trail_tells_who_logged_in_who_acted_when_from_what_to_what_and_why() {
    let mut db = office();
    let (login, role) = (db.role("anna"), db.role("desk"));
    db.exec(&format!(
        "GRANT \"{role}\" TO \"{login}\"; SELECT wf.grant_role('\"{role}\"', 'manager')"
    ));
    let case = db.start("chat", 1);
    db.run_due();
    db.send();
    let mut anna = db.connect_as(&login);
    anna.exec(&format!(
        "SET ROLE \"{role}\"; BEGIN; SET LOCAL workflow_engine.reason = 'ticket 4711';
         SELECT wf.complete_step({case}, 'check', 'done'); COMMIT;
         SELECT wf.start('chat', 2::bigint); SELECT wf.cancel(max(case_id), 'wrong row') FROM wf.case_progress"
    ));
    db.expect(
        &format!(
            "SELECT step, before, after, outcome, why, login = '{login}', role = '{role}', probe.local(at)
             FROM wf.audit_trail WHERE case_id = {case} AND step = 'check'"
        ),
        &["check | check | noted | done | ticket 4711 | t | t | Mon 2026-03-02 10:00"],
    );
    db.expect(
        &format!(
            "SELECT act, before, after, why, login = '{login}', role = '{role}' FROM wf.audit_trail
             WHERE act = 'case_cancelled'"
        ),
        &["case_cancelled | open | cancelled | wrong row | t | t"],
    );
    db.expect(
        &format!(
            "SELECT DISTINCT login, role, why FROM wf.audit_trail WHERE case_id = {case} AND step = 'mail'"
        ),
        &["postgres | postgres | null"],
    );
    // The engine's own work has no other reason than the workflow, whatever stands in a session.
    db.install(&edited(invoice_workflow("auto", steps()), |doc| {
        doc["start"] = json!({"when": "open_amount = 7"});
    }));
    db.exec("SET workflow_engine.reason = 'mine'; UPDATE invoice SET open_amount = 7 WHERE id = 4");
    db.run_due();
    db.expect(
        "SELECT DISTINCT h.detail ->> 'reason' FROM wf.history AS h WHERE h.actor = 'engine'",
        &["null"],
    );
    db.exec("SELECT wf.start('chat', 3::bigint)");
    db.expect(
        "SELECT DISTINCT why FROM wf.audit_trail WHERE case_id = (SELECT max(case_id) FROM wf.cases)",
        &["mine"],
    );
}

#[test]
fn a_role_cannot_take_a_name_that_passes_for_two_or_for_the_engine() {
    let mut db = office();
    let role = db.role("x as y");
    db.exec(&format!("SELECT wf.grant_role('\"{role}\"', 'manager')"));
    db.connect_as(&role)
        .exec("SELECT wf.start('chat', 1::bigint)");
    db.expect(
        &format!("SELECT DISTINCT login = '\"{role}\"', role = login FROM wf.audit_trail WHERE case_id IS NOT NULL"),
        &["t | t"],
    );
    // The name belongs to the cluster: made and dropped within a transaction.
    db.expect(
        "BEGIN; CREATE ROLE engine; SELECT wf.grant_role('engine', 'manager'); SET LOCAL SESSION AUTHORIZATION engine;
         SELECT wf.start('chat', 2::bigint); RESET SESSION AUTHORIZATION;
         SELECT DISTINCT actor FROM wf.history WHERE case_id = (SELECT max(case_id) FROM wf.cases); ROLLBACK",
        &["\"engine\""],
    );
}

#[test]
fn the_trail_tells_who_published_and_switched_workflows_and_who_stopped_all_contact() {
    let mut db = office();
    let (login, role) = (db.role("anna"), db.role("desk"));
    db.exec(&format!(
        "GRANT \"{role}\" TO \"{login}\"; SELECT wf.grant_role('\"{role}\"', 'manager');
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{role}\"; UPDATE wf.workflows SET owner = '\"{role}\"'"
    ));
    let before: i64 = db.one("SELECT count(*) FROM wf.audit_log");
    let mut anna = db.connect_as(&login);
    anna.exec(&format!(
        "SET ROLE \"{role}\"; SET workflow_engine.reason = 'ticket 4711';
         SELECT wf.disable('chat'); SELECT wf.disable('chat'); SELECT wf.enable('chat'); SELECT wf.enable('chat', backfill => true);
         SELECT wf.set_step('chat', 'check', '{{\"description\": \"Ask them\"}}'); SELECT wf.publish('chat');
         SELECT wf.stop_contact('a template went wrong'); SELECT wf.stop_contact('provider down', 'sms');
         SELECT wf.resume_contact(); SELECT wf.resume_contact(); SELECT wf.resume_contact('sms');
         SELECT wf.rename_workflow('chat', 'talk'); SELECT wf.drop_workflow('talk')"
    ));
    // What has changed nothing, or was rolled back, is not there.
    anna.exec("BEGIN; SELECT wf.stop_contact('by mistake'); ROLLBACK");
    db.expect(
        &format!(
            "SELECT act, object, why, detail FROM wf.audit_trail
             WHERE case_id IS NULL AND login = '{login}' AND role = '{role}' AND at > now() - interval '1 hour' ORDER BY at"
        ),
        &[
            "workflow disabled | chat | ticket 4711 | {}",
            "workflow enabled | chat | ticket 4711 | {}",
            r#"workflow published | chat | ticket 4711 | {"version": 2}"#,
            "contact stopped | * | a template went wrong | {}",
            "contact stopped | sms | provider down | {}",
            "contact resumed | * | ticket 4711 | {}",
            "contact resumed | sms | ticket 4711 | {}",
            r#"workflow renamed | chat | ticket 4711 | {"to": "talk"}"#,
            "workflow dropped | talk | ticket 4711 | {}",
        ],
    );
    db.expect("SELECT count(*) FROM wf.audit_log", &[before + 9]);
}
