//! Errors with the codes that they were raised with.
//!
//! pgrx knows the SQLSTATEs that PostgreSQL has names for, and takes any other, such as one that a function of users raises
//! (`RAISE … USING ERRCODE = 'XY123'`), for an internal error: when it catches it, and when it hands it on. So the code is
//! noted while the server reports the error, and given back to it when the error leaves a function of ours.

use std::cell::Cell;
use std::ffi::{CString, c_void};
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgLogLevel, PgSqlErrorCode, PgTryBuilder, pg_sys};

unsafe extern "C-unwind" {
    // utils/elog.h, which pgrx does not bind: the code of the error that is being put together.
    fn errcode(code: i32) -> i32;
}

thread_local! {
    /// The code of the error that the server reported last.
    static REPORTED: Cell<i32> = const { Cell::new(0) };
}

/// An ERROR or panic, with its packed code.
pub struct Caught {
    pub error: CaughtError,
    pub code: i32,
}

/// Runs `body` and catches what it raises. Whoever goes on after that has to roll back first.
pub fn catch<T>(body: impl FnOnce() -> T) -> Result<T, Box<Caught>> {
    let _listening = Listening::begin();
    PgTryBuilder::new(AssertUnwindSafe(|| Ok(body())))
        .catch_others(|error| {
            let report = match &error {
                CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => report,
                CaughtError::RustPanic { ereport, .. } => ereport,
            };
            let code = match (report.sql_error_code(), REPORTED.get()) {
                // Only then: what PL/pgSQL raises again is not reported again, and others may have been since.
                (PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, reported)
                    if matches!(error, CaughtError::PostgresError(_))
                        && reported != 0
                        && known(reported).is_none() =>
                {
                    reported
                }
                (code, _) => code as i32,
            };
            Err(Box::new(Caught { error, code }))
        })
        .execute()
}

/// Runs `body`, which the function of ours that has been called does last: what it raises reaches the caller with the code that
/// it was raised with.
pub fn keep<T>(body: impl FnOnce() -> T) -> T {
    catch(body).unwrap_or_else(|caught| {
        if known(caught.code).is_none() {
            give_back(caught.code);
        }
        caught.error.rethrow()
    })
}

/// What pgrx calls a packed code, if it knows it.
pub fn known(code: i32) -> Option<PgSqlErrorCode> {
    let known = PgSqlErrorCode::from(code);
    (known as i32 == code).then_some(known)
}

/// Raises an ERROR with a packed code that pgrx may not know. Outside of `keep` that is an internal error to the caller.
pub fn raise(code: i32, message: &str, detail: Option<&str>, hint: Option<&str>) -> ! {
    // What the server has said holds no NUL.
    let text = |said: &str| CString::new(said).unwrap_or_default();
    let (message, detail, hint) = (text(message), detail.map(text), hint.map(text));
    let pointer = |said: &Option<CString>| said.as_ref().map_or(std::ptr::null(), |s| s.as_ptr());
    let mut error = pg_sys::ErrorData {
        elevel: PgLogLevel::ERROR as i32,
        sqlerrcode: code,
        message: message.as_ptr().cast_mut(),
        detail: pointer(&detail).cast_mut(),
        hint: pointer(&hint).cast_mut(),
        ..Default::default()
    };
    // SAFETY: the call copies what it is given, and becomes a panic, so that the texts are freed.
    unsafe { pg_sys::ThrowErrorData(&raw mut error) };
    unreachable!("an ERROR does not return")
}

/// The five characters of a packed SQLSTATE.
pub fn text(code: i32) -> String {
    (0..5)
        .map(|i| char::from((((code >> (6 * i)) & 0x3f) as u8) + b'0'))
        .collect()
}

/// The packed form of a SQLSTATE.
pub fn packed(sqlstate: &str) -> i32 {
    sqlstate
        .bytes()
        .take(5)
        .enumerate()
        .map(|(i, byte)| i32::from((byte - b'0') & 0x3f) << (6 * i))
        .sum()
}

/// While it lives, the codes of errors are noted as they are reported.
struct Listening {
    callback: *mut pg_sys::ErrorContextCallback,
}

impl Listening {
    /// Begins to listen; to be dropped in the reverse order of others.
    fn begin() -> Self {
        REPORTED.set(0);
        // SAFETY: a link at the head of the server's list, which stays where it is until it is taken off in `drop`.
        unsafe {
            let callback = Box::into_raw(Box::new(pg_sys::ErrorContextCallback {
                previous: pg_sys::error_context_stack,
                callback: Some(note_code),
                arg: std::ptr::null_mut(),
            }));
            pg_sys::error_context_stack = callback;
            Self { callback }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        // SAFETY: made by `begin`, and taken off here once; whatever was put on since belonged to what has ended by now.
        unsafe { pg_sys::error_context_stack = Box::from_raw(self.callback).previous };
    }
}

/// Called by the server while it puts an error together. Adds nothing to it.
unsafe extern "C-unwind" fn note_code(_arg: *mut c_void) {
    // SAFETY: only called while there is an error.
    REPORTED.set(unsafe { pg_sys::geterrcode() });
}

/// The error that is on its way out of a function of ours, and that pgrx is about to report as an internal one, gets this code.
fn give_back(code: i32) {
    // SAFETY: a link at the head of the server's list, in memory that is there until the transaction ends. Whoever catches the
    // error, in the server or here, sets the list to what it was before, as the server's PG_TRY does.
    unsafe {
        let size = size_of::<pg_sys::ErrorContextCallback>();
        let callback = pg_sys::MemoryContextAlloc(pg_sys::TopTransactionContext, size)
            .cast::<pg_sys::ErrorContextCallback>();
        callback.write(pg_sys::ErrorContextCallback {
            previous: pg_sys::error_context_stack,
            callback: Some(set_code),
            arg: std::ptr::without_provenance_mut(code as usize),
        });
        pg_sys::error_context_stack = callback;
    }
}

/// Called by the server while it puts an error together.
unsafe extern "C-unwind" fn set_code(arg: *mut c_void) {
    // SAFETY: only called while there is an error.
    unsafe {
        if pg_sys::geterrcode() == PgSqlErrorCode::ERRCODE_INTERNAL_ERROR as i32 {
            errcode(arg.addr() as i32);
        }
    }
}
