//! Documents that are broken or meant to do harm: each ends in an error or in findings that say where and what to do, in
//! bounded time and memory, and changes nothing.

mod fields;

use serde_json::{Value, json};
use workflow_engine_tests::{Failure, Session, TestDb, edited, invoice_workflow, literal};

/// What one import may take at most, far more than it needs on a slow machine.
const LONGEST: &str = "SET statement_timeout = '60s'";

/// How much larger than the document the session's memory may become, in bytes for each of its own.
const MEMORY_FACTOR: u64 = 8;

/// Memory that a session takes for itself, whatever it does.
const MEMORY_BASE: u64 = 256 << 20;

/// Everything about definitions, in one value.
const DEFINITIONS: &str = "SELECT md5(concat_ws('/',
     (SELECT string_agg(w::text, ',' ORDER BY w.workflow_id) FROM wf.workflows AS w),
     (SELECT string_agg(v::text, ',' ORDER BY v.version_id) FROM wf.versions AS v),
     (SELECT string_agg(s::text, ',' ORDER BY s.version_id, s.step_no) FROM wf.steps AS s),
     (SELECT string_agg(t::text, ',' ORDER BY t::text) FROM wf.transitions AS t),
     (SELECT string_agg(t::text, ',' ORDER BY t::text) FROM wf.templates AS t)))";

fn database() -> TestDb {
    let mut db = TestDb::new();
    db.bind_invoice();
    db.install(&good("present"));
    db.exec(LONGEST);
    db
}

fn good(name: &str) -> Value {
    invoice_workflow(
        name,
        json!([{"name": "mail", "kind": "email", "template": "hello"}]),
    )
}

/// The peak of a session's own memory, in bytes.
fn peak(db: &mut Session) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", db.pid())).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a peak");
    let kilobytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kilobytes << 10
}

/// Imports what has to be refused; nothing may have changed, and the session still works.
#[track_caller]
fn refused(db: &mut Session, text: &str) -> Failure {
    let before: String = db.one(DEFINITIONS);
    let failure = db.refused(&format!("SELECT * FROM wf.import({})", literal(text)));
    let after: String = db.one(DEFINITIONS);
    assert_eq!(before, after, "something has changed");
    let peak = peak(db);
    let allowed = MEMORY_BASE + MEMORY_FACTOR * text.len() as u64;
    assert!(
        peak < allowed,
        "{peak} bytes of memory for {} bytes",
        text.len()
    );
    failure
}

/// The findings of a draft that was taken in, but can never be published.
#[track_caller]
fn findings(db: &mut TestDb, document: &Value) -> Vec<String> {
    let name = document["name"].as_str().expect("a name").to_owned();
    db.exec(&format!(
        "SELECT * FROM wf.import({})",
        literal(&document.to_string())
    ));
    let found = db.lines(&format!(
        "SELECT severity, place, message, hint IS NOT NULL FROM wf.validate('{name}') WHERE severity = 'error'"
    ));
    assert!(!found.is_empty(), "no finding");
    db.refused(&format!("SELECT wf.publish('{name}')"))
        .is("22023", &[&name]);
    found
}

#[test]
fn s23_a_document_of_a_hundred_megabytes_is_refused() {
    let mut db = database();
    let mut document = good("large");
    document["description"] = "x".repeat(100 << 20).into();
    refused(&mut db, &document.to_string()).is("22023", &["104", "16777216"]);

    // As much as is let through, and every step of it wrong.
    let mut document = good("wrong");
    let step = json!({"name": "s", "kind": "note", "nonsense": 1});
    document["phases"][0]["steps"] = vec![step; 250_000].into();
    let text = document.to_string();
    assert!(text.len() > 9 << 20 && text.len() < 16 << 20);
    // A session of its own, for the others have needed more for the statement alone.
    refused(&mut db.connect(), &text).is("22023", &["nonsense"]);
}

#[test]
fn s23_ten_thousand_levels_are_refused() {
    let mut db = database();
    for deep in [
        "[".repeat(10_000),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        format!(
            "{{\"format\": 1, \"name\": {}\"x\"{}}}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        ),
    ] {
        refused(&mut db, &deep).is("22032", &[]);
    }
}

#[test]
fn s23_what_is_no_document_is_refused() {
    let mut db = database();
    for text in [
        "",
        " ",
        "nonsense",
        "null",
        "[]",
        "1e999999999",
        "{",
        "\"a\"",
        "{\"format\": 1",
    ] {
        let failure = refused(&mut db, text);
        assert!(
            ["22032", "22023"].contains(&failure.sqlstate.as_str()),
            "{text:?}: {}",
            failure.text()
        );
    }
}

#[test]
fn s23_a_field_that_stands_twice_is_refused() {
    let mut db = database();
    let text = good("twice")
        .to_string()
        .replacen("\"name\":", "\"name\":\"other\",\"name\":", 1);
    refused(&mut db, &text).is("22023", &["name"]);
}

#[test]
fn s23_an_unknown_format_or_field_is_refused_by_its_name() {
    let mut db = database();
    for format in [json!(0), json!(2), json!("1"), json!(1.5), Value::Null] {
        let mut document = good("format");
        document["format"] = format;
        refused(&mut db, &document.to_string()).is("22023", &["format"]);
    }
    let mut document = good("field");
    document["phases"][0]["steps"][0]["recipient"] = "everybody".into();
    refused(&mut db, &document.to_string()).is("22023", &["mail", "recipient"]);
}

#[test]
fn s23_names_that_stand_twice_are_found() {
    let mut db = database();
    let mut document = good("names");
    let steps = document["phases"][0]["steps"]
        .as_array_mut()
        .expect("steps");
    steps.insert(0, steps[0].clone());
    let again = document["phases"][0].clone();
    document["phases"]
        .as_array_mut()
        .expect("phases")
        .push(again);
    let found = findings(&mut db, &document);
    assert!(
        found
            .iter()
            .any(|f| f.contains("mail") && f.contains("more than once") || f.contains("twice")),
        "{found:#?}"
    );
}

#[test]
fn s23_links_to_nowhere_are_found_all_at_once() {
    let mut db = database();
    let document = invoice_workflow(
        "nowhere",
        json!([
            {"name": "ask", "kind": "question", "participant": "clerk",
             "options": [{"name": "yes", "next": "moon"}, {"name": "no", "next": "mars"}]},
            {"name": "again", "kind": "repeat", "back_to": "venus", "max_visits": 2, "exhausted": "pluto"},
            {"name": "mail", "kind": "email", "template": "no such template", "next": "saturn"}
        ]),
    );
    let found = findings(&mut db, &document).join("\n");
    for name in [
        "moon",
        "mars",
        "venus",
        "pluto",
        "saturn",
        "no such template",
    ] {
        assert!(found.contains(name), "{name} is not in\n{found}");
    }
}

#[test]
fn s23_a_template_bomb_is_found_or_becomes_an_incident_of_its_own_case() {
    let mut db = database();
    let mut document = good("nested");
    document["templates"]["hello"]["body"] = "{{ (".repeat(10_000).into();
    let found = findings(&mut db, &document);
    assert!(found.iter().any(|f| f.contains("hello")), "{found:#?}");

    // What only running shows: it parses, and would write without end.
    let mut document = good("bomb");
    document["templates"]["hello"]["body"] =
        "{% for a in range(10000) %}{% for b in range(10000) %}{% for c in range(10000) %}xxxxxxxxxx{% endfor %}{% endfor %}{% endfor %}"
            .into();
    db.install(&document);
    db.invoice(1, "2026-05-01", "10");
    db.invoice(2, "2026-05-01", "10");
    db.exec("SELECT wf.start('bomb', 1); SELECT wf.start('present', 2)");
    db.run_due();
    db.expect("SELECT workflow, step FROM wf.incidents", &["bomb | mail"]);
    db.expect("SELECT step FROM probe.outbox()", &["mail"]);
    let peak = peak(&mut db);
    assert!(peak < MEMORY_BASE, "{peak} bytes of memory");
}

#[test]
fn s23_hostile_names_are_only_names() {
    let mut db = database();
    for name in [
        "'; DROP TABLE wf.cases; --",
        "\"quoted\"",
        "{{ 7 * 7 }}",
        "%I %L %s $1",
        "../../etc/passwd",
        "a\u{202e}b",
    ] {
        let mut document = good(name);
        document["phases"][0]["name"] = name.into();
        document["phases"][0]["steps"][0]["name"] = name.into();
        let text = literal(&document.to_string());
        let quoted = literal(name);
        match db.try_exec(&format!(
            "SELECT * FROM wf.import({text}); SELECT wf.publish({quoted}); SELECT wf.enable({quoted})"
        )) {
            Ok(()) => {
                db.expect(
                    &format!("SELECT count(*) FROM wf.steps WHERE name = {quoted}"),
                    &[1],
                );
                db.exec(&format!("SELECT wf.diagram({quoted}, 'svg'), wf.export({quoted})"));
            }
            Err(failure) => {
                failure.is("22023", &["name"]);
            }
        }
    }
    db.expect("SELECT count(*) FROM wf.cases", &[0]);
}
