//! The model: the history of a case, transaction by transaction, played again with the pure rules of `workflow_core`.
//!
//! Each transaction that committed has to be a move of the rules: from the case as the one before left it to the case as
//! this one left it, with the same rows of history, notes and messages, letter for letter. What is asked of the rules is
//! known: the call that the client noted in the same transaction, or the report of a sender. Where the engine acted by
//! itself, it fired what was due, looked at a changed row, began a case, or ended holds; which of them, the play finds
//! out. It also finds out which version of the ERP's row was seen: one that had committed, and none older than what an
//! earlier transaction on the case saw. Whatever the order in which 4 clients and 2 workers got at a case, and wherever
//! a crash fell, there has to be such a play.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use serde_json::Value;
use workflow_core::game::{
    Block, Case, CaseState, Clock, Effects, Env, Fired, Hold, Memory, Token, TokenState,
};
use workflow_core::program::{Program, Read, StepNo};

use crate::acts::{Act, apply};
use crate::facts::{Answers, Nothing};
use crate::trace::{Group, Versions, Written, time};

/// How many moves the play of one transaction may try.
const TRIES: usize = 100_000;

/// What a transaction writes besides tokens, or what the rules want written: histories, notes and messages, as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    history: Vec<String>,
    notes: Vec<String>,
    messages: Vec<String>,
}

impl Rows {
    fn begins(&self, whole: &Rows) -> bool {
        whole.history.starts_with(&self.history)
            && whole.notes.starts_with(&self.notes)
            && whole.messages.starts_with(&self.messages)
    }

    fn add(&mut self, out: &Effects) {
        self.history.extend(out.history.iter().map(|row| {
            let outcome = row.outcome.as_deref().unwrap_or("");
            line(row.event.label(), row.step, row.visit, outcome)
        }));
        let notes = out.notes.iter();
        self.notes
            .extend(notes.map(|n| line("note", Some(n.step), Some(n.visit), &n.body)));
        self.messages.extend(out.messages.iter().map(|m| {
            let payload = m.payload.as_deref().unwrap_or("null");
            let payload: Value = serde_json::from_str(payload).expect("a payload is JSON");
            line(m.channel, Some(m.step), Some(m.visit), &sorted(&payload))
        }));
    }

    fn written(group: &Group) -> Self {
        let mut rows = Self::default();
        let number = |value: &Value| value.to_string().parse().ok();
        for Written { table, op, row } in &group.written {
            let of = |what: &str, more: &str| {
                line(what, number(&row["step_no"]), number(&row["visit"]), more)
            };
            let text = |field: &str| row[field].as_str().unwrap_or("").to_owned();
            match (table.as_str(), op.as_str()) {
                ("history", _) => rows.history.push(of(&text("event"), &text("outcome"))),
                ("notes", _) => rows.notes.push(of("note", &text("body"))),
                ("outbox", "INSERT") => rows
                    .messages
                    .push(of(&text("type"), &sorted(&row["payload"]))),
                _ => {}
            }
        }
        rows
    }
}

/// The fields of an object in the order of their names: jsonb has another than json.
fn sorted(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let fields: BTreeMap<&String, &Value> = fields.collect();
    format!("{fields:?}")
}

fn line(what: &str, step: Option<StepNo>, visit: Option<i16>, more: &str) -> String {
    match (step, visit) {
        (Some(step), Some(visit)) => format!("{what} {step}/{visit} {more}"),
        _ => format!("{what} {more}"),
    }
}

/// What is left to do in a transaction.
#[derive(Clone, Debug)]
enum Todo {
    Act(Act),
    /// Fire what is ready, as long as anything is.
    Waves,
    Fire(StepNo, i16),
}

/// A position in the play of a transaction.
#[derive(Clone)]
struct Node {
    case: Case,
    rows: Rows,
    /// The newest version of the job that was looked at so far.
    seen: i64,
    /// Whether a process was killed over the case.
    killed: bool,
    todo: VecDeque<Todo>,
}

/// What is known of a case between two transactions.
pub struct Replay<'a> {
    pub case: Case,
    versions: &'a Versions,
    /// The case's row as it was last written.
    row: Value,
    tokens: BTreeMap<(StepNo, i16), Value>,
    tasks: HashMap<(StepNo, i16), i64>,
    pub holds: BTreeMap<i64, Hold>,
    /// How many transactions count an attempt because a process was killed over the case alone.
    pub killed: usize,
    /// The newest version of the job that a transaction has looked at.
    seen: i64,
    tries: usize,
    /// How the last play that came to nothing differed.
    differs: String,
}

/// The rows of a transaction's holds: those that it made, and the ids of those that it ended.
#[derive(Default)]
pub struct HoldsOf {
    pub made: Vec<Hold>,
    pub ended: Vec<i64>,
}

fn hold_of(row: &Value) -> Hold {
    let text = |field: &str| row[field].as_str().unwrap_or("").to_owned();
    let blocks = row["blocks"].as_array().into_iter().flatten();
    Hold {
        kind: text("kind"),
        reason: text("reason"),
        blocks: blocks
            .filter_map(|b| Block::from_label(b.as_str()?))
            .collect(),
        clock: Clock::from_label(&text("clock")).expect("a clock that the rules know"),
        from: time(&row["held_at"]).expect("a hold begins some time"),
        until: time(&row["until"]),
    }
}

fn number(value: &Value) -> i64 {
    value.to_string().parse().expect("a number")
}

fn key_of(row: &Value) -> (StepNo, i16) {
    let small = |field: &str| i16::try_from(number(&row[field])).expect("a small number");
    (small("step_no"), small("visit"))
}

/// A row of wf.case_steps as a token, without its task.
fn token_of(row: &Value) -> Token {
    let (step, visit) = key_of(row);
    let small = |field: &str| i16::try_from(number(&row[field])).expect("a small number");
    let state = row["state"].as_str().and_then(TokenState::from_label);
    Token {
        step,
        visit,
        state: state.expect("a state that the rules know"),
        attempts: small("attempts"),
        arrived: small("arrived"),
        entered_at: time(&row["entered_at"]).expect("a token came some time"),
        run_at: time(&row["run_at"]),
        due_at: time(&row["due_at"]),
        task_id: None,
    }
}

impl<'a> Replay<'a> {
    /// A case that is not there yet, given the first transaction that wrote about it.
    pub fn new(
        first: &Group,
        programs: &HashMap<i32, Rc<Program>>,
        jobs: &'a BTreeMap<i64, Versions>,
    ) -> Self {
        let row = first.written.iter().find(|w| w.table == "cases");
        let row = &row.expect("a case begins with its row").row;
        let version_id = i32::try_from(number(&row["version_id"])).expect("a version's number");
        let key = row["key"].as_str().expect("a case has a key");
        let versions = &jobs[&key.parse().expect("the key is a job's number")];
        let call = first.call.as_ref();
        let vars = call
            .map(|call| &call["vars"])
            .filter(|vars| vars.is_object());
        let case = Case {
            id: number(&row["case_id"]),
            version_id,
            program: programs[&version_id].clone(),
            key: key.to_owned(),
            state: CaseState::Planned,
            started_at: None,
            outcome: None,
            reason: None,
            memory: Memory::default(),
            vars: vars.map(Value::to_string),
            tokens: Vec::new(),
            members: Vec::new(),
        };
        Self {
            case,
            versions,
            row: Value::Null,
            tokens: BTreeMap::new(),
            tasks: HashMap::new(),
            holds: BTreeMap::new(),
            killed: 0,
            seen: *versions.keys().next().expect("a job has a version"),
            tries: 0,
            differs: String::new(),
        }
    }

    /// Plays one transaction. Err says what the rules cannot have done.
    pub fn play(&mut self, group: &Group, is_first: bool) -> Result<(), String> {
        let holds = self.take_in(group);
        let want = Rows::written(group);
        self.case.tokens.sort_by_key(|t| (t.step, t.visit));
        let before = self.case.clone();
        (self.tries, self.differs) = (0, String::new());
        for todo in Act::ways(group, is_first, &holds, &want.history) {
            let (acts, waves) = todo;
            let acts = acts.into_iter().map(Todo::Act);
            let node = Node {
                case: before.clone(),
                rows: Rows::default(),
                seen: self.seen,
                killed: false,
                todo: acts.chain(waves.then_some(Todo::Waves)).collect(),
            };
            if let Some(end) = self.explore(node, group, &want, &holds) {
                self.seen = end.seen;
                self.killed += usize::from(end.killed);
                self.case = end.case;
                self.know_tasks();
                for ended in &holds.ended {
                    self.holds.remove(ended);
                }
                return Ok(());
            }
        }
        Err(format!(
            "the rules do not do what transaction {} did at {} to case {} of {}, with versions {} to {:?} of its job\n\
             call: {:?}\nbefore: {:?}\nwritten: {:#?}\nlast difference: {}",
            group.xid,
            group.now,
            before.id,
            before.program.document.name,
            self.seen,
            group.upto,
            group.call,
            before,
            group.written,
            self.differs
        ))
    }

    /// Takes the rows of a transaction as the state that the play has to come to.
    fn take_in(&mut self, group: &Group) -> HoldsOf {
        let mut holds = HoldsOf::default();
        for Written { table, op, row } in &group.written {
            match (table.as_str(), op.as_str()) {
                ("cases", _) => self.row = row.clone(),
                ("case_steps", "DELETE") => drop(self.tokens.remove(&key_of(row))),
                ("case_steps", _) => drop(self.tokens.insert(key_of(row), row.clone())),
                ("tasks", "DELETE") => drop(self.tasks.remove(&key_of(row))),
                ("tasks", _) => drop(self.tasks.insert(key_of(row), number(&row["task_id"]))),
                ("holds", "INSERT") => {
                    holds.made.push(hold_of(row));
                    self.holds.insert(number(&row["hold_id"]), hold_of(row));
                }
                ("holds", _) => holds.ended.push(number(&row["hold_id"])),
                _ => {}
            }
        }
        holds
    }

    /// The tokens' tasks, as the engine loads them for the next transaction.
    fn know_tasks(&mut self) {
        for token in &mut self.case.tokens {
            let without = matches!(
                token.state,
                TokenState::Scheduled
                    | TokenState::Joining
                    | TokenState::Waiting
                    | TokenState::Sending
            );
            let task = self.tasks.get(&(token.step, token.visit)).copied();
            token.task_id = task.filter(|_| !without);
        }
    }

    fn explore(
        &mut self,
        mut node: Node,
        group: &Group,
        want: &Rows,
        holds: &HoldsOf,
    ) -> Option<Node> {
        self.tries += 1;
        if self.tries > TRIES {
            self.differs = "too many ways to try".to_owned();
            return None;
        }
        loop {
            if !node.rows.begins(want) {
                self.differs = format!("other rows: {:#?}", node.rows);
                return None;
            }
            let Some(todo) = node.todo.pop_front() else {
                return self.has_come_to(&node, want).then_some(node);
            };
            match todo {
                Todo::Waves => {
                    let tokens = node.case.ready(group.now).map(|i| &node.case.tokens[i]);
                    let mut wave: Vec<(StepNo, i16)> = tokens.map(|t| (t.step, t.visit)).collect();
                    if wave.is_empty() {
                        continue;
                    }
                    wave.sort_by_key(|(step, _)| *step);
                    node.todo.push_front(Todo::Waves);
                    for (step, visit) in wave.into_iter().rev() {
                        node.todo.push_front(Todo::Fire(step, visit));
                    }
                }
                Todo::Fire(step, visit) => {
                    let token = node.case.token_of(step, visit);
                    let Some(index) = token.filter(|_| !node.case.state.is_over()) else {
                        continue;
                    };
                    return self.fire(node, index, group, want, holds);
                }
                Todo::Act(act) => {
                    for (v, answers) in self.seen_by(&act.read(&node.case), group) {
                        let mut next = node.clone();
                        next.seen = next.seen.max(v);
                        next.killed |= matches!(act, Act::ProcessEnded);
                        let mut out = Effects::default();
                        let env = env(group);
                        let result = apply(
                            &act,
                            &mut next.case,
                            self,
                            holds,
                            &answers.facts(),
                            &env,
                            &mut out,
                        );
                        if let Err(error) = result {
                            self.differs = format!("refused: {error:?}");
                            continue;
                        }
                        next.rows.add(&out);
                        if let Some(end) = self.explore(next, group, want, holds) {
                            return Some(end);
                        }
                    }
                    return None;
                }
            }
        }
    }

    /// Fires a token with each version of the job that may have been seen; a write may find the row locked.
    fn fire(
        &mut self,
        node: Node,
        index: usize,
        group: &Group,
        want: &Rows,
        holds: &HoldsOf,
    ) -> Option<Node> {
        let program = node.case.program.clone();
        let read = match program.step(node.case.tokens[index].step) {
            Some(step) => program.step_read(step),
            None => program.start_read(),
        };
        let (step, visit) = (node.case.tokens[index].step, node.case.tokens[index].visit);
        for (v, answers) in self.seen_by(&read, group) {
            let mut fired = node.clone();
            fired.seen = fired.seen.max(v);
            let (facts, env, mut out) = (answers.facts(), env(group), Effects::default());
            let result = fired.case.fire(index, &facts, &env, &mut out);
            fired.rows.add(&out);
            let ends = match result {
                Fired::Moved => vec![fired],
                Fired::TakenOver => panic!("no case here concerns several jobs"),
                Fired::Write => {
                    let at = fired
                        .case
                        .token_of(step, visit)
                        .expect("it waits for its row");
                    let (mut locked, mut out) = (fired.clone(), Effects::default());
                    locked.case.locked(at, &env);
                    fired.case.wrote(at, &facts, &env, &mut out);
                    fired.rows.add(&out);
                    vec![fired, locked]
                }
            };
            for end in ends {
                if let Some(end) = self.explore(end, group, want, holds) {
                    return Some(end);
                }
            }
        }
        None
    }

    /// The versions of the job that can have been seen, with what they answer; of those that answer alike, the oldest.
    fn seen_by(&self, read: &Read, group: &Group) -> Vec<(i64, Answers)> {
        let upto = group.upto.unwrap_or(i64::MAX).max(self.seen);
        let mut ways: Vec<(i64, Answers)> = Vec::new();
        for (v, job) in self.versions.range(self.seen..=upto) {
            let answers = Answers::of(read, job.as_ref());
            if ways.iter().all(|(_, known)| *known != answers) {
                ways.push((*v, answers));
            }
        }
        ways
    }

    /// Whether a position is what the transaction left behind.
    fn has_come_to(&mut self, node: &Node, want: &Rows) -> bool {
        let mut tokens: Vec<Token> = node.case.tokens.clone();
        tokens.sort_by_key(|t| (t.step, t.visit));
        tokens.iter_mut().for_each(|token| token.task_id = None);
        let wanted: Vec<Token> = self.tokens.values().map(token_of).collect();
        let case = &node.case;
        let text = |field: &str| self.row[field].as_str();
        let json = |text: Option<&str>| {
            text.map_or(Value::Null, |t| serde_json::from_str(t).expect("JSON"))
        };
        let memory = serde_json::to_value(&case.memory).expect("JSON");
        let remembers = case.memory != Memory::default();
        let same = [
            ("rows", node.rows == *want),
            ("tokens", tokens == wanted),
            ("state", text("state") == Some(case.state.label())),
            ("outcome", text("outcome") == case.outcome.as_deref()),
            ("reason", text("reason") == case.reason.as_deref()),
            ("start", time(&self.row["started_at"]) == case.started_at),
            ("vars", self.row["vars"] == json(case.vars.as_deref())),
            (
                "memory",
                if remembers {
                    self.row["memory"] == memory
                } else {
                    self.row["memory"].is_null()
                },
            ),
        ];
        let wrong: Vec<&str> = same
            .iter()
            .filter(|(_, same)| !same)
            .map(|(what, _)| *what)
            .collect();
        if wrong.is_empty() {
            return true;
        }
        self.differs = format!(
            "other {}: {:#?}\n{case:#?}\nwanted {wanted:#?}\n{:#?}",
            wrong.join(", "),
            node.rows,
            self.row
        );
        false
    }

    /// Where the case stands, in a line to be compared with the tables.
    pub fn position(&self) -> String {
        let mut tokens: Vec<&Token> = self.case.tokens.iter().collect();
        tokens.sort_by_key(|t| (t.step, t.visit));
        let tokens = tokens
            .iter()
            .map(|t| format!("{}/{} {}", t.step, t.visit, t.state.label()));
        format!(
            "{} {} {}: {}",
            self.case.id,
            self.case.state.label(),
            self.case.outcome.as_deref().unwrap_or("-"),
            tokens.collect::<Vec<_>>().join(", ")
        )
    }
}

fn env(group: &Group) -> Env<'static> {
    Env {
        now: group.now,
        zones: &Nothing,
        calendars: &Nothing,
        default_zone: "UTC",
    }
}
