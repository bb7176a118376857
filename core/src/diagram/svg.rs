//! The graph as a picture: phases as bands, steps as boxes, legs as lines with their names.

use std::fmt::Write;

use super::graph::{Edge, Graph, Mark, Node, Shape};
use super::layout::{Band, Box, LINE, Layout, Line, Point, lay_out, lines_of};
use super::text::{short, width, xml};

/// All colours in one place. White behind everything, so that it reads on dark pages, too.
const STYLE: &str = "\
text{font-family:Helvetica,Arial,sans-serif;font-size:12px;fill:#222}\
.title{font-size:16px;font-weight:bold}\
.band{fill:#f5f7fa;stroke:#d5dbe3}.phase{fill:#5a6675;font-weight:bold}\
.box{fill:#fff;stroke:#51606f;stroke-width:1.2}.name{font-weight:bold}.sub{fill:#5a6675}\
.choice .box{fill:#eef3fb}.loose .box{stroke:#b3261e;stroke-dasharray:4 3}\
.done .box{fill:#d7ecd9;stroke:#4c8b54}.passed .box{fill:#eee;stroke:#9a9a9a;stroke-dasharray:4 3}\
.here .box{fill:#ffd98a;stroke:#b26a00;stroke-width:3}.failed .box{fill:#f6b3ab;stroke:#b3261e;stroke-width:3}\
.line{fill:none;stroke:#51606f;stroke-width:1.3}.up{stroke:#8a5a9e}.skip{stroke-dasharray:5 4}\
.taken{stroke:#4c8b54;stroke-width:2.6}\
.label{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}";

pub(super) fn draw(graph: &Graph<'_>) -> String {
    let layout = lay_out(graph);
    let (width, height) = (px(layout.width), px(layout.height));
    let title = xml(&graph.title);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"wf-arrow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\" markerUnits=\"userSpaceOnUse\"><path d=\"M0 0 10 5 0 10z\" fill=\"#51606f\"/></marker></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"20\" y=\"28\">{title}</text>\n"
    );
    for (band, name) in layout.bands.iter().zip(&graph.phases) {
        draw_band(&mut out, band, name, layout.width);
    }
    let mut labels = Labels::default();
    let mut texts = String::new();
    for (edge, line) in graph.edges.iter().zip(&layout.lines) {
        if let Some(line) = line {
            draw_line(&mut out, &mut texts, edge, line, &mut labels);
        }
    }
    for (node, place) in graph.nodes.iter().zip(&layout.boxes) {
        draw_box(&mut out, node, place);
    }
    // Last, so that no line or box covers them.
    out.push_str(&texts);
    if graph.has_case {
        draw_legend(&mut out, &layout);
    }
    out.push_str("</svg>\n");
    out
}

/// Whole pixels are enough.
fn px(value: f64) -> i64 {
    value.round() as i64
}

fn draw_band(out: &mut String, band: &Band, name: &str, width: f64) {
    let (top, height, width) = (px(band.top), px(band.height), px(width) - 24);
    let _ = writeln!(
        out,
        "<rect class=\"band\" x=\"12\" y=\"{top}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\
         <text class=\"phase\" x=\"22\" y=\"{}\">{}<title>{}</title></text>",
        top + 18,
        xml(&short(name)),
        xml(name)
    );
}

fn draw_box(out: &mut String, node: &Node, place: &Box) {
    let mut classes = vec![match node.shape {
        Shape::Start => "start",
        Shape::Step => "step",
        Shape::Choice => "choice",
        Shape::Finish => "finish",
        Shape::Loose => "loose",
    }];
    classes.extend(node.mark.class());
    let (x, y) = (px(place.x), px(place.y));
    let (width, height) = (px(place.width), px(place.height));
    let round = match node.shape {
        Shape::Start | Shape::Finish => height / 2,
        _ => 5,
    };
    let _ = write!(out, "<g class=\"{}\">", classes.join(" "));
    let tip = format!("{}\n{}", node.label, node.tip);
    let _ = write!(out, "<title>{}</title>", xml(tip.trim_end()));
    if node.shape == Shape::Choice {
        let (right, bottom, middle) = (x + width, y + height, y + height / 2);
        let _ = write!(
            out,
            "<path class=\"box\" d=\"M{} {y}H{}L{} {middle}L{} {bottom}H{}L{} {middle}Z\"/>",
            x + 8,
            right - 8,
            right + 6,
            right - 8,
            x + 8,
            x - 6
        );
    } else {
        let _ = write!(
            out,
            "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>"
        );
    }
    for (number, line) in lines_of(node, &place.more).iter().enumerate() {
        let class = if number == 0 { "name" } else { "sub" };
        let baseline = place.y + 4.0 + LINE * (number as f64 + 1.0);
        let _ = write!(
            out,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x + width / 2,
            px(baseline),
            xml(line)
        );
    }
    out.push_str("</g>\n");
}

fn draw_line(out: &mut String, texts: &mut String, edge: &Edge, line: &Line, labels: &mut Labels) {
    let mut classes = vec!["line"];
    classes.extend(line.up.then_some("up"));
    classes.extend(edge.skip.then_some("skip"));
    classes.extend(edge.taken.then_some("taken"));
    let _ = writeln!(
        out,
        "<path class=\"{}\" d=\"{}\" marker-end=\"url(#wf-arrow)\"><title>{}</title></path>",
        classes.join(" "),
        path(line),
        xml(&edge.tip)
    );
    if edge.label.is_empty() {
        return;
    }
    let text = short(&edge.label);
    let (x, y) = labels.place(line, width(&text) * 0.92);
    let _ = writeln!(
        texts,
        "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}<title>{}</title></text>",
        px(x),
        px(y),
        xml(&text),
        xml(&edge.tip)
    );
}

/// The first bent stretch of a line: its ends and the points that bend it.
fn bend(line: &Line) -> [Point; 4] {
    let at = |index: usize| line.points.get(index).copied().unwrap_or_default();
    let (from, to) = if line.flat {
        (at(0), at(1))
    } else {
        (at(1), at(2))
    };
    if line.flat {
        let low = f64::max(from.1, to.1) + 34.0;
        return [from, (from.0, low), (to.0, low), to];
    }
    let middle = (from.1 + to.1) / 2.0;
    [from, (from.0, middle), (to.0, middle), to]
}

fn path(line: &Line) -> String {
    let mut out = String::new();
    let curve = |out: &mut String, [_, a, b, to]: [Point; 4]| {
        let numbers = [a, b, to].map(|(x, y)| format!("{} {}", px(x), px(y)));
        let _ = write!(out, "C{}", numbers.join(" "));
    };
    for (number, (x, y)) in line.points.iter().enumerate() {
        let straight = number % 2 == 1;
        if number == 0 {
            let _ = write!(out, "M{} {}", px(*x), px(*y));
        } else if line.flat {
            curve(&mut out, bend(line));
        } else if straight {
            let _ = write!(out, "L{} {}", px(*x), px(*y));
        } else {
            let before = line.points[number - 1];
            let middle = (before.1 + y) / 2.0;
            curve(
                &mut out,
                [before, (before.0, middle), (*x, middle), (*x, *y)],
            );
        }
    }
    out
}

/// The labels set so far, so that none covers another: middle, baseline and width.
#[derive(Default)]
struct Labels {
    set: Vec<(f64, f64, f64)>,
}

impl Labels {
    /// A free place on a line's first bent stretch, near its beginning if possible.
    fn place(&mut self, line: &Line, width: f64) -> Point {
        let bend = bend(line);
        let spots = [0.35, 0.5, 0.65, 0.2, 0.8].map(|t| on_curve(bend, t));
        let free = |&(x, y): &Point| {
            // Only the last ones can be near: edges come in the order of their steps.
            let near = self.set.iter().rev().take(200);
            near.into_iter().all(|(ox, oy, other)| {
                (oy - y).abs() >= 12.0 || (ox - x).abs() >= (other + width) / 2.0 + 6.0
            })
        };
        let (x, y) = spots
            .into_iter()
            .find(|spot| free(spot))
            .unwrap_or(spots[0]);
        self.set.push((x, y, width));
        (x, y + 4.0)
    }
}

/// The point of a cubic curve at a share of its way.
fn on_curve([a, b, c, d]: [Point; 4], t: f64) -> Point {
    let weights = [
        (1.0 - t).powi(3),
        3.0 * t * (1.0 - t).powi(2),
        3.0 * t * t * (1.0 - t),
        t.powi(3),
    ];
    let sum = |part: fn(Point) -> f64| {
        let parts = [a, b, c, d].map(part);
        parts.iter().zip(weights).map(|(p, w)| p * w).sum()
    };
    (sum(|p| p.0), sum(|p| p.1))
}

/// What the colours mean.
fn draw_legend(out: &mut String, layout: &Layout) {
    let y = px(layout.height) - 22;
    let meanings = [
        (Mark::Here, "here now"),
        (Mark::Failed, "failed"),
        (Mark::Done, "done"),
        (Mark::Passed, "skipped"),
    ];
    let mut x = 20;
    for (mark, meaning) in meanings {
        let _ = writeln!(
            out,
            "<g class=\"{}\"><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"14\" height=\"12\" rx=\"3\"/>\
             <text x=\"{}\" y=\"{}\">{meaning}</text></g>",
            mark.class().unwrap_or_default(),
            x + 20,
            y + 10
        );
        x += 90;
    }
}
