//! Exclusive workflows: a row is in the case of one of them at a time. The primary key of wf.exclusive_subjects is the
//! guard; what is refused names the case that is in the way.

use std::collections::HashMap;

use pgrx::PgSqlErrorCode;
use workflow_core::document::Runs;
use workflow_core::game::Effects;
use workflow_core::{Error, ErrorCode};

use crate::engine::batch::Loaded;
use crate::engine::enrol::Place;
use crate::engine::versions::Version;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array};
use crate::worker::wake;

/// The exclusive case that a row is in.
pub struct Taken {
    /// The case's number.
    pub case: i64,
    workflow: String,
}

impl Taken {
    fn message(&self, version: &Version, key: &str) -> String {
        format!(
            "{} {key} is in case {} of workflow \"{}\", which is exclusive as \"{}\" is",
            version.subject.name, self.case, self.workflow, version.program.document.name
        )
    }

    fn hint(&self, key: &str) -> String {
        let case = self.case;
        format!(
            "Go on with case {case}, or end it first: SELECT wf.cancel({case}). If it concerns several rows, this one can leave it: SELECT wf.remove_subject({case}, '{}').",
            key.replace('\'', "''")
        )
    }

    /// The error of a step that wants to start another case.
    pub fn error(&self, version: &Version, key: &str) -> Error {
        Error::new(ErrorCode::State, self.message(version, key))
            .hint(format!("{} Then call wf.retry.", self.hint(key)))
    }
}

/// Which of the rows are in an exclusive case of another workflow; none if this one is not exclusive itself.
pub fn taken(version: &Version, keys: &[String]) -> HashMap<String, Taken> {
    if version.program.document.runs != Runs::Exclusive || keys.is_empty() {
        return HashMap::new();
    }
    let rows = spi::query(
        "SELECT x.key, x.case_id, w.name
         FROM wf.exclusive_subjects AS x JOIN wf.cases AS c ON c.case_id = x.case_id
         JOIN wf.workflows AS w ON w.workflow_id = c.workflow_id
         WHERE x.key = ANY ($1) AND x.subject_id = $2 AND c.workflow_id <> $3",
        &[
            array(keys.iter().map(String::as_str)),
            arg(version.subject.id),
            arg(version.workflow_id),
        ],
    );
    rows.iter()
        .map(|row| {
            let taken = Taken {
                case: row.must(2),
                workflow: row.must(3),
            };
            (row.must(1), taken)
        })
        .collect()
}

/// For a call: raises 23505 if one of the rows is in an exclusive case of another workflow.
pub fn refuse_if_taken(version: &Version, keys: &[String]) {
    let taken = taken(version, keys);
    let first = keys.iter().find_map(|key| Some((key, taken.get(key)?)));
    if let Some((key, taken)) = first {
        raise_as(
            PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
            taken.message(version, key),
            Some("A row is in one exclusive case at a time.".to_owned()),
            Some(taken.hint(key)),
        );
    }
}

/// For a start rule: rows that are in an exclusive case of another workflow wait until it is over.
pub fn leave_out(version: &Version, places: &mut Vec<Place>) {
    if version.program.document.runs != Runs::Exclusive {
        return;
    }
    let keys: Vec<String> = places.iter().map(|place| place.key.clone()).collect();
    let taken = taken(version, &keys);
    places.retain(|place| !taken.contains_key(&place.key));
}

/// Writes which rows exclusive cases take and give back. Rows that are free again are looked at anew, for start rules
/// that had to wait.
pub fn write(cases: &[Loaded], effects: &Effects) {
    let exclusive = |c: &&Loaded| c.version.program.document.runs == Runs::Exclusive;
    let of = |case: i64| {
        let mut all = cases.iter().filter(exclusive);
        all.find(|loaded| loaded.case.id == case)
    };
    let ended = cases.iter().filter(exclusive).filter(|loaded| {
        let open_before = loaded.before.as_ref().is_some_and(|b| !b.state.is_over());
        open_before && loaded.case.state.is_over()
    });
    let ended: Vec<i64> = ended.map(|loaded| loaded.case.id).collect();
    let left = effects
        .departures
        .iter()
        .filter(|d| of(d.case_id).is_some());
    let left: Vec<(i64, &str)> = left.map(|d| (d.case_id, d.key.as_str())).collect();
    if !ended.is_empty() || !left.is_empty() {
        give_back(&ended, &left);
    }
    let mut wanted: Vec<(&Loaded, String)> = Vec::new();
    for loaded in cases.iter().filter(exclusive) {
        if loaded.before.is_none() && !loaded.case.state.is_over() {
            let keys = loaded.case.keys().into_iter();
            wanted.extend(keys.map(|key| (loaded, key)));
        }
    }
    for arrival in &effects.arrivals {
        let still = |l: &&Loaded| l.case.members.iter().any(|m| m.key == arrival.key);
        if let Some(loaded) = of(arrival.case_id).filter(still) {
            wanted.push((loaded, arrival.key.clone()));
        }
    }
    // As the rows of wf.case_subjects: two who take the same rows wait for each other's first one only.
    wanted.sort_unstable_by(|(_, a), (_, b)| a.cmp(b));
    take(&wanted);
}

fn give_back(ended: &[i64], left: &[(i64, &str)]) {
    spi::query(
        "WITH free AS (
             DELETE FROM wf.exclusive_subjects AS x
             WHERE x.case_id = ANY ($1)
                OR (x.case_id, x.key) IN (SELECT * FROM ROWS FROM (unnest($2::bigint[]), unnest($3::text[])) AS n)
             RETURNING x.subject_id, x.key)
         INSERT INTO wf.inbox (subject_id, key, op) SELECT f.subject_id, f.key, 'r' FROM free AS f",
        &[
            array(ended.iter().copied()),
            array(left.iter().map(|(case, _)| *case)),
            array(left.iter().map(|(_, key)| *key)),
        ],
    );
    wake::on_commit();
}

fn take(wanted: &[(&Loaded, String)]) {
    if wanted.is_empty() {
        return;
    }
    let rows = spi::query(
        "INSERT INTO wf.exclusive_subjects (subject_id, key, case_id)
         SELECT unnest($1::int[]), unnest($2::text[]), unnest($3::bigint[])
         ON CONFLICT (key, subject_id) DO NOTHING RETURNING key, case_id",
        &[
            array(wanted.iter().map(|(loaded, _)| loaded.version.subject.id)),
            array(wanted.iter().map(|(_, key)| key.as_str())),
            array(wanted.iter().map(|(loaded, _)| loaded.case.id)),
        ],
    );
    if rows.len() == wanted.len() {
        return;
    }
    // Somebody was faster.
    for (loaded, key) in wanted {
        refuse_if_taken(&loaded.version, std::slice::from_ref(key));
    }
}
