//! Writing columns of the subject's own row, for `update` steps: as the workflow's owner, and never waiting for a row
//! that the ERP has locked.

use std::collections::HashSet;

use workflow_core::program::StepNo;

use super::question::{self, GROUP, Question, WHOSE};
use super::versions::Version;
use crate::pg::raise::internal;
use crate::subjects::subject::Subject;

/// The statement of an update step over a group of keys. `wf_lock` takes the rows that are free; the update then
/// finds only those.
pub fn update_sql(subject: &Subject, writes: &[(&str, &str)]) -> String {
    let set: Vec<String> = writes
        .iter()
        .map(|(column, value)| format!("{} = (\n{value}\n)", pgrx::spi::quote_identifier(*column)))
        .collect();
    let relation = subject.table_sql();
    format!(
        "WITH wf_asked AS (
             SELECT * FROM {GROUP}),
         wf_lock AS MATERIALIZED (
             SELECT k.* FROM {relation} AS t JOIN wf_asked AS k ON {join} FOR UPDATE OF t SKIP LOCKED)
         UPDATE {relation} AS t SET {set} FROM wf_lock AS k WHERE {join}
         RETURNING {WHOSE}",
        join = subject.table_join_condition("t", "k.wf_key"),
        set = set.join(", "),
    )
}

/// Writes the rows of a group. Gives back the positions of those that could be written; the others are locked.
pub fn write(version: &Version, step: StepNo, questions: &[Question<'_>]) -> HashSet<usize> {
    let Some(step) = version.program.step(step) else {
        internal("an update step that its version does not have");
    };
    if super::simulation::is_on() {
        // Nobody at the ERP is to wait for a preview.
        return (0..questions.len()).collect();
    }
    let sql = update_sql(&version.subject, &step.kind.writes());
    let rows = question::run(version, step.no, &sql, questions);
    rows.iter().map(question::index).collect()
}
