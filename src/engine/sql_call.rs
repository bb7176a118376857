//! Calling the functions of `sql` steps: one statement for a group of cases, as the workflow's owner.

use workflow_core::program::StepNo;

use super::question::{self, GROUP, Question, WHOSE};
use super::versions::Version;
use crate::pg::limit::limited;
use crate::pg::raise::{internal, raise_as};
use crate::subjects::subject::Subject;

/// How many characters the result of a call may have: it is kept with the case.
const LONGEST: usize = 1_000_000;

/// The statement of an `sql` step over a group of keys. The expression stands in a subquery, so that it gives one value
/// for each; as text, so that a function without a result will do, or as JSON if the result is kept.
pub fn call_sql(subject: &Subject, call: &str, json: bool) -> String {
    let result = if json {
        format!("pg_catalog.to_jsonb((SELECT (\n{call}\n)))::pg_catalog.text")
    } else {
        format!("(SELECT (\n{call}\n))::pg_catalog.text")
    };
    format!(
        // No more of it than shows that it is too long: a batch of such results would not fit into memory.
        "SELECT {WHOSE}, pg_catalog.left({result}, {})
         FROM {GROUP}
         JOIN (SELECT s.* FROM {} AS s) AS d ON {}",
        LONGEST + 1,
        subject.details,
        subject.join_condition("d", "k.wf_key")
    )
}

/// Calls the function of a step for a group. Gives back each one's result, None for null; nothing is called while the
/// future is tried out.
pub fn call(version: &Version, step: StepNo, questions: &[Question<'_>]) -> Vec<Option<String>> {
    let mut results = vec![None; questions.len()];
    let call = version.program.step(step).and_then(|s| s.kind.call());
    let Some(call) = call else {
        internal("an sql step that its version does not have");
    };
    if super::simulation::is_on() {
        return results;
    }
    let sql = call_sql(&version.subject, call.sql, call.into.is_some());
    let rows = question::run(version, step, &sql, questions);
    for row in rows.iter() {
        if let Some(result) = results.get_mut(question::index(row)) {
            *result = row.get(2);
            if result
                .as_ref()
                .is_some_and(|text| text.len() > LONGEST && text.chars().count() > LONGEST)
            {
                limited(version.id, Some(step), || too_long());
            }
        }
    }
    results
}

fn too_long() -> ! {
    raise_as(
        pgrx::PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("the result of the call has more than {LONGEST} characters"),
        None,
        Some(
            "Let the function give back less, for example the key of a row that it writes; then call wf.retry."
                .to_owned(),
        ),
    )
}
