-- How the tests look at a case. Functions, not views: their bodies are text, so that they tie nothing of the
-- extension down and DROP EXTENSION needs no CASCADE.
CREATE SCHEMA probe;
SET check_function_bodies = off;

CREATE FUNCTION probe.local(at timestamptz) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT to_char(at AT TIME ZONE 'Europe/Amsterdam', 'Dy YYYY-MM-DD HH24:MI') $$;

CREATE FUNCTION probe.cases() RETURNS TABLE (case_id bigint, workflow text, key text, state text, outcome text, reason text)
    LANGUAGE sql STABLE AS $$
    SELECT c.case_id, w.name, s.key, c.state::text, c.outcome, c.reason
    FROM wf.cases AS c JOIN wf.workflows AS w USING (workflow_id) LEFT JOIN wf.case_subjects AS s USING (case_id)
    ORDER BY w.name, length(s.key), s.key, c.case_id $$;

CREATE FUNCTION probe.open() RETURNS TABLE (case_id bigint, step text, visit int, state text, run text, due text, attempts int)
    LANGUAGE sql STABLE AS $$
    SELECT t.case_id, coalesce(s.name, 'start'), t.visit, t.state::text, probe.local(t.run_at), probe.local(t.due_at), t.attempts
    FROM wf.case_steps AS t JOIN wf.cases AS c USING (case_id)
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
    ORDER BY t.case_id, t.step_no, t.visit $$;

CREATE FUNCTION probe.tasks() RETURNS TABLE (task_id bigint, case_id bigint, step text, visit int, participant text, due text, outcomes text)
    LANGUAGE sql STABLE AS $$
    SELECT k.task_id, k.case_id, s.name, k.visit, k.participant, probe.local(k.due_at), array_to_string(k.outcomes, ',')
    FROM wf.tasks AS k JOIN wf.cases AS c USING (case_id)
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = k.step_no
    ORDER BY k.task_id $$;

CREATE FUNCTION probe.history() RETURNS TABLE (history_id bigint, case_id bigint, at text, step text, kind text, stage int, visit int,
                                               event text, outcome text, actor text, detail jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT h.history_id, h.case_id, probe.local(h.at), s.name, s.kind, s.stage, h.visit, h.event::text, h.outcome, h.actor, h.detail
    FROM wf.history AS h LEFT JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
    ORDER BY h.history_id $$;

CREATE FUNCTION probe.outbox() RETURNS TABLE (message_id bigint, case_id bigint, step text, visit int, channel text, state text,
                                              leaves text, reason text, attempts int, payload json, idempotency_key uuid)
    LANGUAGE sql STABLE AS $$
    SELECT o.message_id, o.case_id, s.name, o.visit, o.type, o.state::text, probe.local(o.not_before), o.reason, o.attempts,
           o.payload, o.idempotency_key
    FROM wf.outbox AS o JOIN wf.cases AS c USING (case_id)
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = o.step_no
    ORDER BY o.message_id $$;

-- Everything that the engine has written about cases, in one value: two equal values, and nothing was changed.
CREATE FUNCTION probe.state() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT md5(concat_ws('/',
        (SELECT string_agg(c::text, ',' ORDER BY c.case_id) FROM wf.cases AS c),
        (SELECT string_agg(t::text, ',' ORDER BY t.case_id, t.step_no, t.visit) FROM wf.case_steps AS t),
        (SELECT string_agg(k::text, ',' ORDER BY k.task_id) FROM wf.tasks AS k),
        (SELECT string_agg(o::text, ',' ORDER BY o.message_id) FROM wf.outbox AS o),
        (SELECT string_agg(n::text, ',' ORDER BY n.note_id) FROM wf.notes AS n),
        (SELECT string_agg(d::text, ',' ORDER BY d.hold_id) FROM wf.holds AS d),
        (SELECT string_agg(h::text, ',' ORDER BY h.history_id) FROM wf.history AS h))) $$;
