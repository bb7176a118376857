//! docs/editing.md: every statement of the page runs, and gives what the page says it gives.

use workflow_engine_tests::{Session, TestDb};

const PAGE: &str = include_str!("../../docs/editing.md");

/// A statement of the page, with the lines that stand under it as `-- => …`.
struct Shown {
    sql: String,
    gives: Vec<String>,
}

/// The statements in the page's blocks of SQL.
fn shown() -> Vec<Shown> {
    let mut statements: Vec<Shown> = Vec::new();
    let mut sql = String::new();
    let mut inside = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            inside = line == "```sql";
            continue;
        }
        if !inside {
            continue;
        }
        if let Some(result) = line.strip_prefix("-- => ") {
            let last = statements.last_mut().expect("a result follows a statement");
            last.gives.push(result.to_owned());
            continue;
        }
        sql.push_str(line);
        sql.push('\n');
        if line.ends_with(';') {
            let gives = Vec::new();
            statements.push(Shown {
                sql: std::mem::take(&mut sql),
                gives,
            });
        }
    }
    assert_eq!(sql.trim(), "", "a statement without an end");
    statements
}

fn run(db: &mut Session, statement: &Shown) {
    if let [refusal] = &statement.gives[..]
        && let Some((sqlstate, message)) = refusal
            .strip_prefix("ERROR ")
            .and_then(|r| r.split_once(": "))
    {
        let failure = db.expect_error(&statement.sql, sqlstate, &[]);
        assert_eq!(failure.message, message);
        failure.hints("");
    } else if statement.gives.is_empty() {
        db.exec(&statement.sql);
    } else {
        db.expect(&statement.sql, &statement.gives);
    }
}

#[test]
fn the_page_on_editing_can_be_run_as_it_stands() {
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    let statements = shown();
    for statement in &statements {
        run(&mut db, statement);
    }
    assert!(statements.len() > 15, "the page lost its statements");
    let refusals = statements
        .iter()
        .filter(|s| s.gives.iter().any(|g| g.starts_with("ERROR")));
    assert!(refusals.count() >= 3);
}
