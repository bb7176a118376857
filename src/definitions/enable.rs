//! On and off. Both touch new starts only; cases that run go on running.

use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

use super::owned;
use crate::api::{actor, given};
use crate::audit;
use crate::engine::as_engine;
use crate::engine::enrol::enrol;
use crate::engine::versions::{Version, WorkflowRow, version};
use crate::pg::acting::{as_user, current_role};
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::subtransaction::attempt;
use crate::pg::types::{arg, array};
use crate::settings;
use crate::subjects::keys;
use crate::worker::wake;

/// Turns a workflow on. With `backfill` the rows that match its start rule already get their cases now; gives back how
/// many.
#[pg_extern(sql = false)]
fn enable(workflow: Option<&str>, backfill: bool) -> i64 {
    let name = given("workflow", workflow);
    let caller = current_role();
    let actor = actor();
    as_engine(|| {
        let row = owned(name, caller);
        let Some(published) = row.published else {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("workflow \"{name}\" has no published version"),
                None,
                Some(format!("Publish it first: SELECT wf.publish('{name}').")),
            );
        };
        set_enabled(&row, true, &actor);
        if !backfill {
            return 0;
        }
        let version = version(published);
        let keys = matching_keys(&version);
        let size = usize::try_from(settings::batch_size())
            .unwrap_or(1000)
            .max(1);
        let mut started = 0;
        for chunk in keys.chunks(size) {
            let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
            let result = attempt(std::panic::AssertUnwindSafe(|| {
                spi::connected(|| enrol_now(&version, &chunk, &actor))
            }));
            match result {
                Ok(count) => started += count,
                Err(failure) if failure.is_interrupt() => failure.raise(),
                // Some row is at fault. The worker finds out which and shows it as an incident; the others start.
                Err(_) => leave_to_worker(&version, &chunk),
            }
        }
        started
    })
}

/// Turns a workflow off.
#[pg_extern(sql = false)]
fn disable(workflow: Option<&str>) {
    let name = given("workflow", workflow);
    let caller = current_role();
    let actor = actor();
    as_engine(|| set_enabled(&owned(name, caller), false, &actor));
}

/// `workflow` is locked.
fn set_enabled(workflow: &WorkflowRow, enabled: bool, actor: &str) {
    if workflow.enabled == enabled {
        return;
    }
    spi::query(
        "UPDATE wf.workflows AS w SET enabled = $2 WHERE w.workflow_id = $1",
        &[arg(workflow.id), arg(enabled)],
    );
    let act = match enabled {
        true => "workflow enabled",
        false => "workflow disabled",
    };
    audit::note(actor, act, Some(&workflow.name), None, "{}");
}

/// The keys of all rows that the start rule takes, read as the workflow's owner.
fn matching_keys(version: &Version) -> Vec<String> {
    if version.program.document.start.is_none() {
        return Vec::new();
    }
    let subject = &version.subject;
    let rule = version
        .program
        .document
        .start
        .iter()
        .map(|start| &start.when);
    let conditions: Vec<String> = rule
        .chain(&subject.eligible)
        .map(|condition| format!("(\n{condition}\n) IS TRUE"))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} AS d WHERE {} AND {}",
        subject.key_expression("d"),
        subject.details,
        subject.has_key("d"),
        conditions.join(" AND ")
    );
    as_user(version.owner, || {
        let _styles = keys::PinnedStyles::new();
        let rows = spi::Plan::prepare(&sql, &[]).execute(&[]);
        rows.iter().map(|row| row.must(1)).collect()
    })
}

/// Starts cases for these rows; those that would join a case that somebody is at are left to the worker.
fn enrol_now(version: &Rc<Version>, keys: &[&str], actor: &str) -> i64 {
    let mut busy = Vec::new();
    let started = enrol(version, keys, actor, &mut busy);
    if !busy.is_empty() {
        let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
        leave_to_worker(version, &busy);
    }
    started
}

fn leave_to_worker(version: &Version, keys: &[&str]) {
    spi::query(
        "INSERT INTO wf.inbox (subject_id, key, op) SELECT $1, k.key, 'r' FROM unnest($2::text[]) AS k(key)",
        &[arg(version.subject.id), array(keys.iter().copied())],
    );
    wake::on_commit();
}
