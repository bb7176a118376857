//! Dumps: what is restored is what was there, nobody acts on half of it, and the work goes on.

use std::path::PathBuf;

use workflow_engine_tests::{
    Cluster, Options, Session, assert_same, at_rest, eventually, everything, office,
};

/// What the engine makes of what has not been looked at yet, without the times and the keys that are random.
const OUTCOME: [&str; 5] = [
    "SELECT * FROM probe.cases()",
    "SELECT * FROM probe.open()",
    "SELECT * FROM probe.tasks()",
    "SELECT message_id, case_id, step, channel, state, leaves, reason FROM probe.outbox()",
    "SELECT case_id, step, event, outcome, count(*) FROM probe.history() GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
];

/// The copy, with the sessions' ordinary triggers out of action.
const AS_REPLICA: &str = "--dbname=dbname=copy options='-c session_replication_role=replica'";

/// A cluster with the office in `shop`, where nobody acts, and workers for the database `copy`.
struct Dumped {
    cluster: Cluster,
    shop: Session,
    file: PathBuf,
}

impl Dumped {
    fn with(arguments: &[&str]) -> Self {
        let cluster = Cluster::start(&Options::default().set("workflow_engine.databases", "copy"));
        let mut shop = cluster.database("shop");
        office(&mut shop);
        let file = cluster.folder().join("dump");
        let dumped = Self {
            cluster,
            shop,
            file,
        };
        dumped.dump(arguments);
        dumped
    }

    fn dump(&self, arguments: &[&str]) {
        let mut all = vec!["--dbname=shop", "--file", self.path()];
        all.extend(arguments);
        self.cluster.run("pg_dump", &all);
    }

    fn path(&self) -> &str {
        self.file.to_str().expect("a path of ASCII")
    }

    /// A new database in which the workers are off, as an administrator makes it before a restore.
    fn new_database(&self) {
        let mut session = self.cluster.connect("postgres");
        session.exec("CREATE DATABASE copy");
        session.exec("ALTER DATABASE copy SET workflow_engine.enabled = off");
    }

    fn psql(&self, arguments: &[&str]) {
        let mut all = vec![
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--output=/dev/null",
        ];
        if !arguments.contains(&AS_REPLICA) {
            all.push("--dbname=copy");
        }
        all.extend(arguments);
        self.cluster.run("psql", &all);
    }

    /// Asserts that the copy is as the office was, while a worker stands by; then lets it go on, and asserts that it comes
    /// to what the office itself comes to.
    fn goes_on(mut self) -> (Cluster, Session) {
        let mut copy = self.cluster.connect("copy");
        eventually("a worker that is off", || {
            let state = copy.lines("SELECT state FROM wf.workers() WHERE database = 'copy'");
            (state == ["off"]).then_some(())
        });
        assert_same(&everything(&mut self.shop), &everything(&mut copy));
        // The chain of hashes over history holds.
        copy.expect(
            "SELECT count(*) FROM wf.verify_history() WHERE status <> 'ok'",
            &[0],
        );
        copy.expect(
            "SELECT \"check\", status FROM wf.health WHERE \"check\" IN ('triggers', 'subjects')",
            &["subjects | ok", "triggers | ok"],
        );

        self.shop.run_due();
        copy.exec("ALTER DATABASE copy RESET workflow_engine.enabled");
        at_rest(&mut copy);
        for outcome in OUTCOME {
            assert_eq!(copy.lines(outcome), self.shop.lines(outcome), "{outcome}");
        }
        // New rows get new ids, whatever the kind; and what the ERP does is noted. Both by hand, so that the order is one.
        copy.exec("ALTER DATABASE copy SET workflow_engine.enabled = off");
        eventually("a worker that is off", || {
            let state = copy.lines("SELECT state FROM wf.workers() WHERE database = 'copy'");
            (state == ["off"]).then_some(())
        });
        for session in [&mut self.shop, &mut copy] {
            session.exec(
                "INSERT INTO invoice VALUES (100, 'INV-100', 1, 'posted', '2026-03-01', 70, 'EUR'); \
                 INSERT INTO claim VALUES ('N1', 'A-9', 'open', '2026-05-01', 500); \
                 INSERT INTO remark VALUES ('C3', 'Again.'); \
                 UPDATE claim SET state = 'paid' WHERE id = 'C5'; \
                 SELECT wf.define(wf.export('reach')); SELECT wf.publish('reach'); \
                 SELECT wf.start('reach', 3::bigint); SELECT wf.start('odd', 4::bigint); SELECT wf.start('file', 3::bigint)",
            );
            session.run_due();
        }
        for outcome in OUTCOME {
            assert_eq!(copy.lines(outcome), self.shop.lines(outcome), "{outcome}");
        }
        (self.cluster, copy)
    }
}

#[test]
fn a_restored_dump_is_the_same_and_goes_on_from_there() {
    let dumped = Dumped::with(&[]);
    dumped.new_database();
    dumped.psql(&["--file", dumped.path()]);
    let (cluster, mut copy) = dumped.goes_on();
    // The views of the subjects belong to the extension again.
    copy.exec("DROP EXTENSION workflow_engine");
    copy.expect(
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'wf'",
        &[0],
    );
    copy.expect(
        "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'wf\\_%'",
        &[0],
    );
    drop(cluster);
}

/// Several processes load the tables in any order: as replicas they do not ask for the rows that others refer to.
#[test]
fn an_archive_is_restored_by_two_processes() {
    let dumped = Dumped::with(&["--format=custom"]);
    dumped.new_database();
    dumped.cluster.run(
        "pg_restore",
        &[AS_REPLICA, "--jobs=2", "--exit-on-error", dumped.path()],
    );
    dumped.goes_on();
}

/// First the schema with the extension, then the rows: replicas' triggers do not fire, so that nothing is noted as changed.
#[test]
fn rows_alone_are_restored_into_a_database_with_the_extension() {
    let dumped = Dumped::with(&["--schema-only"]);
    dumped.new_database();
    dumped.psql(&["--file", dumped.path()]);
    dumped.dump(&["--data-only"]);
    dumped.psql(&[AS_REPLICA, "--file", dumped.path()]);
    dumped.goes_on();
}

/// Without that, all rows of the ERP count as changed, and looking at them again changes nothing.
#[test]
fn rows_restored_with_triggers_are_looked_at_once_more() {
    let mut dumped = Dumped::with(&["--schema-only"]);
    dumped.new_database();
    dumped.psql(&["--file", dumped.path()]);
    dumped.dump(&["--data-only"]);
    dumped.psql(&["--file", dumped.path()]);
    let mut copy = dumped.cluster.connect("copy");
    let but_inbox = |db: &mut Session| -> Vec<String> {
        let kept = |line: &String| !line.starts_with("wf.inbox");
        everything(db).into_iter().filter(kept).collect()
    };
    assert_same(&but_inbox(&mut dumped.shop), &but_inbox(&mut copy));
    dumped.shop.run_due();
    copy.run_due();
    for outcome in OUTCOME {
        assert_eq!(copy.lines(outcome), dumped.shop.lines(outcome), "{outcome}");
    }
}
