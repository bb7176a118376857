//! The rows of a version: its document, and the phases, steps, transitions and templates projected from it.

use pgrx::pg_sys::Oid;
use workflow_core::document::Document;
use workflow_core::people::People;
use workflow_core::program::{Program, Roles};
use workflow_core::{Error, ErrorCode};

use crate::api::now;
use crate::engine::versions::WorkflowRow;
use crate::pg::raise::{internal, raise};
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of};
use crate::subjects::subject;

/// The text of a version's document.
pub fn document(version: i32) -> String {
    let rows = spi::query(
        "SELECT v.document::text FROM wf.versions AS v WHERE v.version_id = $1",
        &[arg(version)],
    );
    rows.first()
        .map_or_else(|| internal("a version without a row"), |row| row.must(1))
}

/// Saves a draft, in place of the present one; creates the workflow if it is new. Gives back name and number.
pub fn save_draft(
    row: Option<WorkflowRow>,
    text: &str,
    document: &Document,
    owner: Oid,
    actor: &str,
) -> (String, i32) {
    let name = document.head.name.clone();
    let (workflow, draft) = match row {
        Some(row) => (row.id, row.draft),
        None => {
            let rows = spi::query(
                "INSERT INTO wf.workflows (name, owner, created_at) VALUES ($1, $2::regrole, $3)
                 ON CONFLICT DO NOTHING RETURNING workflow_id",
                &[arg(name.as_str()), arg(owner), arg(now())],
            );
            let Some(row) = rows.first() else {
                raise(
                    Error::new(
                        ErrorCode::Duplicate,
                        format!("workflow \"{name}\" has just been made by somebody else"),
                    )
                    .hint("Give another name, or change that workflow."),
                );
            };
            (row.must(1), None)
        }
    };
    let kind = document.head.kind.name();
    let rows = match draft {
        Some(draft) => spi::query(
            "UPDATE wf.versions AS v SET document = $2::json, saved_at = $3, saved_by = $4, kind = $5
             WHERE v.version_id = $1 RETURNING v.version_id, v.number",
            &[arg(draft), arg(text), arg(now()), arg(actor), arg(kind)],
        ),
        None => spi::query(
            "INSERT INTO wf.versions (workflow_id, number, document, saved_at, saved_by, kind)
             SELECT $1, coalesce(max(v.number), 0) + 1, $2::json, $3, $4, $5
             FROM wf.versions AS v WHERE v.workflow_id = $1
             RETURNING version_id, number",
            &[arg(workflow), arg(text), arg(now()), arg(actor), arg(kind)],
        ),
    };
    let Some(row) = rows.first() else {
        internal("no version row")
    };
    project(row.must(1), text);
    (name, row.must(2))
}

/// Puts another text into a draft that says the same to everything projected from it.
pub fn rewrite_draft(draft: i32, text: &str) {
    spi::query(
        "UPDATE wf.versions AS v SET document = $2::json WHERE v.version_id = $1",
        &[arg(draft), arg(text)],
    );
}

/// Throws a draft away, with what was projected from it.
pub fn drop_draft(draft: i32) {
    spi::query(
        "DELETE FROM wf.versions AS v WHERE v.version_id = $1",
        &[arg(draft)],
    );
}

/// The number of a version.
pub fn number(version: i32) -> i32 {
    let rows = spi::query(
        "SELECT v.number FROM wf.versions AS v WHERE v.version_id = $1",
        &[arg(version)],
    );
    rows.first()
        .map_or_else(|| internal("a version without a row"), |row| row.must(1))
}

/// Makes a draft the published version; the one before it is retired, its cases go on running on it.
pub fn publish(row: &WorkflowRow, draft: i32, subject: &str, actor: &str) -> i32 {
    if let Some(before) = row.published {
        spi::query(
            "UPDATE wf.versions AS v SET state = 'retired' WHERE v.version_id = $1",
            &[arg(before)],
        );
    }
    let rows = spi::query(
        "UPDATE wf.versions AS v
         SET state = 'published', published_at = $2, published_by = $3, subject_id = $4
         WHERE v.version_id = $1 RETURNING v.number",
        &[
            arg(draft),
            arg(now()),
            arg(actor),
            arg(subject::by_name(subject).id),
        ],
    );
    rows.first()
        .map_or_else(|| internal("no version row"), |r| r.must(1))
}

/// Projects a draft's document into rows, in place of those of the text before.
fn project(version: i32, text: &str) {
    for table in ["phases", "steps", "transitions", "templates"] {
        spi::query(
            &format!("DELETE FROM wf.{table} AS t WHERE t.version_id = $1"),
            &[arg(version)],
        );
    }
    let Ok(document) = Document::parse(text) else {
        return;
    };
    let program = Program::compile(document, Roles::default());
    if !program.duplicates.is_empty() {
        // Names that stand twice cannot be rows; validation says so, and nothing runs before they are mended.
        return;
    }
    phases(version, &program);
    steps(version, &program);
    transitions(version, &program);
    templates(version, &program);
}

fn phases(version: i32, program: &Program) {
    let numbers = 1..=i16::try_from(program.phases.len()).unwrap_or(i16::MAX);
    spi::query(
        "INSERT INTO wf.phases (version_id, phase_no, name)
         SELECT $1, n.phase_no, n.name FROM ROWS FROM (unnest($2::int2[]), unnest($3::text[])) AS n(phase_no, name)",
        &[arg(version), array(numbers), array(program.phases.iter())],
    );
}

fn steps(version: i32, program: &Program) {
    let steps = &program.steps;
    spi::query(
        "INSERT INTO wf.steps (version_id, step_no, phase_no, name, kind, description, manual, participant, second,
                               links, escalate_to, stage)
         SELECT $1, n.step_no, n.phase_no, n.name, n.kind, n.description, n.manual, n.participant, n.second,
                n.links::jsonb, n.escalate_to, n.stage
         FROM ROWS FROM (unnest($2::int2[]), unnest($3::int2[]), unnest($4::text[]), unnest($5::text[]),
                         unnest($6::text[]), unnest($7::bool[]), unnest($8::text[]), unnest($9::int2[]),
                         unnest($10::text[]), unnest($11::text[]), unnest($12::text[]))
              AS n(step_no, phase_no, name, kind, description, manual, participant, stage, second, links, escalate_to)",
        &[
            arg(version),
            array(steps.iter().map(|s| s.no)),
            array(steps.iter().map(|s| i16::try_from(s.phase + 1).unwrap_or(i16::MAX))),
            array(steps.iter().map(|s| s.name.as_str())),
            array(steps.iter().map(|s| s.kind.name())),
            array_of(steps.iter().map(|s| s.description.as_deref())),
            array(steps.iter().map(|s| s.is_manual())),
            array_of(steps.iter().map(|s| s.participant.as_deref())),
            array(steps.iter().map(|s| s.stage)),
            array_of(steps.iter().map(|s| s.people.second.as_deref())),
            array_of(steps.iter().map(|s| links(&s.people))),
            array_of(steps.iter().map(|s| s.people.escalate_to.as_deref())),
        ],
    );
}

/// The links of a step as JSON text; None if it has none.
fn links(people: &People) -> Option<String> {
    (!people.links.is_empty())
        .then(|| serde_json::to_string(&people.links).ok())
        .flatten()
}

fn transitions(version: i32, program: &Program) {
    let legs: Vec<_> = program
        .steps
        .iter()
        .flat_map(|step| {
            let mut seen = std::collections::HashSet::new();
            step.legs
                .iter()
                .filter(move |leg| seen.insert(leg.outcome.as_str()))
                .filter_map(move |leg| Some((step.no, leg, leg.target?)))
        })
        .collect();
    spi::query(
        "INSERT INTO wf.transitions (version_id, from_step, outcome, to_step, condition)
         SELECT $1, n.from_step, n.outcome, n.to_step, n.condition
         FROM ROWS FROM (unnest($2::int2[]), unnest($3::text[]), unnest($4::int2[]), unnest($5::text[]))
              AS n(from_step, outcome, to_step, condition)",
        &[
            arg(version),
            array(legs.iter().map(|(from, _, _)| *from)),
            array(legs.iter().map(|(_, leg, _)| leg.outcome.as_str())),
            array(legs.iter().map(|(_, _, to)| *to)),
            array_of(legs.iter().map(|(_, leg, _)| leg.condition.as_deref())),
        ],
    );
}

fn templates(version: i32, program: &Program) {
    let texts: Vec<(&str, &str, Option<&str>, &str)> = program
        .document
        .templates
        .iter()
        .flat_map(|(name, template)| {
            let base = (
                name.as_str(),
                "",
                template.subject.as_deref(),
                template.body.as_str(),
            );
            let variants = template.locales.iter().map(move |(locale, variant)| {
                (
                    name.as_str(),
                    locale.as_str(),
                    variant.subject.as_deref(),
                    variant.body.as_str(),
                )
            });
            std::iter::once(base).chain(variants)
        })
        .collect();
    spi::query(
        "INSERT INTO wf.templates (version_id, name, locale, subject, body)
         SELECT $1, n.name, n.locale, n.subject, n.body
         FROM ROWS FROM (unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]))
              AS n(name, locale, subject, body)",
        &[
            arg(version),
            array(texts.iter().map(|t| t.0)),
            array(texts.iter().map(|t| t.1)),
            array_of(texts.iter().map(|t| t.2)),
            array(texts.iter().map(|t| t.3)),
        ],
    );
}
