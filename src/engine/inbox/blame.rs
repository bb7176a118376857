//! Rows of the inbox that cannot be looked at: whose mistake it is, and what still gets done of them.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;

use super::follow::{Enrol, process, resolve};
use super::unread::{self, Entry};
use crate::engine::as_engine;
use crate::pg::spi;
use crate::pg::subtransaction::{Failure, attempt};
use crate::pg::types::{arg, optional};
use crate::subjects::subject;

/// An inbox row that cannot be worked on. If only a start rule is to blame, the open cases still get what they need, and the
/// other workflows still take the row;
/// otherwise the row stays unread, so that nothing leaves for a row of the ERP whose state cannot be told. A watched row
/// that gives no key could be about any: then nothing of the subject leaves. What is nobody's mistake stays as it is, to be
/// read again; and what takes long is not tried with each workflow.
pub fn blame_entry(entry: &Entry, failure: &Failure) {
    if failure.will_pass() {
        return;
    }
    let enrol = if failure.takes_long() {
        Enrol::No
    } else {
        Enrol::Apart(RefCell::default())
    };
    let worked = attempt(AssertUnwindSafe(|| {
        as_engine(|| drop(process(std::slice::from_ref(entry), &enrol)));
    }));
    if let Err(held) = &worked
        && held.will_pass()
    {
        // The row stays unread until then.
        held.clone().raise();
    }
    let resolved = attempt(AssertUnwindSafe(|| {
        as_engine(|| resolve(std::slice::from_ref(entry)))
    }));
    let resolved = resolved.ok().into_iter().flatten().flatten().next();
    let key = entry.keys.first().or(resolved.as_ref()).map(String::as_str);
    as_engine(|| {
        if worked.is_err() {
            unread::park(entry, key);
            note(entry.subject, key, None, failure);
            return;
        }
        match enrol {
            Enrol::Apart(failed) => {
                for (workflow, failure) in failed.into_inner() {
                    note(entry.subject, key, workflow, &failure);
                }
            }
            Enrol::Together | Enrol::No => note(entry.subject, key, None, failure),
        }
    });
}

/// A row that is not to be looked at any more, for what it does.
pub fn park(entry: &Entry, key: Option<&str>, failure: &Failure) {
    unread::park(entry, key);
    note(entry.subject, key, None, failure);
}

/// Notes that a row could not be looked at, or not for one workflow.
fn note(subject: i32, key: Option<&str>, workflow: Option<i32>, failure: &Failure) {
    let place = key.map_or(String::new(), |key| format!(", key {key}"));
    let name = subject::find(subject).map_or(String::new(), |s| s.name.clone());
    spi::query(
        "INSERT INTO wf.failures (at, subject_id, key, workflow_id, sqlstate, message, detail, hint)
         SELECT wf.now(), $1, $6, $7, $2,
                $3 || coalesce((SELECT ', workflow \"' || w.name || '\"' FROM wf.workflows AS w WHERE w.workflow_id = $7), '') || $8,
                $4, $5",
        &[
            arg(subject),
            arg(failure.sqlstate.as_str()),
            arg(format!("subject \"{name}\"{place}")),
            optional(failure.detail.as_deref()),
            arg(failure.hint.clone().unwrap_or_else(|| {
                "Mend the workflow's conditions or the row, then call wf.reconcile.".to_owned()
            })),
            optional(key),
            optional(workflow),
            arg(format!(": {}", failure.message)),
        ],
    );
}
