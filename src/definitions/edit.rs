//! Editing functions: each changes a workflow's draft by one thing and saves it the way wf.define does. A published
//! workflow gets a draft by its first edit.
//!
//! What an edit makes of a document is in `workflow_core::edit`; here are the rows, the locks and the rights.

use std::panic::AssertUnwindSafe;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use workflow_core::edit::{self, Edit, Fields, Place, apply};

use super::{
    document_of, exists_already, latest_of, must_own, owned, refuse_existing, save_document, store,
};
use crate::api::{actor, given, now};
use crate::audit;
use crate::engine::{as_engine, starting, versions};
use crate::pg::acting::current_role;
use crate::pg::json::JsonbText;
use crate::pg::raise::{OrRaise, raise_as};
use crate::pg::rows::Rows;
use crate::pg::spi;
use crate::pg::subtransaction::attempt;
use crate::pg::types::arg;
use crate::subjects::subject;

/// What every editing function returns: the draft, how many findings it has, and what leads elsewhere than before.
type Edited = Rows<(
    name!(workflow, String),
    name!(version, i32),
    name!(findings, i32),
    name!(changes, Vec<String>),
)>;

/// Makes a draft of a new workflow: one phase with one step.
#[pg_extern(sql = false)]
fn create_workflow(
    workflow: Option<&str>,
    subject: Option<&str>,
    fields: Option<JsonbText>,
) -> Edited {
    let (name, subject) = (given("workflow", workflow), given("subject", subject));
    let fields = read(fields);
    let (caller, actor) = (current_role(), actor());
    as_engine(|| {
        let text = edit::create(name, subject, fields).or_raise();
        refuse_existing(name);
        saved(&text, Vec::new(), caller, &actor)
    })
}

/// Changes fields of the workflow itself.
#[pg_extern(sql = false)]
fn set_workflow(workflow: Option<&str>, fields: Option<JsonbText>) -> Edited {
    let fields = read(Some(given("fields", fields)));
    change(workflow, Edit::SetWorkflow { fields })
}

/// Gives a workflow another name, at once and for all its versions.
#[pg_extern(sql = false)]
fn rename_workflow(workflow: Option<&str>, new_name: Option<&str>) -> String {
    let (name, new_name) = (given("workflow", workflow), given("new_name", new_name));
    let caller = current_role();
    let actor = actor();
    as_engine(|| {
        let row = owned(name, caller);
        if name == new_name {
            return new_name.to_owned();
        }
        let text = edit::rename(&document_of(&latest_of(&row)), new_name).or_raise();
        refuse_existing(new_name);
        give_name(row.id, new_name);
        if let Some(draft) = row.draft {
            store::rewrite_draft(draft, &text);
        }
        // Compiled versions carry the name for texts and messages. Other processes notice by their subjects' rows.
        versions::forget();
        touch_subjects(row.id);
        let detail = serde_json::json!({ "to": new_name }).to_string();
        audit::note(&actor, "workflow renamed", Some(name), None, &detail);
        new_name.to_owned()
    })
}

/// Writes a workflow's new name. Raises 42710 if somebody else has just given it to another one.
fn give_name(workflow: i32, name: &str) {
    let given = attempt(AssertUnwindSafe(|| {
        spi::query(
            "UPDATE wf.workflows AS w SET name = $2 WHERE w.workflow_id = $1",
            &[arg(workflow), arg(name)],
        );
    }));
    match given {
        Ok(()) => {}
        Err(failure) if failure.sqlstate == UNIQUE_VIOLATION => exists_already(name),
        Err(failure) => failure.raise(),
    }
}

const UNIQUE_VIOLATION: &str = "23505";

/// Writes the rows of the subjects that a workflow's versions are about, as they are: whoever has such a version compiled
/// looks at its subject's row in each transaction, and then makes it anew.
fn touch_subjects(workflow: i32) {
    let rows = spi::query(
        "UPDATE wf.subjects AS s SET name = s.name
         FROM (SELECT b.subject_id FROM wf.subjects AS b
               WHERE b.subject_id IN (SELECT v.subject_id FROM wf.versions AS v WHERE v.workflow_id = $1)
               ORDER BY b.subject_id FOR UPDATE) AS n
         WHERE s.subject_id = n.subject_id RETURNING s.subject_id",
        &[arg(workflow)],
    );
    for row in rows.iter() {
        subject::forget(row.must(1));
    }
}

/// Deletes a workflow without open cases. What its cases have done stays.
#[pg_extern(sql = false)]
fn drop_workflow(workflow: Option<&str>) {
    let name = given("workflow", workflow);
    let caller = current_role();
    let actor = actor();
    as_engine(|| {
        // Whose it is first, so that nobody keeps another's workflow from starting; and before the row is locked, for a
        // transaction that starts cases may go on to change the workflow.
        let row = versions::workflow(name);
        must_own(&row, caller);
        starting::keep_from_starting(row.id);
        let row = owned(name, caller);
        let open = open_cases(row.id);
        if open > 0 {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("workflow \"{name}\" cannot be dropped: it has {open} open case(s)"),
                Some("wf.case_progress lists them.".to_owned()),
                Some("Let them end, or cancel them with wf.cancel; wf.disable keeps new ones from starting.".to_owned()),
            );
        }
        if let Some(draft) = row.draft {
            store::drop_draft(draft);
        }
        if never_published(row.id) {
            spi::query(
                "DELETE FROM wf.workflows AS w WHERE w.workflow_id = $1",
                &[arg(row.id)],
            );
        } else {
            // History and reports still name the workflow of the cases that have ended.
            spi::query(
                "UPDATE wf.workflows AS w SET enabled = false, dropped_at = $2 WHERE w.workflow_id = $1",
                &[arg(row.id), arg(now())],
            );
        }
        audit::note(&actor, "workflow dropped", Some(name), None, "{}");
    });
}

/// Adds an empty phase.
#[pg_extern(sql = false)]
fn add_phase(
    workflow: Option<&str>,
    phase: Option<&str>,
    after: Option<&str>,
    before: Option<&str>,
) -> Edited {
    let phase = given("phase", phase);
    let place = Place { after, before };
    change(workflow, Edit::AddPhase { phase, place })
}

/// Gives a phase another name.
#[pg_extern(sql = false)]
fn rename_phase(workflow: Option<&str>, phase: Option<&str>, new_name: Option<&str>) -> Edited {
    let (phase, new_name) = (given("phase", phase), given("new_name", new_name));
    change(workflow, Edit::RenamePhase { phase, new_name })
}

/// Removes a phase with its steps.
#[pg_extern(sql = false)]
fn remove_phase(workflow: Option<&str>, phase: Option<&str>, instead: Option<&str>) -> Edited {
    let phase = given("phase", phase);
    change(workflow, Edit::RemovePhase { phase, instead })
}

/// Adds a step; a button brings its event.
#[pg_extern(sql = false)]
fn add_step(
    workflow: Option<&str>,
    step: Option<&str>,
    kind: Option<&str>,
    fields: Option<JsonbText>,
    phase: Option<&str>,
    after: Option<&str>,
    before: Option<&str>,
) -> Edited {
    let (step, kind) = (given("step", step), given("kind", kind));
    let edit = Edit::AddStep {
        step,
        kind,
        fields: read(fields),
        phase,
        place: Place { after, before },
    };
    change(workflow, edit)
}

/// Changes fields of a step.
#[pg_extern(sql = false)]
fn set_step(workflow: Option<&str>, step: Option<&str>, fields: Option<JsonbText>) -> Edited {
    let step = given("step", step);
    let fields = read(Some(given("fields", fields)));
    change(workflow, Edit::SetStep { step, fields })
}

/// Puts a step elsewhere.
#[pg_extern(sql = false)]
fn move_step(
    workflow: Option<&str>,
    step: Option<&str>,
    phase: Option<&str>,
    after: Option<&str>,
    before: Option<&str>,
) -> Edited {
    let step = given("step", step);
    let place = Place { after, before };
    change(workflow, Edit::MoveStep { step, phase, place })
}

/// Removes a step.
#[pg_extern(sql = false)]
fn remove_step(workflow: Option<&str>, step: Option<&str>, instead: Option<&str>) -> Edited {
    let step = given("step", step);
    change(workflow, Edit::RemoveStep { step, instead })
}

/// Lets a step lead to another one.
#[pg_extern(sql = false)]
fn add_transition(
    workflow: Option<&str>,
    from_step: Option<&str>,
    to_step: Option<&str>,
    outcome: Option<&str>,
    condition: Option<&str>,
) -> Edited {
    let (from, to) = (given("from_step", from_step), given("to_step", to_step));
    let edit = Edit::AddTransition {
        from,
        to,
        outcome,
        condition,
    };
    change(workflow, edit)
}

/// Takes an outcome away, or the step's `next`.
#[pg_extern(sql = false)]
fn remove_transition(
    workflow: Option<&str>,
    from_step: Option<&str>,
    outcome: Option<&str>,
) -> Edited {
    let from = given("from_step", from_step);
    change(workflow, Edit::RemoveTransition { from, outcome })
}

/// Throws the draft away; a workflow that was never published goes with it. Gives back the number of the version that
/// is published.
#[pg_extern(sql = false)]
fn discard(workflow: Option<&str>) -> Option<i32> {
    let name = given("workflow", workflow);
    let caller = current_role();
    as_engine(|| {
        let row = owned(name, caller);
        let Some(draft) = row.draft else {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("workflow \"{name}\" has no draft to discard"),
                Some("What is published stays as it is.".to_owned()),
                Some("To delete the workflow, use wf.drop_workflow.".to_owned()),
            );
        };
        store::drop_draft(draft);
        if never_published(row.id) {
            spi::query(
                "DELETE FROM wf.workflows AS w WHERE w.workflow_id = $1",
                &[arg(row.id)],
            );
        }
        row.published.map(store::number)
    })
}

/// Applies an edit to a workflow's draft, or to what is published if it has none, and saves the result as its draft.
fn change(workflow: Option<&str>, edit: Edit<'_>) -> Edited {
    let name = given("workflow", workflow);
    let (caller, actor) = (current_role(), actor());
    as_engine(|| {
        let row = owned(name, caller);
        let edited = apply(&document_of(&latest_of(&row)), edit).or_raise();
        saved(&edited.text, edited.changes, caller, &actor)
    })
}

/// Saves a document as wf.define does.
fn saved(text: &str, changes: Vec<String>, caller: Oid, actor: &str) -> Edited {
    let (name, version, findings) = save_document(text, caller, actor);
    Rows::once((name, version, findings, changes))
}

fn read(fields: Option<JsonbText>) -> Fields {
    fields.map_or_else(Fields::default, |text| edit::fields(&text.0).or_raise())
}

fn open_cases(workflow: i32) -> i64 {
    let rows = spi::query(
        "SELECT count(*) FROM wf.cases AS c WHERE c.workflow_id = $1 AND c.ended_at IS NULL",
        &[arg(workflow)],
    );
    rows.first().map_or(0, |row| row.must(1))
}

fn never_published(workflow: i32) -> bool {
    let rows = spi::query(
        "SELECT 1 FROM wf.versions AS v WHERE v.workflow_id = $1 AND v.state <> 'draft' LIMIT 1",
        &[arg(workflow)],
    );
    rows.is_empty()
}
