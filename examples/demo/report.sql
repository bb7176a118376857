-- What came of it, as tables.
\pset footer off
\pset null ''

\echo
\echo What was enrolled
SELECT workflow, count(*) AS cases,
       count(*) FILTER (WHERE state = 'planned') AS planned,
       count(*) FILTER (WHERE state = 'running') AS running,
       count(*) FILTER (WHERE state = 'completed') AS completed,
       count(*) FILTER (WHERE state = 'cancelled') AS cancelled
FROM wf.case_progress
GROUP BY workflow
ORDER BY workflow;

\echo How the ended cases ended
SELECT workflow, state, coalesce(outcome, reason) AS how, count(*) AS cases,
       round(avg(extract(epoch FROM ended_at - started_at) / 86400)::numeric, 1) AS days_on_average
FROM wf.case_progress
WHERE ended_at IS NOT NULL
GROUP BY workflow, state, how
ORDER BY workflow, state DESC, cases DESC;

\echo Messages by channel and level
SELECT c.workflow, o.step, o.channel,
       count(*) FILTER (WHERE o.state = 'sent') AS sent,
       count(*) FILTER (WHERE o.state IN ('deferred', 'queued')) AS waiting,
       count(*) FILTER (WHERE o.state = 'suppressed') AS suppressed
FROM demo.messages AS o
JOIN wf.case_progress AS c USING (case_id)
GROUP BY c.workflow, o.step_no, o.step, o.channel
ORDER BY c.workflow, o.step_no;

\echo Reminders that stopped because the invoice was paid, by what had been sent until then
SELECT CASE sent WHEN 0 THEN 'nothing yet' ELSE 'up to ' || last_step END AS sent_before,
       count(*) AS cases, sum(i.amount) FILTER (WHERE i.currency = 'EUR') AS eur,
       sum(i.amount) FILTER (WHERE i.currency = 'GBP') AS gbp, sum(i.amount) FILTER (WHERE i.currency = 'USD') AS usd
FROM wf.invoice_cases AS c
JOIN public.invoices AS i ON i.id = c.id
CROSS JOIN LATERAL (
    SELECT count(*) AS sent, (array_agg(o.step ORDER BY o.step_no DESC))[1] AS last_step
    FROM demo.messages AS o
    WHERE o.case_id = c.case_id AND o.state = 'sent'
) AS reminders
WHERE c.reason = 'paid' AND c.workflow = 'dunning'
GROUP BY sent_before
ORDER BY min(sent), sent_before;

-- A customer with a phone, so that every channel shows, who never paid.
SELECT c.case_id AS dunning_case, i.number AS invoice, i.customer_name AS debtor, i.amount || ' ' || i.currency AS owed, i.due_date
FROM wf.invoice_cases AS c
JOIN public.invoice_details AS i ON i.id = c.id
WHERE c.outcome = 'handed over' AND i.phone IS NOT NULL AND i.country = 'Netherlands'
ORDER BY i.amount DESC, c.case_id
LIMIT 1
\gset
\if :{?dunning_case}
\echo Case :dunning_case from beginning to end: invoice :invoice of :debtor, :owed, due :due_date
SELECT demo.day_and_time(entered_at) AS entered, stage, step, kind, demo.day(due_at) AS due, demo.day_and_time(done_at) AS done, outcome
FROM wf.case_timeline
WHERE case_id = :dunning_case
ORDER BY entered_at, coalesce(done_at, due_at), stage;
\endif

-- A large invoice that somebody called about in vain until it went on as a claim.
SELECT k.started_by AS first_case, k.case_id AS second_case
FROM wf.case_links AS k JOIN wf.cases AS c USING (case_id)
ORDER BY c.ended_at IS NULL, c.ended_at - c.created_at DESC, k.case_id
LIMIT 1
\gset
\if :{?first_case}
\echo Case :first_case, which goes on as a claim: case :second_case
SELECT demo.day_and_time(entered_at) AS entered, case_id, stage, visit, step, kind, demo.day(due_at) AS due, demo.day_and_time(done_at) AS done, outcome
FROM wf.case_timeline
WHERE case_id IN (:first_case, :second_case)
ORDER BY entered_at, case_id, coalesce(done_at, due_at), visit, stage;
\endif

-- A report for which the question was asked twice.
SELECT c.case_id AS looping_case, r.report_no, r.policy_number, r.customer_name AS holder, r.end_date
FROM wf.inspection_report_cases AS c
JOIN public.inspection_report_details AS r USING (report_no)
WHERE c.outcome = 'report received'
  AND EXISTS (SELECT FROM wf.case_timeline AS t WHERE t.case_id = c.case_id AND t.step = 'a_report_in' AND t.visit = 2)
ORDER BY c.case_id
LIMIT 1
\gset
\if :{?looping_case}
\echo Case :looping_case, which loops once: report :report_no on policy :policy_number of :holder, ends :end_date
SELECT demo.day_and_time(entered_at) AS entered, stage, visit, step, kind, demo.day(due_at) AS due, demo.day_and_time(done_at) AS done, outcome
FROM wf.case_timeline
WHERE case_id = :looping_case
ORDER BY entered_at, coalesce(done_at, due_at), visit, stage;
\endif

\echo Tasks and questions that wait for somebody
SELECT participant, workflow, step, count(*) AS tasks, demo.day(min(due_at)) AS first_due,
       count(*) FILTER (WHERE due_at < wf.now()) AS overdue
FROM wf.worklist
GROUP BY participant, workflow, step
ORDER BY participant, workflow, min(due_at);

\echo What went wrong
SELECT workflow, step, message, count(*) AS cases
FROM wf.incidents
GROUP BY workflow, step, message
ORDER BY cases DESC;

\echo What is due next
SELECT demo.day_and_time(due_at) AS due, case_id, workflow, key, step, kind
FROM wf.upcoming
ORDER BY due_at, case_id
LIMIT 8;
