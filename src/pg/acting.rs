//! Acting as another role, the way a security definer function does.
//!
//! `SetUserIdAndSecContext` with SECURITY_LOCAL_USERID_CHANGE, never SET ROLE: user code could reset a role that was
//! set, and would then be what the worker is, a superuser. Nor may user code leave anything behind that would run, or be
//! looked up, when the worker is itself again: see [`as_user`].

use pgrx::pg_sys::{self, Oid};

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

/// Runs `body`, which is code of ours, with `user` as the effective role.
pub fn as_role<T>(user: Oid, body: impl FnOnce() -> T) -> T {
    switched(user, pg_sys::SECURITY_LOCAL_USERID_CHANGE, body)
}

/// Runs `body`, which evaluates what users have written, with `user` as the effective role: conditions, columns of
/// details, updates, calls of functions, and the triggers, policies and casts that come along.
///
/// As PostgreSQL itself does it for index expressions and materialized views: a security-restricted operation, in which
/// nothing can be left for the end of the transaction (deferred triggers, cursors WITH HOLD, temporary tables, LISTEN),
/// where it would run as a superuser; and settings end with it, above all a search_path that would have the engine's
/// next statement find the user's operators.
pub fn as_user<T>(user: Oid, body: impl FnOnce() -> T) -> T {
    let restricted = pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION;
    // SAFETY: a new level of settings, ended below; an ERROR ends it with the (sub)transaction's own.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    let result = switched(user, restricted, body);
    // SAFETY: the level begun above; false: what was set in it is undone, as if it had been SET LOCAL there.
    unsafe { pg_sys::AtEOXact_GUC(false, level) };
    result
}

/// From now on constraints that are checked at the end of the transaction are checked at the end of each statement, as
/// long as user code does not say otherwise: at the end, whoever commits would check them, and fire their triggers.
/// Those that wait already are checked now, as the current role; so only for transactions of the engine's own, in which
/// there are none.
pub fn check_at_once() {
    let mut all = pg_sys::ConstraintsSetStmt {
        type_: pg_sys::NodeTag::T_ConstraintsSetStmt,
        constraints: std::ptr::null_mut(),
        deferred: false,
    };
    // SAFETY: a statement node that the call only reads, inside a transaction with a snapshot.
    unsafe { pg_sys::AfterTriggerSetState(&raw mut all) };
}

fn switched<T>(user: Oid, flags: u32, body: impl FnOnce() -> T) -> T {
    let mut restore = Restore {
        user: Oid::INVALID,
        context: 0,
    };
    // SAFETY: both pointers are valid; SECURITY_LOCAL_USERID_CHANGE also forbids SET ROLE to what runs inside.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut restore.user, &mut restore.context);
        pg_sys::SetUserIdAndSecContext(user, restore.context | flags as i32);
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

/// Whether a role is a superuser: in every role, whatever it is a member of.
pub fn is_superuser(role: Oid) -> bool {
    // SAFETY: a plain catalogue look-up.
    unsafe { pg_sys::superuser_arg(role) }
}
