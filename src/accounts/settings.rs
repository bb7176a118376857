//! Which default strategy rows have, and whether it runs: set for all rows of a subject, for an account, or for one row; the
//! nearest counts. Set by people (wf.set_strategy, wf.pause_strategy, …), and for single rows by steps.

use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use workflow_core::document::Runs;
use workflow_core::game::StrategyRow;
use workflow_core::strategy::{Status, Verb};

use super::{facts, strategy};
use crate::api::{actor, given};
use crate::engine::as_engine;
use crate::engine::batch::Loaded;
use crate::engine::versions::{version, workflow};
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of, optional};
use crate::subjects::inbox::append_all_of;
use crate::subjects::subject::{self, Subject};

/// What a setting is for.
struct Level {
    subject: Rc<Subject>,
    account: Option<String>,
    key: Option<String>,
}

impl Level {
    fn of(subject: Option<&str>, account: Option<String>, key: Option<String>) -> Self {
        let subject = subject::by_name(given("subject", subject));
        subject.require_usable();
        if account.is_some() && key.is_some() {
            raise_as(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "both an account and a key are given",
                None,
                Some("Give the key for one row, the account for all of its rows, or neither for all rows.".to_owned()),
            );
        }
        if account.is_some() && subject.roles.account.is_none() {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("subject \"{}\" names no column for accounts", subject.name),
                None,
                Some("Name it: wf.bind_subject(…, account => 'column').".to_owned()),
            );
        }
        let key = key.map(|key| subject.canonical_keys(&[key]).remove(0));
        Self {
            subject,
            account,
            key,
        }
    }

    /// For messages.
    fn what(&self) -> String {
        let name = &self.subject.name;
        match (&self.key, &self.account) {
            (Some(key), _) => format!("{name} {key}"),
            (None, Some(account)) => format!("account {account}"),
            (None, None) => format!("subject \"{name}\""),
        }
    }

    /// What is set here, and what would count if nothing were.
    fn statuses(&self) -> (Option<Status>, Status) {
        let status = |rows: spi::Rows| -> Option<Status> {
            let label: Option<String> = rows.first()?.get(1);
            Status::from_label(&label?)
        };
        let own = spi::query(
            "SELECT s.status FROM wf.strategy_settings AS s
             WHERE s.subject_id = $1 AND s.key IS NOT DISTINCT FROM $2 AND s.account IS NOT DISTINCT FROM $3",
            &[
                arg(self.subject.id),
                optional(self.key.as_deref()),
                optional(self.account.as_deref()),
            ],
        );
        let account = match &self.key {
            Some(key) => facts::accounts(&self.subject, &[key.as_str()]).remove(0),
            None => None,
        };
        let above = spi::query(
            "SELECT s.status FROM wf.strategy_settings AS s
             WHERE s.subject_id = $1 AND s.key IS NULL AND (s.account IS NULL OR s.account = $2)
               AND s.status IS NOT NULL AND $3
             ORDER BY s.account IS NULL LIMIT 1",
            &[
                arg(self.subject.id),
                optional(account.as_deref()),
                arg(self.key.is_some() || self.account.is_some()),
            ],
        );
        (status(own), status(above).unwrap_or_default())
    }

    /// Sets the status here; None: as it is above.
    fn set_status(&self, status: Option<Status>, reason: Option<&str>, actor: &str) {
        spi::query(
            "INSERT INTO wf.strategy_settings AS s (subject_id, account, key, status, reason, set_at, set_by)
             VALUES ($1, $2, $3, $4, $5, wf.now(), $6)
             ON CONFLICT (key, account, subject_id) DO UPDATE
             SET status = excluded.status, reason = excluded.reason, set_at = excluded.set_at, set_by = excluded.set_by",
            &[
                arg(self.subject.id),
                optional(self.account.as_deref()),
                optional(self.key.as_deref()),
                optional(status.map(Status::label)),
                optional(reason),
                arg(actor),
            ],
        );
    }

    /// Has what follows done: for one row now, for many by the worker.
    fn settle(&self) {
        match &self.key {
            Some(key) => {
                let busy = strategy::settle(self.subject.id, &[key.as_str()]);
                let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
                strategy::look_again(self.subject.id, &busy);
            }
            None => append_all_of(&self.subject, self.account.as_deref()),
        }
    }
}

/// Says which workflow is the default strategy, or with none that the level above says so.
#[pg_extern(sql = false)]
fn set_strategy(
    subject: Option<&str>,
    workflow_name: Option<&str>,
    account: Option<String>,
    key: Option<String>,
) {
    let actor = actor();
    as_engine(|| {
        let level = Level::of(subject, account, key);
        let id = workflow_name.map(|name| strategy_workflow(name, &level.subject));
        spi::query(
            "UPDATE wf.subjects AS s SET strategies = true WHERE s.subject_id = $1 AND NOT s.strategies",
            &[arg(level.subject.id)],
        );
        subject::forget(level.subject.id);
        let (own, above) = level.statuses();
        spi::query(
            "INSERT INTO wf.strategy_settings AS s (subject_id, account, key, workflow_id, set_at, set_by)
             VALUES ($1, $2, $3, $4, wf.now(), $5)
             ON CONFLICT (key, account, subject_id) DO UPDATE
             SET workflow_id = excluded.workflow_id, set_at = excluded.set_at, set_by = excluded.set_by",
            &[
                arg(level.subject.id),
                optional(level.account.as_deref()),
                optional(level.key.as_deref()),
                optional(id),
                arg(actor.as_str()),
            ],
        );
        // What was stopped for good begins anew by this, and by nothing else.
        if id.is_some() && own.unwrap_or(above) == Status::Stopped {
            let status = (above == Status::Stopped).then_some(Status::Running);
            level.set_status(status, None, &actor);
            spi::query(
                "DELETE FROM wf.strategies AS s
                 WHERE s.subject_id = $1 AND s.status = 'stopped' AND ($2 IS NULL OR s.key = $2)
                   AND ($3 IS NULL OR s.account = $3)",
                &[
                    arg(level.subject.id),
                    optional(level.key.as_deref()),
                    optional(level.account.as_deref()),
                ],
            );
        }
        level.settle();
    });
}

/// The number of a workflow that is a default strategy for the subject.
fn strategy_workflow(name: &str, subject: &Subject) -> i32 {
    let row = workflow(name);
    let refuse = |message: String, hint: String| -> ! {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            message,
            None,
            Some(hint),
        )
    };
    let Some(published) = row.published else {
        refuse(
            format!("workflow \"{name}\" has no published version"),
            format!("Publish it: SELECT wf.publish('{name}')."),
        );
    };
    let version = version(published);
    if version.program.document.runs != Runs::Strategy {
        refuse(
            format!("workflow \"{name}\" is no default strategy"),
            "Say \"runs\": \"strategy\" in its document.".to_owned(),
        );
    }
    if version.subject.id != subject.id {
        refuse(
            format!(
                "workflow \"{name}\" is about subject \"{}\", not \"{}\"",
                version.subject.name, subject.name
            ),
            "Name a workflow about this subject.".to_owned(),
        );
    }
    row.id
}

fn change(
    verb: Verb,
    subject: Option<&str>,
    key: Option<String>,
    account: Option<String>,
    reason: Option<&str>,
) {
    let actor = actor();
    as_engine(|| {
        let level = Level::of(subject, account, key);
        if !level.subject.strategies {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("subject \"{}\" has no default strategy", level.subject.name),
                None,
                Some("Set one with wf.set_strategy.".to_owned()),
            );
        }
        let (own, above) = level.statuses();
        let status = own.unwrap_or(above);
        if status == Status::Stopped {
            if verb == Verb::Stop {
                return;
            }
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "the default strategy of {} has been stopped for good",
                    level.what()
                ),
                None,
                Some("wf.set_strategy lets one begin anew.".to_owned()),
            );
        }
        if status == verb.leads_to() {
            // The same call again is no error.
            return;
        }
        let new = match verb {
            Verb::Resume if above == Status::Running => None,
            _ => Some(verb.leads_to()),
        };
        level.set_status(new, reason.filter(|_| new.is_some()), &actor);
        level.settle();
    });
}

/// Pauses default strategies.
#[pg_extern(sql = false)]
fn pause_strategy(
    subject: Option<&str>,
    key: Option<String>,
    account: Option<String>,
    reason: Option<&str>,
) {
    change(Verb::Pause, subject, key, account, reason);
}

/// Lets paused default strategies go on.
#[pg_extern(sql = false)]
fn resume_strategy(
    subject: Option<&str>,
    key: Option<String>,
    account: Option<String>,
    reason: Option<&str>,
) {
    change(Verb::Resume, subject, key, account, reason);
}

/// Ends default strategies for good.
#[pg_extern(sql = false)]
fn stop_strategy(
    subject: Option<&str>,
    key: Option<String>,
    account: Option<String>,
    reason: Option<&str>,
) {
    change(Verb::Stop, subject, key, account, reason);
}

/// What steps say about the strategies of their cases' rows. One that was stopped for good stays so.
pub fn by_steps(cases: &[Loaded], rows: &[StrategyRow], actor: &str) {
    let mut all: Vec<(i32, &str, Verb, String)> = Vec::new();
    for row in rows {
        let loaded = cases.iter().find(|loaded| loaded.case.id == row.case_id);
        let Some(subject) = loaded.map(|l| &l.version.subject).filter(|s| s.strategies) else {
            continue;
        };
        let why = format!("step \"{}\" of case {}", row.step, row.case_id);
        // Of several steps in one batch the last one counts.
        all.retain(|(of, key, ..)| *of != subject.id || !row.keys.iter().any(|k| k == key));
        let keys = row.keys.iter();
        all.extend(keys.map(|key| (subject.id, key.as_str(), row.verb, why.clone())));
    }
    if all.is_empty() {
        return;
    }
    spi::query(
        "INSERT INTO wf.strategy_settings AS s (subject_id, key, status, reason, set_at, set_by)
         SELECT n.subject_id, n.key,
                CASE WHEN n.status <> 'running' OR (
                    SELECT a.status FROM wf.strategy_settings AS a
                    WHERE a.subject_id = n.subject_id AND a.key IS NULL AND a.status IS NOT NULL
                      AND (a.account IS NULL OR a.account = (
                          SELECT t.account FROM wf.strategies AS t WHERE t.key = n.key AND t.subject_id = n.subject_id))
                    ORDER BY a.account IS NULL LIMIT 1) <> 'running' THEN n.status END,
                CASE WHEN n.status <> 'running' THEN n.reason END, wf.now(), $5
         FROM (SELECT unnest($1::int[]) AS subject_id, unnest($2::text[]) AS key, unnest($3::text[]) AS status,
                      unnest($4::text[]) AS reason) AS n
         ON CONFLICT (key, account, subject_id) DO UPDATE
         SET status = excluded.status, reason = excluded.reason, set_at = excluded.set_at, set_by = excluded.set_by
         WHERE s.status IS DISTINCT FROM 'stopped'",
        &[
            array(all.iter().map(|(subject, ..)| *subject)),
            array(all.iter().map(|(_, key, ..)| *key)),
            array(all.iter().map(|(_, _, verb, _)| verb.leads_to().label())),
            array_of(all.iter().map(|(.., why)| Some(why.as_str()))),
            arg(actor),
        ],
    );
    for (subject, key, ..) in &all {
        strategy::look_again(*subject, &[*key]);
    }
}
