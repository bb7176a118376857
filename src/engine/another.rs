//! Cases that steps of other cases have asked for: made just before the batch is written, and linked to those.
//!
//! A workflow that is off, not there, about other rows, or that has an open case for the row is an incident of the step
//! that asked for it, never a silent end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use workflow_core::document::Runs;
use workflow_core::game::StartRequest;
use workflow_core::kinds::Afterwards;
use workflow_core::program::START;
use workflow_core::{Error, ErrorCode};

use super::awaited::hush_new;
use super::batch::{Batch, new_case};
use super::enrol::{Place, account, free_for_call};
use super::members;
use super::question::Question;
use super::starting::{self, Start};
use super::versions::{Version, find_workflow, version};
use crate::accounts::exclusive;
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
            !r.afterwards.waits()
                && before.get(&r.case_id).copied().unwrap_or(0) >= i64::from(r.limit)
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
    let asking = requests.iter().filter(|r| !r.afterwards.waits());
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
    let version = version(published);
    match version.program.document.runs {
        Runs::Strategy => Err(Error::new(
            ErrorCode::State,
            format!("workflow \"{name}\" is a default strategy"),
        )
        .hint(format!("Set it with wf.set_strategy, {THEN}."))),
        _ => Ok(version),
    }
}

/// A case to be started: for which of the requests, and about which rows. The first one carries it.
struct Wanted {
    request: usize,
    places: Vec<Place>,
}

/// Starts the cases of one version that requests ask for: one each, or one for each row. A request gets all of its cases,
/// or none and an error.
fn start_all(
    batch: &mut Batch,
    version: &Rc<Version>,
    requests: Vec<StartRequest>,
    answers: &mut Answered,
) {
    let mut refused: HashMap<usize, Error> = HashMap::new();
    let wanted = places(batch, version, &requests, &mut refused);
    let vars: Vec<Option<String>> = requests
        .iter()
        .map(|request| batch.cases[batch.find(request.case_id)?].case.vars.clone())
        .collect();
    let plan = version.reads.of_start(version);
    let questions: Vec<Question<'_>> = wanted
        .iter()
        .flat_map(|w| w.places.iter().map(|place| (w.request, place)))
        .map(|(request, place)| Question {
            key: &place.key,
            vars: vars[request].as_deref(),
            answers: None,
        })
        .collect();
    let rows = plan.ask(&questions);
    drop(questions);
    let mut first = 0;
    let mut firsts = Vec::with_capacity(wanted.len());
    for w in &wanted {
        firsts.push(first);
        for (place, nth) in w.places.iter().zip(first..) {
            let facts = rows.facts(nth);
            if !facts.found || !version.is_eligible(&facts) {
                let request = &requests[w.request];
                let error = refused.entry(w.request);
                error.or_insert_with(|| not_eligible(version, request, &place.key));
            }
        }
        first += w.places.len();
    }
    let mut links: Vec<(i64, StartRequest)> = Vec::new();
    let mut started: HashMap<usize, i64> = HashMap::new();
    let wanted: Vec<(Wanted, usize)> = wanted
        .into_iter()
        .zip(firsts)
        .filter(|(w, _)| !refused.contains_key(&w.request))
        .collect();
    let Start::Numbers(ids) = starting::start(version, wanted.len(), true) else {
        let error = starting::dropped(version).hint(format!("Define and publish it, {THEN}."));
        answers.extend(requests.into_iter().map(|r| (r, Err(error.clone()))));
        return;
    };
    for ((w, first), id) in wanted.into_iter().zip(ids) {
        let request = &requests[w.request];
        let facts = rows.facts(first);
        let mut places = w.places.into_iter();
        let Some(place) = places.next() else {
            continue;
        };
        let mut other = new_case(id, version, place, vars[w.request].clone());
        other.others = places.collect();
        for (place, position) in other.others.iter().zip(1..) {
            let member = members::member(place.key.clone(), position);
            other.case.members.push(member);
        }
        other.account = account(version, &facts);
        if request.afterwards.waits() {
            other.case.memory.awaited_by = Some(request.case_id);
        }
        let env = batch.context.env();
        other.case.begin_by_call(&facts, &env, &mut batch.effects);
        batch.cases.push(other);
        links.push((id, request.clone()));
        started.entry(w.request).or_insert(id);
    }
    link(&links);
    let waited = links.iter().filter(|(_, r)| r.afterwards.waits());
    let waited: Vec<(i64, i64)> = waited.map(|(case, r)| (*case, r.case_id)).collect();
    hush_new(batch, &waited);
    for (index, request) in requests.into_iter().enumerate() {
        let answer = match refused.remove(&index) {
            Some(error) => Err(error),
            None => Ok(started.get(&index).copied()),
        };
        answers.push((request, answer));
    }
}

fn not_eligible(version: &Version, request: &StartRequest, key: &str) -> Error {
    let (subject, workflow) = (&version.subject.name, &request.workflow);
    Error::new(
        ErrorCode::State,
        format!("{subject} {key} is not eligible for a case of workflow \"{workflow}\""),
    )
    .hint(format!("Mend the row, {THEN}."))
}

/// Notes which case has started which, and which step run waits for it.
fn link(links: &[(i64, StartRequest)]) {
    if links.is_empty() {
        return;
    }
    let waits = |(_, r): &(i64, StartRequest)| r.afterwards.waits().then_some((r.step, r.visit));
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

/// The keys of the new cases, each with its request: those of the case that asks. A request that asks for a case about
/// another subject is refused.
fn keys_of(
    batch: &Batch,
    version: &Version,
    requests: &[StartRequest],
    refused: &mut HashMap<usize, Error>,
) -> Vec<(usize, Vec<String>)> {
    let mut wanted: Vec<(usize, Vec<String>)> = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let Some(asking) = batch.find(request.case_id) else {
            continue;
        };
        let loaded = &batch.cases[asking];
        if loaded.version.subject.id != version.subject.id {
            let error = Error::new(
                ErrorCode::State,
                format!(
                    "workflow \"{}\" is about subject \"{}\", and this case about \"{}\"",
                    request.workflow, version.subject.name, loaded.version.subject.name
                ),
            )
            .hint(format!("Name a workflow about the same subject, {THEN}."));
            refused.insert(index, error);
            continue;
        }
        let members = loaded.case.members.iter().map(|member| member.key.clone());
        let rest = members.filter(|key| *key != loaded.case.key);
        let mut keys: Vec<String> = [loaded.case.key.clone()].into_iter().chain(rest).collect();
        if request.afterwards == Afterwards::WaitsForEach {
            wanted.extend(keys.into_iter().map(|key| (index, vec![key])));
            continue;
        }
        if !version.program.concerns_several() {
            keys.truncate(1);
        }
        wanted.push((index, keys));
    }
    wanted
}

/// Where the new cases go, for those of the requests that may have them; the others are refused.
fn places(
    batch: &Batch,
    version: &Version,
    requests: &[StartRequest],
    refused: &mut HashMap<usize, Error>,
) -> Vec<Wanted> {
    let wanted = keys_of(batch, version, requests, refused);
    let keys: Vec<String> = wanted.iter().flat_map(|(_, keys)| keys.clone()).collect();
    let (free, open) = free_for_call(version, &keys);
    let mut free: HashMap<String, Place> = free.into_iter().map(|p| (p.key.clone(), p)).collect();
    let open: HashMap<String, i64> = open.into_iter().collect();
    let exclusive = exclusive::taken(version, &keys);
    let mut taken = HashSet::new();
    let mut places = Vec::new();
    for (index, keys) in wanted {
        let request = &requests[index];
        // The open case may be the one that ends with this, or one that has ended in this batch.
        let ends = |case: i64| {
            let own = case == request.case_id && request.afterwards == Afterwards::Ends;
            own || batch
                .find(case)
                .is_some_and(|i| batch.cases[i].case.state.is_over())
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(other) = exclusive.get(&key).filter(|other| !ends(other.case)) {
                refused.entry(index).or_insert(other.error(version, &key));
                continue;
            }
            let place = match open.get(&key) {
                Some(case) if ends(*case) => Some(Place {
                    key: key.clone(),
                    ended: Some(*case),
                }),
                Some(_) => None,
                None => free.remove(&key),
            };
            match place.filter(|_| taken.insert(key.clone())) {
                Some(place) => found.push(place),
                None => {
                    let message = format!(
                        "{} {key} already has an open case of workflow \"{}\"",
                        version.subject.name, request.workflow
                    );
                    let error = Error::new(ErrorCode::State, message)
                        .hint(format!("End that case, {THEN}."));
                    refused.entry(index).or_insert(error);
                }
            }
        }
        places.push(Wanted {
            request: index,
            places: found,
        });
    }
    places.retain(|wanted| !refused.contains_key(&wanted.request));
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
            (Ok(_), Afterwards::Waits | Afterwards::WaitsForEach) => {}
            // Of a call, which then fails as a whole.
            (Err(error), _) if request.step == START => raise(error),
            (Err(error), _) => case.refused(request.step, request.visit, error, out),
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
