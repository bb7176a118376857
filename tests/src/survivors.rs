//! Clients that go on whatever happens to the server of a live cluster: an ERP that posts invoices, and a sender.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use crate::sender::{Message, ids};
use crate::session::Session;
use crate::wait::eventually_within;

const BATCH: i64 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// An ERP and a sender at work, each in a thread of its own.
pub struct Survivors {
    posts: Arc<AtomicBool>,
    posted: Arc<AtomicI64>,
    writing: JoinHandle<()>,
    sender: Sender,
}

/// The sender, without the ERP.
pub struct Sender {
    sends: Arc<AtomicBool>,
    sending: JoinHandle<Delivered>,
}

/// What a provider was given.
#[derive(Default)]
pub struct Delivered {
    /// All of it, in order; some of it more than once.
    pub messages: Vec<Message>,
    /// Of these, what came again after it had been acknowledged for certain.
    pub again: Vec<Message>,
}

impl Survivors {
    /// Starts both. `connect` gives a session on the server that there is, as soon as it takes one.
    pub fn start(connect: impl Fn() -> Session + Clone + Send + 'static) -> Self {
        let (posts, sends) = (
            Arc::new(AtomicBool::new(true)),
            Arc::new(AtomicBool::new(true)),
        );
        let posted = Arc::new(AtomicI64::new(0));
        Self {
            writing: spawn({
                let (connect, posts, posted) = (connect.clone(), posts.clone(), posted.clone());
                move || erp(&connect, &posts, &posted)
            }),
            sender: Sender {
                sending: spawn({
                    let sends = sends.clone();
                    move || sender(&connect, &sends)
                }),
                sends,
            },
            posts,
            posted,
        }
    }

    /// Ends the ERP. Gives back how many invoices it has heard to be there, and the sender, which goes on.
    pub fn end_posting(self) -> (i64, Sender) {
        self.posts.store(false, Ordering::Relaxed);
        self.writing.join().expect("the ERP does not panic");
        (self.posted.load(Ordering::Relaxed), self.sender)
    }
}

impl Sender {
    /// Waits until so many cases are over and all their messages sent, and ends the sender. What it lost is leased again, and
    /// goes out a second time under the same key.
    pub fn end(self, shop: &mut Session, cases: i64) -> Delivered {
        eventually_within(Duration::from_secs(180), "the end of all cases", || {
            let done: i64 = shop.one("SELECT count(*) FROM wf.cases WHERE state = 'completed'");
            (done == cases).then_some(())
        });
        eventually_within(
            Duration::from_secs(60),
            "the sending of all messages",
            || {
                let left: i64 = shop.one("SELECT count(*) FROM wf.outbox WHERE state <> 'sent'");
                (left == 0).then_some(())
            },
        );
        self.sends.store(false, Ordering::Relaxed);
        self.sending.join().expect("the sender does not panic")
    }
}

/// Inserts invoices, ten at a time. A batch whose fate is not known is sent again. How many are certain is in `posted`.
fn erp(connect: &impl Fn() -> Session, goes_on: &AtomicBool, posted: &AtomicI64) {
    let mut session = connect();
    while goes_on.load(Ordering::Relaxed) {
        let first = posted.load(Ordering::Relaxed) + 1;
        let last = first + BATCH - 1;
        let insert = format!(
            "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', NULL, n, 'EUR', now() + interval '1 second' \
             FROM generate_series({first}, {last}) AS n ON CONFLICT DO NOTHING"
        );
        while session.try_exec(&insert).is_err() {
            session = connect();
            sleep(PAUSE);
        }
        posted.store(last, Ordering::Relaxed);
        sleep(Duration::from_millis(15));
    }
}

/// Hands messages to a provider, here a list, and acknowledges them if it gets to it.
fn sender(connect: &impl Fn() -> Session, goes_on: &AtomicBool) -> Delivered {
    let mut session = connect();
    let mut delivered = Delivered::default();
    let mut certain: HashSet<String> = HashSet::new();
    while goes_on.load(Ordering::Relaxed) {
        let Ok(messages) = session.try_lease_with("NULL, 100, '2 seconds', 'sender'") else {
            session = connect();
            sleep(PAUSE);
            continue;
        };
        if messages.is_empty() {
            sleep(PAUSE);
            continue;
        }
        let known = |m: &&Message| certain.contains(&m.idempotency_key);
        let again = messages.iter().filter(known).cloned();
        delivered.again.extend(again);
        let acknowledged = session.try_exec(&format!("SELECT wf.ack_messages({})", ids(&messages)));
        match acknowledged {
            Ok(()) => certain.extend(messages.iter().map(|m| m.idempotency_key.clone())),
            Err(_) => session = connect(),
        }
        delivered.messages.extend(messages);
    }
    delivered
}
