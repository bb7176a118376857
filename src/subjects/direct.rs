//! Appending single rows to wf.inbox without an executor: an INSERT through SPI costs an ERP's single-row statement more
//! than the row and its index entries do.
//!
//! Why it is safe: it does what the executor does for this table and no more (row, entries of all ready indexes, under
//! the same lock, as this transaction and command), and only when the table is exactly as this library knows it. A
//! column more, a trigger for INSERT, a rule, row security that holds for the owner, a check, an index of another kind: then the caller takes the INSERT.
//! What is known is looked up anew when the server says that the table's definition has changed. Subtransactions and
//! errors need no care, for there is no state besides rows, locks and references that the server itself keeps track of.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::pg_sys::{self, Datum, Oid};

use super::append::{Noted, Text};
use super::hooks;
use crate::pg::append::known::{LOCK, Layout, Opened, indexes};
use crate::pg::append::table::{Type, table};
use crate::pg::sequence;

table!(INBOX "inbox" Column {
    xid: Type::Of(pg_sys::XID8OID),
    inbox_id: Type::Of(pg_sys::INT8OID),
    subject_id: Type::Of(pg_sys::INT4OID),
    key: Type::Of(pg_sys::TEXTOID),
    op: Type::Of(pg_sys::CHAROID),
    watch_id: Type::Of(pg_sys::INT4OID),
    watched: Type::Of(pg_sys::TEXTOID),
    packed: Type::Of(pg_sys::INT4OID),
    keys: Type::Of(pg_sys::TEXTARRAYOID),
    watched_rows: Type::Of(pg_sys::TEXTARRAYOID),
    at: Type::Of(pg_sys::TIMESTAMPTZOID),
    failed_at: Type::Of(pg_sys::TIMESTAMPTZOID),
});

/// How many columns there are.
const WIDTH: usize = Column::failed_at + 1;

/// Locks of indexes are kept until the transaction ends, too.
const KEEP: pg_sys::LOCKMODE = pg_sys::NoLock as pg_sys::LOCKMODE;

/// An index that a single row has an entry in.
struct Index {
    oid: Oid,
    unique: bool,
    /// Positions of its columns among those of the table.
    columns: Vec<usize>,
}

/// What a single row needs besides; None: rows are not to be appended this way.
type Needs = Option<(Oid, Vec<Index>)>;

thread_local! {
    /// What was found, and of which layout that is true.
    static FOUND: RefCell<Option<(Rc<Layout>, Rc<Needs>)>> = const { RefCell::new(None) };
}

/// wf.inbox, opened and locked as an INSERT does it.
pub struct Inbox {
    opened: Opened,
    needs: Rc<Needs>,
}

impl Inbox {
    /// Opens it; None when there is none (any more).
    pub fn open() -> Option<Self> {
        hooks::register();
        let opened = Opened::of(&INBOX, INBOX.name)?;
        let found = FOUND.with_borrow(|found| {
            let (layout, needs) = found.as_ref()?;
            Rc::ptr_eq(layout, &opened.layout).then(|| needs.clone())
        });
        let needs = found.unwrap_or_else(|| {
            // SAFETY: opened above.
            let needs = Rc::new(unsafe { look(&opened) });
            FOUND.set(Some((opened.layout.clone(), needs.clone())));
            needs
        });
        Some(Self { opened, needs })
    }

    /// Who owns it.
    pub fn owner(&self) -> Oid {
        self.opened.layout.owner
    }

    /// Appends the rows. False when the table is not as expected, and nothing was done.
    pub fn append(&self, rows: &[Noted<'_>]) -> bool {
        let Some((sequence, indexes)) = &*self.needs else {
            return false;
        };
        // SAFETY: open and locked since it was looked at.
        unsafe { append_to(self.opened.relation, *sequence, indexes, rows) };
        true
    }
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
            let mut values = [Datum::null(); WIDTH];
            let mut nulls = [true; WIDTH];
            let mut set = |column: usize, value: Datum| {
                values[column] = value;
                nulls[column] = false;
            };
            set(Column::xid, Datum::from(xid));
            set(Column::inbox_id, Datum::from(id));
            set(Column::subject_id, Datum::from(tag.subject));
            set(Column::op, Datum::from(tag.op as i8));
            set(Column::at, Datum::from(at));
            if tag.watch != 0 {
                set(Column::watch_id, Datum::from(tag.watch));
            }
            let column = match text {
                Text::None => None,
                Text::Key => Some(Column::key),
                Text::Watched => Some(Column::watched),
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
                let mut entry = [Datum::null(); WIDTH];
                let mut missing = [true; WIDTH];
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
/// The open table.
unsafe fn look(opened: &Opened) -> Needs {
    if !opened.layout.takes_rows {
        return None;
    }
    // SAFETY: indexes of the locked table.
    unsafe {
        let relation = &*opened.relation;
        let mut found = Vec::new();
        for oid in indexes(relation) {
            let index = pg_sys::index_open(oid, LOCK);
            let looked = look_at_index(&*index);
            pg_sys::index_close(index, KEEP);
            found.extend(looked?);
        }
        Some((sequence(relation), found))
    }
}

/// # Safety
/// The open table.
unsafe fn sequence(relation: &pg_sys::RelationData) -> Oid {
    let number = Column::inbox_id as i16 + 1;
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
            && (*column).varattno == Column::packed as i16 + 1
    }
}
