//! Step runs whose message a sender has acknowledged along with those of many other cases: a worker has them done, and the
//! cases go on in the same batch.
//!
//! The call leaves one row for a thousand messages, with what a worker needs to know of each. Where a whole row cannot be
//! seen to at once, each of its cases gets notice instead (`engine::awaited`): because somebody is at the case, it has gone
//! over to another version, it takes long, or something failed. A case with such a notice finds out from wf.outbox.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use workflow_core::game::{Env, Mishap, TokenState};
use workflow_core::kinds::DoneWhen;
use workflow_core::program::StepNo;

use super::report::Message;
use crate::api::now;
use crate::engine::as_engine;
use crate::engine::awaited::leave_notices;
use crate::engine::batch::Batch;
use crate::engine::known::{Known, Origin};
use crate::engine::simulation;
use crate::engine::versions::version;
use crate::engine::work::{Run, WorkerState};
use crate::pg::spi;
use crate::pg::subtransaction::Failure;
use crate::pg::types::{arg, array};
use crate::settings;
use crate::worker::wake;

/// A step run whose message has been sent.
struct Sent {
    case: i64,
    /// The version that `step` counts in.
    version: i32,
    step: StepNo,
    visit: i16,
}

/// What one row has.
struct Row {
    at: DateTime<Utc>,
    actor: String,
    sent: Vec<Sent>,
}

/// Leaves the step runs of acknowledged messages to the workers, as far as any waits for that. The cases, each with its
/// version, are locked.
pub fn leave(messages: &[Message], cases: &[(i64, i32)], actor: &str) {
    let versions: HashMap<i64, i32> = cases.iter().copied().collect();
    let mut waits: HashMap<(i32, StepNo), bool> = HashMap::new();
    let mut waiting: Vec<(&Message, i32)> = messages
        .iter()
        .filter_map(|message| Some((message, *versions.get(&message.case)?)))
        .filter(|(message, of)| {
            *waits.entry((*of, message.step)).or_insert_with(|| {
                let wanted = version(*of).program.done_when(message.step);
                wanted.is_some_and(|wanted| wanted != DoneWhen::Queued && wanted <= DoneWhen::Sent)
            })
        })
        .collect();
    waiting.sort_unstable_by_key(|(message, _)| message.case);
    let size = usize::try_from(settings::batch_size()).unwrap_or(1).max(1);
    for part in waiting.chunks(size) {
        spi::query(
            "INSERT INTO wf.acknowledged (at, actor, case_ids, version_ids, step_nos, visits)
             VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                arg(now()),
                arg(actor),
                array(part.iter().map(|(message, _)| message.case)),
                array(part.iter().map(|(_, version)| *version)),
                array(part.iter().map(|(message, _)| message.step)),
                array(part.iter().map(|(message, _)| message.visit)),
            ],
        );
    }
    wake::on_commit();
}

/// Sees to the next row. True if there was one that nobody else is at.
pub fn work(state: &WorkerState, run: &mut Run<'_>) -> bool {
    let from = state.acknowledged_frontier;
    // A preview does not know whose cases they are, and a careful worker writes each case down before it is begun.
    let one_by_one = state.careful.is_some() || simulation::is_on();
    let mut worked = false;
    let mut see_to = |each: bool| {
        let mut found = false;
        let result = run(&mut || {
            as_engine(|| {
                let row = take(from);
                found = row.is_some();
                if let Some(row) = row {
                    let cases = if each { row.cases() } else { settle(row) };
                    leave_notices(&cases, now());
                }
            });
        });
        worked |= found && result.is_ok();
        result
    };
    match see_to(one_by_one) {
        // Whose it is shows when each case is looked at by itself.
        Err(failure) if !failure.is_interrupt() && !failure.is_shortage() => {
            let _ = see_to(true);
        }
        _ => {}
    }
    worked
}

/// Takes the first row of those transactions that nobody else is at.
fn take(from: i64) -> Option<Row> {
    let rows = spi::query(
        "WITH first AS MATERIALIZED (
             SELECT a.ctid AS place FROM wf.acknowledged AS a WHERE a.xid >= $1::text::xid8
             ORDER BY a.xid, a.ack_id LIMIT 1 FOR UPDATE SKIP LOCKED)
         DELETE FROM wf.acknowledged AS a USING first AS f WHERE a.ctid = f.place
         RETURNING a.at, a.actor, a.case_ids, a.version_ids, a.step_nos, a.visits",
        &[arg(from.to_string())],
    );
    let row = rows.first()?;
    let cases = row.must::<Vec<Option<i64>>>(3).into_iter().flatten();
    let versions = row.must::<Vec<Option<i32>>>(4).into_iter().flatten();
    let steps = row.must::<Vec<Option<i16>>>(5).into_iter().flatten();
    let visits = row.must::<Vec<Option<i16>>>(6).into_iter().flatten();
    Some(Row {
        at: row.must(1),
        actor: row.must(2),
        sent: (cases.zip(versions).zip(steps.zip(visits)))
            .map(|((case, version), (step, visit))| Sent {
                case,
                version,
                step,
                visit,
            })
            .collect(),
    })
}

impl Row {
    /// The cases, in the order of their ids.
    fn cases(&self) -> Vec<i64> {
        let mut cases: Vec<i64> = self.sent.iter().map(|sent| sent.case).collect();
        cases.dedup();
        cases
    }
}

/// Has the step runs of a row done, and their cases go on. Gives back the cases that are to be looked at by themselves.
fn settle(row: Row) -> Vec<i64> {
    let mut batch = Batch::load_free(&row.cases(), row.actor);
    // They stay locked, and nothing of them is written.
    batch.set_apart();
    let mut left: HashSet<i64> = HashSet::new();
    let mut groups: BTreeMap<(i32, StepNo), Vec<(usize, i16)>> = BTreeMap::new();
    for sent in &row.sent {
        match batch.find(sent.case) {
            Some(index) if batch.cases[index].case.version_id == sent.version => {
                let group = groups.entry((sent.version, sent.step)).or_default();
                group.push((index, sent.visit));
            }
            _ => drop(left.insert(sent.case)),
        }
    }
    if !batch.cases.is_empty() {
        batch.run_ahead_after(Origin::Sent, |batch, known| {
            for ((_, step), runs) in &groups {
                came_there(batch, known, *step, runs, row.at);
            }
        });
        batch.flush();
    }
    let mut left: Vec<i64> = left.into_iter().collect();
    left.sort_unstable();
    left
}

/// The messages of these runs of a step, (case's index, visit), were sent then.
fn came_there(
    batch: &mut Batch,
    known: &mut Known,
    step: StepNo,
    runs: &[(usize, i16)],
    at: DateTime<Utc>,
) {
    let cases: Vec<usize> = runs.iter().map(|(index, _)| *index).collect();
    known.ask(&batch.cases, step, &cases);
    let env = Env {
        now: at,
        ..batch.context.env()
    };
    for (index, visit) in runs {
        let Some(facts) = known.facts(*index, step) else {
            continue;
        };
        let case = &mut batch.cases[*index].case;
        let out = &mut batch.effects;
        case.message_came_to(step, *visit, DoneWhen::Sent, &facts, &env, out);
    }
}

/// Step runs, (case's index, step, visit), of cases that have got notice, whose message has been sent: when that was.
fn found(batch: &Batch, cases: &HashSet<i64>) -> Vec<(usize, StepNo, i16, DateTime<Utc>)> {
    let waits = |index: &usize| {
        let case = &batch.cases[*index].case;
        let mut tokens = case.tokens.iter();
        cases.contains(&case.id) && tokens.any(|token| token.state == TokenState::Sending)
    };
    let indexes = (0..batch.cases.len()).filter(waits);
    let ids: Vec<i64> = indexes.map(|index| batch.cases[index].case.id).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let rows = spi::query(
        "SELECT o.case_id, o.step_no, o.visit, o.finished_at FROM wf.outbox AS o
         WHERE o.case_id = ANY ($1) AND o.state IN ('sent', 'delivered') AND o.version_id IS NULL
         ORDER BY o.message_id",
        &[array(ids)],
    );
    let run = |row: spi::RowRef<'_>| {
        let (index, step, visit) = (batch.find(row.must(1))?, row.must(2), row.must(3));
        let case = &batch.cases[index].case;
        let token = &case.tokens[case.token_of(step, visit)?];
        let waits = token.state == TokenState::Sending
            && case.program.done_when(step) == Some(DoneWhen::Sent);
        waits.then_some((index, step, visit, row.must(4)))
    };
    rows.iter().filter_map(run).collect()
}

/// Cases that have got notice: their step runs are done whose message has been sent.
pub fn look(batch: &mut Batch, cases: &HashSet<i64>) {
    for (index, step, visit, at) in found(batch, cases) {
        let mut known = Known::asking_step_by_step();
        came_there(batch, &mut known, step, &[(index, visit)], at);
    }
}

/// A case that has got notice fails whenever it is looked at, and no step run of it is due. Those whose message has been sent
/// become incidents.
pub fn park(mut batch: Batch, failure: &Failure) {
    if failure.will_pass() {
        return;
    }
    let cases: HashSet<i64> = batch.cases.iter().map(|loaded| loaded.case.id).collect();
    let sent = found(&batch, &cases);
    if sent.is_empty() {
        return;
    }
    for (index, step, visit, _) in sent {
        let case = &mut batch.cases[index].case;
        if let Some(token) = case.token_of(step, visit) {
            let mishap = Mishap {
                sqlstate: &failure.sqlstate,
                message: &failure.message,
                detail: Some("Its message has been sent."),
                hint: Some(
                    "Mend the cause, then call wf.skip to go on. wf.retry would send the message again.",
                ),
            };
            case.message_unrenderable(token, &mishap, &mut batch.effects);
        }
    }
    batch.flush();
}
