-- Freezes the engine's clock, for tests: everything in this database that asks for the time gets this one.
CREATE FUNCTION wf.set_clock(at timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'permission denied to set the engine''s clock',
            HINT = 'Only a superuser may freeze the clock; it is for tests.';
    END IF;
    IF at IS NULL OR NOT isfinite(at) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = 'the engine''s clock needs a finite time',
            HINT = 'Call wf.clear_clock() to go back to real time.';
    END IF;
    INSERT INTO wf.clock (frozen_at) VALUES (at) ON CONFLICT (singleton) DO UPDATE SET frozen_at = excluded.frozen_at;
    PERFORM wf._wake();
    RETURN at;
END
$$;

-- Lets the engine's clock run with real time again.
CREATE FUNCTION wf.clear_clock() RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'permission denied to clear the engine''s clock',
            HINT = 'Only a superuser may do so.';
    END IF;
    DELETE FROM wf.clock;
    PERFORM wf._wake();
END
$$;
