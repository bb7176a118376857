//! wf.erase_account: personal words go, amounts and times stay.

use workflow_engine_tests::edited;

use super::*;

/// Every place in schema wf, ERP excluded, in which the canary can be read: table, how many rows.
fn places(db: &mut TestDb) -> Vec<String> {
    let counts = db.lines(
        "SELECT format('SELECT %L AS t, count(*) AS n FROM wf.%I AS x WHERE x::text ILIKE ''%%canary%%''', c.relname, c.relname)
         FROM pg_class AS c
         WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
    );
    assert!(!counts.is_empty());
    let all = counts.join(" UNION ALL ");
    db.lines(&format!(
        "SELECT p.t, p.n FROM ({all}) AS p WHERE p.n > 0 ORDER BY 1"
    ))
}

/// A customer whose name, addresses and everything said about them holds the canary; invoice 1 with an ended case of
/// every sort of words.
fn with_words() -> (TestDb, i64) {
    let mut db = office();
    db.exec(
        "UPDATE customer SET name = 'Canary BV', email = 'canary@example.com', phone = '+31 555 canary',
             address = 'Canary Wharf 1' WHERE id = 1",
    );
    db.exec(r#"SELECT wf.set_contact_policy('decent', '{"fallback": ["email", "sms"]}')"#);
    db.install(&edited(
        invoice_workflow(
            "wordy",
            json!([
                {"name": "mail", "kind": "email", "template": "dear"},
                {"name": "noted", "kind": "note", "text": "Spoke to {{ customer_name }}"},
                {"name": "check", "kind": "task", "participant": "clerk", "notify": true,
                 "due": {"anchor": "previous_done", "business_days": 2}},
                {"name": "paper", "kind": "file", "participant": "clerk", "due": {"anchor": "previous_done", "business_days": 2}},
                {"name": "broken", "kind": "sql", "call": "(customer_name || number)::integer"},
                {"name": "end", "kind": "finish"}
            ]),
        ),
        |doc| {
            doc["contact_policy"] = "decent".into();
            doc["money"] = json!({"open": "open_amount"});
            doc["templates"]["dear"] = json!({"subject": "Dear {{ customer_name }}", "body": "{{ address }}"});
        },
    ));
    let case = db.start("wordy", 1);
    db.run_due();
    let sent = db.send();
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'bounced', 'mailbox of Canary is full')",
        sent[0].id
    ));
    db.exec(&format!(
        "SELECT wf.complete_step({case}, 'check', 'done', '{{\"said\": \"Canary will pay\"}}');
         SELECT wf.hold({case}, 'Canary is in hospital'); SELECT wf.release({case});
         SELECT wf.dispute({case}, 'Canary says it is too much', 100);
         SELECT wf.settle_dispute(max(dispute_id), 'Canary was right') FROM wf.disputes;
         SELECT wf.promise({case}, 50, '2026-03-10');
         SELECT wf.withdraw_promise(max(promise_id)) FROM wf.promises;
         SELECT wf.charge({case}, 15, 'Visit to Canary');
         SELECT wf.waive_charge(max(charge_id), 'Canary complained') FROM wf.charges;
         SELECT wf.log_contact({case}, 'call', 'conversation', detail => 'Canary was rude');
         SELECT wf.opt_out('1', 'sms', reason => 'Canary wrote STOP');
         SELECT wf.complete_step({case}, 'paper', 'done', '{{\"document\": {{\"reference\": \"dms:canary\", \"name\": \"Canary.pdf\"}}}}')"
    ));
    db.exec("SET workflow_engine.max_attempts = 1");
    db.run_due();
    db.expect(
        "SELECT count(*) FROM wf.incidents WHERE step = 'broken'",
        &[1],
    );
    (db, case)
}

#[test]
fn erasing_an_account_leaves_amounts_and_times_and_no_words() {
    let (mut db, case) = with_words();
    db.exec("SELECT wf.protect_history(); SELECT wf.seal_history()");
    // An open case, first.
    db.expect_error(
        "SELECT wf.erase_account('1', 'asked by letter')",
        "55000",
        &["has not ended", &format!("case {case} of \"wordy\"")],
    )
    .hints("wf.cancel");
    db.exec(&format!("SELECT wf.cancel({case}, 'Canary moved away')"));
    let before = places(&mut db);
    assert!(before.len() > 10, "{before:?}");
    let numbers = "SELECT history_id, at, case_id, version_id, step_no, visit, event, entered_at, due_at, task_id, actor
                   FROM wf.history WHERE event <> 'case_erased' ORDER BY history_id";
    let (history, states) = (
        db.lines(numbers),
        db.lines("SELECT message_id, state, finished_at FROM wf.outbox"),
    );
    let manager = db.role("boss");
    let clerk = db.role("clerk");
    db.exec(&format!(
        "SELECT wf.grant_role('\"{manager}\"', 'manager'), wf.grant_role('\"{clerk}\"', 'agent')"
    ));
    db.connect_as(&clerk)
        .expect_error("SELECT wf.erase_account('1')", "42501", &["erase_account"]);
    let told = db
        .connect_as(&manager)
        .lines("SELECT what FROM wf.erase_account('1', 'asked by letter')");
    for what in [
        "messages",
        "notes",
        "documents",
        "alerts",
        "holds",
        "disputes",
        "charges",
        "errors",
        "cases",
        "contacts",
        "choices",
        "history",
    ] {
        assert!(told.iter().any(|t| t == what), "{what}: {told:?}");
    }
    db.expect(
        "SELECT h FROM wf.history AS h WHERE h::text ILIKE '%canary%'",
        NONE,
    );
    assert_eq!(places(&mut db), NONE);
    assert_eq!(db.lines(numbers), history);
    assert_eq!(
        db.lines("SELECT message_id, state, finished_at FROM wf.outbox"),
        states
    );
    db.expect(
        "SELECT amount, waived_at IS NOT NULL FROM wf.charges",
        &["15 | t"],
    );
    db.expect("SELECT amount, state FROM wf.promises", &["50 | withdrawn"]);
    db.expect("SELECT amount FROM wf.disputes", &["100"]);
    db.expect(
        "SELECT detail ->> 'amount', detail ->> 'due' FROM wf.history WHERE event = 'promised'",
        &["50 | 2026-03-10"],
    );
    // Opt-outs stay, or the person would be contacted again.
    db.expect(
        "SELECT party, channel, choice FROM wf.contact_choices ORDER BY 1",
        &["1 | sms | opt_out"],
    );
    db.expect(
        &format!(
            "SELECT act, object, why, role = '{manager}' FROM wf.audit_trail WHERE act LIKE '%erased' ORDER BY act"
        ),
        &["account erased | 1 | asked by letter | t", "case_erased | null | null | t"],
    );
    // The same again finds nothing, and leaves no mark.
    let marks = rows(&mut db);
    db.expect("SELECT * FROM wf.erase_account('1')", NONE);
    assert_eq!(rows(&mut db), marks);
    db.expect("SELECT * FROM wf.erase_account('nobody')", NONE);
    // The views still tell the story.
    db.exec(&format!(
        "SELECT * FROM wf.case_timeline; SELECT * FROM wf.explain({case}); SELECT * FROM wf.incidents; SELECT * FROM wf.event_log"
    ));
}

#[test]
fn sealed_history_still_verifies_after_erasing_and_shows_it() {
    let (mut db, case) = with_words();
    db.exec(&format!("SELECT wf.cancel({case}, 'Canary moved away')"));
    db.exec("SELECT wf.protect_history(); SELECT wf.seal_history()");
    // Some of it is sealed and some not.
    played(&mut db, 2);
    db.exec("SELECT wf.erase_account('1')");
    let verdict = "SELECT status, finding, rows > 0 FROM wf.verify_history() ORDER BY finding";
    db.expect(
        verdict,
        &["ok | erased | t", "ok | not sealed | t", "ok | sealed | t"],
    );
    db.exec("SELECT wf.seal_history()");
    db.expect(
        verdict,
        &["ok | erased | t", "ok | not sealed | f", "ok | sealed | t"],
    );
    // What an erasure left cannot be changed either, nor can words be taken out by another way.
    let erased: i64 = db.one("SELECT min(history_id) FROM wf.erased_words");
    let whole: i64 = db.one(
        "SELECT min(h.history_id) FROM wf.history AS h
         WHERE h.event = 'step_done' AND h.detail IS NULL",
    );
    for (change, id) in [
        (format!("UPDATE wf.history SET detail = detail || '{{\"amount\": 7}}' WHERE history_id = {erased}"), erased),
        (format!("UPDATE wf.history SET actor = 'x' WHERE history_id = {erased}"), erased),
        (format!("DELETE FROM wf.erased_words WHERE history_id = {erased}"), erased),
        ("DELETE FROM wf.history WHERE event = 'case_erased' AND detail ? 'digest'".to_owned(), erased),
        (format!("UPDATE wf.history SET detail = '{{\"erased\": true}}' WHERE history_id = {whole};
                  INSERT INTO wf.erased_words SELECT {whole}, words, left_over, erasure FROM wf.erased_words LIMIT 1"), whole),
    ] {
        let found = db.lines(&format!(
            "BEGIN; SET LOCAL session_replication_role = replica; {change};
             SELECT finding, history_id FROM wf.verify_history() WHERE status = 'problem'"
        ));
        db.exec("ROLLBACK");
        assert!(
            found.iter().any(|f| f.ends_with(&format!(" {id}"))) || found.iter().any(|f| f.starts_with("removed")),
            "{change}: {found:?}"
        );
    }
    // Nothing is left from which the words could be guessed.
    db.expect(
        "SELECT DISTINCT substr(s.salts, (e.history_id - lower(s.ids))::int * 16 + 1, 16) = decode(repeat('00', 16), 'hex')
         FROM wf.erased_words AS e JOIN wf.history_seals AS s ON s.ids @> e.history_id
         WHERE isempty(s.ids - int8multirange(int8range(lower(s.ids), upper(s.ids))))
           AND isempty(int8multirange(int8range(lower(s.ids), upper(s.ids))) - s.ids)",
        &["t"],
    );
}

#[test]
fn an_account_is_not_erased_while_a_message_to_it_waits_and_rows_without_account_by_their_key() {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.bind_invoice();
    db.install(&invoice_workflow(
        "short",
        json!([{"name": "mail", "kind": "email", "template": "hello", "done_when": "queued"}]),
    ));
    db.invoice(1, "2026-04-01", "1000");
    db.start("short", 1);
    db.run_due();
    db.expect("SELECT state FROM probe.cases()", &["completed"]);
    db.expect_error(
        "SELECT wf.erase_account('invoice:1')",
        "55000",
        &["has not left"],
    )
    .hints("wf.opt_out");
    db.send();
    db.expect(
        "SELECT what, rows FROM wf.erase_account('invoice:1')",
        &["messages | 1"],
    );
    db.expect(
        "SELECT state, payload FROM wf.outbox",
        &[r#"sent | {"erased": true}"#],
    );
    db.expect_error("SELECT wf.erase_account(NULL)", "22004", &["account"]);
}
