//! wf.start, for one row or several together, and wf.start_many, for a case each.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use workflow_core::game::parse_data;

use super::{OpenSteps, actor, given, open_steps};
use crate::accounts::{exclusive, strategy, together};
use crate::engine::as_engine;
use crate::engine::batch::{Batch, new_case};
use crate::engine::enrol::{Place, account, free_for_call};
use crate::engine::members;
use crate::engine::question::Question;
use crate::engine::reads::Answers;
use crate::engine::starting::numbers;
use crate::engine::versions::{Version, version, workflow};
use crate::pg::json::JsonbText;
use crate::pg::raise::{OrRaise, raise_as};
use crate::pg::spi;
use crate::pg::subtransaction::attempt;
use crate::settings;

/// Starts a case of a workflow for one row of its subject, now, whatever the start rule says.
#[pg_extern(sql = false)]
fn start(workflow: Option<&str>, key: Option<String>, vars: Option<JsonbText>) -> OpenSteps {
    let (workflow, key) = (given("workflow", workflow), given("key", key));
    let vars = vars.map(|v| v.0);
    let actor = actor();
    as_engine(|| {
        let version = startable(workflow);
        let keys = version.subject.canonical_keys(&[key]);
        let places = free(&version, &keys, workflow);
        let ids = create(&version, places, vars.as_deref(), &actor);
        open_steps(ids[0])
    })
}

/// Starts a case for each key that has no open case of the workflow yet; gives back how many.
#[pg_extern(sql = false)]
fn start_many(
    workflow: Option<&str>,
    keys: Option<Vec<Option<String>>>,
    vars: Option<JsonbText>,
) -> i64 {
    let (workflow, keys) = (given("workflow", workflow), given("keys", keys));
    let mut keys: Vec<String> = keys.into_iter().map(|key| given("keys", key)).collect();
    let vars = vars.map(|v| v.0);
    let actor = actor();
    as_engine(|| {
        let version = startable(workflow);
        if together::is_of_accounts(&version) {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("a case of workflow \"{workflow}\" is about a whole account"),
                None,
                Some("Start one for the rows of each account, with wf.start.".to_owned()),
            );
        }
        let mut seen = HashSet::new();
        let size = usize::try_from(settings::batch_size())
            .unwrap_or(1000)
            .max(1);
        if keys.len() > size {
            // Each chunk is written in the order of its keys; so that all of them are, too. See `members::write_new`.
            keys.sort_unstable();
        }
        let mut started = 0;
        for chunk in keys.chunks(size) {
            // A connection a chunk, so that its memory goes with it.
            started += spi::connected(|| {
                let mut chunk = version.subject.canonical_keys(chunk);
                chunk.retain(|key| seen.insert(key.clone()));
                start_free(&version, &chunk, vars.as_deref(), &actor)
            });
        }
        i64::try_from(started).unwrap_or(i64::MAX)
    })
}

/// Starts a case for each of the keys that has none, and says how many. Somebody else may start one of them meanwhile: then
/// that one is left out as well.
fn start_free(version: &Rc<Version>, keys: &[String], vars: Option<&str>, actor: &str) -> usize {
    let start = || {
        let (mut places, _) = free_for_call(version, keys);
        exclusive::leave_out(version, &mut places);
        create(version, places, vars, actor).len()
    };
    for _ in 0..MEETINGS {
        match attempt(AssertUnwindSafe(start)) {
            Ok(started) => return started,
            Err(failure) if failure.sqlstate == UNIQUE_VIOLATION => {}
            Err(failure) => failure.raise(),
        }
    }
    start()
}

/// How often somebody else may be faster with one of a thousand rows.
const MEETINGS: u32 = 10;

const UNIQUE_VIOLATION: &str = "23505";

/// The published version of a workflow that is on.
fn startable(name: &str) -> Rc<Version> {
    let row = workflow(name);
    let Some(published) = row.published else {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("workflow \"{name}\" has no published version"),
            None,
            Some(format!("Publish it: SELECT wf.publish('{name}').")),
        );
    };
    if !row.enabled {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("workflow \"{name}\" is off"),
            None,
            Some(format!("Turn it on: SELECT wf.enable('{name}').")),
        );
    }
    let version = version(published);
    strategy::refuse_by_hand(&version);
    version
}

/// Where the new cases go. Raises 23505 if one of the rows has an open case already.
pub fn free(version: &Version, keys: &[String], workflow: &str) -> Vec<Place> {
    let (places, open) = free_for_call(version, keys);
    if let Some((key, case)) = open.into_iter().next() {
        raise_as(
            PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
            format!(
                "{} {key} already has an open case of workflow \"{workflow}\": case {case}",
                version.subject.name
            ),
            None,
            Some(format!(
                "Go on with case {case}, or end it first: SELECT wf.cancel({case})."
            )),
        );
    }
    exclusive::refuse_if_taken(version, keys);
    places
}

/// Starts one case of a workflow for several rows of its subject; the first of them carries it.
#[pg_extern(sql = false)]
fn start_together(
    workflow: Option<&str>,
    keys: Option<Vec<Option<String>>>,
    vars: Option<JsonbText>,
) -> OpenSteps {
    let (workflow, keys) = (given("workflow", workflow), given("keys", keys));
    let keys: Vec<String> = keys.into_iter().map(|key| given("keys", key)).collect();
    let vars = vars.map(|v| v.0);
    let actor = actor();
    as_engine(|| {
        let version = startable(workflow);
        let mut keys = version.subject.canonical_keys(&keys);
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        if keys.is_empty() {
            raise_as(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "keys is empty",
                None,
                Some(format!(
                    "Give the key of at least one {}.",
                    version.subject.name
                )),
            );
        }
        if keys.len() > 1 && !version.program.concerns_several() {
            raise_as(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "a case of workflow \"{workflow}\" concerns one {} only",
                    version.subject.name
                ),
                None,
                Some("Start a case for each with wf.start_many, or say \"subjects\": \"several\" in the document.".to_owned()),
            );
        }
        let places = free(&version, &keys, workflow);
        open_steps(create_together(&version, places, vars.as_deref(), &actor))
    })
}

/// What is known of rows that are to get a case. Refuses keys without a row, and rows that are not eligible.
pub fn ask(version: &Rc<Version>, places: &[Place], vars: Option<&str>) -> Answers {
    if let Some(vars) = vars {
        parse_data(vars).or_raise();
    }
    let plan = version.reads.of_start(version);
    let questions: Vec<Question<'_>> = places
        .iter()
        .map(|place| Question {
            key: &place.key,
            vars,
            answers: None,
        })
        .collect();
    let answers = plan.ask(&questions);
    refuse(version, places, "do not exist", &|i| {
        !answers.facts(i).found
    });
    refuse(version, places, "are not eligible for a case", &|i| {
        !version.is_eligible(&answers.facts(i))
    });
    answers
}

/// Creates and begins cases for keys that have none.
fn create(version: &Rc<Version>, places: Vec<Place>, vars: Option<&str>, actor: &str) -> Vec<i64> {
    if places.is_empty() {
        return Vec::new();
    }
    let answers = ask(version, &places, vars);
    let mut batch = Batch::new(actor);
    let ids = numbers(version, places.len());
    for (index, (id, place)) in ids.iter().zip(places).enumerate() {
        let facts = answers.facts(index);
        let mut loaded = new_case(*id, version, place, vars.map(str::to_owned));
        loaded.account = account(version, &facts);
        let env = batch.context.env();
        loaded.case.begin_by_call(&facts, &env, &mut batch.effects);
        batch.cases.push(loaded);
    }
    batch.flush();
    ids
}

/// Creates and begins one case for rows of one account.
fn create_together(
    version: &Rc<Version>,
    mut places: Vec<Place>,
    vars: Option<&str>,
    actor: &str,
) -> i64 {
    let answers = ask(version, &places, vars);
    let accounts: Vec<_> = (0..places.len())
        .map(|i| account(version, &answers.facts(i)))
        .collect();
    for (place, other) in places.iter().zip(&accounts) {
        same_account(version, (&places[0].key, &accounts[0]), (&place.key, other));
    }
    let mut batch = Batch::new(actor);
    let id = numbers(version, 1)[0];
    let others = places.split_off(1);
    let mut loaded = new_case(id, version, places.remove(0), vars.map(str::to_owned));
    loaded.account = accounts.into_iter().next().flatten();
    for (place, position) in others.iter().zip(1..) {
        let member = members::member(place.key.clone(), position);
        loaded.case.members.push(member);
    }
    loaded.others = others;
    let env = batch.context.env();
    let facts = answers.facts(0);
    loaded.case.begin_by_call(&facts, &env, &mut batch.effects);
    batch.cases.push(loaded);
    batch.flush();
    id
}

/// The rows of a case belong to one account.
pub fn same_account(
    version: &Version,
    (key, account): (&str, &Option<String>),
    (other_key, other): (&str, &Option<String>),
) {
    if account == other {
        return;
    }
    let subject = &version.subject.name;
    let of = |account: &Option<String>| account.clone().unwrap_or_else(|| "none".to_owned());
    raise_as(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{subject} {key} and {subject} {other_key} belong to different accounts"),
        Some(format!(
            "{key} belongs to {}, {other_key} to {}.",
            of(account),
            of(other)
        )),
        Some("A case concerns rows of one account; start one for each account.".to_owned()),
    );
}

fn refuse(version: &Version, places: &[Place], what: &str, wrong: &dyn Fn(usize) -> bool) {
    let wrong: Vec<&str> = (0..places.len())
        .filter(|i| wrong(*i))
        .map(|i| places[i].key.as_str())
        .collect();
    let Some(first) = wrong.first() else { return };
    let name = &version.subject.name;
    let message = if wrong.len() == 1 {
        let what = what
            .replace("do not exist", "does not exist")
            .replace("are not", "is not");
        format!("{name} {first} {what}")
    } else {
        format!("{} rows of subject \"{name}\" {what}", wrong.len())
    };
    let shown: Vec<&str> = wrong.iter().copied().take(10).collect();
    raise_as(
        PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
        message,
        Some(format!(
            "Keys: {}{}.",
            shown.join(", "),
            if wrong.len() > 10 { ", …" } else { "" }
        )),
        Some(
            "Cases are about rows of the subject's details that its eligible condition takes."
                .to_owned(),
        ),
    )
}
