//! DROP DATABASE and its like need a database without sessions, and a worker is a session. A hook on utility statements
//! has the workers of that database leave first, and keeps them out until the transaction ends. The same for DROP
//! EXTENSION: it locks our tables one after the other, and a worker that locks them in another order would deadlock.
//!
//! The same hook wakes the workers for COMMIT PREPARED, which runs none of the callbacks of what was prepared.
//!
//! The next hook in the chain is called without pgrx's error boundary: that would strip the errors of every utility
//! statement in the server of their position, context and constraint names.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::pg_sys::{self, NodeTag, Oid};

use super::shared::{self, Shared};
use super::wake::Renew;
use super::{process, wake};
use crate::pg::extension::extension_oid;
use crate::pg::spi;
use crate::pg::subtransaction::attempt;

/// How long an idle worker gets to leave by itself, without a FATAL in the log.
const POLITE: Duration = Duration::from_millis(200);
/// How long the statement waits for workers altogether; past that it fails as if someone were connected.
const PATIENCE: Duration = Duration::from_secs(3);

thread_local! {
    static PREVIOUS: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
}

// Not pgrx's wrapper of the same name, for the reason given at the top.
unsafe extern "C-unwind" {
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const c_char,
        read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        receiver: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Installs the hook. Only while shared_preload_libraries are loaded: without preloading there are no workers.
pub fn install() {
    // SAFETY: hooks are chained in the postmaster, before it has children.
    unsafe {
        PREVIOUS.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(hook);
    }
}

/// Not guarded, and with nothing to drop on its frame, so that an ERROR may jump across it unharmed.
unsafe extern "C-unwind" fn hook(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    receiver: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: a utility statement has its node; what is passed on is passed on unchanged.
    unsafe {
        let node = (*statement).utilityStmt;
        if concerns_workers((*node).type_) {
            prepare(node);
        } else if (*node).type_ == NodeTag::T_TransactionStmt {
            let kind = (*node.cast::<pg_sys::TransactionStmt>()).kind;
            if kind == pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED {
                wake::on_commit_of_prepared();
            }
        }
        let next = PREVIOUS.get().unwrap_or(standard_ProcessUtility);
        next(
            statement,
            text,
            read_only,
            context,
            params,
            environment,
            receiver,
            completion,
        );
    }
}

fn concerns_workers(tag: NodeTag) -> bool {
    matches!(
        tag,
        NodeTag::T_DropdbStmt
            | NodeTag::T_DropStmt
            | NodeTag::T_RenameStmt
            | NodeTag::T_AlterDatabaseStmt
            | NodeTag::T_CreatedbStmt
            | NodeTag::T_AlterDatabaseSetStmt
            | NodeTag::T_AlterRoleSetStmt
    )
}

/// What such a statement means to the workers of a database.
enum Effect {
    /// The database must have no sessions, for the statement named.
    Empty,
    /// Its settings change, or without a name those of all: workers start again to get them.
    Settings,
    /// Only the list of databases changes.
    List,
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn prepare(node: *mut pg_sys::Node) {
    let Some(shared) = shared::get() else { return };
    // SAFETY: the node that the statement has.
    if unsafe { drops_extension(node) } {
        // Should our tables be in no state to tell which views there are, CASCADE drops them.
        let _ = attempt(|| spi::connected(crate::subjects::tie_views));
        // SAFETY: a global of this process.
        clear(shared, unsafe { pg_sys::MyDatabaseId });
        return;
    }
    // SAFETY: the node that the statement has.
    let Some((name, effect)) = (unsafe { read(node) }) else {
        return;
    };
    // Nothing is read into an unknown name: the statement itself says what is wrong.
    let database = if name.is_null() {
        Oid::INVALID
    } else {
        // SAFETY: a C string of the parse tree; missing_ok.
        unsafe { pg_sys::get_database_oid(name, true) }
    };
    match effect {
        Effect::List => wake::look_at_all_on_commit(),
        Effect::Settings if name.is_null() => wake::renew_on_commit(Renew::All),
        Effect::Settings if database != Oid::INVALID => {
            wake::renew_on_commit(Renew::Of(database));
        }
        Effect::Settings => {}
        Effect::Empty => {
            wake::look_at_all_on_commit();
            // Whoever may not do this must not be able to stop the workers by trying.
            if database != Oid::INVALID && owns(database) {
                clear(shared, database);
            }
        }
    }
}

/// # Safety
/// `node` is a utility statement's node.
unsafe fn read(node: *mut pg_sys::Node) -> Option<(*const c_char, Effect)> {
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*node).type_ {
            NodeTag::T_DropdbStmt => {
                let drop = &*node.cast::<pg_sys::DropdbStmt>();
                Some((drop.dbname, Effect::Empty))
            }
            NodeTag::T_RenameStmt => {
                let rename = &*node.cast::<pg_sys::RenameStmt>();
                (rename.renameType == pg_sys::ObjectType::OBJECT_DATABASE)
                    .then_some((rename.subname.cast_const(), Effect::Empty))
            }
            NodeTag::T_AlterDatabaseStmt => {
                let alter = &*node.cast::<pg_sys::AlterDatabaseStmt>();
                let moves = option(alter.options, c"tablespace").is_some();
                let effect = if moves { Effect::Empty } else { Effect::List };
                Some((alter.dbname, effect))
            }
            NodeTag::T_CreatedbStmt => {
                let create = &*node.cast::<pg_sys::CreatedbStmt>();
                match option(create.options, c"template") {
                    Some(template) => Some((template, Effect::Empty)),
                    None => Some((std::ptr::null(), Effect::List)),
                }
            }
            NodeTag::T_AlterDatabaseSetStmt => {
                let set = &*node.cast::<pg_sys::AlterDatabaseSetStmt>();
                Some((set.dbname, Effect::Settings))
            }
            NodeTag::T_AlterRoleSetStmt => {
                let set = &*node.cast::<pg_sys::AlterRoleSetStmt>();
                // For one role in all databases: that it is the workers' is rare enough to wait for their restart.
                (set.role.is_null() || !set.database.is_null())
                    .then_some((set.database.cast_const(), Effect::Settings))
            }
            _ => None,
        }
    }
}

/// Whether a statement drops this extension, by somebody who may.
///
/// # Safety
/// `node` is a utility statement's node.
unsafe fn drops_extension(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag says which struct the node is; the names of extensions are strings.
    unsafe {
        if (*node).type_ != NodeTag::T_DropStmt {
            return false;
        }
        let drop = &*node.cast::<pg_sys::DropStmt>();
        drop.removeType == pg_sys::ObjectType::OBJECT_EXTENSION
            && pgrx::PgList::<pg_sys::String>::from_pg(drop.objects)
                .iter_ptr()
                .any(|name| CStr::from_ptr((*name).sval) == c"workflow_engine")
            && owns_extension()
    }
}

/// Whether the current role is the extension's owner, a member of it, or a superuser.
fn owns_extension() -> bool {
    let Some(extension) = extension_oid() else {
        return false;
    };
    // SAFETY: a catalogue look-up.
    unsafe {
        #[cfg(feature = "pg15")]
        let owns = pg_sys::pg_extension_ownercheck(extension, pg_sys::GetUserId());
        #[cfg(not(feature = "pg15"))]
        let owns =
            pg_sys::object_ownercheck(pg_sys::ExtensionRelationId, extension, pg_sys::GetUserId());
        owns
    }
}

/// The text of the option of this name, if it has one.
///
/// # Safety
/// `options` is a list of DefElem.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*const c_char> {
    // SAFETY: as the caller says; an option without a value is left to the statement to refuse.
    unsafe {
        pgrx::PgList::<pg_sys::DefElem>::from_pg(options)
            .iter_ptr()
            .find(|&option| CStr::from_ptr((*option).defname) == name && !(*option).arg.is_null())
            .map(|option| pg_sys::defGetString(option).cast_const())
    }
}

/// Whether the current role is the database's owner, a member of it, or a superuser.
fn owns(database: Oid) -> bool {
    // SAFETY: a catalogue look-up; the tuple is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::DATABASEOID as i32,
            pgrx::pg_sys::Datum::from(database),
        );
        if tuple.is_null() {
            return false;
        }
        let owner = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>()).datdba;
        pg_sys::ReleaseSysCache(tuple);
        pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner)
    }
}

/// Keeps workers out of the database until the transaction ends, and waits until those that are there have left.
fn clear(shared: &Shared, database: Oid) {
    // SAFETY: a global of this process. The bar is lifted however the transaction ends, so the note comes first.
    let me = unsafe { pg_sys::MyProcPid };
    wake::lift_bars_at_end();
    shared.bar(database, me);
    let began = Instant::now();
    let mut polite = true;
    loop {
        let mut present = false;
        for slot in shared.slots_of(database).filter(|s| s.state().is_live()) {
            present = true;
            slot.leave.store(true, Ordering::Release);
            slot.occupant.wake();
            if polite && began.elapsed() > POLITE {
                process::terminate(slot.occupant.pid.load(Ordering::Acquire));
            }
        }
        if polite && began.elapsed() > POLITE {
            polite = false;
        }
        if !present || began.elapsed() > PATIENCE {
            return;
        }
        // SAFETY: plain call, and the caller's own statement may be cancelled here.
        unsafe { pg_sys::pg_usleep(5_000) };
        pg_sys::check_for_interrupts!();
    }
}
