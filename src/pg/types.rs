//! Rust values as statement arguments and column values: the few types that the engine's statements use.

use chrono::{DateTime, TimeZone, Utc};
use pgrx::datum::Interval;
use pgrx::pg_sys::{self, Datum, Oid};

use super::arena::Arena;
pub use super::arrays::{array, array_of, labels};
use super::raise::internal;
use super::spi::{Arg, FromColumn};

/// Microseconds between the Unix epoch and PostgreSQL's, 2000-01-01.
const EPOCH_OFFSET: i64 = 946_684_800_000_000;

/// A timestamptz datum's microseconds as an instant. PostgreSQL's infinities become chrono's ends of time.
pub fn instant_from_pg(micros: i64) -> DateTime<Utc> {
    match micros {
        i64::MIN => DateTime::<Utc>::MIN_UTC,
        i64::MAX => DateTime::<Utc>::MAX_UTC,
        finite => finite
            .checked_add(EPOCH_OFFSET)
            .and_then(|unix| Utc.timestamp_micros(unix).single())
            .unwrap_or(DateTime::<Utc>::MAX_UTC),
    }
}

/// An instant as a timestamptz datum's microseconds.
pub fn instant_to_pg(at: DateTime<Utc>) -> i64 {
    if at == DateTime::<Utc>::MAX_UTC {
        i64::MAX
    } else if at == DateTime::<Utc>::MIN_UTC {
        i64::MIN
    } else {
        at.timestamp_micros() - EPOCH_OFFSET
    }
}

/// An interval as text that PostgreSQL reads as the same.
pub fn interval_text(interval: Interval) -> String {
    format!(
        "{} months {} days {} microseconds",
        interval.months(),
        interval.days(),
        interval.micros()
    )
}

/// A Rust value that can be passed as one argument.
pub trait ToArg {
    const OID: Oid;
    const ARRAY_OID: Oid;
    fn to_datum(&self) -> Datum;
    /// Appends the value as an element of an array, padded to the alignment of its type.
    fn append(&self, elements: &mut Vec<u8>);
    /// The value for a row that is written before the arena is emptied.
    fn in_arena(&self, _arena: &Arena) -> Datum {
        self.to_datum()
    }
}

macro_rules! by_value {
    ($type:ty, $oid:ident, $array:ident, |$v:ident| $datum:expr, $bytes:expr) => {
        impl ToArg for $type {
            const OID: Oid = pg_sys::$oid;
            const ARRAY_OID: Oid = pg_sys::$array;
            fn to_datum(&self) -> Datum {
                let $v = *self;
                $datum
            }
            fn append(&self, elements: &mut Vec<u8>) {
                let $v = *self;
                elements.extend_from_slice(&$bytes);
            }
        }
    };
}
by_value!(
    bool,
    BOOLOID,
    BOOLARRAYOID,
    |v| Datum::from(v),
    [u8::from(v)]
);
by_value!(
    i16,
    INT2OID,
    INT2ARRAYOID,
    |v| Datum::from(v),
    v.to_ne_bytes()
);
by_value!(
    i32,
    INT4OID,
    INT4ARRAYOID,
    |v| Datum::from(v),
    v.to_ne_bytes()
);
by_value!(
    i64,
    INT8OID,
    INT8ARRAYOID,
    |v| Datum::from(v),
    v.to_ne_bytes()
);
by_value!(
    Oid,
    OIDOID,
    OIDARRAYOID,
    |v| Datum::from(v),
    v.to_u32().to_ne_bytes()
);
by_value!(
    DateTime<Utc>,
    TIMESTAMPTZOID,
    TIMESTAMPTZARRAYOID,
    |v| Datum::from(instant_to_pg(v)),
    instant_to_pg(v).to_ne_bytes()
);

/// A text as an array's element: a length word that counts itself, the bytes, and padding.
fn append_text(text: &[u8], elements: &mut Vec<u8>) {
    let length = u32::try_from(text.len() + 4).unwrap_or(u32::MAX);
    // The two bits of the word that say "not compressed, four bytes" are its lowest or its highest in memory order.
    let word = if cfg!(target_endian = "little") {
        length << 2
    } else {
        length & 0x3fff_ffff
    };
    elements.extend_from_slice(&word.to_ne_bytes());
    elements.extend_from_slice(text);
    elements.resize(elements.len().next_multiple_of(4), 0);
}

impl ToArg for &str {
    const OID: Oid = pg_sys::TEXTOID;
    const ARRAY_OID: Oid = pg_sys::TEXTARRAYOID;
    fn to_datum(&self) -> Datum {
        self.as_bytes().to_datum()
    }
    fn append(&self, elements: &mut Vec<u8>) {
        self.as_bytes().append(elements);
    }
    fn in_arena(&self, arena: &Arena) -> Datum {
        arena.varlena(self.as_bytes())
    }
}

/// JSON text that is known to be well-formed, so that the server need not parse it once more: a json value is stored as
/// its text.
#[derive(Clone, Copy)]
pub struct Json<'a>(pub &'a str);

impl ToArg for Json<'_> {
    const OID: Oid = pg_sys::JSONOID;
    const ARRAY_OID: Oid = pg_sys::JSONARRAYOID;
    fn to_datum(&self) -> Datum {
        self.0.to_datum()
    }
    fn append(&self, elements: &mut Vec<u8>) {
        self.0.append(elements);
    }
    fn in_arena(&self, arena: &Arena) -> Datum {
        arena.varlena(self.0.as_bytes())
    }
}

/// Text that came out of this database and is in its encoding, whatever that is.
impl ToArg for &[u8] {
    const OID: Oid = pg_sys::TEXTOID;
    const ARRAY_OID: Oid = pg_sys::TEXTARRAYOID;
    fn to_datum(&self) -> Datum {
        // SAFETY: copies the bytes into the current memory context.
        unsafe {
            Datum::from(pg_sys::cstring_to_text_with_len(
                self.as_ptr().cast(),
                self.len() as i32,
            ))
        }
    }
    fn append(&self, elements: &mut Vec<u8>) {
        append_text(self, elements);
    }
    fn in_arena(&self, arena: &Arena) -> Datum {
        arena.varlena(self)
    }
}

/// A value of the one-byte type "char".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Char(pub u8);

by_value!(
    Char,
    CHAROID,
    CHARARRAYOID,
    |v| Datum::from(v.0 as i8),
    [v.0]
);

impl ToArg for String {
    const OID: Oid = pg_sys::TEXTOID;
    const ARRAY_OID: Oid = pg_sys::TEXTARRAYOID;
    fn to_datum(&self) -> Datum {
        self.as_str().to_datum()
    }
    fn append(&self, elements: &mut Vec<u8>) {
        append_text(self.as_bytes(), elements);
    }
    fn in_arena(&self, arena: &Arena) -> Datum {
        arena.varlena(self.as_bytes())
    }
}

impl<T: ToArg> ToArg for &T {
    const OID: Oid = T::OID;
    const ARRAY_OID: Oid = T::ARRAY_OID;
    fn to_datum(&self) -> Datum {
        (*self).to_datum()
    }
    fn append(&self, elements: &mut Vec<u8>) {
        (*self).append(elements);
    }
    fn in_arena(&self, arena: &Arena) -> Datum {
        (*self).in_arena(arena)
    }
}

/// A type whose values are so many bytes, behind a pointer.
macro_rules! bytes {
    ($type:ty, $size:literal, $oid:ident, $array:ident) => {
        impl ToArg for $type {
            const OID: Oid = pg_sys::$oid;
            const ARRAY_OID: Oid = pg_sys::$array;
            fn to_datum(&self) -> Datum {
                // SAFETY: so many bytes copied into memory of the current context, which is what such a value is.
                unsafe {
                    let copy = pg_sys::palloc($size).cast::<u8>();
                    std::ptr::copy_nonoverlapping(self.0.as_ptr(), copy, $size);
                    Datum::from(copy)
                }
            }
            fn append(&self, elements: &mut Vec<u8>) {
                elements.extend_from_slice(&self.0);
            }
            fn in_arena(&self, arena: &Arena) -> Datum {
                arena.bytes(&self.0)
            }
        }

        impl FromColumn for $type {
            unsafe fn from_column(datum: Datum) -> Self {
                // SAFETY: a value of this type, by the trait's contract: so many bytes, never toasted.
                unsafe { Self(*datum.cast_mut_ptr::<[u8; $size]>()) }
            }
        }
    };
}

/// A uuid.
#[derive(Clone, Copy)]
pub struct UuidBytes(pub [u8; 16]);

bytes!(UuidBytes, 16, UUIDOID, UUIDARRAYOID);

/// Where a row lies in its table; names a row as long as it is locked and this transaction has not changed it.
#[derive(Clone, Copy, Debug)]
pub struct RowPlace([u8; 6]);

bytes!(RowPlace, 6, TIDOID, TIDARRAYOID);

/// Random (version 4) uuids from the server's strong random source, asked once for all of them.
pub fn random_keys(count: usize) -> Vec<UuidBytes> {
    let mut bytes = vec![0u8; count * 16];
    // SAFETY: a buffer of the length given; false when no random bytes could be had.
    if count > 0 && !unsafe { pg_sys::pg_strong_random(bytes.as_mut_ptr().cast(), bytes.len()) } {
        internal("the server could not make random bytes");
    }
    bytes
        .chunks_exact(16)
        .map(|chunk| {
            let mut key = [0u8; 16];
            key.copy_from_slice(chunk);
            key[6] = key[6] & 0x0f | 0x40;
            key[8] = key[8] & 0x3f | 0x80;
            UuidBytes(key)
        })
        .collect()
}

/// One scalar argument.
pub fn arg<T: ToArg>(value: T) -> Arg {
    Arg {
        oid: T::OID,
        datum: Some(value.to_datum()),
    }
}

/// One scalar argument that may be NULL.
pub fn optional<T: ToArg>(value: Option<T>) -> Arg {
    Arg {
        oid: T::OID,
        datum: value.map(|v| v.to_datum()),
    }
}

macro_rules! column {
    ($type:ty, |$d:ident| $value:expr) => {
        impl FromColumn for $type {
            unsafe fn from_column($d: Datum) -> Self {
                $value
            }
        }
    };
}
column!(bool, |d| d.value() & 0xff != 0);
column!(i16, |d| d.value() as i16);
column!(i32, |d| d.value() as i32);
column!(i64, |d| d.value() as i64);
column!(Char, |d| Char(d.value() as u8));
column!(Oid, |d| Oid::from(d.value() as u32));
column!(DateTime<Utc>, |d| instant_from_pg(d.value() as i64));

impl FromColumn for String {
    unsafe fn from_column(datum: Datum) -> Self {
        // SAFETY: a text value, by the trait's contract; detoasted, copied, and freed if detoasting made a copy.
        unsafe {
            let original = datum.cast_mut_ptr::<pg_sys::varlena>();
            let packed = pg_sys::pg_detoast_datum_packed(original);
            let bytes = pgrx::varlena_to_byte_slice(packed);
            let text = std::str::from_utf8(bytes).map(str::to_owned);
            if packed != original {
                pg_sys::pfree(packed.cast());
            }
            text.unwrap_or_else(|_| {
                internal(
                    "text that is not UTF-8; workflow_engine needs a database with encoding UTF8",
                )
            })
        }
    }
}

impl<T: FromColumn> FromColumn for Vec<Option<T>> {
    unsafe fn from_column(datum: Datum) -> Self {
        // SAFETY: an array value of T's element type, by the trait's contract.
        unsafe {
            let array = pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
            let element = (*array).elemtype;
            let (mut length, mut by_value, mut align) = (0i16, false, 0);
            pg_sys::get_typlenbyvalalign(element, &mut length, &mut by_value, &mut align);
            let mut datums: *mut Datum = std::ptr::null_mut();
            let mut nulls: *mut bool = std::ptr::null_mut();
            let mut count = 0i32;
            pg_sys::deconstruct_array(
                array,
                element,
                length.into(),
                by_value,
                align,
                &mut datums,
                &mut nulls,
                &mut count,
            );
            (0..count as usize)
                .map(|i| {
                    if *nulls.add(i) {
                        None
                    } else {
                        Some(T::from_column(*datums.add(i)))
                    }
                })
                .collect()
        }
    }
}
