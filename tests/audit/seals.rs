//! The chain of hashes over history: what is changed, removed or inserted is found and named.

use workflow_engine_tests::{Cluster, Options, Session, eventually, prepare};

use super::*;

/// History of three cases in two months, sealed.
fn sealed() -> TestDb {
    let mut db = office();
    db.exec("SELECT wf.protect_history()");
    played(&mut db, 1);
    db.clock("2026-04-07 10:00");
    played(&mut db, 2);
    db.exec("SELECT wf.seal_history()");
    played(&mut db, 3);
    db.exec("SELECT wf.seal_history()");
    db
}

/// Does something that the triggers would not let through, tells what is found, and takes it back.
fn found_after(db: &mut TestDb, change: &str) -> Vec<String> {
    let found = db.lines(&format!(
        "BEGIN; SET LOCAL session_replication_role = replica; {change}; SET LOCAL session_replication_role = origin;
         {PROBLEMS}"
    ));
    db.exec("ROLLBACK");
    found
}

#[test]
fn what_superusers_change_remove_or_insert_in_sealed_history_is_found_and_named() {
    let mut db = sealed();
    let all = rows(&mut db);
    db.expect(PROBLEMS, NONE);
    db.expect(
        "SELECT finding, rows FROM wf.verify_history() ORDER BY finding",
        &["not sealed | 0".to_owned(), format!("sealed | {all}")],
    );
    let row = db.rows(
        "SELECT history_id, case_id FROM wf.history WHERE event = 'step_done' AND detail IS NOT NULL ORDER BY history_id LIMIT 1",
    );
    let (id, case) = (&row[0][0], &row[0][1]);
    let changed = format!("changed | {id} | {case} | 1");
    for column in [
        "at = at + interval '1 microsecond'",
        "version_id = version_id + 1",
        "step_no = step_no + 1",
        "visit = NULL",
        "event = 'step_skipped'",
        "outcome = 'other'",
        "entered_at = NULL",
        "due_at = 'infinity'",
        "task_id = 7",
        "actor = 'nobody'",
        "detail = NULL",
        "detail = detail || '{\"erased\": true}'",
    ] {
        let change = format!("UPDATE wf.history SET {column} WHERE history_id = {id}");
        assert_eq!(
            found_after(&mut db, &change),
            [changed.as_str()],
            "{column}"
        );
    }
    let change = format!("UPDATE wf.history SET case_id = case_id + 100 WHERE history_id = {id}");
    let moved: i64 = case.parse().expect("a number");
    assert_eq!(
        found_after(&mut db, &change),
        [format!("changed | {id} | {} | 1", moved + 100)]
    );
    // Removed, also to another month.
    let change = format!("DELETE FROM wf.history WHERE history_id >= {id}");
    let found = found_after(&mut db, &change);
    assert!(
        found[0].starts_with(&format!("removed | {id} | null")),
        "{found:?}"
    );
    let change = format!("UPDATE wf.history SET at = '2026-04-20' WHERE history_id = {id}");
    let found = found_after(&mut db, &change);
    assert_eq!(
        found,
        [
            format!("removed | {id} | null | 1"),
            format!("inserted | {id} | {case} | 1")
        ]
    );
    let found = found_after(&mut db, "DROP TABLE wf.history_2026_03");
    assert!(found[0].starts_with("removed | "), "{found:?}");
    // Inserted: twice the same number, and one that no transaction had used.
    for number in [id.as_str(), "0"] {
        let change = format!(
            "INSERT INTO wf.history SELECT {number}, at, case_id, version_id, step_no, visit, event, outcome, entered_at,
                    due_at, task_id, actor, detail FROM wf.history WHERE history_id = {id}"
        );
        assert_eq!(
            found_after(&mut db, &change),
            [format!("inserted | {number} | {case} | 1")]
        );
    }
    // The chain itself.
    for (change, block) in [
        (
            "UPDATE wf.history_seals SET sealed_by = 'nobody' WHERE block = 2",
            "2",
        ),
        (
            "UPDATE wf.history_seals SET sealed_at = sealed_at + interval '1 second' WHERE block = 1",
            "1",
        ),
        (
            "UPDATE wf.history_seals SET hash = sha256('') WHERE block = 1",
            "1",
        ),
        ("DELETE FROM wf.history_seals WHERE block = 2", "2"),
    ] {
        let found = db.lines(&format!(
            "BEGIN; SET LOCAL session_replication_role = replica; {change};
             SELECT finding, block FROM wf.verify_history() WHERE status = 'problem' LIMIT 1"
        ));
        db.exec("ROLLBACK");
        assert_eq!(found, [format!("chain | {block}")], "{change}");
    }
    db.expect(PROBLEMS, NONE);
}

#[test]
fn a_chain_that_was_made_anew_or_cut_off_does_not_hold_the_head_that_was_kept() {
    let mut db = sealed();
    let head: String = db.one("SELECT hash FROM wf.history_head()");
    let all = rows(&mut db);
    db.expect("SELECT rows FROM wf.history_head()", &[all]);
    let last: i64 = db.one("SELECT block FROM wf.history_head()");
    let verify = format!(
        "SELECT status, finding, block FROM wf.verify_history('{head}') WHERE finding = 'head'"
    );
    db.expect(&verify, &[format!("ok | head | {last}")]);
    db.exec(
        "SET session_replication_role = replica; DELETE FROM wf.history_seals; DELETE FROM wf.history_gaps;
         UPDATE wf.history_protection SET top = 0; UPDATE wf.history SET actor = 'nobody' WHERE event = 'step_done';
         SET session_replication_role = origin; SELECT wf.seal_history()",
    );
    // To itself it is in order.
    db.expect(PROBLEMS, NONE);
    db.expect(&verify, &["problem | head | null"]);
}

#[test]
fn history_is_sealed_by_those_who_do_the_work_and_what_is_not_yet_is_told() {
    let mut db = office();
    played(&mut db, 1);
    db.expect("SELECT count(*) FROM wf.history_seals", &[0]);
    db.expect_error("SELECT wf.seal_history()", "55000", &["not sealed"])
        .hints("wf.protect_history");
    db.exec("SELECT wf.protect_history(); SELECT wf.protect_history()");
    let all = rows(&mut db);
    db.expect(
        "SELECT finding, rows FROM wf.verify_history()",
        &["sealed | 0".to_owned(), format!("not sealed | {all}")],
    );
    db.run_due();
    db.expect(
        "SELECT finding, rows FROM wf.verify_history()",
        &[format!("sealed | {all}"), "not sealed | 0".to_owned()],
    );
    // A month that comes later is found by its numbers, too; switched off, nothing more is sealed.
    db.clock("2026-05-04 10:00");
    played(&mut db, 2);
    db.expect(PROBLEMS, NONE);
    db.expect(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'wf' AND indexname ~ '^history_2026_0[35]_id$'",
        &[2],
    );
    db.exec("SELECT wf.protect_history(false)");
    db.expect(
        "SELECT count(*) FROM pg_indexes WHERE schemaname = 'wf' AND indexname ~ '^history_.*_id$'",
        &[0],
    );
    let blocks: i64 = db.one("SELECT count(*) FROM wf.history_blocks");
    played(&mut db, 3);
    db.expect("SELECT count(*) FROM wf.history_blocks", &[blocks]);
    db.expect(PROBLEMS, NONE);
    db.expect(
        "SELECT act FROM wf.audit_trail WHERE act LIKE '%protected' ORDER BY at",
        &["history protected", "history no longer protected"],
    );
    db.expect_error(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT wf.seal_history()",
        "55000",
        &["READ COMMITTED"],
    );
    db.exec("ROLLBACK");
}

/// Each row stands in one block, and none is left over.
fn expect_all_sealed(db: &mut Session) {
    db.expect(
        "SELECT h.history_id FROM wf.history AS h
         WHERE (SELECT count(*) FROM wf.history_seals AS s WHERE s.kind = 'rows' AND s.ids @> h.history_id) <> 1",
        NONE,
    );
    db.expect(PROBLEMS, NONE);
}

/// Seals until no place is open any more. Transactions of other tests, in databases of the same cluster, may keep it open
/// for as long as they take.
fn close_gaps(db: &mut Session) {
    eventually("the closing of places that stay empty", || {
        db.exec("SELECT wf.seal_history()");
        (db.lines("SELECT count(*) FROM wf.history_gaps") == ["0"]).then_some(())
    });
}

#[test]
fn rows_of_transactions_that_commit_late_are_sealed_once_and_their_places_closed_then() {
    let mut db = office();
    // The first of a month makes its table, and others wait for it.
    played(&mut db, 4);
    db.exec("SELECT wf.protect_history()");
    let (mut late, mut never) = (db.connect(), db.connect());
    late.exec("BEGIN; SELECT wf.start('chat', 1::bigint)");
    never.exec("BEGIN; SELECT wf.start('chat', 2::bigint)");
    played(&mut db, 3);
    db.exec("SELECT wf.seal_history(); SELECT wf.seal_history()");
    let early = rows(&mut db);
    db.expect("SELECT rows FROM wf.history_head()", &[early]);
    db.expect("SELECT count(*) > 0 FROM wf.history_gaps", &["t"]);
    db.expect(PROBLEMS, NONE);
    late.exec("COMMIT");
    db.exec("SELECT wf.seal_history()");
    expect_all_sealed(&mut db);
    // The other one's places stay open as long as it is.
    db.exec("SELECT wf.seal_history(); SELECT wf.seal_history()");
    let place: i64 = db.one("SELECT min(lower(r)) FROM wf.history_gaps, unnest(ids) AS r");
    never.exec("ROLLBACK");
    close_gaps(&mut db);
    expect_all_sealed(&mut db);
    let case: i64 = db.one("SELECT max(case_id) FROM wf.cases");
    db.exec(&format!(
        "INSERT INTO wf.history (history_id, at, case_id, version_id, event, actor)
         SELECT {place}, wf.now(), {case}, 1, 'case_held', 'anna'; SELECT wf.seal_history()"
    ));
    db.expect(PROBLEMS, &[format!("inserted | {place} | {case} | 1")]);
}

#[test]
fn rows_of_prepared_transactions_are_sealed_when_they_commit() {
    let cluster = Cluster::start(
        &Options::default()
            .set("workflow_engine.databases", "")
            .set("max_prepared_transactions", "2"),
    );
    let mut shop = cluster.database("shop");
    prepare(&mut shop);
    shop.install(&invoice_workflow("chat", steps()));
    for key in 1..=4 {
        shop.invoice(key, "2026-04-01", "1000");
    }
    shop.start("chat", 4);
    shop.exec("SELECT wf.protect_history()");
    shop.exec("BEGIN; SELECT wf.start('chat', 1::bigint); PREPARE TRANSACTION 'late'");
    for key in 2..=3 {
        shop.start("chat", key);
        shop.exec("SELECT wf.seal_history()");
        shop.exec("SELECT wf.seal_history()");
    }
    shop.exec("COMMIT PREPARED 'late'");
    shop.exec("SELECT wf.seal_history()");
    expect_all_sealed(&mut shop);
    shop.exec("SELECT wf.seal_history()");
    shop.expect("SELECT count(*) FROM wf.history_gaps", &[0]);
}

#[test]
fn sealed_history_verifies_in_a_restored_copy_too() {
    let mut db = sealed();
    let mut late = db.connect();
    late.exec("BEGIN; SELECT wf.start('chat', 8::bigint)");
    db.start("chat", 9);
    db.exec("SELECT wf.seal_history()");
    let copy = format!("{}_copy", db.name).to_lowercase();
    let folder = db.cluster().folder().display().to_string();
    let bin: String = db.one("SELECT setting FROM pg_config WHERE name = 'BINDIR'");
    let server = format!("-h {folder} -U postgres");
    let name = db.name.clone();
    db.exec(&format!("CREATE DATABASE \"{copy}\""));
    db.exec(&format!(
        "COPY (SELECT 1) TO PROGRAM 'set -e; cat > /dev/null; {bin}/pg_dump {server} {name} > {folder}/{copy}.sql; \
         {bin}/psql {server} -q -v ON_ERROR_STOP=1 -d {copy} -f {folder}/{copy}.sql > /dev/null'"
    ));
    late.exec("ROLLBACK");
    let mut copy = db.cluster().connect(&copy);
    copy.expect(PROBLEMS, NONE);
    // What was under way elsewhere never comes here.
    close_gaps(&mut copy);
    for change in [
        "TRUNCATE wf.history_2026_03",
        "DELETE FROM wf.history",
        "TRUNCATE wf.history",
    ] {
        copy.expect_error(change, "55000", &["only ever added to"]);
    }
    let hash = "SELECT hash FROM wf.history_head()";
    assert_eq!(copy.one::<String>(hash), db.one::<String>(hash));
}
