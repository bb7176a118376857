//! Waking the workers of this database when a transaction has committed something for them.

/// Asks that this database's workers wake up when the current transaction commits. Cheap; may be called often.
pub fn on_commit() {}
