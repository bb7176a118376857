//! Where everything goes: a layered layout, phases above each other as bands.
//!
//! The document's order is the order from top to bottom: within a phase a step lies below all earlier steps that lead
//! to it. An edge over several layers takes a lane through them (a chain of `Spot`s without a box); lanes and boxes of a
//! layer are sorted by where their neighbours are, and then placed as near to them as the order allows. An edge that
//! would need more lanes than can be followed by eye becomes a line of text in its box instead.

mod pixels;

use super::graph::{Graph, Node};
use super::text::{short, width};

/// Pixels between boxes side by side, around everything, and between layers.
const GAP: f64 = 26.0;
const MARGIN: f64 = 20.0;
const RISE: f64 = 46.0;
/// A band's heading, and the room below its last layer.
const HEAD: f64 = 30.0;
const FOOT: f64 = 18.0;
/// A box's line of text, and the room around the lines.
pub(super) const LINE: f64 = 15.0;
const PAD: f64 = 8.0;
/// The room that a lane takes.
const LANE: f64 = 12.0;
/// How many lanes there may be in all. Far more than can be followed; it bounds the work for hostile definitions.
const LANES: usize = 4_000;
/// How often the order is improved, and how often the places.
const SORTS: usize = 8;
const ROUNDS: usize = 24;

/// A point of the picture, in pixels from its upper left corner.
pub(super) type Point = (f64, f64);

/// A box, with its lines of text.
pub(super) struct Box {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    /// Where edges that got no line lead to: one line of text each.
    pub more: Vec<String>,
}

/// A phase's band.
pub(super) struct Band {
    pub top: f64,
    pub height: f64,
}

/// An edge's line: from point to point, every second stretch straight down or up, those between bent.
pub(super) struct Line {
    pub points: Vec<Point>,
    /// It goes up the picture.
    pub up: bool,
    /// From side to side of boxes in one layer, below them; or from a box to itself.
    pub flat: bool,
}

/// Everything placed.
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Box>,
    pub bands: Vec<Band>,
    /// One for each edge of the graph; None: it stands as text in its box.
    pub lines: Vec<Option<Line>>,
}

/// A place in a layer: of a node's box, or of an edge passing through.
struct Spot {
    layer: usize,
    node: Option<usize>,
    width: f64,
    /// The middle.
    x: f64,
    above: Vec<usize>,
    below: Vec<usize>,
}

/// The layers and what stands in them, while it is being arranged.
struct Plan {
    spots: Vec<Spot>,
    layers: Vec<Vec<usize>>,
    /// For each edge the spots it goes through, from the upper end to the lower.
    chains: Vec<Option<Vec<usize>>>,
}

/// Lays a graph out.
pub(super) fn lay_out(graph: &Graph<'_>) -> Layout {
    let (layer_of, tops) = layers(graph);
    let kept = lanes_for(graph, &layer_of);
    let more: Vec<Vec<String>> = (0..graph.nodes.len())
        .map(|node| texts_instead(graph, node, &kept))
        .collect();
    let mut plan = Plan::new(graph, &layer_of, &kept, &more);
    plan.sort();
    plan.place();
    pixels::finish(graph, &plan, &tops, &layer_of, more)
}

/// The layer of each node, and each phase's first layer (with the number of all layers last).
fn layers(graph: &Graph<'_>) -> (Vec<usize>, Vec<usize>) {
    let mut within = vec![0usize; graph.nodes.len()];
    let mut edges: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .filter(|e| e.from < e.to && graph.nodes[e.from].phase == graph.nodes[e.to].phase)
        .map(|e| (e.from, e.to))
        .collect();
    edges.sort_unstable();
    for (from, to) in edges {
        within[to] = within[to].max(within[from] + 1);
    }
    let mut tops = Vec::new();
    let mut top = 1;
    for phase in 0..graph.phases.len() {
        tops.push(top);
        let own = graph.nodes.iter().zip(&within);
        let deepest = own
            .filter(|(node, _)| node.phase == Some(phase))
            .map(|(_, at)| at + 1);
        top += deepest.max().unwrap_or(0);
    }
    let of = |(node, at): (&Node, &usize)| node.phase.map_or(0, |phase| tops[phase] + at);
    let layers = graph.nodes.iter().zip(&within).map(of).collect();
    tops.push(top);
    (layers, tops)
}

/// Which edges get a line: the shortest first, as long as there are lanes.
fn lanes_for(graph: &Graph<'_>, layer_of: &[usize]) -> Vec<bool> {
    let span = |edge: usize| {
        let edge = &graph.edges[edge];
        layer_of[edge.from].abs_diff(layer_of[edge.to])
    };
    let mut order: Vec<usize> = (0..graph.edges.len()).collect();
    order.sort_by_key(|edge| span(*edge));
    let mut kept = vec![false; graph.edges.len()];
    let mut left = LANES;
    for edge in order {
        let need = span(edge).max(1);
        kept[edge] = need <= left;
        left = left.saturating_sub(need);
    }
    kept
}

/// What a box says of the edges that get no line.
fn texts_instead(graph: &Graph<'_>, node: usize, kept: &[bool]) -> Vec<String> {
    let edges = graph.edges.iter().zip(kept);
    let missing = edges.filter(|(edge, kept)| edge.from == node && !**kept);
    missing
        .map(|(edge, _)| {
            let target = &graph.nodes[edge.to].label;
            short(format!("{} \u{2192} {target}", edge.label).trim_start())
        })
        .collect()
}

/// The lines of text in a box, the first one its name.
pub(super) fn lines_of(node: &Node, more: &[String]) -> Vec<String> {
    let own = [short(&node.label), short(&node.sub)];
    let notes = node.notes.iter().map(|note| short(note));
    own.into_iter()
        .chain(notes)
        .chain(more.iter().cloned())
        .collect()
}

impl Plan {
    fn new(graph: &Graph<'_>, layer_of: &[usize], kept: &[bool], more: &[Vec<String>]) -> Self {
        let mut spots: Vec<Spot> = graph
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let lines = lines_of(node, &more[at]);
                let widest = lines.iter().map(|line| width(line)).fold(60.0, f64::max);
                Spot::new(layer_of[at], Some(at), widest + 2.0 * PAD + 8.0)
            })
            .collect();
        let mut chains = Vec::with_capacity(graph.edges.len());
        for (edge, kept) in graph.edges.iter().zip(kept) {
            let (mut upper, mut lower) = (edge.from, edge.to);
            if layer_of[upper] > layer_of[lower] {
                std::mem::swap(&mut upper, &mut lower);
            }
            if !*kept || layer_of[upper] == layer_of[lower] {
                chains.push(None);
                continue;
            }
            let mut chain = vec![upper];
            for layer in layer_of[upper] + 1..layer_of[lower] {
                chain.push(spots.len());
                spots.push(Spot::new(layer, None, LANE));
            }
            chain.push(lower);
            for pair in chain.windows(2) {
                spots[pair[0]].below.push(pair[1]);
                spots[pair[1]].above.push(pair[0]);
            }
            chains.push(Some(chain));
        }
        let depth = spots.iter().map(|spot| spot.layer + 1).max().unwrap_or(0);
        let mut layers = vec![Vec::new(); depth];
        for (at, spot) in spots.iter().enumerate() {
            layers[spot.layer].push(at);
        }
        Self {
            spots,
            layers,
            chains,
        }
    }

    /// Sorts each layer by where its neighbours in the layer above, then below, stand; keeps the order with the fewest
    /// crossings.
    fn sort(&mut self) {
        let mut best = self.layers.clone();
        let mut fewest = self.crossings();
        for round in 0..SORTS {
            let down = round % 2 == 0;
            let depth = self.layers.len();
            for step in 1..depth {
                let layer = if down { step } else { depth - 1 - step };
                self.sort_layer(layer, down);
            }
            let crossings = self.crossings();
            if crossings < fewest {
                fewest = crossings;
                best.clone_from(&self.layers);
            }
        }
        self.layers = best;
    }

    fn sort_layer(&mut self, layer: usize, by_above: bool) {
        let order = self.order();
        let mut keyed: Vec<(f64, usize)> = self.layers[layer]
            .iter()
            .map(|at| {
                let spot = &self.spots[*at];
                let near = if by_above { &spot.above } else { &spot.below };
                let mean = mean(near.iter().map(|other| order[*other]));
                (mean.unwrap_or(order[*at]), *at)
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.layers[layer] = keyed.into_iter().map(|(_, at)| at).collect();
    }

    /// Each spot's place in its layer, from 0 to 1: layers of different sizes can be compared.
    fn order(&self) -> Vec<f64> {
        let mut order = vec![0.0; self.spots.len()];
        for layer in &self.layers {
            for (place, at) in layer.iter().enumerate() {
                order[*at] = (place as f64 + 0.5) / layer.len() as f64;
            }
        }
        order
    }

    /// How many stretches cross each other, over all layers.
    fn crossings(&self) -> usize {
        let mut place = vec![0usize; self.spots.len()];
        for layer in &self.layers {
            for (at, spot) in layer.iter().enumerate() {
                place[*spot] = at;
            }
        }
        let mut sum = 0;
        for layer in &self.layers {
            let mut lower: Vec<usize> = Vec::new();
            for at in layer {
                let mut ends: Vec<usize> =
                    self.spots[*at].below.iter().map(|s| place[*s]).collect();
                ends.sort_unstable();
                lower.extend(ends);
            }
            sum += inversions(&lower);
        }
        sum
    }

    /// Gives each spot its place: side by side in order, each as near to its neighbours as that allows.
    fn place(&mut self) {
        let depth = self.layers.len();
        for round in 0..ROUNDS {
            let (down, last) = (round % 2 == 0, round + 2 >= ROUNDS);
            for step in 0..depth {
                let layer = if down { step } else { depth - 1 - step };
                let places = self.settle(layer, &|spot: &Spot| {
                    let above = spot.above.iter().filter(|_| down || last);
                    let below = spot.below.iter().filter(|_| !down || last);
                    mean(above.chain(below).map(|other| self.spots[*other].x))
                });
                for (at, x) in places {
                    self.spots[at].x = x;
                }
            }
        }
    }

    /// The places of a layer's spots that come nearest to where they want to be, without overlapping: neighbours that
    /// would overlap are moved as one, to the mean of what they want.
    fn settle(&self, layer: usize, wanted: &dyn Fn(&Spot) -> Option<f64>) -> Vec<(usize, f64)> {
        struct Run {
            weight: f64,
            sum: f64,
            count: usize,
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut offsets = Vec::new();
        let mut edge = 0.0;
        for at in &self.layers[layer] {
            let spot = &self.spots[*at];
            let offset = edge + spot.width / 2.0;
            edge += spot.width + GAP;
            offsets.push(offset);
            // Lanes are kept straight before boxes are centred.
            let (x, weight) = match wanted(spot) {
                Some(x) if spot.node.is_none() => (x, 4.0),
                Some(x) => (x, 1.0),
                None => (spot.x, 0.1),
            };
            let mut run = Run {
                weight,
                sum: (x - offset) * weight,
                count: 1,
            };
            while let Some(before) = runs.pop_if(|b| b.sum / b.weight >= run.sum / run.weight) {
                run.weight += before.weight;
                run.sum += before.sum;
                run.count += before.count;
            }
            runs.push(run);
        }
        let shifts = runs
            .iter()
            .flat_map(|run| std::iter::repeat_n(run.sum / run.weight, run.count));
        let places = shifts.zip(offsets).map(|(shift, offset)| shift + offset);
        self.layers[layer].iter().copied().zip(places).collect()
    }
}

impl Spot {
    fn new(layer: usize, node: Option<usize>, width: f64) -> Self {
        Self {
            layer,
            node,
            width,
            x: 0.0,
            above: Vec::new(),
            below: Vec::new(),
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| {
        (sum + value, count + 1)
    });
    (count > 0).then(|| sum / count as f64)
}

/// How many pairs of a list are out of order, counted with a Fenwick tree.
fn inversions(list: &[usize]) -> usize {
    let size = list.iter().max().map_or(0, |most| most + 2);
    let mut tree = vec![0usize; size + 1];
    let mut sum = 0;
    for (before, value) in list.iter().enumerate() {
        let mut not_greater = 0;
        let mut at = value + 1;
        while at > 0 {
            not_greater += tree[at];
            at &= at - 1;
        }
        sum += before - not_greater;
        let mut at = value + 1;
        while at <= size {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    sum
}
