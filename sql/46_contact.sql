-- Contact: policies, what persons chose, whom was contacted when, and the switch that stops everything. The functions
-- are in src/contact/. A person is an account; of a subject without accounts, the row itself (invoice:17).

CREATE TABLE wf.contact_policies (
    policy        text PRIMARY KEY CHECK (policy <> ''),
    definition    json NOT NULL,
    lookback_days integer NOT NULL,        -- how far back its limits look
    set_at        timestamptz NOT NULL,
    set_by        text NOT NULL
);
COMMENT ON TABLE wf.contact_policies IS 'Contact policies, which workflows name: when, how often and on which channels persons are contacted.';

-- One row for a person, or an address, and a channel: what holds now. What was said before stands in wf.contact_log.
CREATE TABLE wf.contact_choices (
    party   text COLLATE "C" NOT NULL,     -- an account, <subject>:<key>, or to:<address>
    channel text COLLATE "C" NOT NULL,     -- * for all
    choice  text NOT NULL CHECK (choice IN ('opt_out', 'opt_in', 'bounced')),
    at      timestamptz NOT NULL,
    set_by  text NOT NULL,
    reason  text,
    PRIMARY KEY (party, channel)
);
-- Whether there are any at all, which every lease asks.
CREATE INDEX contact_choices_opt_out ON wf.contact_choices (party) WHERE choice = 'opt_out';
COMMENT ON TABLE wf.contact_choices IS 'Who has opted out of a channel or into it, and which addresses bounced.';
COMMENT ON COLUMN wf.contact_choices.party IS 'Whose choice: an account, subject:key for rows without one, or to: and an address.';
COMMENT ON COLUMN wf.contact_choices.channel IS 'The channel; * for all.';

CREATE TABLE wf.contact_log (
    contact_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    person     text COLLATE "C" NOT NULL,
    subject    text,
    key        text COLLATE "C",
    channel    text COLLATE "C" NOT NULL,
    event      text NOT NULL CHECK (event IN ('attempt', 'conversation', 'opt_out', 'opt_in', 'bounced')),
    address    text,
    case_id    bigint,
    step       text,
    message_id bigint,
    actor      text NOT NULL,
    detail     text
);
CREATE INDEX contact_log_person ON wf.contact_log (person, at);
CREATE UNIQUE INDEX contact_log_message ON wf.contact_log (message_id) WHERE event = 'attempt' AND message_id IS NOT NULL;
COMMENT ON TABLE wf.contact_log IS 'Contacts that count for the limits of contact policies, and what persons said about contact.';
COMMENT ON COLUMN wf.contact_log.event IS 'attempt: a message was ready to be handed out, or somebody was called; conversation: and talked to; opt_out, opt_in, bounced.';

CREATE TABLE wf.contact_stops (
    channel    text COLLATE "C" PRIMARY KEY,
    reason     text NOT NULL,
    stopped_at timestamptz NOT NULL,
    stopped_by text NOT NULL
);
COMMENT ON TABLE wf.contact_stops IS 'Channels on which nothing is handed to senders at present; * for all.';

-- Quiet holds, which a lease looks for.
CREATE INDEX holds_quiet ON wf.holds (case_id) WHERE released_at IS NULL AND 'communication' = ANY (blocks);

-- Telephone numbers are compared by their digits, everything else without regard to case.
CREATE FUNCTION wf._address(address text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    AS $$ SELECT CASE WHEN $1 ~ '^[+0-9 ()./-]+$' THEN regexp_replace($1, '[^+0-9]', '', 'g') ELSE lower(btrim($1)) END $$;
COMMENT ON FUNCTION wf._address(text) IS 'Internal: an address as it is compared with others.';

CREATE FUNCTION wf.set_contact_policy(policy text, definition json) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_contact_policy_wrapper';
COMMENT ON FUNCTION wf.set_contact_policy(text, json) IS
    'Defines a contact policy, or changes one: windows, zones, caps, gaps, consent, fallback, task (see docs/contact.md). It holds at once, in running cases too. Malformed JSON: 22032; what will not do: 22023, with all of it as detail.';

CREATE FUNCTION wf.drop_contact_policy(policy text) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'drop_contact_policy_wrapper';
COMMENT ON FUNCTION wf.drop_contact_policy(text) IS
    'Drops a contact policy. Unknown: 42704; a workflow names it: 55000.';

CREATE FUNCTION wf.opt_out(person text DEFAULT NULL, channel text DEFAULT NULL, address text DEFAULT NULL,
                           reason text DEFAULT NULL) RETURNS integer
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'opt_out_wrapper';
COMMENT ON FUNCTION wf.opt_out(text, text, text, text) IS
    'A person (an account; subject:key without one), or whoever has an address, must not be contacted any more on a channel, or on any. Messages that no sender has leased are withheld at once, and their steps take the next channel; new ones are not made. Returns how many were withheld. Neither person nor address, or an unknown channel: 22023.';

CREATE FUNCTION wf.opt_in(person text DEFAULT NULL, channel text DEFAULT NULL, address text DEFAULT NULL,
                          reason text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'opt_in_wrapper';
COMMENT ON FUNCTION wf.opt_in(text, text, text, text) IS
    'A person, or whoever has an address, consents to be contacted on a channel, or on all; an opt-out from the same is over, and so is that an address bounced.';

CREATE FUNCTION wf.log_contact(case_id bigint, channel text, event text DEFAULT 'attempt', at timestamptz DEFAULT NULL,
                               detail text DEFAULT NULL) RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'log_contact_wrapper';
COMMENT ON FUNCTION wf.log_contact(bigint, text, text, timestamptz, text) IS
    'Notes a contact with the person of a case that the engine does not know of, such as a call made by a dialler; it counts for the limits of contact policies. event: attempt or conversation. Returns its number. Unknown case: P0002; unknown channel or event, a time to come: 22023.';

CREATE FUNCTION wf.stop_contact(reason text, channel text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'stop_contact_wrapper';
COMMENT ON FUNCTION wf.stop_contact(text, text) IS
    'Stops all contact, or that on one channel: nothing is handed to senders from the commit on, in no workflow. Messages wait. wf.resume_contact ends it.';

CREATE FUNCTION wf.resume_contact(channel text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'resume_contact_wrapper';
COMMENT ON FUNCTION wf.resume_contact(text) IS
    'Ends what wf.stop_contact with the same channel began; what waits may be leased again.';
