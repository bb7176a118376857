//! Charges that steps of a batch have asked for: what is known of their rows, and the rows of wf.charges.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use workflow_core::Error;
use workflow_core::collections::charges::{Assessed, Sum, Suspension, assess};
use workflow_core::game::{ChargeRequest, Env};

use crate::engine::batch::Batch;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of};

/// A time in which nothing accrues to a row; None at the end: it goes on.
pub struct Suspended {
    pub from: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    pub reason: String,
    /// A hold, not a breathing space.
    pub is_hold: bool,
}

/// A row of a subject: the subject's number and the key.
pub type RowKey = (i32, String);

/// Works out and writes what the steps of a batch charge.
pub fn charge(batch: &mut Batch) {
    let mut requests = Vec::new();
    for request in std::mem::take(&mut batch.effects.charges) {
        // A stop rule may have ended the case since.
        let index = batch.find(request.case_id).filter(|index| {
            let case = &batch.cases[*index].case;
            case.token_of(request.step, request.visit).is_some()
        });
        if let Some(index) = index {
            let loaded = &batch.cases[index];
            let row = (loaded.version.subject.id, loaded.case.key.clone());
            requests.push((index, row, request));
        }
    }
    let keys: Vec<&RowKey> = requests.iter().map(|(_, row, _)| row).collect();
    let suspended = suspended(&keys);
    let mut charged_until = charged_until(&requests);
    let mut charged = Vec::new();
    let mut answers: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    for (index, row, request) in &requests {
        let place = (row.clone(), request.currency.clone());
        let until = charged_until.get(&place).copied();
        let env = batch.context.env();
        let none = Vec::new();
        let rests = suspended.get(row).unwrap_or(&none);
        let assessed = in_days(rests, request, &env).and_then(|rests| {
            let (sum, decimals) = (&request.sum, request.decimals);
            assess(sum, decimals, request.today, until, &rests)
        });
        if let Ok(Assessed::Charged { amount, days }) = &assessed {
            if let Some((_, until, _)) = days {
                charged_until.insert(place, *until);
            }
            charged.push((*index, row, request, amount.clone(), *days));
        }
        answers
            .entry(batch.cases[*index].case.version_id)
            .or_default()
            .push((*index, request, assessed));
    }
    write(batch, &charged);
    for group in answers.into_values() {
        answer(batch, group);
    }
}

/// Tells the cases of one version that asked.
fn answer(batch: &mut Batch, group: Vec<(usize, &ChargeRequest, Result<Assessed, Error>)>) {
    let cases: Vec<usize> = group.iter().map(|(index, ..)| *index).collect();
    let Some(rows) = batch.ask_watch(&cases) else {
        return;
    };
    let env = batch.context.env();
    for (nth, (index, request, assessed)) in group.into_iter().enumerate() {
        let case = &mut batch.cases[index].case;
        let out = &mut batch.effects;
        match assessed {
            Ok(assessed) => case.charged(request, &assessed, &rows.facts(nth), &env, out),
            Err(error) => case.refused(request.step, request.visit, error, out),
        }
    }
}

/// Suspensions in the days of where the subject is. A day that a hold touches is one of its days. A breathing space ends
/// with the day before the one on which its case does: the engine may be late on that day, and a person may end it early.
fn in_days(
    rests: &[Suspended],
    request: &ChargeRequest,
    env: &Env<'_>,
) -> Result<Vec<Suspension>, Error> {
    let day = |at| Ok(env.zones.to_local(&request.zone, at)?.date());
    rests
        .iter()
        .map(|rest| {
            let until = match rest.until {
                Some(until) if rest.is_hold => {
                    // At midnight the day that begins is not touched.
                    Some(day(until - TimeDelta::microseconds(1))?)
                }
                Some(until) => day(until)?.pred_opt(),
                None => None,
            };
            Ok(Suspension {
                from: day(rest.from)?,
                until,
                reason: rest.reason.clone(),
            })
        })
        .collect()
}

/// When nothing accrued to some rows: their breathing spaces, and holds that stop charges.
pub fn suspended(rows: &[&RowKey]) -> HashMap<RowKey, Vec<Suspended>> {
    let found = spi::query(
        "SELECT n.subject_id, n.key, c.started_at, c.ended_at, 'breathing space', false
         FROM (SELECT DISTINCT unnest($1::int[]) AS subject_id, unnest($2::text[]) AS key) AS n
         JOIN wf.case_subjects AS s ON s.key = n.key AND s.subject_id = n.subject_id
         JOIN wf.cases AS c ON c.case_id = s.case_id
         JOIN wf.versions AS v ON v.version_id = c.version_id
         WHERE v.kind = 'breathing_space' AND c.started_at IS NOT NULL
         UNION ALL
         SELECT n.subject_id, n.key, h.held_at, least(h.released_at, h.until), 'on hold: ' || h.reason, true
         FROM (SELECT DISTINCT unnest($1::int[]) AS subject_id, unnest($2::text[]) AS key) AS n
         JOIN wf.case_subjects AS s ON s.key = n.key AND s.subject_id = n.subject_id
         JOIN wf.holds AS h ON h.case_id = s.case_id AND 'charges' = ANY (h.blocks)",
        &[
            array(rows.iter().map(|(subject, _)| *subject)),
            array(rows.iter().map(|(_, key)| key.as_str())),
        ],
    );
    let mut rests: HashMap<RowKey, Vec<Suspended>> = HashMap::new();
    for row in found.iter() {
        let rest = Suspended {
            from: row.must(3),
            until: row.get(4),
            reason: row.must(5),
            is_hold: row.must(6),
        };
        let key = (row.must(1), row.must(2));
        rests.entry(key).or_default().push(rest);
    }
    rests
}

type Place = (RowKey, Option<String>);

/// Up to when interest has been charged, by row and currency.
fn charged_until(requests: &[(usize, RowKey, ChargeRequest)]) -> HashMap<Place, NaiveDate> {
    let interest = || {
        let all = requests.iter();
        all.filter(|(_, _, request)| matches!(request.sum, Sum::Interest { .. }))
    };
    if interest().next().is_none() {
        return HashMap::new();
    }
    let found = spi::query(
        "SELECT n.subject_id, n.key, n.currency, pg_catalog.to_char(max(c.charged_until), 'YYYY-MM-DD')
         FROM (SELECT DISTINCT unnest($1::int[]) AS subject_id, unnest($2::text[]) AS key,
                      unnest($3::text[]) AS currency) AS n
         JOIN wf.charges AS c ON c.key = n.key AND c.subject_id = n.subject_id AND c.kind = 'interest'
              AND coalesce(c.currency, '') = coalesce(n.currency, '')
         GROUP BY n.subject_id, n.key, n.currency",
        &[
            array(interest().map(|(_, (subject, _), _)| *subject)),
            array(interest().map(|(_, (_, key), _)| key.as_str())),
            array_of(interest().map(|(_, _, request)| request.currency.as_deref())),
        ],
    );
    found
        .iter()
        .filter_map(|row| {
            let until = row.must::<String>(4).parse().ok()?;
            Some((((row.must(1), row.must(2)), row.get(3)), until))
        })
        .collect()
}

type Charged<'r> = (
    usize,
    &'r RowKey,
    &'r ChargeRequest,
    String,
    Option<(NaiveDate, NaiveDate, i64)>,
);

fn write(batch: &Batch, charged: &[Charged<'_>]) {
    if charged.is_empty() {
        return;
    }
    let interest = |request: &ChargeRequest| match &request.sum {
        Sum::Fee { .. } => (None, None),
        Sum::Interest {
            principal, rate, ..
        } => (Some(principal.clone()), Some(rate.clone())),
    };
    let steps = charged.iter().map(|(index, _, request, ..)| {
        let program = &batch.cases[*index].case.program;
        program.step_name(request.step).to_owned()
    });
    spi::query(
        "INSERT INTO wf.charges (subject_id, key, case_id, step, visit, kind, label, amount, currency, principal, rate,
                                 charged_from, charged_until, days, charged_at, charged_by)
         SELECT n.subject_id, n.key, n.case_id, n.step, n.visit,
                CASE WHEN n.principal IS NULL THEN 'fee' ELSE 'interest' END, n.label, n.amount::numeric, n.currency,
                n.principal::numeric, n.rate::numeric, n.charged_from::date, n.charged_until::date, n.days, $1, $2
         FROM (SELECT unnest($3::int[]) AS subject_id, unnest($4::text[]) AS key, unnest($5::bigint[]) AS case_id,
                      unnest($6::text[]) AS step, unnest($7::int2[]) AS visit, unnest($8::text[]) AS label,
                      unnest($9::text[]) AS amount, unnest($10::text[]) AS currency,
                      unnest($11::text[]) AS principal, unnest($12::text[]) AS rate,
                      unnest($13::text[]) AS charged_from, unnest($14::text[]) AS charged_until,
                      unnest($15::int[]) AS days) AS n",
        &[
            arg(batch.context.now),
            arg(batch.actor.as_str()),
            array(charged.iter().map(|(_, (subject, _), ..)| *subject)),
            array(charged.iter().map(|(_, (_, key), ..)| key.as_str())),
            array(charged.iter().map(|(_, _, request, ..)| request.case_id)),
            array(steps),
            array(charged.iter().map(|(_, _, request, ..)| request.visit)),
            array(charged.iter().map(|(_, _, request, ..)| request.label.as_str())),
            array(charged.iter().map(|(_, _, _, amount, _)| amount.as_str())),
            array_of(charged.iter().map(|(_, _, request, ..)| request.currency.as_deref())),
            array_of(charged.iter().map(|(_, _, request, ..)| interest(request).0)),
            array_of(charged.iter().map(|(_, _, request, ..)| interest(request).1)),
            array_of(charged.iter().map(|(.., days)| days.map(|d| d.0.to_string()))),
            array_of(charged.iter().map(|(.., days)| days.map(|d| d.1.to_string()))),
            array_of(charged.iter().map(|(.., days)| days.and_then(|d| i32::try_from(d.2).ok()))),
        ],
    );
}
