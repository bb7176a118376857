-- The last thing in the script: when it commits, the launcher starts this database's workers.
SELECT wf._announce();
