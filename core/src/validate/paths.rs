//! Ways through the graph: the short one to a step, and how a hint shows it, `"a" -> "b" (leg "no") -> "c"`.

use std::collections::VecDeque;

use super::graph::{By, Edge, Graph};

/// A longer path is cut in the middle: its beginning says how one gets there, its end what goes wrong.
const SHOWN: usize = 12;
/// How many steps of a cut path stand before the gap.
const BEFORE_GAP: usize = 4;

impl<'p> Graph<'p> {
    /// How to get to each step from some, without going on from a closed one: the last edge of the way there, None
    /// for the steps to start from and for those out of reach. The ways are the shortest of those with the fewest
    /// skips by a person: they show what happens by itself.
    pub fn ways(
        &self,
        from: impl IntoIterator<Item = usize>,
        closed: impl Fn(usize) -> bool,
    ) -> Vec<Option<Edge<'p>>> {
        let mut seen = vec![false; self.len()];
        let mut ways = vec![None; self.len()];
        let mut open: VecDeque<usize> = from.into_iter().collect();
        for step in &open {
            seen[*step] = true;
        }
        let mut by_hand: VecDeque<Edge<'p>> = VecDeque::new();
        loop {
            if let Some(step) = open.pop_front() {
                if closed(step) {
                    continue;
                }
                for edge in self.out(step) {
                    if edge.by == By::Hand {
                        by_hand.push_back(*edge);
                    } else if !std::mem::replace(&mut seen[edge.to], true) {
                        ways[edge.to] = Some(*edge);
                        open.push_back(edge.to);
                    }
                }
            } else if let Some(edge) = by_hand.pop_front() {
                if !std::mem::replace(&mut seen[edge.to], true) {
                    ways[edge.to] = Some(edge);
                    open.push_back(edge.to);
                }
            } else {
                return ways;
            }
        }
    }

    /// The path from the first step to this one.
    pub fn path_to(&self, step: usize) -> Vec<Edge<'p>> {
        along(&self.way_here, step)
    }

    /// The path from the first step to the end of this edge.
    pub fn path_by(&self, edge: &Edge<'p>) -> Vec<Edge<'p>> {
        let mut path = self.path_to(edge.from);
        path.push(*edge);
        path
    }

    /// A hint with the path that shows what it is about. `start` is the first step of an empty path.
    pub fn hint(&self, hint: &str, start: usize, path: &[Edge<'p>]) -> String {
        format!("{hint} Path: {}.", self.shown(start, path))
    }

    /// A path for people, from `start` on.
    pub fn shown(&self, start: usize, path: &[Edge<'p>]) -> String {
        let start = path.first().map_or(start, |edge| edge.from);
        let mut steps: Vec<String> = path.iter().map(|edge| self.departure(edge)).collect();
        let last = path.last().map_or(start, |edge| edge.to);
        steps.push(format!("\"{}\"", self.name(last)));
        if steps.len() > SHOWN {
            let gap = BEFORE_GAP..steps.len() - (SHOWN - BEFORE_GAP);
            let left_out = format!("({} more)", gap.len());
            steps.splice(gap, [left_out]);
        }
        steps.join(" -> ")
    }

    /// A step and how it is left, if there are several ways on.
    fn departure(&self, edge: &Edge<'p>) -> String {
        let name = self.name(edge.from);
        let out = self.out(edge.from);
        let one_way = out.iter().all(|other| other.to == edge.to);
        match edge.by {
            By::Hand => format!("\"{name}\" (skipped by a person)"),
            _ if one_way => format!("\"{name}\""),
            By::Ceases => format!("\"{name}\" (its milestone no longer holds)"),
            By::Skip => format!("\"{name}\" (condition not met)"),
            By::Leg { .. } if self.step(edge.from).kind.forks() => format!("\"{name}\""),
            By::Leg { outcome, .. } => format!("\"{name}\" (leg \"{outcome}\")"),
        }
    }
}

/// The way to a step, by the last edge of the way to each.
pub(super) fn along<'p>(ways: &[Option<Edge<'p>>], step: usize) -> Vec<Edge<'p>> {
    let mut path = Vec::new();
    let mut at = step;
    while let Some(edge) = ways[at] {
        path.push(edge);
        at = edge.from;
    }
    path.reverse();
    path
}
