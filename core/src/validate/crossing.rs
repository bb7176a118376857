//! Links from one branch into another, found for any set of branches that leave one step.

use super::graph::{By, Edge, Graph, Set};

/// A link into a step that belongs to other branches.
pub(super) struct Crossing<'p> {
    pub edge: Edge<'p>,
    /// The branch that the link comes from, if it is one alone.
    pub own: Option<usize>,
    /// The branches that its target belongs to.
    pub owners: Vec<usize>,
}

/// A link into a step that several branches reach.
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
        let sets = starts.iter().map(|start| {
            let mut set = graph.reach([*start], out);
            for (step, inside) in set.iter_mut().enumerate() {
                *inside &= !out(step);
            }
            set
        });
        Self {
            sets: sets.collect(),
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
        self.sets.iter().any(|set| set[step])
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
        for target in 0..graph.len() {
            let all = self.of(target);
            if all.len() < 2 || may_meet(target) {
                continue;
            }
            let links = self.links_into(graph, starts, target);
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

    /// The links into a step with the branches they come from and a rank: the lowest one shows where the step belongs.
    /// That is the branch that begins with it, else the one in its phase, else the one that stands right before it.
    /// A way back from further on in the same branch says nothing.
    fn links_into<'p>(
        &self,
        graph: &Graph<'p>,
        starts: &[Edge<'p>],
        target: usize,
    ) -> Vec<Link<'p>> {
        let beyond = graph.reach([target], |step| !self.contain(step));
        let mut links = Vec::new();
        for (branch, edge) in starts.iter().enumerate() {
            if edge.to == target {
                links.push(Link {
                    rank: (false, false, false, branch),
                    edge: *edge,
                    from: vec![branch],
                });
            }
        }
        let mut seen = Vec::new();
        for edge in graph.into(target) {
            if edge.by == By::Hand || beyond[edge.from] || seen.contains(&edge.from) {
                continue;
            }
            let from = self.of(edge.from);
            if from.is_empty() {
                continue;
            }
            seen.push(edge.from);
            let other_phase = graph.step(edge.from).phase != graph.step(target).phase;
            let rank = (true, other_phase, edge.from + 1 != target, edge.from);
            links.push(Link {
                rank,
                edge: *edge,
                from,
            });
        }
        links
    }
}
