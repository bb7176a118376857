//! A simulation that is going on in this process: what it is about, and what has happened in it. The engine runs as it
//! always does; the few places that must do otherwise ask here. Who runs one, and rolls it back, is `insight::simulate`.
//!
//! What differs: the ERP's rows are not written (an ERP transaction must not wait for a preview), only cases of some
//! workflows move, and what is written is noted. Nothing of this costs more than one test of a variable otherwise.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use workflow_core::game::{Effects, MessageState};
use workflow_core::program::StepNo;

use super::batch::Loaded;
use crate::pg::spi;
use crate::pg::types::{array, array_of};

/// Something that would happen.
#[derive(Clone, Debug)]
pub struct Happening {
    pub at: DateTime<Utc>,
    pub workflow: String,
    pub case_id: i64,
    pub key: String,
    pub step: Option<String>,
    pub event: String,
    pub outcome: Option<String>,
    pub channel: Option<String>,
    /// Who gets the message, or the participant of a task.
    pub recipient: Option<String>,
    pub detail: Option<String>,
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static SCOPE: RefCell<String> = const { RefCell::new(String::new()) };
    static SEEN: RefCell<Vec<Happening>> = const { RefCell::new(Vec::new()) };
}

/// Ends the simulation when it is dropped, however that comes.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        ON.set(false);
        SCOPE.with_borrow_mut(String::clear);
        SEEN.with_borrow_mut(Vec::clear);
    }
}

/// Runs `body` as a simulation of some workflows, or of all.
pub fn run<T>(workflows: Option<&[i32]>, body: impl FnOnce() -> T) -> T {
    let _ending = Ending;
    let scope = workflows.map_or(String::new(), |ids| {
        let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
        format!(
            " AND c.workflow_id = ANY ('{{{}}}'::pg_catalog.int4[])",
            ids.join(",")
        )
    });
    SCOPE.replace(scope);
    ON.set(true);
    body()
}

/// Whether one is going on.
pub fn is_on() -> bool {
    ON.get()
}

/// A condition on the workflow of `wf.cases AS c`, beginning with AND; empty if any will do.
pub fn scope() -> String {
    SCOPE.with_borrow(String::clone)
}

/// How much has happened so far.
pub fn seen() -> usize {
    SEEN.with_borrow(Vec::len)
}

/// Forgets what has happened since there was so much: it was rolled back.
pub fn undo(to: usize) {
    SEEN.with_borrow_mut(|seen| seen.truncate(to));
}

/// Notes something.
pub fn add(happening: Happening) {
    SEEN.with_borrow_mut(|seen| seen.push(happening));
}

/// Everything that has happened.
pub fn take() -> Vec<Happening> {
    SEEN.take()
}

/// Notes what a batch is about to write.
pub fn note(cases: &[Loaded], effects: &Effects, now: DateTime<Utc>) {
    if !is_on() {
        return;
    }
    let by_id: HashMap<i64, &Loaded> = cases.iter().map(|c| (c.case.id, c)).collect();
    let happening = |case: i64, step: Option<StepNo>, event: &str| {
        let case = &by_id.get(&case)?.case;
        Some(Happening {
            at: now,
            workflow: case.program.document.name.clone(),
            case_id: case.id,
            key: case.key.clone(),
            step: step.map(|no| case.program.step_name(no).to_owned()),
            event: event.to_owned(),
            outcome: None,
            channel: None,
            recipient: None,
            detail: None,
        })
    };
    for row in &effects.history {
        if let Some(new) = happening(row.case_id, row.step, row.event.label()) {
            add(Happening {
                outcome: row.outcome.clone(),
                detail: row.detail.clone(),
                ..new
            });
        }
    }
    for row in &effects.tasks {
        if let Some(new) = happening(row.case_id, Some(row.step), "task_opened") {
            add(Happening {
                recipient: row.participant.clone(),
                detail: Some(row.title.clone()),
                ..new
            });
        }
    }
    for row in &effects.messages {
        if row.state == MessageState::Deferred
            && let Some(new) = happening(row.case_id, Some(row.step), "message_deferred")
        {
            let opens = row.not_before.format("%Y-%m-%d %H:%M UTC");
            add(Happening {
                channel: Some(row.channel.to_owned()),
                detail: Some(format!("the contact window opens {opens}")),
                ..new
            });
        }
    }
    withheld(effects, &|case, step| {
        happening(case, Some(step), "message_withheld")
    });
}

/// The messages that the batch is about to withhold.
fn withheld(effects: &Effects, happening: &dyn Fn(i64, StepNo) -> Option<Happening>) {
    let all = &effects.suppressions;
    if all.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT o.case_id, o.step_no, o.type::text, o.payload ->> 'to', n.reason
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no,
                      unnest($3::int2[]) AS visit, unnest($4::text[]) AS reason) AS n
         JOIN wf.outbox AS o ON o.case_id = n.case_id
              AND (n.step_no IS NULL OR (o.step_no = n.step_no AND o.visit = n.visit))
         WHERE o.state IN ('deferred', 'queued') ORDER BY o.message_id",
        &[
            array(all.iter().map(|s| s.case_id)),
            array_of(all.iter().map(|s| s.step.map(|(step, _)| step))),
            array_of(all.iter().map(|s| s.step.map(|(_, visit)| visit))),
            array(all.iter().map(|s| s.reason.as_str())),
        ],
    );
    for row in rows.iter() {
        if let Some(new) = happening(row.must(1), row.must(2)) {
            add(Happening {
                channel: row.get(3),
                recipient: row.get(4),
                detail: row.get(5),
                ..new
            });
        }
    }
}
