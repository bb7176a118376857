//! What the row triggers have noted and the statement triggers have not written yet.
//!
//! A stack: entries are tagged with the nest level of their subtransaction, and no entry lies above one of a higher
//! level. So a subtransaction that aborts cuts off its own top, one that commits hands its top to the level below,
//! and a flush writes the top of the current level only: what it wrote for an outer level would vanish with an inner
//! subtransaction's abort.

use std::cell::RefCell;

use pgrx::pg_sys;

use super::append::{self, Tag, Text};

/// Flush in the middle of a statement at this many entries, so that one huge statement holds little memory, and none
/// that the allocator would fetch from the system and give back each time.
const FLUSH_AT: usize = 10_000;
/// As `FLUSH_AT`, for the texts together.
const FLUSH_AT_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy)]
struct Entry {
    tag: Tag,
    text: Text,
    level: i32,
    start: usize,
}

struct Buffer {
    entries: Vec<Entry>,
    /// The texts, one after the other: an entry's ends where the next one's starts.
    bytes: Vec<u8>,
}

thread_local! {
    static BUFFER: RefCell<Buffer> = const {
        RefCell::new(Buffer { entries: Vec::new(), bytes: Vec::new() })
    };
}

unsafe extern "C-unwind" {
    // Declared again, without pgrx's guard against errors: it is called for each row, and only reads a variable.
    fn GetCurrentTransactionNestLevel() -> i32;
}

fn nest_level() -> i32 {
    // SAFETY: as above.
    unsafe { GetCurrentTransactionNestLevel() }
}

/// Notes one entry with its text. Returns true when it is time to flush.
pub fn push(tag: Tag, text: Text, bytes: &[u8]) -> bool {
    let level = nest_level();
    BUFFER.with_borrow_mut(|buffer| {
        // A trigger that sees the same row again and again notes it once.
        if let Some(last) = buffer.entries.last()
            && last.tag.subject == tag.subject
            && last.tag.watch == tag.watch
            && last.text == text
            && last.level == level
            && (last.tag.op == tag.op || text != Text::None)
            && buffer.bytes[last.start..] == *bytes
        {
            return false;
        }
        let start = buffer.bytes.len();
        buffer.bytes.extend_from_slice(bytes);
        buffer.entries.push(Entry {
            tag,
            text,
            level,
            start,
        });
        buffer.entries.len() >= FLUSH_AT || buffer.bytes.len() >= FLUSH_AT_BYTES
    })
}

/// Drops everything: the transaction has ended.
pub fn clear() {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.entries.clear();
        buffer.bytes.clear();
        // A bulk statement's memory is not kept for the session's life.
        buffer.bytes.shrink_to(64 * 1024);
        buffer.entries.shrink_to(1024);
    });
}

/// The current subtransaction commits: what it noted is now its parent's.
pub fn subtransaction_committed() {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.entries.is_empty() {
            return;
        }
        let level = nest_level();
        for entry in buffer.entries.iter_mut().rev() {
            if entry.level < level {
                break;
            }
            entry.level = level - 1;
        }
    });
}

/// The current subtransaction aborts: what it noted never happened.
pub fn subtransaction_aborted() {
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.entries.is_empty() {
            return;
        }
        let level = nest_level();
        let keep = buffer.entries.partition_point(|entry| entry.level < level);
        if let Some(first) = buffer.entries.get(keep) {
            let start = first.start;
            buffer.bytes.truncate(start);
            buffer.entries.truncate(keep);
        }
    });
}

/// Writes what the current subtransaction level has noted to wf.inbox.
///
/// Without an inbox the entries are dropped, for the ERP's write goes through whatever has become of us.
pub fn flush() {
    let level = nest_level();
    let (entries, bytes) = BUFFER.with_borrow_mut(|buffer| {
        let keep = buffer.entries.partition_point(|entry| entry.level < level);
        let Some(first) = buffer.entries.get(keep) else {
            return (Vec::new(), Vec::new());
        };
        let start = first.start;
        if keep == 0 {
            // the usual case moves the vectors out instead of copying
            return (
                std::mem::take(&mut buffer.entries),
                std::mem::take(&mut buffer.bytes),
            );
        }
        let mut entries = buffer.entries.split_off(keep);
        let bytes = buffer.bytes.split_off(start);
        for entry in &mut entries {
            entry.start -= start;
        }
        (entries, bytes)
    });
    if entries.is_empty() {
        return;
    }
    let noted: Vec<append::Noted<'_>> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let end = entries
                .get(index + 1)
                .map_or(bytes.len(), |next| next.start);
            (entry.tag, entry.text, &bytes[entry.start..end])
        })
        .collect();
    if append::noted(&noted) {
        crate::worker::wake::on_commit();
    }
    give_back(entries, bytes);
}

/// Writes what no statement trigger came by to write, such as rows written directly into a partition: statement
/// triggers fire only on the table that the statement names.
pub fn flush_before_commit() {
    if BUFFER.with_borrow(|buffer| buffer.entries.is_empty()) {
        return;
    }
    // SAFETY: the transaction is still open, but its last statement has taken its snapshot with it, and SPI wants one
    // around it. On ERROR the abort pops it.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        flush();
        pg_sys::PopActiveSnapshot();
    }
}

/// Puts emptied vectors back, so that a session of many small statements does not allocate for each.
fn give_back(mut entries: Vec<Entry>, mut bytes: Vec<u8>) {
    entries.clear();
    bytes.clear();
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.entries.capacity() == 0 && buffer.bytes.is_empty() {
            buffer.entries = entries;
            buffer.bytes = bytes;
        }
    });
}
