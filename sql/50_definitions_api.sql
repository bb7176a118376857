-- Workflows as documents. The functions are in src/definitions/.
CREATE FUNCTION wf.define(document text)
    RETURNS TABLE (workflow text, version integer, findings integer)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'define_wrapper';
COMMENT ON FUNCTION wf.define(text) IS
    'Saves a JSON document as the draft of the workflow it names; a new workflow belongs to the calling role. Returns the number of findings, which wf.validate lists. Malformed JSON: 22032, with line and column; what cannot be read: 22023, with every finding as detail; somebody else''s workflow: 42501.';

CREATE FUNCTION wf.define(document jsonb)
    RETURNS TABLE (workflow text, version integer, findings integer)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'define_jsonb_wrapper';
COMMENT ON FUNCTION wf.define(jsonb) IS 'As wf.define(text), for a document that is jsonb already.';

CREATE FUNCTION wf.import(document text, name text DEFAULT NULL)
    RETURNS TABLE (workflow text, version integer, findings integer)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'import_wrapper';
COMMENT ON FUNCTION wf.import(text, text) IS
    'Saves a document as the draft of a new workflow, under another name if one is given. A workflow that exists already: 42710.';

CREATE FUNCTION wf.export(workflow text) RETURNS text
    LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'export_wrapper';
COMMENT ON FUNCTION wf.export(text) IS
    'The document of a workflow: its draft if it has one, else the published version.';

CREATE FUNCTION wf.clone(workflow text, new_name text) RETURNS text
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'clone_workflow_wrapper';
COMMENT ON FUNCTION wf.clone(text, text) IS
    'Copies a workflow to a draft under a new name: off, without cases, belonging to the calling role. Returns the name.';

CREATE FUNCTION wf.validate(workflow text)
    RETURNS TABLE (severity text, place text, message text, hint text)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'validate_wrapper';
COMMENT ON FUNCTION wf.validate(text) IS
    'Everything that is wrong with a workflow, its draft if it has one: a row for each finding, with its place and what to do. An error keeps it from being published, a warning does not.';

CREATE FUNCTION wf.validate_document(document text)
    RETURNS TABLE (severity text, place text, message text, hint text)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'validate_document_wrapper';
COMMENT ON FUNCTION wf.validate_document(text) IS 'As wf.validate, for a document that is not saved.';

CREATE FUNCTION wf.publish(workflow text) RETURNS integer
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'publish_wrapper';
COMMENT ON FUNCTION wf.publish(text) IS
    'Publishes a workflow''s draft: new cases run on it from now on, running cases stay on the version they started with. A draft that differs from the published version in what people read only (texts of templates, titles, descriptions, labels) reaches its running cases, too. Returns the version''s number. A definition with errors: 22023, with all of them as detail.';

CREATE FUNCTION wf.enable(workflow text, backfill boolean DEFAULT true) RETURNS bigint
    LANGUAGE c STRICT SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'enable_wrapper';
COMMENT ON FUNCTION wf.enable(text, boolean) IS
    'Turns a workflow on: its start rule takes effect and wf.start works. With backfill, rows that match already get their cases now; returns how many.';

CREATE FUNCTION wf.disable(workflow text) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'disable_wrapper';
COMMENT ON FUNCTION wf.disable(text) IS
    'Turns a workflow off: no new cases start. Running cases go on.';

CREATE FUNCTION wf.document_schema() RETURNS json
    LANGUAGE c IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
    AS 'MODULE_PATHNAME', 'document_schema_wrapper';
COMMENT ON FUNCTION wf.document_schema() IS 'The JSON Schema (draft 2020-12) of the documents that wf.define reads.';
