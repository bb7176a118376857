//! The graph in DOT, Graphviz's language.

use std::fmt::Write;

use super::graph::{Graph, Mark, Node, Shape};
use super::text::{dot, short};

pub(super) fn draw(graph: &Graph<'_>) -> String {
    let mut out = String::from("digraph workflow {\n");
    let _ = writeln!(
        out,
        "  graph [rankdir=TB, labelloc=t, fontname=\"Helvetica\", label=\"{}\"];",
        dot(&clean(&graph.title))
    );
    out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"Helvetica\", fontsize=11];\n");
    out.push_str("  edge [fontname=\"Helvetica\", fontsize=10];\n");
    for node in graph.nodes.iter().filter(|node| node.phase.is_none()) {
        node_line(&mut out, "  ", node);
    }
    for (phase, name) in graph.phases.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{phase} {{");
        let _ = writeln!(
            out,
            "    label=\"{}\"; labeljust=l; color=gray70;",
            dot(&short(name))
        );
        for node in graph.nodes.iter().filter(|node| node.phase == Some(phase)) {
            node_line(&mut out, "    ", node);
        }
        out.push_str("  }\n");
    }
    for edge in &graph.edges {
        let mut options = Vec::new();
        if !edge.label.is_empty() {
            options.push(format!("label=\"{}\"", dot(&short(&edge.label))));
        }
        if edge.skip {
            options.push("style=dashed".to_owned());
        }
        if edge.taken {
            options.push("color=\"#4c8b54\", penwidth=2.5".to_owned());
        }
        let (from, to) = (&graph.nodes[edge.from].id, &graph.nodes[edge.to].id);
        let _ = writeln!(out, "  {from} -> {to} [{}];", options.join(", "));
    }
    out.push_str("}\n");
    out
}

/// On one line: a title is not cut.
fn clean(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn node_line(out: &mut String, indent: &str, node: &Node) {
    let mut lines = vec![dot(&short(&node.label)), dot(&short(&node.sub))];
    lines.extend(node.notes.iter().map(|note| dot(&short(note))));
    let shape = match node.shape {
        Shape::Step => "",
        Shape::Start | Shape::Finish => ", shape=oval",
        Shape::Choice => ", shape=hexagon",
        Shape::Loose => ", shape=note, color=red",
    };
    let mark = match node.mark {
        Mark::Plain => "",
        Mark::Done => ", fillcolor=\"#d7ecd9\"",
        Mark::Passed => ", fillcolor=\"#eeeeee\", fontcolor=gray40",
        Mark::Here => ", fillcolor=\"#ffd98a\", penwidth=2.5",
        Mark::Failed => ", fillcolor=\"#f6b3ab\", penwidth=2.5, color=\"#b3261e\"",
    };
    let _ = writeln!(
        out,
        "{indent}{} [label=\"{}\"{shape}{mark}, tooltip=\"{}\"];",
        node.id,
        lines.join("\\n"),
        dot(&clean(&node.tip))
    );
}
