//! The ERP side: how a table is bound, what its triggers note down, and how its rows are read.
//!
//! * `bind`, `watch`, `validate`, `names`, `install`: the functions that bind and unbind, and all that they refuse
//! * `trigger`, `buffer`, `append`, `direct`, `config`, `hooks`: what runs inside the ERP's own transactions; appends to the inbox and nothing else
//! * `subject`, `keys`: a binding as the rest of the shell uses it; keys as text and back
//! * `inbox`: turning the noted rows of watched tables into keys; reconciling a whole table
//!
//! What follows from a changed row (start, stop, recompute) is the worker's, not ours.

pub mod append;
mod bind;
mod buffer;
mod config;
mod direct;
pub mod hooks;
pub mod inbox;
mod install;
pub mod keys;
mod names;
pub mod subject;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod trigger;
mod validate;
mod watch;

pub use install::tie_views;
