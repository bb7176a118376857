//! Links from one branch into another, found for any set of branches that leave one step.

use std::collections::HashSet;

use super::graph::{By, Edge, Graph, Set};

/// A link into a step that belongs to other branches.
pub(super) struct Crossing<'p> {
    pub edge: Edge<'p>,
    /// The branch that the link comes from, if it is one alone.
    pub own: Option<usize>,
    /// The branches that its target belongs to.
    pub owners: Vec<usize>,
}

/// A link into a step, or a loop of steps, that several branches reach.
struct Link<'p> {
    /// The lowest one shows where the step belongs.
    rank: (bool, bool, bool, usize),
    edge: Edge<'p>,
    /// The branches that it comes from.
    from: Vec<usize>,
}

/// The steps of each branch.
pub(super) struct Branches {
    sets: Vec<Set>,
    /// The steps of all of them.
    all: Set,
}

impl Branches {
    /// Walks each branch from its first step; it ends before the origin and at steps that are `outside`.
    pub fn walk(
        graph: &Graph<'_>,
        origin: usize,
        starts: &[usize],
        outside: impl Fn(usize) -> bool,
    ) -> Self {
        let out = |step: usize| step == origin || outside(step);
        let mut all = vec![false; graph.len()];
        let sets = starts.iter().map(|start| {
            let mut set = graph.reach([*start], out);
            for (step, inside) in set.iter_mut().enumerate() {
                *inside &= !out(step);
                all[step] |= *inside;
            }
            set
        });
        Self {
            sets: sets.collect(),
            all,
        }
    }

    /// The branches that a step lies on.
    pub fn of(&self, step: usize) -> Vec<usize> {
        (0..self.sets.len())
            .filter(|b| self.sets[*b][step])
            .collect()
    }

    /// Whether a step lies on any branch.
    pub fn contain(&self, step: usize) -> bool {
        self.all[step]
    }

    /// Whether a step lies on one branch.
    pub fn holds(&self, branch: usize, step: usize) -> bool {
        self.sets[branch][step]
    }

    /// The links between branches: one for each link to blame, none for what lies behind it. `starts` are the first
    /// steps, each with its edge from the origin; `may_meet` says where branches may come together.
    pub fn crossings<'p>(
        &self,
        graph: &Graph<'p>,
        starts: &[Edge<'p>],
        may_meet: impl Fn(usize) -> bool,
    ) -> Vec<Crossing<'p>> {
        let mut found = Vec::new();
        let mut seen = vec![false; graph.len()];
        for target in 0..graph.len() {
            if seen[target] {
                continue;
            }
            let all = self.of(target);
            if all.len() < 2 || may_meet(target) {
                continue;
            }
            let targets = self.loop_of(graph, target, &may_meet);
            for target in &targets {
                seen[*target] = true;
            }
            let links = self.links_into(graph, starts, &targets);
            let Some(owner) = links.iter().min_by_key(|link| link.rank) else {
                continue;
            };
            for link in &links {
                if link.from != owner.from && link.from != all {
                    found.push(Crossing {
                        edge: link.edge,
                        own: (link.from.len() == 1).then(|| link.from[0]),
                        owners: owner.from.clone(),
                    });
                }
            }
        }
        found
    }

    /// The step with all those that lie on a loop with it: they belong to whoever enters the loop, wherever that is.
    /// Where branches may meet, the loop is entered anew.
    fn loop_of(
        &self,
        graph: &Graph<'_>,
        step: usize,
        may_meet: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let inside = |s: usize| self.contain(s) && !may_meet(s);
        let ahead = graph.reach([step], |s| !inside(s));
        let behind = graph.reaching_within([step], inside);
        (0..graph.len())
            .filter(|s| ahead[*s] && behind[*s])
            .collect()
    }

    /// The links into the steps of a loop from outside, with the branches they come from and a rank: the lowest one
    /// shows where the loop belongs. That is the branch that begins with it, else the one in its phase, else the one
    /// that stands right before it.
    fn links_into<'p>(
        &self,
        graph: &Graph<'p>,
        starts: &[Edge<'p>],
        targets: &[usize],
    ) -> Vec<Link<'p>> {
        let mut links = Vec::new();
        for (branch, edge) in starts.iter().enumerate() {
            if targets.contains(&edge.to) {
                links.push(Link {
                    rank: (false, false, false, branch),
                    edge: *edge,
                    from: vec![branch],
                });
            }
        }
        let inside: HashSet<usize> = targets.iter().copied().collect();
        let mut seen = HashSet::new();
        for edge in targets.iter().flat_map(|target| graph.into(*target)) {
            if edge.by == By::Hand || inside.contains(&edge.from) {
                continue;
            }
            let from = self.of(edge.from);
            if from.is_empty() || !seen.insert((edge.from, edge.to)) {
                continue;
            }
            let other_phase = graph.step(edge.from).phase != graph.step(edge.to).phase;
            let rank = (true, other_phase, edge.from + 1 != edge.to, edge.from);
            links.push(Link {
                rank,
                edge: *edge,
                from,
            });
        }
        links
    }
}
