//! Names that try to be more than names: of tables, columns, roles and JSON keys.

use super::*;
use workflow_engine_tests::literal;

/// Names that SQL, JSON, format strings and templates give a meaning to.
fn hostile() -> Vec<String> {
    [
        "a\"b",
        "a'b",
        "a''; DROP TABLE public.loot; --",
        "a\nb",
        "a\\b",
        "a\\'b",
        "$$",
        "$1",
        "%I%s%L",
        "{{ x }}",
        "{% raw %}",
        "select",
        "user",
        "wf_key",
        "vars",
        "d",
        "k",
        "tableoid_",
        "ünï\u{202e}cødé",
        "\u{1f4b6}",
        " leading",
        "a.b",
        "a,b",
        "(a)",
        "[]",
        "{}",
        "/* a",
        "--",
        "E'\\x'",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(["x".repeat(63), format!("{}\"", "y".repeat(62))])
    .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[test]
fn tables_and_columns_of_any_name_are_bound_followed_updated_and_let_go() {
    let mut stage = Stage::new(None);
    for (number, name) in hostile().into_iter().enumerate() {
        let (table, column) = (quoted(&name), quoted(&name));
        // The key, a value, and the table all bear the name, but not the same column twice.
        let key = quoted(&format!("k{}", name.chars().take(14).collect::<String>()));
        let subject = format!("subject_{number}");
        stage.exec(&format!(
            "CREATE SCHEMA \"s{number}\"; CREATE TABLE \"s{number}\".{table} ({key} text PRIMARY KEY, {column} int NOT NULL DEFAULT 0, mail text, seen text);
             CREATE TABLE \"s{number}\".paid (n bigint GENERATED ALWAYS AS IDENTITY, {column} text)"
        ));
        let relation = literal(&format!("\"s{number}\".{table}"));
        stage.exec(&format!(
            "SELECT wf.bind_subject('{subject}', {relation}, key => {}, watch => {}, email => 'mail', eligible => {});
             SELECT wf.watch('{subject}', '\"s{number}\".paid', {})",
            literal(&key),
            literal(&column),
            literal(&format!("d.{column} < 10")),
            literal(&column)
        ));
        stage.install(&edited(
            invoice_workflow(
                &format!("flow {number}"),
                json!([
                    {"name": "mark", "kind": "update", "set": {"seen": format!("{}::text || k.vars::text", key)}},
                    {"name": "say", "kind": "note", "text": "done", "when": format!("d.{column} >= 0")},
                    {"name": "wait", "kind": "task", "participant": "clerk", "due": {"days": 1}}
                ]),
            ),
            |doc| {
                doc["subject"] = subject.clone().into();
                doc["templates"] = json!({});
                doc["start"] = json!({"when": format!("d.{column} = 1")});
                doc["stop"] = json!([{"when": format!("d.{column} = 9"), "reason": "gone"}]);
                let set = &mut doc["phases"][0]["steps"][0]["set"];
                *set = json!({"seen": format!("'seen ' || t.{key}")});
            },
        ));
        let value = literal(&name);
        stage.exec(&format!(
            "INSERT INTO \"s{number}\".{table} ({key}, {column}) VALUES ({value}, 1)"
        ));
        stage.run_due();
        stage.expect(
            &format!("SELECT seen = 'seen ' || {value} FROM \"s{number}\".{table}"),
            &["t"],
        );
        stage.expect(
            &format!("SELECT count(*) FROM wf.case_progress WHERE subject = '{subject}' AND key = {value} AND steps = 'wait'"),
            &[1],
        );
        stage.expect(
            &format!("SELECT count(*) FROM wf.\"{subject}_cases\" WHERE {key} = {value}"),
            &[1],
        );
        // A watched row names it; a changed one stops it.
        stage.exec(&format!(
            "INSERT INTO \"s{number}\".paid ({column}) VALUES ({value}); UPDATE \"s{number}\".{table} SET {column} = 9"
        ));
        stage.run_due();
        stage.expect(
            &format!("SELECT state, reason FROM wf.case_progress WHERE subject = '{subject}'"),
            &["cancelled | gone"],
        );
        stage.exec(&format!("SELECT wf.reconcile('{subject}'); SELECT wf.disable('flow {number}'); SELECT wf.unbind_subject('{subject}')"));
        stage.expect(
            &format!("SELECT count(*) FROM pg_trigger WHERE tgrelid = {relation}::regclass"),
            &[0],
        );
    }
    stage.expect("SELECT count(*) FROM wf.incidents", &[0]);
    stage.is_unharmed(&[]);
}

#[test]
fn roles_of_any_name_get_their_rights_and_act() {
    let mut stage = Stage::new(None);
    for (number, name) in hostile().into_iter().enumerate() {
        // Roles are the cluster's: other tests must not meet them.
        let name: String = format!("{}{number}{name}", std::process::id())
            .chars()
            .take(40)
            .collect();
        let role = quoted(&name);
        let text = literal(&name);
        stage.exec(&format!(
            "CREATE ROLE {role}; SELECT wf.grant_role({}::regrole, 'owner'), wf.grant_role({}::regrole, 'sender', '{{sms}}');
             SELECT wf.set_participant({text}, {text}); GRANT SELECT ON invoice TO {role}",
            literal(&role),
            literal(&role)
        ));
        stage.exec(&format!(
            "SET ROLE {role}; SELECT wf.create_workflow('of {number}', 'invoice'); SELECT * FROM wf.case_progress; \
             SELECT count(*) FROM wf.lease_messages('sms'); RESET ROLE"
        ));
        stage.expect(
            &format!("SELECT owner::oid = (SELECT oid FROM pg_roles WHERE rolname = {text}) FROM wf.workflows WHERE name = 'of {number}'"),
            &["t"],
        );
        stage.exec(&format!(
            "SELECT wf.drop_workflow('of {number}'), wf.revoke_role({}::regrole); DELETE FROM wf.participants WHERE participant = {text}; \
             REVOKE ALL ON invoice FROM {role}; DROP ROLE {role}",
            literal(&role)
        ));
    }
    stage.is_unharmed(&[]);
}

#[test]
fn json_keys_are_only_keys() {
    let mut stage = Stage::new(None);
    stage.install(&invoice_workflow(
        "keys",
        json!([
            {"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 1}},
            {"name": "say", "kind": "note", "text": "{{ number }} {{ vars.hello }}", "when": "vars ->> 'hello' = 'x'"},
            {"name": "wait", "kind": "task", "participant": "clerk", "due": {"days": 1}}
        ]),
    ));
    for (number, key) in hostile()
        .into_iter()
        .chain([
            "".to_owned(),
            "number".to_owned(),
            "id".to_owned(),
            "__proto__".to_owned(),
            "z".repeat(100_000),
        ])
        .enumerate()
    {
        let invoice = number as i64 + 1;
        stage.invoice(invoice, "2026-04-01", "5");
        let given = json!({ key.as_str(): "given", "hello": "x" });
        stage.exec(&format!(
            "SELECT wf.start('keys', {invoice}, {}::jsonb)",
            literal(&given.to_string())
        ));
        let answered = json!({ key.as_str(): {key.as_str(): [key.as_str()]} });
        stage.exec(&format!(
            "SELECT wf.complete(max(task_id), NULL, {}::jsonb) FROM wf.tasks",
            literal(&answered.to_string())
        ));
        stage.run_due();
        // The row's own columns are not the caller's to give.
        stage.expect(
            "SELECT body FROM wf.notes WHERE note_id = (SELECT max(note_id) FROM wf.notes)",
            &[format!("INV-{invoice} x")],
        );
        stage.expect(
            &format!(
                "SELECT vars -> {} = {}::jsonb FROM wf.cases WHERE key = '{invoice}'",
                literal(&key),
                literal(&answered[key.as_str()].to_string())
            ),
            &["t"],
        );
    }
    for wrong in ["[]", "1", "\"text\"", "true", "null"] {
        stage.invoice(1000, "2026-04-01", "5");
        let started = stage.try_exec(&format!("SELECT wf.start('keys', 1000, '{wrong}'::jsonb)"));
        if wrong != "null" {
            started
                .expect_err("vars are an object")
                .is("22023", &["object"]);
        }
        stage.exec("DELETE FROM invoice WHERE id = 1000; DELETE FROM wf.inbox");
    }
    stage.expect("SELECT count(*) FROM wf.incidents", &[0]);
}
