-- The hot tables. Every row of these lives through a few updates or is deleted soon: a vacuum that waits for a fifth of
-- the table, the server's default, lets the dead rows at the left edge of their indexes pile up.
ALTER TABLE wf.case_steps SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE wf.tasks SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
-- Written when a case starts, ends, and at few moments between; finished ones stay, so that a share of it grows large.
ALTER TABLE wf.cases SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE wf.case_subjects SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- A queue at the edge of a table that only grows: the index that senders read holds the dead entries of all messages since
-- the last vacuum, and with a larger share of the table it would grow as the table does.
ALTER TABLE wf.outbox SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.05);
-- Empty most of the time: what counts is the number of dead rows, not their share. Never truncated: that takes a lock
-- which the ERP's next transaction would wait for.
ALTER TABLE wf.inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000, vacuum_truncate = off);

COMMENT ON SCHEMA wf IS 'Workflows, their cases, and what people and programs do with them.';
COMMENT ON TABLE wf.clock IS 'The time at which the engine''s clock is frozen; no row: it runs with real time.';
COMMENT ON TABLE wf.workflows IS 'The workflows, and whether they are on.';
COMMENT ON COLUMN wf.workflows.owner IS 'With its rights, and no others, the workflow''s conditions and updates run.';
COMMENT ON COLUMN wf.workflows.dropped_at IS 'When it was dropped: then only the cases that it had still name it.';
COMMENT ON TABLE wf.versions IS 'The versions of the workflows. A published one never changes again.';
COMMENT ON COLUMN wf.versions.document IS 'The definition; phases, steps, transitions and templates are rows made from it.';
COMMENT ON COLUMN wf.versions.kind IS 'What state of a claim the workflow stands for: breathing_space, main_outreach, payment_plan, on_hold, retry, process, custom.';
COMMENT ON COLUMN wf.versions.subject_id IS 'The bound table; set when published.';
COMMENT ON TABLE wf.phases IS 'The phases of each version, in order.';
COMMENT ON TABLE wf.steps IS 'The steps of each version, in the order of the document.';
COMMENT ON COLUMN wf.steps.stage IS 'Progress through the workflow, from 1: an event and the actions that follow it share a stage.';
COMMENT ON COLUMN wf.steps.manual IS 'Whether a person settles it.';
COMMENT ON TABLE wf.transitions IS 'Where each outcome of a step leads.';
COMMENT ON COLUMN wf.transitions.condition IS 'SQL condition of a decision''s leg; null: the outcome alone decides.';
COMMENT ON TABLE wf.templates IS 'The texts of the messages, for each locale; the empty locale is the default.';
COMMENT ON TABLE wf.participants IS 'Who works on tasks: persons, and queues that several persons work from. With a role: only its members may settle them.';
COMMENT ON COLUMN wf.participants.manager IS 'The participant to whom overdue tasks are escalated, and who may act for this one.';
COMMENT ON TABLE wf.subjects IS 'The bound tables of the ERP: how a row is found, and which columns say what workflows need.';
COMMENT ON COLUMN wf.subjects.owner IS 'With its rights, and no others, the engine reads the rows.';
COMMENT ON COLUMN wf.subjects.details IS 'What workflows see of a row: a relation, or a query in parentheses.';
COMMENT ON COLUMN wf.subjects.quarantined IS 'Why the binding is out of order; null when it works.';
COMMENT ON TABLE wf.watches IS 'Other tables whose changes matter to a subject, and how a row of theirs gives its key.';
COMMENT ON TABLE wf.inbox IS 'Keys of changed rows that have not been looked at. The ERP''s transactions only ever add to it.';
COMMENT ON COLUMN wf.inbox.op IS 'i, u, d: insert, update, delete; t: truncate; w: a watched row; r: reconcile; e: the trigger found its columns gone.';
COMMENT ON COLUMN wf.inbox.packed IS 'How many changed rows of a bulk statement this row stands for: their keys are in keys, or their columns in watched_rows.';
COMMENT ON TABLE wf.cases IS 'The cases: one run of a version each. For reading, see wf.case_progress.';
COMMENT ON COLUMN wf.cases.memory IS 'What the rules must remember: visits, times of steps that dates hang on, answers.';
COMMENT ON TABLE wf.case_subjects IS 'The rows that a case concerns.';
COMMENT ON COLUMN wf.case_subjects.slot IS '0 while the case is open, its id once it has ended: one open case for a workflow and a row.';
COMMENT ON TABLE wf.case_links IS 'Cases that a step of another case has started, and that case.';
COMMENT ON COLUMN wf.case_links.step_no IS 'With visit: the step run of started_by that waits for the end of the case; null: none does, or its case has gone over to another version since.';
COMMENT ON TABLE wf.section_places IS 'Which cases are in a section, and which ones wait outside, in order.';
COMMENT ON COLUMN wf.section_places.scope IS 'Of which account the cases are, or about which row: one of them is inside at a time.';
COMMENT ON TABLE wf.case_steps IS 'The open step runs. One that is over moves to wf.history.';
COMMENT ON COLUMN wf.case_steps.run_at IS 'When the engine acts on it; null: it waits for somebody, or for a date.';
COMMENT ON COLUMN wf.case_steps.due_at IS 'The planned date, or the deadline of a task.';
COMMENT ON TABLE wf.tasks IS 'The open tasks, calls and questions. For reading, see wf.worklist.';
COMMENT ON COLUMN wf.tasks.participant IS 'Whose it is: a person or a queue.';
COMMENT ON COLUMN wf.tasks.claimed_by IS 'Who works on it, by a claim or because it was delegated to them.';
COMMENT ON COLUMN wf.tasks.substitute IS 'Who stands in, because whom it is with was absent when it came.';
COMMENT ON COLUMN wf.tasks.escalated_to IS 'To whom it was escalated when its deadline had passed.';
COMMENT ON TABLE wf.notes IS 'Notes that steps have made on cases.';
COMMENT ON TABLE wf.outbox IS 'Messages for the external sender: see wf.lease_messages. The first columns follow the convention of change data capture: type is the channel.';
COMMENT ON COLUMN wf.outbox.not_before IS 'Queued: it may leave from here; leased: until here; deferred: the contact window opens here.';
COMMENT ON COLUMN wf.outbox.idempotency_key IS 'The same for each attempt, so that a provider can tell a repetition.';
COMMENT ON TABLE wf.history IS 'What has happened, a partition a month. Only ever added to; a month that nobody needs can be dropped.';
COMMENT ON SEQUENCE wf.history_id_seq IS 'Numbers the rows of wf.history.';
COMMENT ON TABLE wf.failures IS 'What went wrong. For what is still open, see wf.incidents.';

COMMENT ON TYPE wf.version_state IS 'State of a version.';
COMMENT ON TYPE wf.case_state IS 'State of a case; the last two are final.';
COMMENT ON TYPE wf.step_state IS 'State of an open step run.';
COMMENT ON TYPE wf.message_state IS 'State of a message.';
COMMENT ON TYPE wf.history_event IS 'What a row of wf.history tells.';

COMMENT ON FUNCTION wf.now() IS 'The engine''s clock: the time in all that it does. Real time, unless wf.set_clock has frozen it.';
COMMENT ON FUNCTION wf.set_clock(timestamptz) IS 'Freezes the engine''s clock of this database, for tests: everything follows it. Superuser only: 42501.';
COMMENT ON FUNCTION wf.clear_clock() IS 'Lets the engine''s clock run with real time again. Superuser only: 42501.';
COMMENT ON PROCEDURE wf.run_due(integer) IS 'Does everything that is due, with a commit after each batch, as the workers do; at most max_batches of them. Not inside a transaction block.';
COMMENT ON FUNCTION wf._run_round(boolean) IS 'Internal: one round of wf.run_due.';
COMMENT ON FUNCTION wf._wake() IS 'Internal: wakes this database''s workers on commit.';
COMMENT ON FUNCTION wf._announce() IS 'Internal: has the launcher start this database''s workers on commit.';
COMMENT ON FUNCTION wf._invalidate(regclass) IS 'Internal: has every process read this relation''s contents anew.';
COMMENT ON FUNCTION wf._calendars_changed() IS 'Internal: has every process read the calendars anew.';
COMMENT ON FUNCTION wf._keep_versions() IS 'Internal: refuses to change a published version.';
COMMENT ON FUNCTION wf.replace_shipped_year() IS 'Internal: a loaded year takes the place of the shipped one.';
COMMENT ON FUNCTION wf.replace_shipped_holiday() IS 'Internal: a loaded holiday takes the place of the shipped one.';
COMMENT ON FUNCTION wf.subject_row_trigger() IS 'Internal: notes a changed row of a bound table.';
COMMENT ON FUNCTION wf.subject_statement_trigger() IS 'Internal: writes the noted rows of a statement to wf.inbox.';

-- Nothing to PUBLIC: what a role may call or read is granted to it, best by wf.grant_role. wf.workers() is no exception:
-- it names the databases of the cluster, and who reads wf.health is granted it along with the view.
REVOKE ALL ON ALL TABLES IN SCHEMA wf FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA wf FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA wf FROM PUBLIC;
DO $$
DECLARE
    type regtype;
BEGIN
    -- Not the row types of tables and views: pg_dump does not know rights on those, and they allow nothing.
    FOR type IN SELECT t.oid FROM pg_catalog.pg_type AS t
                LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
                WHERE t.typnamespace = 'wf'::pg_catalog.regnamespace AND t.typcategory <> 'A'
                  AND (t.typtype <> 'c' OR c.relkind = 'c')
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON TYPE %s FROM PUBLIC', type);
    END LOOP;
END
$$;

-- The last thing in the script: when it commits, the launcher starts this database's workers.
SELECT wf._announce();
