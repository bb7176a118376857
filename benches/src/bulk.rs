//! What a binding costs the ERP's own bulk statements: the same statement on two tables with the same rows, of which
//! one is bound.

use std::time::Instant;

use workflow_engine_tests::Session;

use crate::cluster;
use crate::report::{alternate, figure, list, progress, ratios};
use crate::sizes::Sizes;
use crate::workload;

/// The table that is bound.
pub const BOUND: &str = "sale_bound";
/// Its twin without a binding.
pub const TWIN: &str = "sale_twin";

/// Runs of a statement on each table before those that count.
const WARM_UPS: usize = 3;

/// Makes the two tables with so many rows and binds one of them. There are no workers: the ERP's statement is measured,
/// not what follows from it.
pub fn create(database: &mut Session, rows: u64) {
    workload::erp(database);
    for table in [BOUND, TWIN] {
        // The key is the only index, and there are no foreign keys: whatever else a table has, both have it.
        database.exec(&format!(
            "CREATE TABLE {table} (LIKE invoice INCLUDING ALL, write_date timestamptz);
             {}",
            insert(table, 1, rows)
        ));
    }
    database.exec(&format!(
        "SELECT wf.bind_subject('sale', 'public.{BOUND}', key => 'id', watch => 'state, due_date, open_amount')"
    ));
}

fn insert(table: &str, from: u64, to: u64) -> String {
    format!(
        "INSERT INTO {table}
         SELECT n, '2024-' || lpad(n::text, 7, '0'), 100 + n / 10, 'posted', '2024-01-01'::date + (n % 366)::int,
                round((10 + (n * 7919 % 100000) / 7.0)::numeric, 2), 'EUR', now()
         FROM generate_series({from}::bigint, {to}) AS n"
    )
}

/// Measures `bulk_update_unwatched_ratio`, `bulk_update_watched_ratio` and `bulk_insert_ratio`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start_with(&cluster::SILENCE);
    let mut database = cluster.database(cluster::DATABASE);
    let rows = sizes.bulk_rows;
    create(&mut database, rows);
    let statements: [(&str, Statement, u64); 3] = [
        (
            "bulk_update_unwatched_ratio",
            &|table, _| format!("UPDATE {table} SET write_date = now() WHERE id <= {rows}"),
            0,
        ),
        (
            "bulk_update_watched_ratio",
            &|table, _| {
                format!("UPDATE {table} SET open_amount = open_amount + 1 WHERE id <= {rows}")
            },
            rows,
        ),
        (
            "bulk_insert_ratio",
            &|table, run| insert(table, run * rows + 1, (run + 1) * rows),
            rows,
        ),
    ];
    for (name, statement, noted) in statements {
        let mut comparison = Comparison {
            database: &mut database,
            statement,
            rows,
            noted,
            runs: [0; 2],
        };
        // A few times without counting: plans, caches, the tables' room for new versions, the WAL's files.
        for _ in 0..WARM_UPS {
            comparison.time(0);
            comparison.time(1);
        }
        let (bound, twin) = alternate(
            sizes.erp_rounds,
            &mut comparison,
            &mut |comparison| comparison.time(0),
            &mut |comparison| comparison.time(1),
        );
        progress(format!(
            "{name}: bound {} ms, without binding {} ms",
            list(&bound),
            list(&twin)
        ));
        figure(name, "ratio", &ratios(&bound, &twin));
    }
}

/// Gives the statement for a table and the number of this run on it, from 1.
type Statement<'a> = &'a dyn Fn(&str, u64) -> String;

/// A statement, timed on either table.
struct Comparison<'a> {
    database: &'a mut Session,
    statement: Statement<'a>,
    /// Rows that it writes.
    rows: u64,
    /// Keys that the inbox has afterwards, when the table is bound.
    noted: u64,
    /// Runs so far on the bound table and on its twin.
    runs: [u64; 2],
}

impl Comparison<'_> {
    /// Milliseconds of the statement, which is its own transaction, on the bound table (0) or on its twin (1).
    fn time(&mut self, side: usize) -> f64 {
        let table = [BOUND, TWIN][side];
        self.runs[side] += 1;
        let sql = (self.statement)(table, self.runs[side]);
        self.database.exec(&format!("VACUUM {table}"));
        self.database.exec("TRUNCATE wf.inbox");
        cluster::checkpoint(self.database);
        let start = Instant::now();
        self.database.exec(&sql);
        let time = start.elapsed();
        // The rows that the youngest transaction has written.
        self.database.expect(
            &format!(
                "SELECT count(*) FROM {table} GROUP BY xmin::text ORDER BY xmin::text::bigint DESC LIMIT 1"
            ),
            &[self.rows],
        );
        self.database.expect(
            // One row may hold many keys.
            "SELECT coalesce(sum(coalesce(packed, 1)), 0) FROM wf.inbox",
            &[if side == 0 { self.noted } else { 0 }],
        );
        time.as_secs_f64() * 1000.0
    }
}
