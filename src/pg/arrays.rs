//! Array arguments, laid out in one piece: a batch passes tens of thousands of values, and a call of the server for
//! each of them costs more than the row that it becomes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::{self, Datum, Oid};

use super::raise::internal;
use super::spi::{self, Arg};
use super::types::{ToArg, arg};

/// What stands before the data of an array of one dimension without nulls: its length, the number of dimensions, the
/// offset of the data or 0, the type of the elements, their number and the first one's number.
const HEADER: usize = 24;

/// The alignment of an array's data, that of the most demanding type.
const ALIGNMENT: usize = 8;

/// An array in the making.
struct Elements {
    data: Vec<u8>,
    /// A bit for each element, set unless it is null.
    present: Vec<u8>,
    count: usize,
    any_null: bool,
}

impl Elements {
    fn with_capacity(elements: usize) -> Self {
        Self {
            data: Vec::with_capacity(elements * 8),
            present: Vec::with_capacity(elements.div_ceil(8)),
            count: 0,
            any_null: false,
        }
    }

    fn push<T: ToArg>(&mut self, value: Option<T>) {
        if self.count.is_multiple_of(8) {
            self.present.push(0);
        }
        match value {
            Some(value) => {
                if let Some(bits) = self.present.last_mut() {
                    *bits |= 1 << (self.count % 8);
                }
                value.append(&mut self.data);
            }
            None => self.any_null = true,
        }
        self.count += 1;
    }

    fn into_datum(self, element: Oid) -> Datum {
        if self.count == 0 {
            // SAFETY: plain call.
            return unsafe { Datum::from(pg_sys::construct_empty_array(element)) };
        }
        let data_at = if self.any_null {
            (HEADER + self.present.len()).next_multiple_of(ALIGNMENT)
        } else {
            HEADER
        };
        let size = data_at + self.data.len();
        let word = |value: usize| {
            u32::try_from(value).unwrap_or_else(|_| internal("an array argument is too large"))
        };
        let words = [
            1,
            if self.any_null { word(data_at) } else { 0 },
            element.to_u32(),
            word(self.count),
            1,
        ];
        // SAFETY: palloc gives memory of this size or raises an ERROR, its own limit for one value included; everything
        // up to it is written: the length word, five words, the null bits with their padding, the data.
        unsafe {
            let array = pg_sys::palloc(size).cast::<u8>();
            pgrx::set_varsize_4b(array.cast(), word(size) as i32);
            std::ptr::copy_nonoverlapping(words.as_ptr().cast::<u8>(), array.add(4), HEADER - 4);
            if self.any_null {
                std::ptr::write_bytes(array.add(HEADER), 0, data_at - HEADER);
                let present = array.add(HEADER);
                std::ptr::copy_nonoverlapping(self.present.as_ptr(), present, self.present.len());
            }
            std::ptr::copy_nonoverlapping(self.data.as_ptr(), array.add(data_at), self.data.len());
            Datum::from(array)
        }
    }
}

/// An array argument.
pub fn array<T: ToArg>(values: impl IntoIterator<Item = T>) -> Arg {
    array_of(values.into_iter().map(Some))
}

/// An array argument whose elements may be NULL.
pub fn array_of<T: ToArg>(values: impl IntoIterator<Item = Option<T>>) -> Arg {
    let values = values.into_iter();
    let mut elements = Elements::with_capacity(values.size_hint().0);
    values.for_each(|value| elements.push(value));
    Arg {
        oid: T::ARRAY_OID,
        datum: Some(elements.into_datum(T::OID)),
    }
}

/// An enum type of the extension: its own id, that of its arrays, and those of its labels.
struct Labels {
    oid: Oid,
    array: Oid,
    labels: HashMap<String, Oid>,
}

thread_local! {
    static ENUMS: RefCell<HashMap<&'static str, Rc<Labels>>> = RefCell::default();
}

/// Forgets the ids of enum types.
pub fn forget() {
    ENUMS.with_borrow_mut(HashMap::clear);
}

/// A label of one of the extension's enum types, as rows hold it.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// The type's name, with its schema.
    pub of: &'static str,
    pub oid: Oid,
}

/// A label of an enum type.
pub fn label(name: &'static str, label: &str) -> Label {
    let oid = known_labels(name).of(name, label);
    Label { of: name, oid }
}

/// The id of an enum type.
pub fn enum_oid(name: &'static str) -> Oid {
    known_labels(name).oid
}

fn known_labels(name: &'static str) -> Rc<Labels> {
    let known = ENUMS.with_borrow(|enums| enums.get(name).cloned());
    known.unwrap_or_else(|| {
        let read = Rc::new(read_labels(name));
        ENUMS.with_borrow_mut(|enums| enums.insert(name, read.clone()));
        read
    })
}

impl Labels {
    fn of(&self, name: &str, label: &str) -> Oid {
        let known = self.labels.get(label);
        *known.unwrap_or_else(|| internal(&format!("type {name} has no label {label}")))
    }
}

/// An array argument of an enum type (`wf.case_state`), from its labels: a cast in the statement would look each one
/// up by name.
pub fn labels<'a>(name: &'static str, values: impl IntoIterator<Item = &'a str>) -> Arg {
    let known = known_labels(name);
    let values = values.into_iter();
    let mut elements = Elements::with_capacity(values.size_hint().0);
    for label in values {
        elements.push(Some(known.of(name, label)));
    }
    Arg {
        oid: known.array,
        datum: Some(elements.into_datum(known.oid)),
    }
}

fn read_labels(name: &str) -> Labels {
    let rows = spi::query(
        "SELECT t.oid, t.typarray, e.oid, e.enumlabel::text
         FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_enum AS e ON e.enumtypid = t.oid
         WHERE t.oid = $1::pg_catalog.regtype",
        &[arg(name)],
    );
    let Some(first) = rows.first() else {
        internal(&format!("type {name} does not exist"))
    };
    Labels {
        oid: first.must(1),
        array: first.must(2),
        labels: rows.iter().map(|row| (row.must(4), row.must(3))).collect(),
    }
}
