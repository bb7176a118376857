-- Fills the demo's ERP. Everything comes from demo.pick, so each run gives the same rows. Variable: start.
-- Schema demo holds what customers and staff are going to do; neither the ERP nor the engine knows of it.

CREATE SCHEMA demo;

-- A number from 0 to n - 1 that depends on the key alone: chance that comes out the same each time.
CREATE FUNCTION demo.pick(key text, n integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN ('x' || substr(md5(key), 1, 7))::bit(28)::integer % n;

CREATE FUNCTION demo.choose(key text, choices text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN choices[1 + demo.pick(key, cardinality(choices))];

CREATE TEMPORARY TABLE places (
    country text, share integer, locale text, time_zone text, currency text, phone text,
    first_names text[], last_names text[], trades text[], streets text[], cities text[], postcodes text[]
);
INSERT INTO places VALUES
    ('Netherlands', 58, 'nl', 'Europe/Amsterdam', 'EUR', '+31 6 0000 01',
     '{Anna,Bram,Daan,Eva,Femke,Hans,Ingrid,Joris,Lotte,Maarten,Niels,Sanne,Willem,Yara}',
     '{Bakker,de Boer,de Vries,Dijkstra,Hendriks,Jansen,Kuipers,Mulder,Peters,Smit,van den Berg,van Dijk,Visser}',
     '{Bouw BV,Installaties BV,Logistiek BV,Vastgoed BV,Bakkerij,Hoveniers,Techniek BV}',
     '{Dorpsstraat,Kerkstraat,Stationsweg,Molenlaan,Havenkade,Singel}',
     '{Amsterdam,Utrecht,Groningen,Eindhoven,Zwolle,Leiden,Haarlem}', '{1017 AB,3511 CD,9712 EF,5611 GH,8011 JK,2312 LM,2011 NP}'),
    ('Belgium', 14, 'nl-BE', 'Europe/Brussels', 'EUR', '+32 470 00 01 ',
     '{Els,Jeroen,Katrien,Pieter,Sofie,Tom}', '{Claes,De Smet,Maes,Mertens,Peeters,Wouters}',
     '{Bouwwerken,Interieur,Transport,Drukkerij}', '{Nieuwstraat,Kapellestraat,Veldstraat}',
     '{Antwerpen,Gent,Leuven}', '{2000,9000,3000}'),
    ('Germany', 10, 'de', 'Europe/Berlin', 'EUR', '+49 171 00001',
     '{Claudia,Jürgen,Katrin,Matthias,Sabine,Uwe}', '{Fischer,Hoffmann,Köhler,Müller,Schäfer,Weiß}',
     '{Elektrotechnik GmbH,Möbel GmbH,Spedition GmbH}', '{Bahnhofstraße,Lindenweg,Hauptstraße}',
     '{Münster,Köln,Bremen}', '{48143,50667,28195}'),
    ('France', 5, 'fr', 'Europe/Paris', 'EUR', '+33 6 00 00 01 ',
     '{Benoît,Chloé,Émilie,Jérôme}', '{Dubois,Lefèvre,Moreau,Rousseau}', '{Bâtiment SARL,Traiteur,Menuiserie}',
     '{Rue de la Gare,Rue Nationale}', '{Lille,Nantes}', '{59000,44000}'),
    ('United Kingdom', 8, 'en-GB', 'Europe/London', 'GBP', '+44 7700 9000',
     '{Alice,George,Harriet,Oliver,Sophie}', '{Clarke,Hughes,Patel,Thompson,Walker}', '{Joinery Ltd,Foods Ltd,Estates Ltd}',
     '{High Street,Station Road,Mill Lane}', '{Leeds,Bristol,York}', '{LS1 4AP,BS1 5TR,YO1 7HH}'),
    ('United States', 5, 'en', 'America/New_York', 'USD', '+1 212 555 01',
     '{Carlos,Emily,James,Maria}', '{Johnson,Nguyen,Ramirez,Williams}', '{Supply Inc.,Properties LLC}',
     '{Main Street,Maple Avenue}', '{New York,Boston}', '{10003,02108}');

-- 200 customers. A few have no e-mail address, and a quarter no mobile phone.
WITH ranged AS (
    SELECT p.*, sum(share) OVER (ORDER BY share DESC, country) AS upto FROM places AS p
), chosen AS (
    SELECT n, p.*,
           demo.choose('first' || n, first_names) AS first_name,
           demo.choose('last' || n, last_names) AS last_name,
           demo.pick('city' || n, cardinality(cities)) AS place,
           demo.pick('company' || n, 10) < 6 AS is_company
    FROM generate_series(1, 200) AS n
    CROSS JOIN LATERAL (SELECT * FROM ranged WHERE upto > demo.pick('country' || n, 100) ORDER BY upto LIMIT 1) AS p
), named AS (
    SELECT *, CASE WHEN is_company THEN last_name || ' ' || demo.choose('trade' || n, trades)
                   ELSE first_name || ' ' || last_name END AS name
    FROM chosen
)
INSERT INTO public.customers (id, name, email, phone, street, postcode, city, country, locale, time_zone)
SELECT n, name,
       CASE WHEN demo.pick('email' || n, 100) >= 3 THEN
           CASE WHEN is_company THEN demo.choose('mailbox' || n, '{invoices,office,info}') || '@' ELSE '' END
           || translate(lower(name), 'éèëôüöäÉß .', 'eeeouoaes-')
           || CASE WHEN is_company THEN '.example' ELSE '@mail.example' END
       END,
       CASE WHEN demo.pick('phone' || n, 4) > 0 THEN phone || lpad(demo.pick('digits' || n, 100)::text, 2, '0') END,
       demo.choose('street' || n, streets) || ' ' || 1 + demo.pick('house' || n, 180),
       postcodes[1 + place], cities[1 + place], country, locale, time_zone
FROM named
ORDER BY n;

-- 1,000 invoices, issued from two months before the start to nearly four after it. All are drafts until their day.
WITH dated AS (
    SELECT n, 1 + demo.pick('buyer' || n, 200) AS customer_id,
           date :'start' - 63 + demo.pick('issued' || n, 173) AS some_day,
           demo.pick('amount' || n, 10000) / 10000.0 AS size
    FROM generate_series(1, 1000) AS n
), issued AS (
    SELECT *, some_day - greatest(extract(isodow FROM some_day)::integer - 5, 0) AS issued_on FROM dated
)
INSERT INTO public.invoices (id, number, customer_id, issued_on, due_date, amount, currency)
SELECT row_number() OVER in_order,
       to_char(issued_on, 'YYYY-')
       || lpad((row_number() OVER (PARTITION BY extract(year FROM issued_on) ORDER BY issued_on, n))::text, 4, '0'),
       customer_id, issued_on,
       issued_on + CASE WHEN demo.pick('terms' || customer_id, 3) = 0 THEN 14 ELSE 30 END,
       round(40 + 5900 * size * size * size, 2), p.currency
FROM issued
JOIN public.customers AS c ON c.id = customer_id
JOIN places AS p USING (country)
WINDOW in_order AS (ORDER BY issued_on, n);

-- How each invoice is going to be paid, if at all.
CREATE TABLE demo.payment_plan (
    invoice_id bigint NOT NULL,
    pay_on     date NOT NULL,
    part       numeric NOT NULL      -- of the amount
);
CREATE INDEX ON demo.payment_plan (pay_on);
INSERT INTO demo.payment_plan
SELECT i.id, greatest(i.due_date + days, i.issued_on + 2), part
FROM (SELECT *, demo.pick('manner' || id, 1000) AS manner, demo.pick('days' || id, 1000) AS spread FROM public.invoices) AS i
CROSS JOIN LATERAL (
    SELECT CASE WHEN manner < 540 THEN spread % 15 - 6         -- about on time
                WHEN manner < 700 THEN spread % 20 + 9         -- late, before the first reminder
                WHEN manner < 820 THEN spread % 14 + 32        -- after the first
                WHEN manner < 890 THEN spread % 14 + 62        -- after the second
           END, 1.0
    UNION ALL SELECT 35, 0.5 WHERE manner BETWEEN 890 AND 944  -- in two parts, and some never pay the second one
    UNION ALL SELECT 66, 0.5 WHERE manner BETWEEN 890 AND 929
) AS plan (days, part)
WHERE days IS NOT NULL;

-- Invoices that are going to be withdrawn.
CREATE TABLE demo.credit_plan AS
SELECT id AS invoice_id, due_date + 10 + demo.pick('credit' || id, 40) AS cancel_on
FROM public.invoices
WHERE demo.pick('manner' || id, 1000) BETWEEN 945 AND 964;

-- 130 building policies, each with one report; most of them Scope 10, the electrical inspection.
INSERT INTO public.policies (number, customer_id, building, status)
SELECT 'BP-' || 2018 + demo.pick('since' || n, 7) || '-' || lpad(n::text, 4, '0'), c.id,
       demo.choose('building' || n, '{Workshop,Warehouse,Office,Shop,Farmhouse,Apartment block}') || ', ' || c.city,
       CASE WHEN demo.pick('ended' || n, 16) = 0 THEN 'ended' ELSE 'active' END
FROM generate_series(1, 130) AS n
JOIN public.customers AS c ON c.id = 1 + demo.pick('holder' || n, 200);

INSERT INTO public.inspection_reports (policy_number, scope, inspected_on, end_date, changed_on)
SELECT number, scope, ends - interval '3 years', ends, ends - interval '3 years'
FROM (
    SELECT number,
           CASE WHEN demo.pick('scope' || number, 10) < 8 THEN 10 ELSE 12 END AS scope,
           CASE WHEN demo.pick('term' || number, 10) < 7
                THEN date :'start' + 335 + demo.pick('end' || number, 115)   -- starts within the demo
                ELSE date :'start' + 250 + demo.pick('end' || number, 700)   -- late, or only planned
           END AS ends
    FROM public.policies
) AS p
ORDER BY ends, number;

-- Policies that are going to end.
CREATE TABLE demo.policy_plan AS
SELECT number AS policy_number, date :'start' + 20 + demo.pick('end of' || number, 90) AS end_on
FROM public.policies
WHERE status = 'active' AND demo.pick('leaves' || number, 18) = 0;

-- What had happened before the first day.
UPDATE public.invoices SET state = 'posted' WHERE issued_on < :'start';
INSERT INTO public.payments (invoice_id, paid_on, amount)
SELECT p.invoice_id, p.pay_on, round(i.amount * p.part, 2)
FROM demo.payment_plan AS p JOIN public.invoices AS i ON i.id = p.invoice_id
WHERE p.pay_on < :'start'
ORDER BY p.pay_on, p.invoice_id;
UPDATE public.invoices SET state = 'paid' FROM public.invoice_details AS d WHERE d.id = invoices.id AND d.open_amount <= 0;

ANALYZE;
