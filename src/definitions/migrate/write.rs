//! Cases that go over to another version, written: one statement for each kind of row.
//!
//! Everything that names an open step run by its number follows it. What names a run that is over keeps its number,
//! together with the version that it counts in.

use std::rc::Rc;

use workflow_core::game::{KeptTask, Moved, MovedRun};

use crate::engine::batch::Batch;
use crate::engine::versions::Version;
use crate::outbox::recalled::{self, Recall};
use crate::pg::spi::{self, Arg};
use crate::pg::types::{arg, array, array_of};
use crate::worker::wake;

/// Writes a batch of cases, all of which have moved; `moved` is in any order.
pub fn write(mut batch: Batch, from: i32, new: &Rc<Version>, moved: &[(i64, Moved)]) {
    let ids: Vec<i64> = moved.iter().map(|(id, _)| *id).collect();
    let runs: Vec<(i64, MovedRun)> = moved
        .iter()
        .flat_map(|(id, moved)| moved.runs.iter().map(move |run| (*id, *run)))
        .collect();
    let sending: Vec<(i64, MovedRun)> = runs
        .iter()
        .filter(|(_, run)| run.sending)
        .copied()
        .collect();
    spi::query(
        "UPDATE wf.cases AS c SET version_id = $2 WHERE c.case_id = ANY ($1)",
        &[array(ids.iter().copied()), arg(new.id)],
    );
    // Two steps may have changed places: all rows go, and come anew with the batch. But not notices of other cases, of
    // which one may have come just now.
    spi::query(
        "DELETE FROM wf.case_steps AS t WHERE t.case_id = ANY ($1) AND t.step_no >= 0",
        &[array(ids.iter().copied())],
    );
    tasks(moved);
    failures(&runs);
    links(&ids, &runs);
    messages(&ids, from, &sending);
    notes(&ids, from);
    for loaded in &mut batch.cases {
        loaded.version = new.clone();
        if let Some(before) = &mut loaded.before {
            before.tokens.clear();
        }
    }
    batch.flush();
    wake::on_commit();
}

/// Case, old step and visit, new step and visit.
const RUNS: &str = "(SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit,
                             unnest($4::int2[]) AS to_step, unnest($5::int2[]) AS to_visit) AS n";

fn run_args(runs: &[(i64, MovedRun)]) -> [Arg; 5] {
    [
        array(runs.iter().map(|(id, _)| *id)),
        array(runs.iter().map(|(_, run)| run.from.0)),
        array(runs.iter().map(|(_, run)| run.from.1)),
        array(runs.iter().map(|(_, run)| run.to.0)),
        array(runs.iter().map(|(_, run)| run.to.1)),
    ]
}

fn tasks(moved: &[(i64, Moved)]) {
    let withdrawn: Vec<i64> = moved
        .iter()
        .flat_map(|(_, m)| m.withdrawn.clone())
        .collect();
    if !withdrawn.is_empty() {
        spi::query(
            "DELETE FROM wf.tasks AS t WHERE t.task_id = ANY ($1)",
            &[array(withdrawn)],
        );
    }
    let kept: Vec<&KeptTask> = moved.iter().flat_map(|(_, m)| &m.kept).collect();
    if kept.is_empty() {
        return;
    }
    // Outcomes travel as JSON: arrays of arrays must be rectangular.
    let outcomes = kept
        .iter()
        .map(|t| serde_json::to_string(&t.outcomes).unwrap_or_default());
    // In two steps, by way of numbers that no step has: two tasks of a case may change places.
    spi::query(
        "UPDATE wf.tasks AS t
         SET step_no = -1 - n.step_no, visit = n.visit, title = n.title, due_at = n.due_at,
             outcomes = ARRAY(SELECT pg_catalog.json_array_elements_text(n.outcomes::json)),
             participant = CASE WHEN t.participant IS NOT DISTINCT FROM n.old_participant
                                THEN n.participant ELSE t.participant END
         FROM (SELECT unnest($1::bigint[]) AS task_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit,
                      unnest($4::text[]) AS title, unnest($5::text[]) AS old_participant,
                      unnest($6::text[]) AS participant, unnest($7::text[]) AS outcomes,
                      unnest($8::timestamptz[]) AS due_at) AS n
         WHERE t.task_id = n.task_id",
        &[
            array(kept.iter().map(|t| t.task_id)),
            array(kept.iter().map(|t| t.to.0)),
            array(kept.iter().map(|t| t.to.1)),
            array(kept.iter().map(|t| t.title.as_str())),
            array_of(kept.iter().map(|t| t.participants.0.as_deref())),
            array_of(kept.iter().map(|t| t.participants.1.as_deref())),
            array(outcomes),
            array_of(kept.iter().map(|t| t.due_at)),
        ],
    );
    spi::query(
        "UPDATE wf.tasks AS t SET step_no = -1 - t.step_no WHERE t.task_id = ANY ($1) AND t.step_no < 0",
        &[array(kept.iter().map(|t| t.task_id))],
    );
}

fn failures(runs: &[(i64, MovedRun)]) {
    if runs.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE wf.failures AS f SET step_no = n.to_step, visit = n.to_visit FROM {RUNS}
         WHERE f.case_id = n.case_id AND f.step_no = n.step_no AND f.visit = n.visit AND f.resolved_at IS NULL"
    );
    spi::query(&sql, &run_args(runs));
}

/// The open runs that wait for other cases keep them. What waited in a run that is over is history.
fn links(ids: &[i64], runs: &[(i64, MovedRun)]) {
    spi::query(
        "UPDATE wf.case_links AS l SET step_no = NULL, visit = NULL
         WHERE l.started_by = ANY ($1) AND l.step_no IS NOT NULL AND NOT EXISTS (
             SELECT FROM (SELECT unnest($2::bigint[]) AS case_id, unnest($3::int2[]) AS step_no, unnest($4::int2[]) AS visit) AS n
             WHERE n.case_id = l.started_by AND n.step_no = l.step_no AND n.visit = l.visit)",
        &[
            array(ids.iter().copied()),
            array(runs.iter().map(|(id, _)| *id)),
            array(runs.iter().map(|(_, run)| run.from.0)),
            array(runs.iter().map(|(_, run)| run.from.1)),
        ],
    );
    let sql = format!(
        "UPDATE wf.case_links AS l SET step_no = n.to_step, visit = n.to_visit FROM {RUNS}
         WHERE l.started_by = n.case_id AND l.step_no = n.step_no AND l.visit = n.visit"
    );
    spi::query(&sql, &run_args(runs));
}

/// Messages of open runs follow them; what no sender has had in hand is written anew, with the texts and the contact
/// window of the new version. All others stay with the version that they were made in.
fn messages(ids: &[i64], from: i32, sending: &[(i64, MovedRun)]) {
    for states in [
        "o.state IN ('deferred', 'queued', 'leased', 'sent', 'delivered')",
        "o.state IN ('dead', 'bounced')",
    ] {
        spi::query(
            &format!(
                "UPDATE wf.outbox AS o SET version_id = $2
                 WHERE o.case_id = ANY ($1) AND {states} AND o.version_id IS NULL"
            ),
            &[array(ids.iter().copied()), arg(from)],
        );
    }
    if sending.is_empty() {
        return;
    }
    let [cases, steps, visits, to_steps, to_visits] = run_args(sending);
    let sql = format!(
        "UPDATE wf.outbox AS o SET version_id = NULL, step_no = n.to_step, visit = n.to_visit FROM {RUNS}
         WHERE o.case_id = n.case_id AND o.step_no = n.step_no AND o.visit = n.visit AND o.version_id = $6
           AND o.state IN ('deferred', 'queued', 'leased', 'sent', 'delivered')"
    );
    spi::query(
        &sql,
        &[cases, steps, visits, to_steps, to_visits, arg(from)],
    );
    render_again(
        sending.iter().map(|(id, _)| *id).collect(),
        sending.iter().map(|(_, run)| run.to.0).collect(),
        sending.iter().map(|(_, run)| run.to.1).collect(),
    );
}

/// Has the messages of open step runs written anew as soon as the engine comes to them. One that a sender has had in
/// hand stays as it is: it may have arrived.
pub fn render_again(cases: Vec<i64>, steps: Vec<i16>, visits: Vec<i16>) {
    if cases.is_empty() {
        return;
    }
    recalled::change(
        Recall::Text,
        &format!(
            "{} o.state IN ('deferred', 'queued') AND o.attempts = 0",
            recalled::OF_STEP_RUNS
        ),
        "state = 'deferred', not_before = wf.now()",
        &[array(cases), array(steps), array(visits)],
    );
    wake::on_commit();
}

fn notes(ids: &[i64], from: i32) {
    spi::query(
        "UPDATE wf.notes AS n SET version_id = $2
         WHERE n.case_id = ANY ($1) AND n.version_id IS NULL AND n.step_no IS NOT NULL",
        &[array(ids.iter().copied()), arg(from)],
    );
}
