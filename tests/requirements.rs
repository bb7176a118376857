//! Keeps `docs/requirements.md` true: every requirement has a test that carries its id, the page names exactly these
//! tests, and its SQL calls what there is.
//!
//! `BLESS=1 cargo test -p workflow_engine_tests --test requirements` writes the page's last column anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The systems with the number of their requirements, and the scenarios.
const SYSTEMS: [(&str, usize); 6] = [
    ("RCV", 28),
    ("ARW", 28),
    ("FV", 20),
    ("CS", 18),
    ("AS", 26),
    ("S", 25),
];

/// Tests by id, each with its file.
type Tests = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn all_ids() -> BTreeSet<String> {
    let numbered = |(system, count): (&str, usize)| {
        let system = system.to_owned();
        (1..=count).map(move |n| id_of(&system, n))
    };
    SYSTEMS.into_iter().flat_map(numbered).collect()
}

fn id_of(system: &str, number: usize) -> String {
    if system == "S" {
        format!("S{number:02}")
    } else {
        format!("{system}-{number:02}")
    }
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
}

/// The ids that the name of a test carries: `rcv_15_16_the_field`, `s05_arw_06_…`, `s5_s13_…`.
fn ids_in(name: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut system = None;
    for part in name.split('_') {
        let scenario = part.strip_prefix('s').and_then(|n| n.parse().ok());
        if let (Some(number @ 1..=25), true) = (scenario, part.len() <= 3) {
            ids.push(id_of("S", number));
            system = None;
        } else if let Some((known, _)) = SYSTEMS.iter().find(|(s, _)| s.to_lowercase() == part) {
            system = Some(*known);
        } else if let (Some(system), 2, Ok(number)) = (system, part.len(), part.parse()) {
            ids.push(id_of(system, number));
        } else {
            system = None;
        }
    }
    ids
}

fn tests() -> Tests {
    let root = root();
    let mut sources = Vec::new();
    for folder in ["core/src", "src", "tests"] {
        files(&root.join(folder), "rs", &mut sources);
    }
    let mut tests = Tests::new();
    for source in sources {
        let text = fs::read_to_string(&source).expect("a source can be read");
        let file = source.strip_prefix(&root).expect("below the root");
        for line in text.lines() {
            let Some(name) = line.trim_start().strip_prefix("fn ") else {
                continue;
            };
            let name = name.split(['(', '<']).next().unwrap_or(name);
            for id in ids_in(name) {
                let test = format!("`{name}` ({})", file.display());
                tests.entry(id).or_default().insert(test);
            }
        }
    }
    tests
}

/// A row of the page's tables: its ids, what comes before the tests, and the tests.
struct Row<'a> {
    ids: Vec<String>,
    head: &'a str,
    sql: &'a str,
    tests: &'a str,
}

fn row(line: &str) -> Option<Row<'_>> {
    let inner = line.strip_prefix("| ")?.strip_suffix('|')?;
    let (head, tests) = inner.rsplit_once(" | ")?;
    let cells: Vec<&str> = head.splitn(3, " | ").collect();
    let [ids, _, sql] = cells[..] else {
        return None;
    };
    let mut system = "";
    let mut found = Vec::new();
    for part in ids.split(", ") {
        let number = match part.split_once('-') {
            Some((name, number)) => {
                system = name;
                number
            }
            None => part
                .strip_prefix('S')
                .inspect(|_| system = "S")
                .unwrap_or(part),
        };
        found.push(id_of(system, number.parse().ok()?));
    }
    Some(Row {
        ids: found,
        head,
        sql,
        tests: tests.trim(),
    })
}

fn page() -> (PathBuf, String) {
    let path = root().join("docs/requirements.md");
    let text = fs::read_to_string(&path).expect("docs/requirements.md can be read");
    (path, text)
}

/// The page with the tests that there are.
fn with_tests(page: &str, tests: &Tests) -> String {
    let mut written = String::new();
    for line in page.lines() {
        match row(line) {
            Some(row) => {
                let found: BTreeSet<&str> = row
                    .ids
                    .iter()
                    .filter_map(|id| tests.get(id))
                    .flatten()
                    .map(String::as_str)
                    .collect();
                let list: Vec<&str> = found.into_iter().collect();
                writeln!(written, "| {} | {} |", row.head, list.join("<br>"))
            }
            None => writeln!(written, "{line}"),
        }
        .expect("a string takes all");
    }
    written
}

#[test]
fn every_requirement_has_a_test_and_a_row_that_names_it() {
    let (path, text) = page();
    let tests = tests();
    let written = with_tests(&text, &tests);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &written).expect("the page can be written");
    }
    let listed: Vec<String> = text.lines().filter_map(row).flat_map(|r| r.ids).collect();
    let once: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(once.len(), listed.len(), "an id stands in two rows");
    assert_eq!(once, all_ids(), "the page's ids");
    let untested: Vec<&String> = once.iter().filter(|id| !tests.contains_key(*id)).collect();
    assert!(untested.is_empty(), "without a test: {untested:?}");
    for line in text.lines() {
        let Some(row) = row(line) else { continue };
        let rewritten = with_tests(line, &tests);
        assert!(
            rewritten.trim_end() == line || std::env::var_os("BLESS").is_some(),
            "{:?}: the page names {}; run with BLESS=1",
            row.ids,
            row.tests
        );
    }
}

#[test]
fn the_sql_of_the_page_names_what_there_is() {
    let mut sources = Vec::new();
    files(&root().join("sql"), "sql", &mut sources);
    let ddl: String = sources
        .iter()
        .map(|path| fs::read_to_string(path).expect("a file of DDL can be read"))
        .collect();
    let (_, text) = page();
    for row in text.lines().filter_map(row) {
        assert!(row.sql.contains('`'), "{:?} has no SQL", row.ids);
        for piece in row.sql.split("wf.").skip(1) {
            let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &piece[..end.unwrap_or(piece.len())];
            // The views of a subject are made when it is bound.
            let bound = name.ends_with("_cases");
            let made = ["FUNCTION", "PROCEDURE", "VIEW", "TABLE"]
                .iter()
                .any(|what| {
                    let create = format!("CREATE {what} wf.{name}");
                    ddl.match_indices(&create).any(|(at, _)| {
                        !ddl[at + create.len()..]
                            .starts_with(|c: char| c.is_alphanumeric() || c == '_')
                    })
                });
            assert!(bound || made, "{:?}: there is no wf.{name}", row.ids);
        }
    }
}

#[test]
fn ids_are_read_from_names() {
    assert_eq!(ids_in("rcv_15_16_a_field"), ["RCV-15", "RCV-16"]);
    assert_eq!(ids_in("s5_arw_06_days"), ["S05", "ARW-06"]);
    assert_eq!(
        ids_in("s13_s14_cs_08_10_x"),
        ["S13", "S14", "CS-08", "CS-10"]
    );
    assert!(ids_in("the_first_18_days_as_a_whole").is_empty());
}

#[test]
fn the_pages_on_reliability_and_security_name_tests_that_there_are() {
    for page in ["docs/reliability.md", "docs/security.md"] {
        let text = fs::read_to_string(root().join(page)).expect("the page can be read");
        let mut named = 0;
        for (before, after) in text.match_indices("` (").map(|(at, _)| text.split_at(at)) {
            let Some((_, name)) = before.rsplit_once('`') else {
                continue;
            };
            let Some((file, _)) = after["` (".len()..].split_once(')') else {
                continue;
            };
            if Path::new(file).extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let source = fs::read_to_string(root().join(file));
            let source = source.unwrap_or_else(|e| panic!("{page}: {file}: {e}"));
            assert!(
                source.contains(&format!("fn {name}(")),
                "{page}: there is no {name} in {file}"
            );
            named += 1;
        }
        assert!(named > 5, "{page}: {named} tests");
    }
}

/// Whether code, comments aside, has the word `unsafe`.
fn is_unsafe(source: &str) -> bool {
    source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .any(|word| word == "unsafe")
}

#[test]
fn unsafe_stands_only_where_the_page_says() {
    let mut sources = Vec::new();
    for folder in ["src", "core/src"] {
        files(&root().join(folder), "rs", &mut sources);
    }
    let mut found: Vec<String> = sources
        .iter()
        .filter(|path| is_unsafe(&fs::read_to_string(path).expect("a source can be read")))
        .map(|path| {
            let path = path.strip_prefix(root()).expect("a file of ours");
            path.to_string_lossy().into_owned()
        })
        .collect();
    found.sort_unstable();
    let page = fs::read_to_string(root().join("docs/security.md")).expect("the page can be read");
    let (_, list) = page
        .split_once("| files | for |")
        .expect("the page lists the files");
    let (list, _) = list.split_once("\n\n").expect("the list ends");
    let mut named: Vec<String> = list
        .split('`')
        .filter(|text| text.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    named.sort_unstable();
    assert_eq!(found, named);
    for path in ["core/src/lib.rs", "tests/src/lib.rs"] {
        let text = fs::read_to_string(root().join(path)).expect("a source can be read");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{path}");
    }
}
