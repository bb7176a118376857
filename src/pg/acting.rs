//! Acting as another role, the way a security definer function does.
//!
//! `SetUserIdAndSecContext` with SECURITY_LOCAL_USERID_CHANGE, never SET ROLE: user code could reset a role that was
//! set, and would then be what the worker is, a superuser.

use std::cell::Cell;

use pgrx::pg_sys::{self, Oid};

use super::raise::internal;

struct Restore {
    user: Oid,
    context: i32,
}

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: puts back what was there. An abort puts back its own, at least as old, values.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) };
    }
}

/// Runs `body` with `user` as the effective role.
pub fn as_role<T>(user: Oid, body: impl FnOnce() -> T) -> T {
    let mut restore = Restore {
        user: Oid::INVALID,
        context: 0,
    };
    // SAFETY: both pointers are valid; SECURITY_LOCAL_USERID_CHANGE also forbids SET ROLE to what runs inside.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut restore.user, &mut restore.context);
        pg_sys::SetUserIdAndSecContext(
            user,
            restore.context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
        );
    }
    let result = body();
    drop(restore);
    result
}

/// The role that is calling: what `current_user` says in the caller's own statement.
pub fn current_role() -> Oid {
    // SAFETY: plain call.
    unsafe { pg_sys::GetUserId() }
}

/// The name of a role, for history rows.
pub fn role_name(role: Oid) -> String {
    // SAFETY: returns a palloc'd C string, or null when the role is gone (missing_ok).
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() {
            format!("role {}", role.to_u32())
        } else {
            std::ffi::CStr::from_ptr(name)
                .to_string_lossy()
                .into_owned()
        }
    }
}

/// The role behind the connection: who logged in, whatever role acts now.
pub fn session_role() -> Oid {
    // SAFETY: plain call.
    unsafe { pg_sys::GetSessionUserId() }
}

/// Whether `member` may act for `role`: is that role, a member of it, or a superuser.
pub fn acts_for(member: Oid, role: Oid) -> bool {
    // SAFETY: plain catalogue look-ups.
    unsafe { pg_sys::superuser_arg(member) || pg_sys::is_member_of_role(member, role) }
}

thread_local! {
    /// The extension's owner with the extension's oid, which changes with DROP and CREATE.
    static OWNER: Cell<Option<(Oid, Oid)>> = const { Cell::new(None) };
}

/// The extension's oid in this database, if it is installed.
pub fn extension_oid() -> Option<Oid> {
    // SAFETY: catalogue look-up with a constant name, missing_ok.
    let oid = unsafe { pg_sys::get_extension_oid(c"workflow_engine".as_ptr(), true) };
    (oid != Oid::INVALID).then_some(oid)
}

/// The role that owns the extension and so its tables: whom the engine's own statements run as.
pub fn extension_owner() -> Oid {
    let Some(extension) = extension_oid() else {
        internal("the extension is not installed in this database");
    };
    if let Some((known, owner)) = OWNER.get()
        && known == extension
    {
        return owner;
    }
    let rows = super::spi::query(
        "SELECT e.extowner FROM pg_catalog.pg_extension AS e WHERE e.oid = $1",
        &[super::types::arg(extension)],
    );
    let owner = rows.first().map_or(Oid::from(10), |row| row.must::<Oid>(1));
    OWNER.set(Some((extension, owner)));
    owner
}
