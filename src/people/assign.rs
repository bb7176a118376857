//! wf.assign and wf.assign_account: who stands in for a participant from now on.

use pgrx::prelude::*;
use serde_json::json;

use super::config::must_exist;
use crate::api::{actor, given, now, unknown_case};
use crate::engine::batch::lock_waiting;
use crate::engine::{as_engine, partitions};
use crate::pg::spi;
use crate::pg::types::{arg, optional};
use crate::settings;

/// In one case.
#[pg_extern(sql = false)]
fn assign(
    case_id: Option<i64>,
    participant: Option<&str>,
    assignee: Option<&str>,
    reason: Option<&str>,
) {
    let (case, participant) = (given("case_id", case_id), given("participant", participant));
    let assignee = given("assignee", assignee);
    let actor = actor();
    as_engine(|| {
        must_exist([assignee]);
        if lock_waiting(&[case]).is_empty() {
            unknown_case(case);
        }
        let before = spi::query(
            "SELECT wf._assignee($1, $2)",
            &[arg(case), arg(participant)],
        );
        let before: Option<String> = before.first().and_then(|row| row.get(1));
        if before.as_deref() == Some(assignee) {
            return;
        }
        insert(participant, Some(case), None, assignee, &actor);
        let of_session = settings::reason();
        let reason = reason.or(of_session.as_deref());
        let detail = json!({
            "participant": participant, "from": before, "to": assignee, "scope": "case", "reason": reason,
        });
        partitions::ensure(now());
        spi::query(
            "INSERT INTO wf.history (at, case_id, version_id, event, actor, detail)
             SELECT $1, c.case_id, c.version_id, 'assigned', $3, $4::jsonb FROM wf.cases AS c WHERE c.case_id = $2",
            &[
                arg(now()),
                arg(case),
                arg(actor.as_str()),
                arg(detail.to_string()),
            ],
        );
    });
}

/// In all cases of an account.
#[pg_extern(sql = false)]
fn assign_account(account: Option<&str>, participant: Option<&str>, assignee: Option<&str>) {
    let (account, participant) = (given("account", account), given("participant", participant));
    let assignee = given("assignee", assignee);
    let actor = actor();
    as_engine(|| {
        must_exist([assignee]);
        insert(participant, None, Some(account), assignee, &actor);
    });
}

fn insert(
    participant: &str,
    case: Option<i64>,
    account: Option<&str>,
    assignee: &str,
    actor: &str,
) {
    spi::query(
        "INSERT INTO wf.assignments (participant, case_id, account, assignee, assigned_at, assigned_by)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            arg(participant),
            optional(case),
            optional(account),
            arg(assignee),
            arg(now()),
            arg(actor),
        ],
    );
}
