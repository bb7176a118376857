//! The launcher: keeps the workers of every database that has the extension running.
//!
//! It sees only the shared catalogues, so whether a database has the extension it learns from a worker that looks and
//! leaves. It remembers those that have not; CREATE EXTENSION announces itself. It alone gives slots out and takes
//! them back. Asleep it costs nothing: it wakes up for the end of a worker, a reload, an announcement or a naptime.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{PgLogLevel, PgSqlErrorCode};

use super::process::{self, Once, Order};
use super::shared::{self, SLOTS, Shared, Slot, State};
use super::{database_worker, transaction};
use crate::settings;

/// The exported name of the launcher's main function.
const MAIN: &str = "workflow_engine_launcher";
/// Seconds after which the postmaster starts a launcher that has died.
const RESTART_SECONDS: i32 = 2;
/// Databases looked into at one time: their workers would else take all of max_worker_processes at start.
const LOOKING: usize = 2;
/// The wait before a worker that died is started again; it doubles up to the limit.
const BACKOFF: Duration = Duration::from_secs(1);
/// The same for one that has ended in the middle of its work: the next one works carefully, so that it will not go on
/// for long.
const FALL: Duration = Duration::from_millis(250);
const BACKOFF_LIMIT: Duration = Duration::from_secs(60);
/// A worker that has lived this long starts with a clean sheet.
const HEALTHY: Duration = Duration::from_secs(60);
/// A worker that another launcher has registered, and that has not shown up for so long, never will.
const LOST: Duration = Duration::from_secs(60);

/// Asks the postmaster to run the launcher. Only while shared_preload_libraries are loaded.
pub fn register() {
    let mut worker = process::describe(
        "workflow_engine launcher",
        "workflow_engine launcher",
        MAIN,
        RESTART_SECONDS,
        Datum::from(0usize),
    );
    // SAFETY: the postmaster copies the struct.
    unsafe { pg_sys::RegisterBackgroundWorker(&mut worker) };
}

/// Main function of the launcher.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn workflow_engine_launcher(_argument: Datum) {
    let Some(shared) = shared::get() else { return };
    process::accept_signals();
    // SAFETY: no database, the bootstrap superuser. The callback touches atomics only.
    unsafe {
        pg_sys::on_shmem_exit(Some(on_exit), Datum::from(0usize));
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    shared.launcher.occupy();
    let mut launcher = Launcher::new(shared);
    loop {
        process::reset_latch();
        match process::obey() {
            // Not code 0, after which the postmaster would not start it again.
            // SAFETY: the way a background process ends.
            Order::End => unsafe { pg_sys::proc_exit(1) },
            Order::Reloaded => launcher.scan_at = Instant::now(),
            Order::Work => {}
        }
        let nap = launcher.turn();
        process::sleep(nap);
    }
}

unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: Datum) {
    if let Some(shared) = shared::get() {
        shared.launcher.vacate();
    }
}

/// What the launcher knows of a database.
struct Database {
    name: Vec<u8>,
    /// None until a worker has looked.
    has_extension: Option<bool>,
}

/// What it knows of a worker: one number of one database.
#[derive(Clone, Copy)]
struct Record {
    started: Instant,
    failures: u32,
    not_before: Instant,
    /// It has ended in the middle of its work.
    fell: bool,
}

struct Launcher {
    shared: &'static Shared,
    databases: HashMap<Oid, Database>,
    records: HashMap<(Oid, u32), Record>,
    /// By slot: how the postmaster knows the process. None for one that an earlier launcher has started.
    handles: [Option<*mut pg_sys::BackgroundWorkerHandle>; SLOTS],
    /// By slot: since when this launcher has seen it in use.
    seen: [Option<Instant>; SLOTS],
    scan_at: Instant,
    no_process: Once,
    no_slot: Once,
}

impl Launcher {
    fn new(shared: &'static Shared) -> Self {
        Self {
            shared,
            databases: HashMap::new(),
            records: HashMap::new(),
            handles: [None; SLOTS],
            seen: [None; SLOTS],
            scan_at: Instant::now(),
            no_process: Once::new(),
            no_slot: Once::new(),
        }
    }

    /// Looks at everything once and says how long to sleep.
    fn turn(&mut self) -> Duration {
        self.reap();
        let look_at_all = self.shared.look_at_all.swap(false, Ordering::AcqRel);
        let probe_all = self.shared.probe_all.swap(false, Ordering::AcqRel);
        let announced = self.shared.take_announced();
        let now = Instant::now();
        if look_at_all
            || probe_all
            || now >= self.scan_at
            || announced
                .iter()
                .any(|oid| !self.databases.contains_key(oid))
        {
            self.scan();
            self.scan_at = now + settings::naptime();
        }
        for (oid, database) in &mut self.databases {
            if probe_all || announced.contains(oid) {
                database.has_extension = None;
                self.records.retain(|(of, _), _| of != oid);
            }
        }
        let next = self.staff();
        self.scan_at
            .min(next.unwrap_or(self.scan_at))
            .saturating_duration_since(Instant::now())
    }

    /// Takes back the slots of workers that have ended.
    fn reap(&mut self) {
        let shared = self.shared;
        for (index, slot) in shared.slots.iter().enumerate() {
            let database = slot.database();
            if database == Oid::INVALID {
                continue;
            }
            let state = slot.state();
            if state.is_live() {
                let since = *self.seen[index].get_or_insert_with(Instant::now);
                let unseen =
                    state == State::Starting && slot.occupant.pid.load(Ordering::Acquire) == 0;
                if matches!(
                    state,
                    State::Idle | State::Working | State::Off | State::OtherVersion
                ) && let Some(known) = self.databases.get_mut(&database)
                {
                    known.has_extension = Some(true);
                }
                if !unseen || !self.is_gone(index, since) {
                    continue;
                }
            } else if slot.occupant.pid.load(Ordering::Acquire) != 0 {
                continue; // It is just leaving.
            }
            let number = slot.number.load(Ordering::Relaxed);
            let looked_too_early = slot.look_again.load(Ordering::Acquire);
            slot.free();
            self.release(index);
            let key = (database, number);
            match state {
                State::NoExtension => {
                    if let Some(known) = self.databases.get_mut(&database)
                        && !looked_too_early
                    {
                        known.has_extension = Some(false);
                    }
                    self.records.remove(&key);
                }
                State::Left => {
                    self.records.remove(&key);
                }
                State::Fell => {
                    self.punish(key, FALL);
                    if let Some(record) = self.records.get_mut(&key) {
                        record.fell = true;
                    }
                }
                _ => self.punish(key, BACKOFF),
            }
        }
    }

    /// Whether a worker that has not shown up never will.
    fn is_gone(&self, index: usize, since: Instant) -> bool {
        let Some(handle) = self.handles[index] else {
            return since.elapsed() > LOST;
        };
        let mut pid = 0;
        // SAFETY: a handle that this process got from the registration and has not freed.
        let status = unsafe { pg_sys::GetBackgroundWorkerPid(handle, &mut pid) };
        status == pg_sys::BgwHandleStatus::BGWH_STOPPED
    }

    fn release(&mut self, index: usize) {
        self.seen[index] = None;
        if let Some(handle) = self.handles[index].take() {
            // SAFETY: palloc'ed by the registration, not used after this.
            unsafe { pg_sys::pfree(handle.cast()) };
        }
    }

    /// Puts off the next start of a worker that has died or could not be started.
    fn punish(&mut self, key: (Oid, u32), first: Duration) {
        let now = Instant::now();
        let record = self.records.entry(key).or_insert(Record {
            started: now,
            failures: 0,
            not_before: now,
            fell: false,
        });
        if record.started.elapsed() > HEALTHY {
            record.failures = 0;
        }
        let wait = first
            .saturating_mul(1 << record.failures.min(6))
            .min(BACKOFF_LIMIT);
        record.failures = record.failures.saturating_add(1);
        record.not_before = now + wait;
    }

    /// Reads pg_database. What is new there is unknown; what is no longer there is forgotten.
    fn scan(&mut self) {
        let wanted = settings::databases();
        let mut found = Vec::new();
        if transaction::run(&mut || found = connectable()).is_err() {
            return;
        }
        let mut databases = HashMap::with_capacity(found.len());
        for (oid, name) in found {
            if wanted.contain(&name) {
                let known = self.databases.remove(&oid);
                let has_extension = known.and_then(|database| database.has_extension);
                databases.insert(
                    oid,
                    Database {
                        name,
                        has_extension,
                    },
                );
            }
        }
        self.databases = databases;
        self.records
            .retain(|(oid, _), _| self.databases.contains_key(oid));
    }

    /// How many workers a database should have now.
    fn wanted(&self, oid: Oid) -> u32 {
        if self.shared.is_barred(oid) {
            return 0;
        }
        match self.databases.get(&oid).map(|known| known.has_extension) {
            Some(Some(true)) => settings::workers_per_database(),
            // One to look, unless nobody wants workers at all.
            Some(None) => settings::workers_per_database().min(1),
            Some(Some(false)) | None => 0,
        }
    }

    /// Starts the workers that are missing and asks those to leave that are not wanted. Returns when a start that was
    /// put off is due.
    fn staff(&mut self) -> Option<Instant> {
        let shared = self.shared;
        for slot in &shared.slots {
            let database = slot.database();
            if database != Oid::INVALID
                && slot.state().is_live()
                && slot.number.load(Ordering::Relaxed) > self.wanted(database)
            {
                slot.leave.store(true, Ordering::Release);
                slot.occupant.wake();
            }
        }
        let mut next: Option<Instant> = None;
        let mut later = |at: Instant| next = Some(next.map_or(at, |known| known.min(at)));
        let now = Instant::now();
        // In the order of their making, so that those that are served when processes run short are always the same.
        let mut oids: Vec<Oid> = self.databases.keys().copied().collect();
        oids.sort_unstable_by_key(|oid| oid.to_u32());
        for oid in oids {
            for number in 1..=self.wanted(oid) {
                let is_there = shared
                    .slots_of(oid)
                    .any(|slot| slot.number.load(Ordering::Relaxed) == number);
                if is_there || (self.is_unknown(oid) && self.looking() >= LOOKING) {
                    continue; // The end of one that looks wakes us up for the next.
                }
                match self.records.get(&(oid, number)).map(|r| r.not_before) {
                    Some(not_before) if not_before > now => later(not_before),
                    _ => {
                        if let Some(retry) = self.start(oid, number) {
                            later(retry);
                        }
                    }
                }
            }
        }
        next
    }

    fn is_unknown(&self, oid: Oid) -> bool {
        self.databases
            .get(&oid)
            .is_some_and(|known| known.has_extension.is_none())
    }

    /// Workers that are on their way to look into a database.
    fn looking(&self) -> usize {
        self.shared
            .slots
            .iter()
            .filter(|slot| slot.state() == State::Starting && self.is_unknown(slot.database()))
            .count()
    }

    /// Starts one worker. Returns when to try again if that is not possible now.
    fn start(&mut self, oid: Oid, number: u32) -> Option<Instant> {
        let shared = self.shared;
        let free = shared
            .slots
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.database() == Oid::INVALID);
        if self.no_slot.is_news(free.is_none()) {
            log(
                format!("workflow_engine runs no more than {SLOTS} workers at one time"),
                "Name the databases that need workers in workflow_engine.databases.",
            );
        }
        let Some((index, slot)) = free else {
            return Some(Instant::now() + BACKOFF_LIMIT);
        };
        let handle = self.spawn(index, slot, oid, number);
        if self.no_process.is_news(handle.is_none()) {
            log(
                "workflow_engine could not start a worker: all background worker slots are in use"
                    .to_owned(),
                "Raise max_worker_processes, or lower workflow_engine.workers_per_database.",
            );
        }
        let key = (oid, number);
        if let Some(handle) = handle {
            self.handles[index] = Some(handle);
            self.seen[index] = Some(Instant::now());
            let now = Instant::now();
            let failures = self.records.get(&key).map_or(0, |record| record.failures);
            self.records.insert(
                key,
                Record {
                    started: now,
                    failures,
                    not_before: now,
                    fell: false,
                },
            );
            None
        } else {
            slot.free();
            self.punish(key, BACKOFF);
            self.records.get(&key).map(|record| record.not_before)
        }
    }

    fn spawn(
        &self,
        index: usize,
        slot: &Slot,
        oid: Oid,
        number: u32,
    ) -> Option<*mut pg_sys::BackgroundWorkerHandle> {
        let name = self.databases.get(&oid).map_or_else(String::new, |known| {
            String::from_utf8_lossy(&known.name).into_owned()
        });
        let fell = self.records.get(&(oid, number)).is_some_and(|r| r.fell);
        let generation = slot.claim(oid, number, fell);
        let mut worker = process::describe(
            &format!("workflow_engine worker {number} {name}"),
            "workflow_engine worker",
            database_worker::MAIN,
            pg_sys::BGW_NEVER_RESTART,
            database_worker::argument(index, generation),
        );
        let mut handle = std::ptr::null_mut();
        // SAFETY: the server copies the struct; the handle must live in a context that does.
        unsafe {
            worker.bgw_notify_pid = pg_sys::MyProcPid;
            let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let registered = pg_sys::RegisterDynamicBackgroundWorker(&mut worker, &mut handle);
            pg_sys::MemoryContextSwitchTo(before);
            registered.then_some(handle)
        }
    }
}

/// The databases that one can connect to and that are no templates. In a transaction.
fn connectable() -> Vec<(Oid, Vec<u8>)> {
    let mut found = Vec::new();
    // SAFETY: the launcher is connected to no database, so this is the server's own way to read a shared catalogue: a
    // heap scan under its lock. The fields read are in the fixed part of the row.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let row = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            // A limit of -2 marks what an interrupted DROP DATABASE has left behind.
            if row.datallowconn && !row.datistemplate && row.datconnlimit != -2 {
                let name = std::ffi::CStr::from_ptr(row.datname.data.as_ptr());
                found.push((row.oid, name.to_bytes().to_vec()));
            }
        }
        pg_sys::heap_endscan(scan);
        pg_sys::table_close(relation, lock);
    }
    found
}

fn log(message: String, hint: &str) {
    pg_sys::panic::ErrorReport::new(
        PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
        message,
        "workflow_engine",
    )
    .set_hint(hint)
    .report(PgLogLevel::LOG);
}
