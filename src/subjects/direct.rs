//! Appending single rows to wf.inbox without an executor: an INSERT through SPI costs an ERP's single-row statement more
//! than the row and its index entries do.
//!
//! Why it is safe: it does what the executor does for this table and no more (row, entries of all ready indexes, under
//! the same lock, as this transaction and command), and only when the table is exactly as this library knows it. A
//! column more, a trigger, a rule, row security, a check, an index of another kind: then the caller takes the INSERT.
//! What is known is looked up anew when the server says that the table's definition has changed. Subtransactions and
//! errors need no care, for there is no state besides rows, locks and references that the server itself keeps track of.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::{self, Datum, Oid};

use super::append::{Noted, Text};
use super::hooks;
use crate::pg::{relations, sequence, tuples};

/// The columns of wf.inbox in order, with their types.
const COLUMNS: [(&[u8], Oid); 12] = [
    (b"xid", pg_sys::XID8OID),
    (b"inbox_id", pg_sys::INT8OID),
    (b"subject_id", pg_sys::INT4OID),
    (b"key", pg_sys::TEXTOID),
    (b"op", pg_sys::CHAROID),
    (b"watch_id", pg_sys::INT4OID),
    (b"watched", pg_sys::TEXTOID),
    (b"packed", pg_sys::INT4OID),
    (b"keys", pg_sys::TEXTARRAYOID),
    (b"watched_rows", pg_sys::TEXTARRAYOID),
    (b"at", pg_sys::TIMESTAMPTZOID),
    (b"failed_at", pg_sys::TIMESTAMPTZOID),
];
/// Positions in `COLUMNS` of those that a single row has.
const XID: usize = 0;
const INBOX_ID: usize = 1;
const SUBJECT_ID: usize = 2;
const KEY: usize = 3;
const OP: usize = 4;
const WATCH_ID: usize = 5;
const WATCHED: usize = 6;
const PACKED: usize = 7;
const AT: usize = 10;

const LOCK: pg_sys::LOCKMODE = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
/// Locks are kept until the transaction ends.
const KEEP: pg_sys::LOCKMODE = pg_sys::NoLock as pg_sys::LOCKMODE;

/// An index that a single row has an entry in.
struct Index {
    oid: Oid,
    unique: bool,
    /// Positions of its columns in `COLUMNS`.
    columns: Vec<usize>,
}

/// What is known about the table.
struct Layout {
    relation: Oid,
    generation: u64,
    owner: Oid,
    /// None: rows are not to be appended this way.
    indexes: Option<(Oid, Vec<Index>)>,
}

thread_local! {
    static LAYOUT: RefCell<Option<Rc<Layout>>> = const { RefCell::new(None) };
}

/// wf.inbox, opened and locked as an INSERT does it.
pub struct Inbox {
    relation: pg_sys::Relation,
    layout: Rc<Layout>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // While an ERROR unwinds, the abort of the (sub)transaction closes what is open.
        if !std::thread::panicking() {
            // SAFETY: opened in `open`, once.
            unsafe { pg_sys::relation_close(self.relation, KEEP) };
        }
    }
}

impl Inbox {
    /// Opens it; None when there is none (any more).
    pub fn open() -> Option<Self> {
        hooks::register();
        // Again when it was dropped or renamed just as we waited for the lock.
        for _ in 0..3 {
            let oid = known().map(|layout| layout.relation).or_else(by_name)?;
            // SAFETY: null when there is no such relation any more.
            let relation = unsafe { pg_sys::try_table_open(oid, LOCK) };
            if relation.is_null() {
                LAYOUT.set(None);
                continue;
            }
            // The lock has brought whatever news there was about the table.
            let layout = known().or_else(|| {
                // SAFETY: opened above.
                (by_name() == Some(oid)).then(|| unsafe { learn(&*relation) })
            });
            match layout {
                Some(layout) => return Some(Self { relation, layout }),
                // SAFETY: opened above.
                None => unsafe { pg_sys::relation_close(relation, LOCK) },
            }
        }
        None
    }

    /// Who owns it.
    pub fn owner(&self) -> Oid {
        self.layout.owner
    }

    /// Appends the rows. False when the table is not as expected, and nothing was done.
    pub fn append(&self, rows: &[Noted<'_>]) -> bool {
        let Some((sequence, indexes)) = &self.layout.indexes else {
            return false;
        };
        // SAFETY: open and locked since it was looked at.
        unsafe { append_to(self.relation, *sequence, indexes, rows) };
        true
    }
}

/// What is known, if nothing has been heard of the table since.
fn known() -> Option<Rc<Layout>> {
    let generation = relations::tracked_generation();
    LAYOUT.with_borrow(|known| {
        known
            .as_ref()
            .filter(|k| k.generation == generation)
            .cloned()
    })
}

fn by_name() -> Option<Oid> {
    // SAFETY: catalogue look-ups that return invalid for what is missing.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"wf".as_ptr(), true);
        if schema == Oid::INVALID {
            return None;
        }
        let inbox = pg_sys::get_relname_relid(c"inbox".as_ptr(), schema);
        (inbox != Oid::INVALID).then_some(inbox)
    }
}

/// # Safety
/// An open and locked relation.
unsafe fn learn(relation: &pg_sys::RelationData) -> Rc<Layout> {
    relations::track(relation.rd_id);
    let generation = relations::tracked_generation();
    // SAFETY: the caller's promise.
    let (owner, indexes) = unsafe { ((*relation.rd_rel).relowner, look(relation)) };
    let found = Rc::new(Layout {
        relation: relation.rd_id,
        generation,
        owner,
        indexes,
    });
    LAYOUT.set(Some(found.clone()));
    found
}

/// # Safety
/// The open table, its sequence, and its indexes as they are now.
unsafe fn append_to(
    relation: pg_sys::Relation,
    sequence: Oid,
    indexes: &[Index],
    rows: &[Noted<'_>],
) {
    // SAFETY: the caller's promise; values and null flags have as many elements as the table has columns, and the
    // tuple lives until after its index entries are made.
    unsafe {
        let opened: Vec<(pg_sys::Relation, *mut pg_sys::IndexInfo)> = indexes
            .iter()
            .map(|index| {
                let opened = pg_sys::index_open(index.oid, LOCK);
                (opened, pg_sys::BuildIndexInfo(opened))
            })
            .collect();
        let command = pg_sys::GetCurrentCommandId(true);
        let xid = pg_sys::GetTopFullTransactionId().value;
        let at = pg_sys::GetCurrentTransactionStartTimestamp();
        for (tag, text, bytes) in rows {
            let id = sequence::next(sequence);
            let mut values = [Datum::null(); COLUMNS.len()];
            let mut nulls = [true; COLUMNS.len()];
            let mut set = |column: usize, value: Datum| {
                values[column] = value;
                nulls[column] = false;
            };
            set(XID, Datum::from(xid));
            set(INBOX_ID, Datum::from(id));
            set(SUBJECT_ID, Datum::from(tag.subject));
            set(OP, Datum::from(tag.op as i8));
            set(AT, Datum::from(at));
            if tag.watch != 0 {
                set(WATCH_ID, Datum::from(tag.watch));
            }
            let column = match text {
                Text::None => None,
                Text::Key => Some(KEY),
                Text::Watched => Some(WATCHED),
            };
            if let Some(column) = column {
                let value =
                    pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), bytes.len() as i32);
                set(column, Datum::from(value));
            }
            let tuple = pg_sys::heap_form_tuple(
                (*relation).rd_att,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
            pg_sys::heap_insert(relation, tuple, command, 0, std::ptr::null_mut());
            for (index, (opened, info)) in indexes.iter().zip(&opened) {
                let mut entry = [Datum::null(); COLUMNS.len()];
                let mut missing = [true; COLUMNS.len()];
                for (position, column) in index.columns.iter().enumerate() {
                    entry[position] = values[*column];
                    missing[position] = nulls[*column];
                }
                pg_sys::index_insert(
                    *opened,
                    entry.as_mut_ptr(),
                    missing.as_mut_ptr(),
                    &mut (*tuple).t_self,
                    relation,
                    if index.unique {
                        pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES
                    } else {
                        pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO
                    },
                    false,
                    *info,
                );
            }
            pg_sys::heap_freetuple(tuple);
            if let Some(column) = column {
                pg_sys::pfree(values[column].cast_mut_ptr());
            }
        }
        for (opened, info) in opened {
            pg_sys::pfree(info.cast());
            pg_sys::index_close(opened, KEEP);
        }
    }
}

/// The table's sequence and indexes, if it is as this library knows it.
///
/// # Safety
/// An open relation.
unsafe fn look(relation: &pg_sys::RelationData) -> Option<(Oid, Vec<Index>)> {
    // SAFETY: parts of an open relation, null where there are none; a list is freed with the memory context.
    unsafe {
        let class = &*relation.rd_rel;
        let descriptor = &*relation.rd_att;
        let plain = class.relkind as u8 == pg_sys::RELKIND_RELATION
            && class.relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && class.relam == pg_sys::HEAP_TABLE_AM_OID
            && !class.relrowsecurity
            && relation.trigdesc.is_null()
            && relation.rd_rules.is_null()
            && descriptor
                .constr
                .as_ref()
                .is_none_or(|c| c.num_check == 0 && !c.has_generated_stored);
        let attributes = tuples::attributes(descriptor);
        let as_known = attributes.len() == COLUMNS.len()
            && attributes.iter().zip(&COLUMNS).all(|(a, (name, oid))| {
                let named = std::ffi::CStr::from_ptr(a.attname.data.as_ptr()).to_bytes();
                !a.attisdropped && named == *name && a.atttypid == *oid
            });
        if !plain || !as_known {
            return None;
        }
        let list = pg_sys::RelationGetIndexList((&raw const *relation).cast_mut());
        let mut indexes = Vec::new();
        if !list.is_null() {
            let cells = std::slice::from_raw_parts((*list).elements, (*list).length as usize);
            for cell in cells {
                let opened = pg_sys::index_open(cell.oid_value, LOCK);
                let index = look_at_index(&*opened);
                pg_sys::index_close(opened, KEEP);
                indexes.extend(index?);
            }
        }
        Some((sequence(relation), indexes))
    }
}

/// # Safety
/// The open table.
unsafe fn sequence(relation: &pg_sys::RelationData) -> Oid {
    let number = INBOX_ID as i16 + 1;
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    let table = relation.rd_id;
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    let table = (&raw const *relation).cast_mut();
    // SAFETY: a catalogue look-up for an identity column; an ERROR when it is none.
    unsafe { pg_sys::getIdentitySequence(table, number, false) }
}

/// None: an index that only the executor can fill. Some(None): one in which a single row has no entry.
///
/// # Safety
/// An open index of the table.
#[expect(clippy::option_option, reason = "three answers")]
unsafe fn look_at_index(index: &pg_sys::RelationData) -> Option<Option<Index>> {
    // SAFETY: parts of an open index; indkey has indnatts elements.
    unsafe {
        let form = &*index.rd_index;
        let count = form.indnatts as usize;
        let numbers = std::slice::from_raw_parts(form.indkey.values.as_ptr(), count);
        if !form.indisready {
            return Some(None);
        }
        let predicate = pg_sys::RelationGetIndexPredicate((&raw const *index).cast_mut());
        if !predicate.is_null() {
            // Any other predicate is not ours to evaluate.
            return is_packed(&*predicate).then_some(None);
        }
        let columns: Option<Vec<usize>> = numbers
            .iter()
            .map(|n| usize::try_from(*n).ok()?.checked_sub(1))
            .collect();
        let btree = (*index.rd_rel).relam == pg_sys::BTREE_AM_OID;
        if !btree || form.indisexclusion || !form.indimmediate {
            return None;
        }
        Some(Some(Index {
            oid: index.rd_id,
            unique: form.indisunique,
            columns: columns?,
        }))
    }
}

/// Whether an index predicate says that a row is packed.
///
/// # Safety
/// A list of expressions.
unsafe fn is_packed(predicate: &pg_sys::List) -> bool {
    // SAFETY: node tags say what a node is.
    unsafe {
        let node = (*predicate.elements).ptr_value.cast::<pg_sys::NullTest>();
        if predicate.length != 1 || (*node).xpr.type_ != pg_sys::NodeTag::T_NullTest {
            return false;
        }
        let column = (*node).arg.cast::<pg_sys::Var>();
        (*node).nulltesttype == pg_sys::NullTestType::IS_NOT_NULL
            && (*column).xpr.type_ == pg_sys::NodeTag::T_Var
            && (*column).varattno == PACKED as i16 + 1
    }
}
