-- Installs the engine, binds the two ERP tables, and turns the two example workflows on. Variable: start.

CREATE EXTENSION workflow_engine;
SELECT wf.set_clock(date :'start' + time '06:00');

SELECT wf.set_participant('ar_specialist', title => 'Accounts receivable');
SELECT wf.set_participant('back_office', title => 'Back office');

-- An invoice: the table, its key, and the view with everything that a workflow may want to know.
SELECT wf.bind_subject('invoice', 'public.invoices', key => 'id', details => 'public.invoice_details',
    watch => 'state, due_date, amount',
    email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone',
    account => 'customer_id');
-- A payment changes nothing in the invoice's own row until it is paid in full, but it changes what is open.
SELECT wf.watch('invoice', 'public.payments', 'invoice_id');

SELECT wf.bind_subject('inspection_report', 'public.inspection_reports', key => 'report_no',
    details => 'public.inspection_report_details',
    email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone',
    account => 'customer_id');

\set document `cat examples/dunning.json`
SELECT * FROM wf.define(:'document'::text);
SELECT wf.publish('dunning');

\set document `cat examples/scope-10.json`
SELECT * FROM wf.define(:'document'::text);
SELECT wf.publish('scope-10');

-- Enabling enrols the rows that match already.
SELECT wf.enable('dunning');
SELECT wf.enable('scope-10');
