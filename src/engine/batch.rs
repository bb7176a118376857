//! A batch: cases loaded under their locks, fired in waves until nothing is ready, and written at once.
//!
//! Lock order: case rows first, in id order, everything else after. A worker passes over rows that are locked; a
//! user's call waits for its one case. Cases are read after they are locked, by a statement of its own: a claim's
//! snapshot may be older than the lock, and a token it saw may be gone by then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use workflow_core::game::{Case, CaseState, Effects, Fired, Memory, Token, TokenState};
use workflow_core::program::{START, StepNo};

use super::context::Context;
use super::erp_update;
use super::reads::{Answers, Purpose, Question, ReadPlan};
use super::versions::{Version, version};
use super::write;
use crate::pg::raise::internal;
use crate::pg::spi;
use crate::pg::types::{arg, array};

/// How often one batch lets a case's tokens fire before it writes and leaves the rest to the next batch. Chains of
/// automatic steps are bounded by validation; this bounds what is held in memory.
const WAVES: usize = 200;

/// A case in a batch.
pub struct Loaded {
    pub case: Case,
    pub version: Rc<Version>,
    pub account: Option<String>,
    /// As it stands in the tables; None for a case that is new.
    pub before: Option<Before>,
}

/// What a case looked like before the batch, to write only what has changed.
pub struct Before {
    pub state: CaseState,
    pub started: bool,
    pub memory: Memory,
    pub vars: Option<String>,
    pub tokens: Vec<Token>,
}

/// Cases and what happened to them.
pub struct Batch {
    pub context: Context,
    pub cases: Vec<Loaded>,
    pub effects: Effects,
    /// Who does it, for history.
    pub actor: String,
}

/// Locks cases that nobody else is at. Gives back those it got.
pub fn lock_free(ids: &[i64]) -> Vec<i64> {
    lock("FOR UPDATE SKIP LOCKED", ids)
}

/// Locks cases, waiting for whoever is at them; in id order, so that two such calls cannot block each other.
pub fn lock_waiting(ids: &[i64]) -> Vec<i64> {
    lock("FOR UPDATE", ids)
}

fn lock(clause: &str, ids: &[i64]) -> Vec<i64> {
    let sql = format!(
        "SELECT c.case_id FROM wf.cases AS c WHERE c.case_id = ANY ($1) ORDER BY c.case_id {clause}"
    );
    spi::query(&sql, &[array(ids.iter().copied())])
        .iter()
        .map(|row| row.must(1))
        .collect()
}

impl Batch {
    /// An empty batch.
    pub fn new(actor: impl Into<String>) -> Self {
        Self {
            context: Context::new(),
            cases: Vec::new(),
            effects: Effects::default(),
            actor: actor.into(),
        }
    }

    /// A batch of cases whose locks are held.
    pub fn load(ids: &[i64], actor: impl Into<String>) -> Self {
        let mut batch = Self::new(actor);
        let mut tokens = load_tokens(ids);
        let rows = spi::query(
            "SELECT c.case_id, c.version_id, c.state::text, c.started_at, c.outcome, c.reason,
                    c.memory::text, c.vars::text, s.key
             FROM wf.cases AS c JOIN wf.case_subjects AS s ON s.case_id = c.case_id
             WHERE c.case_id = ANY ($1) ORDER BY c.case_id",
            &[array(ids.iter().copied())],
        );
        for row in rows.iter() {
            let id: i64 = row.must(1);
            let version = version(row.must(2));
            let memory = row.get::<String>(7).map_or_else(Memory::default, |text| {
                serde_json::from_str(&text)
                    .unwrap_or_else(|e| internal(&format!("memory of case {id}: {e}")))
            });
            let case = Case {
                id,
                version_id: version.id,
                program: version.program.clone(),
                key: row.must(9),
                state: CaseState::from_label(&row.must::<String>(3))
                    .unwrap_or_else(|| internal("an unknown state of a case")),
                started_at: row.get(4),
                outcome: row.get(5),
                reason: row.get(6),
                memory,
                vars: row.get(8),
                tokens: tokens.remove(&id).unwrap_or_default(),
            };
            batch.cases.push(Loaded {
                before: Some(Before {
                    state: case.state,
                    started: case.started_at.is_some(),
                    memory: case.memory.clone(),
                    vars: case.vars.clone(),
                    tokens: case.tokens.clone(),
                }),
                case,
                version,
                account: None,
            });
        }
        batch
    }

    /// Fires what is ready, wave by wave, until nothing is. Each wave asks the database once for each step that
    /// tokens of the batch stand on.
    pub fn run(&mut self) {
        for _ in 0..WAVES {
            let groups = self.ready_groups();
            if groups.is_empty() {
                return;
            }
            for ((_, step), members) in groups {
                self.fire_group(step, &members);
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

    fn fire_group(&mut self, step: StepNo, members: &[(usize, i16)]) {
        let cases: Vec<usize> = members.iter().map(|(case, _)| *case).collect();
        let Some((purpose, plan)) = self.plan_for(&cases, step) else {
            return;
        };
        let answers = self.ask(&plan, &cases);
        let env = self.context.env();
        let mut writers = Vec::new();
        for (position, (index, visit)) in members.iter().enumerate() {
            let case = &mut self.cases[*index].case;
            // An earlier member of the group may have ended the case.
            let Some(token) = case.token_of(step, *visit) else {
                continue;
            };
            if case.state.is_over() {
                continue;
            }
            let facts = answers.facts(position);
            if case.fire(token, &facts, &env, &mut self.effects) == Fired::Write {
                writers.push(position);
            }
        }
        if writers.is_empty() || purpose == Purpose::Start {
            return;
        }
        let questions = questions(&self.cases, &cases);
        let asking: Vec<_> = writers
            .iter()
            .map(|position| &questions[*position])
            .collect();
        let written: HashSet<usize> =
            erp_update::write(&self.cases[cases[0]].version, step, &asking);
        drop(questions);
        for (nth, position) in writers.into_iter().enumerate() {
            let (index, visit) = members[position];
            let case = &mut self.cases[index].case;
            let Some(token) = case.token_of(step, visit) else {
                continue;
            };
            if written.contains(&nth) {
                case.wrote(token, &answers.facts(position), &env, &mut self.effects);
            } else {
                case.locked(token, &env);
            }
        }
    }

    fn plan_for(&self, cases: &[usize], step: StepNo) -> Option<(Purpose, Rc<ReadPlan>)> {
        let version = self.cases[*cases.first()?].version.clone();
        let program = version.program.clone();
        let purpose = if step == START {
            Purpose::Start
        } else {
            Purpose::Step(step)
        };
        let plan = version
            .reads
            .get(purpose, &version.subject, version.owner, || {
                match program.step(step) {
                    Some(step) => program.step_read(step),
                    None => program.start_read(),
                }
            });
        Some((purpose, plan))
    }

    /// Asks a plan about some of the batch's cases.
    pub fn ask(&self, plan: &ReadPlan, cases: &[usize]) -> Answers {
        plan.ask(&questions(&self.cases, cases))
    }

    /// Asks what `Program::watch_read` wants to know about some cases of one version.
    pub fn ask_watch(&self, cases: &[usize]) -> Option<Answers> {
        let version = self.cases[*cases.first()?].version.clone();
        let program = version.program.clone();
        let plan = version
            .reads
            .get(Purpose::Watch, &version.subject, version.owner, || {
                program.watch_read()
            });
        Some(self.ask(&plan, cases))
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
    pub fn flush(self) -> Vec<Loaded> {
        write::flush(self)
    }
}

fn questions<'a>(cases: &'a [Loaded], indexes: &[usize]) -> Vec<Question<'a>> {
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

fn load_tokens(ids: &[i64]) -> HashMap<i64, Vec<Token>> {
    let rows = spi::query(
        "SELECT t.case_id, t.step_no, t.visit, t.state::text, t.attempts, t.arrived, t.entered_at,
                t.run_at, t.due_at, k.task_id
         FROM wf.case_steps AS t
         LEFT JOIN wf.tasks AS k ON k.case_id = t.case_id AND k.step_no = t.step_no AND k.visit = t.visit
         WHERE t.case_id = ANY ($1) ORDER BY t.case_id, t.step_no, t.visit",
        &[array(ids.iter().copied())],
    );
    let mut tokens: HashMap<i64, Vec<Token>> = HashMap::with_capacity(ids.len());
    for row in rows.iter() {
        tokens.entry(row.must(1)).or_default().push(Token {
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
        });
    }
    tokens
}

/// Ids for new cases.
pub fn new_case_ids(count: usize) -> Vec<i64> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    spi::query(
        "SELECT pg_catalog.nextval('wf.cases_case_id_seq') FROM pg_catalog.generate_series(1, $1)",
        &[arg(count)],
    )
    .iter()
    .map(|row| row.must(1))
    .collect()
}

/// A new case of a version, before it begins.
pub fn new_case(id: i64, version: &Rc<Version>, key: String, vars: Option<String>) -> Loaded {
    Loaded {
        case: Case {
            id,
            version_id: version.id,
            program: version.program.clone(),
            key,
            state: CaseState::Planned,
            started_at: None,
            outcome: None,
            reason: None,
            memory: Memory::default(),
            vars,
            tokens: Vec::new(),
        },
        version: version.clone(),
        account: None,
        before: None,
    }
}
