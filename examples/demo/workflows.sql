-- Installs the engine, binds the ERP's tables, and imports the example packages. Variable: start.

CREATE EXTENSION workflow_engine;
SELECT wf.set_clock(date :'start' + time '06:00');

\ir bind.sql

-- Each package is one document. Publishing checks it; enabling enrols the rows that match its start rule already.
\set document `cat examples/claims.json`
SELECT * FROM wf.import(:'document');
SELECT wf.publish('claims');
SELECT wf.enable('claims');
\set document `cat examples/reminders.json`
SELECT * FROM wf.import(:'document');
SELECT wf.publish('reminders');
SELECT wf.enable('reminders');
\set document `cat examples/dunning.json`
SELECT * FROM wf.import(:'document');
SELECT wf.publish('dunning');
SELECT wf.enable('dunning');
\set document `cat examples/call-follow-up.json`
SELECT * FROM wf.import(:'document');
SELECT wf.publish('call-follow-up');
SELECT wf.enable('call-follow-up');
\set document `cat examples/scope-10.json`
SELECT * FROM wf.import(:'document');
SELECT wf.publish('scope-10');
SELECT wf.enable('scope-10');
