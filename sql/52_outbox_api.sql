-- The external sender's side. The functions are in src/outbox/.
CREATE TYPE wf.leased_message AS (
    message_id      bigint,
    case_id         bigint,
    channel         text,
    recipient       text,
    payload         json,
    idempotency_key uuid,
    attempt         integer,
    leased_until    timestamptz
);
COMMENT ON TYPE wf.leased_message IS 'A message as wf.lease_messages hands it over.';

-- Senders that are for some channels only. wf.grant_role writes it, src/outbox/senders.rs asks it.
CREATE TABLE wf.sender_channels (
    role    regrole NOT NULL,
    channel text COLLATE "C" NOT NULL,
    PRIMARY KEY (role, channel)
);
COMMENT ON TABLE wf.sender_channels IS 'Roles that lease and report messages of these channels only; a sender that is not in it has all channels.';

CREATE FUNCTION wf.lease_messages(
        channel text DEFAULT NULL, max_messages integer DEFAULT 100, lease interval DEFAULT '5 minutes',
        sender text DEFAULT NULL)
    RETURNS SETOF wf.leased_message
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'lease_messages_wrapper';
COMMENT ON FUNCTION wf.lease_messages(text, integer, interval, text) IS
    'Hands over messages that may leave now, of one channel or of all that are the caller''s, for the time of the lease: send them, then call wf.ack_messages or wf.fail_messages. A message whose lease runs out is handed over again with the same idempotency key. Messages of cases on hold, of cancelled cases, and of subjects with changes that have not been looked at stay here. A channel that is not the caller''s: 42501.';

CREATE FUNCTION wf.ack_messages(message_ids bigint[], provider_ids text[] DEFAULT NULL) RETURNS integer
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'ack_messages_wrapper';
COMMENT ON FUNCTION wf.ack_messages(bigint[], text[]) IS
    'The messages have been handed to the provider. Returns how many were waiting for this; the same call again is no error. Steps with done_when sent are done; with more than 50 cases in one call the workers, or the next wf.run_due, see to that and to what follows. A message of another channel than the caller''s: 42501; so for the two functions below.';

CREATE FUNCTION wf.fail_messages(message_ids bigint[], error text, retry_after interval DEFAULT NULL) RETURNS integer
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'fail_messages_wrapper';
COMMENT ON FUNCTION wf.fail_messages(bigint[], text, interval) IS
    'The messages could not be handed over. They are tried again after retry_after, or after a pause that doubles each time; after workflow_engine.max_attempts they are dead and an incident. Returns how many were leased.';

CREATE FUNCTION wf.report_delivery(message_id bigint, status text, detail text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'report_delivery_wrapper';
COMMENT ON FUNCTION wf.report_delivery(bigint, text, text) IS
    'What the provider reports later: delivered or bounced. A bounced message takes the step''s leg "otherwise", or becomes an incident.';
