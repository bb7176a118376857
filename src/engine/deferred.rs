//! Messages that waited for their contact window: rendered when it opens, from the row as it is then.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use workflow_core::game::CaseState;
use workflow_core::kinds::DoneWhen;
use workflow_core::program::StepNo;

use super::as_engine;
use super::batch::{Batch, CASE};
use super::context;
use super::failures::{blame_message, halving};
use super::members;
use super::reads::Purpose;
use super::simulation;
use super::work::Run;
use crate::pg::spi::{self, Rows};
use crate::pg::types::{arg, array, array_of};
use crate::settings;

/// Works on one batch of messages whose window has opened. True if there were any.
pub fn work(run: &mut Run<'_>) -> bool {
    let mut claimed: Vec<i64> = Vec::new();
    let result = run(&mut || {
        as_engine(|| {
            let batch = Batch::of(claim(context::now(), settings::batch_size()), "engine");
            claimed = batch.cases.iter().map(|c| c.case.id).collect();
            process(batch);
        });
    });
    match result {
        Ok(()) => !claimed.is_empty(),
        Err(failure) if failure.is_interrupt() || claimed.is_empty() => false,
        Err(_) => halving(
            run,
            &claimed,
            &|ids| as_engine(|| process(Batch::load_free(ids, "engine"))),
            &|id, failure| blame_message(*id, failure),
        ),
    }
}

/// Messages whose window has closed before anybody leased them wait for the next one. True if there were any.
pub fn close_windows(run: &mut Run<'_>) -> bool {
    let mut closed = 0;
    let result = run(&mut || {
        as_engine(|| {
            closed = spi::query(
                "WITH closed AS (
                     SELECT o.message_id FROM wf.outbox AS o
                     WHERE o.state = 'queued' AND o.not_after IS NOT NULL AND o.not_after <= wf.now()
                     LIMIT $1 FOR UPDATE SKIP LOCKED)
                 UPDATE wf.outbox AS o SET state = 'deferred', not_before = o.not_after
                 FROM closed AS c WHERE c.message_id = o.message_id",
                &[arg(settings::batch_size())],
            )
            .processed();
        });
    });
    result.is_ok() && closed > 0
}

/// Cases with a message whose window has opened, locked: those that nobody else is at.
fn claim(now: DateTime<Utc>, limit: i64) -> Rows {
    let scope = simulation::scope();
    let sql = format!(
        "SELECT {CASE}
         FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
         WHERE o.state = 'deferred' AND o.not_before <= $1 AND c.state IN ('running', 'completed'){scope}
         ORDER BY o.not_before LIMIT $2 FOR UPDATE OF c SKIP LOCKED"
    );
    spi::query(&sql, &[arg(now), arg(limit)])
}

/// A deferred message: its case's index in the batch, its step run, and whether it was rendered once before.
struct Waiting {
    message: i64,
    case: usize,
    visit: i16,
    attempts: i16,
}

fn process(mut batch: Batch) {
    if batch.cases.is_empty() {
        return;
    }
    members::look(&mut batch);
    let mut later = Vec::new();
    let mut ready = Vec::new();
    for ((_, step), waiting) in waiting(&batch) {
        open(&mut batch, step, &waiting, &mut later, &mut ready);
    }
    write(&later, &ready);
    batch.run();
    batch.flush();
}

fn waiting(batch: &Batch) -> BTreeMap<(i32, StepNo), Vec<Waiting>> {
    let rows = spi::query(
        "SELECT o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit,
                o.attempts
         FROM wf.outbox AS o
         WHERE o.case_id = ANY ($1) AND o.state = 'deferred' AND o.not_before <= $2
         ORDER BY o.message_id FOR UPDATE",
        &[
            array(batch.cases.iter().map(|c| c.case.id)),
            arg(batch.context.now),
        ],
    );
    let mut groups: BTreeMap<_, Vec<Waiting>> = BTreeMap::new();
    for row in rows.iter() {
        let Some(case) = batch.find(row.must(2)) else {
            continue;
        };
        groups
            .entry((batch.cases[case].case.version_id, row.must(3)))
            .or_default()
            .push(Waiting {
                message: row.must(1),
                case,
                visit: row.must(4),
                attempts: row.must(5),
            });
    }
    groups
}

type Later = (i64, DateTime<Utc>, Option<DateTime<Utc>>);
type Ready = (i64, Option<String>, DateTime<Utc>, Option<DateTime<Utc>>);

fn open(
    batch: &mut Batch,
    step: StepNo,
    waiting: &[Waiting],
    later: &mut Vec<Later>,
    ready: &mut Vec<Ready>,
) {
    let cases: Vec<usize> = waiting.iter().map(|w| w.case).collect();
    let version = batch.cases[cases[0]].version.clone();
    let program = version.program.clone();
    // None: its step was over when the case went over to another version. Such a message was rendered before.
    let compiled = program.step(step);
    let purpose = compiled.map_or(Purpose::Watch, |_| Purpose::Step(step));
    let plan = version
        .reads
        .get(purpose, &version.subject, version.owner, || {
            compiled.map_or_else(|| program.watch_read(), |step| program.step_read(step))
        });
    let answers = batch.ask(&plan, &cases);
    let env = batch.context.env();
    for (position, waiting) in waiting.iter().enumerate() {
        let facts = answers.facts(position);
        let case = &mut batch.cases[waiting.case].case;
        if case.state == CaseState::Completed {
            // Rendered before the case ended, and not handed over before its window closed. It goes out as it was, unless
            // its subject has been paid meanwhile; a zone that is not known any more must not keep it here.
            case.subject_changed_after_end(&facts, &mut batch.effects);
            let (opens, closes) = case
                .window(env.now, &facts, &env)
                .unwrap_or((env.now, None));
            if opens > env.now {
                later.push((waiting.message, opens, closes));
            } else {
                // Some of the rows that it lists may have been paid.
                let payload = compiled
                    .filter(|_| waiting.attempts == 0 && !case.members.is_empty())
                    .and_then(|step| case.render(step, &facts, &env).ok())
                    .map(|rendering| rendering.payload);
                ready.push((waiting.message, payload, opens, closes));
            }
            continue;
        }
        if case.state != CaseState::Running {
            continue;
        }
        if case.stop_before_sending(&facts, &env, &mut batch.effects) {
            continue;
        }
        let rendered = case
            .window(env.now, &facts, &env)
            .and_then(|(opens, closes)| {
                if opens > env.now {
                    later.push((waiting.message, opens, closes));
                    return Ok(false);
                }
                // What a sender has had in hand goes out again as it was, under the same idempotency key.
                let payload = match compiled.filter(|_| waiting.attempts == 0) {
                    Some(step) => Some(case.render(step, &facts, &env)?.payload),
                    None => None,
                };
                ready.push((waiting.message, payload, opens, closes));
                Ok(true)
            });
        match rendered {
            Ok(false) => {}
            Ok(true) => case.message_came_to(
                step,
                waiting.visit,
                DoneWhen::Queued,
                &facts,
                &env,
                &mut batch.effects,
            ),
            Err(error) => {
                case.message_failed_to_render(step, waiting.visit, &error, &env, &mut batch.effects)
            }
        }
    }
}

fn write(later: &[Later], ready: &[Ready]) {
    if !later.is_empty() {
        spi::query(
            "UPDATE wf.outbox AS o SET not_before = n.not_before, not_after = n.not_after
             FROM ROWS FROM (unnest($1::bigint[]), unnest($2::timestamptz[]), unnest($3::timestamptz[]))
                  AS n(message_id, not_before, not_after)
             WHERE o.message_id = n.message_id",
            &[
                array(later.iter().map(|l| l.0)),
                array(later.iter().map(|l| l.1)),
                array_of(later.iter().map(|l| l.2)),
            ],
        );
    }
    if !ready.is_empty() {
        spi::query(
            "UPDATE wf.outbox AS o
             SET state = 'queued', payload = coalesce(n.payload::json, o.payload), not_before = n.not_before,
                 not_after = n.not_after
             FROM ROWS FROM (unnest($1::bigint[]), unnest($2::text[]), unnest($3::timestamptz[]),
                             unnest($4::timestamptz[]))
                  AS n(message_id, payload, not_before, not_after)
             WHERE o.message_id = n.message_id",
            &[
                array(ready.iter().map(|r| r.0)),
                array_of(ready.iter().map(|r| r.1.as_deref())),
                array(ready.iter().map(|r| r.2)),
                array_of(ready.iter().map(|r| r.3)),
            ],
        );
    }
}
