-- What runs inside the ERP's transactions. No SET clause: they resolve no names by search_path, and it would cost each
-- row. EXECUTE is checked when a trigger is made, which bind_subject does as the extension's owner: an ERP role needs
-- no right here.
CREATE FUNCTION wf.subject_row_trigger() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'subject_row_trigger';
CREATE FUNCTION wf.subject_statement_trigger() RETURNS trigger
    LANGUAGE c AS 'MODULE_PATHNAME', 'subject_statement_trigger';
