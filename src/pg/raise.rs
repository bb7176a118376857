//! Raising PostgreSQL errors with SQLSTATE, detail and hint.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode};
use workflow_core::{Error, ErrorCode};

/// The SQLSTATE of each kind of error of the rules.
pub fn sqlstate(code: ErrorCode) -> PgSqlErrorCode {
    match code {
        ErrorCode::Definition
        | ErrorCode::TimeZone
        | ErrorCode::Calendar
        | ErrorCode::Template
        | ErrorCode::Input => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        ErrorCode::Json => PgSqlErrorCode::ERRCODE_INVALID_JSON_TEXT,
        ErrorCode::Anchor | ErrorCode::MissingValue => {
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED
        }
        ErrorCode::State => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        ErrorCode::Unknown => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        ErrorCode::Duplicate => PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        ErrorCode::NotYours => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
    }
}

/// Raises an error of the rules as a PostgreSQL ERROR.
pub fn raise(error: Error) -> ! {
    raise_as(
        sqlstate(error.code),
        error.message,
        error.detail,
        error.hint,
    )
}

/// Raises an ERROR with the SQLSTATE given.
pub fn raise_as(
    code: PgSqlErrorCode,
    message: impl Into<String>,
    detail: Option<String>,
    hint: Option<String>,
) -> ! {
    let mut report = ErrorReport::new(code, message.into(), "workflow_engine");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Something that cannot be, unless the extension's tables were changed by hand or the code is wrong.
pub fn internal(message: &str) -> ! {
    raise_as(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("workflow_engine: {message}"),
        None,
        Some("This is a bug in workflow_engine, or its tables were changed by hand.".to_owned()),
    )
}

/// Unwraps a result of the rules, raising its error.
pub trait OrRaise<T> {
    fn or_raise(self) -> T;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self) -> T {
        self.unwrap_or_else(|error| raise(error))
    }
}
