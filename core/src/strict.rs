//! JSON that reads without loss: what the grammar allows but a reader would drop in silence is refused.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

/// Refuses an object with a field that stands twice, of which a reader keeps only the last, and the character U+0000,
/// which PostgreSQL cannot store.
///
/// # Errors
/// What is wrong, with its line and column; also if the text is not JSON, or nested too deeply.
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Strict>(text).map(|Strict| ())
}

/// Reads a value as a type; what is wrong is said with the field that it is in.
///
/// # Errors
/// In words, for a finding.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        // The message names a field that is unknown or missing itself.
        let (outer, last) = path.rsplit_once('.').unwrap_or(("", path.as_str()));
        let place = if message.contains(&format!("`{last}`")) {
            outer
        } else {
            path.as_str()
        };
        match place {
            "" | "." => message,
            place => format!("field \"{place}\": {message}"),
        }
    })
}

/// A JSON value that was read and found in order.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Strict)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self, E> {
        if text.contains('\0') {
            return Err(E::custom(
                "the text contains the character U+0000, which PostgreSQL cannot store",
            ));
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while let Some(Strict) = list.next_element()? {}
        Ok(self)
    }

    // A number comes here too, as an object of one field: that is how serde_json passes its digits on.
    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(field) = object.next_key::<String>()? {
            Strict.visit_str::<A::Error>(&field)?;
            if seen.contains(&field) {
                return Err(A::Error::custom(format!(
                    "the field \"{field}\" stands twice in one object"
                )));
            }
            seen.insert(field);
            let Strict = object.next_value()?;
        }
        Ok(self)
    }
}
