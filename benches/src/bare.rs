//! The bare tables: the rows that the engine has written, written again with no engine at all.
//!
//! The rows come from a copy inside the database and the loop runs on the server, so that neither the client nor the
//! way there counts. Values are copied, not made: no sequence, no uuid, no rendering, no JSON to check.

use std::time::{Duration, Instant};

use workflow_engine_tests::Session;

/// Message rows of one transaction; its share of the history rows goes with them.
const BATCH: u64 = 1000;

/// Copies what the engine has written, and makes empty tables that are defined as the engine's are: columns, defaults,
/// constraints, fillfactor, indexes, and history's partitions.
pub fn prepare(database: &mut Session) {
    let messages: u64 = database.one("SELECT count(*) FROM wf.outbox");
    let batches = messages.div_ceil(BATCH);
    // The same number of batches for both tables.
    let batch_by = |id: &str| {
        format!("(row_number() OVER (ORDER BY {id}) - 1) * {batches} / count(*) OVER () AS batch")
    };
    database.exec(&format!(
        "CREATE SCHEMA bare;
         CREATE UNLOGGED TABLE bare.messages AS
             SELECT o.*, {} FROM wf.outbox AS o ORDER BY message_id;
         CREATE INDEX ON bare.messages (batch);
         CREATE UNLOGGED TABLE bare.events AS
             SELECT h.*, {} FROM wf.history AS h WHERE h.event <> 'case_started' ORDER BY history_id;
         CREATE INDEX ON bare.events (batch);
         CREATE TABLE bare.outbox (LIKE wf.outbox INCLUDING ALL) WITH (fillfactor = 85);
         CREATE TABLE bare.history (LIKE wf.history INCLUDING ALL) PARTITION BY RANGE (at);
         DO $$
         DECLARE part record;
         BEGIN
             FOR part IN
                 SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds
                 FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'wf.history'::regclass
             LOOP
                 EXECUTE format('CREATE TABLE bare.%I PARTITION OF bare.history %s', part.relname, part.bounds);
             END LOOP;
         END $$",
        batch_by("message_id"),
        batch_by("history_id"),
    ));
    let messages = columns(database, "wf.outbox");
    let events = columns(database, "wf.history");
    database.exec(&format!(
        "CREATE PROCEDURE bare.fill() LANGUAGE plpgsql AS $$
         BEGIN
             FOR b IN 0 .. (SELECT max(batch) FROM bare.messages) LOOP
                 INSERT INTO bare.outbox ({messages}) OVERRIDING SYSTEM VALUE
                     SELECT {messages} FROM bare.messages WHERE batch = b;
                 INSERT INTO bare.history ({events})
                     SELECT {events} FROM bare.events WHERE batch = b;
                 COMMIT;
             END LOOP;
         END $$"
    ));
    // Separate statements: VACUUM runs in no transaction.
    for table in ["messages", "events"] {
        database.exec(&format!("VACUUM (ANALYZE, FREEZE) bare.{table}"));
    }
}

fn columns(database: &mut Session, table: &str) -> String {
    database.one(&format!(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
         WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped"
    ))
}

/// Writes all rows; how long it took.
pub fn fill(database: &mut Session) -> Duration {
    let start = Instant::now();
    database.exec("CALL bare.fill()");
    start.elapsed()
}

/// Panics unless all rows have been written.
pub fn check(database: &mut Session) {
    database.expect(
        "SELECT (SELECT count(*) FROM bare.outbox) = (SELECT count(*) FROM bare.messages),
                (SELECT count(*) FROM bare.history) = (SELECT count(*) FROM bare.events)",
        &["t | t"],
    );
}
