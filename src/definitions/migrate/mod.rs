//! Cases and the versions of their workflow.
//!
//! * here: wf.migrate, which moves cases to another version
//! * `content`: what publishing a change of texts does to the cases that run
//! * `write`: everything that names a step of a case by its number follows the case
//!
//! What goes where is decided in `workflow_core::migrate` and `Case::migrate`.

pub(super) mod content;
mod write;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use workflow_core::game::{Case, Moved, PastRun};
use workflow_core::migrate::Migration;

use crate::api::{actor, given, timestamp};
use crate::engine::as_engine;
use crate::engine::batch::{Batch, CASE};
use crate::engine::versions::{Version, WorkflowRow, version, workflow};
use crate::pg::json::JsonbText;
use crate::pg::raise::{OrRaise, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, array};
use crate::settings;

/// case_id, key, from_step, to_step, outcome, reason, due_at.
type Row = (
    i64,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    Option<TimestampWithTimeZone>,
);

/// A version that was or is published.
struct Published {
    id: i32,
    number: i32,
    subject: Option<i32>,
    /// The version whose texts its cases use: the same for all of one structure.
    content: i32,
}

/// Moves the open cases of a version to another one, or tells what would come of it.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx wants the row type spelt out")]
fn migrate(
    workflow_name: Option<&str>,
    from_version: Option<i32>,
    to_version: Option<i32>,
    step_map: Option<JsonbText>,
    dry_run: Option<bool>,
) -> TableIterator<
    'static,
    (
        name!(case_id, i64),
        name!(key, String),
        name!(from_step, Option<String>),
        name!(to_step, Option<String>),
        name!(outcome, String),
        name!(reason, Option<String>),
        name!(due_at, Option<TimestampWithTimeZone>),
    ),
> {
    let name = given("workflow", workflow_name);
    let from = given("from_version", from_version);
    let to = given("to_version", to_version);
    let dry_run = dry_run.unwrap_or(true);
    let actor = actor();
    as_engine(|| {
        let row = workflow(name);
        let (from, to) = (published(&row, from), published(&row, to));
        same_subject(name, &from, &to);
        let (old, new) = (version(from.id), version(to.id));
        let migration = Migration::new(
            old.program.clone(),
            new.program.clone(),
            (from.number, to.number),
            to.id,
            step_map.as_ref().map(|map| map.0.as_str()),
        )
        .or_raise();
        let cases = open_cases(from.id);
        let mut rows: Vec<Row> = Vec::with_capacity(cases.len());
        let size = usize::try_from(settings::batch_size())
            .unwrap_or(1000)
            .max(1);
        let run = Run {
            migration: &migration,
            from: &from,
            new: &new,
            actor: &actor,
            dry_run,
            unchanged: from.content == to.content,
        };
        for chunk in cases.chunks(size) {
            // A connection a chunk, so that its memory goes with it.
            spi::connected(|| run.chunk(chunk, &mut rows));
        }
        TableIterator::new(rows)
    })
}

/// One call of wf.migrate.
struct Run<'a> {
    migration: &'a Migration,
    from: &'a Published,
    new: &'a Rc<Version>,
    actor: &'a str,
    dry_run: bool,
    unchanged: bool,
}

impl Run<'_> {
    fn chunk(&self, cases: &[(i64, String)], rows: &mut Vec<Row>) {
        let ids: Vec<i64> = cases.iter().map(|(id, _)| *id).collect();
        let mut batch = if self.dry_run || self.unchanged {
            let sql = format!("SELECT {CASE} FROM wf.cases AS c WHERE c.case_id = ANY ($1)");
            Batch::of(
                spi::query(&sql, &[array(ids.iter().copied())]),
                self.actor.to_owned(),
            )
        } else {
            Batch::load_free(&ids, self.actor.to_owned())
        };
        let free: HashSet<i64> = batch.cases.iter().map(|loaded| loaded.case.id).collect();
        for (id, key) in cases.iter().filter(|(id, _)| !free.contains(id)) {
            let reason = "somebody is at the case at this moment: call wf.migrate again";
            rows.push(refused(*id, key.clone(), None, reason.to_owned()));
        }
        // Since they were listed, a case may have ended, or gone over by another call.
        batch.cases.retain(|loaded| {
            !loaded.case.state.is_over() && loaded.case.version_id == self.from.id
        });
        if batch.cases.is_empty() {
            return;
        }
        if self.unchanged {
            rows.extend(batch.cases.iter().map(|loaded| self.same(&loaded.case)));
            return;
        }
        let moved = self.decide(&mut batch, rows);
        if !self.dry_run && !moved.is_empty() {
            let moving: HashSet<i64> = moved.iter().map(|(case, _)| *case).collect();
            batch
                .cases
                .retain(|loaded| moving.contains(&loaded.case.id));
            write::write(batch, self.from.id, self.new, &moved);
        }
    }

    /// Asks the rules about each case; gives back those that move, in order, and adds a row for each.
    fn decide(&self, batch: &mut Batch, rows: &mut Vec<Row>) -> Vec<(i64, Moved)> {
        let new = self.new;
        let plan = new.reads.of_watch(new);
        let all: Vec<usize> = (0..batch.cases.len()).collect();
        let answers = batch.ask(&plan, &all);
        let past = self.past(batch);
        let env = batch.context.env();
        let mut moved = Vec::new();
        for (index, loaded) in batch.cases.iter_mut().enumerate() {
            let case = &mut loaded.case;
            let before = case.open_steps();
            let past = past.get(&case.id).map_or(&[][..], Vec::as_slice);
            let facts = answers.facts(index);
            let result = case.migrate(self.migration, past, &facts, &env, &mut batch.effects);
            match result {
                Ok(changes) => {
                    rows.push((
                        case.id,
                        case.key.clone(),
                        Some(before),
                        Some(case.open_steps()),
                        "migrated".to_owned(),
                        None,
                        case.next_date().map(timestamp),
                    ));
                    moved.push((case.id, changes));
                }
                Err(reason) => {
                    rows.push(refused(case.id, case.key.clone(), Some(before), reason));
                }
            }
        }
        moved
    }

    /// A case of a version whose structure is that of the other: there is nothing to move.
    fn same(&self, case: &Case) -> Row {
        let steps = Some(case.open_steps());
        let reason = format!(
            "versions {} and {} have the same structure; the case uses the newest texts already",
            self.migration.numbers.0, self.migration.numbers.1
        );
        (
            case.id,
            case.key.clone(),
            steps.clone(),
            steps,
            "unchanged".to_owned(),
            Some(reason),
            case.next_date().map(timestamp),
        )
    }

    /// What the cases' history says about steps that the old version had no reason to remember.
    fn past(&self, batch: &Batch) -> HashMap<i64, Vec<PastRun>> {
        let names = self.migration.forgotten();
        let mut past: HashMap<i64, Vec<PastRun>> = HashMap::new();
        if names.is_empty() {
            return past;
        }
        let rows = spi::query(
            "SELECT h.case_id, s.name, max(h.visit), max(h.at) FILTER (WHERE h.event IN ('step_done', 'step_skipped'))
             FROM wf.history AS h
             JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
             WHERE h.case_id = ANY ($1) AND s.name = ANY ($2) AND h.visit IS NOT NULL
               AND h.event IN ('step_done', 'step_skipped', 'step_cancelled')
             GROUP BY h.case_id, s.name",
            &[
                array(batch.cases.iter().map(|loaded| loaded.case.id)),
                array(names),
            ],
        );
        for row in rows.iter() {
            past.entry(row.must(1)).or_default().push(PastRun {
                step: row.must(2),
                visit: row.must(3),
                done_at: row.get(4),
            });
        }
        past
    }
}

fn refused(id: i64, key: String, steps: Option<String>, reason: String) -> Row {
    (
        id,
        key,
        steps,
        None,
        "refused".to_owned(),
        Some(reason),
        None,
    )
}

fn open_cases(version: i32) -> Vec<(i64, String)> {
    let rows = spi::query(
        "SELECT c.case_id, c.key FROM wf.cases AS c
         WHERE c.version_id = $1 AND c.ended_at IS NULL ORDER BY c.case_id",
        &[arg(version)],
    );
    rows.iter().map(|row| (row.must(1), row.must(2))).collect()
}

/// The version of a workflow by its number; a draft has no cases and can have none.
fn published(row: &WorkflowRow, number: i32) -> Published {
    let rows = spi::query(
        "SELECT v.version_id, v.state::text, v.subject_id, coalesce(v.content_id, v.version_id)
         FROM wf.versions AS v WHERE v.workflow_id = $1 AND v.number = $2",
        &[arg(row.id), arg(number)],
    );
    let Some(found) = rows.first() else {
        raise_as(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("workflow \"{}\" has no version {number}", row.name),
            None,
            Some(
                "wf.version_history lists the versions and how many cases run on each.".to_owned(),
            ),
        );
    };
    if found.must::<String>(2) == "draft" {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "version {number} of workflow \"{}\" is a draft; no case runs on it",
                row.name
            ),
            None,
            Some("Publish it first: wf.publish.".to_owned()),
        );
    }
    Published {
        id: found.must(1),
        number,
        subject: found.get(3),
        content: found.must(4),
    }
}

fn same_subject(name: &str, from: &Published, to: &Published) {
    if from.subject != to.subject {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "versions {} and {} of workflow \"{name}\" are about different subjects",
                from.number, to.number
            ),
            None,
            Some(
                "A case stays with its row: let these cases end, or cancel them and start new ones."
                    .to_owned(),
            ),
        );
    }
}
