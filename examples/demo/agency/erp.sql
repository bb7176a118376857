-- The second half of the demo: a collection agency, to which a creditor uploads invoices. Variable: start.
-- demo.pick gives chance that comes out the same each time.

CREATE TABLE public.invoices (
    id            bigint PRIMARY KEY,
    number        text NOT NULL,
    customer_name text NOT NULL,
    email         text,
    phone         text,
    address       text NOT NULL,
    locale        text NOT NULL,
    amount        numeric(12, 2) NOT NULL,
    open_amount   numeric(12, 2) NOT NULL,
    currency      text NOT NULL,
    state         text NOT NULL DEFAULT 'posted' CHECK (state IN ('draft', 'posted', 'paid', 'cancelled'))
);

CREATE SCHEMA demo;
CREATE FUNCTION demo.pick(key text, n integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN ('x' || substr(md5(key), 1, 7))::bit(28)::integer % n;

CREATE EXTENSION workflow_engine;
SELECT wf.set_clock(date :'start' + time '09:12');
SELECT wf.set_participant('clerk', title => 'Collector');
SELECT wf.bind_subject('invoice', 'public.invoices', key => 'id',
    email => 'email', phone => 'phone', address => 'address', locale => 'locale');

\set document `cat examples/collections/payment-plan.json`
SELECT * FROM wf.import(:'document');
\set document `cat examples/collections/investigation.json`
SELECT * FROM wf.import(:'document');
\set document `cat examples/collections/main-outreach.json`
SELECT * FROM wf.import(:'document');
\set document `cat examples/collections/breathing-space.json`
SELECT * FROM wf.import(:'document');
\set document `cat examples/collections/retry.json`
SELECT * FROM wf.import(:'document');
SELECT wf.publish(w.name), wf.enable(w.name)
FROM unnest('{payment plan,investigation,main outreach,breathing space,retry}'::text[]) WITH ORDINALITY AS w (name, n)
ORDER BY w.n;

-- The upload: 100 invoices on one morning. Some have no telephone number, and some an e-mail address that is not there.
INSERT INTO public.invoices (id, number, customer_name, email, phone, address, locale, amount, open_amount, currency)
SELECT n, 'U-' || lpad(n::text, 3, '0'), 'Customer ' || n,
       CASE WHEN demo.pick('email' || n, 8) > 0 THEN 'customer' || n || '@mail.example' END,
       CASE WHEN demo.pick('phone' || n, 4) > 0 THEN '+31 6 0000 02' || lpad((n % 100)::text, 2, '0') END,
       'Kerkstraat ' || n || E'\n1017 AB  Amsterdam', 'nl', amount, amount, 'EUR'
FROM generate_series(1, 100) AS n
CROSS JOIN LATERAL (SELECT round(60 + demo.pick('amount' || n, 90000) / 100.0, 2)) AS a (amount);
CALL wf.run_due();

-- What each customer is going to do, told from their number alone: on which day after the upload.
CREATE TABLE demo.intentions AS
SELECT id, CASE WHEN m < 25 THEN 'pays early' WHEN m < 40 THEN 'pays' WHEN m < 55 THEN 'promises' WHEN m < 70 THEN 'plan'
                WHEN m < 80 THEN 'disputes' WHEN m < 90 THEN 'moves' ELSE 'silent' END AS what,
       CASE WHEN m < 25 THEN 3 + d % 10 WHEN m < 40 THEN 20 + d % 30 WHEN m < 55 THEN 17 + d % 8 WHEN m < 70 THEN 8 + d % 20
            WHEN m < 80 THEN 18 + d % 5 WHEN m < 90 THEN 70 + d % 10 END AS on_day,
       d
FROM (SELECT id, demo.pick('manner' || id, 100) AS m, demo.pick('day' || id, 1000) AS d FROM public.invoices) AS i;

-- The case that a claim is in now.
CREATE VIEW demo.current AS
    SELECT DISTINCT ON (c.id) c.id, c.case_id, c.workflow, c.state
    FROM wf.invoice_cases AS c
    WHERE c.ended_at IS NULL AND c.workflow <> 'investigation'
    ORDER BY c.id, c.case_id DESC;
