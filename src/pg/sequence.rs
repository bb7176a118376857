//! Numbers of a sequence by a plain call: a statement for a thousand of them takes ten times as long.

use pgrx::pg_sys::{self, Oid};

unsafe extern "C-unwind" {
    // not in pgrx's bindings
    fn nextval_internal(sequence: Oid, check_permissions: bool) -> i64;
}

/// The next number of a sequence, as `nextval` gives it, without looking at privileges: the engine's own sequences only.
/// Raises PostgreSQL's error if there is no such sequence, or no further number.
pub fn next(sequence: Oid) -> i64 {
    // SAFETY: the server checks that the id is a sequence's; an ERROR goes up through the boundary.
    unsafe { pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| nextval_internal(sequence, false)) }
}
