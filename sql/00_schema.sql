-- Everything below is written and bound in the light of these names alone. (CREATE EXTENSION sets the same path; so does
-- whoever runs the script by hand.)
SET LOCAL search_path = pg_catalog, pg_temp;

-- A plain CREATE SCHEMA: if someone already owns a schema of this name, installation must fail loudly.
CREATE SCHEMA wf;
REVOKE ALL ON SCHEMA wf FROM PUBLIC;

CREATE TYPE wf.version_state AS ENUM ('draft', 'published', 'retired');
CREATE TYPE wf.case_state AS ENUM ('planned', 'running', 'held', 'completed', 'cancelled');
CREATE TYPE wf.step_state AS ENUM ('scheduled', 'open', 'sending', 'joining', 'waiting', 'held', 'failed');
CREATE TYPE wf.message_state AS ENUM (
    'deferred', 'queued', 'leased', 'sent', 'delivered', 'bounced', 'suppressed', 'failed', 'dead');
CREATE TYPE wf.history_event AS ENUM (
    'case_planned', 'case_started', 'case_completed', 'case_cancelled', 'case_held', 'case_released', 'case_migrated',
    'promised', 'promise_ended', 'disputed', 'dispute_settled',
    'step_done', 'step_skipped', 'step_failed', 'step_retried', 'step_cancelled', 'rescheduled', 'signalled',
    'subject_joined', 'subject_left',
    'message_suppressed', 'message_bounced', 'message_dead',
    'task_claimed', 'task_released', 'task_delegated', 'task_reassigned', 'task_escalated', 'assigned', 'case_erased');
