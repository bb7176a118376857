-- What came of the upload, as tables.
\pset footer off
\pset null ''

\echo
\echo The agency: cases by the state of the claim that they stand for
SELECT v.kind, p.workflow, count(*) AS cases,
       count(*) FILTER (WHERE p.state IN ('running', 'held')) AS open,
       count(*) FILTER (WHERE p.state = 'completed') AS completed,
       count(*) FILTER (WHERE p.state = 'cancelled') AS cancelled
FROM wf.case_progress AS p
JOIN wf.cases AS c USING (case_id)
JOIN wf.versions AS v USING (version_id)
GROUP BY v.kind, p.workflow
ORDER BY min(p.case_id);

\echo How its cases ended
SELECT workflow, coalesce(outcome, reason) AS how, count(*) AS cases
FROM wf.case_progress
WHERE ended_at IS NOT NULL
GROUP BY workflow, how
ORDER BY workflow, cases DESC, how;

\echo Promises, and what became of them
SELECT state, count(*) AS promises, sum(amount) AS amount FROM wf.promises GROUP BY state ORDER BY state;

\echo What was charged, none of it in a breathing space
SELECT kind, count(*) AS charges, sum(amount) AS amount, currency FROM wf.charges GROUP BY kind, currency ORDER BY kind;

-- A claim that has been in most states.
SELECT key AS claim_key
FROM wf.case_progress GROUP BY key ORDER BY count(*) DESC, key::bigint LIMIT 1
\gset
\echo Claim :claim_key and the states that it has been in
SELECT p.case_id, p.workflow, to_char(p.started_at, 'YYYY-MM-DD') AS began, to_char(p.ended_at, 'YYYY-MM-DD') AS ended,
       p.state, coalesce(p.outcome, p.reason) AS how, l.started_by AS after_case
FROM wf.case_progress AS p LEFT JOIN wf.case_links AS l USING (case_id)
WHERE p.key = :'claim_key'
ORDER BY p.case_id;

\echo What went wrong
SELECT workflow, step, message, count(*) AS cases
FROM wf.incidents
GROUP BY workflow, step, message
ORDER BY cases DESC;
