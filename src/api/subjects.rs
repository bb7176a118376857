//! Rows that join a case or leave it by somebody's call: wf.add_subject, wf.remove_subject.

use pgrx::prelude::*;

use super::start::{ask, free, same_account};
use super::{OpenSteps, call, given};
use crate::engine::enrol::account;
use crate::engine::members;
use crate::pg::spi;
use crate::pg::types::arg;

/// Has a row join an open case that may concern several.
#[pg_extern(sql = false)]
fn add_subject(case_id: Option<i64>, key: Option<String>) -> OpenSteps {
    let key = given("key", key);
    call(given("case_id", case_id), &|batch, index, _| {
        let version = batch.cases[index].version.clone();
        let keys = version.subject.canonical_keys(std::slice::from_ref(&key));
        let case = &mut batch.cases[index].case;
        case.add_member(&keys[0], &mut batch.effects)?;
        let places = free(&version, &keys, &version.program.document.name);
        let answers = ask(&version, &places, case.vars.as_deref());
        let own = spi::query(
            "SELECT c.account FROM wf.cases AS c WHERE c.case_id = $1",
            &[arg(case.id)],
        );
        let own = own.first().and_then(|row| row.get(1));
        let joining = account(&version, &answers.facts(0));
        same_account(&version, (&case.key, &own), (&keys[0], &joining));
        Ok(())
    })
}

/// Takes a row out of a case that concerns several.
#[pg_extern(sql = false)]
fn remove_subject(case_id: Option<i64>, key: Option<String>, reason: Option<String>) -> OpenSteps {
    let key = given("key", key);
    let reason = reason.unwrap_or_else(|| "removed".to_owned());
    call(given("case_id", case_id), &|batch, index, _| {
        // How the others look, for one of them may have to take over.
        batch.cases[index].case.must_be_open()?;
        members::look(batch);
        if batch.cases[index].case.state.is_over() {
            return Ok(());
        }
        let subject = batch.cases[index].version.subject.clone();
        let keys = subject.canonical_keys(std::slice::from_ref(&key));
        let env = batch.context.env();
        let case = &mut batch.cases[index].case;
        case.remove_member(&keys[0], &reason, &env, &mut batch.effects)
    })
}
