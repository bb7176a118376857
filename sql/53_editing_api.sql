-- Editing functions: each changes a workflow's draft by one thing, and saves it the way wf.define does. The functions
-- are in src/definitions/edit.rs, what they do to a document in core/src/edit/. docs/editing.md shows them at work.
--
-- All return the draft's version number, how many findings wf.validate has about it, and, a sentence each, what leads
-- elsewhere than before.
CREATE FUNCTION wf.create_workflow(workflow text, subject text, fields jsonb DEFAULT '{}')
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'create_workflow_wrapper';
COMMENT ON FUNCTION wf.create_workflow(text, text, jsonb) IS
    'Makes a draft of a new workflow that belongs to the calling role: one phase, "phase 1", with one task, "step 1". Fields are those of the document: title, description, start, stop, templates and so on. A name that is taken: 42710; a name that cannot be, or an unknown field: 22023.';

CREATE FUNCTION wf.set_workflow(workflow text, fields jsonb)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_workflow_wrapper';
COMMENT ON FUNCTION wf.set_workflow(text, jsonb) IS
    'Changes fields of the workflow itself in its draft, templates among them; objects are merged, null removes (a JSON merge patch, RFC 7396).';

CREATE FUNCTION wf.rename_workflow(workflow text, new_name text) RETURNS text
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rename_workflow_wrapper';
COMMENT ON FUNCTION wf.rename_workflow(text, text) IS
    'Gives a workflow another name, at once: for its draft, its published version, and all its cases. Returns the name. A name that is taken: 42710.';

CREATE FUNCTION wf.drop_workflow(workflow text) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'drop_workflow_wrapper';
COMMENT ON FUNCTION wf.drop_workflow(text) IS
    'Deletes a workflow, and frees its name; the cases that it had keep their history. While cases are open: 55000, with their number.';

CREATE FUNCTION wf.add_phase(workflow text, phase text, after text DEFAULT NULL, before text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'add_phase_wrapper';
COMMENT ON FUNCTION wf.add_phase(text, text, text, text) IS
    'Adds an empty phase to a workflow''s draft, after or before another one, or as the last one.';

CREATE FUNCTION wf.rename_phase(workflow text, phase text, new_name text)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rename_phase_wrapper';
COMMENT ON FUNCTION wf.rename_phase(text, text, text) IS 'Gives a phase of a workflow''s draft another name.';

CREATE FUNCTION wf.remove_phase(workflow text, phase text, instead text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'remove_phase_wrapper';
COMMENT ON FUNCTION wf.remove_phase(text, text, text) IS
    'Removes a phase of a workflow''s draft with its steps; links to them are led on as by wf.remove_step. The default phase, which holds step 1: 55000.';

CREATE FUNCTION wf.add_step(workflow text, step text, kind text, fields jsonb DEFAULT '{}', phase text DEFAULT NULL,
                            after text DEFAULT NULL, before text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'add_step_wrapper';
COMMENT ON FUNCTION wf.add_step(text, text, text, jsonb, text, text, text) IS
    'Adds a step to a workflow''s draft, after or before another one, or at the end of the phase, or of the last phase. Fields are those of a step in the document. A button brings the event that it was pushed. A name that is taken: 42710; an unknown kind, or fields that it does not have or lacks: 22023.';

CREATE FUNCTION wf.set_step(workflow text, step text, fields jsonb)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_step_wrapper';
COMMENT ON FUNCTION wf.set_step(text, text, jsonb) IS
    'Changes fields of a step in a workflow''s draft, its name and kind too; objects are merged, null removes (a JSON merge patch, RFC 7396). Links and dates that name the step follow a new name.';

CREATE FUNCTION wf.move_step(workflow text, step text, phase text DEFAULT NULL, after text DEFAULT NULL,
                             before text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'move_step_wrapper';
COMMENT ON FUNCTION wf.move_step(text, text, text, text, text) IS
    'Puts a step of a workflow''s draft after or before another one, or at the end of a phase. Links by name stay; a step that names none leads to the one behind it, as always. The event of a button goes with it.';

CREATE FUNCTION wf.remove_step(workflow text, step text, instead text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'remove_step_wrapper';
COMMENT ON FUNCTION wf.remove_step(text, text, text) IS
    'Removes a step from a workflow''s draft. What led to it leads to where it led itself, or to the step given as instead. Step 1, a step that leads to no one place while others lead to it, and one to which a join, an event or a date belongs: 55000.';

CREATE FUNCTION wf.add_transition(workflow text, from_step text, to_step text, outcome text DEFAULT NULL,
                                  condition text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'add_transition_wrapper';
COMMENT ON FUNCTION wf.add_transition(text, text, text, text, text) IS
    'Lets a step of a workflow''s draft lead to another one: by an outcome, which is added to the step if its kind allows that, or else whatever the outcome. A condition is for the legs of a decision. An unknown step or outcome: 42704.';

CREATE FUNCTION wf.remove_transition(workflow text, from_step text, outcome text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer, changes text[])
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'remove_transition_wrapper';
COMMENT ON FUNCTION wf.remove_transition(text, text, text) IS
    'Takes an outcome of a step away in a workflow''s draft; without an outcome, the step leads to the one behind it again.';

-- Saving is publishing: what is saved can be started, and what cannot run is not saved.
CREATE FUNCTION wf.save(workflow text) RETURNS integer
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'publish_wrapper';
COMMENT ON FUNCTION wf.save(text) IS
    'Ends the editing of a workflow: the same as wf.publish. Returns the version''s number. A draft with errors: 22023, with all of them as detail; no draft: 55000.';

CREATE FUNCTION wf.discard(workflow text) RETURNS integer
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'discard_wrapper';
COMMENT ON FUNCTION wf.discard(text) IS
    'Throws the draft of a workflow away; what is published stays. A workflow that was never published goes with its draft. Returns the number of the published version; null: there is none. No draft: 55000.';

CREATE VIEW wf.startable AS
    SELECT w.name AS workflow, d.title, d.description, d.category, d.author, d.related, d.subject, v.number AS version
    FROM wf.workflows AS w
    JOIN wf.versions AS v ON v.workflow_id = w.workflow_id AND v.state = 'published'
    CROSS JOIN LATERAL json_to_record(v.document)
        AS d (title text, description text, category text, author text, related text[], subject text)
    WHERE w.enabled AND w.dropped_at IS NULL;
COMMENT ON VIEW wf.startable IS 'One row for each workflow that can be picked and started with wf.start: saved, and on.';
COMMENT ON COLUMN wf.startable.workflow IS 'Its name, as wf.start takes it.';
COMMENT ON COLUMN wf.startable.title IS 'Title for people.';
COMMENT ON COLUMN wf.startable.description IS 'What the workflow is for.';
COMMENT ON COLUMN wf.startable.category IS 'Catalogue data: its category.';
COMMENT ON COLUMN wf.startable.author IS 'Catalogue data: who wrote it.';
COMMENT ON COLUMN wf.startable.related IS 'Catalogue data: names of related workflows.';
COMMENT ON COLUMN wf.startable.subject IS 'The bound table whose rows it is started for.';
COMMENT ON COLUMN wf.startable.version IS 'Number of the version that a new case runs on.';
