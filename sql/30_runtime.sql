-- Cases and their tokens. Finished step runs move to wf.history; what is here is what is open.
CREATE TABLE wf.cases (
    case_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id integer NOT NULL,
    version_id  integer NOT NULL,
    state       wf.case_state NOT NULL,
    created_at  timestamptz NOT NULL,
    started_at  timestamptz,               -- the anchor case_start; null while planned
    ended_at    timestamptz,
    outcome     text,
    reason      text,
    key         text COLLATE "C" NOT NULL, -- of the row that conditions and templates read
    account     text,
    started_by  text NOT NULL,
    vars        jsonb,                     -- given at wf.start and set by completions
    memory      jsonb                      -- what the rules must remember: visits, done times, answers
) WITH (fillfactor = 85);

-- The ERP rows that a case concerns. slot is 0 for the latest case of a workflow about a row and the case's id for
-- those before it, so that one unique index is both the guard (one open case a workflow and row) and the way from a key
-- to its cases. An ended case keeps slot 0 until another takes its place: ending a case writes nothing here.
CREATE TABLE wf.case_subjects (
    case_id     bigint NOT NULL,
    subject_id  integer NOT NULL,
    workflow_id integer NOT NULL,
    slot        bigint NOT NULL DEFAULT 0,
    key         text COLLATE "C" NOT NULL,  -- compared by bytes: an index by a language's order costs several times more
    -- For cases that concern several rows, and null otherwise: a row of the others costs nothing for them.
    position    smallint,                  -- in the order in which they joined; null: first
    departure   jsonb                      -- when and why it left the case, which went on; null: it is in it
);
-- The key comes first: a table may have one subject only, and a planner without statistics would read it all.
CREATE UNIQUE INDEX case_subjects_key ON wf.case_subjects (key, subject_id, workflow_id, slot);
CREATE INDEX case_subjects_case ON wf.case_subjects (case_id);

-- Cases that a step of another case has started.
CREATE TABLE wf.case_links (
    case_id    bigint PRIMARY KEY,
    started_by bigint NOT NULL,             -- the case with that step
    step_no    smallint,                    -- the step run that waits for its end; null: none does
    visit      smallint
);
CREATE INDEX case_links_started_by ON wf.case_links (started_by);

-- Who is in a section, and who waits outside, in the order of place_id.
CREATE TABLE wf.section_places (
    place_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    section    text COLLATE "C" NOT NULL,
    scope      text COLLATE "C" NOT NULL,   -- of which account, or about which row
    case_id    bigint NOT NULL,
    inside     boolean NOT NULL DEFAULT false,
    leaving    boolean NOT NULL DEFAULT false, -- it has left, and nobody could be told yet
    since      timestamptz NOT NULL,
    UNIQUE (case_id, section)
);
CREATE INDEX section_places_order ON wf.section_places (section, scope, place_id);

-- The tokens: one row for each open step run. Step 0 is the start of a planned case. A step below that is a notice: the
-- case has to look at another one, for which it waits, or which waits for it.
CREATE TABLE wf.case_steps (
    case_id    bigint NOT NULL,
    step_no    smallint NOT NULL,
    visit      smallint NOT NULL,
    state      wf.step_state NOT NULL,
    attempts   smallint NOT NULL DEFAULT 0,
    arrived    smallint NOT NULL DEFAULT 0,   -- joining: tokens that have come in
    entered_at timestamptz NOT NULL,
    run_at     timestamptz,                   -- when the engine acts on it; null: it waits for somebody
    due_at     timestamptz,                   -- the planned date, or a task's deadline
    PRIMARY KEY (case_id, step_no, visit)
) WITH (fillfactor = 85);
-- The queue (src/engine/due.rs): when the engine may act, which is not before the case came to the step. What comes with a
-- date in the past comes to the end, and not among the dead entries of old ones. By case within one moment, so that a
-- worker can go on where it was.
CREATE INDEX case_steps_run_at ON wf.case_steps (greatest(run_at, entered_at), case_id)
    WHERE state = 'scheduled' AND run_at IS NOT NULL;

CREATE TABLE wf.tasks (
    task_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     bigint NOT NULL,
    step_no     smallint NOT NULL,
    visit       smallint NOT NULL,
    title       text NOT NULL,
    participant text,                      -- whose it is: a person or a queue
    claimed_by  text,                      -- who works on it: a person, or a role that is no participant
    substitute  text,                      -- stands in for whom it is with, who was absent when it came
    escalated_to text,
    outcomes    text[] NOT NULL,
    opened_at   timestamptz NOT NULL,
    created_by  text NOT NULL,
    due_at      timestamptz,
    escalate_at timestamptz,               -- null: never, or it has been
    UNIQUE (case_id, step_no, visit)
);
CREATE INDEX tasks_participant ON wf.tasks (participant, due_at);
CREATE INDEX tasks_escalate ON wf.tasks (escalate_at) WHERE escalate_at IS NOT NULL;

CREATE TABLE wf.notes (
    note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id bigint NOT NULL,
    step_no smallint,
    visit   smallint,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    body    text NOT NULL,
    version_id integer                     -- that step_no counts in, once the case has gone over to another; null: the case's
);
CREATE INDEX notes_case ON wf.notes (case_id);

-- Messages for the external sender. aggregatetype, aggregateid, type and payload are the names that change-data-
-- capture outbox routers expect; type is the channel, payload holds recipient, subject and body.
-- A message is written three times (queued, leased, sent), and its state stands in conditions of indexes: each version has entries
-- of its own. The two indexes in which all versions are keep room for that, or every page of them would be searched for dead
-- entries, mostly in vain, and split, when its messages are leased.
CREATE TABLE wf.outbox (
    message_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY WITH (fillfactor = 35),
    aggregatetype   text NOT NULL,
    aggregateid     text NOT NULL,
    type            text COLLATE "C" NOT NULL,
    payload         json,                  -- null until rendered
    case_id         bigint NOT NULL,
    step_no         smallint NOT NULL,
    visit           smallint NOT NULL,
    state           wf.message_state NOT NULL,
    attempts        smallint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    not_before      timestamptz NOT NULL,  -- queued: may leave from here; leased: the lease runs until here
    not_after       timestamptz,           -- the contact window closes here; null: no window
    finished_at     timestamptz,
    idempotency_key uuid NOT NULL DEFAULT gen_random_uuid(),
    sender          text,
    provider_id     text,
    reason          text,
    -- The version that step_no counts in, for a message whose step was over when its case went over to another version;
    -- null: the case's own. It belongs to no open step run any more.
    version_id      integer
) WITH (fillfactor = 85);
CREATE INDEX outbox_lease ON wf.outbox (type, not_before) WHERE state IN ('queued', 'leased');
CREATE INDEX outbox_deferred ON wf.outbox (not_before) WHERE state = 'deferred';
CREATE INDEX outbox_window ON wf.outbox (not_after) WHERE state = 'queued' AND not_after IS NOT NULL;
CREATE INDEX outbox_case ON wf.outbox (case_id) WITH (fillfactor = 35)
    WHERE state IN ('deferred', 'queued', 'leased', 'sent', 'delivered');
-- For leases that ran out at the last attempt. Most messages are leased once and never get into it.
CREATE INDEX outbox_leased_again ON wf.outbox (not_before) WHERE state = 'leased' AND attempts > 1;

-- Messages that a sender had in hand, or a lease was just taking, when they were withdrawn or had to be written anew: what becomes
-- of those that come back (not taken after all, failed, lease run out). Few rows, and those not for long.
CREATE TABLE wf.recalled (
    message_id bigint PRIMARY KEY,
    what       text NOT NULL CHECK (what IN ('withhold', 'list', 'text')),
    reason     text
);
COMMENT ON TABLE wf.recalled IS 'Messages that a sender had in hand when they were withdrawn or to be written anew: what becomes of them should they come back.';
COMMENT ON COLUMN wf.recalled.what IS 'withhold: it must not leave; list: it lists other rows now; text: its text has changed, which matters only if no sender has had it.';

-- Messages of many cases that a sender has acknowledged in one call: their step runs are done as soon as a worker gets there. Few
-- rows, and those not for long. A worker remembers up to which transaction it has read them.
CREATE TABLE wf.acknowledged (
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ack_id      bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    -- One element for each message, in the order of the cases.
    case_ids    bigint[] NOT NULL,
    version_ids integer[] NOT NULL,        -- that the step's number counts in
    step_nos    smallint[] NOT NULL,
    visits      smallint[] NOT NULL,
    PRIMARY KEY (xid, ack_id)
);
-- Packing them would cost more than it saves.
ALTER TABLE wf.acknowledged ALTER case_ids SET STORAGE EXTERNAL, ALTER version_ids SET STORAGE EXTERNAL,
    ALTER step_nos SET STORAGE EXTERNAL, ALTER visits SET STORAGE EXTERNAL;
ALTER TABLE wf.acknowledged SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE wf.acknowledged IS 'Messages of many cases that a sender has acknowledged in one call, until a worker has had their steps done.';
COMMENT ON COLUMN wf.acknowledged.xid IS 'The transaction that acknowledged them.';
COMMENT ON COLUMN wf.acknowledged.actor IS 'Who did, for history.';
COMMENT ON COLUMN wf.acknowledged.case_ids IS 'The case of each message; the other arrays have its version, step and visit.';

-- What has happened. Append only. Partitions are made by the month as time gets there (wf.history_2026_05), each with
-- indexes of its own: an index on the parent would come with the extension in a restore, make the months' indexes as
-- they are attached, and so collide with those that the dump brings.
CREATE SEQUENCE wf.history_id_seq;
CREATE TABLE wf.history (
    history_id bigint NOT NULL DEFAULT nextval('wf.history_id_seq'),
    at         timestamptz NOT NULL,
    case_id    bigint NOT NULL,
    version_id integer NOT NULL,
    step_no    smallint,
    visit      smallint,
    event      wf.history_event NOT NULL,
    outcome    text,
    entered_at timestamptz,
    due_at     timestamptz,
    task_id    bigint,
    actor      text NOT NULL,
    detail     jsonb
) PARTITION BY RANGE (at);

-- What went wrong and waits for a person; the view wf.incidents shows the open ones.
CREATE TABLE wf.failures (
    failure_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL,
    workflow_id integer,
    case_id     bigint,
    step_no     smallint,
    visit       smallint,
    message_id  bigint,
    subject_id  integer,
    key         text COLLATE "C",          -- of the subject's row, when no case is to blame
    attempts    smallint NOT NULL DEFAULT 1,
    sqlstate    text NOT NULL,
    message     text NOT NULL,
    detail      text,
    hint        text,
    resolved_at timestamptz
);
CREATE INDEX failures_open ON wf.failures (case_id) WHERE resolved_at IS NULL;
CREATE INDEX failures_subject ON wf.failures (subject_id, key) WHERE resolved_at IS NULL AND key IS NOT NULL;
