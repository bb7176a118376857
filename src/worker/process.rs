//! What every background process of ours does the same way: how it is described to the server, its signals, its sleep.
//!
//! The signals are PostgreSQL's own, not pgrx's: `die` interrupts a running statement, so that a fast shutdown and DROP
//! DATABASE do not hang, and the latch loop below leaves nothing for a signal to be lost in.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use pgrx::pg_sys::{self, Datum};

/// The library, as the control file's module_pathname has it.
const LIBRARY: &str = "workflow_engine";

// Not pgrx's wrappers of the same names: a signal handler must be the C function itself.
unsafe extern "C-unwind" {
    fn die(signal: i32);
    fn SignalHandlerForConfigReload(signal: i32);
    fn kill(pid: pg_sys::pid_t, signal: i32) -> i32;
}

/// Describes a background worker. `function` is an exported symbol of this library. Longer names are cut off.
pub fn describe(
    name: &str,
    kind: &str,
    function: &str,
    restart: i32,
    argument: Datum,
) -> pg_sys::BackgroundWorker {
    // SAFETY: a struct of numbers and character arrays, for which zeros are valid.
    let mut worker: pg_sys::BackgroundWorker = unsafe { std::mem::zeroed() };
    copy(&mut worker.bgw_name, name);
    copy(&mut worker.bgw_type, kind);
    copy(&mut worker.bgw_library_name, LIBRARY);
    copy(&mut worker.bgw_function_name, function);
    worker.bgw_flags =
        (pg_sys::BGWORKER_SHMEM_ACCESS | pg_sys::BGWORKER_BACKEND_DATABASE_CONNECTION) as i32;
    // On a standby there is nothing to do; after its promotion the workers start.
    worker.bgw_start_time = pg_sys::BgWorkerStartTime::BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = restart;
    worker.bgw_main_arg = argument;
    worker
}

/// Copies into a zeroed C array, leaving at least one zero and no half character.
fn copy(target: &mut [std::ffi::c_char], text: &str) {
    let mut end = text.len().min(target.len().saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (place, byte) in target.iter_mut().zip(text.as_bytes().iter().take(end)) {
        *place = *byte as std::ffi::c_char;
    }
}

/// Installs the signal handlers and lets signals in. The first thing a background process does.
pub fn accept_signals() {
    // SAFETY: handlers of the server itself, installed in a process that has just started.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        {
            pg_sys::pqsignal(pg_sys::SIGTERM as i32, Some(die));
            pg_sys::pqsignal(pg_sys::SIGHUP as i32, Some(SignalHandlerForConfigReload));
        }
        #[cfg(feature = "pg18")]
        {
            pg_sys::pqsignal_be(pg_sys::SIGTERM as i32, Some(die));
            pg_sys::pqsignal_be(pg_sys::SIGHUP as i32, Some(SignalHandlerForConfigReload));
        }
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

/// Sends SIGTERM to a process of the server, which `die` turns into the end of its statement and its session.
pub fn terminate(pid: i32) {
    if pid > 0 {
        // SAFETY: plain system call; a process that is gone already is no error to us.
        unsafe { kill(pid, pg_sys::SIGTERM as i32) };
    }
}

/// What a process finds when it is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Work,
    /// Go on, after the settings have been read anew.
    Reloaded,
    /// The server or an administrator ends this process.
    End,
}

/// Reacts to what signals have left behind. Called between two pieces of work, outside transactions.
pub fn obey() -> Order {
    // SAFETY: flags of this process, set by its signal handlers.
    unsafe {
        // Asleep there is nothing to roll back, so the process ends without the FATAL that `die` would log.
        if pg_sys::ProcDiePending != 0 {
            return Order::End;
        }
        // A cancel that comes between two statements has nothing to cancel; as an ERROR it would end the process.
        pg_sys::QueryCancelPending = 0;
        pg_sys::check_for_interrupts!();
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
            return Order::Reloaded;
        }
    }
    Order::Work
}

/// Forgets earlier wake-ups. What they were for is looked for after this, so none is lost.
pub fn reset_latch() {
    // SAFETY: this process owns the latch.
    unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
}

/// Sleeps until the latch is set or the time is over. Ends the process when the postmaster is gone.
pub fn sleep(limit: Duration) {
    // Rounded up: waking a fraction of a millisecond early would find nothing due.
    let millis = i64::try_from(limit.as_micros().div_ceil(1000))
        .unwrap_or(i64::MAX)
        .clamp(1, i64::from(i32::MAX));
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: this process owns the latch.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            millis,
            pg_sys::PG_WAIT_EXTENSION,
        );
    }
}

/// Reports once that something is so, and may report it again once it has not been so for a while.
pub struct Once(AtomicBool);

impl Once {
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// True when it was not so before.
    pub fn is_news(&self, is_so: bool) -> bool {
        let before = self.0.swap(is_so, std::sync::atomic::Ordering::Relaxed);
        is_so && !before
    }
}
