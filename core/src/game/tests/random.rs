//! Random workflows under random events: what holds for every one of them.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::Value;

use super::driver::roles;
use super::pieces::{any_pieces, damaged, document};
use super::*;
use crate::document::Document;
use crate::kinds::DoneWhen;
use crate::program::Program;
use crate::validate::validate;

/// Something that happens; the numbers pick among what there is to pick from.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Settle(usize, usize),
    Branch(usize, usize),
    Days(i64),
    Advance(usize),
    Skip(usize),
    CancelStep(usize),
    Signal,
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
        2 => pick().prop_map(H::CancelStep),
        2 => Just(H::Signal),
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
        | Happening::CancelStep(n)
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
        Happening::CancelStep(_) => drop(play.cancel_step(&step, "not wanted")),
        Happening::Signal => drop(play.signal("s", None)),
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
    play.true_conditions.push("c1".to_owned());
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
                TokenState::Waiting => play.signal("s", None),
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
