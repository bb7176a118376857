//! What users' SQL is asked about a group of cases at once, and how such a statement runs: as the workflow's owner, for as
//! long as the limit lets it. What is asked, and what the rows say, is for `reads`, `sql_call` and `erp_update`.

use pgrx::pg_sys::Oid;
use workflow_core::program::StepNo;

use super::versions::Version;
use crate::pg::acting::as_user;
use crate::pg::limit::limited;
use crate::pg::spi::{Arg, Plan, RowRef, Rows};
use crate::pg::types::{ToArg, array, array_of};

/// One case's part of a statement: its subject's key and what conditions may look at besides the row.
pub struct Question<'a> {
    pub key: &'a str,
    /// JSON text.
    pub vars: Option<&'a str>,
    /// JSON text.
    pub answers: Option<String>,
}

/// The group in the FROM of a statement, whose parameters are of `TYPES`. Users' SQL may name `vars` and `answers`.
pub const GROUP: &str = "ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.jsonb[]),
                         pg_catalog.unnest($3::pg_catalog.jsonb[]))
              WITH ORDINALITY AS k(wf_key, vars, answers, wf_ord)";

/// The column of a result that `index` reads, the first one: whose row it is.
pub const WHOSE: &str = "k.wf_ord::pg_catalog.int4";

/// The types of the parameters, keys, vars and answers.
pub const TYPES: [Oid; 3] = [<&str>::ARRAY_OID, <&str>::ARRAY_OID, <&str>::ARRAY_OID];

/// The parameters for a group.
pub fn args(questions: &[Question<'_>]) -> [Arg; 3] {
    [
        array(questions.iter().map(|q| q.key)),
        array_of(questions.iter().map(|q| q.vars)),
        array_of(questions.iter().map(|q| q.answers.as_deref())),
    ]
}

/// Runs the statement of a step for a group.
pub fn run(version: &Version, step: StepNo, sql: &str, questions: &[Question<'_>]) -> Rows {
    let args = args(questions);
    limited(version.id, Some(step), || {
        as_user(version.owner, || Plan::prepare(sql, &TYPES).execute(&args))
    })
}

/// The question that a row of the result answers.
pub fn index(row: RowRef<'_>) -> usize {
    usize::try_from(row.must::<i32>(1) - 1).unwrap_or(0)
}
