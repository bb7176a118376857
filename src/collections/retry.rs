//! Retries: cases that start when contact data come which their row had not before, after another workflow has ended in
//! vain.
//!
//! Which data a row has had stands in wf.contact_data, filled as rows are looked at. What is seen of a row for the first
//! time is what it has, and nothing new: a workflow that is turned on does not take everybody for somebody new.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use serde_json::json;
use workflow_core::collections::contact::Means;
use workflow_core::document::Retries;
use workflow_core::game::Facts;

use crate::accounts::exclusive;
use crate::engine::batch::{Batch, new_case};
use crate::engine::enrol::{Place, account, free_for_call};
use crate::engine::question::Question;
use crate::engine::starting::{Start, start};
use crate::engine::versions::{Version, find_workflow};
use crate::pg::raise::raise;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// Contact data of a row: what it is, and the text that those have in common which reach the same.
type Data = BTreeMap<(Means, String), String>;

/// Looks at rows, remembers their contact data, and starts cases of a version for those with new ones. Gives back how
/// many.
pub fn retry(version: &Rc<Version>, retries: &Retries, keys: &[&str], actor: &str) -> i64 {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let plan = version.reads.of_start(version);
    let questions: Vec<Question<'_>> = keys
        .iter()
        .map(|key| Question {
            key,
            vars: None,
            answers: None,
        })
        .collect();
    let answers = plan.ask(&questions);
    drop(questions);
    let now: Vec<Data> = (0..keys.len())
        .map(|i| contact_data(version, &answers.facts(i)))
        .collect();
    let known = known(version, &keys);
    let fresh: Vec<Vec<&(Means, String)>> = keys
        .iter()
        .zip(&now)
        .map(|(key, data)| {
            let before = known.get(key);
            let new = |datum: &&(Means, String)| {
                !before.is_some_and(|before| before.contains(&entry(datum)))
            };
            data.keys().filter(new).collect()
        })
        .collect();
    remember(version, &keys, &fresh);
    let candidates: Vec<usize> = (0..keys.len())
        .filter(|i| {
            let facts = answers.facts(*i);
            let seen_before = known.contains_key(&keys[*i]);
            let starts = facts.found && version.program.starts(facts.conditions);
            seen_before && starts && !fresh[*i].is_empty()
        })
        .collect();
    let wanted: Vec<String> = candidates.iter().map(|i| keys[*i].clone()).collect();
    let in_vain = in_vain(version, retries, &wanted);
    let (mut free, _) = free_for_call(version, &wanted);
    exclusive::leave_out(version, &mut free);
    let mut free: HashMap<String, Place> = free.into_iter().map(|p| (p.key.clone(), p)).collect();
    let mut batch = Batch::new(actor);
    let mut started = 0;
    let wanted: Vec<(usize, Place)> = candidates
        .into_iter()
        .filter(|index| in_vain.contains(&keys[*index]))
        .filter_map(|index| Some((index, free.remove(&keys[index])?)))
        .collect();
    // Waits for somebody who is dropping the workflow: what is remembered above must go with a start that is put off.
    let Start::Numbers(ids) = start(version, wanted.len(), true) else {
        return 0;
    };
    for ((index, place), id) in wanted.into_iter().zip(ids) {
        let new: BTreeMap<&str, &String> = fresh[index]
            .iter()
            .map(|datum| (datum.0.name(), &now[index][*datum]))
            .collect();
        let old = known.get(&keys[index]);
        let vars = json!({ "new_contact": new, "old_contact": old }).to_string();
        let facts = answers.facts(index);
        let mut loaded = new_case(id, version, place, Some(vars));
        loaded.account = account(version, &facts);
        let env = batch.context.env();
        match loaded.case.begin_by_rule(&facts, &env, &mut batch.effects) {
            Ok(true) => {
                started += 1;
                batch.cases.push(loaded);
            }
            Ok(false) => {}
            Err(error) => raise(error),
        }
    }
    batch.flush();
    started
}

/// How a datum stands in wf.contact_data and in the vars.
fn entry((means, text): &(Means, String)) -> String {
    format!("{}:{text}", means.name())
}

/// The contact data of a row as it is now, each with the text that stands in the row.
fn contact_data(version: &Version, facts: &Facts<'_>) -> Data {
    let columns = version.program.contact_columns();
    columns
        .filter_map(|(means, column)| {
            let (text, _) = facts.row.get(column)?;
            let normalised = means.normalised(text);
            (!normalised.is_empty()).then(|| ((means, normalised), text.to_owned()))
        })
        .collect()
}

/// What is known of rows, by key; rows that have not been seen are missing.
fn known(version: &Version, keys: &[String]) -> HashMap<String, BTreeSet<String>> {
    let rows = spi::query(
        "SELECT d.key, d.datum FROM wf.contact_data AS d WHERE d.subject_id = $1 AND d.key = ANY ($2)",
        &[arg(version.subject.id), array(keys.iter())],
    );
    let mut known: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in rows.iter() {
        let data = known.entry(row.must(1)).or_default();
        // Without a text: the row was seen, with nothing in it.
        data.extend(row.get::<String>(2).filter(|datum| !datum.is_empty()));
    }
    known
}

/// Notes what is new of rows, and that they have been seen.
fn remember(version: &Version, keys: &[String], fresh: &[Vec<&(Means, String)>]) {
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (key, data) in keys.iter().zip(fresh) {
        rows.push((key, String::new()));
        rows.extend(data.iter().map(|datum| (key.as_str(), entry(datum))));
    }
    spi::query(
        "INSERT INTO wf.contact_data (subject_id, key, datum, seen_at)
         SELECT $1, n.key, n.datum, wf.now()
         FROM (SELECT unnest($2::text[]) AS key, unnest($3::text[]) AS datum) AS n
         ON CONFLICT DO NOTHING",
        &[
            arg(version.subject.id),
            array(rows.iter().map(|(key, _)| *key)),
            array(rows.iter().map(|(_, datum)| datum.as_str())),
        ],
    );
}

/// Those of the rows whose latest case of the workflow before has ended with the outcome that calls for a retry.
fn in_vain(version: &Version, retries: &Retries, keys: &[String]) -> HashSet<String> {
    let Some(before) = find_workflow(&retries.workflow).filter(|_| !keys.is_empty()) else {
        return HashSet::new();
    };
    let rows = spi::query(
        "SELECT s.key FROM wf.case_subjects AS s JOIN wf.cases AS c ON c.case_id = s.case_id
         WHERE s.key = ANY ($1) AND s.subject_id = $2 AND s.workflow_id = $3 AND s.slot = 0
           AND c.ended_at IS NOT NULL AND c.outcome = $4",
        &[
            array(keys.iter()),
            arg(version.subject.id),
            arg(before.id),
            arg(retries.outcome.as_str()),
        ],
    );
    rows.iter().map(|row| row.must(1)).collect()
}
