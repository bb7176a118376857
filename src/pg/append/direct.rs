//! Rows into the heap, and their entries into the indexes.

use pgrx::pg_sys::{self, Datum};

use super::known::{LOCK, Opened, indexes};
use super::table::Row;
use super::{NewRows, Values};
use crate::pg::arena::Arena;
use crate::pg::raise::internal;
use crate::pg::sequence;

/// Rows that are laid out, inserted and entered into indexes together.
const CHUNK: usize = 1000;

/// An index that is being filled.
struct Index {
    relation: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
    /// Null: every row has an entry.
    predicate: *mut pg_sys::ExprState,
    unique: pg_sys::IndexUniqueCheck::Type,
}

/// Appends rows. False when they do not belong into this partition, and nothing was done.
pub fn append(opened: &Opened, rows: &NewRows<'_>) -> bool {
    let count = rows.count;
    // SAFETY: the table is open and locked since it was looked at. All memory belongs to the executor's state, which an
    // ERROR frees with the (sub)transaction; what is open is closed by then, too.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(c"INSERT".as_ptr());
        pg_sys::PreventCommandIfParallelMode(c"INSERT".as_ptr());
        let estate = pg_sys::CreateExecutorState();
        let outer = pg_sys::MemoryContextSwitchTo((*estate).es_query_cxt);
        let context = pg_sys::MakePerTupleExprContext(estate);
        // A copy is not counted: a slot would have to be taken off the count again, one by one.
        let descriptor = pg_sys::CreateTupleDescCopy((*opened.relation).rd_att);
        let slots: Vec<*mut pg_sys::TupleTableSlot> = (0..count.min(CHUNK))
            .map(|_| pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsVirtual))
            .collect();
        let indexes = open_indexes(opened, estate);
        let (common, arena) = (Arena::default(), Arena::default());
        let alike = Values::alike(rows, &common);
        let command = pg_sys::GetCurrentCommandId(true);
        let mut done = true;
        for first in (0..count).step_by(CHUNK) {
            let slots = &slots[..CHUNK.min(count - first)];
            pg_sys::MemoryContextSwitchTo((*context).ecxt_per_tuple_memory);
            for (nth, slot) in slots.iter().enumerate() {
                store(opened, rows, &alike, first + nth, &arena, *slot);
            }
            if first == 0 && opened.is_partition() && !belongs(opened, slots[0], estate) {
                done = false;
                break;
            }
            pg_sys::heap_multi_insert(
                opened.relation,
                slots.as_ptr().cast_mut(),
                slots.len() as i32,
                command,
                0,
                std::ptr::null_mut(),
            );
            for index in &indexes {
                enter(opened, index, slots, estate, context);
            }
            pg_sys::MemoryContextSwitchTo((*estate).es_query_cxt);
            pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            arena.empty();
        }
        for index in indexes {
            #[cfg(any(feature = "pg17", feature = "pg18"))]
            pg_sys::index_insert_cleanup(index.relation, index.info);
            pg_sys::index_close(index.relation, LOCK);
        }
        pg_sys::MemoryContextSwitchTo(outer);
        pg_sys::FreeExecutorState(estate);
        // As a statement leaves it: what comes next sees the rows.
        pg_sys::CommandCounterIncrement();
        done
    }
}

/// # Safety
/// A slot of the open table's columns; what is put into it lives in the current memory context.
unsafe fn store(
    opened: &Opened,
    rows: &NewRows<'_>,
    alike: &Values,
    number: usize,
    arena: &Arena,
    slot: *mut pg_sys::TupleTableSlot,
) {
    let table = rows.table;
    let width = table.columns.len();
    // SAFETY: the caller's promise; a slot has as many values and null flags as its table has columns.
    unsafe {
        pg_sys::ExecClearTuple(slot);
        let values = std::slice::from_raw_parts_mut((*slot).tts_values, width);
        let nulls = std::slice::from_raw_parts_mut((*slot).tts_isnull, width);
        values.copy_from_slice(&alike.values);
        nulls.copy_from_slice(&alike.nulls);
        let mut row = Row {
            table,
            arena,
            values,
            nulls,
        };
        if let Some(sequence) = opened.layout.sequence {
            row.put(0, Datum::from(sequence::next(sequence)));
        }
        (rows.each)(number, &mut row);
        if let Some(column) = opened
            .layout
            .required
            .iter()
            .find(|column| row.nulls[**column])
        {
            internal(&format!(
                "wf.{}.{} is null",
                table.name, table.columns[*column].0
            ));
        }
        pg_sys::ExecStoreVirtualTuple(slot);
    }
}

/// Whether a row meets the bounds of the partition.
///
/// # Safety
/// The open table, a slot that holds a row of it.
unsafe fn belongs(
    opened: &Opened,
    slot: *mut pg_sys::TupleTableSlot,
    estate: *mut pg_sys::EState,
) -> bool {
    // SAFETY: a node that the server fills in; the expression is about the first relation, as the bounds are.
    unsafe {
        let result =
            pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
        (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
        pg_sys::InitResultRelInfo(result, opened.relation, 1, std::ptr::null_mut(), 0);
        pg_sys::ExecPartitionCheck(result, slot, estate, false)
    }
}

/// # Safety
/// The open table.
unsafe fn open_indexes(opened: &Opened, estate: *mut pg_sys::EState) -> Vec<Index> {
    // SAFETY: indexes of a locked table; infos and predicates live in the executor's memory.
    unsafe {
        indexes(&*opened.relation)
            .map(|oid| {
                let relation = pg_sys::index_open(oid, LOCK);
                let info = pg_sys::BuildIndexInfo(relation);
                let predicate = if (*info).ii_Predicate.is_null() {
                    std::ptr::null_mut()
                } else {
                    pg_sys::ExecPrepareQual((*info).ii_Predicate, estate)
                };
                let unique = if (*(*relation).rd_index).indisunique {
                    pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES
                } else {
                    pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO
                };
                Index {
                    relation,
                    info,
                    predicate,
                    unique,
                }
            })
            .filter(|index| {
                let ready = (*index.info).ii_ReadyForInserts;
                if !ready {
                    pg_sys::index_close(index.relation, LOCK);
                }
                ready
            })
            .collect()
    }
}

/// Makes the entries of an index. One index after the other: its upper pages stay at hand.
///
/// # Safety
/// The open table, one of its indexes, and slots that hold rows that were just inserted.
unsafe fn enter(
    opened: &Opened,
    index: &Index,
    slots: &[*mut pg_sys::TupleTableSlot],
    estate: *mut pg_sys::EState,
    context: *mut pg_sys::ExprContext,
) {
    let mut values = [Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
    let mut nulls = [true; pg_sys::INDEX_MAX_KEYS as usize];
    for slot in slots {
        // SAFETY: the caller's promise; an index has no more columns than there is room for.
        unsafe {
            (*context).ecxt_scantuple = *slot;
            if !index.predicate.is_null() && !pg_sys::ExecQual(index.predicate, context) {
                continue;
            }
            pg_sys::FormIndexDatum(
                index.info,
                *slot,
                estate,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
            pg_sys::index_insert(
                index.relation,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
                &raw mut (**slot).tts_tid,
                opened.relation,
                index.unique,
                false,
                index.info,
            );
        }
    }
}
