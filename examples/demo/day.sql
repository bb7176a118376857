-- One day: the ERP's own work, the engine's, the sender's and the people's. Variable: day.

-- 06:00  The ERP posts the day's invoices. Ordinary SQL: the ERP does not know that anybody watches.
SELECT wf.set_clock(date :'day' + time '06:00');
UPDATE public.invoices SET state = 'posted' WHERE issued_on = :'day' AND state = 'draft';
CALL wf.run_due();

-- 08:00  The contact window opens; the sender takes what may leave.
SELECT wf.set_clock(date :'day' + time '08:00');
CALL wf.run_due();
\ir send.sql

-- 10:00  Customers call. The call centre's script starts a follow-up in the call's own transaction; calls that cost the
-- customer nothing get none. On Mondays somebody takes large old invoices in hand.
SELECT wf.set_clock(date :'day' + time '10:00');
BEGIN;
INSERT INTO public.calls (customer_id, called_at, chargeable, reason)
SELECT 1 + demo.pick('caller' || :'day' || n, 200), wf.now(), demo.pick('charged' || :'day' || n, 3) > 0,
       demo.choose('reason' || :'day' || n, '{a question about an invoice,a change of address,a claim,an inspection report}')
FROM generate_series(1, 2) AS n
WHERE extract(isodow FROM date :'day') < 6;
SELECT wf.start('call-follow-up', id) FROM public.calls WHERE called_at = wf.now() AND chargeable ORDER BY id;
COMMIT;
SELECT wf.start('claims', id)
FROM (SELECT i.id FROM public.invoice_details AS i
      WHERE extract(isodow FROM date :'day') = 1 AND i.state = 'posted' AND i.open_amount > 2000 AND i.due_date < date :'day' - 40
        AND NOT EXISTS (SELECT FROM wf.invoice_cases AS c WHERE c.id = i.id AND c.workflow IN ('claims', 'reminders'))
      ORDER BY i.due_date, i.id LIMIT 2) AS large;
CALL wf.run_due();

-- 11:00  Payments come in, an invoice is withdrawn, a policy ends.
SELECT wf.set_clock(date :'day' + time '11:00');
BEGIN;
INSERT INTO public.payments (invoice_id, paid_on, amount)
SELECT p.invoice_id, p.pay_on, round(i.amount * p.part, 2)
FROM demo.payment_plan AS p JOIN public.invoices AS i ON i.id = p.invoice_id
WHERE p.pay_on = :'day'
ORDER BY p.invoice_id;
UPDATE public.invoices AS i SET state = 'paid'
FROM public.invoice_details AS d
WHERE d.id = i.id AND i.state = 'posted' AND d.open_amount <= 0;
COMMIT;
UPDATE public.invoices AS i SET state = 'cancelled'
FROM demo.credit_plan AS c
WHERE c.invoice_id = i.id AND c.cancel_on = :'day' AND i.state = 'posted';
BEGIN;
UPDATE public.policies AS p SET status = 'ended' FROM demo.policy_plan AS e WHERE e.policy_number = p.number AND e.end_on = :'day';
UPDATE public.inspection_reports AS r SET changed_on = :'day' FROM demo.policy_plan AS e WHERE e.policy_number = r.policy_number AND e.end_on = :'day';
COMMIT;
CALL wf.run_due();

-- 14:00  People settle tasks, each in a transaction of its own. Who enters a new date also files the new report.
SELECT wf.set_clock(date :'day' + time '14:00');
SELECT CASE WHEN s.step IN ('a_enter_date', 'c_enter_date') THEN format(
           'INSERT INTO public.inspection_reports (policy_number, scope, inspected_on, end_date, changed_on) '
           'SELECT policy_number, scope, %1$L, date %1$L + interval ''3 years'', %1$L '
           'FROM public.inspection_reports WHERE report_no = %2$L', :'day', s.key) END,
       CASE s.kind WHEN 'button' THEN format('SELECT * FROM wf.push_button(%s, %L)', s.case_id, s.step)
                   ELSE format('SELECT * FROM wf.complete(%s, %L, %L)', s.task_id, s.outcome, s.data) END
FROM demo.settled_now AS s
ORDER BY s.task_id
\gexec
CALL wf.run_due();

-- 16:00  Now the window is open in New York too.
SELECT wf.set_clock(date :'day' + time '16:00');
CALL wf.run_due();
\ir send.sql
