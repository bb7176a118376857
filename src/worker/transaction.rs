//! A transaction of a background process, and what becomes of it when it fails.
//!
//! pgrx's `BackgroundWorker::transaction` is not used: it reports no statistics, so that autovacuum would never see the
//! rows that a worker has left dead, and it lets an ERROR end the process.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};

use crate::pg::sqlstate;
use crate::pg::subtransaction::Failure;

/// How long the same failure is not logged again: a batch that is halved fails many times for one culprit.
const QUIET: Duration = Duration::from_secs(60);

thread_local! {
    /// The failure logged last, and when.
    static LOGGED: RefCell<Option<(String, String, Instant)>> = const { RefCell::new(None) };
}

/// Runs `body` in a transaction of its own. If it, or the commit, raises an ERROR or panics, the transaction is rolled
/// back, the server log says so, and the failure is returned. SIGTERM ends the process as FATAL, past all of this.
/// A body that only reads assigns no transaction id and writes no WAL.
pub fn run(body: &mut dyn FnMut()) -> Result<(), Failure> {
    let result = sqlstate::catch(|| {
        // SAFETY: the way every background worker begins a transaction.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        crate::pg::acting::check_at_once();
        body();
        // SAFETY: ends what was begun above. The commit is inside the boundary, for it may fail as well.
        unsafe {
            pg_sys::PopActiveSnapshot();
            pg_sys::CommitTransactionCommand();
        }
    })
    .map_err(|caught| Failure::from_caught(&caught));
    if let Err(failure) = &result {
        // SAFETY: as PostgreSQL's own processes do after an ERROR: no interrupt while the transaction is undone. SPI
        // connections, snapshots, locks and the acting role go with it.
        unsafe {
            pg_sys::InterruptHoldoffCount += 1;
            pg_sys::AbortCurrentTransaction();
            pg_sys::InterruptHoldoffCount -= 1;
        }
        log(failure);
    }
    // SAFETY: outside of any transaction. It reports at most once a second by itself.
    unsafe { pg_sys::pgstat_report_stat(false) };
    result
}

fn log(failure: &Failure) {
    let known = LOGGED.with_borrow(|logged| {
        logged.as_ref().is_some_and(|(sqlstate, message, at)| {
            *sqlstate == failure.sqlstate && *message == failure.message && at.elapsed() < QUIET
        })
    });
    if known {
        return;
    }
    LOGGED.set(Some((
        failure.sqlstate.clone(),
        failure.message.clone(),
        Instant::now(),
    )));
    let said = if is_the_servers_own(&failure.sqlstate) {
        failure.message.as_str()
    } else {
        "what the error said may hold data of rows, and is not logged"
    };
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_WARNING,
        format!("workflow_engine: a transaction was rolled back: {said}"),
        "workflow_engine",
    )
    .set_detail(format!("SQLSTATE {}", failure.sqlstate))
    .set_hint("A step or a row that keeps failing is listed by wf.incidents, with all that the error said.")
    .report(PgLogLevel::LOG);
}

/// Whether errors of this code are about the server, and say so in its words. Others may repeat what stands in rows: a
/// value that is no number, a row that breaks a constraint, whatever a function of users raises.
fn is_the_servers_own(sqlstate: &str) -> bool {
    const CLASSES: [&str; 7] = ["08", "25", "40", "53", "57", "58", "XX"];
    CLASSES.iter().any(|class| sqlstate.starts_with(class)) || sqlstate == "55P03"
}
