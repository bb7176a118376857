//! The rows of cases that concern several: read with their case, looked at before anything is done with it, written when
//! one joins or leaves. Which one leaves, and what follows, is for the rules.
//!
//! A batch with such cases pays two statements more: one for who belongs to them, and one a version for how those rows
//! look. A batch without them pays nothing.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use chrono::{DateTime, Utc};
use workflow_core::game::{Effects, Look, Member, MemberRow};
use workflow_core::program::{Program, Read};

use super::batch::{Batch, Loaded, questions};
use super::question::Question;
use super::versions::Version;
use crate::outbox::recalled::{self, Recall};
use crate::pg::spi;
use crate::pg::types::{arg, array};
use crate::worker::wake;

/// The rows of a new case, of which only the first is known yet; none if it concerns one row only.
pub fn first(program: &Program, key: &str) -> Vec<Member> {
    if !program.concerns_several() {
        return Vec::new();
    }
    vec![member(key.to_owned(), 0)]
}

/// A row that has not been looked at yet.
pub fn member(key: String, position: i16) -> Member {
    Member {
        key,
        position,
        row: None,
    }
}

/// Reads who belongs to those of the cases that may concern several rows.
pub fn load(cases: &mut [Loaded]) {
    let several = |loaded: &&Loaded| loaded.version.program.concerns_several();
    let ids: Vec<i64> = cases.iter().filter(several).map(|c| c.case.id).collect();
    if ids.is_empty() {
        return;
    }
    let rows = spi::query(
        "SELECT s.case_id, s.key, coalesce(s.position, 0::int2) FROM wf.case_subjects AS s
         WHERE s.case_id = ANY ($1) AND s.departure IS NULL ORDER BY s.case_id, s.position NULLS FIRST",
        &[array(ids)],
    );
    let mut members: HashMap<i64, Vec<Member>> = HashMap::new();
    for row in rows.iter() {
        let of_case = members.entry(row.must(1)).or_default();
        of_case.push(member(row.must(2), row.must(3)));
    }
    for loaded in cases {
        loaded.case.members = members.remove(&loaded.case.id).unwrap_or_default();
    }
}

/// What is read of each row: conditions, and those columns that there are of what texts may mean.
fn read(version: &Version) -> Read {
    let columns = version.subject.details_columns();
    let known = |word: &str| columns.iter().any(|(name, _)| name == word);
    version.program.member_read(&known)
}

/// Looks at all rows of the batch's cases that concern several: one query a version.
pub fn look(batch: &mut Batch) {
    let mut by_version: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (index, loaded) in batch.cases.iter().enumerate() {
        if !loaded.case.members.is_empty() {
            let version = loaded.case.version_id;
            by_version.entry(version).or_default().push(index);
        }
    }
    for indexes in by_version.into_values() {
        let version = batch.cases[indexes[0]].version.clone();
        let plan = version.reads.of_members(&version, || read(&version));
        let of_cases = questions(&batch.cases, &indexes);
        let mut asked: Vec<Question<'_>> = Vec::new();
        for (of_case, index) in of_cases.iter().zip(&indexes) {
            let members = &batch.cases[*index].case.members;
            asked.extend(members.iter().map(|member| Question {
                key: &member.key,
                vars: of_case.vars,
                answers: of_case.answers.clone(),
            }));
        }
        let answers = plan.ask(&asked);
        drop(asked);
        drop(of_cases);
        let columns = answers.columns();
        let mut nth = 0;
        let env = batch.context.env();
        for index in indexes {
            let case = &mut batch.cases[index].case;
            let looks = (nth..nth + case.members.len()).map(|nth| {
                let facts = answers.facts(nth);
                Look {
                    found: facts.found,
                    stops: facts.conditions.to_vec(),
                    row: MemberRow {
                        columns: columns.clone(),
                        values: facts.row.values.to_vec(),
                    },
                }
            });
            let looks: Vec<Look> = looks.collect();
            nth += looks.len();
            case.look_at_members(looks, &env, &mut batch.effects);
        }
    }
}

/// Writes who has joined and left, and who carries a case now.
pub fn write(cases: &[Loaded], effects: &Effects, now: DateTime<Utc>) {
    arrivals(cases, effects);
    departures(effects, now);
    let carriers = &effects.carriers;
    if !carriers.is_empty() {
        // One after the other may have taken over; the last one counts.
        let last: HashMap<i64, &str> = carriers.iter().map(|(c, key)| (*c, key.as_str())).collect();
        spi::query(
            "UPDATE wf.cases AS c SET key = n.key
             FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS key) AS n
             WHERE c.case_id = n.case_id",
            &[array(last.keys().copied()), array(last.values().copied())],
        );
    }
    let moved = effects.arrivals.iter().map(|a| a.case_id);
    let moved: Vec<i64> = moved
        .chain(effects.departures.iter().map(|d| d.case_id))
        .collect();
    if !moved.is_empty() {
        render_anew(&moved, now);
    }
}

fn arrivals(cases: &[Loaded], effects: &Effects) {
    let all = &effects.arrivals;
    if all.is_empty() {
        return;
    }
    let versions: HashMap<i64, &Rc<Version>> =
        cases.iter().map(|c| (c.case.id, &c.version)).collect();
    let version = |case: i64| versions.get(&case);
    let args = [
        array(all.iter().map(|a| a.case_id)),
        array(
            all.iter()
                .map(|a| version(a.case_id).map_or(0, |v| v.subject.id)),
        ),
        array(
            all.iter()
                .map(|a| version(a.case_id).map_or(0, |v| v.workflow_id)),
        ),
        array(all.iter().map(|a| a.key.as_str())),
        array(all.iter().map(|a| a.position)),
    ];
    const ROWS: &str = "(SELECT unnest($1::bigint[]) AS case_id, unnest($2::int[]) AS subject_id,
                      unnest($3::int[]) AS workflow_id, unnest($4::text[]) AS key, unnest($5::int2[]) AS position) AS n";
    // The place of an ended case, or of one that the row has left.
    let give_way = format!(
        "UPDATE wf.case_subjects AS s SET slot = s.case_id
         FROM {ROWS} JOIN wf.case_subjects AS o
              ON o.key = n.key AND o.subject_id = n.subject_id AND o.workflow_id = n.workflow_id AND o.slot = 0
         JOIN wf.cases AS c ON c.case_id = o.case_id
         WHERE s.case_id = o.case_id AND s.key = o.key AND s.slot = 0 AND o.case_id <> n.case_id
           AND n.position >= 0 AND (o.departure IS NOT NULL OR c.ended_at IS NOT NULL)"
    );
    spi::query(&give_way, &args);
    // It may have been in the case before.
    let come_back = format!(
        "UPDATE wf.case_subjects AS s SET slot = 0, position = n.position, departure = NULL
         FROM {ROWS} WHERE s.case_id = n.case_id AND s.key = n.key AND n.subject_id = n.subject_id
           AND n.workflow_id = n.workflow_id"
    );
    spi::query(&come_back, &args);
    let join = format!(
        "INSERT INTO wf.case_subjects (case_id, subject_id, workflow_id, slot, key, position)
         SELECT n.case_id, n.subject_id, n.workflow_id, 0, n.key, n.position FROM {ROWS}
         WHERE NOT EXISTS (SELECT FROM wf.case_subjects AS s WHERE s.case_id = n.case_id AND s.key = n.key)"
    );
    spi::query(&join, &args);
}

fn departures(effects: &Effects, now: DateTime<Utc>) {
    let all = &effects.departures;
    if all.is_empty() {
        return;
    }
    spi::query(
        "UPDATE wf.case_subjects AS s SET departure = pg_catalog.jsonb_build_object('at', $5::timestamptz, 'outcome', n.outcome, 'reason', n.reason)
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS key, unnest($3::text[]) AS outcome,
                      unnest($4::text[]) AS reason) AS n
         WHERE s.case_id = n.case_id AND s.key = n.key",
        &[
            array(all.iter().map(|d| d.case_id)),
            array(all.iter().map(|d| d.key.as_str())),
            array(all.iter().map(|d| d.outcome)),
            array(all.iter().map(|d| d.reason.as_str())),
            arg(now),
        ],
    );
}

/// Messages that nobody has fetched list rows that have left, or lack some that have joined: they are rendered anew. One
/// that a sender could not hand over becomes another message, with a key of its own. Those that a sender is just leasing
/// are passed over: they have been handed over before this.
fn render_anew(cases: &[i64], now: DateTime<Utc>) {
    recalled::change(
        Recall::List,
        "SELECT o.message_id, NULL::text AS reason FROM wf.outbox AS o
         WHERE o.case_id = ANY ($1) AND o.state = 'queued'",
        "state = 'deferred', not_before = $2, attempts = 0,
         idempotency_key = CASE WHEN o.attempts = 0 THEN o.idempotency_key ELSE pg_catalog.gen_random_uuid() END",
        &[array(cases.iter().copied()), arg(now)],
    );
    wake::on_commit();
}
