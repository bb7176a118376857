//! Documents that are bent at random, as text and as JSON: read or refused, judged, drawn, in bounded time and never with a
//! panic; and what is read is the same when it is written and read again.

use serde_json::{Value, json};

use crate::diagram::{self, Format};
use crate::document::Document;
use crate::edit;
use crate::fuzz::{Random, bend, corpus, fuzz};
use crate::program::{Program, Roles};
use crate::validate::{sql_texts, subject_columns, validate};

const WORDS: &[&str] = &[
    "\"format\": 1,",
    "\"name\": ",
    "\"kind\": ",
    "\"next\": ",
    "\"branches\": [",
    "\"of\": ",
    "\"need\": ",
    "\"legs\": [",
    "\"options\": [",
    "\"outcomes\": [",
    "\"on\": {",
    "\"due\": {\"days\": 2}",
    "\"when\": \"",
    "\"email\"",
    "\"parallel\"",
    "\"join\"",
    "\"first_of\"",
    "\"inclusive\"",
    "\"repeat\"",
    "\"sub_workflow\"",
    "\"finish\"",
    "\"back_to\": ",
    "\"sections\": [",
    "\"milestones\": [",
    "\"subjects\": \"several\",",
    "null",
    "true",
    "1e400",
    "-1",
    "99999999999999999999",
    "0.1",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "]]]]",
    "}}}}",
    ",,",
    "\"phases\": []",
    "\\",
    "\u{feff}",
];

const NUMBERS: [&str; 6] = [
    "1e400",
    "-0",
    "0.1",
    "4294967296",
    "99999999999999999999",
    "32768",
];

fn roles() -> Roles {
    let some = |name: &str| Some(name.to_owned());
    Roles {
        email: some("email"),
        phone: some("phone"),
        address: some("address"),
        locale: some("locale"),
        time_zone: some("time_zone"),
        account: some("account"),
    }
}

fn check(text: &str) -> Result<(), String> {
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) if error.message.is_empty() => {
            return Err("is refused without a word".to_owned());
        }
        Err(_) => return Ok(()),
    };
    let as_read = format!("{document:?}");
    let name = document.head.name.clone();
    let program = Program::compile(document, roles());
    let findings = format!("{:?}", validate(&program));
    let _ = (sql_texts(&program), subject_columns(&program));
    for format in Format::ALL {
        if diagram::draw(&program, None, format).is_empty() {
            return Err("is drawn as nothing".to_owned());
        }
    }
    let value: Value =
        serde_json::from_str(text).map_err(|e| format!("is read, and is no JSON: {e}"))?;
    let written = serde_json::to_string_pretty(&value).map_err(|e| e.to_string())?;
    let again = Document::parse(&written).map_err(|e| format!("cannot be read again: {e}"))?;
    if format!("{again:?}") != as_read {
        return Err("is another document when it is read again".to_owned());
    }
    if format!("{:?}", validate(&Program::compile(again, roles()))) != findings {
        return Err("is judged differently the second time".to_owned());
    }
    // Under another name and back it is the same.
    if let Ok(renamed) = edit::rename(text, "another name") {
        let back = edit::rename(&renamed, &name).and_then(|text| Document::parse(&text));
        if back.is_ok_and(|back| format!("{back:?}") != as_read) {
            return Err("is another document after it has been renamed and back".to_owned());
        }
    }
    Ok(())
}

/// The places of all values in a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (nth, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{nth}"), found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(item, &format!("{at}/{key}"), found);
            }
        }
        _ => {}
    }
}

fn any_value(document: &Value, other: &Value, random: &mut Random) -> Value {
    let of = |value: &Value, random: &mut Random| {
        let mut found = Vec::new();
        places(value, "", &mut found);
        let place = random.pick(&found).clone();
        value.pointer(&place).cloned().unwrap_or(Value::Null)
    };
    match random.below(10) {
        0..=3 => of(document, random),
        4..=5 => of(other, random),
        6 => (*random.pick(&[
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!(""),
            json!(0),
            json!(-1),
        ]))
        .clone(),
        7 => {
            let number: &&str = random.pick(&NUMBERS);
            serde_json::from_str(number).unwrap_or(Value::Null)
        }
        8 => Value::String(
            (*random.pick(&[
                "parallel", "join", "task", "finish", "email", "wait", "decision", " ", "\u{0}",
                "x\n",
            ]))
            .to_owned(),
        ),
        _ => Value::String("name ".repeat(random.below(40))),
    }
}

/// Bends a document as JSON: values replaced by others, left out, doubled, exchanged.
fn bend_json(text: &str, other: &str, random: &mut Random) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    let other: Value = serde_json::from_str(other).unwrap_or(Value::Null);
    for _ in 0..=random.below(4) {
        let mut found = Vec::new();
        places(&document, "", &mut found);
        let place = random.pick(&found).clone();
        let (parent, key) = place.rsplit_once('/').unwrap_or(("", ""));
        match random.below(6) {
            0 => match document.pointer_mut(parent) {
                Some(Value::Array(items)) => {
                    if let Some(nth) = key.parse().ok().filter(|nth| *nth < items.len()) {
                        drop(items.remove(nth));
                    }
                }
                Some(Value::Object(map)) => drop(map.shift_remove(key)),
                _ => {}
            },
            1 => {
                if let Some(Value::Array(items)) = document.pointer_mut(parent)
                    && let Some(item) = key
                        .parse()
                        .ok()
                        .and_then(|nth: usize| items.get(nth).cloned())
                {
                    items.insert(random.below(items.len() + 1), item);
                }
            }
            2 => {
                let place_of_other = random.pick(&found).clone();
                let (a, b) = (
                    document.pointer(&place).cloned(),
                    document.pointer(&place_of_other).cloned(),
                );
                if let (Some(a), Some(b)) = (a, b) {
                    document.pointer_mut(&place)?.clone_from(&b);
                    if let Some(there) = document.pointer_mut(&place_of_other) {
                        *there = a;
                    }
                }
            }
            _ => {
                let value = any_value(&document, &other, random);
                *document.pointer_mut(&place)? = value;
            }
        }
    }
    Some(document.to_string())
}

#[test]
fn documents_of_the_corpus_bent_at_random_never_panic_and_read_the_same_twice() {
    let given = corpus("documents");
    let make = |random: &mut Random| {
        let (one, other) = (random.below(given.len()), random.below(given.len()));
        let bent = match random.below(4) {
            0 => None,
            _ => bend_json(&given[one], &given[other], random),
        };
        let text = bent.unwrap_or_else(|| bend(&given[one], &given, WORDS, random));
        // Some are bent in both ways.
        if random.below(8) == 0 {
            bend(&text, &given, WORDS, random)
        } else {
            text
        }
    };
    fuzz("documents", &given, 700, make, check);
}
