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
    /// Rounds of each bulk statement.
    pub erp_rounds: usize,
    /// Rounds of pgbench.
    pub pgbench_rounds: usize,
    /// Updates of one run of pgbench.
    pub pgbench_transactions: u64,
    /// Waiting cases whose size is taken.
    pub size_cases: u64,
    /// Seconds that idle workers are watched for.
    pub idle_seconds: u64,
    /// Cases after which a worker's memory is taken first.
    pub memory_cases: u64,
    /// How many times as many cases it has worked on when it is taken again.
    pub memory_times: u32,
    /// Cases that are measured beside those that wait, or have ended.
    pub extra_cases: u64,
    /// Cases that wait for future dates: many, and few.
    pub waiting: (u64, u64),
    /// Numbers of waiting cases that the plot shows, rising to the many.
    pub plotted: &'static [u64],
    /// Cases that have ended: many, and few.
    pub finished: (u64, u64),
    /// Of the many that have ended, those that the engine itself has worked on; the others are copies of them.
    pub finished_by_engine: u64,
    /// Seconds of load while an old snapshot is open.
    pub load_seconds: u64,
    /// Cases a second of that load, in each of two databases.
    pub load_cases_per_s: u64,
    /// Cases in a round after that load.
    pub loaded_cases: u64,
    /// Cases in a run with one size of batches.
    pub batch_size_cases: u64,
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
        erp_rounds: 15,
        pgbench_rounds: 31,
        pgbench_transactions: 20_000,
        size_cases: 200_000,
        idle_seconds: 60,
        memory_cases: 33_334,
        memory_times: 20,
        extra_cases: 100_000,
        waiting: (5_000_000, 10_000),
        plotted: &[10_000, 100_000, 500_000, 1_000_000, 2_000_000, 5_000_000],
        finished: (5_000_000, 10_000),
        finished_by_engine: 100_000,
        load_seconds: 600,
        load_cases_per_s: 2000,
        loaded_cases: 50_000,
        batch_size_cases: 100_000,
    };
    const SHORT: Self = Self {
        throughput_cases: 30_000,
        start_cases: 30_000,
        sent_cases: 20_000,
        workers_cases: 60_000,
        calls: 2000,
        reactions: 200,
        bulk_rows: 50_000,
        pgbench_rounds: 11,
        pgbench_transactions: 5000,
        size_cases: 50_000,
        idle_seconds: 15,
        memory_cases: 6667,
        memory_times: 5,
        extra_cases: 40_000,
        waiting: (100_000, 5000),
        plotted: &[5000, 20_000, 50_000, 100_000],
        finished: (100_000, 5000),
        finished_by_engine: 20_000,
        load_seconds: 15,
        load_cases_per_s: 2000,
        loaded_cases: 20_000,
        batch_size_cases: 40_000,
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
