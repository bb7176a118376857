//! wf.agree_plan: payment plans. A plan stands in the vars of its case; what comes next in it is for the rules.

use chrono::NaiveDate;
use pgrx::AnyNumeric;
use pgrx::datum::Date;
use pgrx::prelude::*;
use workflow_core::collections::plan::Instalment;
use workflow_core::{Error, ErrorCode};

use super::by_hand::amount_given;
use super::promises::day;
use crate::api::{OpenSteps, act, actor, given, open_steps, unknown_case};
use crate::engine::as_engine;
use crate::people::must_see;
use crate::pg::acting::current_role;
use crate::pg::raise::raise;
use crate::pg::spi;
use crate::pg::types::arg;

/// Enters a payment plan; gives back the open steps of the case that follows it.
#[pg_extern(sql = false)]
fn agree_plan(
    case_id: Option<i64>,
    due: Option<Vec<Option<Date>>>,
    amounts: Option<Vec<Option<AnyNumeric>>>,
) -> OpenSteps {
    let case = given("case_id", case_id);
    let days: Vec<NaiveDate> = given("due", due)
        .into_iter()
        .map(|one| day(given("due", one)))
        .collect();
    let amounts: Vec<String> = given("amounts", amounts)
        .into_iter()
        .map(|one| amount_given("an amount", one))
        .collect();
    if days.len() != amounts.len() {
        raise(
            Error::new(
                ErrorCode::Input,
                format!(
                    "{} days and {} amounts are given",
                    days.len(),
                    amounts.len()
                ),
            )
            .hint("Give an amount for each day."),
        );
    }
    let instalments: Vec<Instalment> = days
        .into_iter()
        .zip(amounts)
        .map(|(due, amount)| Instalment { due, amount })
        .collect();
    let (actor, caller) = (actor(), current_role());
    as_engine(|| {
        must_see(case, caller);
        let found = act(&[case], &actor, &|batch, index, facts| {
            let env = batch.context.env();
            let plan = instalments.clone();
            let case = &mut batch.cases[index].case;
            case.agree_plan(plan, facts, &env, &mut batch.effects)
        });
        if found == 0 {
            unknown_case(case);
        }
        // The latest case that this one has started; itself if it has started none.
        let follows = spi::query(
            "SELECT coalesce(max(l.case_id), $1) FROM wf.cases AS c
             LEFT JOIN wf.case_links AS l ON l.started_by = c.case_id AND c.outcome = 'continued'
             WHERE c.case_id = $1",
            &[arg(case)],
        );
        open_steps(follows.first().map_or(case, |row| row.must(1)))
    })
}
