//! The editing functions: workflows built and changed one thing at a time, saved and discarded, by one designer or two.

mod building;
mod buttons;
mod designers;
mod links;
mod page;
mod pages;
mod publishing;
mod refusals;

use workflow_engine_tests::TestDb;

const NONE: &[&str] = &[];

/// The invoice of the tests' ERP, bound, and whoever works on tasks.
fn bound() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-03-16 12:00");
    db.bind_invoice();
    db.exec("SELECT wf.set_participant(p) FROM unnest('{ar_specialist,back_office,clerk}'::text[]) AS p");
    db
}

/// A workflow `w` of three steps, built by the functions and not saved: `first` (a task), `second` (a note), `end`.
fn small() -> TestDb {
    let mut db = bound();
    db.exec(
        r#"SELECT wf.create_workflow('w', 'invoice', '{"description": "Made for a test"}');
           SELECT wf.set_step('w', 'step 1', '{"name": "first", "description": "Look at it", "participant": "clerk",
               "due": {"anchor": "case_start", "business_days": 2}}');
           SELECT wf.add_step('w', 'second', 'note', '{"description": "Note it", "text": "{{ number }} seen"}');
           SELECT wf.add_step('w', 'end', 'finish', '{"description": "Over"}')"#,
    );
    db
}

/// The same, saved and on.
fn saved() -> TestDb {
    let mut db = small();
    db.expect("SELECT wf.save('w')", &[1]);
    db.exec("SELECT wf.enable('w')");
    db
}

/// What the draft's steps lead to, or those of the published version if there is no draft: `from outcome to`.
const FLOW: &str = "SELECT f.name, t.outcome, n.name FROM wf.transitions AS t
    JOIN wf.steps AS f ON f.version_id = t.version_id AND f.step_no = t.from_step
    JOIN wf.steps AS n ON n.version_id = t.version_id AND n.step_no = t.to_step
    WHERE t.version_id = (SELECT max(version_id) FROM wf.versions) ORDER BY f.step_no, n.step_no";
