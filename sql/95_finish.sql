-- Nothing to PUBLIC: what a role may call or read is granted to it.
REVOKE ALL ON ALL TABLES IN SCHEMA wf FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA wf FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA wf FROM PUBLIC;
-- The last thing in the script: when it commits, the launcher starts this database's workers.
SELECT wf._announce();
