//! Whether a parallel step and its join fit together. This decides; `parallel` finds the words for what is wrong.
//!
//! The **region** of a parallel step P with the join J is what its branches can come to before J. P and J fit if
//!
//! 1. no step lies in the regions of two branches,
//! 2. P itself and the ends of the case lie outside,
//! 3. every branch can come to J,
//! 4. the region and J are entered by the legs of P alone: by no other edge, and the case does not begin there.
//!
//! Where every parallel step has one join and all of them fit, no case can get stuck at a join: a token enters a
//! region only as one of the tokens that P has sent out, one for each branch (4), and can leave it only by J (2). So
//! regions are nested, the tokens of a case are at any time one for each branch of each fork that is under way, P does
//! not fire again before J has (2), J gets exactly one token from each branch, and gets it sooner or later, because
//! every step leads to some end (`cycles` sees to that) and the way to it passes J (2, 3). Two tokens never meet on one
//! step (1). And the other way round: where one of the four is broken, a case can get stuck at a join, end while a token
//! is still at work, come to a step with two tokens, or bring a token to the join of a branch that it is not on. What
//! conditions and dates are about plays no part: every leg may be taken.
//!
//! A join that needs fewer branches than there are withdraws what is left in its region when it goes on; the join of an
//! inclusive decision goes on when nothing is left there. Both leave one token, as any join does, so that the rules hold.

use super::graph::{By, Edge, Graph};
use super::paths::along;

/// Why a parallel step and its join do not fit.
#[derive(Debug)]
pub(super) enum Misfit<'p> {
    /// Two branches come to the same step; the path of each from the parallel step on.
    Shared { paths: [Vec<Edge<'p>>; 2] },
    /// A branch does not bring its token to the join: it comes to an end of the case, back to the parallel step, or
    /// round in circles; the path from the parallel step as far as it goes.
    Astray { path: Vec<Edge<'p>> },
    /// A way into the region, or to the join, past the parallel step.
    Entered { edge: Edge<'p> },
    /// The case begins in the region or at the join.
    Begins,
}

/// A parallel step, its join, and what its branches can come to before it.
pub(super) struct Region<'p> {
    pub parallel: usize,
    pub join: usize,
    /// The first edge of each branch.
    pub starts: Vec<Edge<'p>>,
    /// The branch that each step lies on, None outside the region.
    branch: Vec<Option<usize>>,
    pub misfit: Option<Misfit<'p>>,
}

impl<'p> Region<'p> {
    pub fn new(graph: &Graph<'p>, parallel: usize, join: usize) -> Self {
        let starts = graph.out(parallel).iter().filter(|e| forks(e)).copied();
        let mut region = Self {
            parallel,
            join,
            starts: starts.collect(),
            branch: vec![None; graph.len()],
            misfit: None,
        };
        region.misfit = region.find_misfit(graph);
        region
    }

    /// The branch by which an edge comes to the join.
    pub fn branch_of(&self, edge: &Edge<'p>) -> Option<usize> {
        if edge.from == self.parallel && forks(edge) {
            return self.starts.iter().position(|start| start.to == edge.to);
        }
        self.branch[edge.from]
    }

    fn find_misfit(&mut self, graph: &Graph<'p>) -> Option<Misfit<'p>> {
        for (branch, start) in self.starts.clone().iter().enumerate() {
            let misfit = self.walk(graph, branch, start);
            if misfit.is_some() {
                return misfit;
            }
        }
        let inside = |step: usize| step == self.join || self.branch[step].is_some();
        if inside(0) {
            return Some(Misfit::Begins);
        }
        let entered = (0..graph.len())
            .filter(|step| inside(*step))
            .flat_map(|step| graph.into(step))
            .find(|edge| {
                let by_branch = edge.from == self.parallel && forks(edge);
                let from_outside = self.branch[edge.from].is_none() && !by_branch;
                from_outside && graph.from_start[edge.from]
            });
        entered.map(|edge| Misfit::Entered { edge: *edge })
    }

    /// Marks the steps of a branch, up to the first thing that is wrong with it.
    fn walk(&mut self, graph: &Graph<'p>, branch: usize, start: &Edge<'p>) -> Option<Misfit<'p>> {
        let mut ways: Vec<Option<Edge<'p>>> = Vec::new();
        let mut arrives = false;
        let mut open = vec![start.to];
        while let Some(step) = open.pop() {
            if step == self.join {
                arrives = true;
                continue;
            }
            let known = self.branch[step];
            if known == Some(branch) {
                continue;
            }
            let mut path = || {
                if ways.is_empty() {
                    ways = graph.ways([start.to], |s| s == self.join || s == self.parallel);
                }
                let mut path = vec![*start];
                path.extend(along(&ways, step));
                path
            };
            if let Some(other) = known {
                let path = path();
                return Some(Misfit::Shared {
                    paths: [self.path_in(graph, other, step), path],
                });
            }
            if step == self.parallel || graph.is_end(step) {
                return Some(Misfit::Astray { path: path() });
            }
            self.branch[step] = Some(branch);
            open.extend(graph.out(step).iter().map(|e| e.to));
        }
        (!arrives).then(|| Misfit::Astray { path: vec![*start] })
    }

    /// The path from the parallel step along a branch to a step of it.
    fn path_in(&self, graph: &Graph<'p>, branch: usize, step: usize) -> Vec<Edge<'p>> {
        let start = self.starts[branch];
        let ways = graph.ways([start.to], |s| s == self.join || s == self.parallel);
        let mut path = vec![start];
        path.extend(along(&ways, step));
        path
    }
}

/// Whether a token is sent out on this edge of a parallel step, rather than taking it when the step is skipped.
fn forks(edge: &Edge<'_>) -> bool {
    matches!(edge.by, By::Leg { .. })
}

/// How many branches let a join pass at least.
fn passed_with(graph: &Graph<'_>, region: &Region<'_>) -> usize {
    if graph.step(region.parallel).kind.forks_by_condition() {
        return 1;
    }
    let needed = graph.step(region.join).kind.needs();
    needed.unwrap_or(usize::MAX).min(region.starts.len())
}

/// The regions of the parallel steps that have exactly one join.
pub(super) struct Nesting<'p> {
    /// By the number of the join; None for other steps.
    of_join: Vec<Option<Region<'p>>>,
}

impl<'p> Nesting<'p> {
    /// `pairs` names each parallel step with its join.
    pub fn new(graph: &Graph<'p>, pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut of_join: Vec<Option<Region<'p>>> = (0..graph.len()).map(|_| None).collect();
        for (parallel, join) in pairs {
            of_join[join] = Some(Region::new(graph, parallel, join));
        }
        Self { of_join }
    }

    pub fn at_join(&self, join: usize) -> Option<&Region<'p>> {
        self.of_join[join].as_ref()
    }

    /// The steps that a token can come to without passing a step: other than for the graph alone, a join is passed
    /// only when as many branches have come as it needs.
    pub fn reach_without(&self, graph: &Graph<'p>, avoided: usize) -> Vec<bool> {
        let mut seen = vec![false; graph.len()];
        let mut came: Vec<Vec<bool>> = vec![Vec::new(); graph.len()];
        let mut open = vec![0];
        while let Some(step) = open.pop() {
            if std::mem::replace(&mut seen[step], true) || step == avoided {
                continue;
            }
            for edge in graph.out(step) {
                match self.at_join(edge.to).filter(|r| r.misfit.is_none()) {
                    Some(region) => {
                        let came = &mut came[edge.to];
                        came.resize(region.starts.len(), false);
                        if let Some(branch) = region.branch_of(edge) {
                            came[branch] = true;
                        }
                        let come = came.iter().filter(|came| **came).count();
                        if come >= passed_with(graph, region) {
                            open.push(edge.to);
                        }
                    }
                    None => open.push(edge.to),
                }
            }
        }
        seen
    }
}
