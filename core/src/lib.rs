//! The rules of workflow_engine, as pure functions: nothing here knows PostgreSQL, reads a clock or does I/O.
//!
//! * `document`, `kinds`, `program`: what a workflow is; its compiled form
//! * `edit`: changing a document one thing at a time
//! * `validate`: what is wrong with one, all of it at once
//! * `schema`: the JSON Schema of a document
//! * `game`: the token game; what an event does to a case
//! * `migrate`: from one version to another; what is content and what is structure
//! * `dates`, `calendar`, `window`: when
//! * `template`: what a message says
//! * `guards`: what surrounds steps: milestones
//! * `people`: what steps say about those who settle them
//! * `collections`: kinds of workflow, charges, promises, payment plans
//! * `contact`: whether a person may be contacted, and when
//! * `explain`: why a case is where it is
//! * `diagram`: a workflow drawn, with a case's position in it
//!
//! The shell (the extension in `src/`) reads rows, calls in here, and writes the effects.

#![forbid(unsafe_code)]

pub mod calendar;
pub mod collections;
pub mod contact;
pub mod dates;
pub mod diagram;
pub mod document;
pub mod edit;
pub mod error;
pub mod explain;
pub mod finding;
#[cfg(test)]
mod fuzz;
pub mod game;
pub mod guards;
pub mod kinds;
pub mod migrate;
mod names;
pub mod people;
pub mod program;
pub mod row;
pub mod schema;
pub mod strategy;
mod strict;
pub mod template;
pub mod validate;
pub mod window;

pub use error::{Error, ErrorCode};
