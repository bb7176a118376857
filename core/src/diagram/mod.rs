//! Pictures of a workflow: Mermaid, DOT or SVG, from the compiled program, with a case's position drawn in.
//!
//! * `graph`: what there is to draw, the same for all formats
//! * `mermaid`, `dot`: the graph as text for those tools
//! * `layout`, `svg`: the graph laid out and drawn by ourselves, for whoever has no tool
//! * `text`: texts of users made harmless, and how wide they are
//!
//! Names, descriptions and conditions come from users: each format escapes every one of them. Unsound drafts are drawn
//! too, with their open ends.

mod dot;
mod graph;
mod layout;
mod mermaid;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use crate::program::{Program, StepNo};
use crate::{Error, ErrorCode};

/// What a picture is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text that Mermaid draws, as Markdown viewers do.
    Mermaid,
    /// Text that Graphviz draws.
    Dot,
    /// A picture that a browser shows as it is.
    Svg,
}

impl Format {
    /// Every format, by name.
    pub const ALL: [Self; 3] = [Format::Mermaid, Format::Dot, Format::Svg];

    /// The format's name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Format::Mermaid => "mermaid",
            Format::Dot => "dot",
            Format::Svg => "svg",
        }
    }

    /// The format of a name.
    ///
    /// # Errors
    /// [`ErrorCode::Definition`] for a name that is none, with those there are.
    pub fn named(name: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                Error::new(
                    ErrorCode::Definition,
                    format!("there is no diagram format \"{name}\""),
                )
                .hint(format!("The formats are {names}."))
            })
    }
}

/// Where a case is and has been.
#[derive(Clone, Debug, Default)]
pub struct Position {
    /// What the case is, for the heading.
    pub title: String,
    /// Whether it has begun.
    pub started: bool,
    /// The step runs behind it.
    pub past: Vec<Past>,
    /// The open step runs.
    pub here: Vec<Here>,
}

/// A step run that is over.
#[derive(Clone, Debug)]
pub struct Past {
    pub step: StepNo,
    /// The outcome in history; None for a run that was skipped or cancelled.
    pub outcome: Option<String>,
}

/// An open step run.
#[derive(Clone, Debug)]
pub struct Here {
    pub step: StepNo,
    /// Whether it has failed and waits for a person.
    pub failed: bool,
    /// Its state, for people, e.g. `open since 2026-05-04`.
    pub note: String,
}

/// Draws a program, with a case's position if one is given.
pub fn draw(program: &Program, position: Option<&Position>, format: Format) -> String {
    let graph = graph::Graph::new(program, position);
    match format {
        Format::Mermaid => mermaid::draw(&graph),
        Format::Dot => dot::draw(&graph),
        Format::Svg => svg::draw(&graph),
    }
}
