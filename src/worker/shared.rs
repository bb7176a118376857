//! What the launcher, the workers and all backends share: one fixed block of atomics in shared memory.
//!
//! No lock guards it, so that a commit callback may touch it. Each field says who writes it. Without preloading there
//! is no block, and everything here finds nothing to do.

use std::cell::Cell;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicUsize, Ordering,
};

use pgrx::pg_sys::{self, Oid};

/// Workers at most, over all databases.
pub const SLOTS: usize = 64;
/// Announcements and bars at most at one time.
pub const NOTES: usize = 16;
/// `wake_from` when nothing was committed before the worker's frontier.
pub const NOWHERE: i64 = i64::MAX;

/// What a worker is doing, as `wf.workers()` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Nobody has this slot.
    Free = 0,
    /// Registered, its process not there yet.
    Starting = 1,
    /// Asleep until something is due or committed.
    Idle = 2,
    /// In a tick.
    Working = 3,
    /// `workflow_engine.enabled` is off.
    Off = 4,
    /// The process has ended; the launcher decides what follows.
    Ended = 5,
    /// It has ended because it was asked to, to start again with new settings or to make room.
    Left = 6,
    /// It has ended because its database lacks the extension.
    NoExtension = 7,
    /// The process has ended in the middle of its work.
    Fell = 8,
    /// It waits because the extension has a version in its database that this library does not know.
    OtherVersion = 9,
}

impl State {
    /// The word that `wf.workers()` shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Off => "off",
            Self::Ended => "ended",
            Self::Left => "left",
            Self::NoExtension => "no extension",
            Self::Fell => "fell",
            Self::OtherVersion => "other version",
        }
    }

    /// Whether a process is or will soon be there.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Self::Starting | Self::Idle | Self::Working | Self::Off | Self::OtherVersion
        )
    }

    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Starting,
            2 => Self::Idle,
            3 => Self::Working,
            4 => Self::Off,
            5 => Self::Ended,
            6 => Self::Left,
            7 => Self::NoExtension,
            8 => Self::Fell,
            9 => Self::OtherVersion,
            _ => Self::Free,
        }
    }
}

/// One worker.
#[repr(C, align(64))]
pub struct Slot {
    /// Set by the launcher before the worker starts, 0 when free.
    database: AtomicU32,
    /// Which of its database's workers it is, from 1. Set by the launcher.
    pub number: AtomicU32,
    /// Counts the uses of the slot, so that a worker that starts late finds that it is no longer wanted.
    pub generation: AtomicU32,
    state: AtomicU32,
    /// The worker.
    pub occupant: Occupant,
    /// Someone asks the worker to leave when its tick is done.
    pub leave: AtomicBool,
    /// CREATE EXTENSION has committed since the worker started: that it found none means nothing.
    pub look_again: AtomicBool,
    /// The worker before this one has fallen. Set by the launcher.
    pub careful: AtomicBool,
    /// Earliest run_at, in PostgreSQL's microseconds, that was committed since the worker last took it.
    pub wake_from: AtomicI64,
    /// When its last tick ended, in PostgreSQL's microseconds, 0 before the first.
    pub last_tick: AtomicI64,
}

impl Slot {
    const fn new() -> Self {
        Self {
            database: AtomicU32::new(0),
            number: AtomicU32::new(0),
            generation: AtomicU32::new(0),
            state: AtomicU32::new(State::Free as u32),
            occupant: Occupant::none(),
            leave: AtomicBool::new(false),
            look_again: AtomicBool::new(false),
            careful: AtomicBool::new(false),
            wake_from: AtomicI64::new(NOWHERE),
            last_tick: AtomicI64::new(0),
        }
    }

    /// The database that the worker is for.
    pub fn database(&self) -> Oid {
        Oid::from(self.database.load(Ordering::Acquire))
    }

    /// What the worker is doing.
    pub fn state(&self) -> State {
        State::from_number(self.state.load(Ordering::Acquire))
    }

    /// Says what the worker is doing.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// The launcher takes a free slot for a worker and gets the generation that the worker must show.
    pub fn claim(&self, database: Oid, number: u32, careful: bool) -> u32 {
        self.occupant.pid.store(0, Ordering::Relaxed);
        self.occupant.latch.store(0, Ordering::Relaxed);
        self.leave.store(false, Ordering::Relaxed);
        self.look_again.store(false, Ordering::Relaxed);
        self.careful.store(careful, Ordering::Relaxed);
        self.wake_from.store(NOWHERE, Ordering::Relaxed);
        self.last_tick.store(0, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
        let generation = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        self.set_state(State::Starting);
        self.database.store(database.to_u32(), Ordering::Release);
        generation
    }

    /// The launcher gives a slot back.
    pub fn free(&self) {
        self.database.store(0, Ordering::Release);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.set_state(State::Free);
    }
}

/// The process that is at work somewhere, if there is one.
pub struct Occupant {
    /// 0 before it starts and after it ends.
    pub pid: AtomicI32,
    /// Its latch as an address in shared memory, which stays valid after the process is gone.
    latch: AtomicUsize,
}

impl Occupant {
    const fn none() -> Self {
        Self {
            pid: AtomicI32::new(0),
            latch: AtomicUsize::new(0),
        }
    }

    /// The calling process is at work here from now on.
    pub fn occupy(&self) {
        // SAFETY: the globals of a process that has shared memory.
        unsafe {
            self.latch
                .store(pg_sys::MyLatch as usize, Ordering::Release);
            self.pid.store(pg_sys::MyProcPid, Ordering::Release);
        }
    }

    /// The calling process no longer is.
    pub fn vacate(&self) {
        self.latch.store(0, Ordering::Release);
        self.pid.store(0, Ordering::Release);
    }

    /// Sets its latch, if there is one. May be called where an ERROR is not allowed.
    pub fn wake(&self) {
        let address = self.latch.load(Ordering::Acquire);
        if address != 0 {
            // SAFETY: the latch of a PGPROC, which lives in shared memory as long as the server does. If its owner has
            // gone, another process wakes up once for nothing. SetLatch raises no errors.
            unsafe { pg_sys::SetLatch(address as *mut pg_sys::Latch) };
        }
    }
}

/// A database that must have no workers for now, because a backend is about to drop, rename, move or copy it.
pub struct Bar {
    /// 0: no bar.
    database: AtomicU32,
    /// The backend that holds it, which lifts it when its transaction ends.
    owner: AtomicI32,
}

/// The whole block.
#[repr(C)]
pub struct Shared {
    pub launcher: Occupant,
    /// Databases that say they have the extension now; 0 is an empty place.
    announced: [AtomicU32; NOTES],
    /// The list of databases has changed.
    pub look_at_all: AtomicBool,
    /// There was no place for an announcement: look into every database again.
    pub probe_all: AtomicBool,
    bars: [Bar; NOTES],
    pub slots: [Slot; SLOTS],
}

impl Shared {
    const fn new() -> Self {
        Self {
            launcher: Occupant::none(),
            announced: [const { AtomicU32::new(0) }; NOTES],
            look_at_all: AtomicBool::new(false),
            probe_all: AtomicBool::new(false),
            bars: [const {
                Bar {
                    database: AtomicU32::new(0),
                    owner: AtomicI32::new(0),
                }
            }; NOTES],
            slots: [const { Slot::new() }; SLOTS],
        }
    }

    /// The slots of a database's workers.
    pub fn slots_of(&self, database: Oid) -> impl Iterator<Item = &Slot> {
        self.slots
            .iter()
            .filter(move |slot| slot.database() == database)
    }

    /// Leaves a note for the launcher that this database has the extension now. Atomics only.
    pub fn announce(&self, database: Oid) {
        let number = database.to_u32();
        let placed = self.announced.iter().any(|place| {
            place
                .compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
                || place.load(Ordering::Acquire) == number
        });
        if !placed {
            self.probe_all.store(true, Ordering::Release);
        }
    }

    /// The launcher takes the announcements.
    pub fn take_announced(&self) -> Vec<Oid> {
        self.announced
            .iter()
            .map(|place| place.swap(0, Ordering::AcqRel))
            .filter(|&number| number != 0)
            .map(Oid::from)
            .collect()
    }

    /// Keeps workers out of a database until the calling backend's transaction ends. False when there is no place.
    pub fn bar(&self, database: Oid, owner: i32) -> bool {
        self.bars.iter().any(|bar| {
            let free = bar
                .owner
                .compare_exchange(0, owner, Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
            if free {
                bar.database.store(database.to_u32(), Ordering::Release);
            }
            free
        })
    }

    /// Lifts the bars of a backend. Atomics only.
    pub fn lift_bars(&self, owner: i32) {
        for bar in &self.bars {
            if bar.owner.load(Ordering::Acquire) == owner {
                bar.database.store(0, Ordering::Release);
                bar.owner.store(0, Ordering::Release);
            }
        }
    }

    /// Whether workers must stay out of a database for now.
    pub fn is_barred(&self, database: Oid) -> bool {
        self.bars
            .iter()
            .any(|bar| bar.database.load(Ordering::Acquire) == database.to_u32())
    }
}

static BLOCK: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static PREVIOUS_REQUEST: Cell<pg_sys::shmem_request_hook_type> = const { Cell::new(None) };
    static PREVIOUS_STARTUP: Cell<pg_sys::shmem_startup_hook_type> = const { Cell::new(None) };
}

/// The block, if the library was preloaded.
pub fn get() -> Option<&'static Shared> {
    // SAFETY: set once the block is initialised; shared memory outlives every process that sees it.
    unsafe { BLOCK.load(Ordering::Acquire).as_ref() }
}

/// Asks for the block. Only while shared_preload_libraries are loaded.
pub fn request() {
    // SAFETY: hooks are chained in the postmaster, before it has children.
    unsafe {
        PREVIOUS_REQUEST.set(pg_sys::shmem_request_hook);
        pg_sys::shmem_request_hook = Some(on_request);
        PREVIOUS_STARTUP.set(pg_sys::shmem_startup_hook);
        pg_sys::shmem_startup_hook = Some(on_startup);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_request() {
    // SAFETY: the hook before ours, called behind pgrx's boundary so that its errors arrive as Rust's.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST.get() {
            pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| previous());
        }
        pg_sys::RequestAddinShmemSpace(size_of::<Shared>());
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn on_startup() {
    // SAFETY: as above. The postmaster runs this alone, before it has children, and again after a crash, when the
    // memory is new; so no lock is needed. ShmemInitStruct aligns to cache lines, which covers the slots' 64 bytes.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP.get() {
            pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| previous());
        }
        let mut found = false;
        let block =
            pg_sys::ShmemInitStruct(c"workflow_engine".as_ptr(), size_of::<Shared>(), &mut found)
                .cast::<Shared>();
        if !found {
            block.write(Shared::new());
        }
        BLOCK.store(block, Ordering::Release);
    }
}
