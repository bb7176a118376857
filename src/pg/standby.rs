//! What is different on a standby: nothing can be written. Functions that only read work there; this adds to the others'
//! refusal where they can be called.

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::raise::raise_as;
use super::sqlstate;

/// Runs `body`. On a standby, an ERROR because it writes is raised with the advice to ask the primary; elsewhere this
/// does nothing and costs nothing.
///
/// # Errors
/// 25006 for what cannot be done on a standby; whatever else `body` raises, as it is.
pub fn advise<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: reads a flag, which stays false once it has been so.
    if !unsafe { pg_sys::RecoveryInProgress() } {
        return body();
    }
    sqlstate::catch(body).unwrap_or_else(|caught| {
        if let CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) = &caught.error
            && caught.code == PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION as i32
            && report.hint().is_none()
        {
            refuse(report.message().to_owned())
        }
        caught.error.rethrow()
    })
}

/// Refuses on a standby what writes, where a failure to write would go unnoticed.
///
/// # Errors
/// 25006 on a standby.
pub fn require_primary(what: &str) {
    // SAFETY: reads a flag.
    if unsafe { pg_sys::RecoveryInProgress() } {
        refuse(format!("cannot execute {what} in a read-only transaction"));
    }
}

fn refuse(message: String) -> ! {
    raise_as(
        PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
        message,
        Some("This server is a standby: the views and what only reads work here.".to_owned()),
        Some("Call it on the primary server.".to_owned()),
    )
}
