//! A caller who prepares the session in which the engine works for them: settings, paths, temporary objects.

use super::*;

/// What any role may set, and what would make the engine read or write something else if it did not see to itself.
const SETTINGS: &str = "
    SET search_path = pg_temp, public, pg_catalog; SET row_security = off; SET quote_all_identifiers = on;
    SET standard_conforming_strings = off; SET backslash_quote = on; SET escape_string_warning = off; SET transform_null_equals = on; SET array_nulls = off;
    SET DateStyle = 'German, DMY'; SET IntervalStyle = sql_standard; SET TimeZone = 'Pacific/Chatham';
    SET bytea_output = escape; SET extra_float_digits = -15; SET xmloption = document; SET lc_monetary = 'C';
    SET enable_indexscan = off; SET enable_nestloop = off; SET plan_cache_mode = force_custom_plan; SET from_collapse_limit = 1;
    SET work_mem = '64kB'; SET cursor_tuple_fraction = 1; SET default_transaction_isolation = 'serializable';
    SET default_with_oids = off; SET check_function_bodies = off; SET client_min_messages = error; SET constraint_exclusion = on;
    SET synchronize_seqscans = off; SET gin_fuzzy_search_limit = 1; SET default_tablespace = ''; SET temp_tablespaces = ''";

/// Temporary things named as those that the engine reads, and operators of the caller's own.
const OBJECTS: &str = "
    CREATE TEMP VIEW cases AS SELECT public.spy('cases'); CREATE TEMP VIEW tasks AS SELECT public.spy('tasks');
    CREATE TEMP TABLE pg_class (oid oid, relname name); CREATE TEMP TABLE pg_roles (oid oid, rolname name);
    CREATE TEMP TABLE pg_extension (oid oid, extname name, extowner oid); CREATE TEMP TABLE invoice (id bigint);
    CREATE TEMP TABLE history (n int); CREATE TEMP TABLE pg_policy (polrelid oid, polname name);
    CREATE DOMAIN pg_temp.int8 AS text; CREATE DOMAIN pg_temp.regclass AS text;
    CREATE FUNCTION pg_temp.coalesce(text, text) RETURNS text LANGUAGE sql AS 'SELECT public.spy(''coalesce'')::text';
    CREATE FUNCTION pg_temp.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION public.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.spy(''role'')';
    CREATE FUNCTION public.has_function_privilege(oid, text, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.spy(''privilege'')'";

/// The life of a case through the calls of one session.
fn life(stage: &mut Stage, session: &mut Session, key: i64) -> Vec<String> {
    stage.invoice(key, "2026-04-01", "1000.50");
    session.exec(&format!(
        "SELECT wf.start('life', '{key}', '{{\"note\": \"a b\"}}')"
    ));
    let case: i64 = stage.one(&format!("SELECT case_id FROM wf.cases WHERE key = '{key}'"));
    session.exec(&format!(
        "SELECT wf.hold({case}, 'on hold', '2026-03-05 10:00+01'); SELECT wf.release({case}); SELECT * FROM wf.explain({case}); \
         SELECT wf.diagram({case}::bigint); SELECT * FROM wf.my_worklist; SELECT * FROM wf.case_timeline; SELECT * FROM wf.health"
    ));
    let task: i64 = stage.one(&format!(
        "SELECT task_id FROM wf.tasks WHERE case_id = {case}"
    ));
    session.exec(&format!(
        "SELECT wf.claim_task({task}); SELECT wf.complete({task}, NULL, '{{\"amount\": 12345678901234567890.10}}')"
    ));
    session.exec(&format!(
        "SELECT wf.promise({case}, 10.50, '2026-04-02'::date)"
    ));
    session.exec(&format!("SELECT wf.cancel({case}, 'enough')"));
    stage.lines(&format!(
        "SELECT h.event::text, h.at, h.due_at, h.outcome, h.entered_at, h.detail - 'promise' FROM wf.history AS h WHERE case_id = {case}
         UNION ALL SELECT 'note', at, NULL, body, NULL, NULL FROM wf.notes WHERE case_id = {case}
         UNION ALL SELECT 'promise', breaks_at, NULL, amount::text, made_at, NULL FROM wf.promises WHERE case_id = {case}
         UNION ALL SELECT 'vars', NULL, NULL, vars::text, NULL, NULL FROM wf.cases WHERE case_id = {case}
         UNION ALL SELECT 'hold', until, NULL, kind, released_at, NULL FROM wf.holds WHERE case_id = {case} ORDER BY 1, 2, 4"
    ))
    .into_iter()
    .map(|line| line.replace(&format!("promise {}", stage.one::<i64>("SELECT max(promise_id) FROM wf.promises")), "promise"))
    .collect()
}

#[test]
fn no_setting_or_temporary_object_of_a_caller_bends_what_the_engine_does() {
    let mut stage = Stage::new(Some("manager"));
    stage.install(&edited(invoice_workflow(
        "life",
        json!([
            {"name": "ask", "kind": "task", "participant": "clerk", "due": {"business_days": 2}},
            {"name": "say", "kind": "note", "text": "{{ number }} {{ open_amount }} {{ due_date }} {{ vars.amount }}", "when": "open_amount > 1000 and due_date > date '2026-01-01'"},
            {"name": "wait", "kind": "task", "participant": "clerk", "due": {"anchor": "subject.due_date", "days": 3}}
        ]),
    ), |doc| doc["money"] = json!({"open": "open_amount"})));
    let mut plain = stage.mallory();
    let expected = life(&mut stage, &mut plain, 1);
    assert!(expected.len() > 8, "{expected:#?}");
    let mut bent = stage.mallory();
    bent.exec(OPERATORS);
    bent.exec(OBJECTS);
    for setting in SETTINGS.split(';') {
        // Some exist in some versions only.
        let _ = bent.try_exec(setting);
    }
    let got = life(&mut stage, &mut bent, 2);
    let same = |lines: &[String], key: &str| {
        lines
            .iter()
            .map(|l| l.replace(&format!("INV-{key}"), "INV"))
            .collect::<Vec<_>>()
    };
    assert_eq!(same(&got, "2"), same(&expected, "1"));
    stage.exec(
        "DELETE FROM public.loot WHERE who = (SELECT role::text FROM wf.participants LIMIT 0)",
    );
    stage.is_unharmed(&[]);
}
