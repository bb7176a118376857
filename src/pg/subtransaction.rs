//! A subtransaction around work that may fail, for callers that must go on: run_due and the API calls.
//! The workers do without: they have whole transactions to roll back.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;

use super::limit::{self, Exceeded, Whose};
use super::raise::raise_as;
use super::sqlstate::{self, Caught};

/// crash_shutdown, which no ERROR has.
const PROCESS_ENDED: &str = "57P02";
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What an ERROR said.
#[derive(Clone, Debug)]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// The workflow whose own SQL raised it, where the engine was at work.
    pub whose: Option<Whose>,
    /// That SQL had taken longer than `workflow_engine.step_timeout`.
    pub timed_out: bool,
}

impl Failure {
    /// From a caught ERROR or panic.
    pub fn from_caught(caught: &Caught) -> Self {
        let report = match &caught.error {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report,
            CaughtError::RustPanic { ereport, .. } => ereport,
        };
        let said = Self {
            sqlstate: sqlstate::text(caught.code),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
            whose: limit::take_culprit(),
            timed_out: false,
        };
        match limit::take_exceeded() {
            Some(exceeded) => said.timed_out(exceeded),
            None => said,
        }
    }

    /// What is said instead of the cancellation, or of what the SQL made of it.
    fn timed_out(self, exceeded: Exceeded) -> Self {
        let limit = exceeded.limit.as_millis();
        // lock_not_available is nobody's mistake. program_limit_exceeded: query_canceled is for persons.
        let (sqlstate, message) = if exceeded.waiting {
            (
                LOCK_NOT_AVAILABLE,
                format!("its SQL waited for a lock when {limit} ms were over"),
            )
        } else {
            (
                "54000",
                format!("its SQL took longer than {limit} ms and was cancelled"),
            )
        };
        Self {
            sqlstate: sqlstate.to_owned(),
            message,
            detail: Some(format!("It then said: {} ({}).", self.message, self.sqlstate)),
            hint: Some(
                "Make the condition, the function or the details view faster, or raise workflow_engine.step_timeout; then call wf.retry."
                    .to_owned(),
            ),
            whose: self.whose,
            timed_out: true,
        }
    }

    /// For what was worked on alone when the server process that did so ended.
    pub fn process_ended() -> Self {
        Self {
            sqlstate: PROCESS_ENDED.to_owned(),
            message: "the server process that worked on it ended".to_owned(),
            detail: Some("It was the only one that this process was working on.".to_owned()),
            hint: Some(
                "See the server's log for what has ended the process: FATAL, a signal, no memory. Mend the SQL that did it, then call wf.retry."
                    .to_owned(),
            ),
            whose: None,
            timed_out: false,
        }
    }

    /// It is about the end of a process.
    pub fn ended_process(&self) -> bool {
        self.sqlstate == PROCESS_ENDED
    }

    /// It cost much time, and would cost as much again: the limit on a step's SQL, or a wait for a lock.
    pub fn takes_long(&self) -> bool {
        self.timed_out || self.sqlstate == LOCK_NOT_AVAILABLE
    }

    /// The server is short of something, whoever asks: disk space, locks, connections; or its disk fails. What a
    /// case does to itself (temp_file_limit, a value that is too large) has other codes.
    pub fn is_shortage(&self) -> bool {
        let out_of_locks = || {
            let said = self.hint.as_deref().unwrap_or_default();
            // The names of settings are not translated.
            said.contains("max_locks_per_transaction")
                || said.contains("max_pred_locks_per_transaction")
        };
        matches!(self.sqlstate.as_str(), "53100" | "53300" | "58030")
            || (self.sqlstate == "53200" && out_of_locks())
    }

    /// Nobody's mistake: it is tried again for as long as it takes.
    pub fn will_pass(&self) -> bool {
        self.is_contention() || self.is_shortage()
    }

    /// Somebody held a lock, or won a race: worth trying again for as long as it takes.
    pub fn is_contention(&self) -> bool {
        matches!(
            self.sqlstate.as_str(),
            "40001" | "40P01" | LOCK_NOT_AVAILABLE
        )
    }

    /// An error that a person caused by stopping us, not the case: never counted against a case.
    pub fn is_interrupt(&self) -> bool {
        // query_canceled also stands for a client's statement_timeout. What `limit` cancels has another code.
        self.sqlstate == "57014" || self.sqlstate.starts_with("57P")
    }
}

/// Runs `body` in a subtransaction. On ERROR it is rolled back and the failure returned.
pub fn attempt<T>(
    body: impl FnOnce() -> T + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
) -> Result<T, Failure> {
    within(body, true)
}

/// Runs `body` in a subtransaction that is rolled back, whether it goes well or not. What `body` gives back must not
/// point to memory of the subtransaction.
pub fn rolled_back<T>(
    body: impl FnOnce() -> T + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
) -> Result<T, Failure> {
    within(body, false)
}

fn within<T>(
    body: impl FnOnce() -> T + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
    keep: bool,
) -> Result<T, Failure> {
    // SAFETY: the pattern of PL/pgSQL's exception blocks: remember context and owner, begin, run, release or roll
    // back, and put both back.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = sqlstate::catch(body).map_err(|caught| Failure::from_caught(&caught));
        match result {
            Ok(value) if keep => {
                pg_sys::ReleaseCurrentSubTransaction();
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::CurrentResourceOwner = owner;
                Ok(value)
            }
            result => {
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
                pg_sys::MemoryContextSwitchTo(context);
                pg_sys::CurrentResourceOwner = owner;
                result
            }
        }
    }
}

impl Failure {
    /// Raises it again, as it was.
    pub fn raise(self) -> ! {
        let code = sqlstate::packed(&self.sqlstate);
        match sqlstate::known(code) {
            Some(code) => raise_as(code, self.message, self.detail, self.hint),
            None => sqlstate::raise(
                code,
                &self.message,
                self.detail.as_deref(),
                self.hint.as_deref(),
            ),
        }
    }
}
