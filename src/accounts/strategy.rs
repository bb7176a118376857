//! Default strategies: cases of workflows that run where wf.set_strategy says so, and rest while their row is in another
//! case. What is to become of one is for the rules (`workflow_core::strategy`); here is what the database knows of it.
//!
//! Whenever a row may have a strategy, and its cases, the row itself or the settings change, its strategy is derived anew
//! from all of them, so that a change that comes twice does no harm. Cases are never waited for: what somebody is at is
//! looked at again, and no message of the row leaves before that.

use std::collections::{BTreeMap, HashMap, HashSet};

use pgrx::PgSqlErrorCode;
use workflow_core::document::Runs;
use workflow_core::game::{Block, Case, Clock, Effects, Hold};
use workflow_core::strategy::{Claim, Status, Then};

use super::facts::{Known, open_cases};
use crate::engine::batch::{Batch, Loaded};
use crate::engine::enrol::{free_for_call, start_by_rule};
use crate::engine::versions::Version;
use crate::holds;
use crate::pg::raise::raise_as;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of};
use crate::subjects::subject;
use crate::worker::wake;

/// Who holds the case of a strategy that is paused.
const PAUSED: &str = "strategy";
/// Who holds the case of a strategy whose row is in another case.
const RESTING: &str = "another workflow";
/// The kind of both holds: dates go on from where they stood.
const KIND: &str = "strategy";

/// Refuses to start a default strategy by hand.
pub fn refuse_by_hand(version: &Version) {
    let head = &version.program.document;
    if head.runs == Runs::Strategy {
        raise_as(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("workflow \"{}\" is a default strategy", head.name),
            Some("Its cases start by themselves, where it is set.".to_owned()),
            Some(format!(
                "Set it: SELECT wf.set_strategy('{}', '{}').",
                head.subject, head.name
            )),
        );
    }
}

/// Has the rows looked at again.
pub fn look_again(subject: i32, keys: &[&str]) {
    if keys.is_empty() {
        return;
    }
    spi::query(
        "INSERT INTO wf.inbox (subject_id, key, op) SELECT $1, k.key, 'r' FROM unnest($2::text[]) AS k(key)",
        &[arg(subject), array(keys.iter().copied())],
    );
    wake::on_commit();
}

/// What follows for the strategies of the rows whose cases have begun or ended in a batch, or whom cases have gained or
/// lost: they rest and return at once. What needs the row itself is left to the inbox.
pub fn follow(cases: &[Loaded], effects: &Effects) {
    let takes_rows = |loaded: &Loaded| {
        let runs = loaded.version.program.document.runs;
        loaded.version.subject.strategies && matches!(runs, Runs::Parallel | Runs::Exclusive)
    };
    let moved = effects.arrivals.iter().map(|a| (a.case_id, a.key.as_str()));
    let left = effects
        .departures
        .iter()
        .map(|d| (d.case_id, d.key.as_str()));
    let mut moved_by_case: HashMap<i64, Vec<&str>> = HashMap::new();
    for (case, key) in moved.chain(left) {
        moved_by_case.entry(case).or_default().push(key);
    }
    let mut by_subject: BTreeMap<i32, HashSet<String>> = BTreeMap::new();
    for loaded in cases.iter().filter(|loaded| takes_rows(loaded)) {
        let keys = by_subject.entry(loaded.version.subject.id).or_default();
        if super::begun_or_ended(loaded) {
            keys.extend(loaded.case.keys());
        }
        let moved = moved_by_case.get(&loaded.case.id).into_iter().flatten();
        keys.extend(moved.map(|key| (*key).to_owned()));
    }
    for (subject, keys) in by_subject {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        rest(subject, &keys);
    }
    over(cases);
}

/// Strategies whose cases have come to their end by themselves, or that somebody has cancelled, are over.
fn over(cases: &[Loaded]) {
    let ended = cases.iter().filter(|loaded| {
        let strategy = loaded.version.program.document.runs == Runs::Strategy;
        strategy && loaded.case.state.is_over() && super::begun_or_ended(loaded)
    });
    let mut by_subject: BTreeMap<i32, Vec<&Loaded>> = BTreeMap::new();
    for loaded in ended {
        let of_subject = by_subject.entry(loaded.version.subject.id).or_default();
        of_subject.push(loaded);
    }
    for (subject, ended) in by_subject {
        let keys: Vec<&str> = ended.iter().map(|l| l.case.key.as_str()).collect();
        let (free, busy) = take(subject, &keys);
        let busy: Vec<&str> = busy.iter().map(String::as_str).collect();
        look_again(subject, &busy);
        let ended = ended.iter().map(|loaded| &loaded.case);
        let ended: Vec<_> = ended
            .filter(|case| free.contains(&case.key.as_str()))
            .collect();
        let why = |case: &&Case| case.reason.clone().or_else(|| case.outcome.clone());
        let whys: Vec<Option<String>> = ended.iter().map(why).collect();
        spi::query(
            "UPDATE wf.strategies AS s SET status = 'stopped', reason = n.reason, elsewhere = NULL, changed_at = wf.now()
             FROM (SELECT unnest($2::text[]) AS key, unnest($3::bigint[]) AS case_id, unnest($4::text[]) AS reason) AS n
             WHERE s.key = n.key AND s.subject_id = $1 AND s.case_id = n.case_id",
            &[
                arg(subject),
                array(ended.iter().map(|case| case.key.as_str())),
                array(ended.iter().map(|case| case.id)),
                array_of(whys.iter().map(Option::as_deref)),
            ],
        );
    }
}

/// Locks what stands about the strategies of rows, without waiting for anybody. Gives back the rows that are free, and the
/// keys of those that somebody else is at.
fn take<'k>(subject: i32, keys: &[&'k str]) -> (Vec<&'k str>, Vec<String>) {
    if keys.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let of = |locking: &str| -> HashSet<String> {
        let sql = format!(
            "SELECT s.key FROM wf.strategies AS s WHERE s.key = ANY ($2) AND s.subject_id = $1 ORDER BY s.key {locking}"
        );
        let rows = spi::query(&sql, &[arg(subject), array(keys.iter().copied())]);
        rows.iter().map(|row| row.must(1)).collect()
    };
    let locked = of("FOR UPDATE SKIP LOCKED");
    let all = of("");
    let is_free = |key: &str| locked.contains(key) || !all.contains(key);
    let (free, others): (Vec<&str>, Vec<&str>) = keys.iter().partition(|key| is_free(key));
    (free, others.into_iter().map(str::to_owned).collect())
}

/// What is wanted of one strategy's case.
struct Wish {
    key: String,
    case: i64,
    /// Why it is paused; None: it is not. The outer None: that is not known here.
    paused: Option<Option<String>>,
    resting: Option<String>,
    /// Why it ends.
    ends: Option<&'static str>,
}

fn why_elsewhere((case, workflow): &(i64, String)) -> String {
    format!("in case {case} of workflow \"{workflow}\"")
}

/// Lets strategies rest or return, as the rows' cases are now.
fn rest(subject: i32, keys: &[&str]) {
    if keys.is_empty() {
        return;
    }
    let (keys, locked) = take(subject, keys);
    let open = open_cases(subject, &keys);
    let mut wishes = Vec::new();
    let mut again: Vec<&str> = locked.iter().map(String::as_str).collect();
    for key in &keys {
        let of_key = open.get(*key);
        let elsewhere = of_key.and_then(|open| open.elsewhere.as_ref());
        let strategies = of_key.map_or(&[][..], |open| &open.strategies);
        if strategies.is_empty() && elsewhere.is_none() {
            // It may be time for its strategy to begin.
            again.push(*key);
        }
        wishes.extend(strategies.iter().map(|(case, _)| Wish {
            key: (*key).to_owned(),
            case: *case,
            paused: None,
            resting: elsewhere.map(why_elsewhere),
            ends: None,
        }));
    }
    let busy = fulfil(&wishes);
    again.extend(busy.iter().map(String::as_str));
    look_again(subject, &again);
    let elsewhere = |key: &str| open.get(key).and_then(|open| open.elsewhere.as_ref());
    spi::query(
        "UPDATE wf.strategies AS s SET elsewhere = n.elsewhere, changed_at = wf.now()
         FROM (SELECT unnest($2::text[]) AS key, unnest($3::bigint[]) AS elsewhere) AS n
         WHERE s.key = n.key AND s.subject_id = $1 AND s.elsewhere IS DISTINCT FROM n.elsewhere",
        &[
            arg(subject),
            array(keys.iter().copied()),
            array_of(keys.iter().map(|key| elsewhere(key).map(|(case, _)| *case))),
        ],
    );
}

/// The holds by which strategies rest that do not stand as is wanted, as (case, holder, why).
struct Holds<'w> {
    place: Vec<(i64, &'static str, &'w str)>,
    end: Vec<(i64, &'static str)>,
}

/// Which holds are to be placed, and which are to end.
fn wrong_holds(wishes: &[Wish]) -> Holds<'_> {
    let held = spi::query(
        "SELECT h.case_id, h.held_by FROM wf.holds AS h
         WHERE h.case_id = ANY ($1) AND h.released_at IS NULL AND h.kind = $2",
        &[array(wishes.iter().map(|wish| wish.case)), arg(KIND)],
    );
    let held: HashSet<(i64, String)> = held.iter().map(|row| (row.must(1), row.must(2))).collect();
    let holds = |case: i64, holder: &str| held.contains(&(case, holder.to_owned()));
    let (mut place, mut end) = (Vec::new(), Vec::new());
    for wish in wishes.iter().filter(|wish| wish.ends.is_none()) {
        let paused = wish.paused.as_ref().map(|why| (PAUSED, why));
        for (holder, why) in paused.into_iter().chain([(RESTING, &wish.resting)]) {
            match (why, holds(wish.case, holder)) {
                (Some(why), false) => place.push((wish.case, holder, why.as_str())),
                (None, true) => end.push((wish.case, holder)),
                (Some(_), true) | (None, false) => {}
            }
        }
    }
    Holds { place, end }
}

/// Does what is wanted, of the cases that nobody else is at. Gives back the keys of the others.
fn fulfil(wishes: &[Wish]) -> Vec<String> {
    if wishes.is_empty() {
        return Vec::new();
    }
    let Holds { place, end } = wrong_holds(wishes);
    let ending = wishes.iter().filter(|wish| wish.ends.is_some());
    let moved = place.iter().map(|(case, ..)| *case);
    let moved = moved.chain(end.iter().map(|(case, _)| *case));
    let moved: HashSet<i64> = moved.chain(ending.map(|wish| wish.case)).collect();
    if moved.is_empty() {
        return Vec::new();
    }
    let mut ids: Vec<i64> = moved.iter().copied().collect();
    ids.sort_unstable();
    let mut batch = Batch::load_free(&ids, "engine");
    for wish in wishes {
        if let (Some(reason), Some(index)) = (wish.ends, batch.find(wish.case)) {
            // One that has ended meanwhile needs no end.
            let _ = batch.cases[index].case.cancel(reason, &mut batch.effects);
        }
    }
    for holder in [PAUSED, RESTING] {
        let mut placed: Vec<(i64, Hold)> = Vec::new();
        for (case, _, why) in place.iter().filter(|(_, by, _)| *by == holder) {
            let Some(index) = batch.find(*case) else {
                continue;
            };
            let hold = Hold {
                kind: KIND.to_owned(),
                reason: (*why).to_owned(),
                blocks: vec![Block::Steps],
                clock: Clock::Shift,
                from: batch.context.now,
                until: None,
            };
            let case = &mut batch.cases[index].case;
            if case.hold(&hold, &mut batch.effects).is_ok() {
                placed.push((case.id, hold));
            }
        }
        holds::insert(&placed, holder);
        let ended: Vec<i64> = end
            .iter()
            .filter(|(case, by)| *by == holder && batch.find(*case).is_some())
            .map(|(case, _)| *case)
            .collect();
        holds::end_those_of(&mut batch, &ended, holder);
    }
    let busy = wishes
        .iter()
        .filter(|wish| moved.contains(&wish.case) && batch.find(wish.case).is_none());
    let busy = busy.map(|wish| wish.key.clone()).collect();
    batch.flush();
    busy
}

/// A row of wf.strategies.
struct Entry {
    key: String,
    account: Option<String>,
    case: i64,
    status: Status,
    reason: Option<String>,
    elsewhere: Option<i64>,
}

/// Derives what is to become of the strategies of these rows, and does it. Gives back the keys of those whose cases
/// somebody is at.
pub fn settle(subject_id: i32, keys: &[&str]) -> Vec<String> {
    let Some(subject) = subject::find(subject_id).filter(|s| s.strategies && s.broken.is_none())
    else {
        return Vec::new();
    };
    let (keys, mut busy) = take(subject_id, keys);
    if keys.is_empty() {
        return busy;
    }
    let known = Known::read(&subject, &keys);
    let mut derived = Derived::default();
    for (position, key) in keys.iter().enumerate() {
        derived.add(&known, position, key);
    }
    busy.extend(fulfil(&derived.wishes));
    let mut entries = derived.entries;
    entries.retain(|entry| !busy.contains(&entry.key));
    entries.extend(start(&known, derived.starting, &mut busy));
    write(subject_id, entries);
    busy
}

/// What is to become of the strategies of some rows.
#[derive(Default)]
struct Derived {
    wishes: Vec<Wish>,
    /// How their strategies stand then.
    entries: Vec<Entry>,
    /// The keys of those that are to begin, by workflow.
    starting: BTreeMap<i32, Vec<String>>,
}

impl Derived {
    /// Adds one row, of which `known` holds what is at this position.
    fn add(&mut self, known: &Known, position: usize, key: &str) {
        let setting = &known.settings[position];
        let of_key = known.open.get(key);
        let elsewhere = of_key.and_then(|open| open.elsewhere.as_ref());
        let strategies = of_key.map_or(&[][..], |open| &open.strategies);
        let earlier = known.earlier.get(key);
        let mut claim = Claim {
            wanted: setting.workflow,
            status: setting.status,
            elsewhere: elsewhere.is_some(),
            open: None,
            earlier: earlier.and_then(|earlier| known.may_have_again(earlier)),
        };
        let entry = |case: i64, status, reason: Option<String>| Entry {
            key: key.to_owned(),
            account: known.accounts[position].clone(),
            case,
            status,
            reason,
            elsewhere: elsewhere.map(|(case, _)| *case),
        };
        let why = |otherwise: &str| {
            let given = setting.reason.clone();
            given.unwrap_or_else(|| otherwise.to_owned())
        };
        let mut keeps = false;
        for (case, version) in strategies {
            claim.open = Some(version.workflow_id);
            let mut wish = Wish {
                key: key.to_owned(),
                case: *case,
                paused: Some(None),
                resting: elsewhere.map(why_elsewhere),
                ends: None,
            };
            match claim.then() {
                Then::Keep { paused, .. } => {
                    keeps = true;
                    wish.paused = Some(paused.then(|| why("paused")));
                    let reason = setting.reason.clone().filter(|_| paused);
                    self.entries.push(entry(*case, setting.status, reason));
                }
                Then::End { reason } => {
                    wish.ends = Some(reason);
                    let stopped = entry(*case, Status::Stopped, Some(why(reason)));
                    self.entries.push(stopped);
                }
                Then::Nothing | Then::Start => {}
            }
            self.wishes.push(wish);
        }
        let ended = earlier.and_then(|earlier| Some((earlier.case, earlier.ended.as_ref()?)));
        if let Some((case, (outcome, reason))) = ended
            && strategies.is_empty()
            && setting.status != Status::Stopped
        {
            let reason = reason.as_ref().unwrap_or(outcome).clone();
            self.entries
                .push(entry(case, Status::Stopped, Some(reason)));
        }
        claim.open = None;
        if !keeps
            && claim.then() == Then::Start
            && let Some(workflow) = setting.workflow
        {
            let keys = self.starting.entry(workflow).or_default();
            keys.push(key.to_owned());
        }
    }
}

/// Starts the cases of strategies that are to begin, but for the rows that somebody is at: their keys go to `busy`. Gives
/// back how those started stand.
fn start(
    known: &Known,
    starting: BTreeMap<i32, Vec<String>>,
    busy: &mut Vec<String>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (workflow, keys) in starting {
        let Some(version) = known.versions.get(&workflow) else {
            continue;
        };
        let (places, _) = free_for_call(version, &keys);
        let started = start_by_rule(version, places, "engine", busy);
        entries.extend(started.into_iter().map(|(key, case)| Entry {
            account: known.account_of(&key),
            key,
            case,
            status: Status::Running,
            reason: None,
            elsewhere: None,
        }));
    }
    entries
}

/// Writes how the strategies stand; of several entries for a row the last one counts.
fn write(subject: i32, entries: Vec<Entry>) {
    let last: BTreeMap<String, Entry> = entries.into_iter().map(|e| (e.key.clone(), e)).collect();
    if last.is_empty() {
        return;
    }
    let all = || last.values();
    spi::query(
        "INSERT INTO wf.strategies AS s (subject_id, key, account, case_id, status, reason, elsewhere, changed_at)
         SELECT $1, n.key, n.account, n.case_id, n.status, n.reason, n.elsewhere, wf.now()
         FROM (SELECT unnest($2::text[]) AS key, unnest($3::text[]) AS account, unnest($4::bigint[]) AS case_id,
                      unnest($5::text[]) AS status, unnest($6::text[]) AS reason, unnest($7::bigint[]) AS elsewhere) AS n
         ON CONFLICT (key, subject_id) DO UPDATE
         SET account = excluded.account, case_id = excluded.case_id, status = excluded.status,
             reason = excluded.reason, elsewhere = excluded.elsewhere, changed_at = excluded.changed_at
         WHERE (s.account, s.case_id, s.status, s.reason, s.elsewhere) IS DISTINCT FROM
               (excluded.account, excluded.case_id, excluded.status, excluded.reason, excluded.elsewhere)",
        &[
            arg(subject),
            array(all().map(|e| e.key.as_str())),
            array_of(all().map(|e| e.account.as_deref())),
            array(all().map(|e| e.case)),
            array(all().map(|e| e.status.label())),
            array_of(all().map(|e| e.reason.as_deref())),
            array_of(all().map(|e| e.elsewhere)),
        ],
    );
}
