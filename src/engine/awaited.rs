//! Cases that wait for others, and those others.
//!
//! Neither may wait for the other's lock: whoever changes something that the other one has to look at leaves a notice
//! there, a token of a step that no program has, due at once. It is only ever inserted, so nothing is waited for, and the
//! next batch that loads the case takes it off and derives what follows from the tables as they are then. A notice that
//! comes twice, or to a case that has ended, does no harm.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use workflow_core::game::{Awaited, Block, Clock, Hold, PLAIN};

use super::batch::Batch;
use super::sections;
use crate::holds;
use crate::outbox::acknowledged;
use crate::pg::spi;
use crate::pg::types::{arg, array, instant_to_pg};
use crate::settings;
use crate::worker::wake;

/// Takes the notices off the cases of a batch that has just been loaded.
pub fn take_notices(batch: &mut Batch) {
    for loaded in &mut batch.cases {
        let before = loaded.case.tokens.len();
        loaded.case.tokens.retain(|token| token.step >= 0);
        if loaded.case.tokens.len() < before {
            batch.notices.push(loaded.case.id);
        }
    }
}

/// Leaves a notice at each of these cases.
pub fn leave_notices(cases: &[i64], now: DateTime<Utc>) {
    if cases.is_empty() {
        return;
    }
    // Any free place will do. Of a case's notices, each is there for a moment only.
    spi::query(
        "INSERT INTO wf.case_steps (case_id, step_no, visit, state, entered_at, run_at)
         SELECT n.case_id, (-1 - pg_catalog.floor(pg_catalog.random() * 32767))::int2,
                pg_catalog.floor(pg_catalog.random() * 32767)::int2, 'scheduled', $2, $2
         FROM (SELECT unnest($1::bigint[]) AS case_id) AS n",
        &[array(cases.iter().copied()), arg(now)],
    );
    wake::on_commit_at(instant_to_pg(now));
}

/// Something failed while cases were worked on, and their notices may be to blame: those are left for later.
pub fn postpone(batch: &mut Batch) {
    let cases = std::mem::take(&mut batch.notices);
    if cases.is_empty() {
        return;
    }
    for before in batch.cases.iter_mut().filter_map(|c| c.before.as_mut()) {
        before.tokens.retain(|placed| placed.token.step >= 0);
    }
    let pause = TimeDelta::from_std(settings::retry_backoff()).unwrap_or(TimeDelta::seconds(10));
    spi::query(
        "UPDATE wf.case_steps AS t SET run_at = $2 WHERE t.case_id = ANY ($1) AND t.step_no < 0",
        &[array(cases), arg(batch.context.now + pause)],
    );
}

/// Before a batch is written: its cases that have been given notice look at the others.
pub fn look(batch: &mut Batch) {
    let cases: HashSet<i64> = std::mem::take(&mut batch.notices).into_iter().collect();
    acknowledged::look(batch, &cases);
    sections::look(batch, &cases);
    let indexes = (0..batch.cases.len()).filter(|i| cases.contains(&batch.cases[*i].case.id));
    let (mut waiting, mut awaited) = (Vec::new(), Vec::new());
    for index in indexes {
        let case = &batch.cases[index].case;
        if case.awaiting().next().is_some() {
            waiting.push(case.id);
        }
        if case.memory.awaited_by.is_some() && !case.state.is_over() {
            awaited.push(case.id);
        }
    }
    look_at_awaited(batch, &waiting);
    look_at_waiting(batch, &awaited);
}

/// Cases that wait: step runs go on whose cases have all ended.
fn look_at_awaited(batch: &mut Batch, waiting: &[i64]) {
    if waiting.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT n.started_by, n.step_no, n.visit, n.cases, n.ended, n.last, c.outcome, c.vars::text,
                (SELECT jsonb_object_agg(g.outcome, g.cases)::text
                 FROM (SELECT o.outcome, count(*) AS cases
                       FROM wf.case_links AS l JOIN wf.cases AS o ON o.case_id = l.case_id
                       WHERE l.started_by = n.started_by AND l.step_no = n.step_no AND l.visit = n.visit
                         AND o.ended_at IS NOT NULL
                       GROUP BY o.outcome) AS g)
         FROM (SELECT l.started_by, l.step_no, l.visit, count(*) AS cases, count(o.ended_at) AS ended,
                      max(l.case_id) FILTER (WHERE o.ended_at IS NOT NULL) AS last
               FROM wf.case_links AS l JOIN wf.cases AS o ON o.case_id = l.case_id
               WHERE l.started_by = ANY ($1) AND l.step_no IS NOT NULL
               GROUP BY l.started_by, l.step_no, l.visit) AS n
         JOIN wf.cases AS c ON c.case_id = n.last",
        &[array(waiting.iter().copied())],
    );
    let mut by_version: BTreeMap<i32, Vec<(usize, Awaited)>> = BTreeMap::new();
    for row in rows.iter() {
        let awaited = Awaited {
            case_id: row.must(1),
            step: row.must(2),
            visit: row.must(3),
            cases: row.must(4),
            ended: row.must(5),
            last: row.must(6),
            outcome: row.get(7).unwrap_or_default(),
            vars: row.get(8),
            tally: row.get(9),
        };
        if let Some(index) = batch.find(awaited.case_id) {
            let group = by_version.entry(batch.cases[index].case.version_id);
            group.or_default().push((index, awaited));
        }
    }
    for group in by_version.into_values() {
        let cases: Vec<usize> = group.iter().map(|(index, _)| *index).collect();
        let Some(answers) = batch.ask_watch(&cases) else {
            continue;
        };
        let env = batch.context.env();
        for (nth, (index, awaited)) in group.iter().enumerate() {
            let case = &mut batch.cases[*index].case;
            case.others_ended(awaited, &answers.facts(nth), &env, &mut batch.effects);
        }
    }
}

/// Cases that are waited for: withdrawn if nobody does any more, or the row has left for which they were started; on hold as
/// long as the case that waits.
fn look_at_waiting(batch: &mut Batch, awaited: &[i64]) {
    if awaited.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT l.case_id, w.case_id, w.state = 'held',
                w.ended_at IS NULL AND EXISTS (
                    SELECT FROM wf.case_steps AS t
                    WHERE t.case_id = l.started_by AND t.step_no = l.step_no AND t.visit = l.visit
                      AND t.state = 'waiting'),
                EXISTS (SELECT FROM wf.holds AS h
                        WHERE h.case_id = l.case_id AND h.released_at IS NULL AND h.held_by = $2),
                -- In the order of their names, the last one moves dates most.
                (SELECT max(h.clock) FROM wf.holds AS h
                 WHERE h.case_id = w.case_id AND h.released_at IS NULL AND 'steps' = ANY (h.blocks)),
                w.memory #> '{stopped,communication}' IS NOT NULL,
                EXISTS (SELECT FROM wf.holds AS h
                        WHERE h.case_id = l.case_id AND h.released_at IS NULL AND h.held_by = $3),
                s.departure ->> 'outcome', s.departure ->> 'reason', c.key
         FROM wf.case_links AS l JOIN wf.cases AS w ON w.case_id = l.started_by
         JOIN wf.cases AS c ON c.case_id = l.case_id
         LEFT JOIN wf.steps AS p ON p.version_id = w.version_id AND p.step_no = l.step_no AND p.kind = 'for_each'
         LEFT JOIN wf.case_subjects AS s
              ON s.case_id = w.case_id AND s.key = c.key AND s.departure IS NOT NULL AND p.kind IS NOT NULL
         WHERE l.case_id = ANY ($1)",
        &[
            array(awaited.iter().copied()),
            arg(HOLDER),
            arg(QUIET_HOLDER),
        ],
    );
    let (mut hold, mut release) = (Vec::new(), Vec::new());
    let (mut hush, mut unhush) = (Vec::new(), Vec::new());
    for row in rows.iter() {
        let (id, by): (i64, i64) = (row.must(1), row.must(2));
        let (held, waits, holds): (bool, bool, bool) = (row.must(3), row.must(4), row.must(5));
        let clock = row.get::<String>(6);
        let Some(index) = batch.find(id) else {
            continue;
        };
        let case = &mut batch.cases[index].case;
        let out = &mut batch.effects;
        if !waits {
            case.no_longer_awaited(&format!("case {by} no longer waits for it"), out);
        } else if let Some(outcome) = row.get::<String>(9) {
            let subject = case.program.document.subject.clone();
            let (why, key): (String, String) = (row.get(10).unwrap_or_default(), row.must(11));
            let reason = format!("{subject} {key} has left case {by}: {why}");
            case.row_left(&outcome, &reason, out);
        } else if held && !holds {
            let it = Hold {
                kind: PLAIN.to_owned(),
                reason: format!("case {by} is on hold"),
                blocks: vec![Block::Steps],
                clock: clock
                    .and_then(|clock| Clock::from_label(&clock))
                    .unwrap_or(Clock::RunOn),
                from: batch.context.now,
                until: None,
            };
            // Cannot fail: a case that has ended does not get here.
            if case.hold(&it, out).is_ok() {
                hold.push((id, it));
            }
        } else if !held && holds {
            release.push(id);
        }
        let (quiet, quiets): (bool, bool) = (row.must(7), row.must(8));
        if waits && quiet && !quiets {
            let it = quiet_like(by, batch.context.now);
            if batch.cases[index]
                .case
                .hold(&it, &mut batch.effects)
                .is_ok()
            {
                hush.push((id, it));
            }
        } else if waits && !quiet && quiets {
            unhush.push(id);
        }
    }
    holds::insert(&hold, HOLDER);
    holds::insert(&hush, QUIET_HOLDER);
    holds::end_those_of(batch, &release, HOLDER);
    holds::end_those_of(batch, &unhush, QUIET_HOLDER);
}

/// Who holds a case because the one that waits for it is on hold.
const HOLDER: &str = "waiting case";
/// Who stops the communication of a case because that of the one that waits for it is stopped.
const QUIET_HOLDER: &str = "waiting case, quiet";

/// The hold by which a case is as quiet as the one that waits for it.
fn quiet_like(by: i64, from: DateTime<Utc>) -> Hold {
    Hold {
        kind: "quiet".to_owned(),
        reason: format!("communication of case {by} is on hold"),
        blocks: vec![Block::Communication],
        clock: Clock::RunOn,
        from,
        until: None,
    }
}

/// New cases of a batch, before they take a step, are as quiet as those that wait for them: (case, the one that waits).
pub fn hush_new(batch: &mut Batch, cases: &[(i64, i64)]) {
    let mut hush = Vec::new();
    for (id, by) in cases {
        let quiet = batch
            .find(*by)
            .is_some_and(|i| batch.cases[i].case.stopped(Block::Communication).is_some());
        let new = batch.find(*id).filter(|_| quiet);
        if let Some(index) = new {
            let it = quiet_like(*by, batch.context.now);
            if batch.cases[index]
                .case
                .hold(&it, &mut batch.effects)
                .is_ok()
            {
                hush.push((*id, it));
            }
        }
    }
    holds::insert(&hush, QUIET_HOLDER);
}

/// After a batch has been written: cases that wait for one of it get notice; those that one of it waits for look at once
/// if nobody is at them, so that their messages stay here, and get notice otherwise.
pub fn tell(awaiting: Vec<i64>, awaited_by: &[i64], actor: &str, now: DateTime<Utc>) {
    let awaiting: HashSet<i64> = awaiting.into_iter().collect();
    leave_notices(&awaiting.into_iter().collect::<Vec<_>>(), now);
    if awaited_by.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT l.case_id FROM wf.case_links AS l JOIN wf.cases AS o ON o.case_id = l.case_id
         WHERE l.started_by = ANY ($1) AND l.step_no IS NOT NULL AND o.ended_at IS NULL ORDER BY l.case_id",
        &[array(awaited_by.iter().copied())],
    );
    let awaited: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    if awaited.is_empty() {
        return;
    }
    let mut batch = Batch::load_free(&awaited, actor);
    let free: HashSet<i64> = batch.cases.iter().map(|loaded| loaded.case.id).collect();
    batch.notices.extend(free.iter().copied());
    batch.flush();
    let busy: Vec<i64> = awaited
        .into_iter()
        .filter(|id| !free.contains(id))
        .collect();
    leave_notices(&busy, now);
}
