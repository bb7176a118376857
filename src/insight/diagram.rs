//! wf.diagram: a workflow drawn, with a case's position in it.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use workflow_core::diagram::{Format, Here, Past, Position, draw};
use workflow_core::program::Program;

use super::program_of;
use crate::api::{given, unknown_case};
use crate::engine::as_engine;
use crate::engine::versions::workflow as workflow_named;
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::raise::{OrRaise, raise_as};
use crate::pg::spi;
use crate::pg::types::arg;

/// Draws what is published of a workflow, or its draft if nothing is.
#[pg_extern(sql = false)]
fn diagram_workflow(workflow: Option<&str>, format: Option<&str>) -> String {
    let name = given("workflow", workflow);
    let format = Format::named(given("format", format)).or_raise();
    as_engine(|| {
        let row = workflow_named(name);
        let Some(version) = row.published.or(row.draft) else {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("workflow \"{name}\" has neither a published version nor a draft"),
                None,
                Some("Save one with wf.define.".to_owned()),
            );
        };
        draw(&program_of(version), None, format)
    })
}

/// Draws a case's version, with where it is and where it has been.
#[pg_extern(sql = false)]
fn diagram_case(case_id: Option<i64>, format: Option<&str>) -> String {
    let case = given("case_id", case_id);
    let format = Format::named(given("format", format)).or_raise();
    let caller = current_role();
    as_engine(|| {
        must_see(case, caller);
        let rows = spi::query(
            "SELECT c.version_id, c.started_at IS NOT NULL,
                    format('case %s, %s %s: %s', c.case_id, su.name, c.key,
                           concat_ws(', ', c.state::text, c.outcome, c.reason))
             FROM wf.cases AS c
             LEFT JOIN LATERAL (
                 SELECT s.name FROM wf.case_subjects AS cs JOIN wf.subjects AS s ON s.subject_id = cs.subject_id
                 WHERE cs.case_id = c.case_id ORDER BY cs.key = c.key DESC LIMIT 1) AS su ON true
             WHERE c.case_id = $1",
            &[arg(case)],
        );
        let Some(row) = rows.first() else {
            unknown_case(case);
        };
        let program = program_of(row.must(1));
        let position = Position {
            title: row.must(3),
            started: row.must(2),
            past: past(case, &program),
            here: here(case),
        };
        draw(&program, Some(&position), format)
    })
}

/// The step runs behind a case, oldest first. By name: a case may have come from another version.
fn past(case: i64, program: &Program) -> Vec<Past> {
    let rows = spi::query(
        "SELECT s.name, CASE h.event WHEN 'step_done' THEN h.outcome END
         FROM wf.history AS h JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
         WHERE h.case_id = $1 AND h.event IN ('step_done', 'step_skipped', 'step_cancelled')
         ORDER BY h.history_id",
        &[arg(case)],
    );
    rows.iter()
        .filter_map(|row| {
            Some(Past {
                step: program.step_named(&row.must::<String>(1))?.no,
                outcome: row.get(2),
            })
        })
        .collect()
}

/// The open step runs, with their dates in the session's time zone.
fn here(case: i64) -> Vec<Here> {
    let rows = spi::query(
        "SELECT t.step_no, t.state = 'failed',
                CASE t.state
                    WHEN 'scheduled' THEN coalesce('on ' || to_char(t.run_at, 'YYYY-MM-DD HH24:MI'), 'no date yet')
                    WHEN 'open' THEN concat('open', ', due ' || to_char(t.due_at, 'YYYY-MM-DD'))
                    WHEN 'joining' THEN format('%s branches are here', t.arrived)
                    WHEN 'held' THEN 'on hold'
                    ELSE t.state::text END
         FROM wf.case_steps AS t JOIN wf.cases AS c ON c.case_id = t.case_id
         WHERE t.case_id = $1 AND c.ended_at IS NULL ORDER BY t.step_no, t.visit",
        &[arg(case)],
    );
    rows.iter()
        .map(|row| Here {
            step: row.must(1),
            failed: row.must(2),
            note: row.must(3),
        })
        .collect()
}
