//! Parallel steps and their joins: every branch has to bring exactly one token to the join.

use super::crossing::Branches;
use super::graph::{By, Edge, Graph};
use super::{hint_for, quoted, step_place};
use crate::finding::Findings;

/// A parallel step with its join, and what lies around them.
struct Pair<'g, 'p> {
    graph: &'g Graph<'p>,
    parallel: usize,
    join: usize,
    starts: Vec<Edge<'p>>,
    /// What is reached without starting the branches.
    beside: Vec<bool>,
    /// What comes after the join.
    after: Vec<bool>,
}

pub(super) fn check(graph: &Graph<'_>, findings: &mut Findings) {
    let mut joins_of: Vec<Vec<usize>> = vec![Vec::new(); graph.len()];
    for join in 0..graph.len() {
        if let Some(parallel) = parallel_of(graph, join, findings) {
            joins_of[parallel].push(join);
        }
    }
    let mut finishes = vec![false; graph.len()];
    // The inner ones stand behind the outer ones: a finish is told once, for the innermost.
    for parallel in (0..graph.len()).rev().filter(|s| forks(graph, *s)) {
        let place = step_place(graph.name(parallel));
        match joins_of[parallel][..] {
            [] => findings.error(
                place,
                "the branches never come together",
                format!(
                    "Add a join step with \"of\": \"{}\", and let every branch lead to it.",
                    graph.name(parallel)
                ),
            ),
            [join] => Pair::new(graph, parallel, join).check(&mut finishes, findings),
            [..] => findings.error(
                place,
                format!(
                    "it has several joins: {}",
                    quoted(joins_of[parallel].iter().map(|j| graph.name(*j)))
                ),
                "Keep one of them, and let every branch lead to it.",
            ),
        }
    }
}

fn forks(graph: &Graph<'_>, step: usize) -> bool {
    graph.step(step).kind.forks()
}

/// The parallel step of a join; None for other steps, and with a finding if it names none.
fn parallel_of(graph: &Graph<'_>, join: usize, findings: &mut Findings) -> Option<usize> {
    let name = graph.step(join).kind.joins()?;
    let place = step_place(graph.name(join));
    let parallel = graph.named(name);
    match parallel {
        Some(parallel) if forks(graph, parallel) => return Some(parallel),
        Some(_) => findings.error(
            place,
            format!("it joins \"{name}\", which is no parallel step"),
            "Name in of the parallel step whose branches meet here.",
        ),
        None => {
            let known = (0..graph.len()).filter(|s| forks(graph, *s));
            findings.error(
                place,
                format!("it joins \"{name}\", which is no step"),
                hint_for(
                    name,
                    known.map(|s| graph.name(s)),
                    "Name in of the parallel step whose branches meet here.",
                ),
            );
        }
    }
    None
}

impl<'g, 'p> Pair<'g, 'p> {
    fn new(graph: &'g Graph<'p>, parallel: usize, join: usize) -> Self {
        let forking = |e: &&Edge<'p>| e.from == parallel && matches!(e.by, By::Leg { .. });
        let starts = graph.out(parallel).iter().filter(forking).copied();
        let behind = graph.out(join).iter().map(|e| e.to);
        Self {
            graph,
            parallel,
            join,
            starts: starts.collect(),
            beside: graph.reach_by([0], |_| false, |e| !forking(&e)),
            after: graph.reach(behind, |s| s == parallel),
        }
    }

    fn check(&self, finishes: &mut [bool], findings: &mut Findings) {
        let graph = self.graph;
        let (parallel, join) = (graph.name(self.parallel), graph.name(self.join));
        let firsts: Vec<usize> = self.starts.iter().map(|e| e.to).collect();
        let leads_here = graph.reaching([self.parallel]);
        let before = |s: usize| s == self.parallel || (self.beside[s] && leads_here[s]);
        let outside = |s: usize| s == self.join || before(s) || self.after[s];
        let branches = Branches::walk(graph, self.parallel, &firsts, outside);

        let arrives: Vec<bool> = firsts
            .iter()
            .enumerate()
            .map(|(b, first)| {
                *first == self.join
                    || graph
                        .into(self.join)
                        .iter()
                        .any(|e| branches.holds(b, e.from))
            })
            .collect();
        if !arrives.contains(&true) {
            findings.error(
                step_place(join),
                format!("no branch of parallel step \"{parallel}\" leads to it"),
                "Let every branch lead to the join.",
            );
        } else {
            for (first, _) in firsts
                .iter()
                .zip(&arrives)
                .filter(|(_, arrives)| !**arrives)
            {
                findings.error(
                    step_place(parallel),
                    format!(
                        "branch \"{}\" never reaches its join \"{join}\"",
                        graph.name(*first)
                    ),
                    format!("Let its last step lead to \"{join}\"."),
                );
            }
        }
        self.ways_out(&branches, before, finishes, findings);
        self.ways_in(&branches, findings);
        for crossing in branches.crossings(graph, &self.starts, |_| false) {
            let owners: Vec<&str> = crossing
                .owners
                .iter()
                .map(|b| graph.name(firsts[*b]))
                .collect();
            let word = if owners.len() == 1 {
                "branch"
            } else {
                "branches"
            };
            findings.error(
                step_place(graph.name(crossing.edge.from)),
                format!(
                    "{} belongs to {word} {} of parallel step \"{parallel}\"",
                    graph.phrase(&crossing.edge),
                    quoted(owners)
                ),
                format!("Let each branch keep to steps of its own until \"{join}\"."),
            );
        }
    }

    /// Ways that leave the branches other than by the join.
    fn ways_out(
        &self,
        branches: &Branches,
        before: impl Fn(usize) -> bool,
        finishes: &mut [bool],
        findings: &mut Findings,
    ) {
        let graph = self.graph;
        let (parallel, join) = (graph.name(self.parallel), graph.name(self.join));
        let inside = (0..graph.len()).filter(|s| branches.contain(*s));
        for step in inside {
            if graph.is_end(step) && !std::mem::replace(&mut finishes[step], true) {
                findings.error(
                    step_place(graph.name(step)),
                    format!("the case would end inside a branch of parallel step \"{parallel}\", with the other branches still at work"),
                    format!("Let the branch lead to \"{join}\" and finish after it; a stop rule can end the case at any time."),
                );
            }
            let mut told = Vec::new();
            for edge in graph.out(step).iter().filter(|e| e.to != self.join) {
                if branches.contain(edge.to) || told.contains(&edge.to) {
                    continue;
                }
                told.push(edge.to);
                let how = if before(edge.to) {
                    format!("goes back before parallel step \"{parallel}\"")
                } else {
                    format!("lies behind the join \"{join}\"")
                };
                findings.error(
                    step_place(graph.name(step)),
                    format!("{} {how}, so the branch leaves its join out", graph.phrase(edge)),
                    format!("Let the branch lead to \"{join}\"; what has to happen afterwards comes after the join."),
                );
            }
        }
    }

    /// Ways to the join, or into a branch, that do not come through the parallel step: the join would wait for ever.
    fn ways_in(&self, branches: &Branches, findings: &mut Findings) {
        let graph = self.graph;
        let parallel = graph.name(self.parallel);
        for target in (0..graph.len()).filter(|s| *s == self.join || branches.contain(*s)) {
            for edge in graph.into(target) {
                let by_fork = edge.from == self.parallel && matches!(edge.by, By::Leg { .. });
                let elsewhere =
                    self.beside[edge.from] || self.after[edge.from] || edge.from == self.join;
                if by_fork || branches.contain(edge.from) || !elsewhere {
                    continue;
                }
                let what = if target == self.join {
                    format!("is the join of parallel step \"{parallel}\"")
                } else {
                    format!("belongs to a branch of parallel step \"{parallel}\"")
                };
                findings.error(
                    step_place(graph.name(edge.from)),
                    format!("{} {what}, which is not on the way", graph.phrase(edge)),
                    format!("Let it lead to \"{parallel}\", or past the join: a join that only some tokens reach waits for ever."),
                );
            }
        }
    }
}
