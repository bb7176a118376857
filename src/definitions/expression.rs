//! That a condition is one SQL expression and nothing else, before it is put into a query.

use std::ffi::CString;

use pgrx::pg_sys;

/// Whether a text is a single expression of a SELECT list, by itself and in parentheses on lines of its own, which is
/// how it is put into queries. Raises the parser's error if it is no SQL at all. What this lets through cannot end the
/// query it is put into, nor add to it.
pub fn is_single(text: &str) -> bool {
    is_one_target(&format!("SELECT {text}\n")) && is_one_target(&format!("SELECT (\n{text}\n)"))
}

fn is_one_target(sql: &str) -> bool {
    let Ok(sql) = CString::new(sql) else {
        return false;
    };
    // SAFETY: raw_parser returns a list of RawStmt; each cast is made after looking at the node's tag.
    unsafe {
        let list = pg_sys::raw_parser(sql.as_ptr(), pg_sys::RawParseMode::RAW_PARSE_DEFAULT);
        let Some(statement) = only::<pg_sys::RawStmt>(list) else {
            return false;
        };
        let node = (*statement).stmt;
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_SelectStmt {
            return false;
        }
        let select = &*node.cast::<pg_sys::SelectStmt>();
        let lists = [
            select.fromClause,
            select.groupClause,
            select.windowClause,
            select.valuesLists,
            select.sortClause,
            select.lockingClause,
            select.distinctClause,
        ];
        let nodes = [
            select.whereClause,
            select.havingClause,
            select.limitCount,
            select.limitOffset,
        ];
        let Some(target) = only::<pg_sys::ResTarget>(select.targetList) else {
            return false;
        };
        select.op == pg_sys::SetOperation::SETOP_NONE
            && select.intoClause.is_null()
            && select.withClause.is_null()
            && lists.iter().all(|list| list.is_null())
            && nodes.iter().all(|node| node.is_null())
            && (*target).name.is_null()
    }
}

/// The only element of a list.
///
/// # Safety
/// The list is null or a valid list of pointers to `T`.
unsafe fn only<T>(list: *mut pg_sys::List) -> Option<*mut T> {
    // SAFETY: by the caller's promise.
    unsafe {
        let list = list.as_ref()?;
        (list.length == 1).then(|| (*list.elements).ptr_value.cast())
    }
}
