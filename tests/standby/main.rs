//! Standbys: what can be read on one, and what happens when one takes over.

mod failover;
mod reading;
