//! Cases that steps of other cases have asked for: made just before the batch is written, and linked to those.
//!
//! A workflow that is off, not there, about other rows, or that has an open case for the row is an incident of the step
//! that asked for it, never a silent end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use workflow_core::game::StartRequest;
use workflow_core::kinds::Afterwards;
use workflow_core::program::START;
use workflow_core::{Error, ErrorCode};

use super::batch::{Batch, new_case, new_case_ids};
use super::enrol::{Place, account, free_for_call, start_read};
use super::reads::{Purpose, Question};
use super::versions::{Version, find_workflow, version};
use crate::pg::raise::raise;
use crate::pg::spi;
use crate::pg::types::{array, array_of};

/// What to do about a workflow that cannot be started.
const THEN: &str = "then call wf.retry; or wf.skip or wf.cancel";

/// Meets all requests of a batch.
pub fn start(batch: &mut Batch) {
    let mut by_target: BTreeMap<String, Vec<StartRequest>> = BTreeMap::new();
    for request in std::mem::take(&mut batch.effects.starts) {
        let case = batch.find(request.case_id).map(|i| &batch.cases[i].case);
        // A stop rule may have ended the case since.
        if case.is_some_and(|c| c.still_asks(&request)) {
            let target = request.workflow.clone();
            by_target.entry(target).or_default().push(request);
        }
    }
    for (target, mut requests) in by_target {
        let mut answers: Answered = Vec::with_capacity(requests.len());
        let before = earlier(&requests);
        let used_up = |r: &StartRequest| {
            let waits = r.afterwards == Afterwards::Waits;
            !waits && before.get(&r.case_id).copied().unwrap_or(0) >= i64::from(r.limit)
        };
        let refused = requests.extract_if(.., |r| used_up(r));
        answers.extend(refused.map(|request| (request, Ok(None))));
        match startable(&target) {
            Ok(version) => start_all(batch, &version, requests, &mut answers),
            Err(error) => {
                let all = requests.into_iter();
                answers.extend(all.map(|request| (request, Err(error.clone()))));
            }
        }
        answer(batch, answers);
    }
}

/// Requests, each with the case that was started; Ok(None): as many as there may be had been started before.
type Answered = Vec<(StartRequest, Result<Option<i64>, Error>)>;

/// How many cases of its own workflow stand before each case in its chain.
fn earlier(requests: &[StartRequest]) -> HashMap<i64, i64> {
    let asking = requests
        .iter()
        .filter(|r| r.afterwards != Afterwards::Waits);
    let asking: Vec<i64> = asking.map(|r| r.case_id).collect();
    if asking.is_empty() {
        return HashMap::new();
    }
    let rows = spi::query(
        "WITH RECURSIVE chain (origin, case_id) AS (
             SELECT n.case_id, n.case_id FROM unnest($1::bigint[]) AS n(case_id)
             UNION ALL
             SELECT chain.origin, l.started_by FROM chain JOIN wf.case_links AS l ON l.case_id = chain.case_id)
         SELECT o.case_id, count(*)
         FROM chain JOIN wf.cases AS o ON o.case_id = chain.origin JOIN wf.cases AS c ON c.case_id = chain.case_id
         WHERE c.workflow_id = o.workflow_id AND c.case_id <> o.case_id GROUP BY o.case_id",
        &[array(asking)],
    );
    rows.iter().map(|row| (row.must(1), row.must(2))).collect()
}

fn startable(name: &str) -> Result<Rc<Version>, Error> {
    let Some(row) = find_workflow(name) else {
        return Err(Error::new(
            ErrorCode::Unknown,
            format!("workflow \"{name}\" does not exist"),
        )
        .hint(format!("Define and publish it, {THEN}.")));
    };
    let Some(published) = row.published else {
        return Err(Error::new(
            ErrorCode::State,
            format!("workflow \"{name}\" has no published version"),
        )
        .hint(format!("Publish it with wf.publish, {THEN}.")));
    };
    if !row.enabled {
        return Err(
            Error::new(ErrorCode::State, format!("workflow \"{name}\" is off"))
                .hint(format!("Turn it on with wf.enable, {THEN}.")),
        );
    }
    Ok(version(published))
}

/// Starts a case of one version for each request.
fn start_all(
    batch: &mut Batch,
    version: &Rc<Version>,
    requests: Vec<StartRequest>,
    answers: &mut Answered,
) {
    let places = places(batch, version, requests, answers);
    if places.is_empty() {
        return;
    }
    let plan = version
        .reads
        .get(Purpose::Start, &version.subject, version.owner, || {
            start_read(version)
        });
    let vars: Vec<Option<String>> = places
        .iter()
        .map(|(request, _)| {
            let index = batch.find(request.case_id)?;
            batch.cases[index].case.vars.clone()
        })
        .collect();
    let questions: Vec<Question<'_>> = places
        .iter()
        .zip(&vars)
        .map(|((_, place), vars)| Question {
            key: &place.key,
            vars: vars.as_deref(),
            answers: None,
        })
        .collect();
    let rows = plan.ask(&questions);
    drop(questions);
    let mut links: Vec<(i64, StartRequest)> = Vec::new();
    let ids = new_case_ids(places.len());
    for (nth, ((request, place), id)) in places.into_iter().zip(ids).enumerate() {
        let facts = rows.facts(nth);
        let eligible = version.subject.eligible.is_none() || facts.conditions.last() == Some(&true);
        if !facts.found || !eligible {
            let error = Error::new(
                ErrorCode::State,
                format!(
                    "{} {} is not eligible for a case of workflow \"{}\"",
                    version.subject.name, place.key, request.workflow
                ),
            )
            .hint(format!("Mend the row, {THEN}."));
            answers.push((request, Err(error)));
            continue;
        }
        let mut other = new_case(id, version, place, vars[nth].clone());
        other.account = account(version, &facts);
        if request.afterwards == Afterwards::Waits {
            other.case.memory.awaited_by = Some(request.case_id);
        }
        let env = batch.context.env();
        other.case.begin_by_call(&facts, &env, &mut batch.effects);
        batch.cases.push(other);
        links.push((id, request.clone()));
        answers.push((request, Ok(Some(id))));
    }
    link(&links);
}

/// Notes which case has started which, and which step run waits for it.
fn link(links: &[(i64, StartRequest)]) {
    if links.is_empty() {
        return;
    }
    let waits = |(_, r): &(i64, StartRequest)| {
        (r.afterwards == Afterwards::Waits).then_some((r.step, r.visit))
    };
    spi::query(
        "INSERT INTO wf.case_links (case_id, started_by, step_no, visit)
         SELECT unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::int2[]), unnest($4::int2[])",
        &[
            array(links.iter().map(|(case, _)| *case)),
            array(links.iter().map(|(_, by)| by.case_id)),
            array_of(links.iter().map(|l| waits(l).map(|(step, _)| step))),
            array_of(links.iter().map(|l| waits(l).map(|(_, visit)| visit))),
        ],
    );
}

/// Where the new cases go, for those of the requests that may have one; the others are answered.
fn places(
    batch: &Batch,
    version: &Version,
    requests: Vec<StartRequest>,
    answers: &mut Answered,
) -> Vec<(StartRequest, Place)> {
    let mut wanted: Vec<(StartRequest, String)> = Vec::new();
    for request in requests {
        let Some(index) = batch.find(request.case_id) else {
            continue;
        };
        let loaded = &batch.cases[index];
        if loaded.version.subject.id == version.subject.id {
            wanted.push((request, loaded.case.key.clone()));
        } else {
            let error = Error::new(
                ErrorCode::State,
                format!(
                    "workflow \"{}\" is about subject \"{}\", and this case about \"{}\"",
                    request.workflow, version.subject.name, loaded.version.subject.name
                ),
            )
            .hint(format!("Name a workflow about the same subject, {THEN}."));
            answers.push((request, Err(error)));
        }
    }
    let keys: Vec<String> = wanted.iter().map(|(_, key)| key.clone()).collect();
    let (free, open) = free_for_call(version, &keys);
    let mut free: HashMap<String, Place> = free.into_iter().map(|p| (p.key.clone(), p)).collect();
    let open: HashMap<String, i64> = open.into_iter().collect();
    let mut taken = HashSet::new();
    let mut places = Vec::new();
    for (request, key) in wanted {
        // The open case may be the one that ends with this, or one that has ended in this batch.
        let ends = |case: i64| {
            let own = case == request.case_id && request.afterwards == Afterwards::Ends;
            own || batch
                .find(case)
                .is_some_and(|i| batch.cases[i].case.state.is_over())
        };
        let place = match open.get(&key) {
            Some(case) if ends(*case) => Some(Place {
                key: key.clone(),
                ended: Some(*case),
            }),
            Some(_) => None,
            None => free.remove(&key),
        };
        match place.filter(|_| taken.insert(key.clone())) {
            Some(place) => places.push((request, place)),
            None => {
                let name = &version.subject.name;
                let error = Error::new(
                    ErrorCode::State,
                    format!(
                        "{name} {key} already has an open case of workflow \"{}\"",
                        request.workflow
                    ),
                )
                .hint(format!("End that case, {THEN}."));
                answers.push((request, Err(error)));
            }
        }
    }
    places
}

/// Tells the cases that asked. Those that go on are asked about first, with one query for each version.
fn answer(batch: &mut Batch, answers: Answered) {
    let mut go_on: BTreeMap<i32, Vec<(usize, StartRequest, Option<i64>)>> = BTreeMap::new();
    for (request, answer) in answers {
        let Some(index) = batch.find(request.case_id) else {
            continue;
        };
        let case = &mut batch.cases[index].case;
        let out = &mut batch.effects;
        let env = batch.context.env();
        match (answer, request.afterwards) {
            (Ok(other), Afterwards::GoesOn) => {
                let group = go_on.entry(case.version_id).or_default();
                group.push((index, request, other));
            }
            (Ok(other), Afterwards::Ends) => case.continued(&request, other, &env, out),
            (Ok(_), Afterwards::Waits) => {}
            // Of a call, which then fails as a whole.
            (Err(error), _) if request.step == START => raise(error),
            (Err(error), _) => {
                let step = case.program.step_name(request.step);
                let error = Error {
                    message: format!("step \"{step}\": {}", error.message),
                    ..error
                };
                if let Some(token) = case.token_of(request.step, request.visit) {
                    case.fail(token, &error, &env, out);
                }
            }
        }
    }
    for group in go_on.into_values() {
        let cases: Vec<usize> = group.iter().map(|(index, _, _)| *index).collect();
        let Some(rows) = batch.ask_watch(&cases) else {
            continue;
        };
        let env = batch.context.env();
        for (nth, (index, request, other)) in group.iter().enumerate() {
            let case = &mut batch.cases[*index].case;
            case.started_another(request, *other, &rows.facts(nth), &env, &mut batch.effects);
        }
    }
}
