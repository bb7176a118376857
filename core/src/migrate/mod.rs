//! From one version of a workflow to another.
//!
//! * `content`: what is content, which running cases share, and what is structure, which needs a new version
//! * `steps`: which step of the new version a token of the old one goes to
//! * `position`: whether the steps that a case stands on can be open together
//!
//! What a case does with it is in `game`: `Case::migrate`.

mod content;
mod position;
mod steps;

pub use content::{Change, Place, changes};
pub(crate) use position::fits;
pub use steps::Migration;

#[cfg(test)]
mod tests;
