//! What a binding costs single-row updates of the ERP, with pgbench: the same update on two tables of which one is
//! bound. Without synchronous commits, for the flush would hide it.
//!
//! One update takes some tens of microseconds, and what is looked for is a few of them. To wake up a process on another core
//! takes as long as the update, now less and now more; so client and server share one core. Nobody else works meanwhile, and
//! there are many short runs on the two tables in turn: whatever slows the machine down for a second or two spoils a few rounds,
//! and not the median.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use workflow_engine_tests::{Cluster, Session};

use crate::bulk::{BOUND, TWIN, create};
use crate::cluster::{self, DATABASE};
use crate::report::{alternate, figure, list, progress, ratios};
use crate::sizes::Sizes;

/// The core of client and server.
const CORE: &str = "0";

/// Runs on each table before those that count.
const WARM_UPS: usize = 3;

/// Measures `single_update_ratio` and `single_update_watched_ratio`.
pub fn measure(sizes: &Sizes) {
    let cluster = cluster::start_with(&cluster::SILENCE);
    let mut database = cluster.database(DATABASE);
    create(&mut database, sizes.bulk_rows);
    share_a_core(&mut database);
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
            transactions: sizes.pgbench_transactions,
            runs: [0; 2],
        };
        // A few times without counting, so that both tables have room for new versions.
        for _ in 0..WARM_UPS {
            comparison.time(0);
            comparison.time(1);
        }
        cluster::checkpoint(comparison.database);
        comparison.time(0);
        comparison.time(1);
        let (bound, twin) = alternate(
            sizes.pgbench_rounds,
            &mut comparison,
            &mut |comparison| comparison.time(0),
            &mut |comparison| comparison.time(1),
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
    /// Updates of a run.
    transactions: u64,
    /// Runs so far on the bound table and on its twin.
    runs: [u64; 2],
}

impl Comparison<'_> {
    /// Microseconds of one transaction, over a run of pgbench with one client, on the bound table (0) or on its twin (1).
    fn time(&mut self, side: usize) -> f64 {
        let table = [BOUND, TWIN][side];
        self.runs[side] += 1;
        self.database.exec(&format!("VACUUM {table}"));
        self.database.exec("TRUNCATE wf.inbox");
        let script = self.cluster.folder().join("update.pgbench");
        let text = format!(
            "\\set id random(1, {})\nUPDATE public.{table} SET {} WHERE id = :id;\n",
            self.rows, self.set
        );
        fs::write(&script, text).expect("the cluster's folder can be written");
        let output = Command::new("taskset")
            .args(["--cpu-list", CORE])
            .arg(pgbench())
            .args(["--no-vacuum", "--protocol=prepared", "--client=1"])
            .arg(format!("--transactions={}", self.transactions))
            // The same keys on both sides.
            .arg(format!("--random-seed={}", self.runs[side]))
            .arg("--file")
            .arg(&script)
            .arg("--host")
            .arg(self.cluster.folder())
            .args(["--username=postgres", DATABASE])
            .env("PGOPTIONS", "-c synchronous_commit=off")
            .output()
            .expect("taskset and pgbench run; the latter comes with the server");
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
        assert!(number("number of transactions actually processed: ") == self.transactions as f64);
        assert!(number("number of failed transactions: ") == 0.0);
        1e6 / number("tps = ")
    }
}

/// Has the server start its processes on the one core from now on.
fn share_a_core(database: &mut Session) {
    let postmaster: String =
        database.one("SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)");
    let status = Command::new("taskset")
        .args(["--cpu-list", "--pid", CORE, &postmaster])
        .stdout(Stdio::null())
        .status()
        .expect("taskset runs; it comes with util-linux");
    assert!(status.success(), "taskset: {status}");
}

/// The pgbench of the installation that is measured.
fn pgbench() -> PathBuf {
    let pg_config = std::env::var("PG_CONFIG").unwrap_or_else(|_| "pg_config".to_owned());
    let output = Command::new(pg_config)
        .arg("--bindir")
        .output()
        .expect("pg_config runs");
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Path::new(&folder).join("pgbench")
}
