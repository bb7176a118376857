-- Cases that concern several rows of an account: who joins, who leaves. The functions are in src/api/.
COMMENT ON COLUMN wf.case_subjects.position IS 'Its place in the order in which the case''s rows joined; null: the first. The first of those that are in it carries the case.';
COMMENT ON COLUMN wf.case_subjects.departure IS 'The row has left the case, which has gone on with others: at, outcome (stopped by a stop rule, or removed by a person), reason. Null: it is in it, or was when the case ended.';

CREATE FUNCTION wf.start(workflow text, keys text[], vars jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'start_together_wrapper';
COMMENT ON FUNCTION wf.start(text, text[], jsonb) IS
    'Starts one case of a workflow for several rows of its subject, which belong to one account; the first of them carries it. The workflow has to allow for that ("subjects": "several"): 55000. No such row: P0002; one of them has an open case already: 23505; different accounts, or no key: 22023. Returns the open steps.';

CREATE FUNCTION wf.start(workflow text, keys bigint[], vars jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.start($1, $2::text[], $3) $$;
COMMENT ON FUNCTION wf.start(text, bigint[], jsonb) IS 'As wf.start(text, text[], jsonb), for bigint keys.';

CREATE FUNCTION wf.start(workflow text, keys uuid[], vars jsonb DEFAULT NULL)
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.start($1, $2::text[], $3) $$;
COMMENT ON FUNCTION wf.start(text, uuid[], jsonb) IS 'As wf.start(text, text[], jsonb), for uuid keys.';

CREATE FUNCTION wf.add_subject(case_id bigint, key text)
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'add_subject_wrapper';
COMMENT ON FUNCTION wf.add_subject(bigint, text) IS
    'Has a row of the same account join an open case that may concern several; messages that nobody has fetched are rendered anew. Unknown case or row: P0002; it has an open case of the workflow: 23505; another account: 22023; a case that has ended, that concerns it already, or whose workflow is about one row each: 55000. Returns the open steps.';

CREATE FUNCTION wf.add_subject(case_id bigint, key bigint)
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.add_subject($1, $2::text) $$;
COMMENT ON FUNCTION wf.add_subject(bigint, bigint) IS 'As wf.add_subject(bigint, text), for a bigint key.';

CREATE FUNCTION wf.add_subject(case_id bigint, key uuid)
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.add_subject($1, $2::text) $$;
COMMENT ON FUNCTION wf.add_subject(bigint, uuid) IS 'As wf.add_subject(bigint, text), for a uuid key.';

CREATE FUNCTION wf.remove_subject(case_id bigint, key text, reason text DEFAULT 'removed')
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'remove_subject_wrapper';
COMMENT ON FUNCTION wf.remove_subject(bigint, text, text) IS
    'Takes a row out of a case, which goes on with the others: if it carried the case, the next one takes over, and no date comes earlier by that. Unknown case: P0002; the case has ended, does not concern the row, or concerns no other: 55000. Returns the open steps.';

CREATE FUNCTION wf.remove_subject(case_id bigint, key bigint, reason text DEFAULT 'removed')
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.remove_subject($1, $2::text, $3) $$;
COMMENT ON FUNCTION wf.remove_subject(bigint, bigint, text) IS 'As wf.remove_subject(bigint, text, text), for a bigint key.';

CREATE FUNCTION wf.remove_subject(case_id bigint, key uuid, reason text DEFAULT 'removed')
    RETURNS SETOF wf.open_step
    LANGUAGE sql ROWS 1 SET search_path = pg_catalog, pg_temp
    AS $$ SELECT * FROM wf.remove_subject($1, $2::text, $3) $$;
COMMENT ON FUNCTION wf.remove_subject(bigint, uuid, text) IS 'As wf.remove_subject(bigint, text, text), for a uuid key.';

-- The rows of each case. LATERAL, so that a case found by its number or by a key is all that is read of history.
CREATE VIEW wf.case_members WITH (security_barrier) AS
    SELECT cs.case_id, w.name AS workflow, su.name AS subject, cs.key, c.account,
           cs.key = c.key AND cs.departure IS NULL AS carries,
           CASE WHEN cs.departure IS NOT NULL THEN 'left' WHEN c.ended_at IS NOT NULL THEN 'ended' ELSE 'in' END AS state,
           coalesce(h.joined_at, c.created_at) AS joined_at,
           (cs.departure ->> 'at')::timestamptz AS left_at,
           cs.departure ->> 'outcome' AS outcome, cs.departure ->> 'reason' AS reason, c.state::text AS case_state
    FROM wf.case_subjects AS cs
    JOIN wf.cases AS c ON c.case_id = cs.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.subjects AS su ON su.subject_id = cs.subject_id
    LEFT JOIN LATERAL (
        SELECT max(h.at) AS joined_at FROM wf.history AS h
        WHERE h.case_id = cs.case_id AND h.event = 'subject_joined' AND h.detail ->> 'key' = cs.key
        ) AS h ON cs.position IS NOT NULL
    WHERE (SELECT wf._sees_all()) OR cs.case_id IN (SELECT wf._my_cases());
COMMENT ON VIEW wf.case_members IS 'One row for each row of a subject that a case concerns, or concerned before it left.';
COMMENT ON COLUMN wf.case_members.case_id IS 'Number of the case.';
COMMENT ON COLUMN wf.case_members.workflow IS 'Name of the workflow.';
COMMENT ON COLUMN wf.case_members.subject IS 'The subject, as it was bound.';
COMMENT ON COLUMN wf.case_members.key IS 'Key of the row, as text.';
COMMENT ON COLUMN wf.case_members.account IS 'Account that the case belongs to.';
COMMENT ON COLUMN wf.case_members.carries IS 'Whether conditions, dates and addresses are read from this row.';
COMMENT ON COLUMN wf.case_members.state IS 'in; left (the case went on with others); ended (with the case).';
COMMENT ON COLUMN wf.case_members.joined_at IS 'When it joined the case.';
COMMENT ON COLUMN wf.case_members.left_at IS 'When it left the case.';
COMMENT ON COLUMN wf.case_members.outcome IS 'How it left: stopped (by a stop rule) or removed (by a person).';
COMMENT ON COLUMN wf.case_members.reason IS 'Why it left.';
COMMENT ON COLUMN wf.case_members.case_state IS 'State of the case: planned, running, held, completed or cancelled.';

-- Exclusive workflows: the rows that are in a case of one. The primary key is the guard.
CREATE TABLE wf.exclusive_subjects (
    subject_id integer NOT NULL,
    key        text COLLATE "C" NOT NULL,
    case_id    bigint NOT NULL,
    PRIMARY KEY (key, subject_id)
);
CREATE INDEX exclusive_subjects_case ON wf.exclusive_subjects (case_id);
COMMENT ON TABLE wf.exclusive_subjects IS 'The rows that are in a case of an exclusive workflow: one case at a time.';

-- Workflows of whole accounts: the account's open case. The primary key is the guard.
CREATE TABLE wf.open_accounts (
    account     text COLLATE "C" NOT NULL,
    workflow_id integer NOT NULL,
    case_id     bigint NOT NULL,
    PRIMARY KEY (account, workflow_id)
);
CREATE INDEX open_accounts_case ON wf.open_accounts (case_id);
COMMENT ON TABLE wf.open_accounts IS 'The open cases of workflows about whole accounts: one for each account.';

-- Default strategies: which one, and whether it runs, by level; the nearest level counts for each.
CREATE TABLE wf.strategy_settings (
    subject_id  integer NOT NULL,
    account     text COLLATE "C",          -- for the rows of this account
    key         text COLLATE "C",          -- for this row; without both: for all rows
    workflow_id integer,                   -- null: as the level above says
    status      text CHECK (status IN ('running', 'paused', 'stopped')),  -- null: as the level above says
    reason      text,
    set_at      timestamptz NOT NULL,
    set_by      text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (key, account, subject_id),
    CHECK (account IS NULL OR key IS NULL)
);
CREATE INDEX strategy_settings_account ON wf.strategy_settings (account, subject_id) WHERE key IS NULL;
COMMENT ON TABLE wf.strategy_settings IS 'Which default strategy rows have and whether it runs, set for all rows of a subject, for an account, or for a row.';

-- The strategy of each row, as it has come out.
CREATE TABLE wf.strategies (
    subject_id integer NOT NULL,
    key        text COLLATE "C" NOT NULL,
    account    text COLLATE "C",
    case_id    bigint NOT NULL,            -- that runs it, or ran it last
    status     text NOT NULL,
    reason     text,
    elsewhere  bigint,                     -- the case that it rests for
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (key, subject_id)
);
CREATE INDEX strategies_account ON wf.strategies (account, subject_id);
COMMENT ON TABLE wf.strategies IS 'The default strategy of each row; for reading, see wf.strategy_status.';
COMMENT ON COLUMN wf.strategies.status IS 'running, paused or stopped; also stopped when its case has ended by itself.';
COMMENT ON COLUMN wf.strategies.elsewhere IS 'The case of another workflow that the row is in: the strategy rests meanwhile, whatever its status.';
COMMENT ON COLUMN wf.subjects.strategies IS 'Whether wf.set_strategy has ever been called for it: without that, nothing asks about strategies.';

INSERT INTO wf.hold_kinds (kind, title, blocks, clock, released_by, shipped) VALUES
    ('strategy', 'Default strategy rests', '{steps}', 'shift', 'manager', true);

CREATE VIEW wf.strategy_status WITH (security_barrier) AS
    SELECT su.name AS subject, s.key, s.account, w.name AS workflow, s.status, s.reason,
           s.elsewhere AS resting_for, ow.name AS resting_for_workflow, s.case_id, c.state::text AS case_state, s.changed_at
    FROM wf.strategies AS s
    JOIN wf.cases AS c ON c.case_id = s.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.subjects AS su ON su.subject_id = s.subject_id
    LEFT JOIN wf.cases AS o ON o.case_id = s.elsewhere
    LEFT JOIN wf.workflows AS ow ON ow.workflow_id = o.workflow_id
    WHERE (SELECT wf._sees_all()) OR s.case_id IN (SELECT wf._my_cases());
COMMENT ON VIEW wf.strategy_status IS 'One row for each row of a subject that has or had a default strategy.';
COMMENT ON COLUMN wf.strategy_status.subject IS 'The subject, as it was bound.';
COMMENT ON COLUMN wf.strategy_status.key IS 'Key of the row, as text.';
COMMENT ON COLUMN wf.strategy_status.account IS 'Account that the row belongs to.';
COMMENT ON COLUMN wf.strategy_status.workflow IS 'Name of the workflow that is its strategy.';
COMMENT ON COLUMN wf.strategy_status.status IS 'running, paused, or stopped; a strategy whose case has ended is stopped.';
COMMENT ON COLUMN wf.strategy_status.reason IS 'Why it is paused or stopped.';
COMMENT ON COLUMN wf.strategy_status.resting_for IS 'Number of the case of another workflow that the row is in; while there is one, nothing of the strategy fires.';
COMMENT ON COLUMN wf.strategy_status.resting_for_workflow IS 'Name of that case''s workflow.';
COMMENT ON COLUMN wf.strategy_status.case_id IS 'Number of the strategy''s case.';
COMMENT ON COLUMN wf.strategy_status.case_state IS 'State of the strategy''s case.';
COMMENT ON COLUMN wf.strategy_status.changed_at IS 'When any of this last changed.';

CREATE FUNCTION wf.set_strategy(subject text, workflow text, account text DEFAULT NULL, key text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_strategy_wrapper';
COMMENT ON FUNCTION wf.set_strategy(text, text, text, text) IS
    'Sets the default strategy of all rows of a subject, of an account''s, or of the one with this key; the nearest counts. workflow null: as the level above says. What was stopped for good begins anew. Unknown subject or workflow: 42704; a workflow that is no strategy ("runs": "strategy"), not published, or about another subject: 55000; account and key both: 22023.';

CREATE FUNCTION wf.pause_strategy(subject text, key text DEFAULT NULL, account text DEFAULT NULL, reason text DEFAULT NULL)
    RETURNS void LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'pause_strategy_wrapper';
COMMENT ON FUNCTION wf.pause_strategy(text, text, text, text) IS
    'Pauses the default strategy of the row with this key, of an account''s rows, or of all: nothing of it fires. What is set nearer to a row counts instead. Unknown subject: 42704; stopped for good, or no strategy: 55000.';

CREATE FUNCTION wf.resume_strategy(subject text, key text DEFAULT NULL, account text DEFAULT NULL, reason text DEFAULT NULL)
    RETURNS void LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'resume_strategy_wrapper';
COMMENT ON FUNCTION wf.resume_strategy(text, text, text, text) IS
    'Lets a paused default strategy go on where it was: its dates move by the time that it was paused. Unknown subject: 42704; stopped for good, or no strategy: 55000.';

CREATE FUNCTION wf.stop_strategy(subject text, key text DEFAULT NULL, account text DEFAULT NULL, reason text DEFAULT NULL)
    RETURNS void LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'stop_strategy_wrapper';
COMMENT ON FUNCTION wf.stop_strategy(text, text, text, text) IS
    'Ends the default strategy of the row with this key, of an account''s rows, or of all, for good; only wf.set_strategy lets one begin anew. Unknown subject: 42704; no strategy: 55000.';
