//! How much is measured: the full sizes that the figures are defined by, and short ones for a quick look.

/// How much to measure. The names of the figures are the same at every size.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rounds of every ratio; the figure is the median over them.
    pub rounds: usize,
    /// Cases of three messages each in a round of the throughput.
    pub throughput_cases: u64,
    /// Cases of one call of `wf.start_many`.
    pub start_cases: u64,
    /// Cases in a round with a sender.
    pub sent_cases: u64,
    /// Cases in a run with one worker or two.
    pub workers_cases: u64,
    /// Calls of `wf.start` and of `wf.complete` that are timed.
    pub calls: u64,
    /// ERP changes whose message is waited for.
    pub reactions: u64,
    /// Rows of the tables that are written in bulk.
    pub bulk_rows: u64,
    /// Rounds of each bulk statement, and of pgbench.
    pub erp_rounds: usize,
    /// Seconds of one run of pgbench.
    pub pgbench_seconds: u64,
}

impl Sizes {
    const FULL: Self = Self {
        rounds: 3,
        throughput_cases: 200_000,
        start_cases: 100_000,
        sent_cases: 100_000,
        workers_cases: 200_000,
        calls: 5000,
        reactions: 1000,
        bulk_rows: 100_000,
        erp_rounds: 7,
        pgbench_seconds: 5,
    };
    const SHORT: Self = Self {
        throughput_cases: 20_000,
        start_cases: 20_000,
        sent_cases: 10_000,
        workers_cases: 30_000,
        calls: 2000,
        reactions: 200,
        bulk_rows: 50_000,
        erp_rounds: 5,
        pgbench_seconds: 1,
        ..Self::FULL
    };

    /// The sizes that `BENCH` asks for.
    pub fn from_environment() -> Result<Self, String> {
        match std::env::var("BENCH").as_deref() {
            Err(_) | Ok("" | "full") => Ok(Self::FULL),
            Ok("short") => Ok(Self::SHORT),
            Ok(other) => Err(format!("BENCH={other} is not known: short, or nothing")),
        }
    }
}
