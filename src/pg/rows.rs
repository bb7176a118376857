//! The rows that a SQL function returns, as a type that can have a name.
//!
//! pgrx derives the SQL of a function that returns a `TableIterator` from the row type spelt out in its signature, and
//! so wants it spelt out in each. The functions here are declared in `sql/`; what several of them return has one name in
//! Rust (such as `OpenSteps`), and is a `Rows`.

use pgrx::callconv::{CallCx, RetAbi};
use pgrx::iter::TableIterator;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

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
