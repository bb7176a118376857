-- What users keep: pg_dump saves the rows of these tables and the positions of these sequences, which without this it
-- does not do for what belongs to an extension. The months of wf.history belong to no extension and are saved as tables
-- of their own; the parent has no rows, and stands here so that nothing is left out. Identity sequences are not saved
-- along with their tables: without them the first new row would get an id that is taken. Of the calendars
-- and the kinds of holds, only what was not shipped is saved: the rest comes with CREATE EXTENSION.
--
-- A frozen clock is kept, too: with the clock running, the restored copy of a test database would do years of work.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{clock,workflows,versions,phases,steps,transitions,templates,participants,subjects,watches,
        members,absences,assignments,notifications,documents,content_changes,inbox,exclusive_subjects,open_accounts,strategy_settings,strategies,
        cases,case_subjects,case_links,section_places,case_steps,tasks,holds,notes,contact_policies,contact_choices,contact_log,contact_stops,sender_channels,outbox,recalled,acknowledged,history,audit_log,history_seals,history_gaps,history_protection,erased_words,retention,failures,charges,promises,disputes,contact_data,
        workflows_workflow_id_seq,versions_version_id_seq,subjects_subject_id_seq,watches_watch_id_seq,
        inbox_inbox_id_seq,cases_case_id_seq,tasks_task_id_seq,holds_hold_id_seq,section_places_place_id_seq,contact_log_contact_id_seq,notes_note_id_seq,
        outbox_message_id_seq,acknowledged_ack_id_seq,absences_absence_id_seq,assignments_assignment_id_seq,
        notifications_notification_id_seq,documents_document_id_seq,history_id_seq,audit_log_audit_id_seq,failures_failure_id_seq,charges_charge_id_seq,promises_promise_id_seq,disputes_dispute_id_seq}'::pg_catalog.text[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump('wf.' || name, '');
    END LOOP;
    FOREACH name IN ARRAY '{calendars,calendar_years,holidays,hold_kinds}'::pg_catalog.text[]
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump('wf.' || name, 'WHERE NOT shipped');
    END LOOP;
END
$$;
