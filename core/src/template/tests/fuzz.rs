//! Templates that are bent at random, about rows with anything in them: a text or an error, within their limits, and the
//! same twice.

use super::World;
use crate::fuzz::{Random, bend, corpus, fuzz};
use crate::row::{ColumnType, Columns, Row};
use crate::template::{Limits, Templates};

const WORDS: &[&str] = &[
    "{{ ",
    " }}",
    "{% if ",
    "{% endif %}",
    "{% else %}",
    "{% elif x %}",
    "{% for c in subjects %}",
    "{% endfor %}",
    "{% set a = ",
    " %}",
    "{# ",
    " #}",
    "{%- ",
    " -%}",
    "{% raw %}",
    "{% endraw %}",
    "{% include 'x' %}",
    "{% macro m() %}",
    " | money(currency)",
    " | money('EUR')",
    " | date",
    " | date('long')",
    " | datetime",
    " | number",
    " | round(3)",
    " | default('')",
    " | length",
    " | join(',')",
    " | first",
    " | sum",
    " | totals('open_amount', 'currency')",
    " | items",
    " | replace('a', 'bb')",
    " | map('x')",
    " is defined",
    " is divisibleby(0)",
    " not in ",
    " // ",
    " ** ",
    " ~ ",
    "[1:]",
    "[::0]",
    "loop.index",
    "range(9999)",
    "range(-1, 10, 0)",
    "case.",
    "vars",
    "answers['",
    "row['",
    "subjects[0]",
    "today",
    "99999999999999999999999999999",
    "1e400",
    "-0",
    "0.0000000000000000000000001",
    "(((((((((",
    "))))))",
    "'\u{0}'",
    "\u{202e}",
    "'é'",
    "none",
    "true",
];

/// Values that columns may hold, whatever their type.
const VALUES: &[&str] = &[
    "",
    "0",
    "-0",
    "1",
    "-1",
    "0.005",
    "99999999999999999999999999999999999999",
    "1e400",
    "NaN",
    "Infinity",
    "t",
    "f",
    "2026-02-29",
    "2026-04-01",
    "0001-01-01",
    "9999-12-31",
    "infinity",
    "-infinity",
    "2026-03-29 02:30:00",
    "1774909800000000",
    "-9223372036854775808",
    "[]",
    "{}",
    "[{\"x\":1},{\"x\":null}]",
    "{\"a\":{\"a\":{\"a\":[]}}}",
    "not json",
    "EUR",
    "XXX",
    "e",
    "\r\nBcc: all@example.org",
    "{{ 7 * 7 }}",
    "\u{202e}",
    "é",
    "\u{1f600}",
    "'",
    "\\",
];

const NAMES: [&str; 6] = [
    "open_amount",
    "currency",
    "due_date",
    "number",
    "lines",
    "Claim-ID",
];

/// A row with anything in it, made from a number: so that a text alone says what was tried.
fn row(random: &mut Random) -> (Columns, Vec<Option<String>>) {
    use ColumnType::{Bool, Date, Json, Number, Text, Timestamp, TimestampTz};
    let types = [Text, Bool, Number, Date, Timestamp, TimestampTz, Json];
    let columns = NAMES.map(|name| (name.to_owned(), *random.pick(&types)));
    let values = NAMES.map(|_| (random.below(6) > 0).then(|| (*random.pick(VALUES)).to_owned()));
    (Columns::new(columns), values.to_vec())
}

fn check(text: &str) -> Result<(), String> {
    let seed = text.bytes().fold(7u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut random = Random::new(seed);
    let limits = Limits {
        fuel: 5_000,
        body_bytes: 2_000,
        ..Limits::default()
    };
    let locales = ["en", "nl", "tr", "ar", "xx", "", "\u{0}"];
    let locale: &&str = random.pick(&locales);
    let mut templates = Templates::default().with_base_locale(locale);
    templates.set_limits(limits);
    if templates.add_inline("t", text).is_err() {
        // What does not compile cannot be rendered, and names nothing that it needs.
        let refused = World::invoice().render_with(&templates, "t", None).is_err();
        return if refused {
            Ok(())
        } else {
            Err("renders what does not compile".to_owned())
        };
    }
    let _ = (
        templates.variables("t"),
        templates.uses_subjects("t"),
        templates.words_of_subjects(),
    );
    for nth in 0..3 {
        let mut world = World::invoice();
        if nth > 0 {
            (world.columns, world.values) = row(&mut random);
        }
        world.vars =
            serde_json::json!({"list": [1, "x", null, {"x": 2}], "map": {"x": "y"}, "big": 1e300});
        let (columns, values) = row(&mut random);
        let subjects: Vec<Row<'_>> = (0..nth)
            .map(|_| Row {
                columns: &columns,
                values: &values,
            })
            .collect();
        let render = || world.render_all(&templates, "t", Some("nl-BE"), &subjects);
        match (render(), render()) {
            (Ok(first), Ok(second)) if first == second => {
                if first.body.len() > limits.body_bytes {
                    return Err(format!("writes {} bytes", first.body.len()));
                }
            }
            (Err(first), Err(second)) if first.message == second.message => {
                if first.message.is_empty() {
                    return Err("fails without a word".to_owned());
                }
            }
            _ => return Err("comes out differently the second time".to_owned()),
        }
    }
    Ok(())
}

#[test]
fn templates_of_the_corpus_bent_at_random_never_panic_and_stay_in_their_limits() {
    let given = corpus("templates");
    let make = |random: &mut Random| {
        let index = random.below(given.len());
        bend(&given[index], &given, WORDS, random)
    };
    fuzz("templates", &given, 2_000, make, check);
}
