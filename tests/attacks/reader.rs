//! A reader who wants to write, and whoever else wants more than their kind gives.

use super::*;

#[test]
fn no_kind_of_role_writes_to_a_table_or_makes_anything_in_wf() {
    let mut stage = Stage::new(None);
    for kind in ["owner", "manager", "agent", "sender", "reader"] {
        let role = stage.role(kind);
        stage.exec(&format!("SELECT wf.grant_role('\"{role}\"', '{kind}')"));
        stage.expect(
            &format!(
                "SELECT c.relname, p.privilege FROM pg_class AS c,
                        unnest('{{INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}}'::text[]) AS p (privilege)
                 WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p', 'v')
                   AND (has_table_privilege('{role}', c.oid, p.privilege)
                        OR p.privilege <> ALL ('{{DELETE,TRUNCATE,TRIGGER}}') AND has_any_column_privilege('{role}', c.oid, p.privilege))"
            ),
            NONE,
        );
        stage.expect(
            &format!(
                "SELECT c.relname FROM pg_class AS c
                 WHERE c.relnamespace = 'wf'::regnamespace AND CASE c.relkind WHEN 'S' THEN has_sequence_privilege('{role}', c.oid, 'USAGE, SELECT, UPDATE') END"
            ),
            NONE,
        );
        stage.expect(
            &format!("SELECT has_schema_privilege('{role}', 'wf', 'CREATE')"),
            &["f"],
        );
        // Nor is any function of ours run with other rights than its caller's, but for those that check them themselves.
        let mut session = stage.connect_as(&role);
        for sql in [
            "CREATE TABLE wf.mine (n int)",
            "ALTER SCHEMA wf RENAME TO mine",
            "SELECT nextval('wf.cases_case_id_seq')",
            "DO $$ BEGIN LOCK TABLE wf.cases IN EXCLUSIVE MODE; END $$",
            "SET workflow_engine.enabled = off",
            "SET workflow_engine.batch_size = 1",
            "SET workflow_engine.max_attempts = 1",
            "SET workflow_engine.time_zone = 'Asia/Tokyo'",
            "SET workflow_engine.template_fuel = 2147483647",
            "SET workflow_engine.retry_backoff = 0",
            "ALTER ROLE CURRENT_USER SET workflow_engine.enabled = off",
        ] {
            session.expect_error(sql, "42501", &[]);
        }
        for sql in [
            "SET workflow_engine.databases = ''",
            "SET workflow_engine.naptime = 1",
            "SET workflow_engine.workers_per_database = 0",
        ] {
            session.expect_error(sql, "55P02", &[]);
        }
        session.expect_error("SET workflow_engine.made_up = 1", "42602", &[]);
    }
}

#[test]
fn a_reader_calls_nothing_that_changes_anything() {
    let mut stage = Stage::new(Some("reader"));
    let me = stage.me.clone();
    stage.expect(
        &format!(
            "SELECT DISTINCT p.proname FROM pg_proc AS p
             WHERE p.pronamespace = 'wf'::regnamespace AND has_function_privilege('{me}', p.oid, 'EXECUTE') ORDER BY 1"
        ),
        &["_every_case", "_my_cases", "_my_tasks", "_sees_all", "diagram", "explain", "history_head", "now", "verify_history", "workers"],
    );
    stage.install(&invoice_workflow(
        "read",
        json!([{"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
    ));
    stage.invoice(1, "2026-04-01", "1");
    let case = stage.start("read", 1);
    let mut mallory = stage.mallory();
    mallory.exec(&format!(
        "BEGIN READ ONLY; SELECT * FROM wf.explain({case}); SELECT wf.diagram({case}::bigint); SELECT * FROM wf.case_progress; COMMIT"
    ));
    // What a reader adds to a view runs as the reader.
    mallory.exec("SELECT * FROM wf.case_progress WHERE public.spy(workflow)");
    stage.is_unharmed(&[]);
}
