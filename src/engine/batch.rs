//! A batch: cases loaded under their locks, fired in waves until nothing is ready, and written at once.
//!
//! Lock order: case rows first, in id order, everything else after. A worker passes over rows that are locked; a
//! user's call waits for its one case. Cases are read after they are locked, by a statement of its own: a claim's
//! snapshot may be older than the lock, and a token it saw may be gone by then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use workflow_core::game::{Case, CaseState, Effects, Fired, Memory, Token, TokenState};
use workflow_core::program::StepNo;

use super::context::Context;
use super::enrol::Place;
use super::known::{Known, Origin};
use super::question::Question;
use super::reads::{Answers, ReadPlan};
use super::slow::{self, Lane};
use super::versions::{Version, version};
use super::write;
use super::{another, awaited};
use super::{erp_update, sql_call};
use super::{members, milestones, sections};
use crate::collections;
use crate::pg::raise::internal;
use crate::pg::spi::{self, RowRef, Rows};
use crate::pg::types::{RowPlace, array};

/// How often one batch lets a case's tokens fire before it writes and leaves the rest to the next batch. Chains of
/// automatic steps are bounded by validation; this bounds what is held in memory.
const WAVES: usize = 200;

/// A case in a batch.
pub struct Loaded {
    pub case: Case,
    pub version: Rc<Version>,
    pub account: Option<String>,
    /// For a new case: the ended one of the same row, whose place it takes.
    pub replaces: Option<i64>,
    /// For a new case that concerns several rows: the others, besides the one that carries it.
    pub others: Vec<Place>,
    /// As it stands in the tables; None for a case that is new.
    pub before: Option<Before>,
}

impl Loaded {
    /// What the rules must remember of the case, as JSON; None if that is nothing.
    pub fn memory_text(&self) -> Option<String> {
        let memory = &self.case.memory;
        (*memory != Memory::default())
            .then(|| serde_json::to_string(memory).ok())
            .flatten()
    }
}

/// What a case looked like before the batch, to write only what has changed.
pub struct Before {
    pub state: CaseState,
    pub started: bool,
    pub memory: Memory,
    pub vars: Option<String>,
    /// Where its row lies.
    pub place: RowPlace,
    pub tokens: Vec<Placed>,
}

/// A token and where its row lies.
#[derive(Clone, Debug)]
pub struct Placed {
    pub token: Token,
    pub place: RowPlace,
}

/// Cases and what happened to them.
pub struct Batch {
    pub context: Context,
    pub cases: Vec<Loaded>,
    pub effects: Effects,
    /// Who does it, for history.
    pub actor: String,
    /// Cases of it that have to look at others, see `awaited`.
    pub notices: Vec<i64>,
}

/// What a case is loaded from; the alias of wf.cases is c.
pub const CASE: &str =
    "c.case_id, c.version_id, c.state::text, c.started_at, c.outcome, c.reason, c.memory::text,
     c.vars::text, c.key, c.ctid";

/// Locks cases, waiting for whoever is at them; in id order, so that two such calls cannot block each other. Gives
/// back those that exist.
pub fn lock_waiting(ids: &[i64]) -> Vec<i64> {
    lock_ids("FOR UPDATE", ids)
}

/// Locks those of the cases that nobody else is at.
pub fn lock_free(ids: &[i64]) -> Vec<i64> {
    lock_ids("FOR UPDATE SKIP LOCKED", ids)
}

fn lock_ids(clause: &str, ids: &[i64]) -> Vec<i64> {
    let rows = lock("c.case_id", clause, ids);
    rows.iter().map(|row| row.must(1)).collect()
}

/// The same as `lock_waiting`, each with its version.
pub fn lock_with_versions(ids: &[i64]) -> Vec<(i64, i32)> {
    lock("c.case_id, c.version_id", "FOR UPDATE", ids)
        .iter()
        .map(|row| (row.must(1), row.must(2)))
        .collect()
}

/// The columns of the cases as they are under the lock: a row that changed while we waited is read again.
fn lock(columns: &str, clause: &str, ids: &[i64]) -> Rows {
    let sql = format!(
        "SELECT {columns} FROM wf.cases AS c WHERE c.case_id = ANY ($1) ORDER BY c.case_id {clause}"
    );
    spi::query(&sql, &[array(ids.iter().copied())])
}

/// A case that is not worked on with the others.
#[derive(Clone, Copy, Debug)]
pub struct Apart {
    pub case: i64,
    pub version: i32,
}

impl Batch {
    /// An empty batch.
    pub fn new(actor: impl Into<String>) -> Self {
        Self {
            context: Context::new(),
            cases: Vec::new(),
            effects: Effects::default(),
            actor: actor.into(),
            notices: Vec::new(),
        }
    }

    /// A batch of cases, locked after waiting for whoever is at them. Those that do not exist are passed over.
    pub fn load(ids: &[i64], actor: impl Into<String>) -> Self {
        Self::of(lock(CASE, "FOR UPDATE", ids), actor)
    }

    /// A batch of those cases that nobody else is at, locked.
    pub fn load_free(ids: &[i64], actor: impl Into<String>) -> Self {
        Self::of(lock(CASE, "FOR UPDATE SKIP LOCKED", ids), actor)
    }

    /// A batch of locked rows of wf.cases, given by their columns `CASE`. One that comes twice is taken once.
    pub fn of(rows: Rows, actor: impl Into<String>) -> Self {
        let mut batch = Self::new(actor);
        batch.cases = rows.iter().map(loaded).collect();
        drop(rows);
        // By id, for neighbours lie together in the tables and their indexes.
        batch.cases.sort_by_key(|loaded| loaded.case.id);
        batch.cases.dedup_by_key(|loaded| loaded.case.id);
        let ids: Vec<i64> = batch.cases.iter().map(|loaded| loaded.case.id).collect();
        let mut tokens = load_tokens(&ids);
        for loaded in &mut batch.cases {
            let tokens = tokens.remove(&loaded.case.id).unwrap_or_default();
            loaded.case.tokens = tokens.iter().map(|placed| placed.token.clone()).collect();
            if let Some(before) = &mut loaded.before {
                before.tokens = tokens;
            }
        }
        members::load(&mut batch.cases);
        awaited::take_notices(&mut batch);
        batch
    }

    /// Takes the cases out of the batch that are to be worked on one by one: those of versions that take long, and those
    /// that have failed before. They stay locked until the transaction ends.
    pub fn set_apart(&mut self) -> Vec<Apart> {
        let now = self.context.now;
        let alone = |loaded: &Loaded| {
            let case = &loaded.case;
            case.ready(now).any(|token| case.tokens[token].attempts > 0)
                || slow::is_slow(Lane::Version(case.version_id))
        };
        let apart: Vec<Apart> = (self.cases.iter().filter(|loaded| alone(loaded)))
            .map(|loaded| Apart {
                case: loaded.case.id,
                version: loaded.case.version_id,
            })
            .collect();
        if !apart.is_empty() {
            let is_apart = |id: i64| apart.binary_search_by_key(&id, |one| one.case).is_ok();
            self.cases.retain(|loaded| !is_apart(loaded.case.id));
            self.notices.retain(|id| !is_apart(*id));
        }
        apart
    }

    /// The index of a loaded case.
    pub fn find(&self, case: i64) -> Option<usize> {
        self.cases.binary_search_by_key(&case, |c| c.case.id).ok()
    }

    /// Fires what is ready, wave by wave, until nothing is. Each wave asks the database once for each step that
    /// tokens of the batch stand on.
    pub fn run(&mut self) {
        self.run_with(&mut Known::asking_step_by_step(), |_, _| {});
    }

    /// The same, but where tokens of the last batch ran on, all steps ahead are asked about at once. An error may then
    /// come from a step that is not reached: whoever calls this has to go back to `run` after one.
    pub fn run_ahead(&mut self) {
        self.run_ahead_after(Origin::Due, |_, _| {});
    }

    /// The same, after something has been done to the cases that makes their tokens go on.
    pub fn run_ahead_after(&mut self, from: Origin, first: impl FnOnce(&mut Self, &mut Known)) {
        let mut known = Known::looking_ahead(from);
        self.run_with(&mut known, first);
        known.remember(&self.cases);
    }

    fn run_with(&mut self, known: &mut Known, first: impl FnOnce(&mut Self, &mut Known)) {
        members::look(self);
        first(self, known);
        for _ in 0..WAVES {
            let groups = self.ready_groups();
            if groups.is_empty() {
                return;
            }
            for ((_, step), members) in groups {
                self.fire_group(step, &members, known);
            }
        }
    }

    /// Ready tokens by version and step: (case index, visit).
    fn ready_groups(&self) -> BTreeMap<(i32, StepNo), Vec<(usize, i16)>> {
        let now = self.context.now;
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, loaded) in self.cases.iter().enumerate() {
            for token in loaded.case.ready(now) {
                let token = &loaded.case.tokens[token];
                groups
                    .entry((loaded.case.version_id, token.step))
                    .or_default()
                    .push((index, token.visit));
            }
        }
        groups
    }

    fn fire_group(&mut self, step: StepNo, members: &[(usize, i16)], known: &mut Known) {
        let cases: Vec<usize> = members.iter().map(|(case, _)| *case).collect();
        known.ask(&self.cases, step, &cases);
        let env = self.context.env();
        let mut writers = Vec::new();
        for (index, visit) in members {
            let case = &mut self.cases[*index].case;
            // An earlier member of the group may have ended the case.
            let Some(token) = case.token_of(step, *visit) else {
                continue;
            };
            if case.state.is_over() {
                continue;
            }
            let Some(facts) = known.facts(*index, step) else {
                continue;
            };
            match case.fire(token, &facts, &env, &mut self.effects) {
                Fired::Moved => {}
                Fired::Write => writers.push((*index, *visit)),
                Fired::TakenOver => known.forget(*index),
            }
        }
        if writers.is_empty() {
            return;
        }
        let asking: Vec<usize> = writers.iter().map(|(index, _)| *index).collect();
        let version = &self.cases[asking[0]].version;
        let step_of = version.program.step(step);
        if step_of.is_some_and(|step| step.kind.call().is_some()) {
            let results = sql_call::call(version, step, &questions(&self.cases, &asking));
            for ((index, visit), result) in writers.into_iter().zip(results) {
                let case = &mut self.cases[index].case;
                if let Some(token) = case.token_of(step, visit)
                    && let Some(facts) = known.facts(index, step)
                {
                    case.called(token, result.as_deref(), &facts, &env, &mut self.effects);
                }
            }
            known.rows_changed();
            members::look(self);
            return;
        }
        let written: HashSet<usize> =
            erp_update::write(version, step, &questions(&self.cases, &asking));
        for (nth, (index, visit)) in writers.into_iter().enumerate() {
            let case = &mut self.cases[index].case;
            let Some(token) = case.token_of(step, visit) else {
                continue;
            };
            if !written.contains(&nth) {
                case.locked(token, &env);
            } else if let Some(facts) = known.facts(index, step) {
                case.wrote(token, &facts, &env, &mut self.effects);
            }
        }
        known.rows_changed();
        members::look(self);
    }

    /// Asks a plan about some of the batch's cases.
    pub fn ask(&self, plan: &Rc<ReadPlan>, cases: &[usize]) -> Answers {
        plan.ask(&questions(&self.cases, cases))
    }

    /// Asks what `Program::watch_read` wants to know about some cases of one version.
    pub fn ask_watch(&self, cases: &[usize]) -> Option<Answers> {
        let version = self.cases[*cases.first()?].version.clone();
        Some(self.ask(&version.reads.of_watch(&version), cases))
    }

    /// Asks what firing a step wants to know about some cases of one version. A step that the version does not have
    /// (it was over when the case went over to this version) is a look at the case as a whole.
    pub fn ask_step(&self, step: StepNo, cases: &[usize]) -> Option<Answers> {
        let version = &self.cases[*cases.first()?].version;
        if version.program.step(step).is_none() {
            return self.ask_watch(cases);
        }
        Some(self.ask(&version.reads.of_step(version, step, false), cases))
    }

    /// The indexes of the batch's cases by version.
    pub fn by_version(&self) -> HashMap<i32, Vec<usize>> {
        let mut groups: HashMap<i32, Vec<usize>> = HashMap::new();
        for (index, loaded) in self.cases.iter().enumerate() {
            groups
                .entry(loaded.case.version_id)
                .or_default()
                .push(index);
        }
        groups
    }

    /// Writes everything that has happened.
    pub fn flush(mut self) -> Vec<Loaded> {
        if !self.notices.is_empty() {
            awaited::look(&mut self);
        }
        milestones::look(&mut self);
        sections::settle(&mut self);
        if !self.effects.charges.is_empty() {
            collections::charge(&mut self);
        }
        if !self.effects.starts.is_empty() {
            another::start(&mut self);
        }
        if !self.effects.looked_into.is_empty() {
            collections::looked_into(&mut self);
        }
        if !self.effects.promises.is_empty() {
            collections::write_promises(&mut self);
        }
        let out = &mut self.effects;
        if out.awaiting.is_empty() && out.awaited_by.is_empty() {
            return write::flush(self);
        }
        let awaiting = std::mem::take(&mut out.awaiting);
        let awaited_by = std::mem::take(&mut out.awaited_by);
        let (actor, now) = (self.actor.clone(), self.context.now);
        let cases = write::flush(self);
        awaited::tell(awaiting, &awaited_by, &actor, now);
        cases
    }
}

/// What a read wants to know about cases of the batch.
pub fn questions<'a>(cases: &'a [Loaded], indexes: &[usize]) -> Vec<Question<'a>> {
    indexes
        .iter()
        .map(|index| {
            let loaded = &cases[*index];
            let answers = &loaded.case.memory.answers;
            Question {
                key: &loaded.case.key,
                vars: loaded.case.vars.as_deref(),
                answers: (!answers.is_empty())
                    .then(|| serde_json::to_string(answers).ok())
                    .flatten(),
            }
        })
        .collect()
}

/// A case without its tokens, from the columns `CASE`.
fn loaded(row: RowRef<'_>) -> Loaded {
    let id: i64 = row.must(1);
    let version = version(row.must(2));
    let case = Case {
        id,
        version_id: version.id,
        program: version.program.clone(),
        state: CaseState::from_label(&row.must::<String>(3))
            .unwrap_or_else(|| internal("an unknown state of a case")),
        started_at: row.get(4),
        outcome: row.get(5),
        reason: row.get(6),
        memory: row.get::<String>(7).map_or_else(Memory::default, |text| {
            serde_json::from_str(&text)
                .unwrap_or_else(|e| internal(&format!("memory of case {id}: {e}")))
        }),
        vars: row.get(8),
        key: row.must(9),
        tokens: Vec::new(),
        members: Vec::new(),
    };
    Loaded {
        before: Some(Before {
            state: case.state,
            started: case.started_at.is_some(),
            memory: case.memory.clone(),
            vars: case.vars.clone(),
            place: row.must(10),
            tokens: Vec::new(),
        }),
        case,
        version,
        account: None,
        replaces: None,
        others: Vec::new(),
    }
}

fn load_tokens(ids: &[i64]) -> HashMap<i64, Vec<Placed>> {
    if ids.is_empty() {
        return HashMap::new();
    }
    let rows = spi::query(
        "SELECT t.case_id, t.step_no, t.visit, t.state::text, t.attempts, t.arrived, t.entered_at,
                t.run_at, t.due_at,
                CASE WHEN t.state NOT IN ('scheduled', 'joining', 'waiting', 'sending') THEN (
                    SELECT k.task_id FROM wf.tasks AS k
                    WHERE k.case_id = t.case_id AND k.step_no = t.step_no AND k.visit = t.visit) END, t.ctid
         FROM wf.case_steps AS t
         WHERE t.case_id = ANY ($1) ORDER BY t.case_id, t.step_no, t.visit",
        &[array(ids.iter().copied())],
    );
    let mut tokens: HashMap<i64, Vec<Placed>> = HashMap::with_capacity(ids.len());
    for row in rows.iter() {
        let token = Token {
            step: row.must(2),
            visit: row.must(3),
            state: TokenState::from_label(&row.must::<String>(4))
                .unwrap_or_else(|| internal("an unknown state of a step run")),
            attempts: row.must(5),
            arrived: row.must(6),
            entered_at: row.must(7),
            run_at: row.get(8),
            due_at: row.get(9),
            task_id: row.get(10),
        };
        let place = row.must(11);
        let of_case = tokens.entry(row.must(1)).or_default();
        of_case.push(Placed { token, place });
    }
    tokens
}

/// A new case of a version, before it begins.
pub fn new_case(id: i64, version: &Rc<Version>, place: Place, vars: Option<String>) -> Loaded {
    let members = members::first(&version.program, &place.key);
    Loaded {
        case: Case {
            id,
            version_id: version.id,
            program: version.program.clone(),
            key: place.key,
            state: CaseState::Planned,
            started_at: None,
            outcome: None,
            reason: None,
            memory: Memory::default(),
            vars,
            tokens: Vec::new(),
            members,
        },
        version: version.clone(),
        account: None,
        replaces: place.ended,
        others: Vec::new(),
        before: None,
    }
}
