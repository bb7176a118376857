//! Versions, compiled, with the texts that their cases use now. A published version never changes, so each process keeps
//! them by id; a compiled version is built anew only when its subject's row has changed: by a binding, or because a later
//! version with other texts was published, which writes that row, too.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::Oid;
use workflow_core::document::Document;
use workflow_core::game::Facts;
use workflow_core::program::Program;
use workflow_core::template::Limits;
use workflow_core::{Error, ErrorCode};

use super::reads::ReadPlans;
use crate::pg::limit::limited;
use crate::pg::raise::{OrRaise, internal, raise};
use crate::pg::spi;
use crate::pg::types::arg;
use crate::settings;
use crate::subjects::subject::{self, Subject};

/// A version, ready to run.
pub struct Version {
    pub id: i32,
    pub workflow_id: i32,
    /// The role whose rights conditions, templates' rows and updates have.
    pub owner: Oid,
    pub program: Rc<Program>,
    pub subject: Rc<Subject>,
    pub reads: ReadPlans,
    /// Whether tokens of the last batch ran on from step to step, as they do when dates have passed: then the next
    /// batch asks about all those steps at once.
    pub ran_on: Cell<bool>,
    /// The same of tokens whose message had been sent.
    pub ran_on_when_sent: Cell<bool>,
}

impl Version {
    /// Whether a row may have a case at all, from the answers to `ReadPlans::of_start`.
    pub fn is_eligible(&self, facts: &Facts<'_>) -> bool {
        self.subject.eligible.is_none() || facts.conditions.last() == Some(&true)
    }
}

thread_local! {
    static VERSIONS: RefCell<HashMap<i32, Rc<Version>>> = RefCell::default();
}

/// Forgets all compiled versions.
pub fn forget() {
    VERSIONS.with_borrow_mut(HashMap::clear);
}

/// The version of this id. Raises 42704 or 55000 if its subject is not bound (any more).
pub fn version(id: i32) -> Rc<Version> {
    if let Some(known) = VERSIONS.with_borrow(|versions| versions.get(&id).cloned())
        && let Some(subject) = subject::find(known.subject.id)
        && Rc::ptr_eq(&subject, &known.subject)
    {
        known.subject.require_usable();
        return known;
    }
    // Limited: the details of its subject are looked at.
    let version = Rc::new(limited(id, None, || load(id)));
    VERSIONS.with_borrow_mut(|versions| versions.insert(id, version.clone()));
    version
}

fn load(id: i32) -> Version {
    let rows = spi::query(
        "SELECT coalesce(n.document, v.document)::text, v.workflow_id, w.owner::oid, w.name
         FROM wf.versions AS v JOIN wf.workflows AS w ON w.workflow_id = v.workflow_id
         LEFT JOIN wf.versions AS n ON n.version_id = v.content_id
         WHERE v.version_id = $1",
        &[arg(id)],
    );
    let Some(row) = rows.first() else {
        internal(&format!("version {id} is gone while a case runs on it"));
    };
    let mut document = Document::parse(&row.must::<String>(1)).or_raise();
    // The workflow may have been renamed since.
    document.head.name = row.must(4);
    let subject = subject::by_name(&document.head.subject);
    subject.require_usable();
    let mut program = Program::compile(document, subject.roles.clone());
    program.templates.set_limits(Limits {
        fuel: settings::template_fuel(),
        ..Limits::default()
    });
    Version {
        id,
        workflow_id: row.must(2),
        owner: row.must(3),
        program: Rc::new(program),
        subject,
        reads: ReadPlans::new(id),
        ran_on: Cell::new(false),
        ran_on_when_sent: Cell::new(false),
    }
}

/// What is known of a workflow by its name.
pub struct WorkflowRow {
    pub id: i32,
    pub name: String,
    pub owner: Oid,
    pub enabled: bool,
    pub published: Option<i32>,
    pub draft: Option<i32>,
}

/// The workflow of this name, if there is one.
pub fn find_workflow(name: &str) -> Option<WorkflowRow> {
    let rows = spi::query(
        "SELECT w.workflow_id, w.name, w.owner::oid, w.enabled,
                (SELECT v.version_id FROM wf.versions AS v
                 WHERE v.workflow_id = w.workflow_id AND v.state = 'published'),
                (SELECT v.version_id FROM wf.versions AS v
                 WHERE v.workflow_id = w.workflow_id AND v.state = 'draft')
         FROM wf.workflows AS w WHERE w.name = $1 AND w.dropped_at IS NULL",
        &[arg(name)],
    );
    rows.first().map(|row| WorkflowRow {
        id: row.must(1),
        name: row.must(2),
        owner: row.must(3),
        enabled: row.must(4),
        published: row.get(5),
        draft: row.get(6),
    })
}

/// The workflow of this name. Raises 42704 with the names there are.
pub fn workflow(name: &str) -> WorkflowRow {
    find_workflow(name).unwrap_or_else(|| {
        let rows = spi::query(
            "SELECT w.name FROM wf.workflows AS w WHERE w.dropped_at IS NULL ORDER BY w.name LIMIT 20",
            &[],
        );
        let names: Vec<String> = rows
            .iter()
            .map(|row| format!("\"{}\"", row.must::<String>(1)))
            .collect();
        let error = Error::new(
            ErrorCode::Unknown,
            format!("workflow \"{name}\" does not exist"),
        );
        raise(if names.is_empty() {
            error.hint("Create it with wf.define or wf.import.")
        } else {
            error.hint(format!("Workflows are {}.", names.join(", ")))
        })
    })
}
