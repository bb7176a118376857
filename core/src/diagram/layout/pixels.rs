//! From places to pixels: rows, bands, boxes, and the lines along their lanes.

use super::super::graph::Graph;
use super::super::text::width;
use super::*;

/// From places to pixels.
pub(super) fn finish(
    graph: &Graph<'_>,
    plan: &Plan,
    tops: &[usize],
    layer_of: &[usize],
    more: Vec<Vec<String>>,
) -> Layout {
    let nodes = &graph.nodes;
    let heights: Vec<f64> = nodes
        .iter()
        .zip(&more)
        .map(|(node, more)| lines_of(node, more).len() as f64 * LINE + 2.0 * PAD)
        .collect();
    let mut rows = vec![(0.0, 0.0); plan.layers.len()];
    for (layer, height) in layer_of.iter().zip(&heights) {
        rows[*layer].1 = f64::max(rows[*layer].1, *height);
    }
    let mut bands = Vec::new();
    // Room for the picture's title.
    let mut y = MARGIN + 30.0;
    rows[0].0 = y;
    y += rows[0].1 + RISE * 0.6;
    for phase in tops.windows(2) {
        let top = y;
        y += HEAD;
        for row in &mut rows[phase[0]..phase[1]] {
            row.0 = y;
            y += row.1 + RISE;
        }
        y += if phase[0] == phase[1] {
            0.0
        } else {
            FOOT - RISE
        };
        bands.push(Band {
            top,
            height: y - top,
        });
        y += RISE * 0.7;
    }
    let least = plan
        .spots
        .iter()
        .map(|s| s.x - s.width / 2.0)
        .fold(f64::MAX, f64::min);
    let most = plan
        .spots
        .iter()
        .map(|s| s.x + s.width / 2.0)
        .fold(f64::MIN, f64::max);
    let heading = 2.0 * MARGIN + width(&graph.title) * 1.7;
    let shift = MARGIN * 2.0 - least;
    let boxes: Vec<Box> = nodes
        .iter()
        .enumerate()
        .zip(more)
        .map(|((at, _), more)| Box {
            x: plan.spots[at].x + shift - plan.spots[at].width / 2.0,
            y: rows[layer_of[at]].0 + (rows[layer_of[at]].1 - heights[at]) / 2.0,
            width: plan.spots[at].width,
            height: heights[at],
            more,
        })
        .collect();
    let lines = graph
        .edges
        .iter()
        .zip(&plan.chains)
        .map(|(edge, chain)| match chain {
            Some(chain) => Some(along(plan, chain, &rows, &boxes, shift, edge.from)),
            None if layer_of[edge.from] == layer_of[edge.to] => {
                Some(beside(&boxes[edge.from], &boxes[edge.to]))
            }
            None => None,
        })
        .collect();
    Layout {
        width: f64::max(most - least + 4.0 * MARGIN, heading),
        height: y + MARGIN,
        boxes,
        bands,
        lines,
    }
}

/// The line along a chain of spots, in the direction of the edge.
fn along(
    plan: &Plan,
    chain: &[usize],
    rows: &[(f64, f64)],
    boxes: &[Box],
    shift: f64,
    from: usize,
) -> Line {
    let mut points = Vec::with_capacity(chain.len() * 2);
    for (place, at) in chain.iter().enumerate() {
        let spot = &plan.spots[*at];
        let (top, height) = rows[spot.layer];
        let (first, last) = (place == 0, place + 1 == chain.len());
        let x = spot.x + shift;
        match spot.node {
            Some(node) if first => {
                let x = x + port(plan, spot, &spot.below, chain[place + 1]);
                points.push((x, boxes[node].y + boxes[node].height));
                points.push((x, top + height));
            }
            Some(node) if last => {
                let x = x + port(plan, spot, &spot.above, chain[place - 1]);
                points.push((x, top));
                points.push((x, boxes[node].y));
            }
            _ => {
                points.push((x, top));
                points.push((x, top + height));
            }
        }
    }
    let up = chain.first() != Some(&from);
    if up {
        points.reverse();
    }
    Line {
        points,
        up,
        flat: false,
    }
}

/// How far from a box's middle the line to a neighbour begins: in the order of the neighbours.
fn port(plan: &Plan, spot: &Spot, neighbours: &[usize], other: usize) -> f64 {
    let x = plan.spots[other].x;
    let before = neighbours.iter().filter(|n| plan.spots[**n].x < x).count();
    let same = neighbours.iter().filter(|n| plan.spots[**n].x == x).count();
    let count = neighbours.len() as f64;
    let place = before as f64 + (same as f64 - 1.0) / 2.0 - (count - 1.0) / 2.0;
    place * f64::min(22.0, (spot.width - 24.0) / count)
}

/// The line between boxes of one layer, or of a box to itself.
fn beside(from: &Box, to: &Box) -> Line {
    let end = |b: &Box, part: f64| (b.x + b.width * part, b.y + b.height);
    let points = if std::ptr::eq(from, to) {
        vec![end(from, 0.75), end(from, 0.95)]
    } else {
        vec![end(from, 0.5), end(to, 0.5)]
    };
    Line {
        points,
        up: false,
        flat: true,
    }
}
