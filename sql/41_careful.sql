-- What a worker needs to find out what has ended the one before it, or the server. Neither table is saved by pg_dump: they
-- are about this server's processes.

-- A crash empties an unlogged table, a shutdown does not.
CREATE UNLOGGED TABLE wf.calm (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton)
);
INSERT INTO wf.calm DEFAULT VALUES;

CREATE TABLE wf.suspects (
    worker smallint NOT NULL,
    kind   "char" NOT NULL CHECK (kind IN ('s', 'i', 'm')),
    xid    bigint NOT NULL,
    id     bigint NOT NULL,
    tries  smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (worker, kind, xid, id)
);
-- As empty as wf.inbox most of the time.
ALTER TABLE wf.suspects SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE wf.calm IS 'One row, unless the server has crashed of late: workers that find none work carefully for ten minutes.';
COMMENT ON TABLE wf.suspects IS 'What workers are at that work carefully. When one ends in the middle of it, the next one finds here what it was at.';
COMMENT ON COLUMN wf.suspects.worker IS 'Which of the database''s workers, from 1.';
COMMENT ON COLUMN wf.suspects.kind IS 's: a case with a due step run; m: a case with a message to be rendered; i: a row of wf.inbox.';
COMMENT ON COLUMN wf.suspects.xid IS 'Of a row of wf.inbox; else 0.';
COMMENT ON COLUMN wf.suspects.tries IS 'How often it was worked on alone; 0: with others.';
