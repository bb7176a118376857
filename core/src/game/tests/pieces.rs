//! Workflows put together at random from pieces that fit.

use proptest::prelude::*;
use serde_json::{Value, json};

/// A piece of a workflow: it is entered at its first step and left at its last one.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Note,
    Mail {
        otherwise: bool,
    },
    Wait(i32),
    Update,
    Task,
    /// Skipped unless its condition holds.
    Perhaps,
    /// Answers that meet again.
    Question(Vec<Vec<Piece>>),
    /// An answer that ends the case.
    WayOut,
    Decision(Vec<Piece>),
    Parallel(Vec<Vec<Piece>>),
    /// Branches of which so many are needed.
    Needed(Vec<Vec<Piece>>, usize),
    /// A signal to wait for.
    Signal,
    /// A condition to wait for.
    Until,
    /// A signal, a date and an answer side by side, and what follows each.
    First(Vec<Piece>, i32),
    /// Branches that are taken if their condition holds.
    Inclusive(Vec<Vec<Piece>>),
    Loop(Vec<Piece>, u32),
}

fn any_piece() -> impl Strategy<Value = Piece> {
    let leaf = prop_oneof![
        Just(Piece::Note),
        any::<bool>().prop_map(|otherwise| Piece::Mail { otherwise }),
        (-3..40i32).prop_map(Piece::Wait),
        Just(Piece::Update),
        Just(Piece::Task),
        Just(Piece::Perhaps),
        Just(Piece::Signal),
        Just(Piece::Until),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            prop::collection::vec(some(), 2..4).prop_map(Piece::Question),
            some().prop_map(Piece::Decision),
            (some(), -3..40i32).prop_map(|(body, days)| Piece::First(body, days)),
            prop::collection::vec(some(), 2..4).prop_map(Piece::Parallel),
            (prop::collection::vec(some(), 2..4), 1..3usize)
                .prop_map(|(branches, need)| Piece::Needed(branches, need)),
            prop::collection::vec(some(), 2..4).prop_map(Piece::Inclusive),
            (some(), 2..4u32).prop_map(|(body, visits)| Piece::Loop(body, visits)),
        ]
    })
}

pub(crate) fn any_pieces() -> impl Strategy<Value = Vec<Piece>> {
    let top = prop_oneof![6 => any_piece(), 1 => Just(Piece::WayOut)];
    prop::collection::vec(top, 1..5)
}

/// Writes pieces as steps; each step names its next.
#[derive(Default)]
struct Writer {
    steps: Vec<Value>,
    count: usize,
}

impl Writer {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("s{}", self.count)
    }

    /// Writes pieces that lead to a step; the name of the first one.
    fn pieces(&mut self, pieces: &[Piece], next: &str) -> String {
        let mut next = next.to_owned();
        for piece in pieces.iter().rev() {
            next = self.piece(piece, &next);
        }
        next
    }

    fn step(&mut self, step: Value) -> String {
        let name = self.name();
        self.named(&name, step);
        name
    }

    fn named(&mut self, name: &str, mut step: Value) {
        step["name"] = name.into();
        step["description"] = "A step".into();
        self.steps.push(step);
    }

    fn piece(&mut self, piece: &Piece, next: &str) -> String {
        match piece {
            Piece::Note => self.step(json!({"kind": "note", "text": "x", "next": next})),
            Piece::Mail { otherwise } => {
                let mut mail = json!({"kind": "email", "template": "t", "next": next});
                if *otherwise {
                    mail["otherwise"] = next.into();
                }
                self.step(mail)
            }
            Piece::Wait(days) => {
                let on = json!({"anchor": "subject.d", "days": days});
                self.step(json!({"kind": "wait", "on": on, "next": next}))
            }
            Piece::Update => self.step(json!({"kind": "update", "set": {"x": "1"}, "next": next})),
            Piece::Task => self.step(json!({"kind": "task", "participant": "p",
                "due": {"anchor": "subject.d", "days": 3}, "next": next})),
            Piece::Perhaps => {
                self.step(json!({"kind": "note", "text": "x", "when": "c1", "next": next}))
            }
            Piece::Signal => self.step(json!({"kind": "event", "signal": "s", "next": next})),
            Piece::Until => self.step(json!({"kind": "event", "until": "c1", "next": next})),
            Piece::First(body, days) => {
                let body = self.pieces(body, next);
                let branches = [
                    self.step(json!({"kind": "event", "signal": "s", "next": body})),
                    self.step(json!({"kind": "wait", "next": next,
                        "on": {"anchor": "previous_done", "days": days}})),
                    self.step(json!({"kind": "task", "participant": "p",
 "due": {"days": 1}, "next": next})),
                ];
                self.step(json!({"kind": "first_of", "branches": branches}))
            }
            Piece::Question(answers) => {
                let meet =
                    self.step(json!({"kind": "note", "text": "x", "merge": true, "next": next}));
                let options: Vec<Value> = answers
                    .iter()
                    .enumerate()
                    .map(|(i, answer)| json!({"name": format!("{i}"), "next": self.pieces(answer, &meet)}))
                    .collect();
                self.step(json!({"kind": "question", "participant": "p", "options": options}))
            }
            Piece::WayOut => {
                let out = self.step(json!({"kind": "finish", "outcome": "left"}));
                let options = json!([{"name": "on", "next": next}, {"name": "out", "next": out}]);
                self.step(json!({"kind": "question", "participant": "p", "options": options}))
            }
            Piece::Decision(body) => {
                let leg = self.pieces(body, next);
                self.step(json!({"kind": "decision", "otherwise": next,
                    "legs": [{"name": "A", "when": "c2", "next": leg}]}))
            }
            Piece::Parallel(branches) => {
                self.parallel(branches, json!({"kind": "join", "next": next}))
            }
            Piece::Needed(branches, need) => self.parallel(
                branches,
                json!({"kind": "join", "next": next, "need": need}),
            ),
            Piece::Inclusive(branches) => {
                let (fork, join) = (self.name(), self.name());
                self.named(&join, json!({"kind": "join", "of": fork, "next": next}));
                let legs: Vec<Value> = branches
                    .iter()
                    .enumerate()
                    .map(|(i, branch)| {
                        let when = format!("c{}", i % 2 + 1);
                        json!({"name": format!("{i}"), "when": when, "next": self.pieces(branch, &join)})
                    })
                    .collect();
                self.named(
                    &fork,
                    json!({"kind": "inclusive", "legs": legs, "otherwise": join}),
                );
                fork
            }
            Piece::Loop(body, visits) => {
                let repeat = self.name();
                let first = self.pieces(body, &repeat);
                self.named(
                    &repeat,
                    json!({"kind": "repeat", "back_to": first,
                    "max_visits": visits, "exhausted": next}),
                );
                first
            }
        }
    }
}

impl Writer {
    /// Branches side by side, with their join.
    fn parallel(&mut self, branches: &[Vec<Piece>], mut join: Value) -> String {
        let (parallel, joining) = (self.name(), self.name());
        join["of"] = parallel.clone().into();
        self.named(&joining, join);
        let firsts: Vec<String> = branches
            .iter()
            .map(|branch| self.pieces(branch, &joining))
            .collect();
        self.named(&parallel, json!({"kind": "parallel", "branches": firsts}));
        parallel
    }
}

/// A document of these pieces, its first step first.
pub(crate) fn document(pieces: &[Piece]) -> Value {
    let mut writer = Writer::default();
    let end = writer.step(json!({"kind": "finish"}));
    let first = writer.pieces(pieces, &end);
    let at = writer
        .steps
        .iter()
        .position(|s| s["name"] == *first)
        .unwrap();
    let step = writer.steps.remove(at);
    writer.steps.insert(0, step);
    json!({
        "format": 1, "name": "w", "subject": "s",
        "start": {"when": "start", "on": {"anchor": "subject.d", "days": -5}, "late": "skip"},
        "stop": [{"when": "stop", "reason": "paid"}],
        "contact_window": {"days": "mon-fri", "from": "08:00", "to": "20:00"},
        "templates": {"t": {"subject": "s", "body": "b"}},
        "phases": [{"name": "p", "steps": writer.steps}]
    })
}

/// A document with one of its targets moved elsewhere.
pub(crate) fn damaged(mut document: Value, at: usize, to: usize) -> Value {
    let steps = document["phases"][0]["steps"].as_array_mut().unwrap();
    let target = steps[to % steps.len()]["name"].clone();
    let mut places: Vec<&mut Value> = Vec::new();
    for step in steps {
        for (field, value) in step.as_object_mut().unwrap() {
            match (field.as_str(), value) {
                ("next" | "otherwise" | "back_to" | "exhausted", value) => places.push(value),
                ("branches", Value::Array(list)) => places.extend(list),
                ("options" | "legs", Value::Array(list)) => {
                    places.extend(list.iter_mut().map(|leg| &mut leg["next"]));
                }
                _ => {}
            }
        }
    }
    let count = places.len();
    if let Some(place) = places.into_iter().nth(at % count.max(1)) {
        *place = target;
    }
    document
}
