//! ALTER EXTENSION UPDATE: it makes of each earlier version what a new installation is, cases go on, and a library that
//! does not know a schema leaves it alone.

mod catalogue;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use catalogue::catalogue;
use serde_json::json;
use workflow_engine_tests::{
    Cluster, Installation, Options, Session, assert_same, at_rest, automatic, eventually,
    everything, office, prepare,
};

/// The `.sql` files of a folder below the repository's root: name and text.
fn scripts(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = fs::read_dir(&folder).expect("the folder can be read");
    let mut found: Vec<(String, String)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let text = fs::read_to_string(&path).ok()?;
            (name.starts_with("workflow_engine--") && name.ends_with(".sql"))
                .then_some((name, text))
        })
        .collect();
    found.sort();
    found
}

/// Versions whose install script was kept.
fn earlier() -> Vec<String> {
    let name = |(name, _): (String, String)| {
        name.trim_start_matches("workflow_engine--")
            .trim_end_matches(".sql")
            .to_owned()
    };
    let found: Vec<String> = scripts("sql/frozen").into_iter().map(name).collect();
    assert!(!found.is_empty());
    found
}

/// A server that can install earlier versions, too, and these files.
struct Server {
    cluster: Option<Cluster>,
    folder: PathBuf,
}

impl Server {
    fn start(options: &Options, more: &[(String, String)]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("wf_upgrade_{}_{number}", std::process::id()));
        let mut files = scripts("sql/frozen");
        files.extend(scripts("sql"));
        files.extend_from_slice(more);
        let installation = Installation::get().with_extension_files(&folder, &files);
        Self {
            cluster: Some(Cluster::start_on(&installation, options)),
            folder,
        }
    }

    fn cluster(&self) -> &Cluster {
        self.cluster
            .as_ref()
            .expect("it is there until it is dropped")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server runs from that folder.
        self.cluster = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn version(session: &mut Session) -> String {
    session.one("SELECT extversion FROM pg_extension WHERE extname = 'workflow_engine'")
}

#[test]
fn an_upgrade_from_each_earlier_version_equals_a_fresh_installation() {
    let server = Server::start(
        &Options::default().set("workflow_engine.databases", ""),
        &[],
    );
    let mut fresh = server.cluster().database("fresh");
    fresh.exec("CREATE EXTENSION workflow_engine");
    let expected = catalogue(&mut fresh);
    assert!(expected.len() > 1000, "{}", expected.len());
    for (number, old) in earlier().iter().enumerate() {
        let mut upgraded = server.cluster().database(&format!("upgraded_{number}"));
        upgraded.exec(&format!("CREATE EXTENSION workflow_engine VERSION '{old}'"));
        assert_eq!(version(&mut upgraded), *old);
        upgraded.exec("ALTER EXTENSION workflow_engine UPDATE");
        assert_eq!(version(&mut upgraded), version(&mut fresh));
        assert_same(&expected, &catalogue(&mut upgraded));
    }
}

#[test]
fn cases_of_an_earlier_version_go_on_after_the_upgrade() {
    let server = Server::start(
        &Options::default().set("workflow_engine.databases", "upgraded"),
        &[],
    );
    let old = earlier().remove(0);
    let create = format!("CREATE EXTENSION workflow_engine VERSION '{old}'");
    let mut kept = server.cluster().database("kept");
    kept.exec(&create);
    office(&mut kept);
    drop(kept);
    // The same again, under a name that has workers only once it is upgraded.
    let mut other = server.cluster().connect("postgres");
    other.exec("CREATE DATABASE shop TEMPLATE kept");
    let mut kept = server.cluster().connect("kept");
    let mut shop = server.cluster().connect("shop");
    shop.exec("ALTER EXTENSION workflow_engine UPDATE");
    assert_same(&everything(&mut kept), &everything(&mut shop));
    drop(shop);
    kept.exec("ALTER DATABASE shop RENAME TO upgraded");
    let mut shop = server.cluster().connect("upgraded");
    kept.run_due();
    at_rest(&mut shop);
    for outcome in ["cases", "open", "tasks"] {
        let all = format!("SELECT * FROM probe.{outcome}()");
        assert_eq!(shop.lines(&all), kept.lines(&all), "{outcome}");
    }
}

#[test]
fn a_library_leaves_a_schema_alone_that_it_does_not_know() {
    let now = env!("CARGO_PKG_VERSION");
    let step = |from: &str, to: &str| {
        let text = "SELECT wf._announce();".to_owned();
        (format!("workflow_engine--{from}--{to}.sql"), text)
    };
    let server = Server::start(
        &Options::default(),
        &[step(now, "99.0.0"), step("99.0.0", now)],
    );
    let mut shop = server.cluster().database("shop");
    prepare(&mut shop);
    shop.install(&automatic(
        json!([{"name": "n", "kind": "note", "text": "x"}]),
    ));
    let invoice = |id: i64| {
        format!(
            "INSERT INTO invoice VALUES ({id}, 'INV-{id}', 1, 'posted', '2026-04-01', 100, 'EUR', now())"
        )
    };
    let mut before = server.cluster().connect("shop");
    before.exec(&invoice(1));
    let notes = |shop: &mut Session, count: i64| {
        eventually("the notes", || {
            (shop.one::<i64>("SELECT count(*) FROM wf.notes") == count).then_some(())
        });
    };
    notes(&mut shop, 1);

    shop.exec("ALTER EXTENSION workflow_engine UPDATE TO '99.0.0'");
    for call in [
        "SELECT wf.cancel(1)",
        "SELECT wf.lease_messages(NULL, 1)",
        "SELECT wf.export('auto')",
        "CALL wf.run_due()",
    ] {
        // In sessions that have worked with the version before, too.
        for session in [&mut shop, &mut before] {
            session
                .expect_error(call, "55000", &["99.0.0", now])
                .hints("ALTER EXTENSION workflow_engine UPDATE");
        }
    }
    eventually("workers that wait", || {
        let states = shop.lines("SELECT DISTINCT state FROM wf.workers() WHERE database = 'shop'");
        (states == ["other version"]).then_some(())
    });
    let health: String =
        shop.one("SELECT detail FROM wf.health WHERE \"check\" = 'worker' AND status = 'problem'");
    assert!(health.contains("ALTER EXTENSION"), "{health}");
    // The ERP goes on, and what it changes is noted.
    before.exec(&invoice(2));
    std::thread::sleep(Duration::from_secs(2));
    shop.expect("SELECT count(*) FROM wf.inbox", &[1]);
    let log = server.cluster().log();
    let told = log
        .lines()
        .filter(|line| line.contains("another version than the library"));
    assert_eq!(told.count(), 1, "{log}");

    shop.exec(&format!(
        "ALTER EXTENSION workflow_engine UPDATE TO '{now}'"
    ));
    notes(&mut shop, 2);
    before.exec(&invoice(3));
    notes(&mut before, 3);
}
