-- From 0.1.0 to 0.2.0-dev. What follows must make the same of 0.1.0 as a new installation does (tests/upgrade).

-- The last thing in the script: when it commits, workers that have been waiting for it look again.
SELECT wf._announce();
