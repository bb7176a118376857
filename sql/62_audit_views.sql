-- Who did what, when, and why; the blocks that history is sealed in; cases that started one another.

-- A role whose name could be taken for two of them, or for the engine, stands in quotes in actor (src/api/mod.rs).
CREATE VIEW wf.audit_trail AS
    SELECT e.at, l.login, coalesce(nullif(substr(e.actor, length(l.login) + 5), ''), l.login) AS role, e.act,
           e.case_id, w.name AS workflow, c.key, c.account, s.name AS step, e.visit,
           CASE WHEN e.act LIKE 'task\_%' OR e.act = 'assigned' THEN e.detail ->> 'from'
                WHEN e.act = 'rescheduled' THEN e.detail ->> 'old'
                WHEN e.act = 'case_migrated' THEN 'version ' || (e.detail ->> 'from')
                WHEN e.act = 'case_released' THEN 'on hold: ' || coalesce(e.detail ->> 'kind', 'hold')
                WHEN e.act = 'step_retried' THEN 'failed'
                WHEN e.act IN ('case_held', 'case_completed', 'case_cancelled') THEN 'open'
                WHEN e.act LIKE 'step\_%' THEN s.name END AS before,
           CASE WHEN e.act LIKE 'task\_%' OR e.act = 'assigned' THEN e.detail ->> 'to'
                WHEN e.act = 'rescheduled' THEN e.detail ->> 'new'
                WHEN e.act = 'case_migrated' THEN 'version ' || (e.detail ->> 'to')
                WHEN e.act = 'case_held' THEN 'on hold: ' || coalesce(e.detail ->> 'kind', 'hold')
                WHEN e.act = 'case_released' THEN CASE WHEN e.detail ? 'still_on_hold' THEN 'on hold' ELSE 'open' END
                WHEN e.act = 'case_planned' THEN 'planned'
                WHEN e.act = 'case_started' THEN 'open'
                WHEN e.act = 'case_completed' THEN 'completed'
                WHEN e.act = 'case_cancelled' THEN 'cancelled'
                WHEN e.act = 'step_retried' THEN s.name
                WHEN e.act = 'step_failed' THEN 'failed'
                WHEN e.act IN ('step_done', 'step_skipped') THEN (
                    SELECT coalesce(string_agg(n.name, ', ' ORDER BY n.step_no) FILTER (WHERE t.outcome = e.outcome),
                                    string_agg(n.name, ', ' ORDER BY n.step_no))
                    FROM wf.transitions AS t
                    JOIN wf.steps AS n ON n.version_id = t.version_id AND n.step_no = t.to_step
                    WHERE t.version_id = e.version_id AND t.from_step = e.step_no) END AS after,
           e.outcome, coalesce(e.reason, e.detail ->> 'reason', e.detail ->> 'error') AS why, e.object, e.detail, e.history_id
    FROM (
        SELECT h.at, h.actor, h.event::text AS act, h.case_id, h.version_id, h.step_no, h.visit, h.outcome,
               NULL::text AS object, NULL::text AS reason, h.detail, h.history_id
        FROM wf.history AS h
        UNION ALL
        SELECT a.at, a.actor, a.act, NULL, NULL, NULL, NULL, NULL, a.object, a.reason, a.detail, NULL
        FROM wf.audit_log AS a) AS e
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.actor LIKE '"%' THEN substring(e.actor FROM '^"(?:[^"]|"")*"')
                    ELSE split_part(e.actor, ' as ', 1) END AS login) AS l
    LEFT JOIN wf.cases AS c ON c.case_id = e.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.steps AS s ON s.version_id = e.version_id AND s.step_no = e.step_no;
COMMENT ON VIEW wf.audit_trail IS 'One row for each thing that happened to a case, or was done to a workflow or the database as a whole: who, when, from what to what, why.';
COMMENT ON COLUMN wf.audit_trail.at IS 'When, by the engine''s clock; for what belongs to no case, in real time.';
COMMENT ON COLUMN wf.audit_trail.login IS 'The role that had logged in; engine for what happened by itself. A role that is itself called engine stands in quotes.';
COMMENT ON COLUMN wf.audit_trail.role IS 'The role that acted: the one that had logged in, unless it had taken on another.';
COMMENT ON COLUMN wf.audit_trail.act IS 'What happened, as in wf.history, or what was done, as in wf.audit_log.';
COMMENT ON COLUMN wf.audit_trail.case_id IS 'Number of the case; null for what belongs to none.';
COMMENT ON COLUMN wf.audit_trail.workflow IS 'Name of the case''s workflow.';
COMMENT ON COLUMN wf.audit_trail.key IS 'Key of the row that carries the case, as text.';
COMMENT ON COLUMN wf.audit_trail.account IS 'Account that the case belongs to.';
COMMENT ON COLUMN wf.audit_trail.step IS 'Name of the step.';
COMMENT ON COLUMN wf.audit_trail.visit IS 'The how-manieth time that the case was at the step.';
COMMENT ON COLUMN wf.audit_trail.before IS 'From what: a state, a step, a date, a version, or whose a task was.';
COMMENT ON COLUMN wf.audit_trail.after IS 'To what: the same, or the steps that follow.';
COMMENT ON COLUMN wf.audit_trail.outcome IS 'How the step or the case came out.';
COMMENT ON COLUMN wf.audit_trail.why IS 'The reason that was given, by the call or by workflow_engine.reason; the error of a step that failed.';
COMMENT ON COLUMN wf.audit_trail.object IS 'What something was done to that belongs to no case: a workflow, a channel (* for all), an account, a month.';
COMMENT ON COLUMN wf.audit_trail.detail IS 'All else that is known of it.';
COMMENT ON COLUMN wf.audit_trail.history_id IS 'Number of the row of history.';

CREATE VIEW wf.history_blocks AS
    SELECT s.block, s.month, s.row_count AS rows, lower(s.ids) AS first_id, upper(s.ids) - 1 AS last_id,
           s.sealed_at, s.sealed_by, encode(s.hash, 'hex') AS hash, d.sealed_at AS dropped_at, d.sealed_by AS dropped_by
    FROM wf.history_seals AS s
    LEFT JOIN wf.history_seals AS d ON s.kind = 'rows' AND d.kind = 'dropped' AND d.month = s.month AND d.ids @> s.ids
    WHERE s.kind = 'rows';
COMMENT ON VIEW wf.history_blocks IS 'One row for each block of history that has been sealed, with what became of its month.';
COMMENT ON COLUMN wf.history_blocks.block IS 'Number of the block; one that is left out tells of a month that was dropped.';
COMMENT ON COLUMN wf.history_blocks.month IS 'The month of history that its rows are in.';
COMMENT ON COLUMN wf.history_blocks.rows IS 'How many rows it stands for.';
COMMENT ON COLUMN wf.history_blocks.first_id IS 'The lowest history_id among them.';
COMMENT ON COLUMN wf.history_blocks.last_id IS 'The highest one.';
COMMENT ON COLUMN wf.history_blocks.sealed_at IS 'When it was made, in real time.';
COMMENT ON COLUMN wf.history_blocks.sealed_by IS 'Who made it: engine, for a worker.';
COMMENT ON COLUMN wf.history_blocks.hash IS 'Its hash, over its rows and the block before it.';
COMMENT ON COLUMN wf.history_blocks.dropped_at IS 'When its month was dropped.';
COMMENT ON COLUMN wf.history_blocks.dropped_by IS 'Who dropped it: engine, for a worker.';

CREATE VIEW wf.linked_cases AS
    SELECT l.started_by AS parent_id, pw.name AS parent_workflow, p.state::text AS parent_state,
           l.case_id, w.name AS workflow, c.state::text AS state, c.key, c.account,
           CASE WHEN l.step_no IS NOT NULL AND c.ended_at IS NULL AND p.ended_at IS NULL THEN 'waits'
                WHEN p.outcome = 'continued' AND l.case_id = (
                    SELECT max(o.case_id) FROM wf.case_links AS o WHERE o.started_by = l.started_by) THEN 'continued'
                ELSE 'started' END AS relation,
           s.name AS waiting_step, c.created_at AS started_at
    FROM wf.case_links AS l
    JOIN wf.cases AS c ON c.case_id = l.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.cases AS p ON p.case_id = l.started_by
    LEFT JOIN wf.workflows AS pw ON pw.workflow_id = p.workflow_id
    LEFT JOIN wf.steps AS s ON s.version_id = p.version_id AND s.step_no = l.step_no
    WHERE (SELECT wf._sees_all()) OR l.case_id IN (SELECT wf._my_cases()) AND l.started_by IN (SELECT wf._my_cases());
COMMENT ON VIEW wf.linked_cases IS 'One row for each case that a step of another case has started.';
COMMENT ON COLUMN wf.linked_cases.parent_id IS 'Number of the case whose step started it.';
COMMENT ON COLUMN wf.linked_cases.parent_workflow IS 'Name of that case''s workflow.';
COMMENT ON COLUMN wf.linked_cases.parent_state IS 'State of that case.';
COMMENT ON COLUMN wf.linked_cases.case_id IS 'Number of the case that was started.';
COMMENT ON COLUMN wf.linked_cases.workflow IS 'Name of its workflow.';
COMMENT ON COLUMN wf.linked_cases.state IS 'State of the case that was started.';
COMMENT ON COLUMN wf.linked_cases.key IS 'Key of the row that carries it, as text.';
COMMENT ON COLUMN wf.linked_cases.account IS 'Account that it belongs to.';
COMMENT ON COLUMN wf.linked_cases.relation IS 'waits: a step of the parent waits for its end; continued: the parent ended and went on as this case; started: the two go on by themselves.';
COMMENT ON COLUMN wf.linked_cases.waiting_step IS 'Name of the parent''s step that waits for its end, or did.';
COMMENT ON COLUMN wf.linked_cases.started_at IS 'When it was started.';
