//! wf.charge and wf.waive_charge: what people charge and take back.

use pgrx::AnyNumeric;
use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;
use workflow_core::{Error, ErrorCode};

use super::charges::suspended;
use crate::api::{actor, given, now, unknown_case};
use crate::engine::as_engine;
use crate::engine::batch::Batch;
use crate::pg::raise::{OrRaise, raise, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, optional};

/// An amount of money that a call gives, as the text of a plain number. Raises 22023 unless it is above zero.
pub fn amount_given(name: &str, amount: Option<AnyNumeric>) -> String {
    let text = given(name, amount).to_string();
    let above_zero = text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    if !above_zero || text.starts_with('-') || text.contains(|c: char| c.is_alphabetic()) {
        raise(
            Error::new(ErrorCode::Input, format!("{name} is {text}"))
                .hint("Give an amount above zero."),
        );
    }
    text
}

/// Charges a fee to the row of a case.
#[pg_extern(sql = false)]
fn charge_by_hand(
    case_id: Option<i64>,
    amount: Option<AnyNumeric>,
    label: Option<&str>,
    currency: Option<&str>,
) -> i64 {
    let (case, label) = (given("case_id", case_id), given("label", label));
    let amount = amount_given("amount", amount);
    let actor = actor();
    as_engine(|| {
        let batch = Batch::load(&[case], actor.as_str());
        let Some(loaded) = batch.cases.first() else {
            unknown_case(case);
        };
        loaded.case.must_be_open().or_raise();
        let row = (loaded.version.subject.id, loaded.case.key.clone());
        let rests = suspended(&[&row]);
        let mut rests = rests.values().flatten();
        if let Some(rest) = rests.find(|rest| rest.until.is_none_or(|until| until > now())) {
            raise(
                Error::new(
                    ErrorCode::State,
                    format!("nothing can be charged in case {case} now: {}", rest.reason),
                )
                .hint("Charge it when that is over."),
            );
        }
        let rows = spi::query(
            "INSERT INTO wf.charges (subject_id, key, case_id, kind, label, amount, currency, charged_at, charged_by)
             VALUES ($1, $2, $3, 'fee', $4, $5::text::numeric, $6, $7, $8) RETURNING charge_id",
            &[
                arg(row.0),
                arg(row.1.as_str()),
                arg(case),
                arg(label),
                arg(amount.as_str()),
                optional(currency),
                arg(now()),
                arg(actor.as_str()),
            ],
        );
        rows.first().map_or(0, |row| row.must(1))
    })
}

/// Takes a charge back.
#[pg_extern(sql = false)]
fn waive_charge(charge_id: Option<i64>, reason: Option<&str>) {
    let (charge, reason) = (given("charge_id", charge_id), given("reason", reason));
    let actor = actor();
    as_engine(|| {
        let rows = spi::query(
            "UPDATE wf.charges AS c SET waived_at = coalesce(c.waived_at, $2), waived_by = coalesce(c.waived_by, $3),
                    reason = coalesce(c.reason, $4)
             WHERE c.charge_id = $1 RETURNING c.charge_id",
            &[arg(charge), arg(now()), arg(actor.as_str()), arg(reason)],
        );
        if rows.first().is_none() {
            raise_as(
                PgSqlErrorCode::ERRCODE_NO_DATA_FOUND,
                format!("charge {charge} does not exist"),
                None,
                Some("wf.charges lists the charges.".to_owned()),
            );
        }
    });
}
