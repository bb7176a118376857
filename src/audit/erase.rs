//! wf.erase_account: personal words out of all that is kept about an account whose cases have ended.
//!
//! What stays: numbers of accounts, cases and rows, which mean something only beside the ERP's own tables; amounts, dates,
//! times, outcomes, names of workflows and steps; who worked on it; and opt-outs, without which the person would be
//! contacted again. Backups, and the ERP's tables, are their owners' business.

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

use super::{note, take_turn, words};
use crate::api::{actor, given};
use crate::engine::as_engine;
use crate::engine::batch::lock_waiting;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// Statements over the cases $1, with what they erase. Each touches only what still holds words.
const OF_CASES: [(&str, &str); 11] = [
    (
        "messages",
        "UPDATE wf.outbox AS o
         SET payload = '{\"erased\": true}', provider_id = NULL, reason = CASE WHEN o.reason IS NOT NULL THEN 'erased' END
         WHERE o.case_id = ANY ($1)
           AND (o.payload ->> 'erased' IS NULL AND o.payload IS NOT NULL OR o.provider_id IS NOT NULL OR o.reason <> 'erased')",
    ),
    (
        "notes",
        "UPDATE wf.notes AS n SET body = 'erased' WHERE n.case_id = ANY ($1) AND n.body <> 'erased'",
    ),
    (
        "documents",
        "UPDATE wf.documents AS d SET reference = 'erased', name = NULL
         WHERE d.case_id = ANY ($1) AND (d.reference <> 'erased' OR d.name IS NOT NULL)",
    ),
    (
        "alerts",
        "UPDATE wf.notifications AS n SET body = 'erased' WHERE n.case_id = ANY ($1) AND n.body <> 'erased'",
    ),
    (
        "holds",
        "UPDATE wf.holds AS h
         SET reason = 'erased', release_reason = CASE WHEN h.release_reason IS NOT NULL THEN 'erased' END
         WHERE h.case_id = ANY ($1) AND (h.reason <> 'erased' OR h.release_reason <> 'erased')",
    ),
    (
        "disputes",
        "UPDATE wf.disputes AS d SET reason = 'erased', outcome = CASE WHEN d.outcome IS NOT NULL THEN 'erased' END
         WHERE d.case_id = ANY ($1) AND (d.reason <> 'erased' OR d.outcome <> 'erased')",
    ),
    (
        // The label of a step's charge is the document's.
        "charges",
        "UPDATE wf.charges AS c
         SET label = CASE WHEN c.step IS NULL THEN 'erased' ELSE c.label END,
             reason = CASE WHEN c.reason IS NOT NULL THEN 'erased' END
         WHERE c.case_id = ANY ($1) AND (c.reason <> 'erased' OR c.step IS NULL AND c.label <> 'erased')",
    ),
    (
        "errors",
        "UPDATE wf.failures AS f SET message = 'erased', detail = NULL, hint = NULL
         WHERE f.message <> 'erased'
           AND (f.case_id = ANY ($1) OR (f.subject_id, f.key) IN (
                SELECT s.subject_id, s.key FROM wf.case_subjects AS s WHERE s.case_id = ANY ($1)))",
    ),
    (
        "contact data",
        "DELETE FROM wf.contact_data AS d USING wf.case_subjects AS s
         WHERE s.case_id = ANY ($1) AND d.subject_id = s.subject_id AND d.key = s.key",
    ),
    (
        "departures",
        "UPDATE wf.case_subjects AS s SET departure = s.departure - 'reason'
         WHERE s.case_id = ANY ($1) AND s.departure ? 'reason'",
    ),
    (
        // The reason of a stop rule is the document's. Plans are dates and amounts.
        "cases",
        "UPDATE wf.cases AS c SET vars = v.vars, memory = c.memory - 'stopped', reason = v.reason
         FROM (SELECT o.case_id,
                      (SELECT pg_catalog.jsonb_object_agg(e.key, e.value)
                       FROM pg_catalog.jsonb_each(CASE pg_catalog.jsonb_typeof(o.vars) WHEN 'object' THEN o.vars ELSE '{}' END) AS e
                       WHERE e.key IN ('plan', 'disputed_amount')) AS vars,
                      CASE WHEN o.outcome = 'stopped' OR o.reason IS NULL THEN o.reason ELSE 'erased' END AS reason
               FROM wf.cases AS o WHERE o.case_id = ANY ($1)) AS v
         WHERE c.case_id = v.case_id
           AND (c.vars IS DISTINCT FROM v.vars OR c.memory ? 'stopped' OR c.reason IS DISTINCT FROM v.reason)",
    ),
];

/// Statements over the account $1 and the addresses $2 that it was reached at.
const OF_ACCOUNT: [(&str, &str); 5] = [
    (
        "contacts",
        "UPDATE wf.contact_log AS l SET address = NULL, detail = NULL
         WHERE l.person = $1 AND (l.address IS NOT NULL OR l.detail IS NOT NULL)",
    ),
    (
        "contacts",
        "UPDATE wf.contact_log AS l SET person = 'to:erased', address = NULL, detail = NULL WHERE l.person = ANY ($2)",
    ),
    (
        "choices",
        "DELETE FROM wf.contact_choices AS c WHERE c.party = ANY ($2) AND c.choice <> 'opt_out'",
    ),
    (
        "choices",
        "UPDATE wf.contact_choices AS c SET reason = NULL WHERE c.reason IS NOT NULL AND (c.party = $1 OR c.party = ANY ($2))",
    ),
    (
        "strategies",
        "WITH s AS (UPDATE wf.strategies AS s SET reason = NULL WHERE s.account = $1 AND s.reason IS NOT NULL)
         UPDATE wf.strategy_settings AS s SET reason = NULL WHERE s.account = $1 AND s.reason IS NOT NULL",
    ),
];

/// Erases the words of an account.
#[pg_extern(sql = false)]
#[allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]
fn erase_account(
    account: Option<&str>,
    reason: Option<&str>,
) -> TableIterator<'static, (name!(what, String), name!(rows, i64))> {
    let account = given("account", account);
    let actor = actor();
    as_engine(|| {
        let cases = ended_cases(account);
        take_turn(true);
        // Before the messages are emptied that tell them.
        let addresses = addresses(account, &cases);
        let mut erased: Vec<(&str, i64)> = Vec::new();
        let mut add = |what, rows: i64| match erased.last_mut() {
            Some((last, sum)) if *last == what => *sum += rows,
            _ => erased.push((what, rows)),
        };
        for (what, sql) in OF_CASES {
            let rows = spi::query_planned_freely(sql, &[array(cases.iter().copied())]);
            add(what, rows.processed() as i64);
        }
        for (what, sql) in OF_ACCOUNT {
            let args = [arg(account), array(addresses.iter().map(String::as_str))];
            add(
                what,
                spi::query_planned_freely(sql, &args).processed() as i64,
            );
        }
        add("history", words::erase(&cases, &actor, false));
        erased.retain(|(_, rows)| *rows > 0);
        if !erased.is_empty() {
            let counts: serde_json::Map<String, serde_json::Value> = erased
                .iter()
                .map(|(what, rows)| ((*what).to_owned(), (*rows).into()))
                .collect();
            let detail = serde_json::json!({ "cases": cases.len(), "rows": counts }).to_string();
            note(&actor, "account erased", Some(account), reason, &detail);
        }
        let rows: Vec<_> = erased
            .into_iter()
            .map(|(what, rows)| (what.to_owned(), rows))
            .collect();
        TableIterator::new(rows)
    })
}

/// The account's cases, locked: all of them have ended, and their messages have left or will not.
fn ended_cases(account: &str) -> Vec<i64> {
    let rows = spi::query_planned_freely(
        "SELECT c.case_id
         FROM wf.cases AS c
         LEFT JOIN wf.versions AS v ON v.version_id = c.version_id
         LEFT JOIN wf.subjects AS su ON su.subject_id = v.subject_id
         WHERE coalesce(c.account, su.name || ':' || c.key) = $1",
        &[arg(account)],
    );
    let cases: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    drop(rows);
    let cases = lock_waiting(&cases);
    let open = spi::query(
        "SELECT c.case_id, w.name FROM wf.cases AS c JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
         WHERE c.case_id = ANY ($1) AND c.ended_at IS NULL ORDER BY c.case_id LIMIT 10",
        &[array(cases.iter().copied())],
    );
    let open: Vec<String> = open
        .iter()
        .map(|row| {
            format!(
                "case {} of \"{}\"",
                row.must::<i64>(1),
                row.must::<String>(2)
            )
        })
        .collect();
    if !open.is_empty() {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "the account has a case that has not ended",
            Some(format!("Open: {}.", open.join(", "))),
            Some(
                "Let it end, or end it with wf.cancel; then call wf.erase_account again."
                    .to_owned(),
            ),
        );
    }
    // What was to be withheld while a lease was taking it, is; and the reasons why go.
    crate::outbox::recalled::settle();
    let waiting = spi::query_planned_freely(
        "SELECT 1 FROM wf.outbox AS o
         WHERE o.case_id = ANY ($1) AND o.state IN ('deferred', 'queued', 'leased') LIMIT 1",
        &[array(cases.iter().copied())],
    );
    if !waiting.is_empty() {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "a message to the account has not left yet",
            None,
            Some("Let the sender fetch and acknowledge it, or withhold it with wf.opt_out; then call wf.erase_account again.".to_owned()),
        );
    }
    cases
}

/// Where the account was reached, as parties of choices.
fn addresses(account: &str, cases: &[i64]) -> Vec<String> {
    let rows = spi::query_planned_freely(
        "SELECT 'to:' || wf._address(o.payload ->> 'to') FROM wf.outbox AS o
         WHERE o.case_id = ANY ($2) AND o.payload ->> 'to' IS NOT NULL
         UNION
         SELECT 'to:' || wf._address(l.address) FROM wf.contact_log AS l WHERE l.person = $1 AND l.address IS NOT NULL",
        &[arg(account), array(cases.iter().copied())],
    );
    rows.iter().map(|row| row.must(1)).collect()
}
