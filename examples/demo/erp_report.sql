-- What the ERP holds before the first day.
\pset footer off
\echo
SELECT count(*) AS customers, count(*) FILTER (WHERE email IS NULL) AS without_email,
       count(DISTINCT country) AS countries, (SELECT count(*) FROM public.invoices) AS invoices,
       (SELECT count(*) FROM public.payments) AS payments, (SELECT count(*) FROM public.policies) AS policies,
       (SELECT count(*) FROM public.inspection_reports) AS inspection_reports
FROM public.customers;
