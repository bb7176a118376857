//! What users' own SQL raises reaches whoever calls as it was raised: its code, also one that PostgreSQL has no name for,
//! its message, detail and hint.

use super::*;
use workflow_engine_tests::edited;

/// `work` with a stop rule that asks a function, and one case of invoice 1. The function raises the codes that stand in the
/// setting `test.codes`, one inside the other, and catches all but the last.
fn with_a_judge() -> TestDb {
    let mut db = work();
    db.exec(
        "CREATE SCHEMA shop;
         CREATE FUNCTION shop.fail(code text) RETURNS void LANGUAGE plpgsql AS $$
         BEGIN
             RAISE EXCEPTION 'raised as %', code USING ERRCODE = code, DETAIL = 'detail of ' || code, HINT = 'hint of ' || code;
         END $$;
         CREATE FUNCTION shop.paid(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
         DECLARE codes text[] := string_to_array(nullif(current_setting('test.codes', true), ''), ',');
         BEGIN
             IF codes IS NULL THEN RETURN false; END IF;
             BEGIN
                 PERFORM shop.fail(codes[1]);
             EXCEPTION WHEN OTHERS THEN
                 IF cardinality(codes) > 1 THEN
                     BEGIN PERFORM shop.fail(codes[2]); EXCEPTION WHEN OTHERS THEN NULL; END;
                 END IF;
                 RAISE;
             END;
         END $$",
    );
    db.install(&edited(
        invoice_workflow(
            "judged",
            json!([{"name": "check", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 2}}]),
        ),
        |doc| doc["stop"] = json!([{"when": "shop.paid(id)", "reason": "paid"}]),
    ));
    db.start("judged", 1);
    db
}

/// Calls that ask the stop rule, each by another way through the engine.
const CALLS: [&str; 4] = [
    "SELECT wf.start('judged', '2')",
    "SELECT wf.start_many('judged', '{2,3}')",
    "SELECT wf.complete_step((SELECT case_id FROM probe.cases() WHERE workflow = 'judged'), 'check')",
    "SELECT wf.hold((SELECT case_id FROM probe.cases() WHERE workflow = 'judged'), 'why not')",
];

#[test]
fn what_users_raise_reaches_the_caller_with_its_own_code() {
    let mut db = with_a_judge();
    for call in CALLS {
        for code in ["XY123", "WF001", "23514", "P0001", "XX000"] {
            db.exec(&format!("SET test.codes = '{code}'"));
            let said = db.refused(call);
            // Below the detail there may be a backtrace, where the environment asks for one.
            let detail = said.detail.lines().next().unwrap_or_default().to_owned();
            assert_eq!(
                [said.sqlstate, said.message, detail, said.hint],
                [
                    code.to_owned(),
                    format!("raised as {code}"),
                    format!("detail of {code}"),
                    format!("hint of {code}")
                ],
                "{call}"
            );
        }
    }
    // What has been raised and caught in between is nobody's code.
    for call in CALLS {
        for codes in ["23514,XY123", "XX000,23514"] {
            db.exec(&format!("SET test.codes = '{codes}'"));
            db.expect_error(call, &codes[..5], &[&format!("raised as {}", &codes[..5])]);
        }
        db.exec("RESET test.codes");
        db.expect_error("SELECT wf.start('nowhere', '2')", "42704", &["nowhere"]);
    }
}

#[test]
fn what_users_raise_can_be_caught_by_its_own_code() {
    let mut db = with_a_judge();
    for call in CALLS {
        db.exec(&format!(
            "DO $$
             BEGIN
                 FOR i IN 1..3 LOOP
                     BEGIN
                         PERFORM set_config('test.codes', 'XY12' || i, true);
                         PERFORM * FROM ({call}) AS called;
                         RAISE 'it went well';
                     EXCEPTION WHEN SQLSTATE 'XY121' OR SQLSTATE 'XY122' OR SQLSTATE 'XY123' THEN
                         ASSERT SQLSTATE = 'XY12' || i AND SQLERRM = 'raised as XY12' || i;
                     END;
                     BEGIN
                         RAISE 'another one';
                     EXCEPTION WHEN OTHERS THEN
                         ASSERT SQLSTATE = 'P0001';
                     END;
                 END LOOP;
             END $$"
        ));
    }
    db.expect("SELECT count(*) FROM probe.cases()", &[1]);
}
