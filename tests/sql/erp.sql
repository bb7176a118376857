-- A small ERP: what the two example workflows are bound to. The ERP knows nothing of the extension.
CREATE TABLE public.customer (
    id        integer PRIMARY KEY,
    name      text NOT NULL,
    email     text,
    phone     text,
    address   text,
    locale    text,
    time_zone text
);
CREATE TABLE public.invoice (
    id          bigint PRIMARY KEY,
    number      text NOT NULL,
    customer_id integer NOT NULL REFERENCES public.customer,
    state       text NOT NULL,
    due_date    date,
    open_amount numeric,
    currency    text NOT NULL DEFAULT 'EUR'
);
CREATE VIEW public.invoice_details AS
    SELECT i.id, i.number, i.state, i.due_date, i.open_amount, i.currency, i.customer_id,
           c.name AS customer_name, c.email, c.phone, c.address, c.locale, c.time_zone
    FROM public.invoice AS i JOIN public.customer AS c ON c.id = i.customer_id;
CREATE TABLE public.payment (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invoice_id bigint NOT NULL REFERENCES public.invoice,
    amount     numeric NOT NULL
);
CREATE TABLE public.policy (
    number      text PRIMARY KEY,
    status      text NOT NULL,
    customer_id integer NOT NULL REFERENCES public.customer
);
CREATE TABLE public.inspection_report (
    id            uuid PRIMARY KEY,
    policy_number text NOT NULL REFERENCES public.policy,
    scope         integer NOT NULL,
    end_date      date
);
CREATE VIEW public.inspection_report_details AS
    SELECT r.id, r.policy_number, r.scope, r.end_date, p.status AS policy_status,
           c.name AS customer_name, c.email, c.phone, c.address, c.locale, c.time_zone
    FROM public.inspection_report AS r
    JOIN public.policy AS p ON p.number = r.policy_number
    JOIN public.customer AS c ON c.id = p.customer_id;

INSERT INTO public.customer VALUES
    (1, 'Jansen BV', 'jansen@example.com', '+31201234567', 'Damrak 1, Amsterdam', 'nl', 'Europe/Amsterdam'),
    (2, 'Smith Ltd', 'smith@example.com', '+12125550100', '5 Wall Street, New York', 'en', 'America/New_York'),
    (3, 'Silent & Co', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.policy VALUES ('P-1', 'active', 1), ('P-2', 'active', 2), ('P-3', 'ended', 1);
