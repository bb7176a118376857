//! A role of the ERP's that has no right on wf: its statements fire the engine's triggers, and that is all.

use super::*;

/// Cases start by themselves when an invoice is posted.
fn following() -> Stage {
    let mut stage = Stage::new(None);
    let me = stage.me.clone();
    stage.exec(&format!(
        "GRANT ALL ON invoice, customer, payment TO \"{me}\""
    ));
    stage.install(&edited(
        invoice_workflow(
            "follow",
            json!([{"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
        ),
        |doc| {
            doc["start"] = json!({"when": "state = 'posted'"});
            doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
        },
    ));
    stage
}

#[test]
fn nothing_of_wf_is_for_a_role_without_rights() {
    let mut stage = following();
    let me = stage.me.clone();
    stage.expect(
        &format!(
            "SELECT p.oid::regprocedure FROM pg_proc AS p
             WHERE p.pronamespace = 'wf'::regnamespace AND has_function_privilege('{me}', p.oid, 'EXECUTE')"
        ),
        NONE,
    );
    stage.expect(
        &format!(
            "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p', 'v')
               AND (has_table_privilege('{me}', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege('{me}', c.oid, 'SELECT'))"
        ),
        NONE,
    );
    let mut mallory = stage.mallory();
    for sql in [
        "SELECT * FROM wf.cases",
        "SELECT wf.now()",
        "CALL wf.run_due()",
        "SELECT * FROM wf.health",
        "SELECT 'wf.inbox'::regclass",
        "SELECT 'running'::wf.case_state",
        // A trigger function of ours on a table of theirs would let them forge changes.
        "CREATE TABLE public.mine (id bigint); CREATE TRIGGER mine AFTER INSERT ON public.mine FOR EACH ROW \
         EXECUTE FUNCTION wf.subject_row_trigger('{\"subject\": 1, \"watch\": 0}')",
        "CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION public.spy_row()",
        "ALTER TABLE public.invoice DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ] {
        mallory.expect_error(sql, "42501", &[]);
    }
}

/// Whatever its session finds by unqualified names, and whatever it has set.
#[test]
fn the_engines_triggers_look_nothing_up_in_the_erps_session() {
    let mut stage = following();
    let mut mallory = stage.mallory();
    mallory.exec(OPERATORS);
    mallory.exec(
        "CREATE TEMP TABLE inbox (LIKE public.loot); CREATE TEMP TABLE subjects (n int); CREATE TEMP TABLE pg_class (oid oid); \
         CREATE TEMP TABLE pg_extension (oid oid, extname name, extowner oid); CREATE TEMP TABLE pg_proc (oid oid); \
         CREATE DOMAIN pg_temp.int4 AS text; CREATE TYPE pg_temp.text AS (x int); \
         CREATE FUNCTION pg_temp.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy('unnest'); END $$; \
         CREATE FUNCTION public.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy('unnest'); END $$; \
         CREATE FUNCTION public.nextval(regclass) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy('nextval'); RETURN 1; END $$; \
         CREATE FUNCTION public.pg_current_xact_id() RETURNS xid8 LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy('xid'); RETURN '1'; END $$",
    );
    for settings in [
        "SET search_path = pg_temp, public, pg_catalog",
        "SET search_path = public, pg_temp, pg_catalog; SET row_security = off; SET quote_all_identifiers = on; \
         SET standard_conforming_strings = off; SET DateStyle = 'German, DMY'; SET IntervalStyle = sql_standard; \
         SET TimeZone = 'Pacific/Chatham'; SET transform_null_equals = on; SET array_nulls = off; SET bytea_output = escape; \
         SET extra_float_digits = -15; SET client_encoding = LATIN1; SET default_table_access_method = heap; \
         SET plan_cache_mode = force_custom_plan; SET enable_indexscan = off; SET work_mem = '64kB'",
    ] {
        mallory.exec(settings);
        // Row by row, many at once (packed, through an executor), with a truncation, and at the end of a transaction.
        mallory.exec("INSERT INTO public.invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR')");
        mallory.exec(
            "INSERT INTO public.invoice SELECT n, 'B', 1, 'posted', NULL, 5, 'EUR' FROM pg_catalog.generate_series(2, 900) AS n",
        );
        mallory.exec("BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE public.invoice SET state = 'paid' WHERE id OPERATOR(pg_catalog.<) 500; COMMIT");
        stage.run_due();
        mallory.exec("DELETE FROM public.invoice");
        mallory.exec("TRUNCATE public.invoice CASCADE");
        stage.run_due();
    }
    stage.is_unharmed(&[]);
    mallory.expect("SELECT count(*) FROM pg_temp.inbox", &[0]);
    stage.expect(
        "SELECT state, count(*) FROM wf.cases GROUP BY 1",
        &["cancelled | 802"],
    );
}

/// Advisory locks are anybody's; those of the engine must be its own.
#[test]
fn no_lock_that_anybody_may_take_stops_the_engine() {
    let mut stage = following();
    let mut mallory = stage.mallory();
    let keys: Vec<String> = stage
        .rows("SELECT oid FROM pg_class WHERE relnamespace = 'wf'::regnamespace UNION SELECT oid FROM pg_extension UNION SELECT oid FROM pg_namespace")
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    mallory.exec(&format!(
        "SELECT pg_advisory_lock(k), pg_advisory_lock(k::int, 0), pg_advisory_lock(0, k::int), pg_advisory_lock(1, k::int) FROM unnest('{{{}}}'::bigint[]) AS k",
        keys.join(",")
    ));
    // What the engine itself asks for, seen from outside.
    stage.exec("INSERT INTO invoice VALUES (1, 'A', 1, 'posted', NULL, 5, 'EUR')");
    stage.run_due();
    stage.expect("SELECT step FROM wf.worklist", &["ask"]);
    let mut other = stage.connect();
    other.exec("INSERT INTO invoice VALUES (2, 'A', 1, 'posted', NULL, 5, 'EUR'); BEGIN; SELECT wf._run_round(true)");
    let taken = stage.rows("SELECT classid, objid, objsubid FROM pg_locks WHERE locktype = 'advisory' AND objsubid > 2");
    assert!(!taken.is_empty(), "the inbox is read without a lock");
    for row in &taken {
        // SQL gives 1 to a key of one number, and 2 to a key of two.
        mallory.exec(&format!(
            "SELECT pg_try_advisory_lock(({}::bigint << 32) | {}), pg_try_advisory_lock({}::bit(32)::int, {}::bit(32)::int)",
            row[0],
            row[1],
            bits(&row[0]),
            bits(&row[1])
        ));
    }
    other.exec("COMMIT; INSERT INTO invoice VALUES (3, 'A', 1, 'posted', NULL, 5, 'EUR')");
    stage.run_due();
    stage.expect("SELECT key FROM wf.worklist ORDER BY key", &["1", "2", "3"]);
}

/// A number of 32 bits, as a literal of them.
fn bits(number: &str) -> String {
    let number: u32 = number.parse().expect("an oid");
    format!("B'{number:032b}'")
}

#[test]
fn what_a_trigger_of_the_erp_does_in_between_is_no_business_of_ours() {
    let mut stage = following();
    let me = stage.me.clone();
    stage.exec(&format!(
        "GRANT ALL ON invoice TO PUBLIC; GRANT pg_read_all_settings TO \"{me}\""
    ));
    let mut mallory = stage.mallory();
    mallory.exec(OPERATORS);
    // Before ours and after ours, by name; one that raises, one that changes role and path, one that writes again.
    mallory.exec(
        "CREATE FUNCTION public.bends() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             PERFORM set_config('search_path', 'public, pg_catalog', false);
             PERFORM set_config('row_security', 'off', false);
             PERFORM set_config('role', 'pg_read_all_settings', false);
             PERFORM public.spy(TG_NAME);
             RETURN NEW;
         END $$;
         CREATE FUNCTION public.raises() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF NEW.open_amount = 13 THEN RAISE EXCEPTION 'unlucky'; END IF; RETURN NEW; END $$;
         CREATE FUNCTION public.writes() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.number = 'again' THEN UPDATE public.invoice SET number = 'done' WHERE id = NEW.id; END IF;
             RETURN NEW;
         END $$;
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC;
         CREATE TRIGGER aaa BEFORE INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION public.bends();
         CREATE TRIGGER aaa_after AFTER INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION public.bends();
         CREATE TRIGGER aab_after AFTER INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION public.writes();
         CREATE TRIGGER zzz AFTER INSERT ON public.invoice FOR EACH ROW EXECUTE FUNCTION public.raises();
         CREATE TRIGGER zzz_statement AFTER INSERT ON public.invoice FOR EACH STATEMENT EXECUTE FUNCTION public.bends();",
    );
    mallory.exec("INSERT INTO public.invoice VALUES (1, 'again', 1, 'posted', NULL, 5, 'EUR')");
    let mut mallory = stage.mallory();
    mallory.expect_error(
        "INSERT INTO public.invoice VALUES (2, 'A', 1, 'posted', NULL, 13, 'EUR')",
        "P0001",
        &["unlucky"],
    );
    let mut mallory = stage.mallory();
    mallory.exec("INSERT INTO public.invoice SELECT n, 'B', 1, 'posted', NULL, 5, 'EUR' FROM generate_series(3, 302) AS n");
    stage.expect(
        "SELECT coalesce(sum(coalesce(packed, 1)), 0) >= 301 FROM wf.inbox",
        &["t"],
    );
    stage.run_due();
    stage.expect("SELECT count(*), min(key::int), max(key::int), count(*) FILTER (WHERE key = '2') FROM wf.worklist", &["301 | 1 | 302 | 0"]);
    stage.is_unharmed(&["pg_read_all_settings"]);
}
