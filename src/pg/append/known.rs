//! The tables as they are: opened and locked as an INSERT does it, and what is known of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

use pgrx::pg_sys::{self, Oid};

use super::table::Table;
use crate::pg::{relations, tuples};

pub const LOCK: pg_sys::LOCKMODE = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
/// The locks of tables are kept until the transaction ends.
const KEEP: pg_sys::LOCKMODE = pg_sys::NoLock as pg_sys::LOCKMODE;

/// What is known of a table.
pub struct Layout {
    relation: Oid,
    generation: u64,
    pub owner: Oid,
    /// The columns are those of the description, and nothing happens at an INSERT besides.
    is_plain: bool,
    /// It is an ordinary table, too, all indexes of which can be filled here.
    pub takes_rows: bool,
    pub sequence: Option<Oid>,
    /// Positions of the columns that must not be null.
    pub required: Vec<usize>,
}

thread_local! {
    static LAYOUTS: RefCell<HashMap<String, Rc<Layout>>> = RefCell::default();
}

/// A table, opened and locked as an INSERT does it.
pub struct Opened {
    pub relation: pg_sys::Relation,
    pub layout: Rc<Layout>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // While an ERROR unwinds, the abort of the (sub)transaction closes what is open.
        if !std::thread::panicking() {
            // SAFETY: opened in `of`, once.
            unsafe { pg_sys::relation_close(self.relation, KEEP) };
        }
    }
}

impl Opened {
    /// Opens the table of this name in schema wf. None when there is none.
    pub fn of(table: &'static Table, name: &str) -> Option<Self> {
        relations::listen();
        // Again when it was dropped or renamed just as we waited for the lock.
        for _ in 0..3 {
            let before = known(name);
            let oid = before.as_ref().map(|layout| layout.relation);
            let oid = oid.or_else(|| by_name(name))?;
            // SAFETY: null when there is no such relation any more.
            let relation = unsafe { pg_sys::try_table_open(oid, LOCK) };
            if relation.is_null() {
                LAYOUTS.with_borrow_mut(|layouts| layouts.remove(name));
                continue;
            }
            // The lock has brought whatever news there was about the table.
            let layout = before.filter(is_current).or_else(|| {
                // SAFETY: opened above.
                (by_name(name) == Some(oid)).then(|| unsafe { learn(table, name, &*relation) })
            });
            match layout {
                Some(layout) => {
                    return Some(Self { relation, layout });
                }
                // SAFETY: opened above.
                None => unsafe { pg_sys::relation_close(relation, LOCK) },
            }
        }
        None
    }

    /// Whether rows may be appended to it directly, by whoever owns it.
    pub fn takes_rows(&self) -> bool {
        self.layout.takes_rows && self.is_ours()
    }

    /// The same for a partition of another table: not if it is detached, or about to be.
    pub fn takes_rows_of(&self, whole: &Self) -> bool {
        // SAFETY: an open and locked relation; null when it has no partitions.
        let is_part = || unsafe {
            let parts = pg_sys::RelationGetPartitionDesc(whole.relation, true).as_ref();
            parts.is_some_and(|parts| {
                let mut oids = (0..parts.nparts as usize).map(|n| *parts.oids.add(n));
                oids.any(|oid| oid == self.layout.relation)
            })
        };
        whole.layout.is_plain && whole.is_ours() && self.takes_rows() && is_part()
    }

    fn is_ours(&self) -> bool {
        // SAFETY: plain call.
        self.layout.owner == unsafe { pg_sys::GetUserId() }
    }

    pub fn is_partition(&self) -> bool {
        // SAFETY: an open relation.
        unsafe { (*(*self.relation).rd_rel).relispartition }
    }
}

/// What is known, if nothing has been heard of the tables since.
fn known(name: &str) -> Option<Rc<Layout>> {
    LAYOUTS.with_borrow(|known| known.get(name).cloned().filter(is_current))
}

fn is_current(layout: &Rc<Layout>) -> bool {
    layout.generation == relations::tracked_generation()
}

fn by_name(name: &str) -> Option<Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: catalogue look-ups that return invalid for what is missing.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"wf".as_ptr(), true);
        if schema == Oid::INVALID {
            return None;
        }
        let found = pg_sys::get_relname_relid(name.as_ptr(), schema);
        (found != Oid::INVALID).then_some(found)
    }
}

/// # Safety
/// An open and locked relation.
unsafe fn learn(table: &Table, name: &str, relation: &pg_sys::RelationData) -> Rc<Layout> {
    relations::track(relation.rd_id);
    let generation = relations::tracked_generation();
    // SAFETY: the caller's promise; parts of an open relation, null where there are none.
    let layout = unsafe {
        let class = &*relation.rd_rel;
        let descriptor = &*relation.rd_att;
        let attributes = tuples::attributes(descriptor);
        let is_plain = class.relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && !class.relforcerowsecurity
            && relation.rd_rules.is_null()
            && relation.trigdesc.as_ref().is_none_or(|t| {
                !(t.trig_insert_before_row
                    || t.trig_insert_after_row
                    || t.trig_insert_instead_row
                    || t.trig_insert_before_statement
                    || t.trig_insert_after_statement)
            })
            && descriptor
                .constr
                .as_ref()
                .is_none_or(|c| c.num_check == 0 && !c.has_generated_stored)
            && are_as_described(table, attributes);
        let sequence = table.sequence.and_then(by_name);
        let required = attributes.iter().enumerate();
        Layout {
            relation: relation.rd_id,
            generation,
            owner: class.relowner,
            is_plain,
            takes_rows: is_plain
                && sequence.is_some() == table.sequence.is_some()
                && class.relkind as u8 == pg_sys::RELKIND_RELATION
                && class.relam == pg_sys::HEAP_TABLE_AM_OID
                && indexes(relation).all(can_be_filled),
            sequence,
            required: required
                .filter(|(_, a)| a.attnotnull)
                .map(|(n, _)| n)
                .collect(),
        }
    };
    let layout = Rc::new(layout);
    LAYOUTS.with_borrow_mut(|layouts| layouts.insert(name.to_owned(), layout.clone()));
    layout
}

fn are_as_described(table: &Table, attributes: &[pg_sys::FormData_pg_attribute]) -> bool {
    attributes.len() == table.columns.len()
        && attributes.iter().zip(table.columns).all(|(a, (name, of))| {
            // SAFETY: a name is a C string in a buffer of fixed size.
            let named = unsafe { CStr::from_ptr(a.attname.data.as_ptr()) };
            !a.attisdropped && named.to_bytes() == name.as_bytes() && a.atttypid == of.oid()
        })
}

/// The indexes of a table.
///
/// # Safety
/// An open and locked relation; the list is freed with the memory context.
pub unsafe fn indexes(relation: &pg_sys::RelationData) -> impl Iterator<Item = Oid> {
    // SAFETY: null or a list of oids.
    let cells = unsafe {
        let list = pg_sys::RelationGetIndexList((&raw const *relation).cast_mut());
        list.as_ref().map_or(&[][..], |list| {
            std::slice::from_raw_parts(list.elements, list.length as usize)
        })
    };
    // SAFETY: as above.
    cells.iter().map(|cell| unsafe { cell.oid_value })
}

/// Whether an entry is made and checked at once.
fn can_be_filled(index: Oid) -> bool {
    // SAFETY: an index of a locked table; parts of it while it is open.
    unsafe {
        let opened = pg_sys::index_open(index, LOCK);
        let form = &*(*opened).rd_index;
        let can = form.indimmediate && !form.indisexclusion;
        pg_sys::index_close(opened, LOCK);
        can
    }
}
