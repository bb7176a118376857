//! The harness itself, on plain clusters without the extension.

use std::time::Duration;

use workflow_engine_tests::{Cluster, Options, Random, eventually, eventually_within};

#[test]
fn a_cluster_answers_and_leaves_nothing_behind() {
    let cluster = Cluster::start(&Options::plain().set("work_mem", "7MB"));
    let folder = cluster.folder().to_owned();
    let mut session = cluster.database("Shop");
    assert_eq!(session.one::<String>("SHOW work_mem"), "7MB");
    assert_eq!(session.one::<String>("SELECT current_database()"), "Shop");
    assert_eq!(session.one::<String>("SHOW fsync"), "on");
    assert!(!cluster.children().is_empty());
    drop(cluster);
    assert!(!folder.exists());
    assert!(session.try_exec("SELECT 1").is_err());
}

#[test]
fn a_cluster_is_removed_when_its_test_panics() {
    let folder = std::thread::spawn(|| {
        let cluster = Cluster::start(&Options::plain());
        std::panic::panic_any(cluster.folder().to_owned());
    })
    .join()
    .expect_err("the thread panics")
    .downcast::<std::path::PathBuf>()
    .expect("with the folder");
    eventually("the removal of the folder", || {
        (!folder.exists()).then_some(())
    });
}

#[test]
fn values_come_back_as_text_and_failures_with_all_they_say() {
    let cluster = Cluster::start(&Options::plain());
    let mut session = cluster.connect("postgres");
    session.expect(
        "VALUES (1, NULL, 'a'), (2, 't', '')",
        &["1 | null | a", "2 | t | "],
    );
    assert_eq!(session.one::<i64>("SELECT 41 + 1"), 42);
    let failure = session.expect_error(
        "DO $$ BEGIN RAISE EXCEPTION 'no such thing' USING errcode = '42704', detail = 'Looked everywhere.', hint = 'Look again.'; END $$",
        "42704",
        &["no such thing", "everywhere"],
    );
    failure.hints("again");
    session.exec("SELECT 1");
}

#[test]
fn a_killed_server_comes_back_with_what_was_committed() {
    let mut cluster = Cluster::start(&Options::plain());
    let mut session = cluster.connect("postgres");
    session.exec("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");

    let victim = session.pid();
    cluster.kill_child(victim);
    eventually("the loss of the connection", || {
        session.try_exec("SELECT 1").err()
    });
    cluster.wait_until_ready();
    eventually("the end of the recovery", || {
        cluster
            .try_connect("postgres")
            .ok()?
            .try_exec("INSERT INTO kept VALUES (2)")
            .ok()
    });

    cluster.kill_postmaster();
    cluster.start_again();
    let mut session = cluster.connect("postgres");
    session.expect("SELECT DISTINCT n FROM kept ORDER BY n", &[1, 2]);
    assert!(cluster.stop_fast() < Duration::from_secs(30));
}

#[test]
fn sessions_of_roles_have_their_rights_only() {
    let cluster = Cluster::start(&Options::plain());
    cluster
        .connect("postgres")
        .exec("CREATE TABLE secret (n int); CREATE ROLE clerk LOGIN");
    cluster.connect_as("postgres", "clerk").expect_error(
        "SELECT * FROM secret",
        "42501",
        &["secret"],
    );
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let numbers = |seed| {
        let mut random = Random::new(seed);
        [random.below(100), random.below(100), random.below(100)]
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
}

#[test]
#[should_panic(expected = "no sign of: a miracle")]
fn waiting_ends() {
    eventually_within(Duration::from_millis(20), "a miracle", || None::<()>);
}

/// Files of the install script that do not require one another may come in any order, and a build that is unlucky
/// gives a script that does not run.
#[test]
fn each_file_of_the_install_script_requires_the_one_before_it() {
    let source = include_str!("../src/lib.rs");
    let quoted = |part: &str| -> Vec<String> {
        let call = part.split(");").next().unwrap_or(part);
        call.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let files: Vec<Vec<String>> = source
        .split("extension_sql_file!(")
        .skip(1)
        .map(quoted)
        .collect();
    assert!(files.len() > 10);
    let (first, last) = (&files[0], &files[files.len() - 1]);
    assert_eq!((first[1].as_str(), last[1].as_str()), ("schema", "finish"));
    for pair in files[..files.len() - 1].windows(2) {
        assert_eq!(pair[1].get(2), Some(&pair[0][1]), "{} requires", pair[1][0]);
        assert!(
            pair[0][0] < pair[1][0],
            "{} before {}",
            pair[0][0],
            pair[1][0]
        );
    }
}
