-- What the demo's staff do with their tasks and questions: not today's, but when, and with which answer.

-- The working days (Monday to Friday) that a step of a workflow stays on somebody's desk, and how it is settled.
CREATE FUNCTION demo.habit(workflow text, step text, visit integer, key text, OUT days integer, OUT outcome text, OUT data jsonb)
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT CASE step
                   WHEN 'review' THEN 4
                   WHEN 'follow_up' THEN 8 + demo.pick('follow up' || workflow || key, 12)
                   WHEN 'a_task' THEN 5 + demo.pick('task' || workflow || key, 10)
                   WHEN 'c_task' THEN 5 + demo.pick('task' || workflow || key, 10)
                   WHEN 'b_task' THEN 3
                   WHEN 'a_control' THEN 6
                   WHEN 'c_control' THEN 6
                   WHEN 'agreement' THEN 4
                   WHEN 'form_back' THEN 7
                   -- Some calls stay without an answer from the back office.
                   WHEN 'call_back' THEN demo.pick('button' || key, 9)
                   WHEN 'send_form' THEN demo.pick('form' || key, 9)
                   ELSE 1
               END,
               CASE workflow || '/' || step
                   WHEN 'dunning/review' THEN demo.choose('review' || workflow || key, '{to_agency,to_agency,written_off}')
                   WHEN 'scope-10/how_to_go_on' THEN demo.choose('answer' || workflow || key, '{A,A,A,B,C}')
                   -- Every other customer is late with the report; of those, one in four never sends it.
                   WHEN 'scope-10/a_report_in' THEN demo.choose('report' || visit || workflow || key, CASE visit WHEN 1 THEN '{yes,no}' ELSE '{yes,yes,yes,no}' END::text[])
                   WHEN 'scope-10/c_report_in' THEN demo.choose('report' || visit || workflow || key, CASE visit WHEN 1 THEN '{yes,no}' ELSE '{yes,yes,yes,no}' END::text[])
                   WHEN 'reminders/ring' THEN demo.choose('ring' || visit || key, '{promised,not_reached}')
                   WHEN 'claims/ring' THEN demo.choose('claim' || visit || key, '{agreed,agreed,refuses,not_reached}')
                   WHEN 'claims/agreement' THEN demo.choose('signed' || key, '{done,done,missing}')
               END,
               CASE WHEN step = 'agreement' AND demo.choose('signed' || key, '{done,done,missing}') = 'done' THEN jsonb_build_object('document', 'agreements/' || key || '.pdf') END;
    END;

-- Working days from one date to another.
CREATE FUNCTION demo.working_days(from_day date, to_day date) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT count(*) FROM generate_series(from_day + 1, to_day, interval '1 day') AS d WHERE extract(isodow FROM d) < 6);

-- Tasks that somebody settles now.
CREATE VIEW demo.settled_now AS
    SELECT w.task_id, w.case_id, w.step, w.kind, w.key, habit.outcome, habit.data
    FROM wf.worklist AS w
    CROSS JOIN LATERAL demo.habit(w.workflow, w.step, w.visit, w.key) AS habit
    WHERE extract(isodow FROM wf.now()) < 6
      -- One button for each call.
      AND (w.kind <> 'button' OR w.step = demo.choose('pushed' || w.key, '{call_back,send_form}'))
      AND demo.working_days(w.opened_at::date, wf.now()::date) >= habit.days;

-- How the report writes moments.
CREATE FUNCTION demo.day(at timestamptz) RETURNS text LANGUAGE sql STABLE RETURN to_char(at, 'Dy YYYY-MM-DD');
CREATE FUNCTION demo.day_and_time(at timestamptz) RETURNS text LANGUAGE sql STABLE RETURN to_char(at, 'Dy YYYY-MM-DD HH24:MI');

-- Messages with the names of their steps.
CREATE VIEW demo.messages AS
    SELECT o.message_id, o.case_id, s.step_no, s.name AS step, o.type AS channel, o.state
    FROM wf.outbox AS o
    JOIN wf.cases AS c USING (case_id)
    JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = o.step_no;
