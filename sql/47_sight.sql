-- Who sees which cases. The views ask, and so do the row-level policies of the tables that agents read. Roles see all
-- cases if they may call wf._every_case, which wf.grant_role gives to every kind but agents. The functions are in
-- src/people/sight.rs; they answer for whoever runs the query, once a query and not for a row.
CREATE FUNCTION wf._every_case() RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS 'SELECT true';
COMMENT ON FUNCTION wf._every_case() IS 'Internal: whoever may call it sees every case, and not only their own.';

CREATE FUNCTION wf._sees_all() RETURNS boolean
    LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'sees_all_wrapper';
COMMENT ON FUNCTION wf._sees_all() IS 'Internal: whether the caller sees every case.';

CREATE FUNCTION wf._my_tasks() RETURNS SETOF bigint
    LANGUAGE c STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'my_tasks_wrapper';
COMMENT ON FUNCTION wf._my_tasks() IS 'Internal: the open tasks that are the caller''s or their queues''.';

CREATE FUNCTION wf._my_cases() RETURNS SETOF bigint
    LANGUAGE c STABLE ROWS 100 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'my_cases_wrapper';
COMMENT ON FUNCTION wf._my_cases() IS 'Internal: the cases with such tasks, and those that were assigned to the caller.';

-- Row-level security on the tables that agents may read. pg_dump saves no policies of an extension's tables, so they come
-- with the extension; wf.grant_role looks again whether they are there.
CREATE FUNCTION wf._protect_rows() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    name text;
    mine text;
BEGIN
    FOREACH name IN ARRAY '{tasks,notes,documents,holds}'::text[] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_policy AS p
                              WHERE p.polrelid = ('wf.' || name)::regclass AND p.polname = 'only_mine');
        mine := CASE name WHEN 'tasks' THEN 'task_id IN (SELECT wf._my_tasks())'
                          ELSE 'case_id IN (SELECT wf._my_cases())' END;
        EXECUTE format('CREATE POLICY only_mine ON wf.%I FOR SELECT USING ((SELECT wf._sees_all()) OR %s)', name, mine);
        EXECUTE format('ALTER TABLE wf.%I ENABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION wf._protect_rows() IS 'Internal: row-level security on the tables that agents read; the owner of the extension, and so the engine, bypasses it.';
