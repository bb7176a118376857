//! What is found in templates when they are defined, before anything is rendered.

use std::collections::BTreeSet;

use serde_json::json;

use super::{World, sources};
use crate::template::{LocaleVariant, Part, TemplateFinding, TemplateSource, Templates};

fn findings(body: &str) -> Vec<TemplateFinding> {
    Templates::compile(&sources(json!({"t": {"body": body}}))).1
}

#[test]
fn a_document_round_trips_and_unknown_fields_are_refused() {
    let text = json!({"subject": "s", "body": "b", "locales": {"nl": {"body": "n"}}});
    let source: TemplateSource = serde_json::from_value(text.clone()).expect("a template");
    assert_eq!(
        source.locales["nl"],
        LocaleVariant {
            subject: None,
            body: "n".into()
        }
    );
    assert_eq!(serde_json::to_value(&source).expect("JSON"), text);
    assert!(serde_json::from_value::<TemplateSource>(json!({"body": "b", "bodi": "c"})).is_err());
    assert!(serde_json::from_value::<TemplateSource>(json!({"subject": "s"})).is_err());
    let schema = serde_json::to_string(&schemars::schema_for!(TemplateSource)).expect("a schema");
    assert!(
        schema.contains("Variants by language tag")
            && schema.contains("\"additionalProperties\":false")
    );
}

#[test]
fn all_findings_come_at_once_with_template_language_part_and_line() {
    let (templates, findings) = Templates::compile(&sources(json!({
        "a": {"subject": "{{ x", "body": "one\n{% if %}", "locales": {"nl": {"body": "{{ x | mony('EUR') }}"}}},
        "b": {"body": "fine"},
        "c": {"body": "{{ case.started }}"}
    })));
    let places: Vec<_> = findings
        .iter()
        .map(|f| (f.template.as_str(), f.locale.as_deref(), f.part))
        .collect();
    assert_eq!(
        places,
        [
            ("a", None, Part::Subject),
            ("a", None, Part::Body),
            ("a", Some("nl"), Part::Body),
            ("c", None, Part::Body)
        ]
    );
    assert!(
        findings[1].message.starts_with("line 2: "),
        "{:?}",
        findings[1]
    );
    assert_eq!(findings[2].message, "line 1: filter \"mony\" is unknown");
    assert_eq!(findings[2].hint.as_deref(), Some("Did you mean \"money\"?"));
    assert_eq!(findings[3].message, "line 1: case has no field \"started\"");
    assert_eq!(
        World::invoice()
            .render_with(&templates, "b", None)
            .expect("a text")
            .body,
        "fine"
    );
    assert!(World::invoice().render_with(&templates, "a", None).is_err());
}

#[test]
fn what_templates_cannot_do_is_refused_when_they_are_defined() {
    for (body, part) in [
        (
            "{% include 'x' %}",
            "statement \"include\" is not available",
        ),
        (
            "{% import 'x' as y %}",
            "statement \"import\" is not available",
        ),
        (
            "{% from 'x' import y %}",
            "statement \"from\" is not available",
        ),
        (
            "{% extends 'x' %}",
            "statement \"extends\" is not available",
        ),
        (
            "{% block x %}{% endblock %}",
            "statement \"block\" is not available",
        ),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "statement \"macro\" is not available",
        ),
        (
            "{% call m() %}{% endcall %}",
            "statement \"call\" is not available",
        ),
        (
            "{% filter upper %}x{% endfilter %}",
            "statement \"filter\" is not available",
        ),
        ("{% do x() %}", "statement \"do\" is not available"),
        (
            "{% autoescape true %}{% endautoescape %}",
            "statement \"autoescape\" is not available",
        ),
        (
            "{% set x %}y{% endset %}",
            "a block {% set %} is not available",
        ),
        (
            "{% set a.b = 1 %}",
            "only a plain name can be given a value",
        ),
        (
            "{% for x in y recursive %}{{ loop(x) }}{% endfor %}",
            "recursive loops are not available",
        ),
        (
            "{% fro x in y %}{% endfor %}",
            "statement \"fro\" is not available",
        ),
        ("{{ namespace() }}", "function \"namespace\" is unknown"),
        ("{{ name.upper() }}", "values have no methods"),
        ("{{ x | upper | lowr }}", "filter \"lowr\" is unknown"),
        ("{{ x is nul }}", "test \"nul\" is unknown"),
        ("{{ 2 ** 3 }}", "operator ** is not available"),
        ("{{ x[::2] }}", "no step"),
        ("{{ x | money }}", "needs its argument \"currency\""),
        ("{{ x | money('EURO') }}", "\"EURO\" is not a currency"),
        ("{{ x | date('lang') }}", "\"lang\" is not a date style"),
        ("{{ x | upper(1) }}", "at most 0 arguments"),
        (
            "{{ x | money(currency='EUR', code='x') }}",
            "no argument \"code\"",
        ),
        ("{{ range() }}", "range takes one to three numbers"),
        ("{{ 1e9 }}", "not in plain notation"),
        ("{% if x %}", "unexpected end of input"),
        ("{{ x", "unexpected end of input"),
        ("{{ 'a\\u0000' }}", "zero character"),
    ] {
        let found = findings(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(
            found[0].message.contains(part),
            "{body}: {}",
            found[0].message
        );
    }
}

#[test]
fn a_wrong_or_doubled_language_tag_is_a_finding() {
    let (_, findings) = Templates::compile(&sources(json!({"t": {"body": "b", "locales": {
        "nl-BE": {"body": "1"}, "nl_be.UTF-8": {"body": "2"}, "dutch language": {"body": "3"}, "": {"body": "4"}}}})));
    let messages: Vec<_> = findings
        .iter()
        .map(|f| (f.part, f.message.as_str()))
        .collect();
    assert_eq!(
        messages,
        [
            (
                Part::Locale,
                "\"nl_be.UTF-8\" and \"nl-BE\" are the same language"
            ),
            (Part::Locale, "\"dutch language\" is not a language tag"),
            (Part::Locale, "\"\" is not a language tag"),
        ]
    );
}

#[test]
fn the_columns_a_template_needs_are_known_before_it_is_rendered() {
    let (templates, findings) = Templates::compile(&sources(json!({"t": {
        "subject": "{{ number }}",
        "body": "{{ open_amount | money(currency) }}{% for l in lines if l.ok %}{{ l.x }}{{ loop.index }}{{ unit }}{% endfor %}\
                 {% set total = a + b %}{{ total }}{{ vars.q }}{{ case.id }}{{ today }}{{ step }}{{ answers.z }}{{ row.extra }}\
                 {{ row['Odd Name'] }}{{ maybe | default(fallback) }}{% if opt is defined %}{{ opt }}{% endif %}\
                 {% with w = c %}{{ w }}{% endwith %}{{ w }}{{ [d, {'k': e}][f] }}{{ g[:h] }}",
        "locales": {"nl": {"body": "{{ salutation }}"}}}})));
    assert_eq!(findings, []);
    let expected = [
        "number",
        "open_amount",
        "currency",
        "lines",
        "unit",
        "a",
        "b",
        "extra",
        "Odd Name",
        "fallback",
        "c",
        "w",
        "d",
        "e",
        "f",
        "g",
        "h",
        "salutation",
    ];
    assert_eq!(
        templates.variables("t"),
        expected
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    );
    assert!(templates.variables("nosuch").is_empty());
}

#[test]
fn inline_texts_are_templates_without_variants() {
    let (mut templates, _) = Templates::compile(&sources(json!({"t": {"body": "b"}})));
    templates
        .add_inline("step:note", "Invoice {{ number }}")
        .expect("a text");
    let rendered = World::invoice()
        .render_with(&templates, "step:note", Some("nl"))
        .expect("a text");
    assert_eq!(
        (rendered.subject, rendered.body.as_str()),
        (None, "Invoice 2026-0042")
    );
    assert!(templates.variables("step:note").contains("number"));
    let finding = templates
        .add_inline("step:bad", "{{ x | nosuch }}")
        .expect_err("a finding");
    assert_eq!(
        (finding.template.as_str(), finding.part),
        ("step:bad", Part::Body)
    );
    assert!(templates.add_inline("t", "twice").is_err());
    assert!(templates.contains("t") && !templates.contains("u"));
}

#[test]
fn compiled_templates_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Templates>();
}
