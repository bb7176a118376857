//! wf.simulate: what will happen, by letting it happen on a shifted clock and taking it back.
//!
//! The real engine runs in a subtransaction that is always rolled back, from now to the end of the period, jumping from
//! one due time to the next. A sender is assumed that acknowledges at once; people answer only if the caller says so.
//! What the simulation touches is locked until it ends: it gives way to whoever is at a case (that case then stands
//! still), it writes no row of the ERP, and workers pass over what it has locked.

use std::panic::AssertUnwindSafe;

use chrono::{DateTime, TimeDelta, Utc};
use pgrx::PgSqlErrorCode;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::api::{given, timestamp};
use crate::engine::due::ACTS_AT;
use crate::engine::simulation::{self, Happening};
use crate::engine::versions::workflow as workflow_named;
use crate::engine::work::{Next, WorkerState, tick};
use crate::engine::{as_engine, context, partitions};
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::subtransaction::{attempt, rolled_back};
use crate::pg::types::{arg, array, instant_from_pg};
use crate::subjects::subject;
use crate::worker::wake;

/// The period of a simulation that names no end.
const DAYS: i64 = 14;
/// The clock never jumps further than this: what is due by rules that this file does not know is then late by no more.
const JUMP: TimeDelta = TimeDelta::days(1);
/// The longest period.
const MOST_DAYS: i64 = 3_660;
/// How many messages are leased at once.
const LEASE: i32 = 500;

/// What is simulated.
struct Plan {
    workflows: Option<Vec<i32>>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    answer: bool,
    most: usize,
}

/// Lists what will happen in a period. See the comment in sql/54_insight_api.sql.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity, reason = "pgrx wants the row type spelt out")]
fn simulate(
    workflow: Option<&str>,
    from_time: Option<TimestampWithTimeZone>,
    to_time: Option<TimestampWithTimeZone>,
    subject: Option<&str>,
    answer_tasks: Option<bool>,
    max_events: Option<i32>,
) -> TableIterator<
    'static,
    (
        name!(at, TimestampWithTimeZone),
        name!(workflow, String),
        name!(case_id, i64),
        name!(key, String),
        name!(step, Option<String>),
        name!(event, String),
        name!(outcome, Option<String>),
        name!(channel, Option<String>),
        name!(recipient, Option<String>),
        name!(detail, Option<String>),
    ),
> {
    let most = given("max_events", max_events);
    let answer = given("answer_tasks", answer_tasks);
    let rows = as_engine(|| {
        let plan = Plan {
            workflows: workflows(workflow, subject),
            answer,
            most: usize::try_from(most)
                .ok()
                .filter(|most| *most > 0)
                .unwrap_or_else(|| {
                    refused("max_events must be at least 1", "Leave it out for 10000.")
                }),
            ..period(from_time, to_time)
        };
        preview(&plan)
    });
    TableIterator::new(rows.into_iter().map(|h| {
        (
            timestamp(h.at),
            h.workflow,
            h.case_id,
            h.key,
            h.step,
            h.event,
            h.outcome,
            h.channel,
            h.recipient,
            h.detail,
        )
    }))
}

fn refused(message: &str, hint: &str) -> ! {
    raise_as(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        message,
        None,
        Some(hint.to_owned()),
    )
}

/// The workflows of the portfolio; None: all.
fn workflows(workflow: Option<&str>, subject: Option<&str>) -> Option<Vec<i32>> {
    match (workflow, subject) {
        (None, None) => None,
        (Some(name), None) => Some(vec![workflow_named(name).id]),
        (None, Some(name)) => {
            let Some(id) = subject::id_of(name) else {
                subject::unknown(name)
            };
            let rows = spi::query(
                "SELECT DISTINCT v.workflow_id FROM wf.versions AS v WHERE v.subject_id = $1",
                &[arg(id)],
            );
            Some(rows.iter().map(|row| row.must(1)).collect())
        }
        (Some(_), Some(_)) => refused(
            "both a workflow and a subject are given",
            "Name one of them: a workflow, or a subject for all of its workflows.",
        ),
    }
}

/// The period asked for; its beginning now and its end two weeks later if left out.
fn period(from: Option<TimestampWithTimeZone>, to: Option<TimestampWithTimeZone>) -> Plan {
    let now = context::now();
    let instant = |at: TimestampWithTimeZone| {
        let at = instant_from_pg(at.into());
        if at == DateTime::<Utc>::MAX_UTC || at == DateTime::<Utc>::MIN_UTC {
            refused(
                "the period of a simulation is finite",
                "Give a date, or leave it out.",
            )
        }
        at
    };
    let from = from.map_or(now, instant);
    if from < now {
        refused(
            "a simulation begins now or later",
            "What has happened stands in wf.case_timeline.",
        );
    }
    let to = to
        .map(instant)
        .or(from.checked_add_signed(TimeDelta::days(DAYS)))
        .unwrap_or(from);
    if to < from || to - now > TimeDelta::days(MOST_DAYS) {
        refused(
            "the end of the period lies before its beginning, or more than ten years ahead",
            "Give an end after the beginning.",
        );
    }
    Plan {
        workflows: None,
        from,
        to,
        answer: false,
        most: 0,
    }
}

/// Runs it, and takes all of it back.
fn preview(plan: &Plan) -> Vec<Happening> {
    let result = simulation::run(plan.workflows.as_deref(), || {
        wake::quietly(|| {
            rolled_back(AssertUnwindSafe(|| {
                as_engine(|| live_through(plan));
                simulation::take()
            }))
        })
    });
    // Months that it made are gone.
    partitions::forget();
    let mut rows = result.unwrap_or_else(|failure| failure.raise());
    let ids = plan.workflows.as_ref().map(|ids| names(ids));
    rows.retain(|h| {
        h.at >= plan.from && ids.as_ref().is_none_or(|names| names.contains(&h.workflow))
    });
    rows
}

fn names(ids: &[i32]) -> Vec<String> {
    let rows = spi::query(
        "SELECT w.name FROM wf.workflows AS w WHERE w.workflow_id = ANY ($1)",
        &[array(ids.iter().copied())],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

/// From now to the end, one due time after the other.
fn live_through(plan: &Plan) {
    // Nobody is to wait for a case that this waits for: it gives up long before the server looks for deadlocks.
    spi::query(
        "SELECT pg_catalog.set_config('lock_timeout', '100ms', true)",
        &[],
    );
    let mut now = context::now();
    set_clock(now);
    acknowledge(&in_hand());
    loop {
        live_one_moment(plan, now);
        if simulation::seen() > plan.most {
            stop_here(plan.most);
            return;
        }
        let next = next_time(plan, now).map_or(now + JUMP, |at| at.min(now + JUMP));
        if next > plan.to {
            return;
        }
        now = next;
        set_clock(now);
    }
}

/// Cuts the list off, and says so in a last row.
fn stop_here(most: usize) {
    simulation::undo(most);
    let rows = simulation::take();
    let last = rows.last().map(|row| Happening {
        step: None,
        event: "stopped_here".to_owned(),
        outcome: None,
        channel: None,
        recipient: None,
        detail: Some(format!("more than {most} events; max_events allows more")),
        ..row.clone()
    });
    rows.into_iter().chain(last).for_each(simulation::add);
}

fn set_clock(at: DateTime<Utc>) {
    spi::query(
        "INSERT INTO wf.clock (frozen_at) VALUES ($1)
         ON CONFLICT (singleton) DO UPDATE SET frozen_at = excluded.frozen_at",
        &[arg(at)],
    );
}

/// All that happens at one time: steps, answers, messages, until nothing is left.
fn live_one_moment(plan: &Plan, now: DateTime<Utc>) {
    loop {
        // What was scheduled into the past lies behind an old frontier.
        let mut state = WorkerState::new();
        while tick(&mut state, &mut |body| {
            let before = simulation::seen();
            attempt(AssertUnwindSafe(body)).map_err(|failure| {
                simulation::undo(before);
                if failure.is_interrupt() {
                    failure.raise();
                }
                failure
            })
        }) == Next::More
        {
            pg_sys::check_for_interrupts!();
            if simulation::seen() > plan.most {
                return;
            }
        }
        let answered = plan.answer && answer(now);
        let sent = lease();
        acknowledge(&sent);
        if !answered && sent.is_empty() || simulation::seen() > plan.most {
            return;
        }
    }
}

/// When something is due next, after a time.
fn next_time(plan: &Plan, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let scope = simulation::scope();
    let within = |row: &str| {
        if scope.is_empty() {
            String::new()
        } else {
            format!(
                " AND EXISTS (SELECT FROM wf.cases AS c WHERE c.case_id = {row}.case_id{scope})"
            )
        }
    };
    let (step, message, hold, task) = (within("t"), within("o"), within("h"), within("k"));
    let deadlines = if plan.answer {
        format!(", (SELECT min(k.due_at) FROM wf.tasks AS k WHERE k.due_at > $1{task})")
    } else {
        String::new()
    };
    let rows = spi::query(
        &format!(
            "SELECT least(
                 (SELECT {ACTS_AT} FROM wf.case_steps AS t
                  WHERE t.state = 'scheduled' AND t.run_at IS NOT NULL AND {ACTS_AT} > $1{step}
                  ORDER BY {ACTS_AT} LIMIT 1),
                 (SELECT o.not_before FROM wf.outbox AS o
                  WHERE o.state = 'deferred' AND o.not_before > $1{message} ORDER BY o.not_before LIMIT 1),
                 (SELECT min(o.not_before) FROM wf.outbox AS o
                  WHERE o.state IN ('queued', 'leased') AND o.not_before > $1{message}),
                 (SELECT o.not_after FROM wf.outbox AS o
                  WHERE o.state = 'queued' AND o.not_after IS NOT NULL AND o.not_after > $1{message}
                  ORDER BY o.not_after LIMIT 1),
                 (SELECT h.until FROM wf.holds AS h
                  WHERE h.released_at IS NULL AND h.until > $1{hold} ORDER BY h.until LIMIT 1){deadlines})"
        ),
        &[arg(now)],
    );
    rows.first().and_then(|row| row.get(1))
}

/// Settles tasks whose deadline has come, with their first outcome. Whether there were any.
fn answer(now: DateTime<Utc>) -> bool {
    let scope = simulation::scope();
    let rows = spi::query(
        &format!(
            "SELECT k.task_id, k.outcomes[1] FROM wf.tasks AS k JOIN wf.cases AS c ON c.case_id = k.case_id
             WHERE k.due_at <= $1{scope} ORDER BY k.due_at, k.task_id"
        ),
        &[arg(now)],
    );
    let tasks: Vec<(i64, String)> = rows
        .iter()
        .map(|row| (row.must(1), row.get(2).unwrap_or_default()))
        .collect();
    let mut any = false;
    for (task, outcome) in tasks {
        any |= tried(|| {
            spi::query(
                "SELECT 1 FROM wf.complete($1, $2)",
                &[arg(task), arg(outcome.as_str())],
            );
        });
    }
    any
}

/// Does something in a subtransaction; whether it went well.
fn tried(body: impl FnOnce()) -> bool {
    let before = simulation::seen();
    match attempt(AssertUnwindSafe(body)) {
        Ok(()) => true,
        Err(failure) if failure.is_interrupt() => failure.raise(),
        Err(_) => {
            simulation::undo(before);
            false
        }
    }
}

/// A message on its way, and what is told of it.
struct Sent {
    id: i64,
    told: Happening,
}

const SENT: &str =
    "m.message_id, m.case_id, w.name, c.key, s.name, m.channel, m.recipient, wf.now()
    FROM m JOIN wf.outbox AS o ON o.message_id = m.message_id
    JOIN wf.cases AS c ON c.case_id = m.case_id
    JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
    LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = o.step_no
    ORDER BY m.message_id";

fn sent(with: &str) -> Vec<Sent> {
    let rows = spi::query(
        &format!("WITH m AS MATERIALIZED ({with}) SELECT {SENT}"),
        &[],
    );
    rows.iter()
        .map(|row| Sent {
            id: row.must(1),
            told: Happening {
                at: row.must(8),
                workflow: row.must(3),
                case_id: row.must(2),
                key: row.must(4),
                step: row.get(5),
                event: "message_sent".to_owned(),
                outcome: None,
                channel: row.get(6),
                recipient: row.get(7),
                detail: None,
            },
        })
        .collect()
}

/// Messages that a sender has leased already: they are as good as gone.
fn in_hand() -> Vec<Sent> {
    let scope = simulation::scope();
    sent(&format!(
        "SELECT o.message_id, o.case_id, o.type::text AS channel, o.payload ->> 'to' AS recipient
         FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
         WHERE o.state = 'leased' AND o.not_before > wf.now(){scope}"
    ))
}

/// Messages that may leave now.
fn lease() -> Vec<Sent> {
    sent(&format!(
        "SELECT l.message_id, l.case_id, l.channel, l.recipient
         FROM wf.lease_messages(NULL, {LEASE}, '1 hour', 'simulation') AS l"
    ))
}

/// The sender has handed them over, and they have arrived where a step waits for that. All at once; one by one if
/// somebody is at one of the cases.
fn acknowledge(messages: &[Sent]) {
    let ids: Vec<i64> = messages.iter().map(|m| m.id).collect();
    if ids.is_empty() {
        return;
    }
    let hand_over = |part: &[Sent]| {
        let ids: Vec<i64> = part.iter().map(|m| m.id).collect();
        tried(|| {
            part.iter().for_each(|m| simulation::add(m.told.clone()));
            spi::query("SELECT wf.ack_messages($1)", &[array(ids.iter().copied())]);
            spi::query(
                "SELECT wf.report_delivery(o.message_id, 'delivered')
                 FROM wf.outbox AS o JOIN wf.case_steps AS t
                      ON t.case_id = o.case_id AND t.step_no = o.step_no AND t.visit = o.visit AND t.state = 'sending'
                 WHERE o.message_id = ANY ($1) AND o.state = 'sent'",
                &[array(ids)],
            );
        })
    };
    if hand_over(messages) {
        return;
    }
    for message in messages {
        if !hand_over(std::slice::from_ref(message)) {
            simulation::add(Happening {
                event: "message_left_out".to_owned(),
                detail: Some("somebody is at the case".to_owned()),
                ..message.told.clone()
            });
        }
    }
}
