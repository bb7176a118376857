//! The bare tables: the rows that the engine has left, written by plain inserts with no engine at all.
//!
//! The rows come from a copy inside the database and the loop runs on the server, so that neither the client nor the
//! way there counts. Ids and idempotency keys are made by the tables' defaults, as in any insert; all other values are
//! copied: no rendering, no dates, no JSON to check.

use std::time::{Duration, Instant};

use workflow_engine_tests::Session;

/// Cases whose rows one round of inserts writes.
const BATCH: u64 = 1000;

/// One of the engine's tables and those of its rows that are written again.
pub struct Part {
    table: &'static str,
    /// SQL condition.
    rows: &'static str,
    /// Columns that the table's own defaults make.
    made: &'static [&'static str],
}

/// What the worker has written of cases that have ended: messages, history but for the beginning, and the last versions
/// of the cases. It writes nothing of their subjects.
pub const WORKED: &[Part] = &[
    CASES,
    Part {
        table: "outbox",
        rows: "true",
        made: &["message_id", "idempotency_key"],
    },
    Part {
        table: "history",
        rows: "event <> 'case_started'",
        made: &["history_id"],
    },
];

/// What starting has written of cases that wait.
pub const STARTED: &[Part] = &[
    CASES,
    Part {
        table: "case_subjects",
        rows: "true",
        made: &[],
    },
    Part {
        table: "case_steps",
        rows: "true",
        made: &[],
    },
    Part {
        table: "history",
        rows: "true",
        made: &["history_id"],
    },
];

const CASES: Part = Part {
    table: "cases",
    rows: "true",
    made: &["case_id"],
};

/// When the inserts are committed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// After the rows of each thousand cases.
    EachBatch,
    /// Once, at the end.
    Once,
}

/// Copies what the engine has written, and makes empty tables that are defined as the engine's are: columns, defaults,
/// constraints, fillfactor, indexes, and history's partitions.
pub fn prepare(database: &mut Session, parts: &[Part], commits: Commits) {
    database.exec("CREATE SCHEMA bare; CREATE SCHEMA source");
    let mut inserts = String::new();
    for part in parts {
        let Part { table, rows, made } = part;
        database.exec(&format!(
            "CREATE UNLOGGED TABLE source.{table} AS
                 SELECT t.*, (t.case_id - (SELECT min(case_id) FROM wf.cases)) / {BATCH} AS batch
                 FROM wf.{table} AS t WHERE {rows} ORDER BY case_id;
             CREATE INDEX ON source.{table} (batch)"
        ));
        // By itself: VACUUM runs in no transaction.
        database.exec(&format!("VACUUM (ANALYZE, FREEZE) source.{table}"));
        make_table(database, table);
        let columns = columns(database, table, made).join(", ");
        inserts.push_str(&format!(
            "INSERT INTO bare.{table} ({columns}) SELECT {columns} FROM source.{table} WHERE batch = b;\n"
        ));
    }
    let (each, end) = match commits {
        Commits::EachBatch => ("COMMIT;", ""),
        Commits::Once => ("", "COMMIT;"),
    };
    database.exec(&format!(
        "CREATE PROCEDURE bare.fill() LANGUAGE plpgsql AS $$
         BEGIN
             FOR b IN 0 .. (SELECT max(batch) FROM source.cases) LOOP
                 {inserts}
                 {each}
             END LOOP;
             {end}
         END $$"
    ));
}

/// An empty table like the engine's.
fn make_table(database: &mut Session, table: &str) {
    database.exec(&format!(
        "DO $do$
         DECLARE
             here record;
             part record;
         BEGIN
             SELECT c.relkind, coalesce('WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS options,
                    pg_get_partkeydef(c.oid) AS key
             INTO here FROM pg_class AS c WHERE c.oid = 'wf.{table}'::regclass;
             IF here.relkind <> 'p' THEN
                 EXECUTE 'CREATE TABLE bare.{table} (LIKE wf.{table} INCLUDING ALL) ' || here.options;
                 RETURN;
             END IF;
             EXECUTE 'CREATE TABLE bare.{table} (LIKE wf.{table} INCLUDING ALL) PARTITION BY ' || here.key;
             FOR part IN
                 SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds,
                        coalesce('WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS options
                 FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'wf.{table}'::regclass
             LOOP
                 -- Each month has indexes of its own.
                 EXECUTE format('CREATE TABLE bare.%I (LIKE wf.%1$I INCLUDING ALL) %s', part.relname, part.options);
                 EXECUTE format('ALTER TABLE bare.{table} ATTACH PARTITION bare.%I %s', part.relname, part.bounds);
             END LOOP;
         END $do$"
    ));
    if table == "history" {
        // A default is copied with the sequence that it names.
        database.exec(
            "DO $do$
             BEGIN
                 EXECUTE (SELECT format('CREATE SEQUENCE bare.history_id_seq CACHE %s', s.seqcache)
                          FROM pg_sequence AS s WHERE s.seqrelid = 'wf.history_id_seq'::regclass);
             END $do$;
             ALTER TABLE bare.history ALTER history_id SET DEFAULT nextval('bare.history_id_seq')",
        );
    }
}

/// The columns of one of the engine's tables, but for some, quoted.
pub fn columns(database: &mut Session, table: &str, except: &[&str]) -> Vec<String> {
    database.lines(&format!(
        "SELECT quote_ident(attname) FROM pg_attribute
         WHERE attrelid = 'wf.{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attname <> ALL ('{{{}}}')
         ORDER BY attnum",
        except.join(",")
    ))
}

/// What filling the bare tables took.
pub struct Filled {
    /// From the call to its end, commits included.
    pub time: Duration,
    /// How many rows of each table, for people.
    pub rows: String,
}

/// Writes all rows, and panics unless all are there then.
pub fn fill(database: &mut Session, parts: &[Part]) -> Filled {
    crate::cluster::checkpoint(database);
    let start = Instant::now();
    database.exec("CALL bare.fill()");
    let time = start.elapsed();
    let mut rows = Vec::new();
    for Part { table, .. } in parts {
        let wanted: u64 = database.one(&format!("SELECT count(*) FROM source.{table}"));
        let there: u64 = database.one(&format!("SELECT count(*) FROM bare.{table}"));
        assert_eq!(there, wanted, "rows in bare.{table}");
        rows.push(format!("{there} {table}"));
    }
    Filled {
        time,
        rows: rows.join(", "),
    }
}
