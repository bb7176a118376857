//! A limit on how long SQL of users may run while the engine works, by the server's own timers.
//!
//! It is not statement_timeout: the server arms that for statements of clients, and what runs inside a function or a
//! worker knows nothing of it. And a statement that this limit ends must be told from one that a person cancels.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use pgrx::pg_sys;

use crate::settings;

unsafe extern "C-unwind" {
    // utils/timeout.h, which pgrx does not bind. The first gives an id out, the last ERRORs of all three are FATAL.
    fn RegisterTimeout(id: i32, handler: unsafe extern "C-unwind" fn()) -> i32;
    fn enable_timeout_every(id: i32, first: pg_sys::TimestampTz, every: i32);
    fn disable_timeout(id: i32, keep_indicator: bool);
}

/// Whoever registers a timer for an id from USER_TIMEOUT on gets a free one. This is such an id in 15 to 18.
const ANY: i32 = 13;
/// How often the timer cancels again what goes on after having been cancelled, in milliseconds.
const AGAIN: i32 = 100;
/// After so many times in vain a worker ends: what catches its own cancellation would else never stop.
const STUBBORN: u32 = 20;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whose {
    /// wf.versions.version_id
    pub version: i32,
    /// The step's number; None: not only of one step.
    pub step: Option<i16>,
}

/// How a statement came to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub limit: Duration,
    /// It was waiting for a lock.
    pub waiting: bool,
}

/// How often the timer has fired since it was started.
static FIRED: AtomicU32 = AtomicU32::new(0);
/// Whether the process was waiting for a lock when it first fired.
static WAITED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The timer of this process, once it has one.
    static TIMER: Cell<Option<i32>> = const { Cell::new(None) };
    /// Whether the limit holds now.
    static ON: Cell<bool> = const { Cell::new(false) };
    /// Whether a statement runs under it.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    /// Whose statement raised the error that is under way.
    static CULPRIT: Cell<Option<Whose>> = const { Cell::new(None) };
    /// Whether that error came because the time was up.
    static EXCEEDED: Cell<Option<Exceeded>> = const { Cell::new(None) };
}

/// Called by the server's handler of SIGALRM, which also sets the latch. Sets flags and nothing else.
unsafe extern "C-unwind" fn time_is_up() {
    let times = FIRED.fetch_add(1, Ordering::Relaxed) + 1;
    // SAFETY: flags of this process that are there to be set in signal handlers, its kind, which never changes, and a
    // pointer of its own entry, which is only held against null.
    unsafe {
        if times == 1 {
            WAITED.store(!(*pg_sys::MyProc).waitLock.is_null(), Ordering::Relaxed);
        }
        if times > STUBBORN && pg_sys::MyBackendType == pg_sys::BackendType::B_BG_WORKER {
            pg_sys::ProcDiePending = 1;
        }
        pg_sys::QueryCancelPending = 1;
        pg_sys::InterruptPending = 1;
    }
}

/// Runs `body` with the limit in force for the statements that `limited` runs in it.
pub fn in_force<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _restore = Restore(ON.replace(true));
    body()
}

/// Runs a statement of users for a version of a workflow, or one step of it, for `workflow_engine.step_timeout` at most where the limit is
/// in force. What it raises then is told to `take_culprit` and `take_exceeded`.
pub fn limited<T>(version: i32, step: Option<i16>, body: impl FnOnce() -> T) -> T {
    if !ON.get() || RUNNING.get() {
        return body();
    }
    let _running = Running::start(Whose { version, step });
    body()
}

/// Whose statement raised the error just caught, if it was a limited one.
pub fn take_culprit() -> Option<Whose> {
    CULPRIT.take()
}

/// How the limit was met, if the error just caught came because it was over.
pub fn take_exceeded() -> Option<Exceeded> {
    EXCEEDED.take()
}

struct Running {
    whose: Whose,
    timer: Option<(i32, Duration)>,
}

impl Running {
    fn start(whose: Whose) -> Self {
        RUNNING.set(true);
        let timer = settings::step_timeout().map(|limit| {
            let id = TIMER.get().unwrap_or_else(|| {
                // SAFETY: a handler that stays as long as the library, which is never unloaded.
                let id = unsafe { RegisterTimeout(ANY, time_is_up) };
                TIMER.set(Some(id));
                id
            });
            FIRED.store(0, Ordering::Relaxed);
            // SAFETY: a timer of ours.
            unsafe {
                let end = pg_sys::GetCurrentTimestamp()
                    + i64::try_from(limit.as_micros()).unwrap_or(i64::MAX / 2);
                enable_timeout_every(id, end, AGAIN);
            }
            (id, limit)
        });
        Self { whose, timer }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let exceeded = self.timer.and_then(|(id, limit)| {
            // SAFETY: a timer of ours.
            unsafe { disable_timeout(id, false) };
            (FIRED.load(Ordering::Relaxed) > 0).then(|| Exceeded {
                limit,
                waiting: WAITED.load(Ordering::Relaxed),
            })
        });
        RUNNING.set(false);
        if std::thread::panicking() {
            CULPRIT.set(Some(self.whose));
            EXCEEDED.set(exceeded);
        } else if exceeded.is_some() {
            // It was done at the last moment: what comes after it is not to be cancelled.
            // SAFETY: a flag of this process.
            unsafe { pg_sys::QueryCancelPending = 0 };
        }
    }
}
