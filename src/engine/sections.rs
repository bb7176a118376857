//! Who is in a section, who waits outside, and who is next.
//!
//! Whoever looks at one section of one account or row does so under a lock for the transaction (`pg::lock`), which is tried and
//! never waited for: a case that comes in asks again a second later, one that leaves notes that and looks again. A batch pays a
//! few statements for all cases that come in and leave together; cases that do neither cost nothing.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use workflow_core::game::Entering;

use super::awaited::leave_notices;
use super::batch::Batch;
use crate::pg::lock::try_lock;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// Before a batch is written: cases leave, and cases come in.
pub fn settle(batch: &mut Batch) {
    let mut left: Vec<(i64, String)> = Vec::new();
    for loaded in &mut batch.cases {
        if !loaded.case.memory.sections.is_empty() {
            let id = loaded.case.id;
            left.extend(
                loaded
                    .case
                    .left_sections()
                    .into_iter()
                    .map(|name| (id, name)),
            );
        }
    }
    let entering = std::mem::take(&mut batch.effects.entering);
    if !left.is_empty() {
        leave(batch, &left);
    }
    if !entering.is_empty() {
        enter(batch, entering);
    }
}

/// Cases that have been given notice: those whose turn it is come in, those that have left say so again.
pub fn look(batch: &mut Batch, noticed: &HashSet<i64>) {
    let rows = spi::query(
        "SELECT p.case_id, p.section, p.leaving FROM wf.section_places AS p
         WHERE p.case_id = ANY ($1) AND (p.inside OR p.leaving)",
        &[array(noticed.iter().copied())],
    );
    let (mut left, mut stayed) = (Vec::new(), Vec::new());
    for row in rows.iter() {
        let (case, section): (i64, String) = (row.must(1), row.must(2));
        let leaving: bool = row.must(3);
        let index = batch.find(case);
        let back = index.filter(|i| batch.cases[*i].case.wants_section(&section));
        match back {
            // It may have left and come back before anybody could be told: then it has stayed.
            Some(index) => {
                let env = batch.context.env();
                batch.cases[index].case.comes_in(&section, &env);
                stayed.extend(leaving.then_some(case));
            }
            None => left.push((case, section)),
        }
    }
    if !stayed.is_empty() {
        spi::query(
            "UPDATE wf.section_places AS p SET leaving = false WHERE p.case_id = ANY ($1) AND p.leaving",
            &[array(stayed)],
        );
    }
    if !left.is_empty() {
        leave(batch, &left);
    }
}

/// A place in the tables, with whether nobody else is looking at its section now.
struct Seen {
    case: i64,
    section: String,
    scope: String,
    free: bool,
}

fn seen(sql: &str, args: &[spi::Arg]) -> Vec<Seen> {
    let rows = spi::query(sql, args);
    let seen = rows.iter().map(|row| {
        let (section, scope): (String, String) = (row.must(2), row.must(3));
        Seen {
            case: row.must(1),
            free: try_lock(&format!("section {section} {scope}")),
            section,
            scope,
        }
    });
    seen.collect()
}

fn leave(batch: &Batch, left: &[(i64, String)]) {
    let now = batch.context.now;
    let all = seen(
        "SELECT p.case_id, p.section, p.scope
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS section) AS l
         JOIN wf.section_places AS p ON p.case_id = l.case_id AND p.section = l.section",
        &[
            array(left.iter().map(|(case, _)| *case)),
            array(left.iter().map(|(_, section)| section.as_str())),
        ],
    );
    let (free, busy): (Vec<Seen>, Vec<Seen>) = all.into_iter().partition(|place| place.free);
    if !free.is_empty() {
        spi::query(
            "DELETE FROM wf.section_places AS p
             USING (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS section) AS n
             WHERE p.case_id = n.case_id AND p.section = n.section",
            &keys(&free),
        );
        leave_notices(&next_ones(&free), now);
    }
    if !busy.is_empty() {
        spi::query(
            "UPDATE wf.section_places AS p SET leaving = true
             FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS section) AS n
             WHERE p.case_id = n.case_id AND p.section = n.section",
            &keys(&busy),
        );
        let cases: Vec<i64> = busy.iter().map(|place| place.case).collect();
        leave_notices(&cases, shortly(now));
    }
}

fn keys(places: &[Seen]) -> [spi::Arg; 2] {
    [
        array(places.iter().map(|place| place.case)),
        array(places.iter().map(|place| place.section.as_str())),
    ]
}

fn shortly(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::seconds(1)
}

/// Lets the first of those who wait into each of these sections that nobody is in. Gives back their cases.
fn next_ones(places: &[Seen]) -> Vec<i64> {
    let rows = spi::query(
        "UPDATE wf.section_places AS p SET inside = true
         FROM (SELECT DISTINCT unnest($1::text[]) AS section, unnest($2::text[]) AS scope) AS n
         CROSS JOIN LATERAL (
             SELECT f.place_id, f.inside FROM wf.section_places AS f
             WHERE f.section = n.section AND f.scope = n.scope
             ORDER BY f.inside DESC, f.place_id LIMIT 1) AS first
         WHERE p.place_id = first.place_id AND NOT first.inside
         RETURNING p.case_id",
        &[
            array(places.iter().map(|place| place.section.as_str())),
            array(places.iter().map(|place| place.scope.as_str())),
        ],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

fn enter(batch: &mut Batch, entering: Vec<Entering>) {
    // What has been withdrawn since does not come in.
    let entering: Vec<Entering> = entering
        .into_iter()
        .filter(|e| {
            let index = batch.find(e.case_id);
            index.is_some_and(|i| batch.cases[i].case.token_of(e.step, e.visit).is_some())
        })
        .collect();
    let subject = |case: i64| {
        batch
            .find(case)
            .map_or(0, |i| batch.cases[i].version.subject.id)
    };
    let all = seen(
        "SELECT e.case_id, e.section,
                CASE WHEN e.account AND c.account IS NOT NULL THEN 'account ' || c.account
                     ELSE 'subject ' || e.subject_id || ' ' || c.key END AS scope
         FROM (SELECT unnest($1::bigint[]) AS case_id, unnest($2::text[]) AS section,
                      unnest($3::bool[]) AS account, unnest($4::int[]) AS subject_id) AS e
         JOIN wf.cases AS c ON c.case_id = e.case_id
         ORDER BY e.case_id",
        &[
            array(entering.iter().map(|e| e.case_id)),
            array(entering.iter().map(|e| e.section.as_str())),
            array(entering.iter().map(|e| e.account)),
            array(entering.iter().map(|e| subject(e.case_id))),
        ],
    );
    let (free, busy): (Vec<Seen>, Vec<Seen>) = all.into_iter().partition(|place| place.free);
    let env = batch.context.env();
    for place in &busy {
        let asked = entering
            .iter()
            .filter(|e| e.case_id == place.case && e.section == place.section);
        for e in asked {
            if let Ok(index) = batch.cases.binary_search_by_key(&place.case, |c| c.case.id) {
                batch.cases[index].case.asks_again(e, &env);
            }
        }
    }
    if free.is_empty() {
        return;
    }
    spi::query(
        "INSERT INTO wf.section_places (section, scope, case_id, since)
         SELECT n.section, n.scope, n.case_id, $4
         FROM ROWS FROM (unnest($1::bigint[]), unnest($2::text[]), unnest($3::text[]))
              WITH ORDINALITY AS n(case_id, section, scope, nth)
         ORDER BY n.nth ON CONFLICT DO NOTHING",
        &[
            array(free.iter().map(|place| place.case)),
            array(free.iter().map(|place| place.section.as_str())),
            array(free.iter().map(|place| place.scope.as_str())),
            arg(batch.context.now),
        ],
    );
    // Those who come in may be others than those who ask now; all of them are told in the same way.
    leave_notices(&next_ones(&free), batch.context.now);
}
