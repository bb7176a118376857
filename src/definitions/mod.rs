//! Workflows as documents: define, validate, publish, enable, export, import, clone.
//!
//! * `store`: the rows of a version  * `check`: what the catalogue says about a definition
//! * `edit`: drafts changed one thing at a time
//! * `expression`: that a condition is one expression and nothing else
//! * `migrate`: running cases and the versions of their workflow

mod check;
mod edit;
mod enable;
pub mod expression;
mod migrate;
mod store;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use serde_json::Value;
use workflow_core::document::Document;
use workflow_core::finding::{Finding, Severity};
use workflow_core::{Error, ErrorCode};

use crate::api::{actor, given};
use crate::audit;
use crate::engine::as_engine;
use crate::engine::versions::{WorkflowRow, find_workflow, workflow};
use crate::pg::acting::{acts_for, current_role, role_name};
use crate::pg::json::{JsonText, JsonbText};
use crate::pg::raise::{OrRaise, raise, raise_as};
use crate::pg::rows::Rows;
use crate::pg::spi;
use crate::pg::types::arg;

/// What defining, importing and saving return: the draft, and how many findings it has.
type Defined = Rows<(
    name!(workflow, String),
    name!(version, i32),
    name!(findings, i32),
)>;

/// What is wrong with a document, or may be.
type FindingRows = Rows<(
    name!(severity, String),
    name!(place, String),
    name!(message, String),
    name!(hint, String),
)>;

/// Saves a document as its workflow's draft.
#[pg_extern(sql = false)]
fn define(document: Option<String>) -> Defined {
    let text = given("document", document);
    let caller = current_role();
    let actor = actor();
    as_engine(|| save(&text, caller, &actor))
}

/// The same for a document that is jsonb already.
#[pg_extern(sql = false)]
fn define_jsonb(document: Option<JsonbText>) -> Defined {
    define(document.map(|d| d.0))
}

/// Saves a document as a new workflow, perhaps under another name; refuses one that exists.
#[pg_extern(sql = false)]
fn import(document: Option<String>, name: Option<String>) -> Defined {
    let text = given("document", document);
    let caller = current_role();
    let actor = actor();
    as_engine(|| {
        let text = match &name {
            Some(name) => renamed(&text, name),
            None => text,
        };
        let document = Document::parse(&text).or_raise();
        refuse_existing(&document.head.name);
        save(&text, caller, &actor)
    })
}

/// The document of a workflow: its draft if it has one, else what is published.
#[pg_extern(sql = false)]
fn export(workflow: Option<&str>) -> String {
    let name = given("workflow", workflow);
    as_engine(|| {
        let text = document_of(&latest(name));
        match serde_json::from_str::<Value>(&text).and_then(|v| serde_json::to_string_pretty(&v)) {
            Ok(pretty) => pretty,
            Err(_) => text,
        }
    })
}

/// Copies a workflow to a draft under a new name, off and without cases; gives back the name.
#[pg_extern(sql = false)]
fn clone_workflow(workflow: Option<&str>, new_name: Option<&str>) -> String {
    let (from, to) = (given("workflow", workflow), given("new_name", new_name));
    let caller = current_role();
    let actor = actor();
    as_engine(|| {
        refuse_existing(to);
        let text = renamed(&document_of(&latest(from)), to);
        save(&text, caller, &actor);
        to.to_owned()
    })
}

/// Everything that is wrong with a workflow, its draft if it has one.
#[pg_extern(sql = false)]
fn validate(workflow: Option<&str>) -> FindingRows {
    let name = given("workflow", workflow);
    as_engine(|| {
        let latest = latest(name);
        let document = Document::parse(&document_of(&latest)).or_raise();
        rows(check::findings(document, latest.owner))
    })
}

/// Everything that is wrong with a document, without saving it.
#[pg_extern(sql = false)]
fn validate_document(document: Option<String>) -> FindingRows {
    let text = given("document", document);
    let caller = current_role();
    as_engine(|| match Document::parse(&text) {
        Ok(document) => rows(check::findings(document, caller)),
        Err(error) => rows(vec![Finding {
            severity: Severity::Error,
            place: "workflow".to_owned(),
            message: error
                .detail
                .map_or(error.message.clone(), |d| format!("{}: {d}", error.message)),
            hint: error.hint.unwrap_or_default(),
        }]),
    })
}

/// Publishes a workflow's draft: new cases run on it from now on. Gives back the version's number.
#[pg_extern(sql = false)]
fn publish(workflow: Option<&str>) -> i32 {
    let name = given("workflow", workflow);
    let caller = current_role();
    let actor = actor();
    as_engine(|| {
        let row = owned(name, caller);
        let Some(draft) = row.draft else {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("workflow \"{name}\" has no draft to publish"),
                None,
                Some(
                    "Save one with wf.define, or change something with the editing functions; a published version never changes."
                        .to_owned(),
                ),
            );
        };
        let document = Document::parse(&store::document(draft)).or_raise();
        let subject = document.head.subject.clone();
        let findings = check::findings(document, row.owner);
        let errors: Vec<&Finding> = findings
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .collect();
        if let Some(first) = errors.first() {
            let all: Vec<String> = errors
                .iter()
                .map(|f| format!("{}: {}. {}", f.place, f.message, f.hint))
                .collect();
            raise(
                Error::new(
                    ErrorCode::Definition,
                    format!(
                        "workflow \"{name}\" cannot be published, {} error(s); {}: {}",
                        errors.len(),
                        first.place,
                        first.message
                    ),
                )
                .detail(all.join("\n"))
                .hint(first.hint.clone()),
            );
        }
        let texts = migrate::content::changed(&row, draft);
        let number = store::publish(&row, draft, &subject, &actor);
        if let (Some(before), Some(texts)) = (row.published, texts) {
            migrate::content::reach_cases(before, draft, &texts);
        }
        let detail = serde_json::json!({ "version": number }).to_string();
        audit::note(&actor, "workflow published", Some(name), None, &detail);
        number
    })
}

fn rows(findings: Vec<Finding>) -> FindingRows {
    Rows::new(
        findings
            .into_iter()
            .map(|f| (f.severity.to_string(), f.place, f.message, f.hint)),
    )
}

fn save(text: &str, caller: pgrx::pg_sys::Oid, actor: &str) -> Defined {
    Rows::once(save_document(text, caller, actor))
}

/// Saves a document as the draft of the workflow it names: the one way in. Gives back the workflow's name, the draft's
/// number, and how many findings it has.
fn save_document(text: &str, caller: pgrx::pg_sys::Oid, actor: &str) -> (String, i32, i32) {
    let document = Document::parse(text).or_raise();
    let row = find_workflow(&document.head.name).map(|row| owned(&row.name, caller));
    let (name, version) = store::save_draft(row, text, &document, caller, actor);
    let owner = workflow(&name).owner;
    let findings = check::findings(document, owner);
    let findings = i32::try_from(findings.len()).unwrap_or(i32::MAX);
    (name, version, findings)
}

/// Keeps other designers of a workflow waiting until this transaction ends: each of them then goes on from what the one
/// before has left. Those who read it, and the engine, do not wait.
fn lock(name: &str) {
    spi::query(
        "SELECT 1 FROM wf.workflows AS w WHERE w.name = $1 AND w.dropped_at IS NULL FOR NO KEY UPDATE",
        &[arg(name)],
    );
}

/// A workflow that the caller may change, locked against other designers.
pub(super) fn owned(name: &str, caller: pgrx::pg_sys::Oid) -> WorkflowRow {
    // First, so that nobody waits for a workflow that is not theirs, or keeps its owner waiting.
    must_own(&workflow(name), caller);
    lock(name);
    let row = workflow(name);
    must_own(&row, caller);
    row
}

fn must_own(row: &WorkflowRow, caller: pgrx::pg_sys::Oid) {
    if !acts_for(caller, row.owner) {
        raise_as(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for workflow \"{}\"", row.name),
            Some(format!(
                "It belongs to role {}; you are {}.",
                role_name(row.owner),
                role_name(caller)
            )),
            Some("Ask its owner, or clone it with wf.clone.".to_owned()),
        );
    }
}

fn latest(name: &str) -> Latest {
    latest_of(&workflow(name))
}

fn latest_of(row: &WorkflowRow) -> Latest {
    Latest {
        version: row.draft.or(row.published),
        owner: row.owner,
        name: row.name.clone(),
    }
}

struct Latest {
    version: Option<i32>,
    owner: pgrx::pg_sys::Oid,
    name: String,
}

fn document_of(latest: &Latest) -> String {
    match latest.version {
        Some(version) => under_name(store::document(version), &latest.name),
        None => raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "workflow \"{}\" has neither a draft nor a published version",
                latest.name
            ),
            None,
            None,
        ),
    }
}

fn refuse_existing(name: &str) {
    if find_workflow(name).is_some() {
        exists_already(name);
    }
}

fn exists_already(name: &str) -> ! {
    raise_as(
        PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        format!("workflow \"{name}\" exists already"),
        None,
        Some("Give another name, or change the workflow with wf.define.".to_owned()),
    )
}

/// A version's document under its workflow's present name: a published one keeps the name it was published with.
fn under_name(text: String, name: &str) -> String {
    match serde_json::from_str::<Value>(&text) {
        Ok(document) if document.get("name").is_some_and(|n| n != name) => renamed(&text, name),
        _ => text,
    }
}

/// The document with another name.
fn renamed(text: &str, name: &str) -> String {
    // Malformed text is reported by the reader that follows, with its position.
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut map)) => {
            map.insert("name".to_owned(), Value::String(name.to_owned()));
            serde_json::to_string_pretty(&Value::Object(map)).unwrap_or_else(|_| text.to_owned())
        }
        _ => text.to_owned(),
    }
}

/// The JSON Schema of a document.
#[pg_extern(sql = false)]
fn document_schema() -> JsonText {
    JsonText(workflow_core::schema::document_schema().to_string())
}
