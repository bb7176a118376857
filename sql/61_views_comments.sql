-- What the views and their columns mean.
COMMENT ON VIEW wf.case_progress IS 'One row a case: where it stands, or how it ended.';
COMMENT ON COLUMN wf.case_progress.case_id IS 'The case.';
COMMENT ON COLUMN wf.case_progress.workflow IS 'Name of its workflow.';
COMMENT ON COLUMN wf.case_progress.version IS 'Number of the version that it runs on, to its end or until wf.migrate moves it; later versions that change content only reach it, too.';
COMMENT ON COLUMN wf.case_progress.subject IS 'Name of the bound table that its row belongs to.';
COMMENT ON COLUMN wf.case_progress.key IS 'Key of its row, or of the one that carries it, as text; composite keys as a JSON array.';
COMMENT ON COLUMN wf.case_progress.account IS 'Account of its row when the case began; null if the subject has no such column.';
COMMENT ON COLUMN wf.case_progress.state IS 'planned, running, held, completed or cancelled.';
COMMENT ON COLUMN wf.case_progress.outcome IS 'How it ended: the outcome of its finish step, stopped (by a rule) or cancelled; null while open.';
COMMENT ON COLUMN wf.case_progress.reason IS 'Why it was stopped or cancelled.';
COMMENT ON COLUMN wf.case_progress.stage IS 'Stage of the furthest open step, 0 before the start; of an ended case, the furthest stage that it entered.';
COMMENT ON COLUMN wf.case_progress.stages IS 'Number of stages in its version, all branches counted.';
COMMENT ON COLUMN wf.case_progress.steps IS 'Names of the open steps, separated by commas; null when ended.';
COMMENT ON COLUMN wf.case_progress.next_at IS 'When something is due next: a scheduled step or a task''s deadline; on hold, when the first hold ends. Null if no date is known.';
COMMENT ON COLUMN wf.case_progress.created_at IS 'When the case came to be, planned or started.';
COMMENT ON COLUMN wf.case_progress.started_at IS 'When it started; null while planned, and for one that never did.';
COMMENT ON COLUMN wf.case_progress.ended_at IS 'When it ended; null while open.';
COMMENT ON COLUMN wf.case_progress.started_by IS 'Role that made the case, or engine for a start rule.';
COMMENT ON COLUMN wf.case_progress.hold_reason IS 'Reasons of its open holds, separated by commas; null if not on hold.';
COMMENT ON COLUMN wf.case_progress.failed_steps IS 'Names of open steps that have failed and wait for wf.retry or wf.skip; see wf.incidents.';
COMMENT ON COLUMN wf.case_progress.vars IS 'The variables of the case: given at wf.start and by completions.';
COMMENT ON COLUMN wf.case_progress.keys IS 'Keys of all rows that it concerns, the one that carries it first; see wf.case_members.';

COMMENT ON VIEW wf.case_timeline IS 'One row a step run of a case: behind it, open, or planned ahead.';
COMMENT ON COLUMN wf.case_timeline.case_id IS 'The case.';
COMMENT ON COLUMN wf.case_timeline.workflow IS 'Name of its workflow.';
COMMENT ON COLUMN wf.case_timeline.key IS 'Key of its row, as text.';
COMMENT ON COLUMN wf.case_timeline.stage IS 'Stage of the step; 0 for the start of a planned case.';
COMMENT ON COLUMN wf.case_timeline.phase IS 'Name of the step''s phase.';
COMMENT ON COLUMN wf.case_timeline.step IS 'Name of the step; start for the start of a planned case.';
COMMENT ON COLUMN wf.case_timeline.visit IS 'The how-manieth time that the case is at the step, from 1.';
COMMENT ON COLUMN wf.case_timeline.kind IS 'Kind of the step: email, task, question, ...; start for the start of a planned case.';
COMMENT ON COLUMN wf.case_timeline.status IS 'done, skipped, cancelled (behind); open (for a person), scheduled, sending, held, waiting (for other branches or a date), failed (open); planned (ahead).';
COMMENT ON COLUMN wf.case_timeline.entered_at IS 'When the case came to the step; null ahead.';
COMMENT ON COLUMN wf.case_timeline.due_at IS 'Planned date of an automatic step, deadline of a manual one; null if it has none, and ahead.';
COMMENT ON COLUMN wf.case_timeline.done_at IS 'When the run was over; null while open and ahead.';
COMMENT ON COLUMN wf.case_timeline.outcome IS 'How it was settled: an outcome, how far a message had come, or why it was cancelled.';
COMMENT ON COLUMN wf.case_timeline.actor IS 'Who settled it: a role, or engine.';
COMMENT ON COLUMN wf.case_timeline.detail IS 'What else is known: data given with a completion, why it was skipped, the error of a failed one, the message of one that is sending.';

COMMENT ON VIEW wf.worklist IS 'One row for each task, call and question that waits for somebody.';
COMMENT ON COLUMN wf.worklist.task_id IS 'What wf.complete wants.';
COMMENT ON COLUMN wf.worklist.case_id IS 'The case.';
COMMENT ON COLUMN wf.worklist.workflow IS 'Name of its workflow.';
COMMENT ON COLUMN wf.worklist.subject IS 'Name of the bound table that its row belongs to.';
COMMENT ON COLUMN wf.worklist.key IS 'Key of its row, as text.';
COMMENT ON COLUMN wf.worklist.account IS 'Account of the case.';
COMMENT ON COLUMN wf.worklist.step IS 'Name of the step; start if the question is how to start a case that comes late.';
COMMENT ON COLUMN wf.worklist.visit IS 'The how-manieth time that the case is at the step.';
COMMENT ON COLUMN wf.worklist.kind IS 'task, call, question, file, approval, or start.';
COMMENT ON COLUMN wf.worklist.title IS 'What is to be done.';
COMMENT ON COLUMN wf.worklist.participant IS 'Who is to do it.';
COMMENT ON COLUMN wf.worklist.outcomes IS 'The outcomes to choose from.';
COMMENT ON COLUMN wf.worklist.opened_at IS 'Since when it waits.';
COMMENT ON COLUMN wf.worklist.due_at IS 'Its deadline; null if it has none.';
COMMENT ON COLUMN wf.worklist.overdue IS 'Whether the deadline has passed by the engine''s clock.';
COMMENT ON COLUMN wf.worklist.stage IS 'Stage of the step.';
COMMENT ON COLUMN wf.worklist.held IS 'Whether the case is on hold.';

COMMENT ON COLUMN wf.worklist.claimed_by IS 'Who works on it, by a claim or because it was delegated to them; null: nobody yet.';
COMMENT ON COLUMN wf.worklist.substitute IS 'Who stands in for an absent participant; both may settle it.';
COMMENT ON COLUMN wf.worklist.second IS 'The step''s second participant, who may settle it as well.';
COMMENT ON COLUMN wf.worklist.escalated_to IS 'To whom it was escalated when its deadline had passed; they may settle it as well.';
COMMENT ON COLUMN wf.worklist.created_by IS 'Who made the move that the task came of: a role, or engine.';
COMMENT ON COLUMN wf.worklist.links IS 'The step''s links, a list of objects with label and url; null if it has none.';
COMMENT ON COLUMN wf.worklist.keys IS 'Keys of all rows that the case concerns, the one that carries it first.';

COMMENT ON VIEW wf.my_worklist IS 'The tasks of whoever asks: the columns of wf.worklist, and why each is theirs.';
DO $$
DECLARE
    name name;
BEGIN
    FOR name IN SELECT a.attname FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = 'wf.worklist'::pg_catalog.regclass AND a.attnum > 0
    LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN wf.my_worklist.%I IS %L', name, 'As in wf.worklist.');
    END LOOP;
END
$$;
COMMENT ON COLUMN wf.my_worklist.via IS 'own, delegated (they gave it to claimed_by), queue, substitute, escalated, second, or anybody (no role is behind its participant).';

COMMENT ON VIEW wf.alerts IS 'One row for each alert that no application has taken yet with wf.take_alerts.';
COMMENT ON COLUMN wf.alerts.notification_id IS 'Its number.';
COMMENT ON COLUMN wf.alerts.at IS 'When it was made.';
COMMENT ON COLUMN wf.alerts.participant IS 'Who is to be told; null if an overdue task has nobody to go to.';
COMMENT ON COLUMN wf.alerts.kind IS 'task (it has come), delegated, reassigned, escalated, or notify (a notify step says so).';
COMMENT ON COLUMN wf.alerts.body IS 'What to tell them.';
COMMENT ON COLUMN wf.alerts.task_id IS 'The task, if it is about one; it may be settled by now.';
COMMENT ON COLUMN wf.alerts.case_id IS 'The case.';
COMMENT ON COLUMN wf.alerts.workflow IS 'Name of its workflow.';
COMMENT ON COLUMN wf.alerts.key IS 'Key of its row, as text.';
COMMENT ON COLUMN wf.alerts.step IS 'Name of the step.';
COMMENT ON COLUMN wf.alerts.title IS 'Title of the participant.';

COMMENT ON VIEW wf.upcoming IS 'What is due next: one row for each scheduled step, message that waits for its contact window, deadline and end of a hold. What should have happened already and has not is in it, deadlines that have passed are not.';
COMMENT ON COLUMN wf.upcoming.due_at IS 'When it is due; for a step whose date had passed when the case came to it, when that was.';
COMMENT ON COLUMN wf.upcoming.case_id IS 'The case.';
COMMENT ON COLUMN wf.upcoming.workflow IS 'Name of its workflow.';
COMMENT ON COLUMN wf.upcoming.key IS 'Key of its row, as text.';
COMMENT ON COLUMN wf.upcoming.step IS 'Name of the step; start for a planned case, null for the end of a hold.';
COMMENT ON COLUMN wf.upcoming.visit IS 'The how-manieth time that the case is at the step.';
COMMENT ON COLUMN wf.upcoming.kind IS 'Kind of the step.';
COMMENT ON COLUMN wf.upcoming.state IS 'State of the case.';
COMMENT ON COLUMN wf.upcoming.what IS 'starts (the case), message (leaves), task (appears), step (another one is done), deadline (of an open task), escalation (of one that is not settled by then), release (a hold ends).';

COMMENT ON VIEW wf.incidents IS 'One row for each thing that went wrong and waits for a person.';
COMMENT ON COLUMN wf.incidents.what IS 'step (failed), row (changed, but could not be looked at), message (did not arrive after its step was done), subject (its binding is out of order).';
COMMENT ON COLUMN wf.incidents.at IS 'When it happened; null if that is not known.';
COMMENT ON COLUMN wf.incidents.workflow IS 'Name of the workflow, if it concerns one.';
COMMENT ON COLUMN wf.incidents.case_id IS 'The case, if it concerns one.';
COMMENT ON COLUMN wf.incidents.subject IS 'Name of the bound table that it concerns.';
COMMENT ON COLUMN wf.incidents.key IS 'Key of the case''s row, as text.';
COMMENT ON COLUMN wf.incidents.step IS 'Name of the step, if it concerns one.';
COMMENT ON COLUMN wf.incidents.visit IS 'The how-manieth time that the case is at the step.';
COMMENT ON COLUMN wf.incidents.message IS 'What went wrong.';
COMMENT ON COLUMN wf.incidents.detail IS 'More about it.';
COMMENT ON COLUMN wf.incidents.hint IS 'What to do.';
COMMENT ON COLUMN wf.incidents.sqlstate IS 'SQLSTATE of the error.';
COMMENT ON COLUMN wf.incidents.attempts IS 'How often it was tried.';
COMMENT ON COLUMN wf.incidents.failure_id IS 'Row of wf.failures, if it has one.';
COMMENT ON COLUMN wf.incidents.message_id IS 'The message, if it concerns one.';

COMMENT ON VIEW wf.workflow_stats IS 'One row a workflow: its cases, customers, tasks and messages, counted. It reads all cases: for a dashboard, not for a loop.';
COMMENT ON COLUMN wf.workflow_stats.workflow IS 'Name of the workflow.';
COMMENT ON COLUMN wf.workflow_stats.enabled IS 'Whether new cases start.';
COMMENT ON COLUMN wf.workflow_stats.owner IS 'Role that owns it, and whose rights its conditions run with.';
COMMENT ON COLUMN wf.workflow_stats.published_version IS 'Number of the version that new cases run on; null if never published.';
COMMENT ON COLUMN wf.workflow_stats.draft_version IS 'Number of the draft; null if there is none.';
COMMENT ON COLUMN wf.workflow_stats.planned IS 'Cases whose start lies ahead.';
COMMENT ON COLUMN wf.workflow_stats.running IS 'Cases that are running, those with incidents included.';
COMMENT ON COLUMN wf.workflow_stats.held IS 'Cases on hold.';
COMMENT ON COLUMN wf.workflow_stats.completed IS 'Cases that came to a finish step.';
COMMENT ON COLUMN wf.workflow_stats.cancelled IS 'Cases that somebody cancelled.';
COMMENT ON COLUMN wf.workflow_stats.stopped IS 'Cases that a stop rule ended, or whose row went away.';
COMMENT ON COLUMN wf.workflow_stats.customers IS 'Accounts with an open case; where a subject names no account, rows with one.';
COMMENT ON COLUMN wf.workflow_stats.open_tasks IS 'Tasks, calls and questions that wait for somebody.';
COMMENT ON COLUMN wf.workflow_stats.overdue_tasks IS 'Those whose deadline has passed.';
COMMENT ON COLUMN wf.workflow_stats.messages_waiting IS 'Messages that have not left: deferred, queued or leased.';
COMMENT ON COLUMN wf.workflow_stats.messages_sent IS 'Messages that have left, delivered and bounced ones included.';
COMMENT ON COLUMN wf.workflow_stats.incidents IS 'Open incidents.';
COMMENT ON COLUMN wf.workflow_stats.average_to_complete IS 'Average time from start to end of completed cases.';
COMMENT ON COLUMN wf.workflow_stats.average_to_stop IS 'Average time from start to end of stopped cases; of a dunning workflow that stops on payment, the time to payment.';

COMMENT ON VIEW wf.health IS 'One row a check of the engine in this database, those that are in order included.';
COMMENT ON COLUMN wf.health."check" IS 'What is looked at: worker, enabled, clock, inbox, inbox failures, due steps, messages, expired leases, incidents, subjects, triggers, calendars.';
COMMENT ON COLUMN wf.health.status IS 'ok, warning or problem.';
COMMENT ON COLUMN wf.health.value IS 'What was found: a number, a setting, or a time.';
COMMENT ON COLUMN wf.health.detail IS 'What it means, and what to do; null if there is nothing to say.';

COMMENT ON VIEW wf.event_log IS 'One row an event, as process-mining tools read it.';
COMMENT ON COLUMN wf.event_log.case_id IS 'The case.';
COMMENT ON COLUMN wf.event_log.activity IS 'Name of the step; for the case as a whole: case started, case held and the like.';
COMMENT ON COLUMN wf.event_log."timestamp" IS 'When it happened.';
COMMENT ON COLUMN wf.event_log.resource IS 'Who did it: a role, or engine; null for a start.';
COMMENT ON COLUMN wf.event_log.lifecycle IS 'Transition in the words of XES: schedule, start, suspend (failed), resume (retried), withdraw (cancelled), autoskip, manualskip, complete, assign (a task is claimed), reassign; unknown for what befalls a message, an escalation, and an assignment for later.';
COMMENT ON COLUMN wf.event_log.visit IS 'The how-manieth time that the case is at the step.';
COMMENT ON COLUMN wf.event_log.outcome IS 'Outcome of the step or the case.';
COMMENT ON COLUMN wf.event_log.workflow IS 'Name of the workflow.';
COMMENT ON COLUMN wf.event_log.key IS 'Key of the case''s row, as text.';
COMMENT ON COLUMN wf.event_log.account IS 'Account of the case.';
