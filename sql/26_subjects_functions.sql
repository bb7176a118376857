-- Binding ERP tables. The caller becomes the subject's owner: with its rights, and no others, the engine reads the rows.
CREATE FUNCTION wf.bind_subject(
    name text, relation regclass, key text, details text DEFAULT NULL, watch text DEFAULT NULL,
    email text DEFAULT NULL, phone text DEFAULT NULL, address text DEFAULT NULL, locale text DEFAULT NULL,
    time_zone text DEFAULT NULL, account text DEFAULT NULL, tenant text DEFAULT NULL, eligible text DEFAULT NULL)
    RETURNS integer LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'bind_subject_wrapper';
COMMENT ON FUNCTION wf.bind_subject IS
    'Binds a table whose rows workflows are about; the same name and table again changes the binding. A row without a key, or whose key has a text of more than 2,000 bytes, gets no case.';

CREATE FUNCTION wf.unbind_subject(name text)
    RETURNS void LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'unbind_subject_wrapper';
COMMENT ON FUNCTION wf.unbind_subject IS 'Takes a binding away, with its triggers and its view.';

CREATE FUNCTION wf.watch(subject text, relation regclass, key text)
    RETURNS integer LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'watch_wrapper';
COMMENT ON FUNCTION wf.watch IS
    'Also looks at a subject when a row of this other table changes; key gives the subject''s key from that row.';

CREATE FUNCTION wf.unwatch(subject text, relation regclass)
    RETURNS void LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'unwatch_wrapper';
COMMENT ON FUNCTION wf.unwatch IS 'Takes a watch away, with its triggers.';

CREATE FUNCTION wf.reconcile(subject text)
    RETURNS bigint LANGUAGE c SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'reconcile_wrapper';
COMMENT ON FUNCTION wf.reconcile IS
    'Has the worker look at every row of the subject again, as if each had changed; returns how many.';
