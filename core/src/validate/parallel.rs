//! Parallel steps and their joins: every branch has to bring exactly one token to the join. `nesting` decides whether a
//! pair fits together; this finds the link that is bent.

use super::crossing::Branches;
use super::graph::{By, Edge, Graph};
use super::nesting::{Misfit, Nesting, Region};
use super::paths::along;
use super::{hint_for, quoted, step_place};
use crate::finding::Findings;

/// A parallel step with its join, and what lies around them.
struct Pair<'g, 'p> {
    graph: &'g Graph<'p>,
    parallel: usize,
    join: usize,
    starts: &'g [Edge<'p>],
    /// How to get from the parallel step to the steps of its branches.
    ways: Vec<Option<Edge<'p>>>,
    /// What is reached without starting the branches.
    beside: Vec<bool>,
    /// What comes after the join.
    after: Vec<bool>,
}

/// The joins of each parallel step.
fn joins(graph: &Graph<'_>) -> Vec<Vec<usize>> {
    let mut joins_of: Vec<Vec<usize>> = vec![Vec::new(); graph.len()];
    for join in 0..graph.len() {
        let parallel = graph
            .step(join)
            .kind
            .joins()
            .and_then(|name| graph.named(name));
        if let Some(parallel) = parallel.filter(|p| forks(graph, *p)) {
            joins_of[parallel].push(join);
        }
    }
    joins_of
}

/// The regions of the parallel steps that have one join.
pub(super) fn nesting<'p>(graph: &Graph<'p>) -> Nesting<'p> {
    let joins = joins(graph);
    let pairs = joins.iter().enumerate();
    let single = pairs.filter_map(|(parallel, joins)| match joins[..] {
        [join] => Some((parallel, join)),
        _ => None,
    });
    Nesting::new(graph, single)
}

pub(super) fn check(graph: &Graph<'_>, nesting: &Nesting<'_>, findings: &mut Findings) {
    for join in 0..graph.len() {
        parallel_of(graph, join, findings);
    }
    let joins_of = joins(graph);
    let mut finishes = vec![false; graph.len()];
    // The inner ones stand behind the outer ones: a finish is told once, for the innermost.
    for parallel in (0..graph.len()).rev().filter(|s| forks(graph, *s)) {
        let place = step_place(graph.name(parallel));
        let path = graph.path_to(parallel);
        match joins_of[parallel][..] {
            [] => {
                let what = format!(
                    "Add a join step with \"of\": \"{}\", and let every branch lead to it.",
                    graph.name(parallel)
                );
                findings.error(
                    place,
                    "the branches never come together",
                    graph.hint(&what, parallel, &path),
                );
            }
            [join] => {
                if let Some(region) = nesting.at_join(join) {
                    pair(graph, region, &mut finishes, findings);
                }
            }
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

/// A finding for a join that names no parallel step.
fn parallel_of(graph: &Graph<'_>, join: usize, findings: &mut Findings) {
    let Some(name) = graph.step(join).kind.joins() else {
        return;
    };
    let place = step_place(graph.name(join));
    match graph.named(name) {
        Some(parallel) if forks(graph, parallel) => need(graph, join, parallel, findings),
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
}

/// A finding for a join that needs no branch, or more than there are.
fn need(graph: &Graph<'_>, join: usize, parallel: usize, findings: &mut Findings) {
    let branches = graph.step(parallel).legs.len();
    if let Some(need) = graph.step(join).kind.needs()
        && !(1..=branches).contains(&need)
    {
        findings.error(
            step_place(graph.name(join)),
            format!(
                "it needs {need} of the {branches} branches of \"{}\"",
                graph.name(parallel)
            ),
            format!("Let need be between 1 and {branches}, or leave it out to wait for all."),
        );
    }
}

/// What is wrong with a parallel step and its join: the links to blame, else what the pair's misfit shows.
fn pair(graph: &Graph<'_>, region: &Region<'_>, finishes: &mut [bool], findings: &mut Findings) {
    let Some(misfit) = &region.misfit else {
        return;
    };
    let before = findings.0.len();
    let pair = Pair::new(graph, region);
    if matches!(misfit, Misfit::Begins) {
        pair.show(misfit, findings);
        return;
    }
    let told = pair.blame(finishes, findings);
    if !told && findings.0.len() == before {
        pair.show(misfit, findings);
    }
}

impl<'g, 'p> Pair<'g, 'p> {
    fn new(graph: &'g Graph<'p>, region: &'g Region<'p>) -> Self {
        let (parallel, join) = (region.parallel, region.join);
        let forking = |e: &Edge<'p>| e.from == parallel && matches!(e.by, By::Leg { .. });
        let behind = graph.out(join).iter().map(|e| e.to);
        Self {
            graph,
            parallel,
            join,
            starts: &region.starts,
            ways: graph.ways([parallel], |s| s == join),
            beside: graph.reach_by([0], |_| false, |e| !forking(e)),
            after: graph.reach(behind, |s| s == parallel),
        }
    }

    /// Finds the links to blame. True if what is wrong has been told before, with another pair.
    fn blame(&self, finishes: &mut [bool], findings: &mut Findings) -> bool {
        let graph = self.graph;
        let (parallel, join) = (graph.name(self.parallel), graph.name(self.join));
        let firsts: Vec<usize> = self.starts.iter().map(|e| e.to).collect();
        let leads_here = graph.reaching([self.parallel]);
        let before = |s: usize| s == self.parallel || (self.beside[s] && leads_here[s]);
        let outside = |s: usize| s == self.join || before(s) || self.after[s];
        let branches = Branches::walk(graph, self.parallel, &firsts, outside);

        self.arrivals(&branches, findings);
        let told = self.ways_out(&branches, before, finishes, findings);
        self.ways_in(&branches, findings);
        for crossing in branches.crossings(graph, self.starts, |_| false) {
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
                self.hint(
                    &format!("Let each branch keep to steps of its own until \"{join}\"."),
                    &self.by(&crossing.edge),
                ),
            );
        }
        told
    }

    /// Branches that never come to the join.
    fn arrivals(&self, branches: &Branches, findings: &mut Findings) {
        let graph = self.graph;
        let (parallel, join) = (graph.name(self.parallel), graph.name(self.join));
        let arrives = |branch: usize, start: &Edge<'_>| {
            let mut into = graph.into(self.join).iter();
            start.to == self.join || into.any(|e| branches.holds(branch, e.from))
        };
        let starts = self.starts.iter().enumerate();
        let missing: Vec<&Edge<'p>> = starts
            .filter(|(branch, start)| !arrives(*branch, start))
            .map(|(_, start)| start)
            .collect();
        if missing.len() == self.starts.len() {
            findings.error(
                step_place(join),
                format!("no branch of parallel step \"{parallel}\" leads to it"),
                self.hint(
                    "Let every branch lead to the join.",
                    &graph.path_to(self.parallel),
                ),
            );
            return;
        }
        for start in missing {
            findings.error(
                step_place(parallel),
                format!(
                    "branch \"{}\" never reaches its join \"{join}\"",
                    graph.name(start.to)
                ),
                self.hint(
                    &format!("Let its last step lead to \"{join}\"."),
                    &self.as_far_as_it_goes(start),
                ),
            );
        }
    }

    /// Ways that leave the branches other than by the join. True if one has been told before.
    fn ways_out(
        &self,
        branches: &Branches,
        before: impl Fn(usize) -> bool,
        finishes: &mut [bool],
        findings: &mut Findings,
    ) -> bool {
        let graph = self.graph;
        let (parallel, join) = (graph.name(self.parallel), graph.name(self.join));
        let mut told_before = false;
        for step in (0..graph.len()).filter(|s| branches.contain(*s)) {
            if graph.is_end(step) {
                if std::mem::replace(&mut finishes[step], true) {
                    told_before = true;
                } else {
                    self.end(step, findings);
                }
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
                    self.hint(
                        &format!("Let the branch lead to \"{join}\"; what has to happen afterwards comes after the join."),
                        &self.by(edge),
                    ),
                );
            }
        }
        told_before
    }

    /// Ways to the join, or into a branch, that do not come through the parallel step: the join would wait for ever.
    fn ways_in(&self, branches: &Branches, findings: &mut Findings) {
        let graph = self.graph;
        for target in (0..graph.len()).filter(|s| *s == self.join || branches.contain(*s)) {
            for edge in graph.into(target) {
                let by_fork = edge.from == self.parallel && matches!(edge.by, By::Leg { .. });
                let elsewhere =
                    self.beside[edge.from] || self.after[edge.from] || edge.from == self.join;
                if !by_fork && !branches.contain(edge.from) && elsewhere {
                    self.entered(edge, findings);
                }
            }
        }
    }

    fn entered(&self, edge: &Edge<'p>, findings: &mut Findings) {
        let graph = self.graph;
        let parallel = graph.name(self.parallel);
        let what = if edge.to == self.join {
            format!("is the join of parallel step \"{parallel}\"")
        } else {
            format!("belongs to a branch of parallel step \"{parallel}\"")
        };
        let mut path = graph.path_by(edge);
        let on = graph.ways([edge.to], |s| s == self.join);
        path.extend(along(&on, self.join));
        findings.error(
            step_place(graph.name(edge.from)),
            format!("{} {what}, which is not on the way", graph.phrase(edge)),
            self.hint(
                &format!("Let it lead to \"{parallel}\", or past the join: a join that only some tokens reach waits for ever."),
                &path,
            ),
        );
    }

    fn end(&self, step: usize, findings: &mut Findings) {
        let (parallel, join) = (self.graph.name(self.parallel), self.graph.name(self.join));
        findings.error(
            step_place(self.graph.name(step)),
            format!("the case would end inside a branch of parallel step \"{parallel}\", with the other branches still at work"),
            self.hint(
                &format!("Let the branch lead to \"{join}\" and finish after it; a stop rule can end the case at any time."),
                &self.to(step),
            ),
        );
    }

    /// A misfit for which no single link is to blame.
    fn show(&self, misfit: &Misfit<'p>, findings: &mut Findings) {
        let graph = self.graph;
        let (parallel, join) = (graph.name(self.parallel), graph.name(self.join));
        let place = step_place(parallel);
        let first = |path: &[Edge<'p>]| path.first().map_or(self.parallel, |edge| edge.to);
        let last = |path: &[Edge<'p>]| path.last().map_or(self.parallel, |edge| edge.to);
        match misfit {
            Misfit::Shared { paths: [one, other] } => findings.error(
                place,
                format!(
                    "branches {} both come to step \"{}\" before the join \"{join}\"",
                    quoted([one, other].map(|path| graph.name(first(path)))),
                    graph.name(last(other))
                ),
                format!(
                    "Let each branch keep to steps of its own until \"{join}\". Paths: {}; {}.",
                    graph.shown(self.parallel, one),
                    graph.shown(self.parallel, other)
                ),
            ),
            Misfit::Astray { path } => findings.error(
                place,
                format!(
                    "branch \"{}\" does not bring its token to the join \"{join}\"",
                    graph.name(first(path))
                ),
                self.hint(&format!("Let every way of the branch lead to \"{join}\"."), path),
            ),
            Misfit::Entered { edge } => self.entered(edge, findings),
            Misfit::Begins => findings.error(
                step_place(graph.name(0)),
                format!("the case begins inside a branch of parallel step \"{parallel}\", so its join \"{join}\" would wait for ever"),
                self.hint(
                    &format!("Let the case begin at \"{parallel}\" or before it: the first step of the document is the first one of the case."),
                    &along_from(graph, 0, self.join),
                ),
            ),
        }
    }

    /// The path from the first step of the workflow to a step, by way of the parallel step.
    fn to(&self, step: usize) -> Vec<Edge<'p>> {
        let mut path = self.graph.path_to(self.parallel);
        path.extend(along(&self.ways, step));
        path
    }

    /// The path to the end of an edge that a branch takes.
    fn by(&self, edge: &Edge<'p>) -> Vec<Edge<'p>> {
        let mut path = self.to(edge.from);
        path.push(*edge);
        path
    }

    /// The path along a branch that does not come to the join: to where the case ends, or to its first step.
    fn as_far_as_it_goes(&self, start: &Edge<'p>) -> Vec<Edge<'p>> {
        let mut path = self.graph.path_to(self.parallel);
        path.push(*start);
        let ways = self.graph.ways([start.to], |s| s == self.parallel);
        let end = (0..self.graph.len()).find(|s| self.graph.is_end(*s) && ways[*s].is_some());
        if let Some(end) = end {
            path.extend(along(&ways, end));
        }
        path
    }

    fn hint(&self, what: &str, path: &[Edge<'p>]) -> String {
        self.graph.hint(what, self.parallel, path)
    }
}

/// The path from one step to another.
fn along_from<'p>(graph: &Graph<'p>, from: usize, to: usize) -> Vec<Edge<'p>> {
    along(&graph.ways([from], |s| s == to), to)
}
