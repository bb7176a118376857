//! Messages that waited for their contact window, or for a contact policy's word (`crate::contact`): rendered when they may
//! leave, from the row as it is then.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use workflow_core::contact::CALL;
use workflow_core::game::CaseState;
use workflow_core::kinds::DoneWhen;
use workflow_core::program::StepNo;

use super::as_engine;
use super::batch::{Batch, CASE};
use super::careful::{Careful, Suspect};
use super::duty::{self, Duty};
use super::failures::{Due, blame_message, put_off};
use super::work::Run;
use super::{context, members, simulation};
use crate::contact;
use crate::pg::spi::{self, Rows};
use crate::pg::subtransaction::Failure;
use crate::pg::types::{arg, array, array_of};
use crate::settings;

/// Works on one batch of messages whose window has opened. True if there were any.
pub fn work(careful: Option<Careful>, run: &mut Run<'_>) -> bool {
    duty::work(&mut Messages, careful, run).worked
}

/// Messages whose window has opened.
pub struct Messages;

impl Duty for Messages {
    fn claim(&mut self, limit: i64) -> Batch {
        Batch::of(claim(context::now(), limit), "engine")
    }

    fn process(batch: Batch) -> bool {
        process(batch)
    }

    fn suspect(case: i64) -> Suspect {
        Suspect::Messages(case)
    }

    fn blame(case: i64, failure: &Failure) {
        blame_message(case, failure);
    }

    fn put_off(cases: &[i64], by: Duration) {
        put_off(Due::Messages, cases, by);
    }
}

/// Messages whose window has closed before anybody leased them wait for the next one. True if there were any.
pub fn close_windows(run: &mut Run<'_>) -> bool {
    let mut closed = 0;
    let result = run(&mut || {
        as_engine(|| {
            closed = spi::query_in_order(
                "WITH closed AS (
                     SELECT o.message_id FROM wf.outbox AS o
                     WHERE o.state = 'queued' AND o.not_after IS NOT NULL AND o.not_after <= wf.now()
                     ORDER BY o.not_after LIMIT $1 FOR UPDATE SKIP LOCKED)
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
    spi::query_in_order(&sql, &[arg(now), arg(limit)])
}

/// A deferred message: its case's index in the batch, its step run, and whether it was rendered once before.
pub struct Waiting {
    pub message: i64,
    pub case: usize,
    pub visit: i16,
    pub attempts: i16,
    pub channel: String,
}

/// A message that goes on waiting.
pub struct Later {
    pub message: i64,
    pub opens: DateTime<Utc>,
    pub closes: Option<DateTime<Utc>>,
    /// Why, for people; None: its contact window.
    pub reason: Option<String>,
}

/// A message that may be leased; without a payload, as it was rendered before.
pub struct Ready {
    pub message: i64,
    pub payload: Option<String>,
    pub opens: DateTime<Utc>,
    pub closes: Option<DateTime<Utc>>,
}

/// What becomes of a batch's messages.
#[derive(Default)]
pub struct Opened {
    pub later: Vec<Later>,
    pub ready: Vec<Ready>,
}

/// True if anything was done; not if another process is at it.
fn process(mut batch: Batch) -> bool {
    if batch.cases.is_empty() {
        return false;
    }
    members::look(&mut batch);
    let mut opened = Opened::default();
    let policies = contact::Policies::default();
    let mut our_turn = None;
    let mut worked = false;
    for ((_, step), waiting) in waiting(&batch) {
        let program = &batch.cases[waiting[0].case].version.program;
        if program.document.contact_policy.is_some() {
            if *our_turn.get_or_insert_with(contact::take_turn) {
                contact::open(&mut batch, step, &waiting, &policies, &mut opened);
                worked = true;
            }
            continue;
        }
        worked = true;
        let (calls, messages): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|w| w.channel == CALL);
        if !calls.is_empty() {
            contact::open(&mut batch, step, &calls, &policies, &mut opened);
        }
        if !messages.is_empty() {
            open(&mut batch, step, &messages, &mut opened);
        }
    }
    write(&opened);
    batch.run();
    batch.flush();
    worked
}

fn waiting(batch: &Batch) -> BTreeMap<(i32, StepNo), Vec<Waiting>> {
    let rows = spi::query(
        "SELECT o.message_id, o.case_id, CASE WHEN o.version_id IS NULL THEN o.step_no ELSE 0::int2 END, o.visit,
                o.attempts, o.type::text
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
                channel: row.must(6),
            });
    }
    groups
}

fn open(batch: &mut Batch, step: StepNo, waiting: &[Waiting], out: &mut Opened) {
    let cases: Vec<usize> = waiting.iter().map(|w| w.case).collect();
    let Some(answers) = batch.ask_step(step, &cases) else {
        return;
    };
    let program = batch.cases[cases[0]].version.program.clone();
    // None: its step was over when the case went over to another version. Such a message was rendered before.
    let compiled = program.step(step);
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
                out.wait(waiting, opens, closes);
            } else {
                // Some of the rows that it lists may have been paid.
                let payload = compiled
                    .filter(|_| waiting.attempts == 0 && !case.members.is_empty())
                    .and_then(|step| case.render(step, &facts, &env).ok())
                    .map(|rendering| rendering.payload);
                out.leave(waiting, payload, opens, closes);
            }
            continue;
        }
        if case.state != CaseState::Running {
            continue;
        }
        if case.stays_here(step, waiting.visit, &facts, &env, &mut batch.effects) {
            continue;
        }
        let rendered = case
            .window(env.now, &facts, &env)
            .and_then(|(opens, closes)| {
                if opens > env.now {
                    out.wait(waiting, opens, closes);
                    return Ok(false);
                }
                // What a sender has had in hand goes out again as it was, under the same idempotency key.
                let payload = match compiled.filter(|_| waiting.attempts == 0) {
                    Some(step) => Some(case.render(step, &facts, &env)?.payload),
                    None => None,
                };
                out.leave(waiting, payload, opens, closes);
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
                case.message_failed_to_render(step, waiting.visit, &error, &mut batch.effects)
            }
        }
    }
}

impl Opened {
    fn wait(&mut self, waiting: &Waiting, opens: DateTime<Utc>, closes: Option<DateTime<Utc>>) {
        self.later.push(Later {
            message: waiting.message,
            opens,
            closes,
            reason: None,
        });
    }

    fn leave(
        &mut self,
        waiting: &Waiting,
        payload: Option<String>,
        opens: DateTime<Utc>,
        closes: Option<DateTime<Utc>>,
    ) {
        self.ready.push(Ready {
            message: waiting.message,
            payload,
            opens,
            closes,
        });
    }
}

fn write(opened: &Opened) {
    let (later, ready) = (&opened.later, &opened.ready);
    if !later.is_empty() {
        spi::query(
            "UPDATE wf.outbox AS o
             SET not_before = n.not_before, not_after = n.not_after, reason = coalesce(n.reason, o.reason)
             FROM ROWS FROM (unnest($1::bigint[]), unnest($2::timestamptz[]), unnest($3::timestamptz[]),
                             unnest($4::text[]))
                  AS n(message_id, not_before, not_after, reason)
             WHERE o.message_id = n.message_id",
            &[
                array(later.iter().map(|l| l.message)),
                array(later.iter().map(|l| l.opens)),
                array_of(later.iter().map(|l| l.closes)),
                array_of(later.iter().map(|l| l.reason.as_deref())),
            ],
        );
    }
    if !ready.is_empty() {
        // Why it had to wait no longer matters; what a sender said of it does.
        spi::query(
            "UPDATE wf.outbox AS o
             SET state = 'queued', payload = coalesce(n.payload::json, o.payload), not_before = n.not_before,
                 not_after = n.not_after, reason = CASE WHEN o.attempts > 0 THEN o.reason END
             FROM ROWS FROM (unnest($1::bigint[]), unnest($2::text[]), unnest($3::timestamptz[]),
                             unnest($4::timestamptz[]))
                  AS n(message_id, payload, not_before, not_after)
             WHERE o.message_id = n.message_id",
            &[
                array(ready.iter().map(|r| r.message)),
                array_of(ready.iter().map(|r| r.payload.as_deref())),
                array(ready.iter().map(|r| r.opens)),
                array_of(ready.iter().map(|r| r.closes)),
            ],
        );
    }
}
