-- The launcher and the workers of all databases; no rows when the library is not preloaded. Callable by all who see
-- a view made of it: a view's functions run with the rights of who reads it.
CREATE FUNCTION wf.workers(OUT pid integer, OUT database text, OUT state text, OUT last_tick timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL SAFE ROWS 10
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'workers_wrapper';
COMMENT ON FUNCTION wf.workers() IS
    'The launcher (database null) and the workers of all databases: process, database, state, end of the last tick.';

-- On commit the launcher starts workers for this database.
CREATE FUNCTION wf._announce() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'announce_wrapper';
REVOKE ALL ON FUNCTION wf._announce() FROM PUBLIC;
