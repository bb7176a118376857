//! The steps as a graph: who leads where, and who can reach whom. Steps are counted from 0 here.

use std::collections::VecDeque;

use crate::program::{CompiledStep, Program, StepNo};

/// A way from one step to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge<'p> {
    pub from: usize,
    pub to: usize,
    pub by: By<'p>,
}

/// How a token takes an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By<'p> {
    /// By the leg of this outcome; `own` if the leg names its target itself, rather than going to the step's `next`.
    Leg { outcome: &'p str, own: bool },
    /// The step's condition was not met.
    Skip,
    /// A person skipped the step. Not listed if a leg does the same.
    Hand,
    /// A milestone of the step no longer holds.
    Ceases,
}

/// Steps by their number, true for those that belong.
pub(super) type Set = Vec<bool>;

/// The graph of a program.
pub(super) struct Graph<'p> {
    pub program: &'p Program,
    out: Vec<Vec<Edge<'p>>>,
    into: Vec<Vec<Edge<'p>>>,
    /// What the first step can reach, itself included.
    pub from_start: Set,
    /// How to get to each step from the first one: the last edge of a short way, see `paths`.
    pub way_here: Vec<Option<Edge<'p>>>,
}

impl<'p> Graph<'p> {
    pub fn new(program: &'p Program) -> Self {
        let count = program.steps.len();
        let mut graph = Self {
            program,
            out: vec![Vec::new(); count],
            into: vec![Vec::new(); count],
            from_start: Vec::new(),
            way_here: Vec::new(),
        };
        for (from, step) in program.steps.iter().enumerate() {
            let own_targets = step.kind.legs();
            for (leg, source) in step.legs.iter().zip(&own_targets) {
                let own = source.target.is_some();
                let outcome = leg.outcome.as_str();
                graph.add(from, leg.target, By::Leg { outcome, own });
            }
            for target in program.exits(step) {
                graph.add(from, Some(target), By::Ceases);
            }
            // A fork's legs send a token to all of their targets, a skip to one.
            let by_leg = step.legs.iter().any(|leg| leg.target == step.next);
            if step.when.is_some() {
                graph.add(from, step.next, By::Skip);
            } else if step.kind.forks() || !by_leg {
                graph.add(from, step.next, By::Hand);
            }
        }
        graph.from_start = graph.reach([0], |_| false);
        graph.way_here = graph.ways([0], |_| false);
        graph
    }

    fn add(&mut self, from: usize, to: Option<StepNo>, by: By<'p>) {
        let Some(to) = to.and_then(index) else { return };
        let edge = Edge { from, to, by };
        self.out[from].push(edge);
        self.into[to].push(edge);
    }

    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn step(&self, index: usize) -> &'p CompiledStep {
        &self.program.steps[index]
    }

    pub fn name(&self, index: usize) -> &'p str {
        &self.step(index).name
    }

    /// A step by name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.program.step_named(name).and_then(|s| index(s.no))
    }

    pub fn out(&self, step: usize) -> &[Edge<'p>] {
        &self.out[step]
    }

    pub fn into(&self, step: usize) -> &[Edge<'p>] {
        &self.into[step]
    }

    /// Whether a case ends here.
    pub fn is_end(&self, step: usize) -> bool {
        self.step(step).legs.is_empty()
    }

    /// The steps that can be reached from some, these included, without going on from a closed one.
    pub fn reach(
        &self,
        from: impl IntoIterator<Item = usize>,
        closed: impl Fn(usize) -> bool,
    ) -> Set {
        self.reach_by(from, closed, |_| true)
    }

    /// Like `reach`, along some edges only.
    pub fn reach_by(
        &self,
        from: impl IntoIterator<Item = usize>,
        closed: impl Fn(usize) -> bool,
        along: impl Fn(&Edge<'p>) -> bool,
    ) -> Set {
        let mut seen = vec![false; self.len()];
        let mut open: Vec<usize> = from.into_iter().collect();
        while let Some(step) = open.pop() {
            if std::mem::replace(&mut seen[step], true) || closed(step) {
                continue;
            }
            let ways = self.out[step].iter().filter(|e| along(e));
            open.extend(ways.map(|e| e.to));
        }
        seen
    }

    /// The steps from which some can be reached, these included.
    pub fn reaching(&self, goals: impl IntoIterator<Item = usize>) -> Set {
        self.reaching_within(goals, |_| true)
    }

    /// Like `reaching`, by ways that keep to some steps.
    pub fn reaching_within(
        &self,
        goals: impl IntoIterator<Item = usize>,
        within: impl Fn(usize) -> bool,
    ) -> Set {
        let mut seen = vec![false; self.len()];
        let mut open: Vec<usize> = goals.into_iter().collect();
        while let Some(step) = open.pop() {
            if !std::mem::replace(&mut seen[step], true) {
                let before = self.into[step].iter().map(|e| e.from);
                open.extend(before.filter(|s| within(*s)));
            }
        }
        seen
    }

    /// The shortest way from a step back to itself along some edges.
    pub fn cycle(&self, start: usize, along: impl Fn(&Edge<'p>) -> bool) -> Option<Vec<Edge<'p>>> {
        let mut came_from: Vec<Option<Edge<'p>>> = vec![None; self.len()];
        let mut open = VecDeque::from([start]);
        while let Some(step) = open.pop_front() {
            for edge in self.out[step].iter().filter(|e| along(e)) {
                if edge.to == start {
                    let mut way = vec![*edge];
                    let mut at = step;
                    while at != start {
                        let before = came_from[at]?;
                        way.push(before);
                        at = before.from;
                    }
                    way.reverse();
                    return Some(way);
                }
                if came_from[edge.to].is_none() {
                    came_from[edge.to] = Some(*edge);
                    open.push_back(edge.to);
                }
            }
        }
        None
    }

    /// How a finding on the edge's first step speaks of its second one.
    pub fn phrase(&self, edge: &Edge<'p>) -> String {
        let target = self.name(edge.to);
        match edge.by {
            By::Leg { outcome, own: true } => {
                format!("the target \"{target}\" of its leg \"{outcome}\"")
            }
            By::Ceases => format!("the target \"{target}\" of its milestone"),
            _ => format!("its next \"{target}\""),
        }
    }
}

/// A step's place in the lists, from its number.
pub(super) fn index(no: StepNo) -> Option<usize> {
    usize::try_from(no).ok()?.checked_sub(1)
}
