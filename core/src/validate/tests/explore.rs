//! The rules about parallel steps against the game they are about: every position of a small workflow is played
//! through, without data, each leg being possible. The rules have to refuse exactly what gets stuck.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::{cycles, flow, parallel};
use super::*;
use crate::game::tests::pieces::{self as pieces, Piece};
use crate::game::tests::random;
use crate::program::{CompiledLeg, CompiledStep, StepNo};

/// A token: its step; at a join how many branches have come, 0 when it is ready to move; and the parallel steps whose
/// branches it is on, from the outside in.
type Token = (StepNo, usize, Vec<StepNo>);

/// What playing on can come to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    /// All tokens wait at joins.
    Stuck(Vec<Token>),
    /// The case ends while other tokens are at work.
    LeftBehind(Vec<Token>),
    /// A token comes to a step where another one is at work.
    Doubled(StepNo),
    /// A token comes to a join that is not the one of its branch. The count may come out right all the same, but the
    /// document does not say what happens.
    Foreign(StepNo),
    /// More positions than the test wants to look at.
    Unknown,
}

/// The most positions to look at.
const POSITIONS: usize = 20_000;

fn explore(program: &Program) -> Verdict {
    let Ok(first) = arrive(program, Vec::new(), 1, &[], false) else {
        return Verdict::Unknown;
    };
    let mut seen = HashSet::from([first.clone()]);
    let mut open = vec![first];
    while let Some(tokens) = open.pop() {
        if tokens.iter().all(|(_, came, _)| *came > 0) {
            return Verdict::Stuck(tokens);
        }
        for index in 0..tokens.len() {
            let moved = match moves(program, &tokens, index) {
                Ok(moved) => moved,
                Err(verdict) => return verdict,
            };
            for position in moved {
                if seen.insert(position.clone()) {
                    open.push(position);
                }
            }
        }
        if seen.len() > POSITIONS {
            return Verdict::Unknown;
        }
    }
    Verdict::Sound
}

/// The positions that follow when one token moves.
fn moves(program: &Program, tokens: &[Token], index: usize) -> Result<Vec<Vec<Token>>, Verdict> {
    let mut rest = tokens.to_vec();
    let (no, came, branches) = rest.remove(index);
    if came > 0 {
        return Ok(Vec::new());
    }
    let step = program.step(no).unwrap();
    if step.legs.is_empty() && !rest.is_empty() {
        return Err(Verdict::LeftBehind(tokens.to_vec()));
    }
    let targets: Vec<StepNo> = step.legs.iter().filter_map(|leg| leg.target).collect();
    let mut moved = Vec::new();
    if step.kind.forks() {
        let inside = [&branches[..], &[no]].concat();
        for taken in forks(program, step) {
            let mut all = rest.clone();
            for (sent, target) in (1..).zip(&taken) {
                all = arrive(program, all, *target, &inside, sent < taken.len())?;
            }
            moved.push(all);
        }
    } else {
        for target in targets {
            moved.push(arrive(program, rest.clone(), target, &branches, false)?);
        }
    }
    if let Some(next) = step.next {
        moved.push(arrive(program, rest, next, &branches, false)?);
    }
    Ok(moved)
}

/// The ways in which a fork sends tokens out: to all of its legs, or to any that conditions choose.
fn forks(program: &Program, step: &CompiledStep) -> Vec<Vec<StepNo>> {
    let is_join = |no: &StepNo| program.step(*no).unwrap().kind.joins().is_some();
    let mut legs: Vec<&CompiledLeg> = step.legs.iter().collect();
    // A branch without steps comes to the join at once, when the others are under way.
    legs.sort_by_key(|leg| leg.target.is_some_and(|no| is_join(&no)));
    let targets = |legs: Vec<&CompiledLeg>| legs.iter().filter_map(|leg| leg.target).collect();
    if !step.kind.forks_by_condition() {
        return vec![targets(legs)];
    }
    // The leg for when no condition holds is a branch like the others, for the rules.
    (1u32..1 << legs.len())
        .map(|set| {
            let taken = legs.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1);
            targets(taken.map(|(_, leg)| *leg).collect())
        })
        .collect()
}

/// A token comes to a step from a branch of these parallel steps; `more` when the fork that sends it has others to send.
fn arrive(
    program: &Program,
    mut tokens: Vec<Token>,
    no: StepNo,
    branches: &[StepNo],
    more: bool,
) -> Result<Vec<Token>, Verdict> {
    let step = program.step(no).unwrap();
    let here = tokens.iter_mut().find(|(at, _, _)| *at == no);
    match step.kind.joins() {
        None if here.is_some() => return Err(Verdict::Doubled(no)),
        None => tokens.push((no, 0, branches.to_vec())),
        Some(of) => {
            let parallel = program.step_named(of).map(|s| s.no);
            let Some((_, outside)) = branches
                .split_last()
                .filter(|(inner, _)| Some(**inner) == parallel)
            else {
                return Err(Verdict::Foreign(no));
            };
            let come = match here {
                Some((_, 0, _)) => return Err(Verdict::Doubled(no)),
                Some((_, came, _)) => *came + 1,
                None => 1,
            };
            tokens.retain(|(at, _, _)| *at != no);
            let inside = |token: &Token| token.2.starts_with(branches);
            let by_condition = program.step_named(of).unwrap().kind.forks_by_condition();
            if come >= step.needs || by_condition && !more && !tokens.iter().any(inside) {
                if step.needs < step.branches {
                    tokens.retain(|token| !inside(token));
                }
                tokens.push((no, 0, outside.to_vec()));
            } else {
                tokens.push((no, come, outside.to_vec()));
            }
        }
    }
    tokens.sort_unstable();
    Ok(tokens)
}

/// Whether the rules about parallel steps refuse a program; None if it is refused for other ways that tokens take.
fn refused(program: &Program) -> Option<Findings> {
    let graph = Graph::new(program);
    let mut other = Findings::default();
    flow::check(&graph, &mut other);
    cycles::check(&graph, &mut other);
    if other.has_errors() {
        return None;
    }
    let mut findings = Findings::default();
    parallel::check(&graph, &parallel::nesting(&graph), &mut findings);
    Some(findings)
}

/// Pieces with a good many parallel steps, and little in them.
fn any_pieces() -> impl Strategy<Value = Vec<Piece>> {
    let leaf = prop_oneof![Just(Piece::Task), Just(Piece::Perhaps), Just(Piece::Note)];
    let piece = leaf.prop_recursive(3, 12, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            4 => prop::collection::vec(some(), 2..3).prop_map(Piece::Parallel),
            1 => prop::collection::vec(some(), 2..3).prop_map(|b| Piece::Needed(b, 1)),
            2 => prop::collection::vec(some(), 2..3).prop_map(Piece::Inclusive),
            1 => prop::collection::vec(some(), 2..3).prop_map(Piece::Question),
            1 => some().prop_map(Piece::Decision),
            2 => some().prop_map(|body| Piece::Loop(body, 2)),
        ]
    });
    prop_oneof![
        4 => prop::collection::vec(piece, 1..4),
        1 => pieces::any_pieces(),
    ]
}

/// Gives a parallel step a way on for when it is skipped, by a person or for its condition.
fn let_skip(document: &mut Value, at: usize, to: usize, by_condition: bool) {
    let steps = document["phases"][0]["steps"].as_array_mut().unwrap();
    let target = steps[to % steps.len()]["name"].clone();
    let parallels = steps.iter_mut().filter(|s| s["kind"] == "parallel");
    let mut parallels: Vec<&mut Value> = parallels.collect();
    let count = parallels.len();
    if let Some(step) = parallels.get_mut(at % count.max(1)) {
        step["next"] = target;
        if by_condition {
            step["when"] = "c1".into();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn parallel_steps_are_refused_if_and_only_if_a_case_can_get_stuck(
        pieces in any_pieces(),
        damage in prop::collection::vec((any::<usize>(), any::<usize>()), 0..4),
        skip in prop::option::of((any::<usize>(), any::<usize>(), any::<bool>())),
    ) {
        let mut document = damage
            .into_iter()
            .fold(pieces::document(&pieces), |d, (at, to)| pieces::damaged(d, at, to));
        if let Some((at, to, by_condition)) = skip {
            let_skip(&mut document, at, to, by_condition);
        }
        let program = random::compile(&document);
        let Some(findings) = refused(&program) else { return Ok(()) };
        let verdict = explore(&program);
        if verdict != Verdict::Unknown {
            let sound = verdict == Verdict::Sound;
            // Where a join does without some branches, one that cannot come is refused though nobody gets stuck.
            let does_without = |s: &CompiledStep| s.kind.joins().is_some() && s.needs < s.branches;
            if sound && program.steps.iter().any(does_without) {
                return Ok(());
            }
            prop_assert_eq!(sound, !findings.has_errors(), "{:?}\n{:#?}\n{:#}", verdict, findings, document);
        }
    }
}

#[test]
fn the_test_s_own_game_sees_what_goes_wrong() {
    let forked = |a: &str, b: &str, j: &str| {
        compile(&workflow(json!([
            {"name": "p", "kind": "parallel", "branches": ["a", "b"]},
            note("a", a), note("b", b),
            {"name": "j", "kind": "join", "of": "p", "next": j},
            note("k", "f"), finish("f")
        ])))
    };
    assert_eq!(explore(&forked("j", "j", "k")), Verdict::Sound);
    assert_eq!(explore(&forked("j", "j", "j")), Verdict::Foreign(4));
    assert!(matches!(
        explore(&forked("j", "f", "k")),
        Verdict::LeftBehind(_)
    ));
    assert_eq!(explore(&forked("b", "j", "k")), Verdict::Doubled(3));
    let one_missing = compile(&workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["a", "nix"]},
        note("a", "j"), {"name": "j", "kind": "join", "of": "p"}, finish("f")
    ])));
    assert_eq!(explore(&one_missing), Verdict::Stuck(vec![(3, 1, vec![])]));
}
