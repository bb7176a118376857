//! The harness of the server tests: private clusters, a small ERP, a clock, a sender.
//!
//! It leaves every rule of the engine to the tests. A cluster lives in its own folder under the temporary directory,
//! listens on a socket there and nowhere else, and is gone when its owner is, however that ends.

#![forbid(unsafe_code)]

mod cluster;
mod documents;
mod erp;
mod initdb;
mod installation;
mod live;
mod long;
mod newer;
mod office;
mod process;
mod random;
mod sender;
mod session;
mod shared;
mod shim;
mod survivors;
mod wait;

pub use cluster::{Cluster, Connector, Options};
pub use documents::{
    DUNNING, SCOPE_10, document, edited, invoice_workflow, step_examples, step_of,
};
pub use erp::{BIND_INVOICE, BIND_REPORT, ERP, PROBES};
pub use installation::Installation;
pub use live::{at_rest, automatic, expect_sound_cases, live, post, prepare, until, up_again};
pub use long::long_form;
pub use office::{NOW, assert_same, busy_office, everything, office};
pub use random::Random;
pub use sender::{Message, ids};
pub use session::{Failure, Session, literal};
pub use shared::{TestDb, define_sql};
pub use shim::{Full, Shim};
pub use survivors::{Delivered, Sender, Survivors};
pub use wait::{eventually, eventually_within};
