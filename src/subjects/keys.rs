//! Keys as text: one canonical text for each key, whatever the session's settings, and SQL that reads it back.
//!
//! A key of one column is its value's text; a key of several is the JSON array of their texts. The trigger writes the
//! text from datums (see `trigger`), the functions here write SQL that gives exactly the same.

use pgrx::pg_sys::{self, Oid};
use pgrx::spi::quote_identifier;

/// Bytes of a key's text at most. A row with a longer key is nobody's, like one without: its text would not fit an index
/// of ours, and the ERP's write must not fail over that.
pub const LONGEST: usize = 2000;

/// Whether values of a type can have texts longer than `LONGEST`, alone or several of them together.
pub fn may_be_long(oid: Oid) -> bool {
    !matches!(
        base_type(oid),
        pg_sys::INT2OID
            | pg_sys::INT4OID
            | pg_sys::INT8OID
            | pg_sys::UUIDOID
            | pg_sys::BOOLOID
            | pg_sys::DATEOID
    )
}

/// The base type of a domain; any other type itself.
pub fn base_type(oid: Oid) -> Oid {
    // SAFETY: catalogue look-up; raises an ERROR only for a type that does not exist.
    unsafe { pg_sys::getBaseType(oid) }
}

/// A type's name for a cast, with its schema where it is not built in, and without a length that a cast would cut to.
pub fn type_name(oid: Oid) -> String {
    // SAFETY: returns a palloc'd C string. Type modifier -1 "given" makes bpchar and bit come out without a length.
    unsafe {
        let name = pg_sys::format_type_extended(
            base_type(oid),
            -1,
            (pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN | pg_sys::FORMAT_TYPE_FORCE_QUALIFY) as u16,
        );
        let text = std::ffi::CStr::from_ptr(name)
            .to_string_lossy()
            .into_owned();
        pg_sys::pfree(name.cast());
        text
    }
}

/// SQL for the canonical text of one key column's value.
pub fn text_sql(oid: Oid, value: &str) -> String {
    match base_type(oid) {
        pg_sys::INT2OID
        | pg_sys::INT4OID
        | pg_sys::INT8OID
        | pg_sys::TEXTOID
        | pg_sys::VARCHAROID
        | pg_sys::BPCHAROID
        | pg_sys::NAMEOID
        | pg_sys::UUIDOID
        | pg_sys::BOOLOID => format!("({value})::pg_catalog.text"),
        // 1.0 and 1.00 are one key
        pg_sys::NUMERICOID => format!("pg_catalog.trim_scale({value})::pg_catalog.text"),
        pg_sys::DATEOID => iso(&format!("({value})::pg_catalog.date")),
        pg_sys::TIMESTAMPOID => iso(&format!("({value})::pg_catalog.timestamp")),
        // behind the time of day: not behind BC, and not behind infinity
        pg_sys::TIMESTAMPTZOID => format!(
            "pg_catalog.regexp_replace({}, '^([0-9-]+ [0-9:.]+)', E'\\\\1+00')",
            iso(&format!("pg_catalog.timezone('UTC', {value})"))
        ),
        // format() uses the type's output function, as the trigger does; a cast to text need not
        _ => format!("pg_catalog.format('%s', {value})"),
    }
}

/// ISO text of a date or timestamp, as the output function writes it under DateStyle ISO.
fn iso(value: &str) -> String {
    format!(
        "pg_catalog.replace(pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb({value}), VARIADIC '{{}}'), 'T', ' ')"
    )
}

/// SQL for the whole key's text from the SQL of its columns' texts.
pub fn compose_sql(parts: &[String]) -> String {
    match parts {
        [one] => one.clone(),
        many => {
            let elements: Vec<String> = many
                .iter()
                .map(|part| format!("pg_catalog.to_json({part})"))
                .collect();
            format!("pg_catalog.concat('[', {}, ']')", elements.join(", ',', "))
        }
    }
}

/// SQL for the value of key column `index` of `count` from the key's text.
pub fn value_sql(key: &str, index: usize, count: usize, type_name: &str) -> String {
    if count == 1 {
        format!("({key})::{type_name}")
    } else {
        format!(
            "pg_catalog.jsonb_array_element_text(({key})::pg_catalog.jsonb, {index})::{type_name}"
        )
    }
}

/// The equality operator of a type, written so that no search_path is needed.
pub fn equality_sql(oid: Oid) -> String {
    // SAFETY: the type cache's entry lives for the backend's life; raises an ERROR only for a type that is not there.
    let operator = unsafe {
        (*pg_sys::lookup_type_cache(base_type(oid), pg_sys::TYPECACHE_EQ_OPR as i32)).eq_opr
    };
    if operator == Oid::INVALID {
        return "=".to_owned();
    }
    // SAFETY: catalogue look-ups of an operator that exists; the names are palloc'd copies or null.
    unsafe {
        let name = pg_sys::get_opname(operator);
        let schema = operator_schema(operator);
        if name.is_null() || schema.is_null() {
            return "=".to_owned();
        }
        format!(
            "OPERATOR({}.{})",
            quote_identifier(std::ffi::CStr::from_ptr(schema).to_string_lossy()),
            std::ffi::CStr::from_ptr(name).to_string_lossy()
        )
    }
}

/// # Safety
/// Call within a transaction.
unsafe fn operator_schema(operator: Oid) -> *mut std::ffi::c_char {
    // SAFETY: a syscache tuple is valid until released; the name is copied before that.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::OPEROID as i32,
            pg_sys::Datum::from(operator),
        );
        if tuple.is_null() {
            return std::ptr::null_mut();
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>();
        let schema = pg_sys::get_namespace_name((*form).oprnamespace);
        pg_sys::ReleaseSysCache(tuple);
        schema
    }
}

/// A column of an alias, quoted.
pub fn column_sql(alias: &str, column: &str) -> String {
    format!("{alias}.{}", quote_identifier(column))
}

unsafe extern "C" {
    // not in pgrx's bindings
    static mut bytea_output: std::ffi::c_int;
}

/// `hex` of the setting `bytea_output`.
const HEX: std::ffi::c_int = 1;

/// The server settings that the text of dates, intervals, floats and bytes depends on, set to fixed values until dropped.
///
/// The variables are swapped directly, not through GUC: this happens for each row, must not fail, and ends with the
/// call even when an ERROR unwinds.
pub struct PinnedStyles {
    date_style: i32,
    date_order: i32,
    interval_style: i32,
    float_digits: i32,
    bytes: std::ffi::c_int,
    zone: *mut pg_sys::pg_tz,
}

impl PinnedStyles {
    pub fn new() -> Self {
        // SAFETY: plain globals of a single-threaded backend. pg_tzset caches the zone; should UTC not load, which
        // only a broken installation does, the zone stays as it is.
        unsafe {
            let saved = Self {
                date_style: pg_sys::DateStyle,
                date_order: pg_sys::DateOrder,
                interval_style: pg_sys::IntervalStyle,
                float_digits: pg_sys::extra_float_digits,
                bytes: bytea_output,
                zone: pg_sys::session_timezone,
            };
            let utc = pg_sys::pg_tzset(c"UTC".as_ptr());
            pg_sys::DateStyle = pg_sys::USE_ISO_DATES as i32;
            pg_sys::DateOrder = pg_sys::DATEORDER_YMD as i32;
            pg_sys::IntervalStyle = pg_sys::INTSTYLE_POSTGRES as i32;
            pg_sys::extra_float_digits = 1;
            bytea_output = HEX;
            if !utc.is_null() {
                pg_sys::session_timezone = utc;
            }
            saved
        }
    }
}

impl Drop for PinnedStyles {
    fn drop(&mut self) {
        // SAFETY: puts back what was there.
        unsafe {
            pg_sys::DateStyle = self.date_style;
            pg_sys::DateOrder = self.date_order;
            pg_sys::IntervalStyle = self.interval_style;
            pg_sys::extra_float_digits = self.float_digits;
            bytea_output = self.bytes;
            pg_sys::session_timezone = self.zone;
        }
    }
}
