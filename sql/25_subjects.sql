-- How an ERP table is bound. The *_column names are columns of the details relation (or of the table itself).
CREATE TABLE wf.subjects (
    subject_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL UNIQUE CHECK (name <> ''),
    owner            regrole NOT NULL,
    relation         regclass NOT NULL,
    key_columns      text[] NOT NULL,
    key_attnums      smallint[] NOT NULL,  -- to find a key column again after the ERP has renamed it
    key_types        text[] NOT NULL,      -- each key column's base type, for the cast back from text
    details          text NOT NULL,        -- a FROM item: a quoted relation name, or a query in parentheses
    watch_columns    text[],               -- null: every column
    email_column     text,
    phone_column     text,
    address_column   text,
    locale_column    text,
    time_zone_column text,
    account_column   text,
    tenant_column    text,
    eligible         text,                 -- SQL condition: rows that may have a case at all
    strategies       boolean NOT NULL DEFAULT false,  -- whether wf.set_strategy has ever been called for it
    quarantined      text                  -- why the binding is out of order; null when it works
);

-- Other tables whose changes matter to a subject: payment lines, notes. key_expression gives the subject's key and
-- may use only columns of the watched row.
CREATE TABLE wf.watches (
    watch_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject_id     integer NOT NULL REFERENCES wf.subjects ON DELETE CASCADE,
    relation       regclass NOT NULL,
    key_expression text NOT NULL,
    columns        text[] NOT NULL,        -- the columns of the row that the expression reads,
    column_attnums smallint[] NOT NULL,    -- their numbers
    column_types   text[] NOT NULL,        -- and their base types, for the cast back from text
    UNIQUE (subject_id, relation)
);

-- Keys of ERP rows that have changed and have not been looked at. Only ever appended to by ERP transactions.
-- xid lets the reader skip what it has seen without losing a transaction that commits late: a row is behind the
-- frontier only when its transaction had ended before the frontier was taken.
CREATE TABLE wf.inbox (
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- cached by the backend: the order within a transaction is all that matters, and bulk statements are faster
    inbox_id   bigint GENERATED ALWAYS AS IDENTITY (CACHE 64),
    subject_id integer NOT NULL,
    key        text COLLATE "C",           -- null: every open case of the subject (TRUNCATE), an unresolved watch, packed
    op         "char" NOT NULL,            -- i, u, d, t (truncate), w (watched row), r (reconcile), e (binding error)
    watch_id   integer,
    watched    text,                       -- op w: JSON object of the watched row's columns, as text
    -- A bulk statement's keys come many to a row: so many of them, instead of key, or instead of watched.
    packed       integer,
    keys         text[],
    watched_rows text[],
    at         timestamptz NOT NULL DEFAULT now(),
    -- Looking at it failed (see wf.incidents). It stays unread, so that no message of the subject leaves, until the
    -- subject changes again or is reconciled.
    failed_at  timestamptz,
    PRIMARY KEY (xid, inbox_id)
);
-- For the re-check on lease: is there an unread change of this subject?
CREATE INDEX inbox_subject ON wf.inbox (subject_id, key);
-- The worker takes packed rows apart from the others. Nothing is added to it for a row that is not one.
CREATE INDEX inbox_packed ON wf.inbox (xid, inbox_id) WHERE packed IS NOT NULL;
