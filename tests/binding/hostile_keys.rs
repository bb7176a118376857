//! Keys of every type with values that are out to be confused: each row gets one case of its own, which finds its row again,
//! however the session writes dates and numbers; no two rows share a case, and no row gets two.
//!
//! The long form goes on for a quarter of the time that fuzzers have: an hour, or `WF_FUZZ_MINUTES`.

use std::time::{Duration, Instant};

use serde_json::json;
use workflow_engine_tests::{Random, TestDb, edited, invoice_workflow, literal, long_form};

/// How values of a key column are made, as SQL.
type Make = fn(&mut Random) -> String;

const BITS: &[&str] = &[
    "",
    " ",
    "'",
    "''",
    "\"",
    "\\",
    "\\\\",
    "\\n",
    "\n",
    "\t",
    "\r",
    ",",
    "[",
    "]",
    "[]",
    "{",
    "}",
    "{}",
    "null",
    "NULL",
    "a",
    "A",
    "b",
    "1",
    "01",
    "1.0",
    "-",
    "--",
    "/*",
    ";",
    "$1",
    "%s",
    "%",
    "_",
    "é",
    "e\u{301}",
    "ß",
    "\u{1f600}",
    "\u{202e}",
    "\u{feff}",
    "\u{200b}",
    "\u{1}",
    "\u{7f}",
    "ı",
    "İ",
    "wf.cases",
    "\"x\"",
    "[\"a\",\"b\"]",
    "\",\"",
    "2026-04-01",
    "t",
    "true",
    "\u{ffff}",
];

fn text(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(6) {
        text.push_str(random.pick(BITS).expect("some"));
    }
    text
}

fn quoted(random: &mut Random) -> String {
    literal(&text(random))
}

fn one_of(random: &mut Random, values: &[&str]) -> String {
    (*random.pick(values).expect("some")).to_owned()
}

fn number(random: &mut Random, from: i64, to: i64) -> i64 {
    let width = to.wrapping_sub(from).unsigned_abs().max(1);
    from.wrapping_add_unsigned(random.below(width))
}

fn whole(random: &mut Random, least: i64, most: i64) -> String {
    match random.below(5) {
        0 => least,
        1 => most,
        2 => number(random, -3, 3),
        _ => number(random, least, most),
    }
    .to_string()
}

fn numeric(random: &mut Random) -> String {
    match random.below(6) {
        0 => one_of(
            random,
            &[
                "'NaN'",
                "'Infinity'",
                "'-Infinity'",
                "0",
                "0.000",
                "-0.0",
                "1e100",
                "1e-100",
            ],
        ),
        1 => format!("{}.{}00", random.below(1000), random.below(100)),
        _ => format!(
            "{}{}.{}",
            one_of(random, &["", "-"]),
            random.number(),
            random.number()
        ),
    }
}

fn float(random: &mut Random) -> String {
    match random.below(4) {
        0 => one_of(
            random,
            &[
                "'NaN'",
                "'Infinity'",
                "'-Infinity'",
                "'-0'",
                "'0'",
                "'4.9e-324'",
                "'1.7976931348623157e308'",
                "'0.1'",
                "'1e15'",
                "'1e16'",
            ],
        ),
        _ => format!(
            "'{}'",
            f64::from_bits(random.number() & !(0x7ff << 52) | (random.below(2046) << 52))
        ),
    }
}

fn day(random: &mut Random) -> String {
    match random.below(5) {
        0 => one_of(
            random,
            &[
                "'infinity'",
                "'-infinity'",
                "'0001-01-01'",
                "'4713-01-01 BC'",
                "'5874897-12-31'",
                "'0044-03-15 BC'",
            ],
        ),
        _ => format!(
            "'2000-01-01'::date + {}",
            number(random, -700_000, 2_000_000)
        ),
    }
}

fn moment(random: &mut Random) -> String {
    match random.below(5) {
        0 => one_of(
            random,
            &[
                "'infinity'",
                "'-infinity'",
                "'0044-03-15 12:00 BC'",
                "'2026-03-29 02:30'",
                "'2026-10-25 02:30'",
                "'294276-12-31 23:59:59.999999'",
            ],
        ),
        _ => format!(
            "'2000-01-01'::timestamp + {} * interval '1 microsecond'",
            number(random, -60_000_000_000_000_000, 250_000_000_000_000_000)
        ),
    }
}

fn interval(random: &mut Random) -> String {
    format!(
        "make_interval(months => {}, days => {}, secs => {}.{})",
        number(random, -40, 40),
        number(random, -40, 40),
        number(random, -100_000, 100_000),
        random.below(1_000_000)
    )
}

fn bytes(random: &mut Random) -> String {
    format!(
        "decode('{:016x}', 'hex')",
        random.number() >> (random.below(8) * 8)
    )
}

/// The types of a key's columns, and how their values are made.
const KEYS: &[(&str, &[(&str, Make)])] = &[
    ("small", &[("smallint", |r| whole(r, -32_768, 32_767))]),
    (
        "whole",
        &[("integer", |r| whole(r, -2_147_483_648, 2_147_483_647))],
    ),
    ("large", &[("bigint", |r| whole(r, i64::MIN, i64::MAX))]),
    ("words", &[("text", quoted)]),
    (
        "shorter",
        &[("varchar(40)", |r| format!("left({}, 40)", quoted(r)))],
    ),
    (
        "padded",
        &[("char(12)", |r| format!("left({}, 12)", quoted(r)))],
    ),
    ("a_name", &[("name", quoted)]),
    (
        "id",
        &[("uuid", |r| {
            format!("'{:032x}'", u128::from(r.number()) << (r.below(64)))
        })],
    ),
    ("yes", &[("boolean", |r| one_of(r, &["true", "false"]))]),
    ("exact", &[("numeric", numeric)]),
    (
        "money",
        &[("numeric(20,4)", |r| {
            format!("{}.{:04}", r.below(1_000_000), r.below(10_000))
        })],
    ),
    ("rough", &[("double precision", float)]),
    (
        "rougher",
        &[("real", |r| {
            format!("'{}'", f32::from_bits((r.number() as u32) & 0x7eff_ffff))
        })],
    ),
    ("day", &[("date", day)]),
    ("local", &[("timestamp", moment)]),
    (
        "instant",
        &[("timestamptz", |r| format!("({})::timestamptz", moment(r)))],
    ),
    (
        "seconds",
        // The last moment of all is rounded up to one that PostgreSQL writes and cannot read.
        &[("timestamp(0)", |r| {
            format!("least(({})::timestamp, '294276-12-31 23:59:59')", moment(r))
        })],
    ),
    (
        "clock",
        &[("time", |r| {
            format!(
                "'{:02}:{:02}:{:02}.{}'",
                r.below(24),
                r.below(60),
                r.below(60),
                r.below(1_000_000)
            )
        })],
    ),
    ("span", &[("interval", interval)]),
    ("raw", &[("bytea", bytes)]),
    (
        "host",
        &[("inet", |r| {
            format!("'10.{}.0.{}/{}'", r.below(256), r.below(256), r.below(33))
        })],
    ),
    (
        "structure",
        &[("jsonb", |r| {
            format!(
                "jsonb_build_object({}, {})",
                literal(&format!("k{}", text(r))),
                numeric(r)
                    .replace("'NaN'", "1")
                    .replace("'Infinity'", "2")
                    .replace("'-Infinity'", "3")
            )
        })],
    ),
    (
        "list",
        &[("text[]", |r| format!("ARRAY[{}, {}]", quoted(r), quoted(r)))],
    ),
    (
        "chosen",
        &[("some_choice", |r| {
            one_of(r, &["'a'", "'B'", "'a,b'", "'\"'", "' '"])
        })],
    ),
    ("own_type", &[("own_text", quoted)]),
    ("two_texts", &[("text", quoted), ("text", quoted)]),
    (
        "text_and_whole",
        &[("text", quoted), ("integer", |r| whole(r, -9, 9))],
    ),
    (
        "three",
        &[
            ("date", day),
            ("numeric", numeric),
            ("char(4)", |r| format!("left({}, 4)", quoted(r))),
        ],
    ),
    (
        "moment_and_bytes",
        &[
            ("timestamptz", |r| format!("({})::timestamptz", moment(r))),
            ("bytea", bytes),
        ],
    ),
];

/// How the session writes what it is asked for.
fn any_style(random: &mut Random) -> String {
    format!(
        "SET DateStyle = '{}'; SET IntervalStyle = '{}'; SET TimeZone = '{}'; SET extra_float_digits = {}; SET bytea_output = '{}'",
        one_of(
            random,
            &["ISO, DMY", "SQL, MDY", "German, DMY", "Postgres, YMD"]
        ),
        one_of(
            random,
            &["postgres", "iso_8601", "sql_standard", "postgres_verbose"]
        ),
        one_of(
            random,
            &["UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Apia"]
        ),
        one_of(random, &["-15", "0", "1", "3"]),
        one_of(random, &["hex", "escape"]),
    )
}

fn columns(of: &[(&str, Make)]) -> Vec<String> {
    (1..=of.len()).map(|nth| format!("k{nth}")).collect()
}

fn bind(db: &mut TestDb, name: &str, of: &[(&str, Make)]) {
    let keys = columns(of);
    let defined: Vec<String> = keys
        .iter()
        .zip(of)
        .map(|(k, (kind, _))| format!("{k} {kind}"))
        .collect();
    let (defined, keys) = (defined.join(", "), keys.join(", "));
    db.exec(&format!(
        "CREATE TABLE \"{name}\" ({defined}, state text NOT NULL DEFAULT 'posted', PRIMARY KEY ({keys}));
         SELECT wf.bind_subject('{name}', 'public.\"{name}\"', key => '{keys}')"
    ));
    let steps =
        json!([{"name": "look", "kind": "task", "participant": "clerk", "due": {"days": 1}}]);
    db.install(&edited(
        invoice_workflow(&format!("of {name}"), steps),
        |doc| {
            doc["subject"] = name.into();
            doc["start"] = json!({"when": "state = 'posted'"});
            doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
            doc["templates"] = json!({});
        },
    ));
}

/// Some rows come, are looked at twice, and go.
fn try_rows(db: &mut TestDb, random: &mut Random, name: &str, of: &[(&str, Make)]) -> usize {
    let keys = columns(of).join(", ");
    for _ in 0..3 {
        let rows: Vec<String> = (0..5)
            .map(|_| {
                let values: Vec<String> = of.iter().map(|(_, make)| make(random)).collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let style = any_style(random);
        db.exec(&style);
        for row in &rows {
            // One may be out of range, or there already.
            if let Err(failure) = db.try_exec(&format!(
                "INSERT INTO \"{name}\" ({keys}) VALUES {row} ON CONFLICT DO NOTHING"
            )) {
                assert!(
                    failure.sqlstate.starts_with("22"),
                    "{name}: {row}: {}",
                    failure.text()
                );
            }
        }
    }
    db.run_due();
    let rows: usize = db.one(&format!("SELECT count(*) FROM \"{name}\""));
    let shown = format!("SELECT {keys} FROM \"{name}\"");
    let told = |db: &mut TestDb| {
        format!(
            "{:?}\n{:?}",
            db.lines(&shown),
            db.lines("SELECT key, state FROM probe.cases()")
        )
    };
    for once_more in [false, true] {
        if once_more {
            db.exec(&any_style(random));
            db.exec(&format!("SELECT wf.reconcile('{name}')"));
            db.run_due();
        }
        let found = db.lines(&format!(
            "SELECT (SELECT count(*) FROM wf.cases WHERE ended_at IS NULL), (SELECT count(DISTINCT key) FROM wf.cases WHERE ended_at IS NULL),
                    (SELECT count(DISTINCT c.case_id) FROM \"{name}\" JOIN wf.\"{name}_cases\" AS c USING ({keys}) WHERE c.state = 'running')"
        ));
        let all = format!("{rows} | {rows} | {rows}");
        assert!(
            found == [all.clone()],
            "{name}: {found:?}, and not {all}\n{}",
            told(db)
        );
    }
    db.exec(&format!("UPDATE \"{name}\" SET state = 'paid'"));
    db.run_due();
    let open: i64 = db.one("SELECT count(*) FROM wf.cases WHERE ended_at IS NULL");
    assert_eq!(open, 0, "{name}: {}", told(db));
    db.exec(&format!("DELETE FROM \"{name}\""));
    db.run_due();
    db.expect("SELECT message FROM wf.incidents", super::NONE);
    db.expect("SELECT count(*) FROM wf.inbox", &[0]);
    rows
}

#[test]
fn keys_of_all_types_with_hostile_values_come_back_and_are_never_confused() {
    let mut random = Random::seeded();
    let mut db = TestDb::new();
    db.clock("2026-03-02 10:00");
    db.exec("CREATE TYPE some_choice AS ENUM ('a', 'B', 'a,b', '\"', ' '); CREATE DOMAIN own_text AS text CHECK (length(VALUE) < 1000)");
    for (name, of) in KEYS {
        bind(&mut db, name, of);
    }
    let until = long_form().then(|| {
        let minutes = std::env::var("WF_FUZZ_MINUTES")
            .ok()
            .and_then(|m| m.parse::<f64>().ok());
        Instant::now() + Duration::from_secs_f64(15.0 * minutes.unwrap_or(60.0))
    });
    let (mut rounds, mut rows) = (0, 0);
    loop {
        for (name, of) in KEYS {
            rows += try_rows(&mut db, &mut random, name, of);
        }
        rounds += 1;
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    println!(
        "{rows} rows with keys of {} types in {rounds} rounds",
        KEYS.len()
    );
}
