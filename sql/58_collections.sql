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
