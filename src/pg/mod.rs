//! The edge to PostgreSQL: statements, roles, zones, errors. All `unsafe` calls into the server that are not the
//! trigger's or the worker's own live in here, so that the rest of the shell is plain Rust.

pub mod acting;
pub mod append;
pub mod arena;
pub mod arrays;
pub mod extension;
pub mod json;
pub mod limit;
pub mod lock;
pub mod raise;
pub mod relations;
pub mod rows;
pub mod sequence;
pub mod spi;
pub mod sqlstate;
pub mod standby;
pub mod subtransaction;
pub mod tuples;
pub mod types;
