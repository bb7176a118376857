//! The rows that a SQL function returns, as a type that can have a name.
//!
//! pgrx derives the SQL of a function that returns a `TableIterator` from the row type spelt out in its signature, and
//! so wants it spelt out in each. The functions here are declared in `sql/`; what several of them return has one name in
//! Rust (such as `OpenSteps`), and is a `Rows`.
//!
//! For a row of such an iterator the server comes back into the function, and sets and resets its settings each time, which costs
//! more than the row. What returns many rows puts them into a `Store` instead.

use pgrx::callconv::{CallCx, RetAbi};
use pgrx::iter::TableIterator;
use pgrx::pg_sys::{self, Datum};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

use super::spi::RowRef;
use super::types::ToArg;

/// Where the server takes the rows of a function from once it has returned.
pub struct Store {
    store: *mut pg_sys::Tuplestorestate,
    columns: pg_sys::TupleDesc,
}

impl Store {
    /// The store of the call under way. Raises an error where the caller takes no rows.
    ///
    /// # Safety
    /// The call must be that of a function declared to return a set of a row type, and the store must not outlive it.
    pub unsafe fn of(call: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: the caller's promise; the server makes store and descriptor, or raises an error.
        unsafe {
            pg_sys::InitMaterializedSRF(call, 0);
            let result = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Self {
                store: (*result).setResult,
                columns: (*result).setDesc,
            }
        }
    }

    /// Adds the row of a statement whose columns have the types of the function's, with a text instead of one of them, counted
    /// from 1.
    pub fn put(&self, row: RowRef<'_>, column: usize, text: Option<&str>) {
        // SAFETY: the store's own descriptor, which lives as long as the call.
        let count = unsafe { (*self.columns).natts as usize };
        let mut values = vec![Datum::null(); count];
        let mut nulls = vec![true; count];
        row.values(&mut values, &mut nulls);
        values[column - 1] = text.map_or(Datum::null(), |text| text.to_datum());
        nulls[column - 1] = text.is_none();
        // SAFETY: as many values as the descriptor has columns, of their types by the caller's statement; they are copied.
        unsafe {
            pg_sys::tuplestore_putvalues(
                self.store,
                self.columns,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
    }
}

/// Rows, each a tuple of its columns, in the order of the declaration in `sql/`.
pub struct Rows<R>(TableIterator<'static, R>);

impl<R: 'static> Rows<R> {
    /// These rows.
    pub fn new(rows: impl IntoIterator<Item = R> + 'static) -> Self {
        Self(TableIterator::new(rows))
    }

    /// One row.
    pub fn once(row: R) -> Self {
        Self(TableIterator::once(row))
    }
}

// SAFETY: every method hands on to the table's own; `Ret` is the table's, so what lies in the function's context between
// two calls is the table, which is what `ret_from_fcinfo_fcx` of the table looks for there.
unsafe impl<R: 'static> RetAbi for Rows<R>
where
    R: RetAbi,
{
    type Item = R;
    type Ret = <TableIterator<'static, R> as RetAbi>::Ret;

    unsafe fn check_fcinfo_and_prepare(fcinfo: pg_sys::FunctionCallInfo) -> CallCx {
        // SAFETY: the caller's.
        unsafe { TableIterator::<'static, R>::check_fcinfo_and_prepare(fcinfo) }
    }

    fn to_ret(self) -> Self::Ret {
        self.0.to_ret()
    }

    unsafe fn box_ret_in_fcinfo(fcinfo: pg_sys::FunctionCallInfo, ret: Self::Ret) -> pg_sys::Datum {
        // SAFETY: the caller's.
        unsafe { TableIterator::<'static, R>::box_ret_in_fcinfo(fcinfo, ret) }
    }

    unsafe fn fill_fcinfo_fcx(&self, fcinfo: pg_sys::FunctionCallInfo) {
        // SAFETY: the caller's.
        unsafe { self.0.fill_fcinfo_fcx(fcinfo) }
    }

    unsafe fn move_into_fcinfo_fcx(self, fcinfo: pg_sys::FunctionCallInfo) {
        // SAFETY: the caller's.
        unsafe { self.0.move_into_fcinfo_fcx(fcinfo) }
    }

    unsafe fn ret_from_fcinfo_fcx(fcinfo: pg_sys::FunctionCallInfo) -> Self::Ret {
        // SAFETY: the caller's.
        unsafe { TableIterator::<'static, R>::ret_from_fcinfo_fcx(fcinfo) }
    }

    unsafe fn finish_call_fcinfo(fcinfo: pg_sys::FunctionCallInfo) {
        // SAFETY: the caller's.
        unsafe { TableIterator::<'static, R>::finish_call_fcinfo(fcinfo) }
    }
}

// SAFETY: no SQL is made of it: the functions that return it have `sql = false`.
unsafe impl<R> SqlTranslatable for Rows<R> {
    const TYPE_IDENT: &'static str = "workflow_engine::pg::rows::Rows";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Err(ArgumentError::Table);
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::SetOf(SqlMappingRef::literal("record")));
}
