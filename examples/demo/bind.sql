-- Who works with the workflows, and what the ERP's tables are to the engine. Plain SQL.

SELECT wf.set_participant('ar_specialist', title => 'Accounts receivable');
SELECT wf.set_participant('back_office', title => 'Back office');
SELECT wf.set_participant('office_manager', title => 'Office manager');

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

-- A call: only one that is charged may have a case at all.
SELECT wf.bind_subject('call', 'public.calls', key => 'id', details => 'public.call_details',
    email => 'email', phone => 'phone', address => 'address', locale => 'locale', time_zone => 'time_zone',
    account => 'customer_id', eligible => 'chargeable');
