//! Whatever a template and a row contain: an answer or an error, never a panic.

use proptest::prelude::*;

use super::World;
use crate::row::ColumnType;
use crate::template::Limits;

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b",
            "c",
            "d",
            "e",
            "nosuch",
            "row",
            "case",
            "vars",
            "answers",
            "today",
            "step",
            "loop",
            "true",
            "none",
            "0",
            "1",
            "-1",
            "3.50",
            "99999999999999999999",
            "0.000000000000000000001",
            "''",
            "'EUR'",
            "'2026-04-01'",
            "'é'",
            "[]",
            "{}",
            "[1, 2]",
            "{'k': a}",
            "case.id",
            "case.started_at",
            "row['a']",
            "vars.list",
            "vars.map.x",
        ])
        .prop_map(str::to_owned),
        "-?[0-9]{1,25}(\\.[0-9]{1,25})?",
        "'[^'\\\\]{0,6}'",
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = vec![
            "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in",
            "not in", "and", "or",
        ];
        let filters = vec![
            "money('EUR')",
            "money(a)",
            "number",
            "number(b)",
            "date",
            "date('long')",
            "datetime",
            "default(1)",
            "length",
            "round(b)",
            "abs",
            "sum",
            "upper",
            "title",
            "trim",
            "replace('a', 'bb')",
            "join(',')",
            "first",
            "last",
            "map('x')",
            "items",
            "sum('x')",
        ];
        let tests = vec![
            "defined",
            "undefined",
            "none",
            "number",
            "odd",
            "even",
            "divisibleby(0)",
            "divisibleby(b)",
        ];
        prop_oneof![
            (
                inner.clone(),
                prop::sample::select(operators),
                inner.clone()
            )
                .prop_map(|(l, o, r)| format!("({l} {o} {r})")),
            (inner.clone(), prop::sample::select(filters))
                .prop_map(|(v, f)| format!("({v} | {f})")),
            (inner.clone(), prop::sample::select(tests)).prop_map(|(v, t)| format!("({v} is {t})")),
            (inner.clone(), inner.clone()).prop_map(|(v, i)| format!("({v})[{i}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(v, i, j)| format!("({v})[{i}:{j}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            inner.clone().prop_map(|v| format!("(not {v})")),
            inner.clone().prop_map(|v| format!("(-{v})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("range({a}, {b}, {c})")),
            inner.prop_map(|v| format!("({v}).x")),
        ]
    })
}

fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z {}%#]{0,8}",
        expression().prop_map(|e| format!("{{{{ {e} }}}}")),
        expression().prop_map(|e| format!("{{% set a = {e} %}}")),
        (expression(), expression()).prop_map(|(c, e)| format!(
            "{{% if {c} %}}x{{% elif {e} %}}{{{{ {e} }}}}{{% endif %}}"
        )),
        (expression(), expression())
            .prop_map(|(l, e)| format!("{{% for x in {l} if x %}}{{{{ {e} }}}}{{% endfor %}}")),
        (expression(), expression()).prop_map(|(l, e)| format!(
            "{{% for x, y in {l} %}}{{{{ {e} }}}}{{% else %}}-{{% endfor %}}"
        )),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof![
        "-?[0-9]{1,45}(\\.[0-9]{1,10})?",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        "[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,6})?",
        "\\PC{0,12}",
        Just("[{\"x\":1},{\"x\":null}]".to_owned()),
        Just("infinity".to_owned()),
    ])
}

fn column_type() -> impl Strategy<Value = ColumnType> {
    use ColumnType::{Bool, Date, Json, Number, Text, Timestamp, TimestampTz};
    prop::sample::select(vec![Text, Bool, Number, Date, Timestamp, TimestampTz, Json])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn rendering_never_panics(
        text in template(),
        row in prop::collection::vec((column_type(), value()), 5),
    ) {
        let names = ["a", "b", "c", "d", "e"];
        let columns: Vec<_> = names.iter().zip(&row).map(|(name, (of_type, value))| (*name, *of_type, value.as_deref())).collect();
        let mut world = World::of(&columns);
        world.vars = serde_json::json!({"list": [1, "x", null, {"x": 2}], "map": {"x": "y"}});
        let limits = Limits { fuel: 2_000, body_bytes: 500, ..Limits::default() };
        if let Ok(body) = world.render_limited(&text, limits) {
            prop_assert!(body.len() <= 500);
        }
    }

    #[test]
    fn any_source_compiles_or_is_refused(text in "(\\PC|[{}%#\\n'\"()|]){0,60}") {
        let _ = World::invoice().render(&text);
    }

    #[test]
    fn any_locale_renders(tag in "\\PC{0,12}") {
        let mut templates = crate::template::Templates::default();
        templates.add_inline("t", "{{ open_amount | money(currency) }} {{ due_date | date }}").expect("a text");
        let templates = templates.with_base_locale(&tag);
        prop_assert!(World::invoice().render_with(&templates, "t", Some(&tag)).is_ok());
    }
}
