//! Messages that a sender had in hand, or a lease was just taking, when they were to stay here. Whoever withdraws a message
//! passes over such a one: it has been handed over before. But a lease can be undone, run out, or end with the word that it did
//! not work. So what was to become of the message then is remembered, and done as soon as it is back, before it is handed out
//! again.

use crate::pg::spi::{self, Arg};
use crate::pg::types::array;
use crate::worker::wake;

/// What was to become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// It must not leave.
    Withhold,
    /// It has to be written anew, whether a sender has had it in hand or not: it lists other rows now.
    List,
    /// It has to be written anew, unless a sender has had it in hand.
    Text,
}

impl Recall {
    fn label(self) -> &'static str {
        match self {
            Self::Withhold => "withhold",
            Self::List => "list",
            Self::Text => "text",
        }
    }
}

/// The beginning of a query for `change`: the messages of open step runs, whose cases, steps and visits are $1 to $3. What
/// follows is a condition on wf.outbox AS o.
pub const OF_STEP_RUNS: &str = "SELECT o.message_id, NULL::text AS reason
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::int2[]) AS step_no, unnest($3::int2[]) AS visit) AS n
         JOIN wf.outbox AS o ON o.case_id = n.case_id AND o.step_no = n.step_no AND o.visit = n.visit
              AND o.version_id IS NULL
         WHERE";

/// Changes messages that nobody has in hand, and remembers those that are leased or that a lease is just taking. `found` is a
/// query for their `message_id` and `reason` from wf.outbox AS o; `set` says what those become that are deferred or queued, with
/// `f` for what was found.
pub fn change(what: Recall, found: &str, set: &str, args: &[Arg]) {
    let sql = format!(
        "WITH found AS MATERIALIZED ({found}),
         free AS (
             SELECT f.message_id, f.reason FROM found AS f JOIN wf.outbox AS o ON o.message_id = f.message_id
             WHERE o.state IN ('deferred', 'queued') FOR UPDATE OF o SKIP LOCKED),
         done AS (
             UPDATE wf.outbox AS o SET {set} FROM free AS f WHERE o.message_id = f.message_id RETURNING o.message_id)
         SELECT (SELECT count(DISTINCT f.message_id) FROM found AS f) > (SELECT count(*) FROM done), array(SELECT d.message_id FROM done AS d)"
    );
    let rows = spi::query(&sql, args);
    let Some((true, done)) = rows
        .first()
        .map(|row| (row.must(1), row.get::<Vec<Option<i64>>>(2)))
    else {
        return;
    };
    // What has been withheld meanwhile says so itself; what has been put off to be written anew is still deferred. Nor is remembered
    // again what is to be withheld: a lease may just be doing that, and would be waited for.
    let done: Vec<i64> = done.into_iter().flatten().flatten().collect();
    let sql = format!(
        "INSERT INTO wf.recalled (message_id, what, reason)
         SELECT DISTINCT ON (f.message_id) f.message_id, '{}', f.reason FROM ({found}) AS f
         WHERE f.message_id <> ALL (${}) AND NOT EXISTS (
             SELECT FROM wf.recalled AS r WHERE r.message_id = f.message_id AND r.what = 'withhold')
         ON CONFLICT (message_id) DO UPDATE SET what = excluded.what, reason = excluded.reason
         WHERE wf.recalled.what <> 'withhold'",
        what.label(),
        args.len() + 1
    );
    let all: Vec<Arg> = args
        .iter()
        .map(|a| Arg {
            oid: a.oid,
            datum: a.datum,
        })
        .chain([array(done)])
        .collect();
    spi::query(&sql, &all);
}

/// Does what is remembered about messages that are back: nobody has taken them after all, their sender has given them back, or
/// their lease has run out. Forgets about those that have left.
pub fn settle() {
    let rows = spi::query(
        "SELECT r.message_id FROM wf.recalled AS r JOIN wf.outbox AS o ON o.message_id = r.message_id
         WHERE o.state <> 'leased' OR o.not_before <= wf.now()
         ORDER BY r.message_id LIMIT 1000 FOR UPDATE OF r, o SKIP LOCKED",
        &[],
    );
    let messages: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    // One whose lease has run out may have arrived: it is withheld, but does not become another one.
    spi::query(
        "UPDATE wf.outbox AS o
         SET state = CASE r.what WHEN 'withhold' THEN 'suppressed' ELSE 'deferred' END::wf.message_state,
             reason = coalesce(r.reason, o.reason),
             finished_at = CASE r.what WHEN 'withhold' THEN wf.now() END,
             not_before = CASE r.what WHEN 'withhold' THEN o.not_before ELSE wf.now() END,
             attempts = CASE r.what WHEN 'list' THEN 0::int2 ELSE o.attempts END,
             idempotency_key = CASE WHEN r.what = 'list' AND o.attempts > 0 THEN pg_catalog.gen_random_uuid()
                                    ELSE o.idempotency_key END
         FROM wf.recalled AS r
         WHERE r.message_id = ANY ($1) AND o.message_id = r.message_id
           AND CASE o.state WHEN 'leased' THEN r.what = 'withhold'
                            ELSE o.state IN ('deferred', 'queued') AND (r.what <> 'text' OR o.attempts = 0) END",
        &[array(messages.iter().copied())],
    );
    spi::query(
        "DELETE FROM wf.recalled AS r
         WHERE r.message_id = ANY ($1) OR NOT EXISTS (SELECT FROM wf.outbox AS o WHERE o.message_id = r.message_id)",
        &[array(messages)],
    );
    wake::on_commit();
}
