-- The verbs of a running case. Each returns the case's open steps after the call; the functions are in src/api/.
CREATE TYPE wf.open_step AS (
    case_id bigint,
    state   text,          -- of the case
    step    text,          -- null once the case has ended
    visit   integer,
    due_at  timestamptz,   -- the planned date, or a task's deadline
    task_id bigint
);
COMMENT ON TYPE wf.open_step IS 'An open step of a case, as the functions that move cases return it.';

CREATE FUNCTION wf.start(workflow text, key text, vars jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'start_wrapper';
COMMENT ON FUNCTION wf.start(text, text, jsonb) IS
    'Starts a case of a workflow for the row of its subject with this key, now, whatever its start rule says. No such row: P0002; an open case already: 23505; workflow off or not published: 55000. Returns the open steps.';

CREATE FUNCTION wf.complete(task_id bigint, outcome text DEFAULT NULL, data jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'complete_wrapper';
COMMENT ON FUNCTION wf.complete(bigint, text, jsonb) IS
    'Settles an open task with one of its outcomes; data is merged into the case''s vars. The same call again is no error. Unknown task: P0002; unknown outcome: 42704; settled otherwise: 55000; not yours: 42501. Returns the open steps.';

CREATE FUNCTION wf.complete_step(case_id bigint, step text, outcome text DEFAULT NULL, data jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'complete_step_wrapper';
COMMENT ON FUNCTION wf.complete_step(bigint, text, text, jsonb) IS
    'Settles the open run of a step, as wf.complete does by task. Returns the open steps.';

CREATE FUNCTION wf.advance(case_id bigint, step text DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'advance_wrapper';
COMMENT ON FUNCTION wf.advance(bigint, text) IS
    'Does now what is scheduled for later. The step may be left out when the case has only one open step. Not scheduled: 55000, with what to call instead. Returns the open steps.';

CREATE FUNCTION wf.branch(case_id bigint, step text, leg text)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'branch_wrapper';
COMMENT ON FUNCTION wf.branch(bigint, text, text) IS
    'Takes a named leg of a question, of a task with outcomes, or of a decision. Returns the open steps.';

CREATE FUNCTION wf.cancel(case_id bigint, reason text DEFAULT 'cancelled')
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'cancel_wrapper';
COMMENT ON FUNCTION wf.cancel(bigint, text) IS
    'Ends a case for good; messages that have not been leased do not leave. A case that has ended: 55000. Returns the open steps.';

CREATE FUNCTION wf.hold(case_id bigint, reason text DEFAULT 'on hold', until timestamptz DEFAULT NULL,
                        kind text DEFAULT 'hold')
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'hold_wrapper';
COMMENT ON FUNCTION wf.hold(bigint, text, timestamptz, text) IS
    'Puts a case on hold, until a time if one is given. The kind (wf.hold_kinds) says what it stops, everything or messages or charges only, and what becomes of dates. A case may have several holds; the same one again is no error. Unknown kind: 42704; the case has ended: 55000. Returns the open steps.';

CREATE FUNCTION wf.release(case_id bigint, kind text DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'release_wrapper';
COMMENT ON FUNCTION wf.release(bigint, text) IS
    'Ends the holds of a kind, or all but those that only a manager may end (a moratorium), which have to be named. With none left that stops steps, the case goes on where it was: dates move as the holds said, and what is due happens. Not yours to end: 42501; only such holds, and none named: 55000. Returns the open steps.';

CREATE FUNCTION wf.release_hold(hold_id bigint, reason text DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'release_hold_wrapper';
COMMENT ON FUNCTION wf.release_hold(bigint, text) IS
    'Ends one hold of a case, as wf.release does. Unknown: P0002; not yours to end: 42501. Returns the open steps of its case.';

CREATE FUNCTION wf.retry(case_id bigint, step text DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'retry_wrapper';
COMMENT ON FUNCTION wf.retry(bigint, text) IS
    'Takes up a step run that has failed (see wf.incidents), with its attempts counted anew. Returns the open steps.';

CREATE FUNCTION wf.skip(case_id bigint, step text, reason text DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'skip_wrapper';
COMMENT ON FUNCTION wf.skip(bigint, text, text) IS
    'Leaves an open step out and goes on with the step that follows it. Returns the open steps.';

CREATE FUNCTION wf.signal(case_id bigint, signal text, data jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'signal_wrapper';
COMMENT ON FUNCTION wf.signal(bigint, text, jsonb) IS
    'Tells a case that something has happened outside: events that wait for this signal are over, and data is merged into the case''s vars. One that comes early is kept, once for each name, until its event comes; one that comes late is noted in the history and moves nothing. No event waits for such a signal: 42704; the case has ended: 55000. Returns the open steps.';

CREATE FUNCTION wf.signal(workflow text, key text, signal text, data jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'signal_key_wrapper';
COMMENT ON FUNCTION wf.signal(text, text, text, jsonb) IS
    'As wf.signal(bigint, text, jsonb), for the open case of a workflow about the row with this key. No open case: P0002.';

CREATE FUNCTION wf.push_button(case_id bigint, button text, data jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'push_button_wrapper';
COMMENT ON FUNCTION wf.push_button(bigint, text, jsonb) IS
    'Pushes a button that a case offers, as wf.complete_step does for other steps; data is merged into the case''s vars. Not on offer: 55000; not yours: 42501. Returns the open steps.';

CREATE FUNCTION wf.cancel_step(case_id bigint, step text, reason text DEFAULT 'cancelled')
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'cancel_step_wrapper';
COMMENT ON FUNCTION wf.cancel_step(bigint, text, text) IS
    'Withdraws an open step, with its task and a message that has not been leased. Its branch ends there: the join goes on with the others, at the latest when none is under way; of the steps of a first_of the others wait on. Outside of branches: 55000, see wf.skip. Returns the open steps.';

CREATE FUNCTION wf.cancel_phase(case_id bigint, phase text, reason text DEFAULT 'cancelled')
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'cancel_phase_wrapper';
COMMENT ON FUNCTION wf.cancel_phase(bigint, text, text) IS
    'Withdraws all that is open in a phase. Branches in it end there; a case that was in it as a whole goes on with the next phase, and is cancelled after the last one. Unknown phase: 42704; nothing open in it: 55000. Returns the open steps.';

CREATE FUNCTION wf.start(workflow text, key bigint, vars jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.start($1, $2::text, $3) $$;
COMMENT ON FUNCTION wf.start(text, bigint, jsonb) IS 'As wf.start(text, text, jsonb), for a bigint key.';

CREATE FUNCTION wf.start(workflow text, key uuid, vars jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.start($1, $2::text, $3) $$;
COMMENT ON FUNCTION wf.start(text, uuid, jsonb) IS 'As wf.start(text, text, jsonb), for a uuid key.';

CREATE FUNCTION wf.start_many(workflow text, keys text[], vars jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'start_many_wrapper';
COMMENT ON FUNCTION wf.start_many(text, text[], jsonb) IS
    'Starts a case for each of the keys; those that have an open case of the workflow already are passed over. Returns how many were started. All or none: a key without a row is P0002, with the keys as detail.';

-- One round of work in the caller's transaction; wf.run_due calls it and commits. True: there may be more.
CREATE FUNCTION wf._run_round(first boolean) RETURNS boolean
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'run_round_wrapper';

-- Wakes this database's workers when the transaction commits.
CREATE FUNCTION wf._wake() RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'wake_wrapper';
