//! Collections: charges, and what people agree about a claim. The rules are in `core/src/collections/` and in the token
//! game; here is what the database knows of it, and what is written.
//!
//! * `charges`: fees and interest that steps ask for    * `by_hand`: charging and waiving by a call
//! * `promises`: promises to pay, kept and broken        * `plans`: payment plans
//! * `disputes`: disputes, whole and partial            * `retry`: cases for new contact data
//!
//! What a batch asks for is met before it is written, with one statement of each kind for the whole batch, and none for a
//! batch that asks for nothing.

#![allow(
    clippy::type_complexity,
    reason = "pgrx reads the row type from the signature"
)]

mod by_hand;
mod charges;
mod disputes;
mod plans;
mod promises;
mod retry;

pub use charges::charge;
pub use disputes::looked_into;
pub use promises::{settle_due, write as write_promises};
pub use retry::retry;
