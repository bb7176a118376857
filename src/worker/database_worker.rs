//! A worker of one database: it ticks while there is something due and sleeps otherwise.
//!
//! What a tick does is the engine's; here is only when one happens, and under which settings.

use std::ffi::CStr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode};

use super::process::{self, Once, Order};
use super::shared::{self, Slot, State};
use super::transaction;
use crate::engine;
use crate::engine::careful::Careful;
use crate::engine::work::{Next, WorkerState};
use crate::pg::extension::{self, Extension};
use crate::settings;

/// The exported name of the worker's main function.
pub const MAIN: &str = "workflow_engine_worker";

/// More ticks in a row that ended in a failure than halving a batch can explain (2^14 is more than the largest).
const FAILING: u32 = 32;
/// The sleep between ticks when it is the ticks themselves that fail: a full disk, tables changed by hand.
const PAUSE: Duration = Duration::from_secs(1);

/// Settings that hold in a worker whatever the database or the role has set, and also after RESET.
const PINNED: &[(&CStr, &CStr)] = &[
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"application_name", c"workflow_engine worker"),
    // The engine locks with SKIP LOCKED. This is for DDL that holds a table while user code wants it.
    (c"lock_timeout", c"2s"),
    (c"statement_timeout", c"0"),
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    (c"transaction_timeout", c"0"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    (c"session_replication_role", c"origin"),
];

/// The slot and its generation as the one argument that a background worker gets.
pub fn argument(slot: usize, generation: u32) -> Datum {
    Datum::from(((u64::from(generation) << 32) | slot as u64) as usize)
}

/// Main function of a worker.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn workflow_engine_worker(argument: Datum) {
    let argument = argument.value() as u64;
    let generation = (argument >> 32) as u32;
    let slot = shared::get().and_then(|shared| shared.slots.get((argument & 0xffff_ffff) as usize));
    let Some(slot) = slot else { return };
    if slot.generation.load(Ordering::Acquire) != generation {
        return; // The launcher has stopped waiting for this process.
    }
    slot.occupant.occupy();
    super::set_my_slot(slot);
    // SAFETY: the callback touches atomics only; it runs after this process has left the list of backends, so that
    // whoever waits for the slot finds the database without us.
    unsafe { pg_sys::on_shmem_exit(Some(on_exit), Datum::from(0usize)) };
    process::accept_signals();
    if shared::get().is_some_and(|shared| shared.is_barred(slot.database())) {
        slot.set_state(State::Left); // The bar came after the launcher had decided.
        return;
    }
    // SAFETY: plain call with an oid. As the bootstrap superuser; a database that allows no connections stays closed.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(slot.database(), Oid::INVALID, 0);
        for (name, value) in PINNED {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
    slot.set_state(match work(slot) {
        End::NoExtension => State::NoExtension,
        End::Asked => State::Left,
    });
}

/// However the process ends, its slot says so and the launcher hears of it.
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: Datum) {
    if let Some(slot) = super::my_slot() {
        match slot.state() {
            State::Working => slot.set_state(State::Fell),
            state if state.is_live() => slot.set_state(State::Ended),
            _ => {}
        }
        slot.occupant.vacate();
    }
    if let Some(shared) = shared::get() {
        shared.launcher.wake();
    }
}

/// Why a worker stops by itself.
enum End {
    NoExtension,
    Asked,
}

fn work(slot: &Slot) -> End {
    let mut state = WorkerState::new();
    let mut known: Option<Oid> = None;
    let memory = Memory::new();
    let other_version = Once::new();
    let mut failures = 0;
    loop {
        process::reset_latch();
        if process::obey() == Order::End || slot.leave.load(Ordering::Acquire) {
            return End::Asked;
        }
        let Some(found) = look() else {
            return End::NoExtension;
        };
        let extension = found.oid;
        if known != Some(extension) {
            if known.is_some() {
                engine::forget();
                state = WorkerState::new();
            } else if let Some(shared) = shared::get() {
                state.careful = begin_carefully(slot);
                // Now the launcher may start the others.
                slot.set_state(State::Idle);
                shared.launcher.wake();
            }
            known = Some(extension);
        }
        if other_version.is_news(!found.fits) {
            tell_other_version();
        }
        let nap = if !found.fits {
            Some(settings::naptime())
        } else if settings::enabled() {
            report(slot, State::Working);
            let mut failed = false;
            let next = engine::work::tick(&mut state, &mut |body| {
                let result = transaction::run(body);
                failed = result.is_err();
                result
            });
            failures = if failed { failures + 1 } else { 0 };
            // SAFETY: plain call.
            let now = unsafe { pg_sys::GetCurrentTimestamp() };
            slot.last_tick.store(now, Ordering::Release);
            match next {
                Next::More if failures > FAILING => Some(PAUSE),
                Next::More => None,
                // The extension may have been dropped between the look and the tick: look again soon.
                Next::Idle(_) if failed => Some(PAUSE),
                Next::Idle(due) => Some(due.unwrap_or(Duration::MAX).min(settings::naptime())),
            }
        } else {
            Some(settings::naptime())
        };
        release_locks();
        memory.reset();
        if let Some(nap) = nap {
            report(
                slot,
                match (found.fits, settings::enabled()) {
                    (false, _) => State::OtherVersion,
                    (true, true) => State::Idle,
                    (true, false) => State::Off,
                },
            );
            process::sleep(nap);
        }
    }
}

/// Whether to work carefully, see `engine::careful`.
fn begin_carefully(slot: &Slot) -> Option<Careful> {
    let (number, fell) = (
        slot.number.load(Ordering::Relaxed),
        slot.careful.load(Ordering::Acquire),
    );
    let mut careful = None;
    // Should the question fail, so will the work, and be tried again.
    let _ = transaction::run(&mut || {
        careful = engine::as_engine(|| engine::careful::begin(number, fell));
    });
    careful
}

/// Advisory locks of this session: the engine takes none, so they are user code's, which has no session here.
fn release_locks() {
    // SAFETY: plain call, outside of transactions.
    unsafe { pg_sys::LockReleaseSession(pg_sys::USER_LOCKMETHOD as pg_sys::LOCKMETHODID) };
}

/// The extension, if it is installed here. A failure to look is taken for its absence only by a worker that the
/// launcher will start again; so it ends the process.
fn look() -> Option<Extension> {
    let mut found = None;
    let looked = transaction::run(&mut || found = extension::extension());
    if looked.is_err() {
        // Exit code 1: the slot says that the process has ended, and the launcher backs off.
        // SAFETY: the way a background process ends.
        unsafe { pg_sys::proc_exit(1) };
    }
    found
}

/// One line in the server's log, when it begins to be so.
fn tell_other_version() {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "workflow_engine waits: the extension in this database is of another version than the library ({})",
            env!("CARGO_PKG_VERSION")
        ),
        "workflow_engine",
    )
    .set_hint("ALTER EXTENSION workflow_engine UPDATE, or restart the server if that was done.")
    .report(PgLogLevel::LOG);
}

/// Shows the state in the slot and in pg_stat_activity.
fn report(slot: &Slot, state: State) {
    if slot.state() == state {
        return;
    }
    slot.set_state(state);
    // SAFETY: constant C strings; null is allowed. Statistics held back so far go out before a sleep.
    unsafe {
        if state == State::Working {
            pg_sys::pgstat_report_activity(
                pg_sys::BackendState::STATE_RUNNING,
                c"workflow_engine: working on what is due".as_ptr(),
            );
        } else {
            pg_sys::pgstat_report_stat(true);
            pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_IDLE, std::ptr::null());
        }
    }
}

/// Where allocations go that are made outside transactions; emptied after each tick, so that a worker does not grow.
struct Memory(pg_sys::MemoryContext);

/// What a batch needs the next one needs, too: so much is not given back to the system in between, to be fetched again page
/// by page.
#[cfg(target_env = "gnu")]
fn keep_memory() {
    const M_TRIM_THRESHOLD: i32 = -1;
    const M_MMAP_THRESHOLD: i32 = -3;
    const MEGABYTE: i32 = 1024 * 1024;
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
    }
    // SAFETY: parameters of the allocator; a value that it does not take is ignored.
    unsafe {
        mallopt(M_MMAP_THRESHOLD, 16 * MEGABYTE);
        mallopt(M_TRIM_THRESHOLD, 32 * MEGABYTE);
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_memory() {}

impl Memory {
    fn new() -> Self {
        keep_memory();
        // SAFETY: the default sizes of ALLOCSET_DEFAULT_SIZES, a constant name, and a parent that is always there.
        unsafe {
            let context = pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopMemoryContext,
                c"workflow_engine worker".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            pg_sys::MemoryContextSwitchTo(context);
            Self(context)
        }
    }

    /// Between two ticks, outside transactions. A commit leaves the top context current, hence the switch.
    fn reset(&self) {
        // SAFETY: the context lives as long as the process, and nothing in it is used across ticks.
        unsafe {
            pg_sys::MemoryContextSwitchTo(self.0);
            pg_sys::MemoryContextReset(self.0);
        }
    }
}
