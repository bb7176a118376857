-- The views that people and reporting tools read; their names and columns are a contract. States and other labels are
-- text, so that a tool needs to know none of our types. No view calls a function of ours for a row, and each can be
-- asked for one case, one task or one key without reading the others. Dates show the engine's clock, as wf.now() does:
-- it stands here as a subquery, for a view checks the right to call a function with its reader, not with its owner. Who
-- sees which cases (sql/47_sight.sql) is asked once a query.
--
-- Views that show agents some rows and not others are security barriers: what an agent's query adds, such as a cast that
-- fails with the value in its message, sees no row before the view has decided. Comparisons of numbers, texts and times
-- still get to the indexes. A join gets there as a LATERAL subquery with OFFSET 0.

-- Messages that did not arrive are few among many; wf.incidents looks for them.
CREATE INDEX outbox_lost ON wf.outbox (case_id) WHERE state IN ('dead', 'bounced');

CREATE VIEW wf.case_progress WITH (security_barrier) AS
    SELECT c.case_id, w.name AS workflow, v.number AS version, su.name AS subject, cs.key, c.account,
           c.state::text AS state, c.outcome, c.reason,
           CASE WHEN c.ended_at IS NULL THEN open.stage
                ELSE (SELECT max(s.stage) FROM wf.history AS h
                      JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
                      WHERE h.case_id = c.case_id AND h.event IN ('step_done', 'step_cancelled'))
           END AS stage,
           (SELECT max(s.stage) FROM wf.steps AS s WHERE s.version_id = c.version_id) AS stages,
           open.steps,
           CASE WHEN c.state = 'held'
                THEN (SELECT min(h.until) FROM wf.holds AS h WHERE h.case_id = c.case_id AND h.released_at IS NULL)
                ELSE open.next_at
           END AS next_at,
           c.created_at, c.started_at, c.ended_at, c.started_by,
           CASE WHEN c.state = 'held' OR c.memory ? 'stopped'
                THEN (SELECT string_agg(h.reason, ', ' ORDER BY h.hold_id) FROM wf.holds AS h
                      WHERE h.case_id = c.case_id AND h.released_at IS NULL)
           END AS hold_reason,
           open.failed_steps, c.vars,
           ARRAY(SELECT m.key FROM wf.case_subjects AS m WHERE m.case_id = c.case_id AND m.departure IS NULL
                 ORDER BY m.position NULLS FIRST)::text[] AS keys
    FROM wf.cases AS c
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.versions AS v ON v.version_id = c.version_id
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key
    LEFT JOIN wf.subjects AS su ON su.subject_id = cs.subject_id
    LEFT JOIN LATERAL (
        SELECT max(coalesce(s.stage, 0::smallint)) AS stage,
               string_agg(coalesce(s.name, 'start'), ', ' ORDER BY t.step_no, t.visit) AS steps,
               -- A message on its way is the sender's: its date lies behind.
               min(coalesce(t.run_at, t.due_at)) FILTER (WHERE t.state IN ('scheduled', 'open')) AS next_at,
               string_agg(coalesce(s.name, 'start'), ', ' ORDER BY t.step_no, t.visit)
                   FILTER (WHERE t.state = 'failed') AS failed_steps
        FROM wf.case_steps AS t
        LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
        WHERE t.case_id = c.case_id AND t.step_no >= 0 AND c.ended_at IS NULL) AS open ON true
    WHERE (SELECT wf._sees_all()) OR c.case_id IN (SELECT wf._my_cases());

-- Four kinds of rows: steps behind, the start of cases that were planned, steps open, steps ahead.
-- Behind: a run's last row in history. A failed run is still open, a retried one has its last row yet to come.
-- Ahead: from the open steps on, over legs that leave no choice; where somebody or something decides, it ends.
-- LATERAL, so that a case found by its number or its key is all that is read.
CREATE VIEW wf.case_timeline WITH (security_barrier) AS
    SELECT c.case_id, w.name AS workflow, cs.key, coalesce(s.stage, 0::smallint) AS stage, p.name AS phase,
           coalesce(s.name, 'start') AS step, r.visit, coalesce(s.kind, 'start') AS kind, r.status,
           r.entered_at, r.due_at, r.done_at, r.outcome, r.actor, r.detail
    FROM wf.cases AS c
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key
    CROSS JOIN LATERAL (
        SELECT h.version_id, h.step_no, h.visit,
               CASE h.event WHEN 'step_done' THEN 'done'
                            WHEN 'step_skipped' THEN CASE h.outcome WHEN 'expired' THEN 'expired' ELSE 'skipped' END
                            ELSE 'cancelled' END AS status,
               h.entered_at, h.due_at, h.at AS done_at, h.outcome, h.actor, h.detail
        FROM wf.history AS h
        WHERE h.case_id = c.case_id AND h.event IN ('step_done', 'step_skipped', 'step_cancelled') AND h.step_no > 0
        UNION ALL
        -- One pass over the rows of the start: planned, perhaps moved, perhaps asked about for coming late, and its end.
        SELECT c.version_id, 0::smallint, 1::smallint,
               CASE WHEN c.started_at IS NULL THEN 'cancelled' ELSE 'done' END,
               min(b.entered_at) FILTER (WHERE b.event = 'case_planned'),
               (array_agg(b.due_at ORDER BY b.history_id DESC) FILTER (WHERE b.event IN ('case_planned', 'rescheduled')))[1],
               max(b.at) FILTER (WHERE b.step_no IS NULL),
               coalesce(max(b.outcome) FILTER (WHERE b.event = 'step_done'),
                        max(b.outcome) FILTER (WHERE b.step_no IS NULL)),
               max(b.actor) FILTER (WHERE b.step_no IS NULL),
               (array_agg(b.detail) FILTER (WHERE b.step_no IS NULL))[1]
        FROM wf.history AS b
        WHERE b.case_id = c.case_id
          AND (b.step_no = 0 AND b.event IN ('case_planned', 'rescheduled', 'step_done')
               OR b.event = CASE WHEN c.started_at IS NULL THEN 'case_cancelled' ELSE 'case_started' END::wf.history_event)
        HAVING bool_or(b.event = 'case_planned') AND bool_or(b.step_no IS NULL)
        UNION ALL
        SELECT c.version_id, t.step_no, t.visit,
               CASE t.state WHEN 'joining' THEN 'waiting'
                            WHEN 'scheduled' THEN CASE WHEN t.run_at IS NULL THEN 'waiting' ELSE 'scheduled' END
                            ELSE t.state::text END,
               t.entered_at, coalesce(t.due_at, t.run_at), NULL, NULL, NULL,
               CASE t.state
                   WHEN 'failed' THEN (
                       SELECT jsonb_build_object('error', f.message) FROM wf.failures AS f
                       WHERE f.case_id = t.case_id AND f.step_no = t.step_no AND f.visit = t.visit
                         AND f.resolved_at IS NULL
                       ORDER BY f.failure_id DESC LIMIT 1)
                   WHEN 'sending' THEN (
                       SELECT jsonb_strip_nulls(jsonb_build_object('message_id', o.message_id, 'message', o.state,
                                                'not_before', o.not_before, 'reason', o.reason))
                       FROM wf.outbox AS o
                       WHERE o.case_id = t.case_id AND o.step_no = t.step_no AND o.visit = t.visit
                         AND o.state IN ('deferred', 'queued', 'leased', 'sent')
                       ORDER BY o.message_id DESC LIMIT 1)
                   WHEN 'waiting' THEN (
                       SELECT jsonb_build_object('cases', jsonb_agg(l.case_id ORDER BY l.case_id)) FROM wf.case_links AS l
                       WHERE l.started_by = t.case_id AND l.step_no = t.step_no AND l.visit = t.visit
                       HAVING count(*) > 0)
               END
        FROM wf.case_steps AS t
        WHERE t.case_id = c.case_id AND t.step_no >= 0 AND c.ended_at IS NULL
        UNION ALL
        SELECT c.version_id, a.step_no,
               coalesce((c.memory -> 'visits' ->> a.name)::smallint, 0::smallint) + 1::smallint,
               'planned', NULL, NULL, NULL, NULL, NULL, NULL
        FROM (
            WITH RECURSIVE way AS (
                SELECT t.step_no FROM wf.case_steps AS t WHERE t.case_id = c.case_id
                UNION
                SELECT n.to_step
                FROM way
                CROSS JOIN LATERAL (
                    SELECT 1::smallint AS to_step WHERE way.step_no = 0
                    UNION ALL
                    -- All branches of a fork; the leg of a message that arrives; else the only way on.
                    SELECT l.to_step FROM wf.transitions AS l
                    JOIN wf.steps AS f ON f.version_id = l.version_id AND f.step_no = l.from_step
                    WHERE l.version_id = c.version_id AND l.from_step = way.step_no
                      AND (f.kind = 'parallel' OR f.kind IN ('email', 'sms', 'letter', 'voice', 'ticket') AND l.outcome = 'sent'
                           OR NOT EXISTS (
                               SELECT FROM wf.transitions AS other
                               WHERE other.version_id = l.version_id AND other.from_step = l.from_step
                                 AND other.to_step <> l.to_step))) AS n)
            SELECT s.step_no, s.name
            FROM way
            JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = way.step_no
            WHERE NOT EXISTS (SELECT FROM wf.case_steps AS t WHERE t.case_id = c.case_id AND t.step_no = way.step_no)
            ) AS a
        WHERE c.ended_at IS NULL
    ) AS r
    LEFT JOIN wf.steps AS s ON s.version_id = r.version_id AND s.step_no = r.step_no
    LEFT JOIN wf.phases AS p ON p.version_id = s.version_id AND p.phase_no = s.phase_no
    WHERE (SELECT wf._sees_all()) OR c.case_id IN (SELECT wf._my_cases());

CREATE VIEW wf.worklist WITH (security_barrier) AS
    SELECT t.task_id, t.case_id, w.name AS workflow, su.name AS subject, cs.key, c.account,
           coalesce(s.name, 'start') AS step, t.visit, coalesce(s.kind, 'start') AS kind, t.title, t.participant,
           t.outcomes, t.opened_at, t.due_at,
           coalesce(t.due_at < coalesce((SELECT k.frozen_at FROM wf.clock AS k), now()), false) AS overdue,
           coalesce(s.stage, 0::smallint) AS stage, c.state = 'held' AS held,
           t.claimed_by, t.substitute, s.second, t.escalated_to, t.created_by,
           -- The key goes into the JSON text as JSON writes it.
           CASE WHEN s.links IS NOT NULL THEN
               replace(replace(s.links::text, '{key}', substr(to_json(cs.key)::text, 2, length(to_json(cs.key)::text) - 2)),
                       '{case}', t.case_id::text)::jsonb END AS links,
           ARRAY(SELECT m.key FROM wf.case_subjects AS m WHERE m.case_id = c.case_id AND m.departure IS NULL
                 ORDER BY m.position NULLS FIRST)::text[] AS keys
    FROM wf.tasks AS t
    JOIN wf.cases AS c ON c.case_id = t.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key
    LEFT JOIN wf.subjects AS su ON su.subject_id = cs.subject_id
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
    WHERE (SELECT wf._sees_all()) OR t.task_id IN (SELECT wf._my_tasks());

-- The worklist of whoever asks, with why each task is theirs. Once somebody has claimed a task, it is no longer for the
-- others of its queue. Tasks of participants that no role is behind are anybody's.
CREATE VIEW wf.my_worklist AS
    WITH me AS (
        SELECT p.participant FROM wf.participants AS p WHERE p.role IS NOT NULL AND pg_has_role(p.role::oid, 'MEMBER')),
    mine AS (
        SELECT m.participant FROM me AS m
        UNION
        SELECT q.queue FROM wf.members AS q JOIN me AS m ON m.participant = q.member)
    SELECT v.via, w.*
    FROM wf.worklist AS w
    LEFT JOIN wf.participants AS p ON p.participant = w.participant
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN w.claimed_by IN (SELECT m.participant FROM me AS m)
                 OR w.claimed_by = current_user AND NOT EXISTS (
                     SELECT FROM wf.participants AS o WHERE o.participant = w.claimed_by) THEN 'own'
            WHEN w.substitute IN (SELECT m.participant FROM me AS m) THEN 'substitute'
            WHEN w.escalated_to IN (SELECT m.participant FROM mine AS m) THEN 'escalated'
            WHEN w.claimed_by IS NOT NULL THEN
                CASE WHEN p.kind = 'person' AND w.participant IN (SELECT m.participant FROM me AS m)
                     THEN 'delegated' END
            WHEN w.participant IN (SELECT m.participant FROM mine AS m)
                THEN CASE p.kind WHEN 'queue' THEN 'queue' ELSE 'own' END
            WHEN w.second IN (SELECT m.participant FROM mine AS m) THEN 'second'
            WHEN p.role IS NULL
                 AND NOT EXISTS (SELECT FROM wf.members AS q JOIN wf.participants AS o ON o.participant = q.member
                                 WHERE q.queue = w.participant AND o.role IS NOT NULL) THEN 'anybody'
        END AS via) AS v
    WHERE v.via IS NOT NULL;

-- What no alerting application has taken yet.
CREATE VIEW wf.alerts AS
    SELECT n.notification_id, n.at, n.participant, n.kind, n.body, n.task_id, n.case_id, w.name AS workflow, cs.key,
           coalesce(s.name, 'start') AS step, p.title
    FROM wf.notifications AS n
    JOIN wf.cases AS c ON c.case_id = n.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = n.step_no
    LEFT JOIN wf.participants AS p ON p.participant = n.participant
    WHERE n.taken_at IS NULL;

CREATE VIEW wf.upcoming AS
    SELECT n.due_at, n.case_id, w.name AS workflow, cs.key,
           CASE n.step_no WHEN 0 THEN 'start' ELSE s.name END AS step, n.visit,
           CASE n.step_no WHEN 0 THEN 'start' ELSE s.kind END AS kind, c.state::text AS state,
           CASE WHEN n.what <> 'step' THEN n.what
                WHEN n.step_no = 0 THEN 'starts'
                WHEN s.manual THEN 'task'
                WHEN s.kind IN ('email', 'sms', 'letter', 'voice', 'ticket') THEN 'message'
                ELSE 'step' END AS what
    FROM (
        -- As the index has it, so that the days ahead are found by it.
        SELECT greatest(t.run_at, t.entered_at) AS due_at, t.case_id, t.step_no, t.visit, 'step' AS what
        FROM wf.case_steps AS t
        WHERE t.state = 'scheduled' AND t.run_at IS NOT NULL AND t.step_no >= 0
        UNION ALL
        SELECT o.not_before, o.case_id, o.step_no, o.visit, 'message'
        FROM wf.outbox AS o
        JOIN wf.cases AS c ON c.case_id = o.case_id
        WHERE o.state = 'deferred' AND c.state = 'running' AND o.not_before < 'infinity'
        UNION ALL
        SELECT t.due_at, t.case_id, t.step_no, t.visit, 'deadline'
        FROM wf.tasks AS t
        WHERE t.due_at >= coalesce((SELECT k.frozen_at FROM wf.clock AS k), now())
        UNION ALL
        SELECT t.escalate_at, t.case_id, t.step_no, t.visit, 'escalation'
        FROM wf.tasks AS t
        WHERE t.escalate_at IS NOT NULL
        UNION ALL
        SELECT h.until, h.case_id, NULL, NULL, 'release'
        FROM wf.holds AS h
        WHERE h.released_at IS NULL AND h.until IS NOT NULL
    ) AS n
    JOIN wf.cases AS c ON c.case_id = n.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = n.step_no;

-- Steps that failed, changed rows that could not be looked at, messages that did not arrive although their step had
-- gone on already, and bindings that are out of order. A message whose step waits for it is a failed step instead, and
-- one whose step has taken its other leg is none.
CREATE VIEW wf.incidents AS
    SELECT CASE WHEN f.case_id IS NOT NULL THEN 'step' ELSE 'row' END AS what,
           f.at, w.name AS workflow, f.case_id, su.name AS subject, cs.key,
           CASE WHEN f.step_no IS NOT NULL THEN coalesce(s.name, 'start') END AS step, f.visit,
           f.message, f.detail, f.hint, f.sqlstate, f.attempts, f.failure_id, f.message_id
    FROM wf.failures AS f
    LEFT JOIN wf.cases AS c ON c.case_id = f.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = coalesce(f.workflow_id, c.workflow_id)
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key
    LEFT JOIN wf.subjects AS su ON su.subject_id = coalesce(f.subject_id, cs.subject_id)
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = f.step_no
    WHERE f.resolved_at IS NULL
    UNION ALL
    SELECT 'message', o.finished_at, w.name, o.case_id, o.aggregatetype, o.aggregateid, s.name, o.visit,
           format('message %s %s: %s', o.message_id,
                  CASE o.state WHEN 'dead' THEN 'could not be sent' ELSE 'bounced' END,
                  coalesce(o.reason, 'no reason given')),
           format('The case had gone on from step "%s" before this was known.', s.name),
           'Reach the recipient in another way.',
           NULL, o.attempts, NULL, o.message_id
    FROM wf.outbox AS o
    JOIN wf.cases AS c ON c.case_id = o.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.steps AS s ON s.version_id = coalesce(o.version_id, c.version_id) AND s.step_no = o.step_no
    WHERE o.state IN ('dead', 'bounced')
      AND EXISTS (SELECT FROM wf.history AS h
                  WHERE h.case_id = o.case_id AND h.step_no = o.step_no AND h.visit = o.visit
                    AND h.version_id = coalesce(o.version_id, c.version_id)
                    AND h.event = 'step_done' AND h.outcome <> 'undeliverable')
      -- A later message of the same run, after wf.retry, has taken its place.
      AND NOT EXISTS (SELECT FROM wf.outbox AS later
                      WHERE later.case_id = o.case_id AND later.step_no = o.step_no AND later.visit = o.visit
                        AND later.version_id IS NOT DISTINCT FROM o.version_id
                        AND later.message_id > o.message_id)
    UNION ALL
    SELECT 'subject', NULL, NULL, NULL, su.name, NULL, NULL, NULL,
           format('subject "%s" is out of order: %s', su.name, su.quarantined),
           'Changes of its rows are noted, but not looked at; no case of it moves by them.',
           'Bind it again with wf.bind_subject, then call wf.reconcile.',
           NULL, NULL, NULL, NULL
    FROM wf.subjects AS su
    WHERE su.quarantined IS NOT NULL;

CREATE VIEW wf.workflow_stats AS
    SELECT w.name AS workflow, w.enabled, w.owner::text AS owner,
           (SELECT v.number FROM wf.versions AS v WHERE v.workflow_id = w.workflow_id AND v.state = 'published')
               AS published_version,
           (SELECT v.number FROM wf.versions AS v WHERE v.workflow_id = w.workflow_id AND v.state = 'draft')
               AS draft_version,
           coalesce(c.planned, 0) AS planned, coalesce(c.running, 0) AS running, coalesce(c.held, 0) AS held,
           coalesce(c.completed, 0) AS completed, coalesce(c.cancelled, 0) AS cancelled,
           coalesce(c.stopped, 0) AS stopped,
           coalesce(a.customers, 0) AS customers, coalesce(t.open_tasks, 0) AS open_tasks,
           coalesce(t.overdue_tasks, 0) AS overdue_tasks,
           coalesce(o.queued, 0) AS messages_waiting, coalesce(o.sent, 0) AS messages_sent,
           coalesce(i.incidents, 0) AS incidents,
           c.average_to_complete, c.average_to_stop
    FROM wf.workflows AS w
    LEFT JOIN (
        SELECT c.workflow_id,
               count(*) FILTER (WHERE c.state = 'planned') AS planned,
               count(*) FILTER (WHERE c.state = 'running') AS running,
               count(*) FILTER (WHERE c.state = 'held') AS held,
               count(*) FILTER (WHERE c.state = 'completed') AS completed,
               count(*) FILTER (WHERE c.state = 'cancelled' AND c.outcome IS DISTINCT FROM 'stopped') AS cancelled,
               count(*) FILTER (WHERE c.state = 'cancelled' AND c.outcome = 'stopped') AS stopped,
               justify_hours(avg(c.ended_at - c.started_at) FILTER (WHERE c.state = 'completed')) AS average_to_complete,
               justify_hours(avg(c.ended_at - c.started_at)
                   FILTER (WHERE c.state = 'cancelled' AND c.outcome = 'stopped')) AS average_to_stop
        FROM wf.cases AS c
        GROUP BY c.workflow_id) AS c ON c.workflow_id = w.workflow_id
    LEFT JOIN (
        -- Without an account, each row of the ERP counts as a customer.
        SELECT a.workflow_id, count(*) AS customers
        FROM (SELECT DISTINCT c.workflow_id, c.account, CASE WHEN c.account IS NULL THEN cs.key END AS key
              FROM wf.cases AS c
              JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id
              WHERE c.ended_at IS NULL) AS a
        GROUP BY a.workflow_id) AS a ON a.workflow_id = w.workflow_id
    LEFT JOIN (
        SELECT c.workflow_id, count(*) AS open_tasks,
               count(*) FILTER (WHERE t.due_at < coalesce((SELECT k.frozen_at FROM wf.clock AS k), now()))
                   AS overdue_tasks
        FROM wf.tasks AS t
        JOIN wf.cases AS c ON c.case_id = t.case_id
        GROUP BY c.workflow_id) AS t ON t.workflow_id = w.workflow_id
    LEFT JOIN (
        SELECT c.workflow_id,
               count(*) FILTER (WHERE o.state IN ('deferred', 'queued', 'leased')) AS queued,
               count(*) FILTER (WHERE o.state IN ('sent', 'delivered', 'bounced')) AS sent
        FROM wf.outbox AS o
        JOIN wf.cases AS c ON c.case_id = o.case_id
        GROUP BY c.workflow_id) AS o ON o.workflow_id = w.workflow_id
    LEFT JOIN (
        SELECT i.workflow, count(*) AS incidents FROM wf.incidents AS i GROUP BY i.workflow
        ) AS i ON i.workflow = w.name
    WHERE w.dropped_at IS NULL;

-- What is measured has its check even when there is nothing wrong, so that a monitor can tell silence from health.
-- Ages of ERP changes are in real time, those of what the engine plans in its own.
CREATE VIEW wf.health AS
    WITH clock AS (
        SELECT k.frozen_at, coalesce(k.frozen_at, now()) AS now
        FROM (VALUES (true)) AS one (singleton) LEFT JOIN wf.clock AS k USING (singleton)),
    checks (position, "check", status, value, detail) AS (
        SELECT 1, 'worker',
               CASE WHEN count(*) FILTER (WHERE k.state IN ('idle', 'working', 'off')) > 0 OR pg_is_in_recovery() THEN 'ok'
                    ELSE 'problem' END,
               count(*) FILTER (WHERE k.state IN ('idle', 'working', 'off'))::text,
               CASE WHEN count(*) FILTER (WHERE k.state IN ('idle', 'working', 'off')) > 0
                    THEN 'last tick ended at ' || max(k.last_tick)
                    WHEN pg_is_in_recovery() THEN 'this server is a standby: its workers start when it is promoted'
                    WHEN count(*) FILTER (WHERE k.state = 'other version') > 0
                    THEN 'the library and the extension in this database are of different versions: '
                         'ALTER EXTENSION workflow_engine UPDATE, or restart the server if that was done'
                    ELSE 'no worker of this database is running: put workflow_engine into shared_preload_libraries, '
                         'or have CALL wf.run_due() called regularly' END
        FROM wf.workers() AS k
        WHERE k.database = current_database()
        UNION ALL
        SELECT 2, 'enabled', CASE WHEN e.setting::boolean THEN 'ok' ELSE 'warning' END, e.setting,
               CASE WHEN e.setting::boolean THEN NULL
                    ELSE 'workflow_engine.enabled is off: the workers do nothing, only CALL wf.run_due() does' END
        FROM (SELECT coalesce(nullif(current_setting('workflow_engine.enabled', true), ''), 'on') AS setting) AS e
        UNION ALL
        SELECT 3, 'clock', CASE WHEN k.frozen_at IS NULL THEN 'ok' ELSE 'warning' END, k.now::text,
               CASE WHEN k.frozen_at IS NOT NULL
                    THEN 'the engine''s clock is frozen: nothing falls due until wf.clear_clock() or wf.set_clock()' END
        FROM clock AS k
        UNION ALL
        SELECT 4, 'inbox',
               CASE WHEN min(i.at) < now() - interval '1 hour' THEN 'problem'
                    WHEN min(i.at) < now() - interval '5 minutes' THEN 'warning' ELSE 'ok' END,
               coalesce(sum(coalesce(i.packed, 1)), 0)::text, 'oldest change not looked at: ' || date_trunc('second', now() - min(i.at))
        FROM wf.inbox AS i
        WHERE i.failed_at IS NULL
        UNION ALL
        SELECT 5, 'inbox failures', CASE WHEN count(*) > 0 THEN 'problem' ELSE 'ok' END, count(*)::text,
               CASE WHEN count(*) > 0
                    THEN 'changed rows that could not be looked at; their messages stay here (see wf.incidents)' END
        FROM wf.inbox AS i
        WHERE i.failed_at IS NOT NULL
        UNION ALL
        SELECT 6, 'due steps',
               CASE WHEN d.oldest < k.now - interval '1 hour' THEN 'problem'
                    WHEN d.oldest < k.now - interval '5 minutes' THEN 'warning' ELSE 'ok' END,
               d.count::text, 'oldest has been due for ' || date_trunc('second', k.now - d.oldest)
        FROM clock AS k
        CROSS JOIN LATERAL (
            -- By when the engine could act: a date that had passed when the case came is no delay of the engine.
            SELECT count(*) AS count, min(greatest(t.run_at, t.entered_at)) AS oldest
            FROM wf.case_steps AS t
            WHERE t.state = 'scheduled' AND t.run_at IS NOT NULL AND greatest(t.run_at, t.entered_at) <= k.now) AS d
        UNION ALL
        SELECT 7, 'messages',
               CASE WHEN q.oldest < k.now - interval '1 day' THEN 'problem'
                    WHEN q.oldest < k.now - interval '1 hour' THEN 'warning' ELSE 'ok' END,
               q.count::text, 'oldest has been waiting for a sender for ' || date_trunc('second', k.now - q.oldest)
        FROM clock AS k
        CROSS JOIN LATERAL (
            SELECT count(*) AS count, min(o.not_before) AS oldest
            FROM wf.outbox AS o
            JOIN wf.cases AS c ON c.case_id = o.case_id
            -- Held back with its case, or until its window opens again: not the sender's fault.
            WHERE o.state = 'queued' AND o.not_before <= k.now AND (o.not_after IS NULL OR o.not_after > k.now)
              AND c.state IN ('running', 'completed')) AS q
        UNION ALL
        SELECT 8, 'expired leases', CASE WHEN l.count > 0 THEN 'warning' ELSE 'ok' END, l.count::text,
               CASE WHEN l.count > 0
                    THEN 'senders have leased messages and not reported back; they will be leased again' END
        FROM clock AS k
        CROSS JOIN LATERAL (
            SELECT count(*) AS count FROM wf.outbox AS o WHERE o.state = 'leased' AND o.not_before <= k.now) AS l
        UNION ALL
        SELECT 9, 'incidents', CASE WHEN count(*) > 0 THEN 'problem' ELSE 'ok' END, count(*)::text,
               CASE WHEN count(*) > 0 THEN 'see wf.incidents' END
        FROM wf.incidents AS i
        WHERE i.what <> 'subject'
        UNION ALL
        SELECT 10, 'subjects', CASE WHEN count(*) > 0 THEN 'problem' ELSE 'ok' END, count(*)::text,
               'out of order: ' || string_agg(su.name, ', ' ORDER BY su.name)
        FROM wf.subjects AS su
        WHERE su.quarantined IS NOT NULL
        UNION ALL
        SELECT 11, 'triggers', CASE WHEN count(*) > 0 THEN 'problem' ELSE 'ok' END, count(*)::text,
               'bound tables whose triggers are gone or disabled, so that their changes are not noted: '
               || string_agg(b.relation::text, ', ' ORDER BY b.relation::text)
        FROM (SELECT su.relation, 'wf_' || su.subject_id || '_row' AS trigger FROM wf.subjects AS su
              UNION ALL
              SELECT wa.relation, 'wf_' || wa.subject_id || '_w' || wa.watch_id || '_row' FROM wf.watches AS wa) AS b
        WHERE NOT EXISTS (SELECT FROM pg_trigger AS g
                          WHERE g.tgrelid = b.relation AND g.tgname = b.trigger AND g.tgenabled IN ('O', 'A'))
        UNION ALL
        SELECT 12, 'calendars', CASE WHEN count(*) > 0 THEN 'warning' ELSE 'ok' END, count(*)::text,
               'end within a year; load more with wf.load_holidays: '
               || string_agg(e.calendar || ' (' || coalesce(e.last_year::text, 'no year') || ')', ', ' ORDER BY e.calendar)
        FROM (SELECT a.calendar, max(y.year) AS last_year
              FROM wf.calendars AS a
              LEFT JOIN wf.calendar_years AS y ON y.calendar = a.calendar
              GROUP BY a.calendar) AS e
        CROSS JOIN clock AS k
        WHERE coalesce(e.last_year, 0) < extract(year FROM k.now + interval '1 year')
        UNION ALL
        SELECT 13, 'contact', CASE WHEN count(*) > 0 THEN 'warning' ELSE 'ok' END, count(*)::text,
               'stopped, until wf.resume_contact: '
               || string_agg(CASE s.channel WHEN '*' THEN 'all channels' ELSE s.channel END || ' (' || s.reason || ')', ', ' ORDER BY s.channel)
        FROM wf.contact_stops AS s)
    SELECT c."check", c.status, c.value, c.detail FROM checks AS c ORDER BY c.position;

-- Every step run is a pair of events, start and complete (or what came instead), with the words of the XES standard for
-- lifecycle transitions. What happens to a case as a whole is an activity of its own.
CREATE VIEW wf.event_log AS
    SELECT e.case_id, e.activity, e."timestamp", e.resource, e.lifecycle, e.visit, e.outcome,
           w.name AS workflow, cs.key, c.account
    FROM (
        SELECT h.case_id,
               CASE WHEN h.event::text LIKE 'case\_%' THEN replace(h.event::text, '_', ' ')
                    ELSE coalesce(s.name, 'start') END AS activity,
               h.at AS "timestamp", h.actor AS resource,
               CASE h.event WHEN 'step_skipped' THEN
                                CASE WHEN h.outcome = 'late' OR h.detail ->> 'reason' = 'condition not met'
                                     THEN 'autoskip' ELSE 'manualskip' END
                            WHEN 'step_cancelled' THEN 'withdraw'
                            WHEN 'step_failed' THEN 'suspend'
                            WHEN 'step_retried' THEN 'resume'
                            WHEN 'rescheduled' THEN 'schedule'
                            WHEN 'message_suppressed' THEN 'unknown'
                            WHEN 'message_bounced' THEN 'unknown'
                            WHEN 'message_dead' THEN 'unknown'
                            WHEN 'task_claimed' THEN 'assign'
                            WHEN 'task_released' THEN 'reassign'
                            WHEN 'task_delegated' THEN 'reassign'
                            WHEN 'task_reassigned' THEN 'reassign'
                            WHEN 'task_escalated' THEN 'unknown'
                            WHEN 'assigned' THEN 'unknown'
                            ELSE 'complete' END AS lifecycle,
               h.visit, h.outcome
        FROM wf.history AS h
        LEFT JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
        UNION ALL
        SELECT h.case_id, s.name, h.entered_at, NULL, 'start', h.visit, NULL
        FROM wf.history AS h
        JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
        WHERE h.event IN ('step_done', 'step_cancelled') AND h.entered_at IS NOT NULL
        UNION ALL
        SELECT t.case_id, s.name, t.entered_at, NULL, 'start', t.visit, NULL
        FROM wf.case_steps AS t
        JOIN wf.cases AS c ON c.case_id = t.case_id
        JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
    ) AS e
    JOIN wf.cases AS c ON c.case_id = e.case_id
    LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.case_subjects AS cs ON cs.case_id = c.case_id AND cs.key = c.key;
