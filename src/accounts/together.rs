//! Workflows of whole accounts (`"subjects": "account"`): rows that a start rule takes join the open case of their account, or
//! begin one together. The primary key of wf.open_accounts is the guard: one open case for an account and workflow.

use std::collections::HashMap;
use std::rc::Rc;

use pgrx::PgSqlErrorCode;
use workflow_core::document::Subjects;

use crate::engine::batch::{Batch, Loaded, new_case};
use crate::engine::enrol::{Place, account, by_rule};
use crate::engine::members;
use crate::engine::reads::Answers;
use crate::engine::versions::Version;
use crate::pg::raise::{OrRaise, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// Rows of an account, each with its place among the answers.
type Group = (Option<String>, Vec<(Place, usize)>);

/// Whether a workflow's cases are about whole accounts.
pub fn is_of_accounts(version: &Version) -> bool {
    version.program.document.subjects == Subjects::Account
}

/// Has rows that the start rule takes join the open case of their account, or begins one for all rows of an account. A row
/// without an account gets a case of its own. Gives back which case each row is in, by key;
/// rows that would join a case that somebody is at are added to `busy`.
pub fn start(
    version: &Rc<Version>,
    places: Vec<(Place, usize)>,
    answers: &Answers,
    actor: &str,
    busy: &mut Vec<String>,
) -> Vec<(String, i64)> {
    // In the order in which they came.
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: HashMap<String, usize> = HashMap::new();
    for (place, answer) in places {
        let account = account(version, &answers.facts(answer));
        let known = account.as_ref().and_then(|a| group_of.get(a).copied());
        let position = known.unwrap_or_else(|| {
            groups.push((account.clone(), Vec::new()));
            if let Some(account) = account {
                group_of.insert(account, groups.len() - 1);
            }
            groups.len() - 1
        });
        groups[position].1.push((place, answer));
    }
    let open = open_cases(version, group_of.keys());
    let ids: Vec<i64> = open.values().copied().collect();
    let mut batch = Batch::load_free(&ids, actor);
    let mut started = Vec::new();
    groups.retain(|(account, places)| {
        let Some(case) = account.as_ref().and_then(|account| open.get(account)) else {
            return true;
        };
        for (place, _) in places {
            match batch.find(*case) {
                Some(index) => {
                    let joining = &mut batch.cases[index].case;
                    if joining.add_member(&place.key, &mut batch.effects).is_ok() {
                        started.push((place.key.clone(), *case));
                    }
                }
                None => busy.push(place.key.clone()),
            }
        }
        false
    });
    if !batch.cases.is_empty() {
        batch.flush();
    }
    let mut batch = Batch::new(actor);
    let keys = groups.iter().flat_map(|(_, places)| places);
    let keys = keys.map(|(place, _)| place.key.as_str());
    let Some(ids) = by_rule(version, groups.len(), keys, busy) else {
        return started;
    };
    for (id, (account, places)) in ids.into_iter().zip(groups) {
        let mut places = places.into_iter();
        let Some((first, answer)) = places.next() else {
            continue;
        };
        let mut loaded = new_case(id, version, first, None);
        loaded.account = account;
        for ((place, _), position) in places.zip(1..) {
            let member = members::member(place.key.clone(), position);
            loaded.case.members.push(member);
            loaded.others.push(place);
        }
        let env = batch.context.env();
        let facts = answers.facts(answer);
        let begun = loaded
            .case
            .begin_by_rule(&facts, &env, &mut batch.effects)
            .or_raise();
        if begun {
            started.extend(loaded.case.keys().into_iter().map(|key| (key, id)));
            batch.cases.push(loaded);
        }
    }
    batch.flush();
    started
}

fn open_cases<'a>(
    version: &Version,
    accounts: impl Iterator<Item = &'a String>,
) -> HashMap<String, i64> {
    let accounts: Vec<&str> = accounts.map(String::as_str).collect();
    if accounts.is_empty() {
        return HashMap::new();
    }
    let rows = spi::query(
        "SELECT a.account, a.case_id FROM wf.open_accounts AS a
         WHERE a.account = ANY ($1) AND a.workflow_id = $2",
        &[array(accounts), arg(version.workflow_id)],
    );
    rows.iter().map(|row| (row.must(1), row.must(2))).collect()
}

/// Writes which accounts have a case, and which have none any more.
pub fn write(cases: &[Loaded]) {
    let all = || cases.iter().filter(|c| is_of_accounts(&c.version));
    let ended: Vec<i64> = all()
        .filter(|loaded| loaded.case.state.is_over() && loaded.before.is_some())
        .map(|loaded| loaded.case.id)
        .collect();
    if !ended.is_empty() {
        spi::query(
            "DELETE FROM wf.open_accounts AS a WHERE a.case_id = ANY ($1)",
            &[array(ended)],
        );
    }
    let mut new: Vec<(&Loaded, &str)> = all()
        .filter(|loaded| loaded.before.is_none() && !loaded.case.state.is_over())
        .filter_map(|loaded| Some((loaded, loaded.account.as_deref()?)))
        .collect();
    if new.is_empty() {
        return;
    }
    // As the rows of wf.case_subjects: two who begin with the same accounts wait for each other's first one only.
    new.sort_unstable_by_key(|(_, account)| *account);
    let rows = spi::query(
        "INSERT INTO wf.open_accounts (account, workflow_id, case_id)
         SELECT unnest($1::text[]), unnest($2::int[]), unnest($3::bigint[])
         ON CONFLICT (account, workflow_id) DO NOTHING RETURNING case_id",
        &[
            array(new.iter().map(|(_, account)| *account)),
            array(new.iter().map(|(loaded, _)| loaded.version.workflow_id)),
            array(new.iter().map(|(loaded, _)| loaded.case.id)),
        ],
    );
    if rows.len() == new.len() {
        return;
    }
    let taken: Vec<i64> = rows.iter().map(|row| row.must(1)).collect();
    let refused = new.iter().find(|(l, _)| !taken.contains(&l.case.id));
    if let Some((loaded, account)) = refused {
        let accounts = [(*account).to_owned()];
        let open = open_cases(&loaded.version, accounts.iter());
        refuse(&loaded.version, account, open.get(*account).copied());
    }
}

fn refuse(version: &Version, account: &str, case: Option<i64>) -> ! {
    let name = &version.program.document.name;
    // None: the other case is another one of this very call.
    let which = case.map_or(String::new(), |case| format!(": case {case}"));
    let hint = case.map_or_else(
        || "Start one case for all rows of an account.".to_owned(),
        |case| format!("Have the row join it: SELECT wf.add_subject({case}, …)."),
    );
    raise_as(
        PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        format!("account {account} already has an open case of workflow \"{name}\"{which}"),
        Some("The workflow is about whole accounts.".to_owned()),
        Some(hint),
    )
}
