//! A version that differs from the one before it in what people read only: running cases use its texts at once.
//!
//! Documents never change. The older versions of the same structure name the one whose texts their cases use; a process
//! that has one of them compiled notices by the subject's row, which it looks at in each transaction anyway.

use serde_json::Value;
use workflow_core::document::Document;
use workflow_core::migrate::{Change, Place, changes};
use workflow_core::program::{CompiledStep, Program, Roles, StepNo};

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
    let (titled, written) = (titles(&program, changes), messages(&program, changes));
    if titled.is_empty() && written.is_empty() {
        return;
    }
    lock_cases(new, &titled, &written);
    write_titles(new, &titled);
    write_messages(new, written);
}

/// Locks the cases that a change of these steps' titles and messages reaches: all of them at once, in id order.
fn lock_cases(version: i32, titled: &[&CompiledStep], written: &[StepNo]) {
    let rows = spi::query(
        "SELECT c.case_id FROM wf.versions AS v JOIN wf.cases AS c ON c.version_id = v.version_id AND c.ended_at IS NULL
         WHERE v.content_id = $1
           AND EXISTS (SELECT FROM wf.case_steps AS t
                       WHERE t.case_id = c.case_id
                         AND (t.step_no = ANY ($2) OR t.state = 'sending' AND t.step_no = ANY ($3)))",
        &[
            arg(version),
            array(titled.iter().map(|s| s.no)),
            array(written.iter().copied()),
        ],
    );
    let cases: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    lock_waiting(&cases);
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

/// The steps whose open tasks get another title.
fn titles<'a>(program: &'a Program, changes: &[Change]) -> Vec<&'a CompiledStep> {
    let described = |name: &str| {
        let of_it = |c: &&Change| matches!(&c.place, Place::Step(step) if step == name);
        let mut of_it = changes.iter().filter(of_it);
        of_it.any(|c| c.field == "description")
    };
    let steps = program.steps.iter();
    steps
        .filter(|s| s.is_manual() && described(&s.name))
        .collect()
}

/// Open tasks show the new description as their title.
fn write_titles(version: i32, steps: &[&CompiledStep]) {
    if steps.is_empty() {
        return;
    }
    spi::query(
        "UPDATE wf.tasks AS t SET title = n.title
         FROM (SELECT unnest($2::int2[]) AS step_no, unnest($3::text[]) AS title) AS n, wf.cases AS c, wf.versions AS v
         WHERE v.content_id = $1 AND c.version_id = v.version_id AND c.ended_at IS NULL
           AND t.case_id = c.case_id AND t.step_no = n.step_no",
        &[
            arg(version),
            array(steps.iter().map(|s| s.no)),
            array(steps.iter().map(|s| s.title())),
        ],
    );
}

/// The steps whose messages say something else now.
fn messages(program: &Program, changes: &[Change]) -> Vec<StepNo> {
    let changed = |template: &str| {
        let mut changes = changes.iter();
        changes.any(|c| matches!(&c.place, Place::Template(name) if name == template))
    };
    let steps = program.steps.iter();
    steps
        .filter(|s| s.kind.templates().into_iter().any(changed))
        .map(|s| s.no)
        .collect()
}

/// Messages that no sender has had in hand are written anew.
fn write_messages(version: i32, steps: Vec<StepNo>) {
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
