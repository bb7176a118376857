//! One cluster for all tests of a binary that need no workers; each test has a database of its own in it.
//!
//! No worker acts there: only `CALL wf.run_due()` does, so that what happens when is the test's choice.

use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::cluster::{Cluster, Options};
use crate::documents::{DUNNING, SCOPE_10, document};
use crate::erp::{BIND_INVOICE, BIND_REPORT, ERP, PROBES};
use crate::session::{Session, literal};

const TEMPLATE: &str = "wf_template";

fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = Cluster::start(
            &Options::default()
                .set("workflow_engine.databases", "")
                .set("autovacuum", "off"),
        );
        let mut template = cluster.database(TEMPLATE);
        template
            .try_exec("CREATE EXTENSION workflow_engine")
            .unwrap_or_else(|failure| {
                panic!(
                    "install the extension first (make install): {}",
                    failure.text()
                )
            });
        template.exec(ERP);
        template.exec(PROBES);
        cluster
    })
}

/// A database with the extension, the ERP and the probes. Its session is the superuser's.
pub struct TestDb {
    pub name: String,
    session: Session,
}

impl Deref for TestDb {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for TestDb {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl TestDb {
    /// A new database, named after the test.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "a database is no default value")]
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("test").replace("::", "_");
        let name = format!(
            "{}_{}",
            test.chars().take(50).collect::<String>(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let cluster = shared();
        cluster
            .connect("postgres")
            .exec(&format!("CREATE DATABASE \"{name}\" TEMPLATE {TEMPLATE}"));
        let session = cluster.connect(&name);
        Self { name, session }
    }

    /// The cluster that it lives in.
    pub fn cluster(&self) -> &'static Cluster {
        shared()
    }

    /// Another session of the superuser.
    #[track_caller]
    pub fn connect(&self) -> Session {
        shared().connect(&self.name)
    }

    /// A session of a role.
    #[track_caller]
    pub fn connect_as(&self, role: &str) -> Session {
        shared().connect_as(&self.name, role)
    }

    /// A new login role whose name no other test has.
    #[track_caller]
    pub fn role(&mut self, name: &str) -> String {
        let role = format!("{name}_{}", self.name);
        let role: String = role.chars().take(60).collect();
        self.exec(&format!("CREATE ROLE \"{role}\" LOGIN"));
        role
    }
}

/// What tests do with an engine, wherever it runs.
impl Session {
    /// Freezes the clock; a time without a zone is Amsterdam's.
    #[track_caller]
    pub fn clock(&mut self, at: &str) {
        self.exec(&format!(
            "SELECT wf.set_clock({}::timestamptz)",
            literal(&zoned(at))
        ));
    }

    /// Does all that is due.
    #[track_caller]
    pub fn run_due(&mut self) {
        self.exec("CALL wf.run_due()");
    }

    /// Freezes the clock and does all that is due then.
    #[track_caller]
    pub fn at(&mut self, at: &str) {
        self.clock(at);
        self.run_due();
    }

    /// Saves a draft.
    #[track_caller]
    pub fn define(&mut self, document: &Value) {
        self.exec(&define_sql(document));
    }

    /// Saves, publishes and turns a workflow on.
    #[track_caller]
    pub fn install(&mut self, document: &Value) {
        let name = literal(document["name"].as_str().expect("a document has a name"));
        self.exec("SELECT wf.set_participant(p) FROM unnest('{ar_specialist,back_office,clerk}'::text[]) AS p");
        self.define(document);
        if let Err(failure) = self.try_exec(&format!("SELECT wf.publish({name})")) {
            panic!("publish {name}: {}", failure.text());
        }
        self.exec(&format!("SELECT wf.enable({name})"));
    }

    /// Binds the invoice.
    #[track_caller]
    pub fn bind_invoice(&mut self) {
        self.exec(BIND_INVOICE);
    }

    /// Binds the inspection report.
    #[track_caller]
    pub fn bind_report(&mut self) {
        self.exec(BIND_REPORT);
    }

    /// Binds the invoice and turns the example `dunning` on.
    #[track_caller]
    pub fn dunning(&mut self) {
        self.bind_invoice();
        self.install(&document(DUNNING));
    }

    /// Binds the inspection report and turns the example `scope-10` on.
    #[track_caller]
    pub fn scope_10(&mut self) {
        self.bind_report();
        self.install(&document(SCOPE_10));
    }

    /// A posted invoice of customer 1.
    #[track_caller]
    pub fn invoice(&mut self, id: i64, due: &str, amount: &str) {
        self.exec(&format!(
            "INSERT INTO invoice VALUES ({id}, 'INV-{id}', 1, 'posted', '{due}', {amount}, 'EUR')"
        ));
    }

    /// A report of scope 10 on policy P-1; its key is the number as a uuid.
    #[track_caller]
    pub fn report(&mut self, number: i64, end: &str) {
        self.exec(&format!(
            "INSERT INTO inspection_report VALUES ('00000000-0000-0000-0000-{number:012}', 'P-1', 10, '{end}')"
        ));
    }

    /// Starts a workflow on an invoice; the case's id.
    #[track_caller]
    pub fn start(&mut self, workflow: &str, key: i64) -> i64 {
        let rows = self.rows(&format!(
            "SELECT DISTINCT case_id FROM wf.start({}, {key}::bigint)",
            literal(workflow)
        ));
        assert_eq!(rows.len(), 1, "wf.start tells the case");
        rows[0][0].parse().expect("case_id is a number")
    }

    /// The open task of a step, the newest if there are several.
    #[track_caller]
    pub fn task(&mut self, step: &str) -> i64 {
        let rows = self.rows(&format!(
            "SELECT task_id FROM probe.tasks() WHERE step = {} ORDER BY task_id DESC LIMIT 1",
            literal(step)
        ));
        assert_eq!(
            rows.len(),
            1,
            "no task of step {step}; open: {:?}",
            self.lines("SELECT * FROM probe.open()")
        );
        rows[0][0].parse().expect("task_id is a number")
    }

    /// Settles the open task of a step and does what is due then.
    #[track_caller]
    pub fn settle(&mut self, step: &str, outcome: Option<&str>) {
        let task = self.task(step);
        let outcome = outcome.map_or("NULL".to_owned(), literal);
        self.exec(&format!("SELECT * FROM wf.complete({task}, {outcome})"));
        self.run_due();
    }

    /// What a failed assertion should show of all cases.
    pub fn story(&mut self) -> String {
        let mut story = String::new();
        for probe in ["cases", "open", "tasks", "outbox", "history"] {
            story.push_str(&format!("--- {probe}\n"));
            match self.try_rows(&format!("SELECT * FROM probe.{probe}()")) {
                Ok(rows) => rows.iter().for_each(|row| {
                    story.push_str(&row.join(" | "));
                    story.push('\n');
                }),
                Err(failure) => story.push_str(&failure.text()),
            }
        }
        story
    }
}

/// The statement that saves a document.
pub fn define_sql(document: &Value) -> String {
    format!(
        "SELECT * FROM wf.define({}::text)",
        literal(&serde_json::to_string_pretty(document).expect("a value is JSON"))
    )
}

/// A time with Amsterdam's zone unless it names one.
fn zoned(at: &str) -> String {
    if at.chars().any(char::is_alphabetic) || at.contains('+') {
        at.to_owned()
    } else {
        format!("{at} Europe/Amsterdam")
    }
}
