-- The engine's work from a client: until nothing is due, with a COMMIT after each batch. No SET clause, for a procedure
-- that has one cannot commit; so every name carries its schema.
CREATE PROCEDURE wf.run_due(max_batches integer DEFAULT NULL)
    LANGUAGE plpgsql
    AS $$
DECLARE
    more    boolean := true;
    batches integer := 0;
BEGIN
    WHILE more AND (max_batches IS NULL OR batches OPERATOR(pg_catalog.<) max_batches) LOOP
        more := wf._run_round(batches OPERATOR(pg_catalog.=) 0);
        batches := batches OPERATOR(pg_catalog.+) 1;
        COMMIT;
    END LOOP;
END
$$;
