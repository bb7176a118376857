//! What a binding costs single-row updates of the ERP, with pgbench: the same update on two tables of which one is
//! bound. Without synchronous commits, for the flush would hide it.

use std::fs;
use std::path::Path;
use std::process::Command;

use workflow_engine_tests::{Cluster, Session};

use crate::bulk::{BOUND, TWIN, create};
use crate::cluster::{self, DATABASE};
use crate::report::{alternate, figure, list, progress, ratios};
use crate::sizes::Sizes;

/// Measures `single_update_ratio` and `single_update_watched_ratio`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start_with(&[("workflow_engine.databases", "")]);
    let mut database = cluster.database(DATABASE);
    create(&mut database, sizes.bulk_rows);
    let updates = [
        ("single_update_ratio", "write_date = now()"),
        (
            "single_update_watched_ratio",
            "open_amount = open_amount + 1",
        ),
    ];
    for (name, set) in updates {
        let mut comparison = Comparison {
            cluster: &cluster,
            database: &mut database,
            set,
            rows: sizes.bulk_rows,
            seconds: sizes.pgbench_seconds,
        };
        // Once without counting, so that both tables have room for new versions.
        comparison.time(BOUND);
        comparison.time(TWIN);
        let (bound, twin) = alternate(
            sizes.erp_rounds,
            &mut comparison,
            &mut |comparison| comparison.time(BOUND),
            &mut |comparison| comparison.time(TWIN),
        );
        progress(format!(
            "{name}: bound {} µs, without binding {} µs",
            list(&bound),
            list(&twin)
        ));
        figure(name, "ratio", &ratios(&bound, &twin));
    }
}

/// An update, timed on either table.
struct Comparison<'a> {
    cluster: &'a Cluster,
    database: &'a mut Session,
    /// What the update sets.
    set: &'static str,
    /// Rows of each table.
    rows: u64,
    /// Length of a run.
    seconds: u64,
}

impl Comparison<'_> {
    /// Microseconds of one transaction, over a run of pgbench with one client.
    fn time(&mut self, table: &str) -> f64 {
        self.database.exec(&format!("VACUUM {table}"));
        self.database.exec("TRUNCATE wf.inbox");
        cluster::checkpoint(self.database);
        let script = self.cluster.folder().join("update.pgbench");
        let text = format!(
            "\\set id random(1, {})\nUPDATE public.{table} SET {} WHERE id = :id;\n",
            self.rows, self.set
        );
        fs::write(&script, text).expect("the cluster's folder can be written");
        let output = pgbench()
            .args(["--no-vacuum", "--protocol=prepared", "--client=1"])
            .arg(format!("--time={}", self.seconds))
            .arg("--file")
            .arg(&script)
            .arg("--host")
            .arg(self.cluster.folder())
            .args(["--username=postgres", DATABASE])
            .env("PGOPTIONS", "-c synchronous_commit=off")
            .output()
            .expect("pgbench runs; it comes with the server");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "pgbench: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let number = |label: &str| -> f64 {
            said.lines()
                .find_map(|line| line.strip_prefix(label))
                .and_then(|rest| rest.split(|c: char| c.is_whitespace() || c == '/').next())
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("pgbench says no {label:?}:\n{said}"))
        };
        assert!(number("number of transactions actually processed: ") > 0.0);
        assert!(number("number of failed transactions: ") == 0.0);
        1e6 / number("tps = ")
    }
}

/// The pgbench of the installation that is measured.
fn pgbench() -> Command {
    let pg_config = std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned());
    let output = Command::new(pg_config)
        .arg("--bindir")
        .output()
        .expect("pg_config runs");
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Command::new(Path::new(&folder).join("pgbench"))
}
