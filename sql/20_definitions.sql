-- Workflows and their versions. The document is the definition; phases, steps, transitions and templates are rows
-- projected from it when a version is saved, so that SQL can join them.
CREATE TABLE wf.workflows (
    workflow_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL CHECK (name <> ''),
    owner       regrole NOT NULL,
    enabled     boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    dropped_at  timestamptz                -- kept for the cases that it had; its name is free again
);
CREATE UNIQUE INDEX workflows_name ON wf.workflows (name) WHERE dropped_at IS NULL;

CREATE TABLE wf.versions (
    version_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow_id  integer NOT NULL REFERENCES wf.workflows ON DELETE CASCADE,
    number       integer NOT NULL,
    state        wf.version_state NOT NULL DEFAULT 'draft',
    kind         text NOT NULL DEFAULT 'custom',  -- what state of a claim it stands for
    subject_id   integer,                  -- set when published
    -- Two versions that differ in what people read only. The documents never change; what running cases say does:
    content_of   integer,                  -- the version whose structure it has, published just before it; null: its own
    content_id   integer,                  -- the version whose texts its cases use now; null: its own
    -- json, not jsonb: an export gives back the order in which the author wrote
    document     json NOT NULL,
    saved_at     timestamptz NOT NULL,
    saved_by     text NOT NULL,
    published_at timestamptz,
    published_by text,
    UNIQUE (workflow_id, number)
);
-- At most one draft and one published version a workflow.
CREATE UNIQUE INDEX versions_one_draft ON wf.versions (workflow_id) WHERE state = 'draft';
CREATE UNIQUE INDEX versions_one_published ON wf.versions (workflow_id) WHERE state = 'published';

-- A version that has been published never changes and never goes, not even by direct SQL: cases run on it.
CREATE FUNCTION wf._keep_versions() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'DELETE' OR (NEW.document::text, NEW.number, NEW.workflow_id, NEW.version_id)
                           IS DISTINCT FROM (OLD.document::text, OLD.number, OLD.workflow_id, OLD.version_id) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('version %s of workflow %s is published and cannot be changed', OLD.number, OLD.workflow_id),
            HINT = 'Save a new draft with wf.define and publish it.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER keep_versions BEFORE UPDATE OR DELETE ON wf.versions
    FOR EACH ROW EXECUTE FUNCTION wf._keep_versions();

-- The same for the rows projected from its document. Inserting stays possible: a restore does it.
CREATE FUNCTION wf._keep_projection() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM wf.versions AS v WHERE v.version_id = OLD.version_id AND v.state <> 'draft') THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('%s of version %s cannot be changed: it is published', TG_TABLE_NAME, OLD.version_id),
            HINT = 'Save a new draft with wf.define and publish it.';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;

CREATE TABLE wf.phases (
    version_id integer NOT NULL REFERENCES wf.versions ON DELETE CASCADE,
    phase_no   smallint NOT NULL,
    name       text NOT NULL,
    PRIMARY KEY (version_id, phase_no)
);
CREATE TABLE wf.steps (
    version_id  integer NOT NULL REFERENCES wf.versions ON DELETE CASCADE,
    step_no     smallint NOT NULL,
    phase_no    smallint NOT NULL,
    name        text NOT NULL,
    kind        text NOT NULL,
    description text,
    manual      boolean NOT NULL,
    participant text,
    second      text,
    links       jsonb,
    escalate_to text,
    stage       smallint NOT NULL,
    PRIMARY KEY (version_id, step_no),
    UNIQUE (version_id, name)
);
CREATE TABLE wf.transitions (
    version_id integer NOT NULL REFERENCES wf.versions ON DELETE CASCADE,
    from_step  smallint NOT NULL,
    outcome    text NOT NULL,
    to_step    smallint NOT NULL,
    condition  text,
    PRIMARY KEY (version_id, from_step, outcome)
);
CREATE TABLE wf.templates (
    version_id integer NOT NULL REFERENCES wf.versions ON DELETE CASCADE,
    name       text NOT NULL,
    locale     text NOT NULL DEFAULT '',
    subject    text,
    body       text NOT NULL,
    PRIMARY KEY (version_id, name, locale)
);

COMMENT ON FUNCTION wf._keep_projection() IS
    'Trigger: the rows projected from a published version are neither changed nor deleted.';
CREATE TRIGGER keep_phases BEFORE UPDATE OR DELETE ON wf.phases
    FOR EACH ROW EXECUTE FUNCTION wf._keep_projection();
CREATE TRIGGER keep_steps BEFORE UPDATE OR DELETE ON wf.steps
    FOR EACH ROW EXECUTE FUNCTION wf._keep_projection();
CREATE TRIGGER keep_transitions BEFORE UPDATE OR DELETE ON wf.transitions
    FOR EACH ROW EXECUTE FUNCTION wf._keep_projection();
CREATE TRIGGER keep_templates BEFORE UPDATE OR DELETE ON wf.templates
    FOR EACH ROW EXECUTE FUNCTION wf._keep_projection();

-- Who works on tasks: persons, and queues, which are what several persons work from. A participant with a role: only
-- members of that role may settle its tasks.
CREATE TABLE wf.participants (
    participant text PRIMARY KEY CHECK (participant <> ''),
    kind        text NOT NULL CHECK (kind IN ('person', 'queue')),
    role        regrole,
    title       text,
    manager     text                       -- a participant
);
