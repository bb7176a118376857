//! A version that differs from the one before it in what people read only: running cases use its texts at once.
//!
//! Documents never change. The older versions of the same structure name the one whose texts their cases use; a process
//! that has one of them compiled notices by the subject's row, which it looks at in each transaction anyway.

use serde_json::Value;
use workflow_core::document::Document;
use workflow_core::migrate::{Change, Place, changes};
use workflow_core::program::{Program, Roles};

use super::write::render_again;
use crate::definitions::store;
use crate::engine::batch::lock_waiting;
use crate::engine::versions::WorkflowRow;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of};
use crate::subjects::subject;

/// What a draft changes, if that is content only.
pub fn changed(row: &WorkflowRow, draft: i32) -> Option<Vec<Change>> {
    let published = row.published?;
    let read = |version| serde_json::from_str::<Value>(&store::document(version)).ok();
    changes(&read(published)?, &read(draft)?)
}

/// Lets the running cases of the version published before use the texts of this one, which has just been published.
pub fn reach_cases(before: i32, new: i32, changes: &[Change]) {
    let rows = spi::query(
        "UPDATE wf.versions AS v SET content_of = b.version_id
         FROM wf.versions AS b
         WHERE v.version_id = $1 AND b.version_id = $2 AND b.subject_id = v.subject_id
         RETURNING v.subject_id",
        &[arg(new), arg(before)],
    );
    // A subject that was unbound and bound anew under its name is another one: its cases stay with what they know.
    let Some(subject) = rows.first().map(|row| row.must::<i32>(1)) else {
        return;
    };
    spi::query(
        "UPDATE wf.versions AS v SET content_id = $1 WHERE v.version_id = $2 OR v.content_id = $2",
        &[arg(new), arg(before)],
    );
    note(new, changes);
    spi::query(
        "UPDATE wf.subjects AS s SET name = s.name WHERE s.subject_id = $1",
        &[arg(subject)],
    );
    subject::forget(subject);
    let Ok(document) = Document::parse(&store::document(new)) else {
        return;
    };
    let program = Program::compile(document, Roles::default());
    titles(new, &program, changes);
    messages(new, &program, changes);
}

/// Who changed what: the version's row says who, these say what.
fn note(version: i32, changes: &[Change]) {
    let numbers = 1..=i32::try_from(changes.len()).unwrap_or(i32::MAX);
    spi::query(
        "INSERT INTO wf.content_changes (version_id, change_no, place, field, before, after)
         SELECT $1, unnest($2::int[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::text[])",
        &[
            arg(version),
            array(numbers),
            array(changes.iter().map(|c| c.place.to_string())),
            array(changes.iter().map(|c| c.field.as_str())),
            array_of(changes.iter().map(|c| c.before.as_deref())),
            array_of(changes.iter().map(|c| c.after.as_deref())),
        ],
    );
}

/// Open tasks show the new description as their title.
fn titles(version: i32, program: &Program, changes: &[Change]) {
    let described = |name: &str| {
        let of_it = |c: &&Change| matches!(&c.place, Place::Step(step) if step == name);
        let mut of_it = changes.iter().filter(of_it);
        of_it.any(|c| c.field == "description")
    };
    let steps = program.steps.iter();
    let steps: Vec<_> = steps
        .filter(|s| s.is_manual() && described(&s.name))
        .collect();
    if steps.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT DISTINCT t.case_id FROM wf.tasks AS t
         JOIN wf.cases AS c ON c.case_id = t.case_id
         JOIN wf.versions AS v ON v.version_id = c.version_id
         WHERE v.content_id = $1 AND t.step_no = ANY ($2)",
        &[arg(version), array(steps.iter().map(|s| s.no))],
    );
    let cases: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    let cases = lock_waiting(&cases);
    spi::query(
        "UPDATE wf.tasks AS t SET title = n.title
         FROM (SELECT unnest($2::int2[]) AS step_no, unnest($3::text[]) AS title) AS n
         WHERE t.case_id = ANY ($1) AND t.step_no = n.step_no",
        &[
            array(cases),
            array(steps.iter().map(|s| s.no)),
            array(steps.iter().map(|s| s.title())),
        ],
    );
}

/// Messages that no sender has had in hand are written anew.
fn messages(version: i32, program: &Program, changes: &[Change]) {
    let changed = |template: &str| {
        let mut changes = changes.iter();
        changes.any(|c| matches!(&c.place, Place::Template(name) if name == template))
    };
    let steps = program.steps.iter();
    let steps: Vec<_> = steps
        .filter(|s| s.kind.templates().into_iter().any(changed))
        .map(|s| s.no)
        .collect();
    if steps.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT t.case_id, t.step_no, t.visit FROM wf.versions AS v
         JOIN wf.cases AS c ON c.version_id = v.version_id AND c.ended_at IS NULL
         JOIN wf.case_steps AS t ON t.case_id = c.case_id AND t.state = 'sending'
         WHERE v.content_id = $1 AND t.step_no = ANY ($2)",
        &[arg(version), array(steps)],
    );
    let (mut cases, mut steps, mut visits) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.iter() {
        cases.push(row.must(1));
        steps.push(row.must(2));
        visits.push(row.must(3));
    }
    render_again(cases, steps, visits);
}
