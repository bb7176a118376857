//! wf.explain: why a case is where it is, as rows for people.

use std::panic::AssertUnwindSafe;

use chrono::{DateTime, Utc};
use pgrx::prelude::*;
use workflow_core::explain::{AtStep, Fact, Surroundings, explain as told};
use workflow_core::game::Token;

use crate::api::{given, unknown_case};
use crate::engine::as_engine;
use crate::engine::batch::{Batch, CASE};
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::spi;
use crate::pg::subtransaction::attempt;
use crate::pg::types::arg;

/// Explains a case. Reads it as it is committed, without locking it.
#[pg_extern(sql = false)]
fn explain(
    case_id: Option<i64>,
) -> TableIterator<
    'static,
    (
        name!(subject, String),
        name!(fact, String),
        name!(detail, Option<String>),
    ),
> {
    let case = given("case_id", case_id);
    let caller = current_role();
    let rows = as_engine(|| {
        let mut rows = head(case);
        must_see(case, caller);
        let known = Known {
            blocks: blocks(case),
            holds: holds(case),
        };
        // What the rules say needs the subject's binding in order, and runs its conditions.
        let inner = attempt(AssertUnwindSafe(|| by_rules(case, &known)));
        match inner {
            Ok(facts) => rows.extend(facts),
            Err(failure) if failure.is_interrupt() => failure.raise(),
            Err(failure) => {
                let first = known.blocks.first().or(known.holds.first());
                rows.extend(first.map(waits_for));
                rows.extend(known.blocks);
                rows.extend(known.holds);
                let fact = format!("cannot be looked at: {}", failure.message);
                rows.push(Fact::new("subject", fact, failure.hint.or(failure.detail)));
            }
        }
        rows.extend(withheld(case));
        rows
    });
    TableIterator::new(rows.into_iter().map(|f| (f.subject, f.fact, f.detail)))
}

struct Known {
    blocks: Vec<Fact>,
    holds: Vec<Fact>,
}

fn waits_for(block: &Fact) -> Fact {
    let fact = format!("{}: {}", block.subject, block.fact);
    Fact::new("waits for", fact, block.detail.clone())
}

fn facts(sql: &str, case: i64) -> Vec<Fact> {
    let rows = spi::query(sql, &[arg(case)]);
    rows.iter()
        .map(|row| Fact {
            subject: row.must(1),
            fact: row.must(2),
            detail: row.get(3),
        })
        .collect()
}

/// The case itself. Raises if there is none.
fn head(case: i64) -> Vec<Fact> {
    let rows = facts(
        "SELECT format('case %s', c.case_id),
                concat_ws(', ',
                    c.state::text || CASE WHEN c.ended_at IS NOT NULL
                                          THEN ' since ' || to_char(c.ended_at, 'Dy YYYY-MM-DD HH24:MI')
                                          WHEN c.started_at IS NOT NULL
                                          THEN ', started ' || to_char(c.started_at, 'Dy YYYY-MM-DD HH24:MI')
                                          ELSE ' since ' || to_char(c.created_at, 'Dy YYYY-MM-DD HH24:MI') END,
                    c.outcome, c.reason),
                format('workflow %s, version %s, key %s, started by %s', w.name, v.number, c.key, c.started_by)
         FROM wf.cases AS c
         LEFT JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
         LEFT JOIN wf.versions AS v ON v.version_id = c.version_id
         WHERE c.case_id = $1",
        case,
    );
    if rows.is_empty() {
        unknown_case(case);
    }
    rows
}

/// What keeps the whole case: a binding that is out of order, changes that have not been looked at.
fn blocks(case: i64) -> Vec<Fact> {
    let mut rows = facts(
        "SELECT DISTINCT format('subject \"%s\"', su.name), 'its binding is out of order: ' || su.quarantined,
                'No case of it moves by changes of its rows. Bind it again with wf.bind_subject, then call wf.reconcile.'
         FROM wf.case_subjects AS cs JOIN wf.subjects AS su ON su.subject_id = cs.subject_id
         JOIN wf.cases AS c ON c.case_id = cs.case_id
         WHERE cs.case_id = $1 AND su.quarantined IS NOT NULL AND c.ended_at IS NULL",
        case,
    );
    rows.extend(facts(
        "SELECT 'contact', format('stopped since %s: %s', to_char(s.stopped_at, 'Dy YYYY-MM-DD HH24:MI'), s.reason),
                format('Stopped by %s for %s; no message is handed out. wf.resume_contact ends it.', s.stopped_by,
                       CASE s.channel WHEN '*' THEN 'all channels' ELSE 'channel ' || s.channel END)
         FROM wf.contact_stops AS s
         WHERE EXISTS (SELECT FROM wf.outbox AS o
                       WHERE o.case_id = $1 AND o.state IN ('deferred', 'queued') AND s.channel IN (o.type, '*'))",
        case,
    ));
    rows.extend(facts(
        "SELECT DISTINCT format('subject \"%s\"', su.name),
                CASE WHEN i.failed_at IS NULL THEN 'a change of its row has not been looked at yet'
                     ELSE 'a change of its row could not be looked at' END,
                'No message of the case leaves before that. ' ||
                CASE WHEN i.failed_at IS NULL THEN 'A worker or wf.run_due does it.'
                     ELSE 'See wf.incidents; then call wf.reconcile.' END
         FROM wf.case_subjects AS cs
         JOIN wf.subjects AS su ON su.subject_id = cs.subject_id
         JOIN wf.cases AS c ON c.case_id = cs.case_id
         CROSS JOIN LATERAL (
             SELECT i.failed_at FROM wf.inbox AS i
             WHERE i.subject_id = cs.subject_id AND (i.key = cs.key OR i.key IS NULL) LIMIT 1) AS i
         WHERE cs.case_id = $1 AND c.ended_at IS NULL",
        case,
    ));
    rows
}

/// The open holds.
fn holds(case: i64) -> Vec<Fact> {
    facts(
        "SELECT 'hold', concat(h.reason, ', until ' || to_char(h.until, 'Dy YYYY-MM-DD HH24:MI')),
                format('Held by %s since %s (%s); %s. %s', h.held_by, to_char(h.held_at, 'Dy YYYY-MM-DD HH24:MI'),
                       coalesce(k.title, h.kind),
                       CASE WHEN 'steps' = ANY (h.blocks) THEN 'nothing fires and no message leaves'
                            WHEN h.blocks = '{communication}' THEN 'no message leaves and nobody is called, the rest goes on'
                            WHEN h.blocks = '{charges}' THEN 'no fees and no interest accrue, the rest goes on'
                            ELSE 'no message leaves, no fees and no interest accrue, the rest goes on' END,
                       CASE WHEN k.released_by = 'manager' THEN 'It ends at its time, or a manager ends it.'
                            ELSE 'wf.release ends it.' END)
         FROM wf.holds AS h LEFT JOIN wf.hold_kinds AS k ON k.kind = h.kind WHERE h.case_id = $1 AND h.released_at IS NULL ORDER BY h.until NULLS FIRST, h.hold_id",
        case,
    )
}

/// What the rules say, with the subject's row as it is now.
fn by_rules(case: i64, known: &Known) -> Vec<Fact> {
    let rows = spi::query(
        &format!("SELECT {CASE} FROM wf.cases AS c WHERE c.case_id = $1"),
        &[arg(case)],
    );
    let batch = Batch::of(rows, "engine");
    let Some(loaded) = batch.cases.first() else {
        return Vec::new();
    };
    let answers = batch.ask_watch(&[0]);
    let facts = answers.as_ref().map(|answers| answers.facts(0));
    let at_step = |token: &Token| at_step(case, token);
    let surroundings = Surroundings {
        blocks: known.blocks.clone(),
        holds: known.holds.clone(),
        at_step: Some(&at_step),
    };
    told(
        &loaded.case,
        facts.as_ref(),
        &batch.context.env(),
        &surroundings,
    )
}

/// What stands in tables about an open step run.
fn at_step(case: i64, token: &Token) -> AtStep {
    let one = |sql: &str| {
        let rows = spi::query(sql, &[arg(case), arg(token.step), arg(token.visit)]);
        rows.first().map(|row| Fact {
            subject: String::new(),
            fact: row.must(1),
            detail: row.get(2),
        })
    };
    AtStep {
        message: one(MESSAGE),
        task: one(TASK),
        failure: one(FAILURE),
    }
}

const MESSAGE: &str = "SELECT concat(
        format('message %s (%s%s) ', o.message_id, o.type, ' to ' || (o.payload ->> 'to')),
        CASE o.state
            WHEN 'deferred' THEN CASE WHEN o.not_before = 'infinity' THEN coalesce('is kept here: ' || o.reason, 'is kept here')
                                      WHEN o.reason IS NOT NULL AND o.attempts = 0
                                      THEN concat('waits until ', to_char(o.not_before, 'Dy YYYY-MM-DD HH24:MI'), ': ', o.reason)
                                      ELSE 'waits for the contact window, which opens ' || to_char(o.not_before, 'Dy YYYY-MM-DD HH24:MI') END
            WHEN 'queued' THEN CASE WHEN o.not_before > wf.now() THEN 'is tried again at ' || to_char(o.not_before, 'Dy YYYY-MM-DD HH24:MI')
                                    ELSE 'waits for a sender to lease it' END
            WHEN 'leased' THEN concat('is with sender ' || o.sender || ',', ' leased until ', to_char(o.not_before, 'Dy YYYY-MM-DD HH24:MI'))
            ELSE 'is sent; its delivery has not been reported' END),
    concat_ws(' ', CASE WHEN o.attempts > 0 THEN format('%s attempt(s).', o.attempts) END,
              CASE WHEN o.attempts > 0 THEN 'Last error: ' || o.reason || '.' END,
              'Its window closes ' || to_char(o.not_after, 'Dy YYYY-MM-DD HH24:MI') || '.')
    FROM wf.outbox AS o
    WHERE o.case_id = $1 AND o.step_no = $2 AND o.visit = $3 AND o.state IN ('deferred', 'queued', 'leased', 'sent')
    ORDER BY o.message_id DESC LIMIT 1";

const TASK: &str = "SELECT concat('waits for ', coalesce(k.participant, 'a person'),
           ' since ', to_char(k.opened_at, 'Dy YYYY-MM-DD HH24:MI'),
           ', due ' || to_char(k.due_at, 'Dy YYYY-MM-DD HH24:MI'),
           CASE WHEN k.due_at < wf.now() THEN ', overdue' END),
    format('Task %s: %s. Outcomes: %s.', k.task_id, k.title, array_to_string(k.outcomes, ', '))
    FROM wf.tasks AS k WHERE k.case_id = $1 AND k.step_no = $2 AND k.visit = $3";

const FAILURE: &str = "SELECT concat('failed: ', f.message), concat_ws(' ', f.detail, f.hint)
    FROM wf.failures AS f
    WHERE f.case_id = $1 AND f.step_no = $2 AND f.visit = $3 AND f.resolved_at IS NULL
    ORDER BY f.failure_id DESC LIMIT 1";

/// Messages that did not leave, or did not arrive.
fn withheld(case: i64) -> Vec<Fact> {
    let rows = spi::query(
        "SELECT o.message_id, o.state::text, o.type, coalesce(s.name, '?'), o.reason, o.finished_at
         FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
         LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = o.step_no
         WHERE o.case_id = $1 AND o.state IN ('suppressed', 'bounced', 'dead')
         ORDER BY o.message_id",
        &[arg(case)],
    );
    rows.iter()
        .map(|row| {
            let (id, state): (i64, String) = (row.must(1), row.must(2));
            let (channel, step): (String, String) = (row.must(3), row.must(4));
            let fact = match state.as_str() {
                "suppressed" => "was withheld",
                "bounced" => "bounced",
                _ => "could not be sent",
            };
            let at = row.get::<DateTime<Utc>>(6);
            let when = at.map_or(String::new(), |at| {
                at.format(" (%Y-%m-%d %H:%M UTC)").to_string()
            });
            let reason = row
                .get::<String>(5)
                .unwrap_or_else(|| "no reason given".to_owned());
            Fact::new(
                format!("message {id}"),
                format!("{channel} of step \"{step}\" {fact}: {reason}{when}"),
                None,
            )
        })
        .collect()
}
