//! Locks on things that are no rows, until the transaction ends: whose turn it is to read the inbox, to look at a section.
//!
//! Advisory locks, but not those of SQL: anybody in the database may take any of those and keep it, and with it would
//! stop the engine. The lock's last field, 1 and 2 in SQL's functions, is one that no function can ask for.

use pgrx::pg_sys::{self, LOCKTAG, LockAcquireResult, LockTagType};

/// The last field of our locks, as pg_locks shows it in objsubid.
const OURS: u16 = 0x5746;

/// Takes the lock on a thing of this name, if nobody has it; never waits. True: it is ours, or was already.
pub fn try_lock(name: &str) -> bool {
    acquire(name, true) != LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

/// Takes the lock on a thing of this name, and waits for whoever has it.
pub fn lock(name: &str) {
    acquire(name, false);
}

fn acquire(name: &str, at_once: bool) -> LockAcquireResult::Type {
    let number = number(name.as_bytes());
    // SAFETY: a filled-in tag; the lock goes with the transaction.
    unsafe {
        let tag = LOCKTAG {
            locktag_field1: pg_sys::MyDatabaseId.to_u32(),
            locktag_field2: (number >> 32) as u32,
            locktag_field3: number as u32,
            locktag_field4: OURS,
            locktag_type: LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
        pg_sys::LockAcquire(&raw const tag, mode, false, at_once)
    }
}

/// The name as a number, the same in every process: FNV-1a. Two names that share one keep each other out, no more.
fn number(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
