-- What has happened stays as it was: history is only ever added to, may be sealed by a chain of hashes, and loses personal
-- words and whole months by functions that leave their mark. The functions are in src/audit/.

-- What was done to the database as a whole, or to a workflow, and belongs to no case.
CREATE TABLE wf.audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),  -- real time, whatever wf.set_clock says
    actor    text NOT NULL,
    act      text NOT NULL,
    object   text,
    reason   text,
    detail   jsonb
);
COMMENT ON TABLE wf.audit_log IS 'What was done that belongs to no case: workflows published, switched on and off, renamed and dropped; all contact stopped and resumed; accounts erased, months dropped, seals switched on. Only ever added to. For reading, see wf.audit_trail.';
COMMENT ON COLUMN wf.audit_log.object IS 'What it was done to: a workflow, a channel (* for all), an account, a month.';

-- The chain. A block stands for rows of one month of history, or says that a month was dropped; its hash covers the one
-- before it, so that nothing sealed can change, go, or come in between.
CREATE TABLE wf.history_seals (
    block     integer PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('rows', 'dropped')),
    month     date NOT NULL,
    ids       int8multirange NOT NULL,     -- which rows, by history_id
    row_count bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    sealed_by text NOT NULL,
    hash      bytea NOT NULL,
    -- By the place of a row in ids: the first four bytes of its hash, which tell a changed row from its neighbours, and
    -- sixteen random ones, without which nobody can guess what was written in a row whose words have been erased.
    marks     bytea,
    salts     bytea
);
COMMENT ON TABLE wf.history_seals IS 'The chain of hashes over wf.history: blocks of rows, and months that were dropped. For reading, see wf.history_blocks.';
COMMENT ON COLUMN wf.history_seals.hash IS 'sha256 over the hash of the block before it, what this row says, and the hashes of its rows.';
COMMENT ON COLUMN wf.history_seals.salts IS 'Sixteen random bytes a row; zeros once its words have been erased.';

-- Ids below the last sealed one whose rows had not been seen: of transactions under way, or rolled back. See src/audit/seal.rs.
CREATE TABLE wf.history_gaps (
    ids     int8multirange PRIMARY KEY,
    holders text[] NOT NULL,               -- who was writing to history when they were missed
    horizon xid8                           -- set once these are gone: all before it have ended when they are needed no more
);
COMMENT ON TABLE wf.history_gaps IS 'Numbers of rows of history that transactions under way may yet bring, and that are sealed when they come.';

CREATE TABLE wf.history_protection (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    active    boolean NOT NULL,
    top       bigint NOT NULL,             -- rows up to this id are sealed, but for the gaps
    since     timestamptz NOT NULL,
    set_by    text NOT NULL
);
COMMENT ON TABLE wf.history_protection IS 'Whether history is sealed, and how far; no row: it never was.';

-- Of sealed rows whose words have been erased: what stands for the words in the row's hash.
CREATE TABLE wf.erased_words (
    history_id bigint PRIMARY KEY,
    words      bytea NOT NULL,
    left_over  bytea NOT NULL,             -- the hash of what was left in their place
    erasure    bigint NOT NULL             -- the row of history that says so, which holds a hash over all of its left_over
);
COMMENT ON TABLE wf.erased_words IS 'Sealed rows of history whose words have been erased: the hash of what was there, salted with bytes that are gone, and that of what was left.';

CREATE FUNCTION wf._may_rewrite() RETURNS boolean
    LANGUAGE c VOLATILE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'may_rewrite_wrapper';
COMMENT ON FUNCTION wf._may_rewrite() IS 'Internal: whether a function of the engine is just erasing words.';

CREATE FUNCTION wf._append_only() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF wf._may_rewrite() THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('%I.%I is only ever added to', TG_TABLE_SCHEMA, TG_TABLE_NAME),
        DETAIL = format('%s is refused to everybody, its owner too.', TG_OP),
        HINT = 'wf.erase_account takes personal words out; wf.apply_retention drops months of history that are no longer needed.';
END
$$;
COMMENT ON FUNCTION wf._append_only() IS 'Trigger: what has happened is neither changed nor deleted.';

-- For each row, so that the months get the trigger when they are attached; what is truncated has no rows to look at, so
-- that each month gets a trigger of its own for it when it is made.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON wf.history
    FOR EACH ROW EXECUTE FUNCTION wf._append_only();
CREATE TRIGGER keep_rows BEFORE TRUNCATE ON wf.history
    FOR EACH STATEMENT EXECUTE FUNCTION wf._append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON wf.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION wf._append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON wf.history_seals
    FOR EACH STATEMENT EXECUTE FUNCTION wf._append_only();

-- What of the detail of a row of history is not a person's words: numbers, amounts, times, names of the document and of
-- those who work on the case.
CREATE FUNCTION wf._without_words(detail jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}')
    FROM jsonb_each(CASE jsonb_typeof($1) WHEN 'object' THEN $1 ELSE '{}' END) AS d
    WHERE d.key = ANY ('{answers,amount,blocks,case,cases,channel,currency,days,dispute,disputed,digest,due,ended,from,key,kind,
        limit,new,next,old,outcomes,paid,participant,planned,promise,removed,rows,scope,signal,steps,to,until,workflow}')
$$;
COMMENT ON FUNCTION wf._without_words(jsonb) IS 'Internal: the detail of a row of history without what people have written.';

-- A row's hash covers all of its columns as JSON, with its words as a hash of their own, so that they can be erased and the
-- rest still be verified. Words are the detail, and the outcome where people choose it freely (src/audit/words.rs says the
-- same). Times are in UTC; JSON writes them alike whatever the session's settings.
CREATE FUNCTION wf._history_leaves(month date, ids int8multirange, salts bytea)
    RETURNS TABLE (history_id bigint, place integer, leaf bytea)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
    AS $$
    SELECT h.history_id, p.place,
           sha256(convert_to(json_build_array(
               h.history_id, h.at AT TIME ZONE 'UTC', h.case_id, h.version_id, h.step_no, h.visit, h.event,
               CASE WHEN h.event NOT IN ('dispute_settled', 'step_cancelled') THEN h.outcome END,
               h.entered_at AT TIME ZONE 'UTC', h.due_at AT TIME ZONE 'UTC', h.task_id, h.actor,
               encode(coalesce((SELECT e.words FROM wf.erased_words AS e WHERE e.history_id = h.history_id),
                               sha256(substr($3, p.place * 16 + 1, 16) || convert_to(json_build_array(
                                   CASE WHEN h.event IN ('dispute_settled', 'step_cancelled') THEN h.outcome END, h.detail)::text, 'UTF8'))),
                      'hex'))::text, 'UTF8'))
    FROM (SELECT lower(u.ids) AS low, upper(u.ids) AS high,
                 (sum(upper(u.ids) - lower(u.ids)) OVER (ORDER BY lower(u.ids)) - (upper(u.ids) - lower(u.ids)))::bigint AS before
          FROM unnest($2) AS u (ids)) AS r
    -- OFFSET: range by range, by the index on history_id, however few rows the planner expects of the month.
    CROSS JOIN LATERAL (
        SELECT o.* FROM wf.history AS o
        WHERE o.history_id >= r.low AND o.history_id < r.high
          AND o.at >= $1::timestamp AT TIME ZONE 'UTC' AND o.at < ($1 + interval '1 month') AT TIME ZONE 'UTC'
        OFFSET 0) AS h
    CROSS JOIN LATERAL (SELECT (r.before + h.history_id - r.low)::integer AS place) AS p
$$;
COMMENT ON FUNCTION wf._history_leaves(date, int8multirange, bytea) IS
    'Internal: the hashes of rows of history of a month, each with its place in the block.';

CREATE FUNCTION wf._seal_hash(previous bytea, block integer, kind text, month date, ids int8multirange, row_count bigint,
                              sealed_at timestamptz, sealed_by text, leaves bytea) RETURNS bytea
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT sha256(coalesce($1, '') || sha256(convert_to(
               json_build_array($2, $3, $4, $5::text, $6, $7 AT TIME ZONE 'UTC', $8)::text, 'UTF8')) || coalesce($9, ''))
$$;
COMMENT ON FUNCTION wf._seal_hash(bytea, integer, text, date, int8multirange, bigint, timestamptz, text, bytea) IS
    'Internal: the hash of a block of the chain.';

CREATE FUNCTION wf.protect_history(active boolean DEFAULT true) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'protect_history_wrapper';
COMMENT ON FUNCTION wf.protect_history(boolean) IS
    'Switches the chain of hashes over history on, or off: with it, workers seal what has happened in blocks (or wf.seal_history does), and wf.verify_history finds what was changed since. Makes an index on each month, which its writers wait for. What is sealed stays so when it is switched off.';

CREATE FUNCTION wf.seal_history() RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'seal_history_wrapper';
COMMENT ON FUNCTION wf.seal_history() IS
    'Seals all committed rows of history that are not sealed yet, as workers do by and by. Returns how many. Not switched on by wf.protect_history, or within a transaction above READ COMMITTED: 55000.';

CREATE FUNCTION wf.verify_history(head text DEFAULT NULL, from_block integer DEFAULT NULL)
    RETURNS TABLE (status text, finding text, block integer, history_id bigint, case_id bigint, rows bigint, detail text)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'verify_history_wrapper';
COMMENT ON FUNCTION wf.verify_history(text, integer) IS
    'Reads sealed history again, from a block on if one is given, and tells what was changed, removed or inserted since it was sealed: status problem, the first bad place first. Then, with status ok, how much is sealed, erased, dropped with its month, and not sealed yet. head: a hash that wf.history_head gave, and that was kept elsewhere: it must still stand in the chain.';

CREATE FUNCTION wf.history_head() RETURNS TABLE (block integer, hash text, rows bigint, sealed_at timestamptz)
    LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'history_head_wrapper';
COMMENT ON FUNCTION wf.history_head() IS
    'The last block of the chain over history: its number, its hash, how many rows are sealed by all blocks, and when it was made. Kept elsewhere, it shows with wf.verify_history(head => ...) whether the chain was made anew since. Nulls before the first block.';

CREATE FUNCTION wf.erase_account(account text, reason text DEFAULT NULL)
    RETURNS TABLE (what text, rows bigint)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'erase_account_wrapper';
COMMENT ON FUNCTION wf.erase_account(text, text) IS
    'Takes personal words out of all that is kept about an account (<subject>:<key> for a row without one): messages, notes, addresses, reasons, what was entered with tasks, errors. Numbers, amounts, times and outcomes stay, and so do opt-outs. Returns what was erased; the same call again finds nothing. A case of it is open, or a message waits: 55000.';

CREATE FUNCTION wf.set_retention(keep interval, workflow text DEFAULT NULL, what text DEFAULT 'cases') RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_retention_wrapper';
COMMENT ON FUNCTION wf.set_retention(interval, text, text) IS
    'How long cases that have ended are kept, of one workflow or of all that have no rule of their own; what => history: how long months of history are kept after their end. null: for ever, as without a rule. Workers remove what is older, little by little; wf.apply_retention tells what that would be. Unknown workflow: 42704; something else to keep, or an interval that is not above zero: 22023.';

CREATE FUNCTION wf.apply_retention(dry_run boolean DEFAULT true)
    RETURNS TABLE (what text, workflow text, month date, rows bigint, oldest timestamptz, note text)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'apply_retention_wrapper';
COMMENT ON FUNCTION wf.apply_retention(boolean) IS
    'What goes by the rules of wf.set_retention: how many cases of which workflow, with their messages, notes and the rest, and which months of history. A dry run, the default, changes nothing; otherwise it is removed at once, in one transaction.';

CREATE TABLE wf.retention (
    what        text NOT NULL CHECK (what IN ('cases', 'history')),
    workflow_id integer,                   -- null: all that have no row of their own
    keep        interval NOT NULL,
    set_at      timestamptz NOT NULL,
    set_by      text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (what, workflow_id)
);
COMMENT ON TABLE wf.retention IS 'How long ended cases and months of history are kept; without a row, for ever.';
