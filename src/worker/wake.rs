//! Waking the workers of this database when a transaction has committed something for them.
//!
//! What a transaction wants to happen is noted in process-local cells and done by one transaction callback, which is
//! registered once in a backend. In that callback an ERROR or a panic would take the server down, so it touches only
//! atomics and latches. A rolled-back subtransaction leaves its note behind: a worker then wakes up once for nothing.
//! COMMIT PREPARED runs no callbacks of what was prepared; the hook on utility statements notes it, as part of its own
//! transaction, which ends when the prepared one has been committed.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use pgrx::pg_sys::{self, Oid};

use super::shared::{self, NOWHERE, Shared, State};

/// Whose workers must start again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renew {
    Nobody,
    Of(Oid),
    All,
}

/// What is to happen when the transaction ends.
struct Notes {
    registered: Cell<bool>,
    /// Something is noted below.
    any: Cell<bool>,
    wake: Cell<bool>,
    from: Cell<i64>,
    announce: Cell<bool>,
    look_at_all: Cell<bool>,
    /// Whose workers must start again, because their settings have changed.
    renew: Cell<Renew>,
    /// Bars of this backend are to be lifted, however the transaction ends.
    barred: Cell<bool>,
}

thread_local! {
    static NOTES: Notes = const {
        Notes {
            registered: Cell::new(false),
            any: Cell::new(false),
            wake: Cell::new(false),
            from: Cell::new(NOWHERE),
            announce: Cell::new(false),
            look_at_all: Cell::new(false),
            renew: Cell::new(Renew::Nobody),
            barred: Cell::new(false),
        }
    };
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` without noting anything for the end of the transaction: what it does is rolled back.
pub fn quietly<T>(body: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _restore = Restore(QUIET.replace(true));
    body()
}

/// Asks that this database's workers wake up when the current transaction commits. Cheap; may be called often.
pub fn on_commit() {
    note(|notes| notes.wake.set(true));
}

/// As `on_commit`, for a token that is due at `run_at` (a timestamptz's microseconds): a worker whose frontier is
/// already past that time must go back to it.
pub fn on_commit_at(run_at: i64) {
    note(|notes| {
        notes.wake.set(true);
        notes.from.set(notes.from.get().min(run_at));
    });
}

/// As `on_commit_at`, for COMMIT PREPARED: what the transaction had noted when it was prepared is forgotten, so the
/// workers look at everything that is due.
pub fn on_commit_of_prepared() {
    on_commit_at(i64::MIN);
}

/// For the engine in a worker: the earliest `run_at` committed since it last asked, if any. Ask before the snapshot of
/// the claim is taken: what commits later sets it again. None in a process that is no worker.
pub fn take_wake_from() -> Option<i64> {
    super::my_slot().and_then(|slot| {
        let from = slot.wake_from.swap(NOWHERE, Ordering::AcqRel);
        (from != NOWHERE).then_some(from)
    })
}

/// On commit the launcher learns that this database has the extension.
pub(super) fn announce_on_commit() {
    note(|notes| notes.announce.set(true));
}

/// On commit the launcher looks at the list of databases.
pub(super) fn look_at_all_on_commit() {
    note(|notes| notes.look_at_all.set(true));
}

/// On commit those workers start again.
pub(super) fn renew_on_commit(whose: Renew) {
    note(|notes| {
        let before = notes.renew.get();
        let both = before == Renew::Nobody || before == whose;
        notes.renew.set(if both { whose } else { Renew::All });
    });
}

/// However the transaction ends, this backend's bars are lifted.
pub(super) fn lift_bars_at_end() {
    note(|notes| notes.barred.set(true));
}

fn note(write: impl FnOnce(&Notes)) {
    if shared::get().is_none() || QUIET.get() {
        return;
    }
    NOTES.with(|notes| {
        if !notes.registered.get() {
            // SAFETY: plain call; the callback stays for the life of the backend, and so does the library.
            unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
            notes.registered.set(true);
        }
        notes.any.set(true);
        write(notes);
    });
}

/// Not guarded: nothing in it can panic, and there is nothing to turn an ERROR into.
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    let committed = match event {
        XACT_EVENT_COMMIT => true,
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => false,
        _ => return,
    };
    NOTES.with(|notes| {
        if notes.any.replace(false) {
            let wake = notes.wake.replace(false);
            let from = notes.from.replace(NOWHERE);
            let announce = notes.announce.replace(false);
            let look_at_all = notes.look_at_all.replace(false);
            let renew = notes.renew.replace(Renew::Nobody);
            let barred = notes.barred.replace(false);
            let Some(shared) = shared::get() else { return };
            if committed {
                deliver(shared, wake, from, announce, look_at_all, renew);
            }
            if barred {
                // SAFETY: a global of this process.
                shared.lift_bars(unsafe { pg_sys::MyProcPid });
                shared.launcher.wake();
            }
        }
    });
}

/// The transaction is visible to others by now, so whoever wakes up sees what it has written.
fn deliver(
    shared: &Shared,
    wake: bool,
    from: i64,
    announce: bool,
    look_at_all: bool,
    renew: Renew,
) {
    // SAFETY: globals of this process.
    let (database, me) = unsafe { (pg_sys::MyDatabaseId, pg_sys::MyProcPid) };
    if wake || announce {
        for slot in shared.slots_of(database) {
            if announce {
                slot.look_again.store(true, Ordering::Release);
            }
            if from != NOWHERE {
                slot.wake_from.fetch_min(from, Ordering::AcqRel);
            }
            // A worker knows itself whether it has more to do, so its own commit does not wake it. One that is switched
            // off looks around when it is switched on, and the signal would cost each commit more than all else here.
            let off = slot.state() == State::Off && !announce;
            if slot.occupant.pid.load(Ordering::Acquire) != me && !off {
                slot.occupant.wake();
            }
        }
    }
    if renew != Renew::Nobody {
        for slot in &shared.slots {
            if renew == Renew::All || renew == Renew::Of(slot.database()) {
                slot.leave.store(true, Ordering::Release);
                slot.occupant.wake();
            }
        }
    }
    if look_at_all {
        shared.look_at_all.store(true, Ordering::Release);
    }
    if announce {
        shared.announce(database);
    }
    if announce || look_at_all {
        shared.launcher.wake();
    }
}
