-- The progress line, in variable line. Variables: n, days.
SELECT format('%s  day %s of %s  %s cases open, %s ended, %s messages sent', wf.now()::date, lpad(:'n', 3), :'days',
              lpad(count(*) FILTER (WHERE state IN ('running', 'held'))::text, 4),
              lpad(count(*) FILTER (WHERE state IN ('completed', 'cancelled'))::text, 4),
              lpad((SELECT count(*) FROM wf.outbox WHERE state = 'sent')::text, 4)) AS line
FROM wf.cases
\gset
