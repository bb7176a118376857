//! The trigger functions. They compare, note the key, and write the notes to the inbox; they touch no case.
//!
//! Raw functions of the server's calling convention rather than pgrx's wrapper, which looks up and copies more for
//! each row than they need.

use std::cell::Cell;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Datum};
use pgrx::prelude::*;

use super::append::{Tag, Text};
use super::buffer;
use super::config::{self, Column, Config, Writer};
use super::keys::{LONGEST, PinnedStyles};
use crate::pg::raise::raise_as;

unsafe extern "C-unwind" {
    // Declared again, without pgrx's guard against errors: it is called twice for each row, and fails only for an
    // attribute number beyond the table's last.
    fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attnum: i32);
}

thread_local! {
    /// Where a row's text is put together.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

static V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };

/// Tells the server the calling convention.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_subject_row_trigger() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

/// Tells the server the calling convention.
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_subject_statement_trigger() -> &'static pg_sys::Pg_finfo_record {
    &V1
}

/// # Safety
/// Called by the server.
unsafe fn trigger_data<'a>(fcinfo: pg_sys::FunctionCallInfo) -> &'a pg_sys::TriggerData {
    // SAFETY: the server's call info; the node tag says whether the context is a trigger's.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            raise_as(
                PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                "this function is for the triggers that wf.bind_subject makes",
                None,
                None,
            );
        }
        &*context.cast::<pg_sys::TriggerData>()
    }
}

/// AFTER … FOR EACH ROW: notes the row's key if something that matters has changed.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn subject_row_trigger(fcinfo: pg_sys::FunctionCallInfo) -> Datum {
    // SAFETY: called by the server as a row trigger; the slots hold the rows for the duration of the call.
    unsafe {
        let data = trigger_data(fcinfo);
        let config = config::of(data);
        let full = match data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK {
            pg_sys::TRIGGER_EVENT_INSERT => note(&config, b'i', data.tg_trigslot),
            pg_sys::TRIGGER_EVENT_DELETE => note(&config, b'd', data.tg_trigslot),
            pg_sys::TRIGGER_EVENT_UPDATE => updated(&config, data),
            _ => false,
        };
        if full {
            buffer::flush();
        }
    }
    Datum::null()
}

/// AFTER … FOR EACH STATEMENT: writes what the row trigger has noted. TRUNCATE has no rows: it concerns every key.
#[unsafe(no_mangle)]
#[pg_guard]
pub unsafe extern "C-unwind" fn subject_statement_trigger(
    fcinfo: pg_sys::FunctionCallInfo,
) -> Datum {
    // SAFETY: called by the server as a statement trigger.
    unsafe {
        let data = trigger_data(fcinfo);
        if data.tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_TRUNCATE {
            let config = config::of(data);
            let tag = Tag {
                subject: config.subject,
                op: b't',
                watch: config.watch,
            };
            buffer::push(tag, Text::None, &[]);
        }
    }
    buffer::flush();
    Datum::null()
}

/// # Safety
/// An update's trigger data.
unsafe fn updated(config: &Config, data: &pg_sys::TriggerData) -> bool {
    // SAFETY: an update has both rows, as tuples and in slots.
    unsafe {
        if same_tuple(data.tg_trigtuple, data.tg_newtuple) {
            return false;
        }
        if config.broken {
            return note(config, b'u', data.tg_newslot);
        }
        deform(data.tg_trigslot, config.attributes);
        deform(data.tg_newslot, config.attributes);
        let differs = |column: &Column| !same(column, data.tg_trigslot, data.tg_newslot);
        let rekeyed = config.key.iter().any(differs);
        let changed = rekeyed
            || config.always
            || config
                .compare
                .as_ref()
                .is_none_or(|columns| columns.iter().any(differs));
        if !changed {
            return false;
        }
        let full = rekeyed && note(config, b'u', data.tg_trigslot);
        note(config, b'u', data.tg_newslot) || full
    }
}

/// Whether both versions of a row have the same bytes: what an ORM that saves without a change produces.
///
/// # Safety
/// Two valid heap tuples.
unsafe fn same_tuple(old: pg_sys::HeapTuple, new: pg_sys::HeapTuple) -> bool {
    const NATTS: u16 = pg_sys::HEAP_NATTS_MASK as u16;
    const HASNULL: u16 = pg_sys::HEAP_HASNULL as u16;
    // SAFETY: t_data has t_len bytes, of which the fixed header is the first part; alignment padding is zero.
    unsafe {
        let (old, new) = (&*old, &*new);
        if old.t_len != new.t_len {
            return false;
        }
        let (a, b) = (&*old.t_data, &*new.t_data);
        if a.t_hoff != b.t_hoff
            || (a.t_infomask2 ^ b.t_infomask2) & NATTS != 0
            || (a.t_infomask ^ b.t_infomask) & HASNULL != 0
        {
            return false;
        }
        let start = std::mem::offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
        let length = (old.t_len as usize).saturating_sub(start);
        let bytes = |header: *const pg_sys::HeapTupleHeaderData| {
            std::slice::from_raw_parts(header.cast::<u8>().add(start), length)
        };
        bytes(old.t_data) == bytes(new.t_data)
    }
}

/// # Safety
/// A slot that holds a row of at least so many attributes.
unsafe fn deform(slot: *mut pg_sys::TupleTableSlot, attributes: i32) {
    // SAFETY: the caller's promise.
    unsafe {
        if i32::from((*slot).tts_nvalid) < attributes {
            slot_getsomeattrs_int(slot, attributes);
        }
    }
}

/// # Safety
/// A slot deformed up to the column.
unsafe fn value(column: &Column, slot: *mut pg_sys::TupleTableSlot) -> Option<Datum> {
    // SAFETY: the caller's promise.
    unsafe {
        if *(*slot).tts_isnull.add(column.index) {
            None
        } else {
            Some(*(*slot).tts_values.add(column.index))
        }
    }
}

/// As the server's datumIsEqual: the stored bytes, without fetching what is stored out of line.
///
/// # Safety
/// Two slots deformed up to the column.
unsafe fn same(
    column: &Column,
    old: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: the caller's promise; lengths are those of the type or of the value's header.
    unsafe {
        match (value(column, old), value(column, new)) {
            (None, None) => true,
            (Some(a), Some(b)) if column.by_value => a.value() == b.value(),
            (Some(a), Some(b)) => bytes(a, column.length) == bytes(b, column.length),
            _ => false,
        }
    }
}

/// The bytes of a value that is passed by reference.
///
/// # Safety
/// A valid datum of a type with that length.
unsafe fn bytes<'a>(datum: Datum, length: i16) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        match length {
            -1 => {
                let pointer = datum.cast_mut_ptr::<pg_sys::varlena>();
                std::slice::from_raw_parts(pointer.cast::<u8>(), pgrx::varsize_any(pointer))
            }
            -2 => std::ffi::CStr::from_ptr(datum.cast_mut_ptr()).to_bytes(),
            fixed => std::slice::from_raw_parts(datum.cast_mut_ptr::<u8>(), fixed.max(0) as usize),
        }
    }
}

/// Notes the key (or the watched columns) of the row in the slot. True: the buffer wants to be flushed.
///
/// # Safety
/// A slot that holds a row of the trigger's table.
unsafe fn note(config: &Config, op: u8, slot: *mut pg_sys::TupleTableSlot) -> bool {
    let watched = config.watch != 0;
    let mut tag = Tag {
        subject: config.subject,
        op: if watched { b'w' } else { op },
        watch: config.watch,
    };
    if config.broken {
        tag.op = b'e';
        return buffer::push(tag, Text::None, &[]);
    }
    // SAFETY: the caller's promise.
    unsafe { deform(slot, config.attributes) };
    // The text is made outside the buffer: an output function may be the user's own, and write to a bound table.
    let mut text = SCRATCH.take();
    // SAFETY: deformed above.
    let complete = unsafe {
        if config.row {
            write_object(config, slot, &mut text);
            true
        } else {
            write_key(config, slot, &mut text)
        }
    };
    let kind = if config.row { Text::Watched } else { Text::Key };
    let full = complete && buffer::push(tag, kind, &text);
    text.clear();
    SCRATCH.set(text);
    full
}

/// Appends the canonical text of the key; false when a part of it is NULL or it is too long: such a row is nobody's.
///
/// # Safety
/// A slot deformed up to the key's columns.
unsafe fn write_key(config: &Config, slot: *mut pg_sys::TupleTableSlot, out: &mut Vec<u8>) -> bool {
    let composite = config.key.len() > 1;
    for (position, column) in config.key.iter().enumerate() {
        // SAFETY: the caller's promise.
        let Some(datum) = (unsafe { value(column, slot) }) else {
            return false;
        };
        if composite {
            out.push(if position == 0 { b'[' } else { b',' });
        }
        let start = out.len();
        // SAFETY: a value of the column's type.
        unsafe { write_text(column, datum, out) };
        if composite {
            quote(out, start);
        }
    }
    if composite {
        out.push(b']');
    }
    out.len() <= LONGEST
}

/// Appends the columns as a JSON object of texts.
///
/// # Safety
/// A slot deformed up to the columns.
unsafe fn write_object(config: &Config, slot: *mut pg_sys::TupleTableSlot, out: &mut Vec<u8>) {
    out.push(b'{');
    for (position, column) in config.key.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        let start = out.len();
        out.extend_from_slice(&column.name);
        quote(out, start);
        out.push(b':');
        // SAFETY: the caller's promise.
        match unsafe { value(column, slot) } {
            None => out.extend_from_slice(b"null"),
            Some(datum) => {
                let start = out.len();
                // SAFETY: a value of the column's type.
                unsafe { write_text(column, datum, out) };
                quote(out, start);
            }
        }
    }
    out.push(b'}');
}

/// Makes a JSON string of everything from `start` on: as serde_json and the server's escape_json write it.
fn quote(out: &mut Vec<u8>, start: usize) {
    let plain = !out[start..]
        .iter()
        .any(|b| *b < 0x20 || *b == b'"' || *b == b'\\');
    if plain {
        out.insert(start, b'"');
        out.push(b'"');
        return;
    }
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control if control < 0x20 => {
                out.extend_from_slice(format!("\\u{control:04x}").as_bytes());
            }
            other => out.push(other),
        }
    }
    out.push(b'"');
}

/// Appends a value's canonical text.
///
/// # Safety
/// A non-null value of the column's type.
unsafe fn write_text(column: &Column, datum: Datum, out: &mut Vec<u8>) {
    match column.writer {
        Writer::Int2 => integer(i64::from(datum.value() as i16), out),
        Writer::Int4 => integer(i64::from(datum.value() as i32), out),
        Writer::Int8 => integer(datum.value() as i64, out),
        Writer::Bool => out.extend_from_slice(if datum.value() & 0xff != 0 {
            b"true"
        } else {
            b"false"
        }),
        // SAFETY: a varlena; detoasting makes a copy in the trigger's own short-lived context, freed at once.
        Writer::Text | Writer::Bpchar => unsafe {
            let original = datum.cast_mut_ptr::<pg_sys::varlena>();
            let packed = pg_sys::pg_detoast_datum_packed(original);
            let mut text = pgrx::varlena_to_byte_slice(packed);
            if column.writer == Writer::Bpchar {
                while let [rest @ .., b' '] = text {
                    text = rest;
                }
            }
            out.extend_from_slice(text);
            if packed != original {
                pg_sys::pfree(packed.cast());
            }
        },
        // SAFETY: a uuid is 16 bytes by reference.
        Writer::Uuid => unsafe {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let uuid = std::slice::from_raw_parts(datum.cast_mut_ptr::<u8>(), 16);
            for (position, byte) in uuid.iter().enumerate() {
                if matches!(position, 4 | 6 | 8 | 10) {
                    out.push(b'-');
                }
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        },
        Writer::Numeric(function) => {
            let start = out.len();
            // SAFETY: the type's own output function.
            unsafe { output(function, datum, out) };
            if out[start..].contains(&b'.') {
                while out.last() == Some(&b'0') {
                    out.pop();
                }
                if out.last() == Some(&b'.') {
                    out.pop();
                }
            }
        }
        Writer::Output(function) => {
            let _styles = PinnedStyles::new();
            // SAFETY: the type's own output function.
            unsafe { output(function, datum, out) };
        }
    }
}

/// # Safety
/// The output function of the value's type.
unsafe fn output(function: pg_sys::Oid, datum: Datum, out: &mut Vec<u8>) {
    // SAFETY: the caller's promise; the result is a palloc'd C string.
    unsafe {
        let text = pg_sys::OidOutputFunctionCall(function, datum);
        out.extend_from_slice(std::ffi::CStr::from_ptr(text).to_bytes());
        pg_sys::pfree(text.cast());
    }
}

fn integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut position = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        position -= 1;
        digits[position] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[position..]);
}
