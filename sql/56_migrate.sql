-- Versions of a workflow: what changed in which, and how cases go over from one to another. The functions are in
-- src/definitions/.

-- What a version changed that differs from the one before it in content only.
CREATE TABLE wf.content_changes (
    version_id integer NOT NULL REFERENCES wf.versions ON DELETE CASCADE,
    change_no  integer NOT NULL,
    place      text NOT NULL,              -- workflow, template "…", step "…"
    field      text NOT NULL,              -- at that place, such as body; empty: a whole template
    before     text,                       -- null: it was not there
    after      text,                       -- null: it is gone
    PRIMARY KEY (version_id, change_no)
);
CREATE TRIGGER keep_content_changes BEFORE UPDATE OR DELETE ON wf.content_changes
    FOR EACH ROW EXECUTE FUNCTION wf._keep_projection();
COMMENT ON TABLE wf.content_changes IS 'What each version changed that differs from the one before it in content only. For reading, see wf.version_changes.';
COMMENT ON COLUMN wf.versions.content_of IS 'The version whose structure it has, if it changed content only; null: a structure of its own.';
COMMENT ON COLUMN wf.versions.content_id IS 'The version whose texts its running cases use now; null: its own.';
COMMENT ON COLUMN wf.notes.version_id IS 'The version that step_no counts in, once the case has gone over to another; null: the case''s own.';
COMMENT ON COLUMN wf.outbox.version_id IS 'The version that step_no counts in, if the step was over when the case went over to another; null: the case''s own.';

CREATE VIEW wf.version_history AS
    SELECT w.name AS workflow, v.number AS version, v.state::text AS state,
           CASE WHEN v.state = 'draft' THEN NULL WHEN v.content_of IS NULL THEN 'structure' ELSE 'content' END AS changed,
           v.saved_at, v.saved_by, v.published_at, v.published_by,
           CASE WHEN v.state <> 'draft' THEN coalesce(n.number, v.number) END AS texts_of,
           coalesce(c.open_cases, 0) AS open_cases
    FROM wf.versions AS v
    JOIN wf.workflows AS w ON w.workflow_id = v.workflow_id
    LEFT JOIN wf.versions AS n ON n.version_id = v.content_id
    LEFT JOIN (SELECT c.version_id, count(*) AS open_cases FROM wf.cases AS c
               WHERE c.ended_at IS NULL GROUP BY c.version_id) AS c ON c.version_id = v.version_id
    WHERE w.dropped_at IS NULL;
COMMENT ON VIEW wf.version_history IS 'One row a version of a workflow: who saved and published it, what kind of change it was, and how many cases run on it.';
COMMENT ON COLUMN wf.version_history.workflow IS 'Name of the workflow.';
COMMENT ON COLUMN wf.version_history.version IS 'Number of the version, counted from 1 in each workflow.';
COMMENT ON COLUMN wf.version_history.state IS 'draft, published or retired.';
COMMENT ON COLUMN wf.version_history.changed IS 'structure: running cases stay where they are; content: its texts reach the cases of the version before it at once. Null for a draft.';
COMMENT ON COLUMN wf.version_history.saved_at IS 'When its document was last saved.';
COMMENT ON COLUMN wf.version_history.saved_by IS 'Who last saved it.';
COMMENT ON COLUMN wf.version_history.published_at IS 'When it was published; null for a draft.';
COMMENT ON COLUMN wf.version_history.published_by IS 'Who published it; null for a draft.';
COMMENT ON COLUMN wf.version_history.texts_of IS 'Number of the version whose texts its cases use now: its own, or a later one that changed content only.';
COMMENT ON COLUMN wf.version_history.open_cases IS 'Number of cases on it that have not ended.';

CREATE VIEW wf.version_changes AS
    SELECT w.name AS workflow, v.number AS version, v.published_at, v.published_by, x.place, x.field, x.before, x.after
    FROM wf.content_changes AS x
    JOIN wf.versions AS v ON v.version_id = x.version_id
    JOIN wf.workflows AS w ON w.workflow_id = v.workflow_id
    WHERE w.dropped_at IS NULL;
COMMENT ON VIEW wf.version_changes IS 'One row a text that a version changed, for versions that changed content only: who changed what, and when.';
COMMENT ON COLUMN wf.version_changes.workflow IS 'Name of the workflow.';
COMMENT ON COLUMN wf.version_changes.version IS 'Number of the version that made the change.';
COMMENT ON COLUMN wf.version_changes.published_at IS 'When it was published, and so reached the running cases.';
COMMENT ON COLUMN wf.version_changes.published_by IS 'Who published it.';
COMMENT ON COLUMN wf.version_changes.place IS 'Where the text stands: workflow, template "…" or step "…".';
COMMENT ON COLUMN wf.version_changes.field IS 'Field at that place, such as body or locales.nl.body; empty for a whole template.';
COMMENT ON COLUMN wf.version_changes.before IS 'As it was; null: it was not there.';
COMMENT ON COLUMN wf.version_changes.after IS 'As it is since; null: it is gone.';

CREATE FUNCTION wf.migrate(
        workflow text, from_version integer, to_version integer, step_map jsonb DEFAULT NULL, dry_run boolean DEFAULT true)
    RETURNS TABLE (case_id bigint, key text, from_step text, to_step text, outcome text, reason text, due_at timestamptz)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'migrate_wrapper';
COMMENT ON FUNCTION wf.migrate(text, integer, integer, jsonb, boolean) IS
    'Moves the open cases of one version to another: each open step goes to the step of the same name, or to the one that step_map names ({"old step": "new step"}), with its dates as the new version computes them. One row a case: migrated, unchanged (both versions have the same structure, nothing is to be done) or refused with a reason; each case goes over as a whole or stays as it is. A dry run, the default, tells the same and changes nothing. Unknown workflow, version or step: 42704; a draft, or versions about different subjects: 55000; a step_map that is no object of names: 22023.';
