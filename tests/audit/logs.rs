//! What the server's log holds after a day of messages and failures, at its default settings: nothing of a person.

use workflow_engine_tests::{Options, automatic, edited, eventually, live};

use super::*;

/// Stands in every name, address, note and text of the test, and in no statement of it that fails.
const CANARY: &str = "Canary";

#[test]
fn the_servers_log_holds_nothing_of_a_person() {
    let (cluster, mut shop) = live(&Options::default().set("workflow_engine.retry_backoff", "0"));
    shop.exec(&format!(
        "UPDATE customer SET name = '{CANARY} BV', email = '{CANARY}@example.com', phone = '{CANARY} 1', address = '{CANARY} Wharf';
         CREATE TABLE once (name text PRIMARY KEY CHECK (name <> '{CANARY} 4'));
         INSERT INTO once VALUES ('{CANARY} 1');
         CREATE FUNCTION fails(key text) RETURNS integer LANGUAGE plpgsql AS $$
         BEGIN
             CASE key
                 WHEN '1' THEN INSERT INTO public.once VALUES ('{CANARY} 1');
                 WHEN '2' THEN RETURN '{CANARY} 2';
                 WHEN '3' THEN RAISE EXCEPTION '{CANARY} 3' USING DETAIL = '{CANARY}', HINT = '{CANARY}', ERRCODE = 'WF001';
                 WHEN '4' THEN INSERT INTO public.once VALUES ('{CANARY} 4');
                 WHEN '5' THEN EXECUTE 'SELECT {CANARY}';
                 ELSE RETURN 1;
             END CASE;
             RETURN 0;
         END $$"
    ));
    shop.install(&edited(
        automatic(json!([
            {"name": "mail", "kind": "email", "template": "dear", "done_when": "queued"},
            {"name": "noted", "kind": "note", "text": "Wrote to {{ customer_name }}"},
            {"name": "fail", "kind": "sql", "call": "public.fails(id::text)"},
            {"name": "check", "kind": "task", "participant": "clerk",
             "due": {"anchor": "previous_done", "business_days": 2}}
        ])),
        |doc| {
            doc["templates"]["dear"] =
                json!({"subject": "Dear {{ customer_name }}", "body": "{{ email }} {{ address }}"});
        },
    ));
    for key in 1..=8 {
        shop.invoice(key, "2026-04-01", "1000");
    }
    eventually("five incidents", || {
        let incidents: i64 = shop.one("SELECT count(*) FROM wf.incidents");
        (incidents == 5).then_some(())
    });
    // What each error said stands there, and not in the log.
    for key in [1, 2, 3, 4, 5] {
        let said: String = shop.one(&format!(
            "SELECT concat_ws(' ', message, detail) FROM wf.incidents WHERE key = '{key}'"
        ));
        assert!(said.to_lowercase().contains("canary"), "{said}");
    }
    shop.expect(
        "SELECT sqlstate FROM wf.incidents ORDER BY key",
        &["23505", "22P02", "WF001", "23514", "42703"],
    );
    let sent = shop.lease();
    assert!(sent.iter().all(|m| m.recipient.contains(CANARY)));
    for message in &sent {
        shop.exec(&format!(
            "SELECT wf.fail_messages('{{{}}}', 'mailbox of {CANARY} is full', '0')",
            message.id
        ));
    }
    // Calls that fail over the same rows; their own words are the client's.
    let case: i64 = shop.one("SELECT case_id FROM wf.cases WHERE key = '3'");
    let task: i64 = shop.one("SELECT task_id FROM wf.worklist WHERE key = '6'");
    for call in [
        format!("SELECT wf.retry({case})"),
        format!("SELECT wf.complete({task}, 'no such outcome')"),
        "SELECT wf.start('auto', 6::bigint)".to_owned(),
        "SELECT wf.erase_account('invoice:6')".to_owned(),
        "DELETE FROM wf.history".to_owned(),
        "CALL wf.run_due()".to_owned(),
    ] {
        let _ = shop.try_exec(&call);
    }
    shop.exec("SELECT wf.complete_step(case_id, 'check', 'done') FROM wf.worklist");
    let log = cluster.log();
    assert!(log.contains("a transaction was rolled back"), "{log}");
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.to_lowercase().contains("canary"))
        .collect();
    assert!(told.is_empty(), "{told:#?}");
}
