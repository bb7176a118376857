-- Holds and their kinds. The functions are in src/holds/.
CREATE TABLE wf.hold_kinds (
    kind        text PRIMARY KEY CHECK (kind <> ''),
    title       text,
    blocks      text[] NOT NULL CHECK (blocks <@ '{steps,communication,charges}' AND blocks <> '{}'),
    clock       text NOT NULL DEFAULT 'run_on' CHECK (clock IN ('run_on', 'shift', 'shift_business')),
    released_by text NOT NULL DEFAULT 'agent' CHECK (released_by IN ('agent', 'manager')),
    shipped     boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE wf.hold_kinds IS 'Kinds of holds: what each stops, what it does to dates, and who may end it.';
COMMENT ON COLUMN wf.hold_kinds.blocks IS 'steps: all that the engine does; communication: messages and calls only; charges: fees and interest only.';
COMMENT ON COLUMN wf.hold_kinds.clock IS 'run_on: dates stay; shift: they move by the days on hold; shift_business: by the business days. Deadlines of open tasks always move.';
COMMENT ON COLUMN wf.hold_kinds.released_by IS 'agent: whoever may call wf.release; manager: nobody else, before its time.';

INSERT INTO wf.hold_kinds (kind, title, blocks, clock, released_by, shipped) VALUES
    ('hold', 'On hold', '{steps}', 'run_on', 'agent', true),
    ('dispute', 'Dispute', '{steps}', 'shift_business', 'agent', true),
    ('investigation', 'Investigation', '{steps}', 'shift', 'agent', true),
    ('promise', 'Promise to pay', '{steps}', 'run_on', 'agent', true),
    ('quiet', 'No communication', '{communication}', 'run_on', 'agent', true),
    ('no charges', 'No fees and no interest', '{charges}', 'run_on', 'agent', true),
    ('moratorium', 'Statutory moratorium', '{steps,communication,charges}', 'shift', 'manager', true);

-- A kind that users have changed takes the place of the shipped one, in a restore too.
CREATE FUNCTION wf._replace_shipped_kind() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    DELETE FROM wf.hold_kinds AS k WHERE k.kind = NEW.kind AND k.shipped;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION wf._replace_shipped_kind() IS 'Trigger: a kind of hold of the users takes the place of the shipped one.';
CREATE TRIGGER replace_shipped BEFORE INSERT ON wf.hold_kinds
    FOR EACH ROW WHEN (NOT NEW.shipped) EXECUTE FUNCTION wf._replace_shipped_kind();
ALTER TABLE wf.hold_kinds ENABLE ALWAYS TRIGGER replace_shipped;

CREATE TABLE wf.holds (
    hold_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     bigint NOT NULL,
    kind        text NOT NULL,
    reason      text NOT NULL,
    blocks      text[] NOT NULL,           -- as the kind said when it was placed
    clock       text NOT NULL,
    until       timestamptz,
    held_at     timestamptz NOT NULL,
    held_by     text NOT NULL,
    released_at timestamptz,
    released_by text,
    release_reason text
);
CREATE INDEX holds_case ON wf.holds (case_id) WHERE released_at IS NULL;
CREATE INDEX holds_until ON wf.holds (until) WHERE released_at IS NULL;
-- When charges rested; few holds stop them.
CREATE INDEX holds_charges ON wf.holds (case_id) WHERE 'charges' = ANY (blocks);
COMMENT ON TABLE wf.holds IS 'Holds on cases, open and released.';
COMMENT ON COLUMN wf.holds.until IS 'When it ends by itself; null: somebody releases it.';
COMMENT ON COLUMN wf.holds.blocks IS 'What it stops, as its kind said when it was placed.';
COMMENT ON COLUMN wf.holds.clock IS 'What it does to dates, as its kind said when it was placed.';

CREATE FUNCTION wf.set_hold_kind(kind text, blocks text[] DEFAULT '{steps}', clock text DEFAULT 'run_on',
                                 title text DEFAULT NULL, released_by text DEFAULT 'agent') RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_hold_kind_wrapper';
COMMENT ON FUNCTION wf.set_hold_kind(text, text[], text, text, text) IS
    'Defines a kind of hold, or changes one. blocks: steps (all that the engine does), communication, charges; clock, for dates that lie ahead: run_on (they stay), shift (they move by the days on hold), shift_business; released_by: agent, or manager for holds that nobody else may end before their time. Holds that there are stay as they are. What is not known: 22023.';
