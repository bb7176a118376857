//! The pages of docs/: what they show in SQL runs. The pages on steps and on editing have tests of their own, which hold
//! them to the results as well.
//!
//! Where a page speaks of case 7 or of people who are not there, the statement is refused for that and for nothing else: not
//! for its syntax, nor for a function, an argument, a view or a column that there is not.

use serde_json::json;
use workflow_engine_tests::{Failure, TestDb, edited, invoice_workflow, literal};

/// A page of docs/, with its blocks of SQL.
fn pages() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    let mut pages: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("docs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a page");
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, text)
        })
        .collect();
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    pages.push((
        "README.md".to_owned(),
        std::fs::read_to_string(readme).expect("README"),
    ));
    pages.sort_unstable();
    pages
}

/// The blocks of a language on a page.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str())
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect()
}

/// The statements of a block: each ends at the end of a line, which may have a comment behind it.
fn statements(block: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut sql = String::new();
    for line in block.lines() {
        sql.push_str(line);
        sql.push('\n');
        let code = line.split(" -- ").next().unwrap_or_default().trim_end();
        if code.ends_with(';') && sql.matches('\'').count().is_multiple_of(2) {
            found.push(std::mem::take(&mut sql));
        }
    }
    assert_eq!(sql.trim(), "", "a statement without an end");
    found
}

/// A refusal that a page may get for speaking of what is not there: cases, tasks, names, states, databases.
fn is_about_what_is_not_there(failure: &Failure) -> bool {
    ["P0002", "55000", "42704", "42710", "22023", "3D000", "42P06", "42P07", "23505"].contains(&failure.sqlstate.as_str())
        // A function or a relation that there is not has a code of its own, but so has an unknown type.
        && !failure.message.starts_with("type ")
}

/// The ERP's tables as the pages call them, and who is spoken of.
fn office() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    db.dunning();
    db.scope_10();
    db.invoice(4711, "2026-04-01", "1000");
    db.start("dunning", 4711);
    db.run_due();
    db
}

#[test]
fn the_sql_of_every_page_is_what_the_extension_knows() {
    let mut run = 0;
    for (page, text) in pages() {
        if page == "editing.md" {
            continue;
        }
        let sql: Vec<String> = blocks(&text, "sql")
            .into_iter()
            .flat_map(statements)
            .collect();
        if sql.is_empty() {
            continue;
        }
        let mut db = office();
        for statement in sql {
            let statement = statement
                .replace("COPY (", "SELECT * FROM (")
                .replace(") TO STDOUT WITH (FORMAT csv, HEADER)", ") AS copied");
            if let Err(failure) = db.try_exec(&statement) {
                assert!(
                    is_about_what_is_not_there(&failure),
                    "{page}: {statement}\n{}",
                    failure.text()
                );
                let _ = db.try_exec("ROLLBACK");
            }
            run += 1;
        }
    }
    assert!(run > 50, "{run} statements");
}

#[test]
fn the_page_on_versions_does_what_it_says() {
    let (_, text) = pages()
        .into_iter()
        .find(|(page, _)| page == "versions.md")
        .expect("the page");
    let sql: Vec<String> = blocks(&text, "sql")
        .into_iter()
        .flat_map(statements)
        .collect();
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    db.bind_invoice();
    let steps = |review: &str, with: bool| {
        let mut steps = vec![
            json!({"name": review, "kind": "task", "participant": "clerk", "due": {"days": 2}}),
            json!({"name": "mail", "kind": "email", "template": "hello"}),
        ];
        if with {
            steps.insert(
                1,
                json!({"name": "note it", "kind": "note", "text": "reviewed"}),
            );
        }
        edited(invoice_workflow("dunning", steps.into()), |doc| {
            doc["templates"]["hello"]["body"] = "Kind regards".into();
        })
    };
    db.install(&steps("review", false));
    db.invoice(1, "2026-04-01", "1000");
    let case = db.start("dunning", 1);
    db.run_due();

    // Content: the statement saves and publishes, and the running case has the new words.
    db.exec(&sql[0]);
    db.exec(&sql[1]);
    let history = db.lines(&sql[2]);
    assert!(
        history.iter().any(|row| row.starts_with("2 | content |")),
        "{history:?}"
    );
    let changes = db.lines(&sql[3]);
    assert!(
        changes.len() == 1
            && changes[0].contains("Kind regards")
            && changes[0].contains("Yours sincerely"),
        "{changes:?}"
    );

    // Structure: a step has another name.
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    db.bind_invoice();
    db.install(&steps("review", false));
    db.invoice(1, "2026-04-01", "1000");
    let moved = db.start("dunning", 1);
    assert_eq!(moved, case);
    db.run_due();
    db.install(&steps("assess", true));
    for (number, version) in [(4, "1"), (5, "1"), (6, "2")] {
        let told = db.rows(&sql[number]);
        assert_eq!(told.len(), 1, "{}: {told:?}", sql[number]);
        db.expect(
            &format!("SELECT version FROM wf.case_progress WHERE case_id = {case}"),
            &[version],
        );
    }
    db.expect("SELECT step FROM wf.worklist", &["assess"]);
    assert_eq!(
        sql.len(),
        7,
        "the page has other statements than this test knows"
    );
}

#[test]
fn the_examples_of_milestones_and_sections_are_published() {
    let (_, text) = pages()
        .into_iter()
        .find(|(page, _)| page == "milestones.md")
        .expect("the page");
    let examples = blocks(&text, "json");
    assert_eq!(
        examples.len(),
        2,
        "the page has other examples than this test knows"
    );
    let task = |name: &str, next: &str| json!({"name": name, "kind": "task", "description": name, "participant": "clerk", "due": {"days": 1}, "next": next});
    let note = |name: &str, next: &str| json!({"name": name, "kind": "note", "description": name, "text": name, "next": next});
    let documents = [
        json!([
            {"name": "reminders", "steps": [task("write", "ring")]},
            {"name": "others", "steps": [task("ring", "settle"), note("letter", "settle"), note("settle", "end"),
                                         {"name": "end", "kind": "finish", "description": "end"}]}
        ]),
        json!([{"name": "visits", "steps": [task("plan the visit", "visit"), task("visit", "report"), task("report", "end"),
                                            {"name": "end", "kind": "finish", "description": "end"}]}]),
    ];
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    db.bind_invoice();
    db.invoice(1, "2026-04-01", "1000");
    for (number, (example, phases)) in examples.into_iter().zip(documents).enumerate() {
        let head: serde_json::Value = serde_json::from_str(example).expect("JSON");
        let name = format!("example {number}");
        let document = edited(invoice_workflow(&name, json!([])), |doc| {
            doc["phases"] = phases;
            for (field, value) in head.as_object().expect("an object") {
                doc[field] = value.clone();
            }
        });
        db.install(&document);
        db.start(&name, 1);
    }
    db.run_due();
    db.expect(
        "SELECT step FROM wf.worklist ORDER BY 1",
        &["plan the visit", "write"],
    );
    // As the page says: not posted any more, so the reminders go and the case is settled.
    db.exec(&format!(
        "UPDATE invoice SET state = {} WHERE id = 1",
        literal("draft")
    ));
    db.run_due();
    db.expect("SELECT step FROM wf.worklist", &["plan the visit"]);
    db.expect("SELECT body FROM wf.notes", &["settle"]);
    db.expect(
        "SELECT section, inside FROM wf.section_places",
        &["field visit | t"],
    );
}
