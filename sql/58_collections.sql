-- What is added to a claim, and what is agreed about it. The functions are in src/collections/.

-- Fees and interest. They belong to the row that the case is about, so that nothing is charged twice when one workflow
-- hands the row over to the next one. Numbers as the rules have worked them out: never rounded again.
CREATE TABLE wf.charges (
    charge_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_id    integer NOT NULL,
    key           text COLLATE "C" NOT NULL,
    case_id       bigint NOT NULL,
    step          text,                    -- the step's name; null: charged by hand
    visit         smallint,
    kind          text NOT NULL CHECK (kind IN ('fee', 'interest')),
    label         text NOT NULL,
    amount        numeric NOT NULL CHECK (amount > 0),
    currency      text,
    principal     numeric,                 -- interest: on what,
    rate          numeric,                 -- so many percent a year,
    charged_from  date,                    -- from this day
    charged_until date,                    -- up to the day before this one,
    days          integer,                 -- of which so many counted
    charged_at    timestamptz NOT NULL,
    charged_by    text NOT NULL,
    waived_at     timestamptz,
    waived_by     text,
    reason        text,                    -- why it was waived
    CHECK ((kind = 'interest') = (num_nonnulls(principal, rate, charged_from, charged_until, days) = 5))
);
CREATE INDEX charges_key ON wf.charges (key, subject_id);
-- No day of interest twice, not even by two workflows at the same moment: the second
-- one fails, and is tried again with what the first one has left.
CREATE UNIQUE INDEX charges_interest ON wf.charges (key, subject_id, coalesce(currency, ''), charged_from) WHERE kind = 'interest';
CREATE INDEX charges_case ON wf.charges (case_id);
COMMENT ON TABLE wf.charges IS 'Fees and interest that have been charged, also those that were waived since.';
COMMENT ON COLUMN wf.charges.charged_until IS 'Interest: the day after the last one that it was charged for; the next charge goes on there.';
COMMENT ON COLUMN wf.charges.days IS 'Interest: the days that counted: not those of a breathing space, nor of holds that stop charges.';
COMMENT ON COLUMN wf.charges.waived_at IS 'When it was taken back; its days stay charged, so that no later interest makes up for it.';

CREATE FUNCTION wf.charge(case_id bigint, amount numeric, label text, currency text DEFAULT NULL) RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'charge_by_hand_wrapper';
COMMENT ON FUNCTION wf.charge(bigint, numeric, text, text) IS
    'Charges a fee to the row of a case by hand; returns its number. In a breathing space: 55000. Unknown case: P0002; an amount that is not above zero: 22023.';

CREATE FUNCTION wf.waive_charge(charge_id bigint, reason text) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'waive_charge_wrapper';
COMMENT ON FUNCTION wf.waive_charge(bigint, text) IS
    'Takes a charge back. Its days stay charged, so that no later interest makes up for it. The same call again is no error. Unknown charge: P0002.';

-- Promises to pay. What they come to is told from what is open on the row, never from payments that are counted.
CREATE TABLE wf.promises (
    promise_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     bigint NOT NULL,
    subject_id  integer NOT NULL,
    key         text COLLATE "C" NOT NULL,
    amount      numeric NOT NULL CHECK (amount > 0),
    currency    text,
    due_on      date NOT NULL,
    grace       integer NOT NULL,
    open_before numeric NOT NULL,
    breaks_at   timestamptz NOT NULL,
    made_at     timestamptz NOT NULL,
    made_by     text NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'kept', 'partly_kept', 'broken', 'withdrawn')),
    paid        numeric,
    ended_at    timestamptz,
    ended_by    text
);
CREATE INDEX promises_case ON wf.promises (case_id);
CREATE INDEX promises_due ON wf.promises (breaks_at) WHERE state = 'open';
COMMENT ON TABLE wf.promises IS 'Promises to pay, open and over.';
COMMENT ON COLUMN wf.promises.grace IS 'Business days after the day on which it is due.';
COMMENT ON COLUMN wf.promises.open_before IS 'What was open when it was made.';
COMMENT ON COLUMN wf.promises.breaks_at IS 'The first moment in which it is broken: the day after its grace begins, where the customer is.';
COMMENT ON COLUMN wf.promises.state IS 'open; kept: paid in full and in time; partly_kept; broken: nothing was paid; withdrawn: taken back, or its case has ended.';
COMMENT ON COLUMN wf.promises.paid IS 'What had been paid when it was over.';

CREATE FUNCTION wf.promise(case_id bigint, amount numeric, due date, grace integer DEFAULT NULL) RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'promise_wrapper';
COMMENT ON FUNCTION wf.promise(bigint, numeric, date, integer) IS
    'Enters a promise to pay an amount by a day, with so many business days of grace (as the workflow says if left out), and puts the case on hold until it is kept or broken. Returns its number. Unknown case: P0002; a case that has ended, or a workflow that does not say what is open: 55000; a day that is past, or more than is open: 22023.';

CREATE FUNCTION wf.withdraw_promise(promise_id bigint) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'withdraw_promise_wrapper';
COMMENT ON FUNCTION wf.withdraw_promise(bigint) IS
    'Takes a promise back, and ends its hold. The same call again is no error. Unknown promise: P0002; one that is over: 55000.';

CREATE FUNCTION wf.agree_plan(case_id bigint, due date[], amounts numeric[])
    RETURNS SETOF wf.open_step
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'agree_plan_wrapper';
COMMENT ON FUNCTION wf.agree_plan(bigint, date[], numeric[]) IS
    'Enters a payment plan: the days of its instalments and their amounts. A case of a payment plan takes it in place of the one it has; any other ends, and goes on as the workflow that its own one names in transitions.commitment. Returns the open steps of the case that follows the plan. Unknown case: P0002; ended, or no such workflow: 55000; days out of order or past, amounts that are not above zero, or more than is open: 22023.';

-- Disputes. One without an amount is about the whole claim and keeps its case on hold.
CREATE TABLE wf.disputes (
    dispute_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id        bigint NOT NULL,
    subject_id     integer NOT NULL,
    key            text COLLATE "C" NOT NULL,
    amount         numeric CHECK (amount > 0),  -- null: the whole
    reason         text NOT NULL,
    opened_at      timestamptz NOT NULL,
    opened_by      text NOT NULL,
    looked_into_by bigint,
    settled_at     timestamptz,
    settled_by     text,
    outcome        text
);
CREATE INDEX disputes_case ON wf.disputes (case_id) WHERE settled_at IS NULL;
CREATE INDEX disputes_looked_into ON wf.disputes (looked_into_by) WHERE settled_at IS NULL AND looked_into_by IS NOT NULL;
COMMENT ON TABLE wf.disputes IS 'Disputes about what is owed, open and settled.';
COMMENT ON COLUMN wf.disputes.amount IS 'The part that is disputed; null: the whole claim, so that its case is on hold.';
COMMENT ON COLUMN wf.disputes.looked_into_by IS 'The case that looks into it; when that one ends the dispute is settled.';

CREATE FUNCTION wf.dispute(case_id bigint, reason text, amount numeric DEFAULT NULL) RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'dispute_wrapper';
COMMENT ON FUNCTION wf.dispute(bigint, text, numeric) IS
    'Enters a dispute; returns its number. About the whole claim it puts the case on hold (kind dispute) until it is settled, and starts the workflow that the case''s own one names in transitions.dispute. About an amount the case goes on, with what is disputed in its vars as disputed_amount. Unknown case: P0002; one that has ended: 55000.';

CREATE FUNCTION wf.settle_dispute(dispute_id bigint, outcome text) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'settle_dispute_wrapper';
COMMENT ON FUNCTION wf.settle_dispute(bigint, text) IS
    'Settles a dispute, with an outcome of one''s own words such as accepted or rejected: its hold ends and the case goes on where it was. A case that looks into it gets the signal "dispute settled", or is cancelled if it waits for none. The same call again is no error. Unknown dispute: P0002.';

-- Contact data that rows have had, as long as a workflow retries with new ones. The empty datum: the row was seen.
CREATE TABLE wf.contact_data (
    subject_id integer NOT NULL,
    key        text COLLATE "C" NOT NULL,
    datum      text COLLATE "C" NOT NULL,  -- email:…, phone:…, address:…, in the form in which those that reach the same are equal
    seen_at    timestamptz NOT NULL,
    PRIMARY KEY (key, subject_id, datum)
);
COMMENT ON TABLE wf.contact_data IS 'Contact data that rows have had, to tell which are new. Only of subjects with a workflow that retries.';
COMMENT ON COLUMN wf.contact_data.datum IS 'What it is and its text, without what makes no difference; empty: the row was seen.';

-- The instalments of the payment plans, in order.
CREATE VIEW wf.instalments AS
    SELECT c.case_id, w.name AS workflow, c.key, c.state::text AS case_state, i.number::integer AS instalment,
           (i.value ->> 'due')::date AS due_on, (i.value ->> 'amount')::numeric AS amount,
           (c.vars #>> '{plan,open}')::numeric AS open_before
    FROM wf.cases AS c
    JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    JOIN wf.versions AS v ON v.version_id = c.version_id
    CROSS JOIN LATERAL jsonb_array_elements(c.vars #> '{plan,instalments}') WITH ORDINALITY AS i (value, number)
    WHERE v.kind = 'payment_plan';
COMMENT ON VIEW wf.instalments IS 'The instalments of the payment plans that cases follow or have followed.';
COMMENT ON COLUMN wf.instalments.open_before IS 'What was open when the plan was agreed.';

-- What is charged to each row, a line for each currency.
CREATE VIEW wf.charge_totals AS
    SELECT s.name AS subject, c.key, c.currency,
           coalesce(sum(c.amount) FILTER (WHERE c.kind = 'fee' AND c.waived_at IS NULL), 0) AS fees,
           coalesce(sum(c.amount) FILTER (WHERE c.kind = 'interest' AND c.waived_at IS NULL), 0) AS interest,
           coalesce(sum(c.amount) FILTER (WHERE c.waived_at IS NULL), 0) AS total,
           coalesce(sum(c.amount) FILTER (WHERE c.waived_at IS NOT NULL), 0) AS waived,
           max(c.charged_at) AS last_charged_at
    FROM wf.charges AS c JOIN wf.subjects AS s ON s.subject_id = c.subject_id
    GROUP BY s.name, c.key, c.currency;
COMMENT ON VIEW wf.charge_totals IS 'What has been charged to each row of a subject, a line for each currency.';

COMMENT ON COLUMN wf.charge_totals.subject IS 'The subject''s name.';
COMMENT ON COLUMN wf.charge_totals.key IS 'The row''s key, as text.';
COMMENT ON COLUMN wf.charge_totals.currency IS 'The currency, if the charges say it.';
COMMENT ON COLUMN wf.charge_totals.fees IS 'Fees that stand.';
COMMENT ON COLUMN wf.charge_totals.interest IS 'Interest that stands.';
COMMENT ON COLUMN wf.charge_totals.total IS 'Both.';
COMMENT ON COLUMN wf.charge_totals.waived IS 'What was charged and taken back.';
COMMENT ON COLUMN wf.charge_totals.last_charged_at IS 'When something was last charged.';
COMMENT ON COLUMN wf.instalments.case_id IS 'The case that follows the plan.';
COMMENT ON COLUMN wf.instalments.workflow IS 'Its workflow.';
COMMENT ON COLUMN wf.instalments.key IS 'The key of the row that it is about, as text.';
COMMENT ON COLUMN wf.instalments.case_state IS 'The state of the case.';
COMMENT ON COLUMN wf.instalments.instalment IS 'Its number in the plan, from 1.';
COMMENT ON COLUMN wf.instalments.due_on IS 'The day on which it is due.';
COMMENT ON COLUMN wf.instalments.amount IS 'What is due then.';
