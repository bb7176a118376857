-- The demo's ERP: an insurer's office with invoices to collect and inspection reports that run out.
-- Ordinary tables and views; nothing in this file knows of workflow_engine.

CREATE TABLE public.customers (
    id        integer PRIMARY KEY,
    name      text NOT NULL,
    email     text,
    phone     text,
    street    text NOT NULL,
    postcode  text NOT NULL,
    city      text NOT NULL,
    country   text NOT NULL,
    locale    text NOT NULL,
    time_zone text NOT NULL
);

CREATE TABLE public.invoices (
    id          bigint PRIMARY KEY,
    number      text NOT NULL UNIQUE,
    customer_id integer NOT NULL REFERENCES public.customers,
    issued_on   date NOT NULL,
    due_date    date NOT NULL,
    amount      numeric(12, 2) NOT NULL,
    currency    text NOT NULL,
    state       text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'posted', 'paid', 'cancelled')),
    reminder_status text                     -- how far collecting it has come, in a word
);
CREATE INDEX ON public.invoices (customer_id);

CREATE TABLE public.payments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id bigint NOT NULL REFERENCES public.invoices,
    paid_on    date NOT NULL,
    amount     numeric(12, 2) NOT NULL
);
CREATE INDEX ON public.payments (invoice_id);

CREATE TABLE public.policies (
    number      text PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES public.customers,
    building    text NOT NULL,
    status      text NOT NULL CHECK (status IN ('active', 'ended'))
);

CREATE SEQUENCE public.report_numbers;
CREATE TABLE public.inspection_reports (
    report_no     text PRIMARY KEY DEFAULT 'R' || lpad(nextval('public.report_numbers')::text, 5, '0'),
    policy_number text NOT NULL REFERENCES public.policies,
    scope         smallint NOT NULL,
    inspected_on  date NOT NULL,
    end_date      date NOT NULL,
    changed_on    date NOT NULL
);
CREATE INDEX ON public.inspection_reports (policy_number);

-- Calls that customers make to the call centre. Some cost them nothing; those are not followed up.
CREATE TABLE public.calls (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES public.customers,
    called_at   timestamptz NOT NULL,
    chargeable  boolean NOT NULL,
    reason      text NOT NULL
);

-- What the workflows see of an invoice.
CREATE VIEW public.invoice_details AS
    SELECT i.id, i.number, i.state, i.reminder_status, i.issued_on, i.due_date, i.amount, i.currency, i.customer_id,
           i.amount - coalesce((SELECT sum(p.amount) FROM public.payments AS p WHERE p.invoice_id = i.id), 0) AS open_amount,
           c.name AS customer_name, c.email, c.phone, c.country, c.locale, c.time_zone,
           concat_ws(E'\n', c.name, c.street, c.postcode || '  ' || c.city, c.country) AS address
    FROM public.invoices AS i
    JOIN public.customers AS c ON c.id = i.customer_id;

-- What the workflows see of an inspection report.
CREATE VIEW public.inspection_report_details AS
    SELECT r.report_no, r.scope, r.inspected_on, r.end_date,
           p.number AS policy_number, p.status AS policy_status, p.building, p.customer_id,
           c.name AS customer_name, c.email, c.phone, c.country, c.locale, c.time_zone,
           concat_ws(E'\n', c.name, c.street, c.postcode || '  ' || c.city, c.country) AS address
    FROM public.inspection_reports AS r
    JOIN public.policies AS p ON p.number = r.policy_number
    JOIN public.customers AS c ON c.id = p.customer_id;

-- What the workflows see of a call.
CREATE VIEW public.call_details AS
    SELECT k.id, k.called_at, k.chargeable, k.reason, k.customer_id,
           c.name AS customer_name, c.email, c.phone, c.country, c.locale, c.time_zone,
           concat_ws(E'\n', c.name, c.street, c.postcode || '  ' || c.city, c.country) AS address
    FROM public.calls AS k
    JOIN public.customers AS c ON c.id = k.customer_id;
