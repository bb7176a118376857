//! What a trigger must know, from its one argument, resolved against its table as it is now.
//!
//! Everything stands in the argument, so that an ERP's transaction reads no table of ours. Columns are found by name,
//! and by number when the name is gone, for the ERP's upgrades rename columns. Resolved once and kept until the
//! relation cache says that the table has changed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::rc::Rc;

use pgrx::pg_sys::{self, Oid};
use serde::{Deserialize, Serialize};

use super::{hooks, keys};
use crate::pg::{relations, tuples};

unsafe extern "C-unwind" {
    // not in pgrx's bindings
    fn get_partition_ancestors(relation: Oid) -> *mut pg_sys::List;
}

/// A column as it was bound: its name, number and base type.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BoundColumn(pub String, pub i16, pub String);

/// A trigger's argument, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Argument {
    pub subject: i32,
    /// wf.watches.watch_id, 0 for the subject's own table.
    pub watch: i32,
    /// The columns whose values make the text.
    pub key: Vec<BoundColumn>,
    /// The columns whose changes matter; None: all.
    pub columns: Option<Vec<BoundColumn>>,
    /// The text is not a key but an object of the columns, from which the worker computes the key.
    pub row: bool,
}

/// How a value becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    Int2,
    Int4,
    Int8,
    Bool,
    Text,
    /// Without its padding, as a cast to text gives it.
    Bpchar,
    Uuid,
    /// Through the output function, without zeros at the end.
    Numeric(Oid),
    /// Through the output function, under pinned styles.
    Output(Oid),
}

/// A column in the tuple.
#[derive(Clone, Debug)]
pub struct Column {
    /// From 0.
    pub index: usize,
    pub length: i16,
    pub by_value: bool,
    pub writer: Writer,
    /// The bound name, for the object of a watched row.
    pub name: Vec<u8>,
}

/// A trigger's argument resolved against its table.
#[derive(Debug)]
pub struct Config {
    pub subject: i32,
    pub watch: i32,
    pub row: bool,
    /// A key column is gone, or the argument is not ours: nothing can be noted but that.
    pub broken: bool,
    pub key: Vec<Column>,
    /// The columns to compare besides the key; None: the whole row.
    pub compare: Option<Vec<Column>>,
    /// A watched column is gone: whatever it would have said, the row counts as changed.
    pub always: bool,
    /// Attributes to deform for all of the above.
    pub attributes: i32,
}

#[derive(Clone)]
struct Known {
    trigger: Oid,
    generation: u64,
    config: Rc<Config>,
}

thread_local! {
    static KNOWN: RefCell<HashMap<Oid, Known>> = RefCell::new(HashMap::new());
    /// The one asked for last: a statement asks for the same one with each row.
    static LAST: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// The configuration of the trigger that is firing.
///
/// # Safety
/// `data` is what the server gave to a trigger function.
pub unsafe fn of(data: &pg_sys::TriggerData) -> Rc<Config> {
    // SAFETY: the trigger and its relation are valid while it fires.
    let trigger = unsafe { &*data.tg_trigger };
    let generation = relations::tracked_generation();
    let valid = |k: &&Known| k.trigger == trigger.tgoid && k.generation == generation;
    let last = LAST.with_borrow(|last| last.as_ref().filter(valid).map(|k| k.config.clone()));
    if let Some(config) = last {
        return config;
    }
    let known = KNOWN.with_borrow(|known| known.get(&trigger.tgoid).filter(valid).cloned());
    let known = known.unwrap_or_else(|| {
        hooks::register();
        // SAFETY: as above.
        let (relation, config) = unsafe {
            let relation = &*data.tg_relation;
            (relation.rd_id, Rc::new(resolve(trigger, relation)))
        };
        relations::track(relation);
        let found = Known {
            trigger: trigger.tgoid,
            generation,
            config,
        };
        KNOWN.with_borrow_mut(|known| known.insert(trigger.tgoid, found.clone()));
        found
    });
    LAST.set(Some(known.clone()));
    known.config
}

/// # Safety
/// A trigger of this open relation.
unsafe fn resolve(trigger: &pg_sys::Trigger, relation: &pg_sys::RelationData) -> Config {
    // SAFETY: tgargs has tgnargs C strings.
    let argument = unsafe {
        (trigger.tgnargs == 1)
            .then(|| CStr::from_ptr(*trigger.tgargs).to_string_lossy())
            .and_then(|text| serde_json::from_str::<Argument>(&text).ok())
    };
    let Some(argument) = argument else {
        return Config {
            subject: 0,
            watch: 0,
            row: false,
            broken: true,
            key: Vec::new(),
            compare: None,
            always: true,
            attributes: 0,
        };
    };
    // SAFETY: an open relation.
    let find = |bound: &BoundColumn| unsafe { column(relation, bound) };
    let key: Vec<Option<Column>> = argument.key.iter().map(find).collect();
    let compare: Option<Vec<Option<Column>>> = argument
        .columns
        .as_ref()
        .map(|columns| columns.iter().map(find).collect());
    let broken = key.iter().any(Option::is_none);
    let always = compare.iter().flatten().any(Option::is_none);
    let key: Vec<Column> = key.into_iter().flatten().collect();
    let compare: Option<Vec<Column>> =
        compare.map(|columns| columns.into_iter().flatten().collect());
    let attributes = key
        .iter()
        .chain(compare.iter().flatten())
        .map(|c| c.index as i32 + 1)
        .max()
        .unwrap_or(0);
    Config {
        subject: argument.subject,
        watch: argument.watch,
        row: argument.row,
        broken,
        key,
        compare,
        always,
        attributes,
    }
}

/// # Safety
/// An open relation.
unsafe fn column(relation: &pg_sys::RelationData, bound: &BoundColumn) -> Option<Column> {
    // SAFETY: the descriptor of an open relation has natts attributes.
    let attributes = unsafe { tuples::attributes(&*relation.rd_att) };
    let named = |name: &[u8]| {
        attributes.iter().position(|a| {
            // SAFETY: a name is NUL-terminated.
            !a.attisdropped && unsafe { CStr::from_ptr(a.attname.data.as_ptr()) }.to_bytes() == name
        })
    };
    let same_type = |index: &usize| keys::type_name(attributes[*index].atttypid) == bound.2;
    let index = named(bound.0.as_bytes()).or_else(|| {
        // SAFETY: an open relation.
        if unsafe { (*relation.rd_rel).relispartition } {
            // numbers differ between a partition and the table that was bound; names do not
            // SAFETY: as above.
            let name = unsafe { renamed_in_ancestor(relation.rd_id, bound) }?;
            named(&name)
        } else {
            let index = usize::try_from(bound.1).ok()?.checked_sub(1)?;
            (index < attributes.len() && !attributes[index].attisdropped && same_type(&index))
                .then_some(index)
        }
    })?;
    let attribute = &attributes[index];
    Some(Column {
        index,
        length: attribute.attlen,
        by_value: attribute.attbyval,
        writer: writer(attribute.atttypid),
        name: bound.0.as_bytes().to_vec(),
    })
}

/// The present name of a renamed column of a partition's ancestor.
///
/// # Safety
/// Call within a transaction.
unsafe fn renamed_in_ancestor(partition: Oid, bound: &BoundColumn) -> Option<Vec<u8>> {
    // SAFETY: a list of oids, nearest ancestor first; look-ups return null or zero for what is missing.
    unsafe {
        let ancestors = get_partition_ancestors(partition);
        if ancestors.is_null() {
            return None;
        }
        let cells = std::slice::from_raw_parts((*ancestors).elements, (*ancestors).length as usize);
        cells.iter().rev().find_map(|cell| {
            let name = pg_sys::get_attname(cell.oid_value, bound.1, true);
            if name.is_null() {
                return None;
            }
            let same = keys::type_name(pg_sys::get_atttype(cell.oid_value, bound.1)) == bound.2;
            same.then(|| CStr::from_ptr(name).to_bytes().to_vec())
        })
    }
}

fn writer(oid: Oid) -> Writer {
    let base = keys::base_type(oid);
    match base {
        pg_sys::INT2OID => Writer::Int2,
        pg_sys::INT4OID => Writer::Int4,
        pg_sys::INT8OID => Writer::Int8,
        pg_sys::BOOLOID => Writer::Bool,
        pg_sys::TEXTOID | pg_sys::VARCHAROID => Writer::Text,
        pg_sys::BPCHAROID => Writer::Bpchar,
        pg_sys::UUIDOID => Writer::Uuid,
        _ => {
            let mut function = Oid::INVALID;
            let mut is_varlena = false;
            // SAFETY: catalogue look-up of a type that a column has.
            unsafe { pg_sys::getTypeOutputInfo(base, &mut function, &mut is_varlena) };
            if base == pg_sys::NUMERICOID {
                Writer::Numeric(function)
            } else {
                Writer::Output(function)
            }
        }
    }
}
