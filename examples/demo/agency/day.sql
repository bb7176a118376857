-- One day at the agency. Variables: day, n (days since the upload).

SELECT wf.set_clock(date :'day' + time '08:00');
CALL wf.run_due();
\ir ../send.sql

-- Customers pay, promise, agree on a plan, dispute, or have new contact data: each in a transaction of its own.
SELECT wf.set_clock(date :'day' + time '11:00');
SELECT CASE i.what
           WHEN 'promises' THEN format('SELECT wf.promise(%s, %s, %L, 2)', c.case_id, round(v.open_amount / 2, 2), date :'day' + 7)
           WHEN 'plan' THEN format('SELECT wf.agree_plan(%s, ARRAY[%L, %L, %L]::date[], ARRAY[%s, %s, %s]::numeric[])', c.case_id,
               date :'day' + 14, date :'day' + 28, date :'day' + 42,
               round(v.open_amount / 3, 2), round(v.open_amount / 3, 2), v.open_amount - 2 * round(v.open_amount / 3, 2))
           WHEN 'disputes' THEN format('SELECT wf.dispute(%s, %L)', c.case_id, 'the goods have not come')
       END
FROM demo.intentions AS i JOIN demo.current AS c USING (id) JOIN public.invoices AS v USING (id)
WHERE i.on_day = :n AND i.what IN ('promises', 'plan', 'disputes') AND c.state = 'running'
ORDER BY i.id
\gexec
-- Two in three promises are kept, and nine in ten instalments.
UPDATE public.invoices AS v SET open_amount = v.open_amount - p.amount
FROM wf.promises AS p WHERE p.key = v.id::text AND p.due_on = :'day' AND demo.pick('kept' || v.id, 3) > 0;
UPDATE public.invoices AS v SET open_amount = v.open_amount - s.amount
FROM wf.instalments AS s WHERE s.key = v.id::text AND s.due_on = :'day' AND demo.pick('instalment' || v.id || s.instalment, 10) > 0;
UPDATE public.invoices AS v SET open_amount = 0
FROM demo.intentions AS i WHERE i.id = v.id AND i.on_day = :n AND i.what IN ('pays', 'pays early');
UPDATE public.invoices SET state = 'paid' WHERE state = 'posted' AND open_amount <= 0;
UPDATE public.invoices AS v SET phone = '+31 6 0000 09' || lpad((v.id % 100)::text, 2, '0')
FROM demo.intentions AS i WHERE i.id = v.id AND i.on_day = :n AND i.what = 'moves';
CALL wf.run_due();
\ir ../send.sql

-- The collectors' tasks, after two days on the desk.
SELECT wf.set_clock(date :'day' + time '14:00');
SELECT format('SELECT * FROM wf.complete(%s, %L)', w.task_id,
              CASE w.step WHEN 'call' THEN CASE WHEN i.what IN ('moves', 'silent') AND w.workflow <> 'retry' THEN 'nobody there' ELSE 'reached' END
                          WHEN 'look into it' THEN CASE demo.pick('dispute' || w.key, 2) WHEN 0 THEN 'accepted' ELSE 'rejected' END END)
FROM wf.worklist AS w JOIN demo.intentions AS i ON i.id::text = w.key
WHERE extract(isodow FROM wf.now()) < 6 AND w.opened_at < wf.now() - interval '2 days' AND NOT w.held
ORDER BY w.task_id
\gexec
CALL wf.run_due();
