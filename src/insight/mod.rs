//! Seeing what a workflow is, where a case stands, and what will happen.
//!
//! * `diagram`: pictures  * `explain`: why a case is where it is  * `simulate`: what will happen
//!
//! Nothing here leaves anything behind. The rules that draw and compute dates are in `workflow_core`.

mod diagram;
mod explain;
mod simulate;

use workflow_core::document::Document;
use workflow_core::program::Program;

use crate::pg::raise::{OrRaise, internal};
use crate::pg::spi;
use crate::pg::types::arg;
use crate::subjects::subject;

/// A version's program, for looking at: the subject need not be in order, or bound at all.
fn program_of(version: i32) -> Program {
    let rows = spi::query(
        "SELECT v.document::text FROM wf.versions AS v WHERE v.version_id = $1",
        &[arg(version)],
    );
    let Some(row) = rows.first() else {
        internal(&format!("version {version} is gone while a case is on it"));
    };
    let document = Document::parse(&row.must::<String>(1)).or_raise();
    let subject = subject::id_of(&document.head.subject).and_then(subject::find);
    let roles = subject.map_or_else(Default::default, |s| s.roles.clone());
    Program::compile(document, roles)
}
