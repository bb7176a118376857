//! pg_upgrade to a newer PostgreSQL with cases in the middle of their work. `make test-upgrade` says to which one.

use workflow_engine_tests::{
    Cluster, Installation, Options, assert_same, at_rest, everything, office,
};

const OUTCOME: [&str; 4] = [
    "SELECT * FROM probe.cases()",
    "SELECT * FROM probe.open()",
    "SELECT * FROM probe.tasks()",
    "SELECT message_id, case_id, step, channel, state, leaves, reason FROM probe.outbox()",
];

#[test]
fn after_pg_upgrade_all_is_there_and_the_work_goes_on() {
    let Ok(newer) = std::env::var("NEW_PG_CONFIG") else {
        println!("skipped: NEW_PG_CONFIG names no newer server (make test-upgrade)");
        return;
    };
    let newer = Installation::of(&newer);
    let mut old = Cluster::start(&Options::default().set("workflow_engine.enabled", "off"));
    let mut shop = old.database("shop");
    office(&mut shop);
    let before = everything(&mut shop);
    drop(shop);
    // What the office comes to without the upgrade.
    old.connect("postgres")
        .exec("CREATE DATABASE twin TEMPLATE shop");
    let mut twin = old.connect("twin");
    twin.run_due();
    let expected: Vec<Vec<String>> = OUTCOME.iter().map(|sql| twin.lines(sql)).collect();
    drop(twin);
    println!("{} -> {}", old.installation().version, newer.version);

    let cluster = old.upgraded_to(
        &newer,
        &Options::default().set("workflow_engine.enabled", "off"),
    );
    let mut shop = cluster.connect("shop");
    assert_eq!(
        shop.one::<u32>("SELECT current_setting('server_version_num')::int / 10000"),
        newer.major()
    );
    assert_same(&before, &everything(&mut shop));
    shop.expect(
        "SELECT count(*) FROM wf.verify_history() WHERE status <> 'ok'",
        &[0],
    );
    shop.exec("ALTER EXTENSION workflow_engine UPDATE");
    shop.expect(
        "SELECT \"check\", status FROM wf.health WHERE \"check\" IN ('triggers', 'subjects', 'inbox failures')",
        &["inbox failures | ok", "subjects | ok", "triggers | ok"],
    );

    shop.exec("ALTER SYSTEM SET workflow_engine.enabled = on");
    shop.exec("SELECT pg_reload_conf()");
    at_rest(&mut shop);
    for (outcome, expected) in OUTCOME.iter().zip(&expected) {
        assert_eq!(shop.lines(outcome), *expected, "{outcome}");
    }
    // New rows get new ids, and what the ERP does is noted.
    shop.exec(
        "INSERT INTO invoice VALUES (100, 'INV-100', 1, 'posted', '2026-03-01', 70, 'EUR'); \
         INSERT INTO remark VALUES ('C3', 'Again.'); UPDATE claim SET state = 'paid' WHERE id = 'C5'; \
         SELECT wf.start('reach', 3::bigint)",
    );
    at_rest(&mut shop);
    shop.expect(
        "SELECT DISTINCT state FROM probe.cases() WHERE key = '100'",
        &["running"],
    );
    shop.expect(
        "SELECT count(*) FROM probe.cases() WHERE key = 'C5' AND state NOT IN ('completed', 'cancelled')",
        &[0],
    );
    shop.exec("DROP EXTENSION workflow_engine");
}
