//! What the fuzzers share: the corpus, how its texts are bent, and how long to go on.
//!
//! The corpus is core/corpus: small files, each tried as it is by every run of the tests, and bent at random afterwards. What
//! a fuzzer finds goes there. `WF_LONG` (`make torture`) has all of them together run for an hour, `WF_FUZZ_MINUTES` for as
//! many minutes; without it each tries a fixed number of texts. `WF_TEST_SEED` repeats a run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Fuzzers that share the time of the long form.
const FUZZERS: f64 = 3.0;

/// The longest text that is tried.
const LONGEST: usize = 64 << 10;

/// The splitmix64 generator.
pub(crate) struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn seeded() -> Self {
        let given = std::env::var("WF_TEST_SEED")
            .ok()
            .and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_micros() as u64)
        });
        println!("seed: WF_TEST_SEED={seed}");
        Self(seed)
    }

    /// The next number, any of 64 bits.
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit` - 1; 0 if there is none.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit.max(1) as u64).unwrap_or(0)
    }

    /// One of some values.
    pub(crate) fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }

    /// A number from a range, both ends included.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let width = to.wrapping_sub(from).unsigned_abs().max(1);
        from.wrapping_add_unsigned(self.number() % (width + 1))
    }
}

/// The files of a folder of the corpus, and of the examples if they are to be tried, too.
pub(crate) fn corpus(folder: &str) -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("corpus").join(folder))
        .expect("the folder is there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    if folder == "documents" {
        for examples in ["../examples", "../examples/collections"] {
            let found = fs::read_dir(root.join(examples)).expect("the examples are there");
            let found = found.map(|entry| entry.expect("a file").path());
            files.extend(found.filter(|path| path.extension().is_some_and(|e| e == "json")));
        }
    }
    files.sort();
    let read =
        |path: PathBuf| String::from_utf8_lossy(&fs::read(path).expect("readable")).into_owned();
    files.into_iter().map(read).collect()
}

/// Bends a text: bytes flipped, pieces left out, doubled, moved, or taken from another text; numbers and words that are
/// known to be trouble put in.
pub(crate) fn bend(text: &str, others: &[String], words: &[&str], random: &mut Random) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = bytes.len().min(at + 1 + random.below(40));
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = *random.pick(b"{}[]\"':,|%#()\\ \n0-9eE.\0"),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                for _ in 0..=random.below(3) {
                    bytes.splice(to..to, piece.iter().copied());
                }
            }
            4 => {
                let other = random.pick(others).as_bytes().to_vec();
                let from = random.below(other.len() + 1);
                let to = other.len().min(from + random.below(120));
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            5 => {
                // The end of another one.
                let other = random.pick(others).as_bytes().to_vec();
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            _ => {
                let word = random.pick(words).as_bytes().to_vec();
                let until = if random.below(2) == 0 { at } else { end };
                bytes.splice(at..until, word);
            }
        }
        bytes.truncate(LONGEST);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Tries texts: first those given, then others made of them. `check` says what is wrong with what comes of one, if
/// anything; a panic is wrong, and so is taking longer than anybody would wait.
pub(crate) fn fuzz(
    name: &str,
    given: &[String],
    times: u64,
    make: impl Fn(&mut Random) -> String + Sync,
    check: impl Fn(&str) -> Result<(), String> + Sync,
) {
    let mut random = Random::seeded();
    let until = std::env::var_os("WF_LONG").map(|_| {
        let minutes = std::env::var("WF_FUZZ_MINUTES")
            .ok()
            .and_then(|m| m.parse().ok());
        Instant::now() + Duration::from_secs_f64(60.0 * minutes.unwrap_or(60.0) / FUZZERS)
    });
    let started = Instant::now();
    let mut wrong = Vec::new();
    let (mut tried, mut slowest) = (0u64, Duration::ZERO);
    // Should the stack overflow, no panic says by what: the last text is left lying there.
    let last = std::env::temp_dir().join(format!("wf-fuzz-{name}-{}", std::process::id()));
    let goes_on = |tried: u64| until.map_or(tried < times, |until| Instant::now() < until);
    let mut try_one = |text: &str| {
        if until.is_some() {
            let _ = fs::write(&last, text);
        }
        let start = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| check(text)));
        let took = start.elapsed();
        slowest = slowest.max(took);
        let told = match result {
            Err(_) => Some("panics".to_owned()),
            Ok(Err(told)) => Some(told),
            // Far more than any text of this size needs, on a busy machine and without optimisation.
            Ok(Ok(())) if took > Duration::from_secs(20) => Some(format!("takes {took:?}")),
            Ok(Ok(())) => None,
        };
        wrong.extend(told.map(|told| format!("{told}: {text:?}")));
    };
    for text in given {
        try_one(text);
    }
    // As much stack as the server allows its own recursion.
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let body = || {
            while goes_on(tried) {
                tried += 1;
                try_one(&make(&mut random));
            }
        };
        let thread = small.spawn_scoped(scope, body).expect("a thread");
        thread.join().expect("checks catch panics");
    });
    println!(
        "{name}: {} of the corpus and {tried} texts in {:?}, the slowest {slowest:?}, {} findings",
        given.len(),
        started.elapsed(),
        wrong.len()
    );
    let _ = fs::remove_file(last);
    wrong.truncate(5);
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}
