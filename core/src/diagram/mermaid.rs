//! The graph as a Mermaid flowchart.

use std::fmt::Write;

use super::graph::{Graph, Node, Shape};
use super::text::{mermaid, short};

/// The styles of a case's position: readable on light and on dark pages.
const STYLES: &str = "  classDef done fill:#d7ecd9,stroke:#4c8b54,color:#1d3b21\n\
                      \x20 classDef passed fill:#eeeeee,stroke:#9a9a9a,color:#5c5c5c,stroke-dasharray:4 3\n\
                      \x20 classDef here fill:#ffd98a,stroke:#b26a00,color:#3d2600,stroke-width:3px\n\
                      \x20 classDef failed fill:#f6b3ab,stroke:#b3261e,color:#410e0b,stroke-width:3px\n";

pub(super) fn draw(graph: &Graph<'_>) -> String {
    let mut out = String::new();
    // Mermaid's front matter is YAML: the title is a quoted scalar, and what is escaped in it stays text.
    let _ = writeln!(
        out,
        "---\ntitle: \"{}\"\n---\nflowchart TD",
        title(&graph.title)
    );
    for node in graph.nodes.iter().filter(|node| node.phase.is_none()) {
        node_line(&mut out, "  ", node);
    }
    for (phase, name) in graph.phases.iter().enumerate() {
        let _ = writeln!(out, "  subgraph p{phase}[\"{}\"]", mermaid(&short(name)));
        for node in graph.nodes.iter().filter(|node| node.phase == Some(phase)) {
            node_line(&mut out, "    ", node);
        }
        out.push_str("  end\n");
    }
    let mut taken = Vec::new();
    for (number, edge) in graph.edges.iter().enumerate() {
        let arrow = if edge.skip { "-.->" } else { "-->" };
        let label = if edge.label.is_empty() {
            String::new()
        } else {
            format!("|\"{}\"|", mermaid(&short(&edge.label)))
        };
        let (from, to) = (&graph.nodes[edge.from].id, &graph.nodes[edge.to].id);
        let _ = writeln!(out, "  {from} {arrow}{label} {to}");
        if edge.taken {
            taken.push(number.to_string());
        }
    }
    if graph.has_case {
        out.push_str(STYLES);
        if !taken.is_empty() {
            let _ = writeln!(
                out,
                "  linkStyle {} stroke:#4c8b54,stroke-width:3px",
                taken.join(",")
            );
        }
    }
    out
}

/// A title for the front matter: letters, digits and plain punctuation, with a blank for the rest.
fn title(text: &str) -> String {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',' | '.' | ':' | '/' | '-' | '_');
    text.chars()
        .map(|c| if plain(c) { c } else { ' ' })
        .collect()
}

fn node_line(out: &mut String, indent: &str, node: &Node) {
    let mut lines = vec![mermaid(&short(&node.label)), mermaid(&short(&node.sub))];
    lines.extend(node.notes.iter().map(|note| mermaid(&short(note))));
    let text = lines.join("<br/>");
    let (open, close) = match node.shape {
        Shape::Start | Shape::Finish => ("([", "])"),
        Shape::Step => ("[", "]"),
        Shape::Choice => ("{{", "}}"),
        Shape::Loose => ("[/", "/]"),
    };
    let class = node
        .mark
        .class()
        .map_or(String::new(), |class| format!(":::{class}"));
    let _ = writeln!(out, "{indent}{}{open}\"{text}\"{close}{class}", node.id);
}
