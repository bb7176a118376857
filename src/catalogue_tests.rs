//! What must hold for everything in schema wf, whoever added it: described, closed to PUBLIC, safe to call, and saved
//! by pg_dump.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    /// The names that a query finds at fault, with what was looked for.
    fn assert_none(what: &str, query: &str) {
        let sql =
            format!("SELECT string_agg(f.name, E'\\n' ORDER BY f.name) FROM ({query}) AS f (name)");
        let found: Option<String> = Spi::get_one(&sql).unwrap();
        assert_eq!(found, None, "{what}");
    }

    /// Members of the extension in a catalogue, as a condition on the alias `o`.
    fn ours(catalogue: &str) -> String {
        format!(
            "EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
                     WHERE d.classid = '{catalogue}'::regclass AND d.objid = o.oid AND d.deptype = 'e'
                       AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'workflow_engine')"
        )
    }

    #[pg_test]
    fn every_function_view_table_and_type_says_what_it_is_for() {
        assert_none(
            "functions without a comment",
            "SELECT o.oid::regprocedure::text FROM pg_proc AS o
             WHERE o.pronamespace = 'wf'::regnamespace AND obj_description(o.oid, 'pg_proc') IS NULL",
        );
        assert_none(
            "relations without a comment",
            &format!(
                "SELECT o.oid::regclass::text FROM pg_class AS o
                 WHERE o.relnamespace = 'wf'::regnamespace AND o.relkind IN ('r', 'p', 'v')
                   AND obj_description(o.oid, 'pg_class') IS NULL AND {}",
                ours("pg_class")
            ),
        );
        assert_none(
            "columns of views without a comment",
            &format!(
                "SELECT o.oid::regclass || '.' || a.attname FROM pg_class AS o
                 JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
                 WHERE o.relnamespace = 'wf'::regnamespace AND o.relkind = 'v'
                   AND col_description(o.oid, a.attnum) IS NULL AND {}",
                ours("pg_class")
            ),
        );
        assert_none(
            "types without a comment",
            "SELECT o.oid::regtype::text FROM pg_type AS o
             WHERE o.typnamespace = 'wf'::regnamespace AND obj_description(o.oid, 'pg_type') IS NULL
               AND (o.typtype = 'e' OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = o.typrelid AND c.relkind = 'c'))",
        );
    }

    /// A function without it would find what its caller's search_path holds first.
    #[pg_test]
    fn every_function_pins_search_path() {
        // run_due commits, which a procedure with a SET clause cannot; every name in it carries its schema.
        // The trigger functions run for each row of the ERP's statements and look no name up.
        assert_none(
            "functions that do not pin search_path",
            "SELECT o.oid::regprocedure::text FROM pg_proc AS o
             WHERE o.pronamespace = 'wf'::regnamespace
               AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (o.proconfig), false)
               AND o.oid::regprocedure::text NOT IN (
                   'wf.run_due(integer)', 'wf.subject_row_trigger()', 'wf.subject_statement_trigger()')",
        );
    }

    /// Row types of tables and views are left alone: pg_dump does not know rights on them, and they allow nothing.
    #[pg_test]
    fn public_may_do_nothing_in_wf() {
        assert_none(
            "rights of PUBLIC",
            "SELECT o.name || ' ' || a.privilege_type
             FROM (SELECT 'schema wf', coalesce(n.nspacl, acldefault('n', n.nspowner))
                   FROM pg_namespace AS n WHERE n.nspname = 'wf'
                   UNION ALL
                   SELECT c.oid::regclass::text,
                          coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))
                   FROM pg_class AS c
                   WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                   UNION ALL
                   SELECT p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner))
                   FROM pg_proc AS p WHERE p.pronamespace = 'wf'::regnamespace
                   UNION ALL
                   SELECT 'type ' || t.oid::regtype, coalesce(t.typacl, acldefault('T', t.typowner))
                   FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
                   WHERE t.typnamespace = 'wf'::regnamespace AND t.typcategory <> 'A'
                     AND (t.typtype <> 'c' OR c.relkind = 'c')) AS o (name, acl)
             CROSS JOIN LATERAL aclexplode(o.acl) AS a
             WHERE a.grantee = 0",
        );
    }

    /// What is not registered is gone after pg_dump and restore.
    #[pg_test]
    fn every_table_and_sequence_is_saved_by_pg_dump() {
        assert_none(
            "relations that pg_dump leaves out",
            &format!(
                "SELECT o.oid::regclass::text FROM pg_class AS o
                 WHERE o.relnamespace = 'wf'::regnamespace AND o.relkind IN ('r', 'p', 'S')
                   AND NOT EXISTS (SELECT FROM pg_extension AS x
                                   WHERE x.extname = 'workflow_engine' AND o.oid = ANY (x.extconfig))
                   -- about this server's processes
                   AND o.oid::regclass::text NOT IN ('wf.calm', 'wf.suspects')
                   AND ({} OR o.relkind = 'S')",
                ours("pg_class")
            ),
        );
        assert_none(
            "conditions on what is saved, other than for what is shipped",
            "SELECT c.oid::regclass || ': ' || c.condition
             FROM (SELECT unnest(x.extconfig), unnest(x.extcondition) FROM pg_extension AS x
                   WHERE x.extname = 'workflow_engine') AS c (oid, condition)
             WHERE c.condition <> CASE WHEN c.oid::regclass::text IN ('wf.calendars', 'wf.calendar_years', 'wf.holidays', 'wf.hold_kinds')
                                       THEN 'WHERE NOT shipped' ELSE '' END",
        );
    }

    #[pg_test]
    fn roles_get_the_rights_of_their_kind_and_no_others() {
        Spi::run(
            "CREATE ROLE \"the Owner\"; CREATE ROLE manager; CREATE ROLE agent; CREATE ROLE sender; CREATE ROLE reader;
             SELECT wf.grant_role('\"the Owner\"', 'owner'), wf.grant_role('manager', 'manager'),
                    wf.grant_role('agent', 'agent'), wf.grant_role('sender', 'sender'), wf.grant_role('reader', 'reader')",
        )
        .unwrap();
        let may = |role: &str, function: &str| {
            let sql = format!("SELECT bool_or(has_function_privilege('{role}', p.oid, 'EXECUTE')) FROM pg_proc AS p
                               WHERE p.pronamespace = 'wf'::regnamespace AND p.proname = '{function}'");
            Spi::get_one::<bool>(&sql).unwrap().unwrap()
        };
        let sees = |role: &str, relation: &str| {
            let sql = format!("SELECT has_table_privilege('{role}', 'wf.{relation}', 'SELECT')");
            Spi::get_one::<bool>(&sql).unwrap().unwrap()
        };
        let everybody = ["the Owner", "manager", "agent", "sender", "reader"];
        let who = |test: &dyn Fn(&str) -> bool| {
            let roles: Vec<_> = everybody.into_iter().filter(|r| test(r)).collect();
            roles.join(" ")
        };
        assert_eq!(
            who(&|r| may(r, "now")),
            "the Owner manager agent sender reader"
        );
        assert_eq!(who(&|r| may(r, "publish")), "the Owner manager");
        assert_eq!(who(&|r| may(r, "add_step")), "the Owner manager");
        assert_eq!(who(&|r| may(r, "set_participant")), "the Owner");
        assert_eq!(who(&|r| may(r, "_run_round")), "the Owner");
        assert_eq!(who(&|r| may(r, "cancel")), "the Owner manager");
        assert_eq!(who(&|r| may(r, "complete")), "the Owner manager agent");
        assert_eq!(who(&|r| may(r, "lease_messages")), "the Owner sender");
        for function in [
            "set_clock",
            "clear_clock",
            "grant_role",
            "revoke_role",
            "_announce",
            "subject_row_trigger",
        ] {
            assert_eq!(who(&|r| may(r, function)), "", "{function}");
        }
        assert_eq!(
            who(&|r| sees(r, "worklist")),
            "the Owner manager agent reader"
        );
        assert_eq!(who(&|r| sees(r, "health")), "the Owner manager reader");
        assert_eq!(who(&|r| sees(r, "outbox")), "the Owner");
        // Every view can be read to the end, with what it calls.
        Spi::run(
            "SET ROLE reader;
             SELECT count(*) FROM wf.case_progress; SELECT count(*) FROM wf.case_timeline;
             SELECT count(*) FROM wf.worklist; SELECT count(*) FROM wf.upcoming; SELECT count(*) FROM wf.incidents;
             SELECT count(*) FROM wf.workflow_stats; SELECT * FROM wf.health; SELECT count(*) FROM wf.event_log;
             SELECT wf.now(); RESET ROLE",
        )
        .unwrap();
        Spi::run("SELECT wf.revoke_role(r.oid::regrole) FROM pg_roles AS r WHERE r.rolname IN ('the Owner', 'manager', 'agent', 'sender', 'reader')").unwrap();
        assert_eq!(who(&|r| may(r, "now") || sees(r, "worklist")), "");
        Spi::run("DROP ROLE \"the Owner\", manager, agent, sender, reader").unwrap();
    }

    #[pg_test]
    #[should_panic(expected = "permission denied to grant rights on workflow_engine")]
    fn only_the_owner_grants_rights() {
        Spi::run(
            "CREATE ROLE intruder; GRANT USAGE ON SCHEMA wf TO intruder;
             GRANT EXECUTE ON FUNCTION wf.grant_role TO intruder;
             SET ROLE intruder; SELECT wf.grant_role('intruder', 'owner')",
        )
        .unwrap();
    }

    /// A name in a list of wf.grant_role that no function has would silently grant nothing.
    #[pg_test]
    fn wf_grant_role_names_only_functions_and_views_that_exist() {
        assert_none(
            "names without a function or relation",
            "SELECT n.name
             FROM pg_proc AS p
             CROSS JOIN LATERAL regexp_matches(p.prosrc, '''\\{([a-z_,\\s]+)\\}''', 'g') AS list
             CROSS JOIN LATERAL regexp_split_to_table(list[1], '[,\\s]+') AS n (name)
             WHERE p.pronamespace = 'wf'::regnamespace AND p.proname = 'grant_role'
               AND NOT EXISTS (SELECT FROM pg_proc AS f WHERE f.pronamespace = 'wf'::regnamespace AND f.proname = n.name)
               AND to_regclass('wf.' || n.name) IS NULL",
        );
    }
}
