-- Looking at workflows and cases. The functions are in src/insight/.
CREATE FUNCTION wf.diagram(workflow text, format text DEFAULT 'mermaid') RETURNS text
    LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'diagram_workflow_wrapper';
COMMENT ON FUNCTION wf.diagram(text, text) IS
    'A picture of a workflow as it is published, or of its draft if nothing is: as text for Mermaid (mermaid) or Graphviz (dot), or ready to be shown (svg). Unknown workflow: 42704; unknown format: 22023.';

CREATE FUNCTION wf.diagram(case_id bigint, format text DEFAULT 'mermaid') RETURNS text
    LANGUAGE c STABLE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'diagram_case_wrapper';
COMMENT ON FUNCTION wf.diagram(bigint, text) IS
    'As wf.diagram(text, text), for the version that a case runs on, with the steps and legs that it has taken and where it is now. Unknown case: P0002.';

-- wf.explain names the messages of one case that did not leave.
CREATE INDEX outbox_suppressed ON wf.outbox (case_id) WHERE state = 'suppressed';

CREATE FUNCTION wf.explain(case_id bigint)
    RETURNS TABLE (subject text, fact text, detail text)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'explain_wrapper';
COMMENT ON FUNCTION wf.explain(bigint) IS
    'Why a case is where it is, a row for each fact: its state; after "waits for", the first thing that keeps it from moving; what each open step waits for and how its date came about; what comes next on each leg; messages that were withheld, and why. Changes and locks nothing. Unknown case: P0002.';

CREATE FUNCTION wf.simulate(
        workflow text DEFAULT NULL, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL,
        subject text DEFAULT NULL, answer_tasks boolean DEFAULT false, max_events integer DEFAULT 10000)
    RETURNS TABLE (at timestamptz, workflow_name text, case_id bigint, key text, step text, event text, outcome text,
                   channel text, recipient text, detail text)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'simulate_wrapper';
COMMENT ON FUNCTION wf.simulate(text, timestamptz, timestamptz, text, boolean, integer) IS
    'What will happen from now on, or from from_time, for two weeks or until to_time, if nothing else does: to the cases of a workflow, of all workflows of a subject, or of all. The engine itself runs on a shifted clock, and all of it is rolled back; only numbers of sequences are used up. Messages count as sent and delivered at once; tasks stay open unless answer_tasks, then their first outcome is taken at their deadline; rows of the ERP are not written. A period in the past or without end, both a workflow and a subject: 22023; unknown names: 42704.';
