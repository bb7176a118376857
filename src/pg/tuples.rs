//! What differs between server versions in how rows are described.

use pgrx::pg_sys;

/// The attributes of a tuple descriptor, in order. PostgreSQL 18 keeps them behind a compact copy of each.
///
/// # Safety
/// A valid descriptor; the slice must not outlive it.
pub unsafe fn attributes(descriptor: &pg_sys::TupleDescData) -> &[pg_sys::FormData_pg_attribute] {
    let count = usize::try_from(descriptor.natts).unwrap_or(0);
    #[cfg(not(feature = "pg18"))]
    let first = descriptor.attrs.as_ptr();
    // SAFETY: the full attributes follow the natts compact ones in the same allocation (TupleDescAttr in tupdesc.h).
    #[cfg(feature = "pg18")]
    let first = unsafe { descriptor.compact_attrs.as_ptr().add(count).cast() };
    // SAFETY: natts attributes, by the caller's promise that the descriptor is valid.
    unsafe { std::slice::from_raw_parts(first, count) }
}
