//! Whole texts as people get them: letters, languages, lists, and what rendering refuses.

use serde_json::json;

use super::{World, expect, refused, sources};
use crate::error::ErrorCode;
use crate::row::ColumnType;
use crate::template::Templates;

#[test]
fn a_dunning_letter_is_rendered_in_the_customers_language() {
    let (templates, findings) = Templates::compile(&sources(json!({"level_1": {
        "subject": "Reminder: invoice {{ number }}",
        "body": "Dear {{ customer_name }},\n\nInvoice {{ number }} of {{ open_amount | money(currency) }} was due on {{ due_date | date }}.",
        "locales": {"nl": {
            "subject": "Herinnering: factuur {{ number }}",
            "body": "Beste {{ customer_name }},\n\nFactuur {{ number }} van {{ open_amount | money(currency) }} verviel op {{ due_date | date }}."}}
    }})));
    assert_eq!(findings, []);
    let world = World::invoice();
    let english = world
        .render_with(&templates, "level_1", None)
        .expect("a letter");
    assert_eq!(
        english.subject.as_deref(),
        Some("Reminder: invoice 2026-0042")
    );
    assert_eq!(
        english.body,
        "Dear Jansen & Zn.,\n\nInvoice 2026-0042 of €1,210.50 was due on Apr 1, 2026."
    );
    assert_eq!(english.locale, None);
    let dutch = world
        .render_with(&templates, "level_1", Some("nl_NL.UTF-8"))
        .expect("a letter");
    assert_eq!(
        dutch.subject.as_deref(),
        Some("Herinnering: factuur 2026-0042")
    );
    assert_eq!(
        dutch.body,
        "Beste Jansen & Zn.,\n\nFactuur 2026-0042 van € 1.210,50 verviel op 1 apr 2026."
    );
    assert_eq!(dutch.locale.as_deref(), Some("nl"));
}

#[test]
fn the_example_documents_render() {
    for (document, name) in [
        (include_str!("../../../../examples/dunning.json"), "level_1"),
        (include_str!("../../../../examples/dunning.json"), "level_3"),
    ] {
        let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
        let (templates, findings) = Templates::compile(&sources(document["templates"].clone()));
        assert_eq!(findings, []);
        assert!(
            World::invoice()
                .render_with(&templates, name, Some("nl"))
                .is_ok()
        );
    }
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../../../examples/scope-10.json")).expect("JSON");
    let (_, findings) = Templates::compile(&sources(document["templates"].clone()));
    assert_eq!(findings, []);
}

#[test]
fn the_nearest_language_is_used_whatever_its_spelling() {
    let (templates, _) = Templates::compile(&sources(json!({"t": {"body": "base", "locales": {
        "nl": {"body": "nl"}, "nl-BE": {"body": "nl-BE"}, "zh-Hant": {"body": "zh-Hant"}, "pt_BR": {"body": "pt_BR"}}}})));
    let world = World::invoice();
    for (wanted, used) in [
        ("nl-BE", "nl-BE"),
        ("nl_be", "nl-BE"),
        ("NL-BE", "nl-BE"),
        ("nl_BE.UTF-8@euro", "nl-BE"),
        ("nl", "nl"),
        ("nl-NL", "nl"),
        ("nl-SR-x-old", "nl"),
        ("zh-Hant-TW", "zh-Hant"),
        ("pt-br", "pt_BR"),
        ("zh", "base"),
        ("pt", "base"),
        ("de", "base"),
        ("", "base"),
        ("C", "base"),
        ("nonsense !", "base"),
    ] {
        let rendered = world
            .render_with(&templates, "t", Some(wanted))
            .expect("a text");
        assert_eq!(rendered.body, used, "{wanted}");
        assert_eq!(
            rendered.locale.as_deref(),
            Some(used).filter(|used| *used != "base"),
            "{wanted}"
        );
    }
}

#[test]
fn formats_speak_the_language_of_the_text() {
    let (templates, _) = Templates::compile(&sources(json!({"t": {
        "body": "{{ open_amount | money('EUR') }} {{ due_date | date('long') }}",
        "locales": {"nl": {"body": "{{ open_amount | money('EUR') }} {{ due_date | date('long') }}"}}}})));
    let world = World::invoice();
    let body = |templates: &Templates, tag| {
        world
            .render_with(templates, "t", Some(tag))
            .expect("a text")
            .body
    };
    assert_eq!(body(&templates, "nl-BE"), "€ 1.210,50 1 april 2026");
    // There is no French text, so a French reader gets the English one with English dates, not a mixture.
    assert_eq!(body(&templates, "fr"), "€1,210.50 April 1, 2026");
    assert_eq!(body(&templates, "en-GB"), "€1,210.50 1 April 2026");
    let german = templates.with_base_locale("de_DE");
    assert_eq!(body(&german, "fr"), "1.210,50 € 1. April 2026");
}

#[test]
fn a_variant_without_subject_uses_the_base_subject() {
    let (templates, _) = Templates::compile(&sources(
        json!({"t": {"subject": "Invoice {{ number }}", "body": "b",
        "locales": {"nl": {"body": "nl"}}}}),
    ));
    let rendered = World::invoice()
        .render_with(&templates, "t", Some("nl"))
        .expect("a text");
    assert_eq!(
        (rendered.subject.as_deref(), rendered.body.as_str()),
        (Some("Invoice 2026-0042"), "nl")
    );
}

#[test]
fn an_empty_column_prints_as_nothing_and_is_none_and_false() {
    expect("[{{ phone }}]", "[]");
    expect("{% if phone %}yes{% else %}no{% endif %}", "no");
    expect("{{ phone is none }} {{ number is none }}", "true false");
    expect(
        "[{{ paid_on | date }}] [{{ phone | upper }}] [{{ phone | default('-') }}]",
        "[] [] [-]",
    );
    expect(
        "{{ paid_on < today }} {{ paid_on == none }} {{ paid_on != today }}",
        "false true true",
    );
    expect(
        "[{{ phone | length }}] [{% for c in phone %}x{% else %}none{% endfor %}]",
        "[0] [none]",
    );
}

#[test]
fn engine_names_are_there_and_columns_with_odd_names_too() {
    expect(
        "{{ case.id }} {{ case.workflow }} {{ case.key }} {{ case.account }} {{ case.tenant }}",
        "7 dunning 42 A-1 ",
    );
    expect(
        "{{ vars.iban }} {{ answers.extend }} {{ today }} {{ step }}",
        "NL91ABNA0417164300 yes 2026-05-04 level_1",
    );
    expect("{{ row['Claim-ID'] }} {{ row.number }}", "C7 2026-0042");
    let world = World::of(&[("step", ColumnType::Text, Some("mine"))]);
    assert_eq!(
        world.render("{{ step }} {{ row.step }}").as_deref(),
        Ok("level_1 mine")
    );
}

#[test]
fn lists_in_json_can_be_walked_and_summed() {
    expect(
        "{% for l in lines %}{{ loop.index }}. {{ l.text }} {{ l.amount | money('EUR') }}\n{% endfor %}",
        "1. Chairs €1,000.00\n2. Table €210.50\n",
    );
    expect("{{ vars.claims | map('number') | join(', ') }}", "C1, C2");
    expect("{{ vars.claims | sum(attribute='amount') }}", "100.3");
    expect(
        "{% for c in vars.claims if c.amount > 1 %}{{ c.number }}{{ loop.last }}{% endfor %}",
        "C1true",
    );
    expect(
        "{% for k, v in answers | items %}{{ k }}={{ v }}{% endfor %}",
        "extend=yes",
    );
    expect(
        "{{ vars.claims[0].number }} {{ vars.claims[-1].number }} {{ (vars.claims | last).number }}",
        "C1 C2 C2",
    );
    expect(
        "{{ vars.claims[1:] | length }} {{ number[:4] }} {{ number[-4:] }}",
        "1 2026 0042",
    );
}

#[test]
fn text_filters_and_statements_do_what_jinja_says() {
    expect(
        "{{ 'ada LOVELACE' | title }} {{ 'ada' | capitalize }} {{ ' x ' | trim }}",
        "Ada Lovelace Ada x",
    );
    expect(
        "{{ number | replace('-', '/') }} {{ 'a' ~ 1 ~ true }}",
        "2026/0042 a1true",
    );
    expect("{% set total = open_amount * 2 %}{{ total }}", "2421.00");
    expect("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}", "3");
    expect(
        "{% set a = 1 %}{% for i in range(3) %}{% set a = i %}{{ a }}{% endfor %}{{ a }}",
        "0121",
    );
    expect(
        "{% if open_amount > 5000 %}a{% elif open_amount > 1000 %}b{% else %}c{% endif %}",
        "b",
    );
    expect("{{ 'overdue' if due_date < today else 'open' }}", "overdue");
    expect(
        "{# a comment #}{% raw %}{{ as it is }}{% endraw %}",
        "{{ as it is }}",
    );
    expect(
        "{{ phone or 'unknown' }} {{ number and 'known' }}",
        "unknown known",
    );
    expect(
        "{% for i in range(10, 0, -5) %}{{ i }} {% endfor %}",
        "10 5 ",
    );
    expect("a\n{%- if true %} b{% endif %}", "a b");
    expect("{{ disputed }} {{ not disputed }}", "false true");
}

#[test]
fn plain_text_is_not_escaped() {
    expect("{{ customer_name }} <b>", "Jansen & Zn. <b>");
    let world = World::of(&[("name", ColumnType::Text, Some("{{ secret }} <i>"))]);
    assert_eq!(
        world.render("{{ name }}").as_deref(),
        Ok("{{ secret }} <i>"),
        "values are never templates"
    );
}

#[test]
fn a_missing_variable_is_named_with_template_line_and_close_names() {
    let (templates, _) =
        Templates::compile(&sources(json!({"level_1": {"body": "base", "locales": {
        "nl": {"body": "Beste\n\n{{ custmer_name }}"}}}})));
    let error = World::invoice()
        .render_with(&templates, "level_1", Some("nl-BE"))
        .expect_err("an error");
    assert_eq!(error.code, ErrorCode::Template);
    assert_eq!(
        error.message,
        "template \"level_1\", locale \"nl\", body, line 3: variable \"custmer_name\" does not exist"
    );
    assert_eq!(
        error.hint.as_deref(),
        Some("Did you mean \"customer_name\"?")
    );

    for (text, name) in [
        ("{{ vars.ibn }}", "\"vars.ibn\""),
        ("{{ nosuch.field.deep }}", "\"nosuch\""),
        ("{{ vars.address.city }}", "\"vars.address.city\""),
        ("{{ row.numbr }}", "\"row.numbr\""),
        ("{{ vars.claims[9] }}", "\"vars.claims[9]\""),
        ("{% if nosuch %}{% endif %}", "\"nosuch\""),
        ("{{ nosuch | upper }}", "\"nosuch\""),
        ("{% for x in nosuch %}{% endfor %}", "\"nosuch\""),
    ] {
        let error = refused(text);
        assert!(error.message.contains(name), "{text}: {error}");
        assert_eq!(error.code, ErrorCode::Template);
    }
}

#[test]
fn a_missing_variable_may_be_asked_for() {
    expect(
        "{{ nosuch is defined }} {{ number is defined }} {{ vars.a.b.c is undefined }}",
        "false true true",
    );
    expect(
        "{{ nosuch | default('-') }} {{ vars.a.b | default('none') }}",
        "- none",
    );
    expect(
        "{{ '' | default('x') }}|{{ '' | default('x', boolean=true) }}",
        "|x",
    );
}

#[test]
fn an_unknown_template_is_named_with_close_names() {
    let (templates, _) = Templates::compile(&sources(
        json!({"level_1": {"body": "b"}, "broken": {"body": "{{"}}),
    ));
    let error = World::invoice()
        .render_with(&templates, "levl_1", None)
        .expect_err("an error");
    assert_eq!(error.message, "template \"levl_1\" does not exist");
    assert_eq!(error.hint.as_deref(), Some("Did you mean \"level_1\"?"));
    let error = World::invoice()
        .render_with(&templates, "broken", None)
        .expect_err("an error");
    assert_eq!(error.message, "template \"broken\" does not compile");
}

#[test]
fn values_that_do_not_fit_are_errors_that_say_why() {
    for (text, part) in [
        ("{{ number | money('EUR') }}", "is not a number"),
        ("{{ open_amount | money(phone) }}", "the currency is empty"),
        ("{{ open_amount | money(number) }}", "is not a currency"),
        ("{{ number | date }}", "is not a date"),
        (
            "{{ open_amount | date }}",
            "a date is needed here, not a number",
        ),
        (
            "{{ number > 5 }}",
            "a text cannot be compared with a number",
        ),
        ("{{ number * 2 }}", "cannot be calculated"),
        ("{{ 1 / 0 }}", "divides by zero"),
        ("{{ vars }}", "an object cannot be printed"),
        ("{{ vars.claims }}", "a list cannot be printed"),
        ("{{ row }}", "the whole row cannot be printed"),
        (
            "{% for x in open_amount %}{% endfor %}",
            "a number is not a list",
        ),
        ("{{ number.size }}", "a text has no field"),
        ("{{ today + 99999999999 }}", "out of range"),
        ("{{ open_amount | round(99) }}", "0 to 30"),
    ] {
        let error = refused(text);
        assert!(error.message.contains(part), "{text}: {error}");
        assert!(error.message.contains("line 1"), "{text}: {error}");
    }
}

#[test]
fn a_zone_that_fails_is_an_error_of_the_template() {
    let world = World::of(&[("at", ColumnType::TimestampTz, Some("0"))]);
    let mut templates = Templates::default();
    templates.add_inline("t", "{{ at }}").expect("a text");
    let started_at = chrono::DateTime::from_timestamp(0, 0).expect("a moment");
    let scope = crate::template::Scope {
        row: crate::row::Row {
            columns: &world.columns,
            values: &world.values,
        },
        subjects: &[],
        case: crate::template::CaseFacts {
            id: 1,
            workflow: "w",
            key: "k",
            account: None,
            tenant: None,
            started_at,
        },
        vars: &serde_json::Value::Null,
        answers: &serde_json::Value::Null,
        today: started_at.date_naive(),
        step: "s",
        to_local: &|_| {
            Err(crate::Error::new(
                ErrorCode::TimeZone,
                "time zone \"Mars\" does not exist",
            ))
        },
    };
    let error = templates.render("t", None, &scope).expect_err("an error");
    assert!(
        error.message.ends_with("time zone \"Mars\" does not exist"),
        "{error}"
    );
    templates
        .add_inline("v", "{{ vars.x | default('none') }}")
        .expect("a text");
    assert_eq!(
        templates
            .render("v", None, &scope)
            .map(|r| r.body)
            .as_deref(),
        Ok("none")
    );
}

#[test]
fn rcv_03_a_text_lists_all_rows_and_adds_up_by_currency() {
    use crate::row::{Columns, Row};
    let columns = Columns::new([
        ("id".to_owned(), ColumnType::Text),
        ("amount".to_owned(), ColumnType::Number),
        ("currency".to_owned(), ColumnType::Text),
    ]);
    let row = |id: &str, amount: Option<&str>, currency: &str| {
        vec![
            Some(id.to_owned()),
            amount.map(str::to_owned),
            Some(currency.to_owned()),
        ]
    };
    let values = [
        row("C1", Some("12345678901234567890.10"), "EUR"),
        row("C2", Some("0.07"), "USD"),
        row("C3", Some("0.90"), "EUR"),
        row("C4", None, "EUR"),
    ];
    let rows: Vec<Row<'_>> = values
        .iter()
        .map(|values| Row {
            columns: &columns,
            values,
        })
        .collect();
    let world = World::of(&[]);
    let text = "{{ subjects | length }}: {% for c in subjects if c.amount is not none %}{{ c.id }} {% endfor %}\
                {% for t in subjects | totals('amount', 'currency') %}{{ t.currency }} {{ t.total }} ({{ t.count }}) {% endfor %}\
                {{ subjects | map('id') | join('+') }} {{ subjects[0].id }}";
    assert_eq!(
        world.render_about(text, &rows).unwrap(),
        "4: C1 C2 C3 EUR 12345678901234567891.00 (3) USD 0.07 (1) C1+C2+C3+C4 C1"
    );
    let error = world
        .render_about("{% for c in subjects %}{{ c.nothing }}{% endfor %}", &rows)
        .unwrap_err();
    assert!(
        error.message.contains("\"c.nothing\" does not exist"),
        "{error}"
    );
    let error = world
        .render_about("{{ subjects | totals('id', 'currency') }}", &rows)
        .unwrap_err();
    assert!(error.message.contains("a number is needed here"), "{error}");
}

#[test]
fn rcv_03_what_a_text_reads_of_all_rows_is_known_before_it_is_rendered() {
    let mut templates = Templates::default();
    templates
        .add_inline("all", "{% for c in subjects %}{{ c.id }} {{ c['due'] }}{% endfor %}{{ subjects | sum('amount') }} {{ number }}")
        .unwrap();
    templates
        .add_inline("one", "{% for c in vars.claims %}{{ c.id }}{% endfor %}")
        .unwrap();
    assert!(templates.uses_subjects("all") && !templates.uses_subjects("one"));
    let needed: Vec<String> = templates.variables("all").into_iter().collect();
    assert_eq!(needed, ["amount", "due", "id", "number"]);
    let words = templates.words_of_subjects();
    assert!(
        ["id", "due", "amount"]
            .iter()
            .all(|word| words.contains(word)),
        "{words:?}"
    );
    assert!(templates.variables("one").is_empty());
}
