-- Who works from which queue, who is away, who stands in for whom, who is told, and which documents people brought.
-- The functions are in src/people/.

-- The persons who work from a queue.
CREATE TABLE wf.members (
    queue  text NOT NULL REFERENCES wf.participants ON DELETE CASCADE,
    member text NOT NULL REFERENCES wf.participants ON DELETE CASCADE,
    PRIMARY KEY (queue, member),
    CHECK (queue <> member)
);
CREATE INDEX members_member ON wf.members (member);
COMMENT ON TABLE wf.members IS 'The persons who work from a queue.';

CREATE TABLE wf.absences (
    absence_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    participant  text NOT NULL REFERENCES wf.participants ON DELETE CASCADE,
    substitute   text REFERENCES wf.participants ON DELETE SET NULL,
    absent_from  timestamptz NOT NULL,
    absent_until timestamptz NOT NULL,
    set_by       text NOT NULL,
    CHECK (absent_from < absent_until),
    CHECK (participant <> substitute)
);
CREATE INDEX absences_participant ON wf.absences (participant, absent_until);
COMMENT ON TABLE wf.absences IS 'Who is away from when until when, and who stands in.';
COMMENT ON COLUMN wf.absences.absent_until IS 'The moment of the return; tasks that come from then on are theirs again.';

-- Who stands in for a participant, in a case or on an account. Only ever added to, and the latest row counts: two that
-- assign at once do not wait for each other.
CREATE TABLE wf.assignments (
    assignment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    participant   text NOT NULL,
    case_id       bigint,
    account       text,
    assignee      text NOT NULL,
    assigned_at   timestamptz NOT NULL,
    assigned_by   text NOT NULL,
    CHECK (num_nonnulls(case_id, account) = 1)
);
CREATE INDEX assignments_case ON wf.assignments (participant, case_id, assignment_id) WHERE case_id IS NOT NULL;
CREATE INDEX assignments_account ON wf.assignments (participant, account, assignment_id) WHERE account IS NOT NULL;
COMMENT ON TABLE wf.assignments IS 'Who stands in for a participant in a case or on an account; the latest row counts, a case''s own before its account''s.';

CREATE TABLE wf.notifications (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL,
    participant     text,
    kind            text NOT NULL,
    body            text NOT NULL,
    case_id         bigint NOT NULL,
    step_no         smallint,
    visit           smallint,
    task_id         bigint,
    taken_at        timestamptz,
    taken_by        text
);
CREATE INDEX notifications_waiting ON wf.notifications (notification_id) WHERE taken_at IS NULL;
COMMENT ON TABLE wf.notifications IS 'Alerts for people, waiting and taken. For those that wait, see wf.alerts.';
COMMENT ON COLUMN wf.notifications.participant IS 'Who is to be told; null if an overdue task has nobody to go to.';

CREATE TABLE wf.documents (
    document_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id     bigint NOT NULL,
    step_no     smallint NOT NULL,
    visit       smallint NOT NULL,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    reference   text NOT NULL,
    name        text,
    kind        text
);
CREATE INDEX documents_case ON wf.documents (case_id);
COMMENT ON TABLE wf.documents IS 'Documents that people brought to file steps.';
COMMENT ON COLUMN wf.documents.reference IS 'Where it lies; the database keeps no content.';
COMMENT ON COLUMN wf.documents.kind IS 'Its type: as given, or the extension of its name.';

-- The two look-ups of a new task. Most databases have no rows for them, so the engine asks whether there are any before
-- it calls them.
CREATE FUNCTION wf._assignee(case_id bigint, participant text) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT coalesce(
        (SELECT a.assignee FROM wf.assignments AS a
         WHERE a.participant = $2 AND a.case_id = $1 ORDER BY a.assignment_id DESC LIMIT 1),
        (SELECT a.assignee FROM wf.assignments AS a
         JOIN wf.cases AS c ON c.account = a.account
         WHERE a.participant = $2 AND c.case_id = $1 AND a.account IS NOT NULL
         ORDER BY a.assignment_id DESC LIMIT 1),
        $2)
$$;
COMMENT ON FUNCTION wf._assignee(bigint, text) IS
    'Internal: who stands in for a participant in a case; the participant itself if nobody was assigned.';

-- Follows substitutes who are away themselves. The way ends with somebody who is there; if it runs into a ring, or to
-- somebody away without a substitute, nobody stands in.
CREATE FUNCTION wf._substitute(participant text, at timestamptz) RETURNS text
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    WITH RECURSIVE way (participant, position, passed) AS (
        SELECT $1, 0, ARRAY[$1]
        UNION ALL
        SELECT a.substitute, w.position + 1, w.passed || a.substitute
        FROM way AS w
        CROSS JOIN LATERAL (
            SELECT b.substitute FROM wf.absences AS b
            WHERE b.participant = w.participant AND b.absent_from <= $2 AND b.absent_until > $2
            ORDER BY b.absence_id DESC LIMIT 1) AS a
        WHERE a.substitute <> ALL (w.passed))
    SELECT w.participant FROM way AS w
    WHERE w.position > 0
      AND NOT EXISTS (SELECT FROM wf.absences AS b
                      WHERE b.participant = w.participant AND b.absent_from <= $2 AND b.absent_until > $2)
$$;
COMMENT ON FUNCTION wf._substitute(text, timestamptz) IS
    'Internal: who stands in for a participant who is away then; null if it is there, or nobody can.';

CREATE TYPE wf.assigned_task AS (
    task_id      bigint,
    case_id      bigint,
    step         text,
    participant  text,     -- whose it is
    claimed_by   text,     -- who works on it
    substitute   text,
    due_at       timestamptz
);
COMMENT ON TYPE wf.assigned_task IS 'A task and who is at it, as the functions return it that hand tasks on.';

CREATE FUNCTION wf.claim_task(task_id bigint, participant text DEFAULT NULL)
    RETURNS SETOF wf.assigned_task
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'claim_task_wrapper';
COMMENT ON FUNCTION wf.claim_task(bigint, text) IS
    'Takes a task to work on it: from then on it is not for the others of its queue. An application may name the person for whom it acts. The same call again is no error. Unknown task: P0002; claimed by another or settled: 55000; not for you: 42501.';

CREATE FUNCTION wf.release_task(task_id bigint, reason text DEFAULT NULL)
    RETURNS SETOF wf.assigned_task
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'release_task_wrapper';
COMMENT ON FUNCTION wf.release_task(bigint, text) IS
    'Gives a claimed or delegated task back to its queue or person. For whoever works on it, and managers. Unknown task: P0002; settled: 55000; not yours: 42501.';

CREATE FUNCTION wf.delegate_task(task_id bigint, participant text, reason text DEFAULT NULL)
    RETURNS SETOF wf.assigned_task
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'delegate_task_wrapper';
COMMENT ON FUNCTION wf.delegate_task(bigint, text, text) IS
    'Lets another person do a task: it stays that of its participant, who sees it, and goes back there when released. For whoever may settle it. Unknown task: P0002; unknown participant: 42704; a queue: 22023; settled: 55000; not yours: 42501.';

CREATE FUNCTION wf.reassign_task(task_id bigint, participant text, reason text DEFAULT NULL)
    RETURNS SETOF wf.assigned_task
    LANGUAGE c ROWS 1 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'reassign_task_wrapper';
COMMENT ON FUNCTION wf.reassign_task(bigint, text, text) IS
    'Gives a task to another person or queue for good, whoever works on it. For managers: the right to call it is the check. Unknown task: P0002; unknown participant: 42704; settled: 55000.';

CREATE FUNCTION wf.assign(case_id bigint, participant text, assignee text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'assign_wrapper';
COMMENT ON FUNCTION wf.assign(bigint, text, text, text) IS
    'From now on the assignee stands in for a participant in a case: later manual steps that name the participant go to them. Open tasks stay where they are. Unknown case: P0002; unknown assignee: 42704.';

CREATE FUNCTION wf.assign_account(account text, participant text, assignee text) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'assign_account_wrapper';
COMMENT ON FUNCTION wf.assign_account(text, text, text) IS
    'As wf.assign, for all cases of an account, those to come included; what is assigned in a case goes before. Unknown assignee: 42704.';

CREATE FUNCTION wf.set_participant(participant text, role text DEFAULT NULL, title text DEFAULT NULL,
                                   manager text DEFAULT NULL, kind text DEFAULT NULL) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_participant_wrapper';
COMMENT ON FUNCTION wf.set_participant(text, text, text, text, text) IS
    'Enters a participant of the workflows, or changes one. kind: person or queue; without it, a role that may log in is a person and anything else a queue. With a role, only members of the role, its manager and the workflow''s owner may settle its tasks; without one, and without members who have one, anybody who may call wf.complete can. Unknown role or manager: 42704; another kind: 22023.';

CREATE FUNCTION wf.set_members(queue text, members text[]) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_members_wrapper';
COMMENT ON FUNCTION wf.set_members(text, text[]) IS
    'Says who works from a queue: these persons and nobody else. Unknown participant: 42704; a queue as a member, or a person as the queue: 22023.';

CREATE FUNCTION wf.set_absence(participant text, absent_from timestamptz, absent_until timestamptz,
                               substitute text DEFAULT NULL, open_tasks boolean DEFAULT false) RETURNS bigint
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'set_absence_wrapper';
COMMENT ON FUNCTION wf.set_absence(text, timestamptz, timestamptz, text, boolean) IS
    'Notes that a person is away: tasks that come meanwhile also go to the substitute, with open_tasks those that are open, too. For oneself, one''s manager, and managers. Returns its number. Unknown participant: 42704; times that are no span: 22023; somebody else: 42501.';

CREATE FUNCTION wf.cancel_absence(absence_id bigint) RETURNS void
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'cancel_absence_wrapper';
COMMENT ON FUNCTION wf.cancel_absence(bigint) IS
    'Takes an absence back, or ends it now if it has begun. Tasks that a substitute has got stay visible to both. Unknown: P0002; somebody else''s: 42501.';

CREATE FUNCTION wf.take_alerts(max integer DEFAULT 100, participant text DEFAULT NULL)
    RETURNS TABLE (notification_id bigint, at timestamptz, participant text, kind text, body text, task_id bigint,
                   case_id bigint)
    LANGUAGE c SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'take_alerts_wrapper';
COMMENT ON FUNCTION wf.take_alerts(integer, text) IS
    'Takes alerts that nobody has taken, the oldest first, of one participant if one is named; they are taken when the transaction commits. LISTEN wf_alerts tells when there are new ones; the payload is the participant.';
