//! What the database says about the rows of a batch's subjects: conditions and columns, one query for a whole group
//! of cases, run as the workflow's owner.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use pgrx::pg_sys::Oid;
use workflow_core::game::Facts;
use workflow_core::program::{Read, START, StepNo};
use workflow_core::row::{Columns, Row};
use workflow_core::{Error, ErrorCode};

use super::question::{self, GROUP, Question, TYPES, WHOSE};
use super::versions::Version;
use crate::pg::acting::as_user;
use crate::pg::limit::limited;
use crate::pg::raise::raise;
use crate::pg::spi::Kept;
use crate::subjects::subject::{Subject, column_expression, value_expression};

/// The answers for a group, in the order of its questions.
pub struct Answers {
    plan: Rc<ReadPlan>,
    found: Vec<bool>,
    holds: Vec<bool>,
    values: Vec<Option<String>>,
}

impl Answers {
    /// The answers for the question at `index` to a plan for one purpose.
    pub fn facts(&self, index: usize) -> Facts<'_> {
        self.part(index, 0..self.plan.conditions)
    }

    /// The columns of the rows.
    pub fn columns(&self) -> Rc<Columns> {
        self.plan.columns.clone()
    }

    /// The answers for the question at `index`, as far as they are about a step. None if the plan did not ask for it.
    pub fn facts_of(&self, index: usize, step: StepNo) -> Option<Facts<'_>> {
        let (_, conditions) = self.plan.parts.iter().find(|(of, _)| *of == step)?;
        Some(self.part(index, conditions.clone()))
    }

    fn part(&self, index: usize, conditions: Range<usize>) -> Facts<'_> {
        let columns = &self.plan.columns;
        let width = columns.names().len();
        Facts {
            found: self.found[index],
            conditions: &self.holds[index * self.plan.conditions..][conditions],
            row: Row {
                columns,
                values: &self.values[index * width..(index + 1) * width],
            },
        }
    }
}

/// What a read is for; plans are kept by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    Start,
    Watch,
    /// All rows of cases that concern several.
    Members,
    Step(StepNo),
    /// A step and those that a token may run on to.
    RunOn(StepNo),
}

/// The prepared reads of one version.
pub struct ReadPlans {
    version: i32,
    plans: RefCell<HashMap<Purpose, Rc<ReadPlan>>>,
}

impl ReadPlans {
    /// Nothing prepared yet for the version of this id.
    pub fn new(version: i32) -> Self {
        Self {
            version,
            plans: RefCell::default(),
        }
    }

    /// What enrolling asks: the start condition, and the subject's own idea of which rows may have a case.
    pub fn of_start(&self, version: &Version) -> Rc<ReadPlan> {
        self.whole(Purpose::Start, version, || {
            let mut read = version.program.start_read();
            read.conditions.extend(version.subject.eligible.clone());
            read
        })
    }

    /// What a look at a case as a whole asks, whichever step its tokens stand on.
    pub fn of_watch(&self, version: &Version) -> Rc<ReadPlan> {
        self.whole(Purpose::Watch, version, || version.program.watch_read())
    }

    /// What is asked of every row of a case that concerns several.
    pub fn of_members(&self, version: &Version, read: impl FnOnce() -> Read) -> Rc<ReadPlan> {
        self.whole(Purpose::Members, version, read)
    }

    /// A plan that belongs to no step.
    fn whole(
        &self,
        purpose: Purpose,
        version: &Version,
        read: impl FnOnce() -> Read,
    ) -> Rc<ReadPlan> {
        self.of(purpose, || {
            ReadPlan::prepare(
                version.id,
                &version.subject,
                version.owner,
                [(START, read())],
            )
        })
    }

    /// The plan for a step; with `run_on`, also for those that follow it.
    pub fn of_step(&self, version: &Version, step: StepNo, run_on: bool) -> Rc<ReadPlan> {
        let steps = |steps: &[StepNo]| {
            let reads = steps.iter().filter_map(|no| {
                let step = version.program.step(*no)?;
                Some((*no, version.program.step_read(step)))
            });
            ReadPlan::prepare(version.id, &version.subject, version.owner, reads)
        };
        if run_on {
            let wide = self.of(Purpose::RunOn(step), || {
                steps(&version.program.run_on(step))
            });
            // What a volatile function does, it must not do for a step that is not reached.
            if !wide.is_volatile {
                return wide;
            }
        }
        self.of(Purpose::Step(step), || steps(&[step]))
    }

    fn of(&self, purpose: Purpose, prepare: impl FnOnce() -> ReadPlan) -> Rc<ReadPlan> {
        if let Some(known) = self.plans.borrow().get(&purpose) {
            return known.clone();
        }
        // Limited, too: the parser waits for the locks of the tables that are named.
        let plan = Rc::new(limited(self.version, None, prepare));
        self.plans.borrow_mut().insert(purpose, plan.clone());
        plan
    }
}

/// A prepared read.
pub struct ReadPlan {
    version: i32,
    plan: Kept,
    columns: Rc<Columns>,
    conditions: usize,
    /// Which of the conditions are whose, when several steps are asked about.
    parts: Vec<(StepNo, Range<usize>)>,
    is_volatile: bool,
    owner: Oid,
}

/// The query of a read over a group of keys. Conditions stand on lines of their own, so that a comment in one ends
/// with it; `IS TRUE` makes NULL false and insists on boolean.
pub fn read_sql(subject: &Subject, read: &Read, columns: &Columns) -> String {
    let mut select = format!("{WHOSE}, d.wf_found IS NOT NULL");
    for condition in &read.conditions {
        select.push_str(&format!(", (\n{condition}\n) IS TRUE"));
    }
    for (position, name) in columns.names().iter().enumerate() {
        if let Some(kind) = columns.column_type(position) {
            select.push_str(", ");
            let value = read.values.iter().find(|value| value.name == *name);
            select.push_str(&match value {
                Some(value) => value_expression(&value.sql, kind),
                None => column_expression("d", name, kind),
            });
        }
    }
    format!(
        "SELECT {select}
         FROM {GROUP}
         LEFT JOIN (SELECT true AS wf_found, s.* FROM {} AS s) AS d ON {}",
        subject.details,
        subject.join_condition("d", "k.wf_key")
    )
}

/// The types of the columns that a read names, and of its values. Raises 42703 for a column that the details do not have.
pub fn read_columns(subject: &Subject, read: &Read) -> Columns {
    let known = subject.details_columns();
    let values = read.values.iter().map(|v| (v.name.clone(), v.kind));
    let columns =
        read.columns.iter().map(
            |name| match known.iter().find(|(column, _)| column == name) {
                Some((column, kind)) => (column.clone(), *kind),
                None => raise(
                    Error::new(
                        ErrorCode::Unknown,
                        format!(
                            "the details of subject \"{}\" have no column \"{name}\"",
                            subject.name
                        ),
                    )
                    .hint("Add it to the details view, or take it out of the workflow."),
                ),
            },
        );
    Columns::new(columns.chain(values))
}

impl ReadPlan {
    fn prepare(
        version: i32,
        subject: &Subject,
        owner: Oid,
        reads: impl IntoIterator<Item = (StepNo, Read)>,
    ) -> Self {
        let mut all = Read::default();
        let mut parts = Vec::new();
        for (step, read) in reads {
            let before = all.conditions.len();
            all.conditions.extend(read.conditions);
            all.columns.extend(read.columns);
            all.values.extend(read.values);
            parts.push((step, before..all.conditions.len()));
        }
        all.columns.sort();
        all.columns.dedup();
        let columns = Rc::new(read_columns(subject, &all));
        let sql = read_sql(subject, &all, &columns);
        let plan = as_user(owner, || Kept::prepare(sql, TYPES.to_vec()));
        Self {
            version,
            is_volatile: plan.is_volatile(),
            plan,
            columns,
            conditions: all.conditions.len(),
            parts,
            owner,
        }
    }

    /// Answers a group of questions with one query, as the workflow's owner.
    pub fn ask(self: &Rc<Self>, questions: &[Question<'_>]) -> Answers {
        let args = question::args(questions);
        let step = match self.parts[..] {
            [(step, _)] if step != START => Some(step),
            _ => None,
        };
        let rows = limited(self.version, step, || {
            as_user(self.owner, || self.plan.execute(&args))
        });
        let width = self.columns.names().len();
        let mut answers = Answers {
            plan: self.clone(),
            found: vec![false; questions.len()],
            holds: vec![false; questions.len() * self.conditions],
            values: vec![None; questions.len() * width],
        };
        let mut seen = vec![false; questions.len()];
        for row in rows.iter() {
            let index = question::index(row);
            if std::mem::replace(&mut seen[index], true) {
                more_than_one(questions[index].key);
            }
            answers.found[index] = row.must(2);
            let mut column = 2;
            for place in &mut answers.holds[index * self.conditions..][..self.conditions] {
                column += 1;
                *place = row.must(column);
            }
            for place in &mut answers.values[index * width..][..width] {
                column += 1;
                *place = row.get(column);
            }
        }
        answers
    }
}

fn more_than_one(key: &str) -> ! {
    crate::pg::raise::raise_as(
        pgrx::PgSqlErrorCode::ERRCODE_CARDINALITY_VIOLATION,
        format!("the subject's details have more than one row for key {key}"),
        None,
        Some("Let the details view give one row for each key, e.g. by aggregating.".to_owned()),
    )
}
