//! Seeded randomness: a test that fails prints the seed that makes it fail again.

use std::time::{SystemTime, UNIX_EPOCH};

/// The splitmix64 generator.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A generator whose seed is `WF_TEST_SEED` if that is set, and the time of day otherwise. Prints the seed.
    pub fn seeded() -> Self {
        let seed = std::env::var("WF_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(1, |now| now.as_micros() as u64)
            });
        println!("seed: WF_TEST_SEED={seed}");
        Self(seed)
    }

    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit` - 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// One of the values.
    pub fn pick<'a, T>(&mut self, values: &'a [T]) -> Option<&'a T> {
        let count = values.len() as u64;
        (count > 0).then(|| &values[self.below(count) as usize])
    }
}
