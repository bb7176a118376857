//! Random workflows under random events: what holds for every one of them.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::Value;

use super::driver::roles;
use super::*;
use crate::document::Document;
use crate::kinds::DoneWhen;
use crate::program::Program;
use crate::validate::validate;

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
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            prop::collection::vec(some(), 2..4).prop_map(Piece::Question),
            some().prop_map(Piece::Decision),
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

/// Something that happens; the numbers pick among what there is to pick from.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Settle(usize, usize),
    Branch(usize, usize),
    Days(i64),
    Advance(usize),
    Skip(usize),
    Retry(usize),
    Hold,
    Release,
    Date(Option<i64>),
    Condition(usize),
    Sender(bool),
    Lock(bool),
    Bounce(usize),
    NoAddress,
    Address,
}

fn any_happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let pick = || 0usize..6;
    prop_oneof![
        8 => (pick(), pick()).prop_map(|(token, outcome)| H::Settle(token, outcome)),
        2 => (pick(), pick()).prop_map(|(token, leg)| H::Branch(token, leg)),
        6 => (0..20i64).prop_map(H::Days),
        2 => pick().prop_map(H::Advance),
        2 => pick().prop_map(H::Skip),
        2 => pick().prop_map(H::Retry),
        1 => Just(H::Hold),
        2 => Just(H::Release),
        2 => prop::option::of(-10..30i64).prop_map(H::Date),
        2 => (0..2usize).prop_map(H::Condition),
        1 => any::<bool>().prop_map(H::Sender),
        1 => any::<bool>().prop_map(H::Lock),
        1 => pick().prop_map(H::Bounce),
        1 => Just(H::NoAddress),
        1 => Just(H::Address),
    ]
}

/// Lets it happen. A call may be refused; that is one of the things to test.
fn happen(play: &mut Play, happening: Happening) {
    let picked = |play: &Play, n: usize| {
        let tokens = &play.case.tokens;
        tokens
            .get(n % tokens.len().max(1))
            .map(|t| play.case.program.step_name(t.step).to_owned())
    };
    let outcome = |play: &Play, step: &str, n: usize| {
        let outcomes = play
            .case
            .program
            .step_named(step)
            .map(|s| s.outcomes())
            .unwrap_or_default();
        outcomes
            .get(n % outcomes.len().max(1))
            .cloned()
            .unwrap_or_default()
    };
    let step = match happening {
        Happening::Settle(n, _)
        | Happening::Branch(n, _)
        | Happening::Advance(n)
        | Happening::Skip(n)
        | Happening::Retry(n)
        | Happening::Bounce(n) => picked(play, n).unwrap_or_default(),
        _ => String::new(),
    };
    match happening {
        Happening::Settle(_, n) => drop(play.settle(&step, Some(&outcome(play, &step, n)))),
        Happening::Branch(_, n) => drop(play.branch(&step, &outcome(play, &step, n))),
        Happening::Days(days) => {
            // Nobody holds a lock for days, and the engine looks every second.
            play.locked = false;
            play.clock(play.now + chrono::TimeDelta::days(days));
        }
        Happening::Advance(_) => drop(play.advance(&step)),
        Happening::Skip(_) => drop(play.skip(&step)),
        Happening::Retry(_) => drop(play.retry(&step)),
        Happening::Hold => drop(play.hold()),
        Happening::Release => drop(play.release()),
        Happening::Date(days) => {
            let date = days
                .map(|days| (play.now.date_naive() + chrono::TimeDelta::days(days)).to_string());
            play.set("d", ColumnType::Date, date.as_deref());
            play.changed();
        }
        Happening::Condition(n) => {
            let condition = ["c1", "c2"][n].to_owned();
            if !play.true_conditions.contains(&condition) {
                play.true_conditions.push(condition);
            } else {
                play.true_conditions.retain(|c| *c != condition);
            }
            play.changed();
        }
        Happening::Sender(works) => play.sender = works,
        Happening::Lock(locked) => play.locked = locked,
        Happening::NoAddress => play.set("email", ColumnType::Text, None),
        Happening::Address => play.text("email", "a@example.com"),
        Happening::Bounce(_) => {
            let Some(no) = play.case.program.step_named(&step).map(|s| s.no) else {
                return;
            };
            let Some(visit) = play.case.token_at(no).map(|i| play.case.tokens[i].visit) else {
                return;
            };
            let error = crate::Error::new(ErrorCode::State, "mailbox full");
            play.ask(&Default::default(), |case, facts, env, out| {
                case.message_failed(no, visit, Event::MessageDead, &error, facts, env, out);
            });
            play.came_to(no, visit, DoneWhen::Sent);
        }
    }
    play.settle_down();
}

/// What must hold of a case at any time.
fn check(play: &Play) {
    let case = &play.case;
    if case.state.is_over() {
        assert!(case.tokens.is_empty(), "a case that has ended has tokens");
        return;
    }
    assert!(
        !case.tokens.is_empty(),
        "an open case has no token: {:?}",
        play.history()
    );
    let mut runs = HashSet::new();
    for token in &case.tokens {
        assert!(
            runs.insert((token.step, token.visit)),
            "two tokens of one step run"
        );
        let on_hold = case.state == CaseState::Held;
        assert!(
            !(on_hold && token.state == TokenState::Scheduled),
            "scheduled on hold"
        );
        assert!(
            on_hold || token.state != TokenState::Held,
            "held, and the case is not"
        );
        assert!(
            token.run_at.is_none()
                || matches!(token.state, TokenState::Scheduled | TokenState::Held),
            "a date of its own in state {}",
            token.state.label()
        );
    }
    assert!(
        case.tokens.iter().any(|t| t.state != TokenState::Joining),
        "every token waits for the others: {:?}",
        play.open()
    );
    let mut done = HashSet::new();
    for row in &play.out.history {
        if row.event == Event::StepDone {
            assert!(
                done.insert((row.step, row.visit)),
                "done twice: {:?}",
                play.history()
            );
        }
    }
    let mut tasks = HashSet::new();
    for task in &play.out.tasks {
        assert!(
            tasks.insert((task.step, task.visit)),
            "two tasks of one step run"
        );
    }
}

pub(crate) fn compile(document: &Value) -> Program {
    Program::compile(Document::parse(&document.to_string()).unwrap(), roles())
}

fn play(program: Program, happenings: &[Happening]) -> Play {
    let mut play = Play::of(program);
    play.date("d", "2026-01-20");
    play.text("email", "a@example.com");
    play.true_conditions.push("start".to_owned());
    play.enroll().unwrap();
    check(&play);
    for happening in happenings {
        happen(&mut play, *happening);
        check(&play);
    }
    play
}

/// With everybody doing their work, the case comes to its end: nothing stands still in silence.
fn play_out(mut play: Play) {
    play.date("d", "2026-01-20");
    play.text("email", "a@example.com");
    (play.sender, play.locked) = (true, false);
    drop(play.release());
    play.changed();
    for _ in 0..1_000 {
        if play.case.state.is_over() {
            return;
        }
        for token in play.case.tokens.clone() {
            let step = play.case.program.step_name(token.step).to_owned();
            let happening = match token.state {
                TokenState::Failed => play.retry(&step),
                TokenState::Open if step == "start" => play.settle(&step, Some("start")),
                TokenState::Open => {
                    let outcome = play
                        .case
                        .program
                        .step_named(&step)
                        .unwrap()
                        .outcomes()
                        .remove(0);
                    play.settle(&step, Some(&outcome))
                }
                _ => Ok(()),
            };
            // An earlier one may have ended the case or taken this token away.
            drop(happening);
        }
        play.clock(play.now + chrono::TimeDelta::days(10));
        check(&play);
    }
    panic!("the case does not end: {:?}", play.open());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn a_workflow_put_together_rightly_is_sound_and_plays_on_whatever_happens(
        pieces in any_pieces(),
        happenings in prop::collection::vec(any_happening(), 0..40),
    ) {
        let document = document(&pieces);
        let program = compile(&document);
        let findings = validate(&program);
        prop_assert!(!findings.has_errors(), "{findings:#?}\n{document:#}");
        play_out(play(program, &happenings));
    }

    #[test]
    fn what_passes_validation_plays_on_whatever_happens(
        pieces in any_pieces(),
        damage in prop::collection::vec((any::<usize>(), any::<usize>()), 1..2),
        happenings in prop::collection::vec(any_happening(), 0..40),
    ) {
        let damages = damage.into_iter();
        let document = damages.fold(document(&pieces), |d, (at, to)| damaged(d, at, to));
        let program = compile(&document);
        if !validate(&program).has_errors() {
            play(program, &happenings);
        }
    }

    #[test]
    fn what_does_not_pass_does_not_panic_either(
        pieces in any_pieces(),
        damage in prop::collection::vec((any::<usize>(), any::<usize>()), 1..4),
        firings in 0usize..60,
    ) {
        let damages = damage.into_iter();
        let document = damages.fold(document(&pieces), |d, (at, to)| damaged(d, at, to));
        let mut play = Play::of(compile(&document));
        play.date("d", "2026-01-02");
        let read = play.case.program.start_read();
        play.ask(&read, |case, facts, env, out| case.begin_by_call(facts, env, out));
        for _ in 0..firings {
            let Some(index) = play.case.ready(play.now).next() else { break };
            play.fire(index);
        }
    }
}
