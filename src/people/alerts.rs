//! wf.take_alerts: an application takes the alerts that wait, to bring them to people in its own way.

use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use crate::api::{actor, now, timestamp};
use crate::engine::as_engine;
use crate::pg::spi;
use crate::pg::types::{arg, optional};

/// Takes alerts, the oldest first; several applications at once take different ones.
#[pg_extern(sql = false)]
fn take_alerts(
    max: Option<i32>,
    participant: Option<&str>,
) -> TableIterator<
    'static,
    (
        name!(notification_id, i64),
        name!(at, TimestampWithTimeZone),
        name!(participant, Option<String>),
        name!(kind, String),
        name!(body, String),
        name!(task_id, Option<i64>),
        name!(case_id, i64),
    ),
> {
    let actor = actor();
    as_engine(|| {
        let rows = spi::query(
            "WITH waiting AS (
                 SELECT n.notification_id FROM wf.notifications AS n
                 WHERE n.taken_at IS NULL AND ($2 IS NULL OR n.participant = $2)
                 ORDER BY n.notification_id LIMIT $1 FOR UPDATE SKIP LOCKED),
             taken AS (
                 UPDATE wf.notifications AS n SET taken_at = $3, taken_by = $4
                 FROM waiting AS w WHERE n.notification_id = w.notification_id
                 RETURNING n.notification_id, n.at, n.participant, n.kind, n.body, n.task_id, n.case_id)
             SELECT t.* FROM taken AS t ORDER BY t.notification_id",
            &[
                arg(max.unwrap_or(100).max(0)),
                optional(participant),
                arg(now()),
                arg(actor.as_str()),
            ],
        );
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.must(1),
                    timestamp(row.must(2)),
                    row.get(3),
                    row.must(4),
                    row.must(5),
                    row.get(6),
                    row.must(7),
                )
            })
            .collect();
        TableIterator::new(rows)
    })
}
