//! Taking the words of persons out of history, so that what is left can still be verified.
//!
//! What people have written stands in the detail of a row: reasons, data that came with a task, errors; and in the outcome of
//! a dispute and of a step that was withdrawn. Numbers, amounts, times and names of the document stay (`wf._without_words`). A row that is sealed keeps the hash that stood for its words
//! there, salted with bytes that are overwritten here; what is left has a hash of its own, and the row of history that tells
//! of the erasure, and is sealed in its turn, one over all of these.

use super::rewriting;
use crate::engine::partitions;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// Erases the words in the history of some cases; the caller has the turn. Each case gets a row that says so, the first
/// time, and whenever there was something to erase. `removed`: the cases are about to go. Gives back how many rows.
pub fn erase(cases: &[i64], actor: &str, removed: bool) -> i64 {
    if cases.is_empty() {
        return 0;
    }
    let now = crate::api::now();
    partitions::ensure(now);
    let rows = rewriting(|| {
        spi::query(
            "WITH target AS MATERIALIZED (
                 SELECT h.history_id, h.at, h.case_id, h.event, h.outcome, h.detail,
                        pg_catalog.date_trunc('month', h.at AT TIME ZONE 'UTC')::date AS month,
                        wf._without_words(h.detail) || '{\"erased\": true}' AS left_detail,
                        CASE WHEN h.event IN ('dispute_settled', 'step_cancelled') THEN 'erased' ELSE h.outcome END AS left_outcome
                 FROM wf.history AS h
                 WHERE h.case_id = ANY ($1) AND NOT coalesce(h.detail ? 'erased', false)
                   AND (h.detail <> wf._without_words(h.detail) OR h.event IN ('dispute_settled', 'step_cancelled'))),
             sealed AS MATERIALIZED (
                 SELECT t.history_id, t.case_id, s.block, p.place,
                        pg_catalog.sha256(pg_catalog.substr(s.salts, p.place * 16 + 1, 16) || pg_catalog.convert_to(
                            pg_catalog.json_build_array(CASE WHEN t.event IN ('dispute_settled', 'step_cancelled') THEN t.outcome END, t.detail)::text,
                            'UTF8')) AS words,
                        pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.json_build_array(
                            CASE WHEN t.event IN ('dispute_settled', 'step_cancelled') THEN t.left_outcome END, t.left_detail)::text, 'UTF8')) AS left_over
                 FROM target AS t
                 JOIN wf.history_seals AS s ON s.kind = 'rows' AND s.month = t.month AND s.ids @> t.history_id
                 CROSS JOIN LATERAL (
                     SELECT pg_catalog.sum(least(pg_catalog.upper(u.ids), t.history_id) - pg_catalog.lower(u.ids))::integer AS place
                     FROM unnest(s.ids) AS u (ids) WHERE pg_catalog.lower(u.ids) <= t.history_id) AS p),
             told AS (
                 INSERT INTO wf.history (at, case_id, version_id, event, actor, detail)
                 SELECT $2, c.case_id, c.version_id, 'case_erased', $3,
                        pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
                            'rows', (SELECT pg_catalog.count(*) FROM target AS t WHERE t.case_id = c.case_id),
                            'removed', CASE WHEN $4 THEN true END,
                            'digest', (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg(
                                           pg_catalog.int8send(s.history_id) || s.left_over, '' ORDER BY s.history_id)), 'hex')
                                       FROM sealed AS s WHERE s.case_id = c.case_id)))
                 FROM wf.cases AS c
                 WHERE c.case_id = ANY ($1)
                   AND ($4 OR EXISTS (SELECT FROM target AS t WHERE t.case_id = c.case_id)
                        OR NOT EXISTS (SELECT FROM wf.history AS h WHERE h.case_id = c.case_id AND h.event = 'case_erased'))
                 RETURNING history_id, case_id),
             kept AS (
                 INSERT INTO wf.erased_words (history_id, words, left_over, erasure)
                 SELECT s.history_id, s.words, s.left_over, o.history_id
                 FROM sealed AS s JOIN told AS o ON o.case_id = s.case_id),
             forgotten AS (
                 UPDATE wf.history_seals AS s SET salts = (
                     SELECT pg_catalog.string_agg(
                                CASE WHEN i.place = ANY (n.places) THEN pg_catalog.decode(pg_catalog.repeat('00', 16), 'hex')
                                     ELSE pg_catalog.substr(n.salts, i.place * 16 + 1, 16) END, '' ORDER BY i.place)
                     FROM pg_catalog.generate_series(0, pg_catalog.length(n.salts) / 16 - 1) AS i (place))
                 FROM (SELECT o.block, o.salts || '' AS salts, p.places
                       FROM (SELECT s.block, pg_catalog.array_agg(s.place) AS places FROM sealed AS s GROUP BY s.block) AS p
                       JOIN wf.history_seals AS o ON o.block = p.block OFFSET 0) AS n
                 WHERE s.block = n.block)
             UPDATE wf.history AS h SET detail = t.left_detail, outcome = t.left_outcome
             FROM target AS t
             WHERE h.case_id = t.case_id AND h.at = t.at AND h.history_id = t.history_id
             RETURNING 1",
            &[array(cases.iter().copied()), arg(now), arg(actor), arg(removed)],
        )
    });
    i64::try_from(rows.len()).unwrap_or(i64::MAX)
}
