//! The engine: what is due is fetched, decided and written in batches.

pub mod work;

/// Drops what this process remembers of the extension's tables, after DROP and CREATE EXTENSION.
pub fn forget() {}
