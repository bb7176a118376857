//! Collections: charges, and what people agree about a claim. The rules are in `core/src/collections/` and in the token
//! game; here is what the database knows of it, and what is written.
//!
//! * `charges`: fees and interest that steps ask for    * `by_hand`: charging and waiving by a call
//!
//! What a batch asks for is met before it is written, with one statement of each kind for the whole batch, and none for a
//! batch that asks for nothing.

mod by_hand;
mod charges;

pub use charges::charge;
