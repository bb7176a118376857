//! Writing a batch: one statement for each kind of row that changes or goes, whatever the number of cases. What comes into
//! being is appended by `new_rows`.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use workflow_core::game::{Effects, Token, TokenState};

use super::batch::{Batch, Loaded, Placed};
use super::{members, new_rows, simulation};
use crate::outbox::recalled::{self, Recall};
use crate::people;
use crate::pg::spi::{self, Arg};
use crate::pg::types::{arg, array, array_of, instant_to_pg, labels};
use crate::worker::wake;

/// Writes everything that has happened to the batch's cases.
pub fn flush(batch: Batch) -> Vec<Loaded> {
    let Batch {
        context,
        cases,
        mut effects,
        actor,
        notices: _,
    } = batch;
    let now = context.now;
    simulation::note(&cases, &effects, now);
    // What belongs to one case lies together, in the tables and their indexes.
    effects.messages.sort_by_key(|message| message.case_id);
    effects.history.sort_by_key(|happened| happened.case_id);
    new_cases(&cases, &actor, now);
    changed_cases(&cases, now);
    tokens(&cases);
    people::write(&effects, &actor, now);
    members::write(&cases, &effects, now);
    new_rows::messages(&cases, &effects.messages, now);
    suppressions(&effects, now);
    reconsidered(&effects, now);
    crate::holds::write(&effects, now);
    crate::contact::write(&effects, &actor, now);
    notes(&effects, &actor, now);
    failures(&cases, &effects, now);
    new_rows::history(&effects.history, &actor, now);
    crate::accounts::write(&cases, &effects, &actor);
    cases
}

fn new_cases(cases: &[Loaded], actor: &str, now: DateTime<Utc>) {
    let new: Vec<&Loaded> = cases.iter().filter(|c| c.before.is_none()).collect();
    if new.is_empty() {
        return;
    }
    let mut replaced: Vec<(i64, &str)> = Vec::new();
    for loaded in &new {
        let own = loaded.replaces.map(|case| (case, loaded.case.key.as_str()));
        let others = loaded.others.iter();
        let others = others.filter_map(|place| Some((place.ended?, place.key.as_str())));
        replaced.extend(own.into_iter().chain(others));
    }
    if !replaced.is_empty() {
        // In the order of the keys, here and below: two who start cases of the same rows wait for each other's first one,
        // and never each for what the other has.
        replaced.sort_unstable_by_key(|(_, key)| *key);
        spi::query(
            "UPDATE wf.case_subjects AS s SET slot = s.case_id
             FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS key) AS n
             WHERE s.case_id = n.case_id AND s.key = n.key AND s.slot = 0",
            &[
                array(replaced.iter().map(|(case, _)| *case)),
                array(replaced.iter().map(|(_, key)| *key)),
            ],
        );
    }
    new_rows::cases(&new, actor, now);
    new_rows::subjects(&new);
}

fn changed_cases(cases: &[Loaded], now: DateTime<Utc>) {
    let changed: Vec<&Loaded> = cases
        .iter()
        .filter(|c| {
            c.before.as_ref().is_some_and(|before| {
                before.state != c.case.state
                    || before.started != c.case.started_at.is_some()
                    || before.memory != c.case.memory
                    || before.vars != c.case.vars
            })
        })
        .collect();
    if changed.is_empty() {
        return;
    }
    change_placed(
        "UPDATE wf.cases AS c
         SET state = n.state, started_at = n.started_at, outcome = n.outcome, reason = n.reason,
             ended_at = CASE WHEN n.outcome IS NOT NULL THEN $2 END, vars = n.vars::jsonb, memory = n.memory::jsonb
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($3::wf.case_state[]) AS state,
                      unnest($4::timestamptz[]) AS started_at, unnest($5::text[]) AS outcome,
                      unnest($6::text[]) AS reason, unnest($7::text[]) AS vars,
                      unnest($8::text[]) AS memory, unnest($9::tid[]) AS place) AS n
         WHERE c.case_id = n.case_id",
        " AND c.ctid = n.place",
        changed.len(),
        &[

            array(changed.iter().map(|c| c.case.id)),
            arg(now),
            labels("wf.case_state", changed.iter().map(|c| c.case.state.label())),
            array_of(changed.iter().map(|c| c.case.started_at)),
            array_of(changed.iter().map(|c| c.case.outcome.as_deref())),
            array_of(changed.iter().map(|c| c.case.reason.as_deref())),
            array_of(changed.iter().map(|c| c.case.vars.as_deref())),
            array_of(changed.iter().map(|c| c.memory_text())),
            array_of(changed.iter().map(|c| Some(c.before.as_ref()?.place))),
        ],
    );
    let ended: Vec<i64> = changed
        .iter()
        .filter(|c| c.case.state.is_over())
        .map(|c| c.case.id)
        .collect();
    if !ended.is_empty() {
        spi::query(
            "UPDATE wf.holds AS h SET released_at = $2, released_by = 'engine'
             WHERE h.case_id = ANY ($1) AND h.released_at IS NULL",
            &[array(ended), arg(now)],
        );
    }
}

/// Changes or deletes rows where they lay when they were read, under the lock of their case: looking them up by their keys
/// again costs as much as changing them. Those that are elsewhere by now, because this transaction itself has changed
/// them since, are looked up all the same.
fn change_placed(by_key: &str, and_place: &str, rows: usize, args: &[Arg]) {
    let by_place = format!("{by_key}{and_place}");
    if spi::query(&by_place, args).processed() < rows {
        spi::query(by_key, args);
    }
}

/// The tokens of a case that are new, changed, or gone.
fn tokens(cases: &[Loaded]) {
    let mut gone: Vec<(i64, &Placed)> = Vec::new();
    let mut new: Vec<(i64, &Token)> = Vec::new();
    let mut changed: Vec<(i64, &Token)> = Vec::new();
    for loaded in cases {
        let before = loaded.before.as_ref().map_or(&[][..], |b| &b.tokens);
        let same = |a: &Token, b: &Token| a.step == b.step && a.visit == b.visit;
        for placed in before {
            if !loaded.case.tokens.iter().any(|t| same(t, &placed.token)) {
                gone.push((loaded.case.id, placed));
            }
        }
        for token in &loaded.case.tokens {
            match before.iter().find(|old| same(&old.token, token)) {
                None => new.push((loaded.case.id, token)),
                Some(old) if old.token != *token => changed.push((loaded.case.id, token)),
                Some(_) => {}
            }
        }
    }
    let at = new
        .iter()
        .chain(&changed)
        .filter(|(_, token)| token.state == TokenState::Scheduled)
        .filter_map(|(_, token)| Some(token.run_at?.max(token.entered_at)))
        .min();
    if let Some(at) = at {
        wake::on_commit_at(instant_to_pg(at));
    }
    delete_tokens(&gone);
    new_rows::tokens(&new);
    update_tokens(&changed);
}

fn delete_tokens(tokens: &[(i64, &Placed)]) {
    if tokens.is_empty() {
        return;
    }
    change_placed(
        "DELETE FROM wf.case_steps AS t
         USING (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no,
                       unnest($3::int2[]) AS visit, unnest($4::tid[]) AS place) AS n
         WHERE t.case_id = n.case_id AND t.step_no = n.step_no AND t.visit = n.visit",
        " AND t.ctid = n.place",
        tokens.len(),
        &[
            array(tokens.iter().map(|(id, _)| *id)),
            array(tokens.iter().map(|(_, t)| t.token.step)),
            array(tokens.iter().map(|(_, t)| t.token.visit)),
            array(tokens.iter().map(|(_, t)| t.place)),
        ],
    );
    let tasks: Vec<i64> = (tokens.iter().filter_map(|(_, t)| t.token.task_id)).collect();
    if !tasks.is_empty() {
        spi::query(
            "DELETE FROM wf.tasks AS t WHERE t.task_id = ANY ($1)",
            &[array(tasks)],
        );
    }
}

const TOKEN_ROWS: &str = "(SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no,
                        unnest($3::int2[]) AS visit, unnest($4::wf.step_state[]) AS state,
                        unnest($5::int2[]) AS attempts, unnest($6::int2[]) AS arrived,
                        unnest($7::timestamptz[]) AS entered_at, unnest($8::timestamptz[]) AS run_at,
                        unnest($9::timestamptz[]) AS due_at) AS n";

fn token_args(tokens: &[(i64, &Token)]) -> [Arg; 9] {
    [
        array(tokens.iter().map(|(id, _)| *id)),
        array(tokens.iter().map(|(_, t)| t.step)),
        array(tokens.iter().map(|(_, t)| t.visit)),
        labels("wf.step_state", tokens.iter().map(|(_, t)| t.state.label())),
        array(tokens.iter().map(|(_, t)| t.attempts)),
        array(tokens.iter().map(|(_, t)| t.arrived)),
        array(tokens.iter().map(|(_, t)| t.entered_at)),
        array_of(tokens.iter().map(|(_, t)| t.run_at)),
        array_of(tokens.iter().map(|(_, t)| t.due_at)),
    ]
}

fn update_tokens(tokens: &[(i64, &Token)]) {
    if tokens.is_empty() {
        return;
    }
    let sql = format!(
        "UPDATE wf.case_steps AS t
         SET state = n.state, attempts = n.attempts, arrived = n.arrived, run_at = n.run_at,
             due_at = n.due_at
         FROM {TOKEN_ROWS}
         WHERE t.case_id = n.case_id AND t.step_no = n.step_no AND t.visit = n.visit"
    );
    spi::query(&sql, &token_args(tokens));
}

/// Messages that a sender has, or is just leasing, were handed over before this; they are withheld should they come back.
fn suppressions(effects: &Effects, now: DateTime<Utc>) {
    if effects.suppressions.is_empty() {
        return;
    }
    let all = &effects.suppressions;
    recalled::change(
        Recall::Withhold,
        "SELECT o.message_id, n.reason
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no,
                      unnest($3::int2[]) AS visit, unnest($4::text[]) AS reason) AS n
         JOIN wf.outbox AS o ON o.case_id = n.case_id
              AND (n.step_no IS NULL OR (o.step_no = n.step_no AND o.visit = n.visit AND o.version_id IS NULL))
         WHERE o.state IN ('deferred', 'queued', 'leased')",
        "state = 'suppressed', reason = f.reason, finished_at = $5",
        &[
            array(all.iter().map(|s| s.case_id)),
            array_of(all.iter().map(|s| s.step.map(|(step, _)| step))),
            array_of(all.iter().map(|s| s.step.map(|(_, visit)| visit))),
            array(all.iter().map(|s| s.reason.as_str())),
            arg(now),
        ],
    );
}

/// Messages that nobody has fetched wait to be looked at, as if their window were just opening.
fn reconsidered(effects: &Effects, now: DateTime<Utc>) {
    let all = &effects.reconsidered;
    if all.is_empty() {
        return;
    }
    recalled::change(
        Recall::Text,
        &format!("{} o.state = 'queued'", recalled::OF_STEP_RUNS),
        "state = 'deferred', not_before = greatest(o.not_before, $4)",
        &[
            array(all.iter().map(|r| r.0)),
            array(all.iter().map(|r| r.1)),
            array(all.iter().map(|r| r.2)),
            arg(now),
        ],
    );
    wake::on_commit();
}

fn notes(effects: &Effects, actor: &str, now: DateTime<Utc>) {
    let notes = &effects.notes;
    if notes.is_empty() {
        return;
    }
    spi::query(
        "INSERT INTO wf.notes (case_id, step_no, visit, at, actor, body)
         SELECT n.case_id, n.step_no, n.visit, $5, $6, n.body
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no,
                      unnest($3::int2[]) AS visit, unnest($4::text[]) AS body) AS n",
        &[
            array(notes.iter().map(|n| n.case_id)),
            array(notes.iter().map(|n| n.step)),
            array(notes.iter().map(|n| n.visit)),
            array(notes.iter().map(|n| n.body.as_str())),
            arg(now),
            arg(actor),
        ],
    );
}

fn failures(cases: &[Loaded], effects: &Effects, now: DateTime<Utc>) {
    // Resolved first: a retry that fails again at once leaves its new failure open.
    if !effects.resolved.is_empty() {
        let resolved: HashSet<_> = effects.resolved.iter().copied().collect();
        spi::query(
            "UPDATE wf.failures AS f SET resolved_at = $4
             FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no,
                        unnest($3::int2[]) AS visit) AS n
             WHERE f.case_id = n.case_id AND f.step_no = n.step_no AND f.visit = n.visit AND f.resolved_at IS NULL",
            &[
                array(resolved.iter().map(|r| r.0)),
                array(resolved.iter().map(|r| r.1)),
                array(resolved.iter().map(|r| r.2)),
                arg(now),
            ],
        );
    }
    let failures = &effects.failures;
    if failures.is_empty() {
        return;
    }
    let workflow = |id: i64| {
        cases
            .iter()
            .find(|c| c.case.id == id)
            .map(|c| c.version.workflow_id)
    };
    spi::query(
        "INSERT INTO wf.failures (at, workflow_id, case_id, step_no, visit, attempts, sqlstate, message, detail, hint)
         SELECT $1, n.workflow_id, n.case_id, n.step_no, n.visit, n.attempts, n.sqlstate, n.message, n.detail, n.hint
         FROM (SELECT unnest($2::int[]) AS workflow_id, unnest($3::bigint[]) AS case_id,
                      unnest($4::int2[]) AS step_no, unnest($5::int2[]) AS visit, unnest($6::int2[]) AS attempts,
                      unnest($7::text[]) AS sqlstate, unnest($8::text[]) AS message,
                      unnest($9::text[]) AS detail, unnest($10::text[]) AS hint) AS n",
        &[
            arg(now),
            array_of(failures.iter().map(|f| workflow(f.case_id))),
            array(failures.iter().map(|f| f.case_id)),
            array(failures.iter().map(|f| f.step)),
            array(failures.iter().map(|f| f.visit)),
            array(failures.iter().map(|f| f.attempts)),
            array(failures.iter().map(|f| f.sqlstate.as_str())),
            array(failures.iter().map(|f| f.message.as_str())),
            array_of(failures.iter().map(|f| f.detail.as_deref())),
            array_of(failures.iter().map(|f| f.hint.as_deref())),
        ],
    );
}
