//! Keys of one and several columns of any type, and bindings that cannot be.

use serde_json::json;
use workflow_engine_tests::{TestDb, edited, invoice_workflow};

use super::NONE;

/// Creates `ledger` with this key, binds it, and inserts two rows; the keys of the cases that follow.
fn keys_of(columns: &str, key: &str, rows: &str) -> Vec<String> {
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec(&format!(
        "CREATE TABLE ledger ({columns}, state text NOT NULL DEFAULT 'posted', PRIMARY KEY ({key}))"
    ));
    db.exec(&format!(
        "SELECT wf.bind_subject('ledger', 'public.ledger', key => '{key}')"
    ));
    db.install(&edited(
        invoice_workflow("follow", json!([{"name": "look", "kind": "task", "participant": "clerk", "due": {"anchor": "case_start", "days": 1}}])),
        |doc| {
            doc["subject"] = "ledger".into();
            doc["start"] = json!({"when": "state = 'posted'"});
            doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
            doc["templates"] = json!({});
        },
    ));
    db.exec(&format!("INSERT INTO ledger VALUES {rows}"));
    db.run_due();
    let keys = db.lines("SELECT key FROM probe.cases() ORDER BY key");
    db.expect(
        &format!("SELECT count(*) FROM ledger JOIN wf.ledger_cases USING ({key})"),
        &[keys.len()],
    );
    db.exec("UPDATE ledger SET state = 'paid'");
    db.run_due();
    db.expect(
        "SELECT DISTINCT state, reason FROM probe.cases()",
        &["cancelled | paid"],
    );
    // By hand with the key as it is written.
    db.exec("UPDATE ledger SET state = 'late'");
    db.run_due();
    for key in &keys {
        db.exec(&format!(
            "SELECT * FROM wf.start('follow', {})",
            workflow_engine_tests::literal(key)
        ));
    }
    db.expect(
        "SELECT count(*) FROM probe.cases() WHERE state = 'running'",
        &[keys.len()],
    );
    keys
}

#[test]
fn keys_of_one_column() {
    assert_eq!(
        keys_of("id bigint", "id", "(1), (-9223372036854775808)"),
        ["-9223372036854775808", "1"]
    );
    assert_eq!(keys_of("id int", "id", "(1), (2)"), ["1", "2"]);
    assert_eq!(
        keys_of("id uuid", "id", "('00000000-0000-0000-0000-00000000000A')"),
        ["00000000-0000-0000-0000-00000000000a"]
    );
    assert_eq!(
        keys_of("id varchar(20)", "id", "('it''s'), ('\"x\"'), ('[1]')"),
        ["\"x\"", "[1]", "it's"]
    );
    assert_eq!(keys_of("id date", "id", "('2026-01-31')"), ["2026-01-31"]);
    assert_eq!(
        keys_of("id numeric", "id", "(12345678901234567890.50)"),
        ["12345678901234567890.5"]
    );
}

#[test]
fn keys_of_several_columns_are_json_arrays() {
    assert_eq!(
        keys_of(
            "company int, number text",
            "company, number",
            "(7, '2026-001'), (8, 'a\"b')"
        ),
        ["[\"7\",\"2026-001\"]", "[\"8\",\"a\\\"b\"]"]
    );
}

#[test]
fn quoted_names_of_columns_and_tables() {
    assert_eq!(keys_of("\"ClaimID\" int", "\"ClaimID\"", "(5)"), ["5"]);
}

#[test]
fn a_subject_without_its_key_is_refused_naming_the_columns_there_are() {
    let mut db = TestDb::new();
    let failure =
        db.refused("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'invoice_id')");
    failure.is("42703", &["invoice_id", "invoice"]).hints("");
    // The details must carry the key as well.
    let failure = db.refused("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'SELECT number, state FROM public.invoice')");
    failure.is("42703", &["id"]).hints("");
    db.expect("SELECT * FROM wf.subjects", NONE);
}

#[test]
fn other_bindings_that_cannot_be() {
    let mut db = TestDb::new();
    db.expect_error(
        "SELECT wf.bind_subject('invoice', 'public.invoice', key => 'number')",
        "22023",
        &["number", "unique"],
    )
    .hints("");
    db.expect_error("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', email => 'emial', details => 'public.invoice_details')", "42703", &["emial"])
        .hints("");
    db.expect_error(
        "SELECT wf.bind_subject('invoice', 'public.invoice_details', key => 'id')",
        "42809",
        &["invoice_details"],
    )
    .hints("");
    db.expect_error("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_detials')", "42P01", &["invoice_detials"]);
    db.bind_invoice();
    // The same table again changes the binding; another table under the name is a mistake.
    db.bind_invoice();
    db.expect_error(
        "SELECT wf.bind_subject('invoice', 'public.customer', key => 'id')",
        "42710",
        &["invoice"],
    )
    .hints("wf.unbind_subject");
    db.expect_error(
        "SELECT wf.watch('invocie', 'public.payment', 'invoice_id')",
        "42704",
        &["invocie"],
    );
    db.expect_error(
        "SELECT wf.watch('invoice', 'public.payment', 'invoice')",
        "22023",
        &["invoice"],
    )
    .hints("");
}

#[test]
fn a_key_has_one_text_however_the_session_writes_it() {
    for (kind, values, style) in [
        ("bytea", r"('\x00ff41')", "SET bytea_output = escape"),
        (
            "interval",
            "('1 day 02:03:04')",
            "SET IntervalStyle = sql_standard",
        ),
        ("float8", "(0.1::float8)", "SET extra_float_digits = -10"),
    ] {
        let mut db = TestDb::new();
        db.clock("2026-03-02 10:00");
        db.exec(&format!(
            "CREATE TABLE ledger (id {kind} PRIMARY KEY, state text NOT NULL DEFAULT 'posted');
             SELECT wf.bind_subject('ledger', 'public.ledger', key => 'id')"
        ));
        // It is there before the workflow, which looks for it when it is turned on; then the ERP writes it.
        db.exec(&format!("INSERT INTO ledger VALUES {values}; {style}"));
        db.install(&edited(
            invoice_workflow("follow", json!([{"name": "look", "kind": "task", "participant": "clerk", "due": {"days": 1}}])),
            |doc| {
                doc["subject"] = "ledger".into();
                doc["start"] = json!({"when": "state = 'posted'"});
                doc["templates"] = json!({});
            },
        ));
        db.run_due();
        db.exec("RESET ALL; UPDATE ledger SET state = state");
        db.run_due();
        db.exec(&format!("{style}; UPDATE ledger SET state = state"));
        db.run_due();
        db.expect("SELECT count(*) FROM wf.cases", &[1]);
    }
}
