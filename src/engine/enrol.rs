//! Which rows may get a case, and cases for those that a start rule takes.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use workflow_core::document::{Again, Runs};
use workflow_core::game::{Facts, STOPPED};

use super::batch::{Batch, new_case};
use super::question::Question;
use super::starting;
use super::versions::{Version, find_workflow};
use crate::accounts::{exclusive, together};
use crate::collections;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// Starts cases of one version for those of the keys that its start rule takes. Gives back how many; rows that would join a
/// case that somebody is at are added to `busy`.
pub fn enrol(version: &Rc<Version>, keys: &[&str], actor: &str, busy: &mut Vec<String>) -> i64 {
    let program = version.program.clone();
    let Some(rule) = program.document.start.as_ref() else {
        return 0;
    };
    if program.document.runs == Runs::Strategy {
        // Which row has which is not for a start rule alone.
        return 0;
    }
    if let Some(retries) = &rule.retries {
        return collections::retry(version, retries, keys, actor);
    }
    let mut candidates = free_for_rule(version, keys, rule.again);
    if let Some(before) = &rule.without {
        without(version, before, &mut candidates);
    }
    exclusive::leave_out(version, &mut candidates);
    i64::try_from(start_by_rule(version, candidates, actor, busy).len()).unwrap_or(i64::MAX)
}

/// Starts cases of one version where its start rule takes the row. Gives back which, by key.
pub fn start_by_rule(
    version: &Rc<Version>,
    candidates: Vec<Place>,
    actor: &str,
    busy: &mut Vec<String>,
) -> Vec<(String, i64)> {
    let program = version.program.clone();
    let mut started = Vec::new();
    if candidates.is_empty() {
        return started;
    }
    let plan = version.reads.of_start(version);
    let questions: Vec<Question<'_>> = candidates
        .iter()
        .map(|place| Question {
            key: &place.key,
            vars: None,
            answers: None,
        })
        .collect();
    let answers = plan.ask(&questions);
    drop(questions);
    let wanted: Vec<usize> = (0..candidates.len())
        .filter(|i| {
            let facts = answers.facts(*i);
            facts.found && program.starts(facts.conditions)
        })
        .collect();
    if together::is_of_accounts(version) {
        let mut candidates: Vec<Option<Place>> = candidates.into_iter().map(Some).collect();
        let places = wanted.into_iter();
        let places = places.filter_map(|index| Some((candidates[index].take()?, index)));
        return together::start(version, places.collect(), &answers, actor, busy);
    }
    let mut batch = Batch::new(actor);
    let keys = wanted.iter().map(|index| candidates[*index].key.as_str());
    let Some(ids) = by_rule(version, wanted.len(), keys, busy) else {
        return started;
    };
    for (id, index) in ids.into_iter().zip(wanted) {
        let mut loaded = new_case(id, version, candidates[index].clone(), None);
        let facts = answers.facts(index);
        loaded.account = account(version, &facts);
        let env = batch.context.env();
        match loaded.case.begin_by_rule(&facts, &env, &mut batch.effects) {
            Ok(true) => {
                started.push((loaded.case.key.clone(), id));
                batch.cases.push(loaded);
            }
            Ok(false) => {}
            // Raised, so that it is counted against this row alone and shown as an incident.
            Err(error) => crate::pg::raise::raise(error),
        }
    }
    batch.flush();
    started
}

/// Numbers for the cases of rows that a start rule takes. None if the workflow is gone; or if somebody is dropping it, and
/// then the rows are looked at again later.
pub fn by_rule<'a>(
    version: &Version,
    count: usize,
    keys: impl Iterator<Item = &'a str>,
    busy: &mut Vec<String>,
) -> Option<Vec<i64>> {
    match starting::start(version, count, false) {
        starting::Start::Numbers(numbers) => return Some(numbers),
        starting::Start::Busy => busy.extend(keys.map(str::to_owned)),
        starting::Start::Dropped => {}
    }
    None
}

/// Of the rows that a start rule may take, those that do not come from another workflow: none while that one is on, and
/// none that it has had.
fn without(version: &Version, before: &str, places: &mut Vec<Place>) {
    let Some(before) = find_workflow(before).filter(|_| !places.is_empty()) else {
        return;
    };
    if before.enabled && before.published.is_some() {
        places.clear();
        return;
    }
    let rows = spi::query(
        "SELECT s.key FROM wf.case_subjects AS s
         WHERE s.key = ANY ($1) AND s.subject_id = $2 AND s.workflow_id = $3 AND s.slot = 0",
        &[
            array(places.iter().map(|place| place.key.as_str())),
            arg(version.subject.id),
            arg(before.id),
        ],
    );
    let had: HashSet<String> = rows.iter().map(|row| row.must(1)).collect();
    places.retain(|place| !had.contains(&place.key));
}

/// The account that a case belongs to.
pub fn account(version: &Version, facts: &Facts<'_>) -> Option<String> {
    let column = version.program.roles.account.as_deref()?;
    facts.row.get(column).map(|(account, _)| account.to_owned())
}

/// A row that may get a case of a workflow.
#[derive(Clone, Debug)]
pub struct Place {
    pub key: String,
    /// The row's latest case, ended, which keeps the place in the unique index until another takes it.
    pub ended: Option<i64>,
}

/// The latest case of a workflow for a row.
struct Latest {
    case: i64,
    /// It goes on, and concerns the row still.
    open: bool,
    /// A stop rule has ended it, or made the row leave it, and all before it.
    stopped: bool,
}

/// The latest cases of those keys that have one. Of a case that retention has removed, its place says how it came out.
fn latest(version: &Version, keys: &[&str]) -> HashMap<String, Latest> {
    let rows = spi::query(
        "SELECT s.key, s.case_id, c.ended_at IS NULL AND s.departure IS NULL,
                coalesce(s.departure ->> 'outcome', c.outcome) IS NOT DISTINCT FROM $4 AND NOT EXISTS (
                    SELECT FROM wf.case_subjects AS p LEFT JOIN wf.cases AS e ON e.case_id = p.case_id
                    WHERE p.key = s.key AND p.subject_id = $2 AND p.workflow_id = $3 AND p.slot <> 0
                      AND coalesce(p.departure ->> 'outcome', e.outcome) IS DISTINCT FROM $4)
         FROM wf.case_subjects AS s LEFT JOIN wf.cases AS c ON c.case_id = s.case_id
         WHERE s.key = ANY ($1) AND s.subject_id = $2 AND s.workflow_id = $3 AND s.slot = 0",
        &[
            array(keys.iter().copied()),
            arg(version.subject.id),
            arg(version.workflow_id),
            arg(STOPPED),
        ],
    );
    rows.iter()
        .map(|row| {
            let latest = Latest {
                case: row.must(2),
                open: row.must(3),
                stopped: row.must(4),
            };
            (row.must(1), latest)
        })
        .collect()
}

/// For a call: the rows without an open case; and the open cases of the others.
pub fn free_for_call(version: &Version, keys: &[String]) -> (Vec<Place>, Vec<(String, i64)>) {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let latest = latest(version, &keys);
    let mut free = Vec::with_capacity(keys.len());
    let mut open = Vec::new();
    for key in keys {
        match latest.get(key) {
            Some(latest) if latest.open => open.push((key.to_owned(), latest.case)),
            found => free.push(Place {
                key: key.to_owned(),
                ended: found.map(|latest| latest.case),
            }),
        }
    }
    (free, open)
}

/// For a start rule: the rows that have never had a case, or, if the rule says so, that a stop rule has left.
fn free_for_rule(version: &Version, keys: &[&str], again: Again) -> Vec<Place> {
    let latest = latest(version, keys);
    keys.iter()
        .filter_map(|key| match latest.get(*key) {
            Some(l) if l.open || !l.stopped || again == Again::Never => None,
            found => Some(Place {
                key: (*key).to_owned(),
                ended: found.map(|latest| latest.case),
            }),
        })
        .collect()
}
