//! Acting as another role, the way a security definer function does.
//!
//! `SetUserIdAndSecContext` with SECURITY_LOCAL_USERID_CHANGE, never SET ROLE: user code could reset a role that was
//! set, and would then be what the worker is, a superuser. Nor may user code leave anything behind that would run, or be
//! looked up, when the worker is itself again: see [`as_user`].

use pgrx::pg_sys::{self, Datum, Oid};
use pgrx::{FromDatum, PgSqlErrorCode};

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

/// The versions of the extension's schema that this library works with: its own, and older ones that differ from it in
/// nothing that it uses.
const SCHEMAS: [&[u8]; 2] = [env!("CARGO_PKG_VERSION").as_bytes(), b"0.1.0"];

/// What pg_extension says of this extension in this database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    pub oid: Oid,
    /// Who owns its tables: whom the engine's own statements run as.
    pub owner: Oid,
    /// Whether this library works with its schema. Not between the installation of a new library and ALTER EXTENSION
    /// UPDATE, nor in processes that have an old library after that.
    pub fits: bool,
}

/// The extension as it is installed in this database, if it is. A look into the catalogue, as cheap as that for its oid
/// alone.
pub fn extension() -> Option<Extension> {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: the server's own way to find an extension by its name; the row is read while the scan holds it.
    unsafe {
        let catalogue = pg_sys::table_open(pg_sys::ExtensionRelationId, lock);
        let mut key = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_extname as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::RegProcedure::from(pg_sys::F_NAMEEQ),
            Datum::from(c"workflow_engine".as_ptr()),
        );
        let scan = pg_sys::systable_beginscan(
            catalogue,
            Oid::from(pg_sys::ExtensionNameIndexId),
            true,
            std::ptr::null_mut(),
            1,
            &mut key,
        );
        let row = pg_sys::systable_getnext(scan);
        let found = (!row.is_null()).then(|| {
            let form = &*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_extension>();
            let mut is_null = false;
            let version = pg_sys::heap_getattr(
                row,
                pg_sys::Anum_pg_extension_extversion as i32,
                (*catalogue).rd_att,
                &mut is_null,
            );
            let version = if is_null {
                None
            } else {
                <&[u8]>::from_datum(version, false)
            };
            Extension {
                oid: form.oid,
                owner: form.extowner,
                fits: version.is_some_and(|version| SCHEMAS.contains(&version)),
            }
        });
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalogue, lock);
        found
    }
}

/// The extension's oid in this database, if it is installed.
pub fn extension_oid() -> Option<Oid> {
    extension().map(|found| found.oid)
}

/// Refuses to work with a schema that this library does not know.
pub fn other_version() -> ! {
    let version = super::spi::connected(|| {
        super::spi::query(
            "SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'workflow_engine'",
            &[],
        )
        .first()
        .map_or_else(String::new, |row| row.must::<String>(1))
    });
    super::raise::raise_as(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "workflow_engine has version {version} in this database, and its library is of version {}",
            env!("CARGO_PKG_VERSION")
        ),
        Some("Nothing is done until they fit; changes of the ERP are noted meanwhile.".to_owned()),
        Some(
            "After a new library was installed: ALTER EXTENSION workflow_engine UPDATE. If that was done already: restart \
             the server, or where the library is not preloaded, connect again."
                .to_owned(),
        ),
    )
}
