//! Statements through SPI, prepared once in a backend and kept.
//!
//! Not pgrx's `Spi`: its `update` and `run` force a transaction id, which would make an idle tick write WAL, and its
//! results stay in memory until the transaction ends. Here a statement that changes nothing assigns no id, and a
//! result is freed when it is dropped. Every statement names its objects with their schema.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::pg_sys::{self, Datum, Oid};

use super::raise::internal;
use super::tuples::attributes;

/// An open SPI connection. Everything allocated for arguments lives until it is dropped.
pub struct Session(());

impl Session {
    pub fn open() -> Self {
        // SAFETY: plain call; SPI nests. It raises an ERROR if it cannot connect.
        unsafe { pg_sys::SPI_connect() };
        Self(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // While an ERROR unwinds, the abort of the (sub)transaction closes SPI itself.
        if !std::thread::panicking() {
            // SAFETY: opened in `open`, and connections nest strictly because the guard is scoped.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

/// Runs `body` with an SPI connection.
pub fn connected<T>(body: impl FnOnce() -> T) -> T {
    let _session = Session::open();
    body()
}

/// One argument of a statement: its type and value.
pub struct Arg {
    pub oid: Oid,
    pub datum: Option<Datum>,
}

/// A prepared plan that outlives its transaction.
pub struct Plan {
    plan: pg_sys::SPIPlanPtr,
}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: kept with SPI_keepplan and owned by this value alone.
        unsafe { pg_sys::SPI_freeplan(self.plan) };
    }
}

impl Plan {
    /// Parses and analyses; an ERROR of the parser goes up as it is, with the catalogue's own words.
    pub fn prepare(sql: &str, types: &[Oid]) -> Self {
        let text = c_string(sql);
        let mut oids = types.to_vec();
        // Generic from the start: a custom plan knows how long the arrays are and would rather hash a whole table than
        // look a thousand keys up.
        // SAFETY: the text is a C string and the array has the length given.
        let plan = unsafe {
            pg_sys::SPI_prepare_cursor(
                text.as_ptr(),
                oids.len() as i32,
                oids.as_mut_ptr(),
                pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
            )
        };
        if plan.is_null() {
            internal(&format!("could not prepare a statement: {sql}"));
        }
        // SAFETY: a plan just made by SPI_prepare.
        unsafe { pg_sys::SPI_keepplan(plan) };
        Self { plan }
    }

    /// The columns that the statement returns: name and type, in order. Empty when it returns no rows.
    pub fn columns(&self) -> Vec<(String, Oid)> {
        // SAFETY: the plan lives as long as self; one source for each statement in it, and a source's descriptor is
        // null or lives as long as the source.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan);
            if sources.is_null() || (*sources).length != 1 {
                return Vec::new();
            }
            let source = (*(*sources).elements)
                .ptr_value
                .cast::<pg_sys::CachedPlanSource>();
            let Some(descriptor) = (*source).resultDesc.as_ref() else {
                return Vec::new();
            };
            attributes(descriptor)
                .iter()
                .map(|a| {
                    let name = std::ffi::CStr::from_ptr(a.attname.data.as_ptr());
                    (name.to_string_lossy().into_owned(), a.atttypid)
                })
                .collect()
        }
    }

    /// The analysed query, when the text was exactly one statement; for looking into, never for changing.
    pub fn single_query(&self) -> Option<*const pg_sys::Query> {
        // SAFETY: as in `columns`; a query list belongs to its source.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(self.plan);
            if sources.is_null() || (*sources).length != 1 {
                return None;
            }
            let source = (*(*sources).elements)
                .ptr_value
                .cast::<pg_sys::CachedPlanSource>();
            let queries = (*source).query_list;
            if queries.is_null() || (*queries).length != 1 {
                return None;
            }
            Some(
                (*(*queries).elements)
                    .ptr_value
                    .cast::<pg_sys::Query>()
                    .cast_const(),
            )
        }
    }

    /// Executes, with a new snapshot where the isolation level has one.
    pub fn execute(&self, args: &[Arg]) -> Rows {
        let mut values: Vec<Datum> = args
            .iter()
            .map(|a| a.datum.unwrap_or(Datum::null()))
            .collect();
        let nulls: Vec<i8> = args
            .iter()
            .map(|a| {
                if a.datum.is_some() {
                    b' ' as i8
                } else {
                    b'n' as i8
                }
            })
            .collect();
        // SAFETY: as many values and null flags as the plan has parameters (the callers pair them in one list).
        let status = unsafe {
            pg_sys::SPI_execute_plan(
                self.plan,
                values.as_mut_ptr(),
                nulls.as_ptr().cast(),
                false,
                0,
            )
        };
        if status < 0 {
            internal(&format!("a statement failed in SPI with code {status}"));
        }
        // SAFETY: the globals that SPI_execute_plan has just set.
        unsafe { Rows::take() }
    }
}

/// A statement that is kept for the life of the backend, and planned anew now and then: a plan made while a table was
/// empty would scan it for ever, and autovacuum's ANALYZE may be long in coming. The planner looks at the table's present
/// size, statistics or not.
pub struct Kept {
    sql: String,
    types: Vec<Oid>,
    plan: RefCell<Rc<Plan>>,
    executions: Cell<u32>,
}

impl Kept {
    pub fn prepare(sql: String, types: Vec<Oid>) -> Self {
        let plan = RefCell::new(Rc::new(Plan::prepare(&sql, &types)));
        Self {
            sql,
            types,
            plan,
            executions: Cell::new(0),
        }
    }

    /// Whether it calls a function that may do or say something else each time.
    pub fn is_volatile(&self) -> bool {
        let plan = self.plan.borrow();
        plan.single_query().is_none_or(|query| {
            // SAFETY: an analysed query of a live plan, which the call only reads.
            unsafe { pg_sys::contain_volatile_functions(query.cast_mut().cast()) }
        })
    }

    /// Executes, with a fresh plan after 1, 2, 4, … 1024 executions and then after every 1024.
    pub fn execute(&self, args: &[Arg]) -> Rows {
        let before = self.executions.get();
        self.executions.set(before.wrapping_add(1));
        if before > 0
            && (before.is_multiple_of(1024) || (before < 1024 && before.is_power_of_two()))
        {
            let fresh = Rc::new(Plan::prepare(&self.sql, &self.types));
            self.plan.replace(fresh);
        }
        // Held while it runs: a condition may call a function that gets here again.
        let plan = self.plan.borrow().clone();
        plan.execute(args)
    }
}

thread_local! {
    /// The engine's own statements by their text. A backend has one thread.
    static PLANS: RefCell<HashMap<String, Rc<Kept>>> = RefCell::new(HashMap::new());
}

/// Forgets the kept plans: the types that they were prepared with are gone.
pub fn forget() {
    PLANS.with_borrow_mut(HashMap::clear);
}

/// While it lives, statements are planned to look rows up by their indexes, one by one, and never to scan, hash or
/// sort a whole table.
///
/// For the engine's own statements, whose tables are large and whose batches are small, that is right whatever the
/// statistics say; a plan made on an empty table or on stale statistics must not read millions of rows. The settings
/// are set as variables, for SET would cost more than the statement.
struct ByIndex {
    settings: &'static [*mut bool],
    before: [bool; IN_ORDER.len()],
}

/// The planner's settings that are off for statements whose every part is read in the order of an index.
const IN_ORDER: &[*mut bool] = &[
    &raw mut pg_sys::enable_seqscan,
    &raw mut pg_sys::enable_bitmapscan,
    &raw mut pg_sys::enable_hashjoin,
    &raw mut pg_sys::enable_mergejoin,
    &raw mut pg_sys::enable_hashagg,
    &raw mut pg_sys::enable_material,
    &raw mut pg_sys::enable_memoize,
    // A scan that cannot be avoided (of a table without an index) counts as so dear that it would be compiled.
    &raw mut pg_sys::jit_enabled,
    &raw mut pg_sys::enable_sort,
];

/// Those that are off for all of the engine's own statements: small arrays may be sorted.
const BY_INDEX: &[*mut bool] = IN_ORDER.split_at(IN_ORDER.len() - 1).0;

impl ByIndex {
    fn set(settings: &'static [*mut bool]) -> Self {
        let mut before = [true; IN_ORDER.len()];
        for (setting, before) in settings.iter().zip(&mut before) {
            // SAFETY: variables of the server, which has one thread; put back when this is dropped, on errors too.
            *before = unsafe { setting.replace(false) };
        }
        Self { settings, before }
    }
}

impl Drop for ByIndex {
    fn drop(&mut self) {
        for (setting, before) in self.settings.iter().zip(self.before) {
            // SAFETY: as in `set`.
            unsafe { setting.write(before) };
        }
    }
}

/// Runs one of the engine's own statements over its own tables; its plan is kept for the life of the backend.
pub fn query(sql: &str, args: &[Arg]) -> Rows {
    let _by_index = ByIndex::set(BY_INDEX);
    query_planned_freely(sql, args)
}

/// The same for a statement whose every part begins with the first of something (`ORDER BY … LIMIT`), for which there is an
/// index. What the planner makes of `column <= $1` without knowing the value is a third of the table, and of a column that
/// is null nearly everywhere that is far from true; so it takes the index only where it has no other way to the order.
pub fn query_in_order(sql: &str, args: &[Arg]) -> Rows {
    let _in_order = ByIndex::set(IN_ORDER);
    query_planned_freely(sql, args)
}

/// The same for a statement that reads tables of others, which may have no index to look rows up by.
pub fn query_planned_freely(sql: &str, args: &[Arg]) -> Rows {
    let known = PLANS.with(|plans| plans.borrow().get(sql).cloned());
    let kept = known.unwrap_or_else(|| {
        let types: Vec<Oid> = args.iter().map(|a| a.oid).collect();
        let kept = Rc::new(Kept::prepare(sql.to_owned(), types));
        PLANS.with(|plans| plans.borrow_mut().insert(sql.to_owned(), kept.clone()));
        kept
    });
    kept.execute(args)
}

/// Runs a statement that is built for one occasion (DDL): planned, executed, forgotten.
pub fn execute_once(sql: &str) {
    let text = c_string(sql);
    // SAFETY: plain call with a C string.
    let status = unsafe { pg_sys::SPI_execute(text.as_ptr(), false, 0) };
    if status < 0 {
        internal(&format!(
            "a statement failed in SPI with code {status}: {sql}"
        ));
    }
    // SAFETY: freeing the result of the call above; null is allowed.
    unsafe { pg_sys::SPI_freetuptable(pg_sys::SPI_tuptable) };
}

fn c_string(sql: &str) -> CString {
    CString::new(sql).unwrap_or_else(|_| internal("a statement holds a NUL byte"))
}

/// The rows that a statement has returned.
pub struct Rows {
    table: *mut pg_sys::SPITupleTable,
    processed: usize,
}

impl Drop for Rows {
    fn drop(&mut self) {
        if !self.table.is_null() && !std::thread::panicking() {
            // SAFETY: the table belongs to the innermost open connection, or is already gone, which SPI notices
            // by searching its own list only; rows never outlive their Session.
            unsafe { pg_sys::SPI_freetuptable(self.table) };
        }
    }
}

impl Rows {
    /// Takes over the result of the SPI call just made.
    ///
    /// # Safety
    /// Directly after that call, once.
    pub unsafe fn take() -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                table: pg_sys::SPI_tuptable,
                processed: pg_sys::SPI_processed as usize,
            }
        }
    }

    /// Rows returned, or rows changed for a statement without RETURNING.
    pub fn processed(&self) -> usize {
        self.processed
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        // SAFETY: null or a live table.
        unsafe { self.table.as_ref().map_or(0, |t| t.numvals as usize) }
    }

    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        (0..self.len()).map(move |index| RowRef { rows: self, index })
    }

    pub fn first(&self) -> Option<RowRef<'_>> {
        (!self.is_empty()).then_some(RowRef {
            rows: self,
            index: 0,
        })
    }
}

/// One row; columns count from 1, as in SPI.
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    rows: &'a Rows,
    index: usize,
}

impl RowRef<'_> {
    /// The value of a column, None for NULL. The caller names the type that its statement selects.
    pub fn get<T: FromColumn>(&self, column: i32) -> Option<T> {
        // SAFETY: the index is below numvals, and the table lives as long as `rows`.
        unsafe {
            let table = &*self.rows.table;
            let tuple = *table.vals.add(self.index);
            let mut is_null = false;
            let datum = pg_sys::SPI_getbinval(tuple, table.tupdesc, column, &mut is_null);
            if is_null {
                None
            } else {
                Some(T::from_column(datum))
            }
        }
    }

    /// All columns, as they are. There must be as many.
    pub fn values(&self, values: &mut [Datum], nulls: &mut [bool]) {
        // SAFETY: as in `get`; the slices are as long as the row is wide.
        unsafe {
            let table = &*self.rows.table;
            let tuple = *table.vals.add(self.index);
            let width = attributes(&*table.tupdesc).len();
            if width != values.len() || width != nulls.len() {
                internal("a statement of the engine returns other columns than its function");
            }
            pg_sys::heap_deform_tuple(
                tuple,
                table.tupdesc,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
    }

    /// A column that the statement guarantees to be not null.
    pub fn must<T: FromColumn>(&self, column: i32) -> T {
        self.get(column)
            .unwrap_or_else(|| internal(&format!("column {column} of an engine statement is null")))
    }
}

/// A value that can be read from a column of the matching PostgreSQL type.
pub trait FromColumn {
    /// # Safety
    /// `datum` is a non-null value of the type that the implementation reads.
    unsafe fn from_column(datum: Datum) -> Self;
}
