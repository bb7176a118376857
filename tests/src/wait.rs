//! Waiting for something to become true. The limits are generous: they tell a hang from slowness, never fast from
//! slow.

use std::time::{Duration, Instant};

/// Tries until there is a value, for a minute at most.
pub fn eventually<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(60), what, attempt)
}

/// Tries until there is a value or the limit has passed, then panics with `what` it waited for.
pub fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut attempt: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(
            start.elapsed() < limit,
            "after {limit:?} still no sign of: {what}"
        );
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
