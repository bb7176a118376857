-- Who may do what: five sets of rights, given to roles of the database. Nothing is granted to PUBLIC, and no set lets a
-- role write to a table: writing is done by functions, which check each call.

-- Both functions grant as the caller, who must be a superuser or the extension's owner; the check makes the refusal
-- readable. SECURITY INVOKER: whoever is given EXECUTE on them gains nothing by it.
CREATE FUNCTION wf.grant_role(role regrole, kind text, channels text[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    functions text[];
    views     text[];
    tables    text[] := '{clock}';  -- wf.now() reads it as its caller
    statement text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e
                   WHERE e.extname = 'workflow_engine' AND pg_has_role(current_user, e.extowner, 'USAGE')) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'permission denied to grant rights on workflow_engine',
            DETAIL = 'Only a superuser and the owner of the extension may do so.',
            HINT = 'Have one of them call wf.grant_role.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'no role is given',
            HINT = 'Name an existing role, for example wf.grant_role(''clerk'', ''agent'').';
    END IF;

    IF channels IS NOT NULL AND (kind <> 'sender' OR channels = '{}'
                                 OR NOT coalesce(channels <@ ARRAY['email', 'sms', 'letter', 'voice', 'ticket'], false)) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('channels %s cannot be given to a %s', channels, kind),
            HINT = 'Give a sender one or more of email, sms, letter, voice and ticket, and other kinds none.';
    END IF;

    CASE kind
        WHEN 'owner' THEN
            -- Whatever there is but the clock, the rights themselves, and what only triggers and the engine call.
            SELECT array_agg(DISTINCT p.proname::text) INTO functions
              FROM pg_proc AS p
             WHERE p.pronamespace = 'wf'::regnamespace AND p.prorettype <> 'trigger'::regtype
               AND p.proname NOT IN ('set_clock', 'clear_clock', 'grant_role', 'revoke_role')
               -- wf.run_due and the views call these as their caller
               AND (p.proname NOT LIKE '\_%' OR p.proname IN ('_run_round', '_every_case', '_sees_all', '_my_cases', '_my_tasks'));
            SELECT array_agg(c.relname::text) INTO tables
              FROM pg_class AS c
              JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
             WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p');
        WHEN 'manager' THEN
            functions := '{_every_case,_sees_all,_my_cases,_my_tasks,now,workers,start,start_many,complete,complete_step,advance,branch,cancel,hold,release,release_hold,set_hold_kind,
                add_subject,remove_subject,set_strategy,pause_strategy,resume_strategy,stop_strategy,
                set_contact_policy,drop_contact_policy,opt_out,opt_in,log_contact,stop_contact,resume_contact,
                claim_task,release_task,delegate_task,reassign_task,assign,assign_account,
                set_members,set_absence,cancel_absence,take_alerts,
                signal,push_button,cancel_step,cancel_phase,
                retry,skip,reconcile,migrate,validate,validate_document,document_schema,export,diagram,explain,simulate,
                define,import,clone,publish,enable,disable,
                create_workflow,set_workflow,rename_workflow,drop_workflow,add_phase,rename_phase,remove_phase,
                charge,waive_charge,promise,withdraw_promise,agree_plan,dispute,settle_dispute,
                erase_account,verify_history,history_head,
                add_step,set_step,move_step,remove_step,add_transition,remove_transition,save,discard}';
            tables := tables || '{case_links,section_places,notes,documents,absences,members,charges,tasks,holds,hold_kinds,
                contact_policies,contact_choices,contact_log,contact_stops}'::text[];
        WHEN 'agent' THEN
            functions := '{_sees_all,_my_cases,_my_tasks,now,promise,agree_plan,dispute,complete,complete_step,push_button,branch,hold,release,release_hold,
                opt_out,opt_in,log_contact,
                claim_task,release_task,delegate_task,set_absence,cancel_absence,diagram,explain}';
            views := '{worklist,my_worklist,case_progress,case_timeline,case_members,strategy_status}';
            tables := tables || '{tasks,notes,documents,holds,hold_kinds}'::text[];
        WHEN 'sender' THEN
            functions := '{now,take_alerts,lease_messages,ack_messages,fail_messages,report_delivery,opt_out,opt_in}';
            views := '{}';
        WHEN 'reader' THEN
            functions := '{_every_case,_sees_all,_my_cases,_my_tasks,now,workers,diagram,explain,verify_history,history_head}';
            tables := tables || '{charges,promises,disputes}'::text[];
        ELSE
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
                MESSAGE = format('there is no kind of role %L', kind),
                HINT = 'The kinds are owner, manager, agent, sender and reader.';
    END CASE;

    IF kind = 'sender' THEN
        DELETE FROM wf.sender_channels AS s WHERE s.role = grant_role.role;
        INSERT INTO wf.sender_channels (role, channel) SELECT DISTINCT grant_role.role, c.name FROM unnest(channels) AS c (name);
    END IF;
    PERFORM wf._protect_rows();
    FOR statement IN
        SELECT format('GRANT USAGE ON SCHEMA wf TO %s', role)
        UNION ALL
        SELECT format('GRANT EXECUTE ON ROUTINE %s TO %s', p.oid::regprocedure, role)
          FROM pg_proc AS p
         WHERE p.pronamespace = 'wf'::regnamespace AND p.proname::text = ANY (functions)
        UNION ALL
        SELECT format('GRANT SELECT ON %s TO %s', c.oid::regclass, role)
          FROM pg_class AS c
         WHERE c.relnamespace = 'wf'::regnamespace
           AND CASE c.relkind
                   -- The views of the subjects' cases come with any of ours, but not for agents: they show all cases.
                   WHEN 'v' THEN views IS NULL OR c.relname::text = ANY (views)
                        OR views <> '{}' AND kind <> 'agent' AND EXISTS (SELECT FROM wf.subjects AS s WHERE s.name || '_cases' = c.relname)
                   WHEN 'r' THEN c.relname::text = ANY (tables)
                   WHEN 'p' THEN c.relname::text = ANY (tables)
                   ELSE false END
        UNION ALL
        -- So that a role which may make tables can make one from what a view shows.
        SELECT format('GRANT USAGE ON TYPE %s TO %s', t.oid::regtype, role)
          FROM pg_type AS t
         WHERE t.typnamespace = 'wf'::regnamespace AND t.typtype = 'e'
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION wf.grant_role(regrole, text, text[]) IS
    'Gives a role the rights of a kind. owner: everything but the clock; manager: makes and edits workflows of its own, starts, moves and ends cases, and sees everything; agent: settles tasks, puts cases on hold, and sees the tasks and cases that are theirs or their queues'', and no others; sender: leases and reports messages, of all channels or of those given; reader: sees all views. A role may have several. Call it again after binding a subject, for the view of its cases. Only for a superuser or the owner of the extension: 42501.';

CREATE FUNCTION wf.revoke_role(role regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    statement text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e
                   WHERE e.extname = 'workflow_engine' AND pg_has_role(current_user, e.extowner, 'USAGE')) THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = 'permission denied to revoke rights on workflow_engine',
            DETAIL = 'Only a superuser and the owner of the extension may do so.',
            HINT = 'Have one of them call wf.revoke_role.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'no role is given',
            HINT = 'Name an existing role.';
    END IF;
    IF EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'workflow_engine' AND e.extowner = role) THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('role %s owns the extension', role),
            DETAIL = 'Its rights are those of the owner; the engine itself works with them.';
    END IF;

    DELETE FROM wf.sender_channels AS s WHERE s.role = revoke_role.role;
    FOR statement IN
        SELECT format('REVOKE ALL ON SCHEMA wf FROM %s', role)
        UNION ALL
        SELECT format('REVOKE ALL ON ALL ROUTINES IN SCHEMA wf FROM %s', role)
        UNION ALL
        SELECT format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA wf FROM %s', role)
        UNION ALL
        -- Who owns a subject sees the view of its cases by that.
        SELECT format('REVOKE ALL ON %s FROM %s', c.oid::regclass, role)
          FROM pg_class AS c
         WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p', 'v')
           AND NOT EXISTS (SELECT FROM wf.subjects AS s WHERE s.name || '_cases' = c.relname AND s.owner = role)
        UNION ALL
        SELECT format('REVOKE ALL ON TYPE %s FROM %s', t.oid::regtype, role)
          FROM pg_type AS t
         WHERE t.typnamespace = 'wf'::regnamespace AND t.typtype = 'e'
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION wf.revoke_role(regrole) IS
    'Takes back all rights that wf.grant_role gave a role, whatever their kinds. What it has by other roles, or by owning a subject, stays. Only for a superuser or the owner of the extension: 42501.';

SELECT wf._protect_rows();
