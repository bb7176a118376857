//! Values: numbers, dates, texts and missing ones, and what operators and filters make of them.

use super::{World, expect};
use crate::row::ColumnType;

#[test]
fn numbers_keep_every_digit() {
    expect(
        "{{ open_amount }} {{ big_amount }} {{ nothing_open }}",
        "1210.50 12345678901234567890.12 0.00",
    );
    expect(
        "{{ big_amount | money('EUR') }}",
        "€12,345,678,901,234,567,890.12",
    );
    expect("{{ big_amount + 0.01 }}", "12345678901234567890.13");
    expect("{{ big_amount | number }}", "12,345,678,901,234,567,890.12");
    let mut world = World::invoice();
    world.vars =
        serde_json::from_str(r#"{"amount": 98765432109876543210.123456789}"#).expect("JSON");
    assert_eq!(
        world.render("{{ vars.amount }}").as_deref(),
        Ok("98765432109876543210.123456789")
    );
    let huge = "9".repeat(200);
    let world = World::of(&[("n", ColumnType::Number, Some(&huge))]);
    assert_eq!(world.render("{{ n }}"), Ok(huge));
    assert_eq!(
        world.render("{{ n > 5 }} {{ n == n }}").as_deref(),
        Ok("true true")
    );
    assert!(
        world
            .render("{{ n + 1 }}")
            .is_err_and(|error| error.message.contains("too many digits"))
    );
}

#[test]
fn what_is_not_a_plain_number_is_a_text() {
    for text in ["NaN", "Infinity", "1e+20"] {
        let world = World::of(&[("n", ColumnType::Number, Some(text))]);
        assert_eq!(world.render("{{ n }}").as_deref(), Ok(text));
        assert!(world.render("{{ n | money('EUR') }}").is_err());
    }
}

#[test]
fn numbers_are_compared_and_calculated_exactly() {
    expect("{% if open_amount > 0 %}open{% endif %}", "open");
    expect(
        "{{ open_amount > 1210.49 and open_amount <= 1210.5 }}",
        "true",
    );
    expect(
        "{{ nothing_open == 0 }} {% if nothing_open %}x{% else %}zero{% endif %}",
        "true zero",
    );
    expect("{{ 0.1 + 0.2 == 0.3 }} {{ 0.1 + 0.20 }}", "true 0.30");
    expect(
        "{{ -5 < -4.5 }} {{ 10 // 3 }} {{ 10 % 3 }} {{ 1 / 8 }}",
        "true 3 1 0.125",
    );
    expect(
        "{{ (open_amount * 1.21) | round(2) | money(currency) }}",
        "€1,464.71",
    );
    expect("{{ 0 < open_amount < 2000 }}", "true");
    expect("{{ open_amount + phone }}", "");
    expect("{{ (open_amount - 2000) | abs }}", "789.50");
    expect(
        "{{ vars.level == 2 }} {{ vars.level in [1, 2] }} {{ 'ABNA' in vars.iban }}",
        "true true true",
    );
}

#[test]
fn dates_are_values_with_a_plain_print() {
    expect(
        "{{ due_date }} {{ booked_at }} {{ sent_at }}",
        "2026-04-01 2026-03-30 23:45:00 2026-03-31 00:30:00",
    );
    expect(
        "{{ due_date | date('short') }}|{{ due_date | date('medium') }}",
        "4/1/2026|Apr 1, 2026",
    );
    expect(
        "{{ due_date | date('long') }}|{{ due_date | date('iso') }}",
        "April 1, 2026|2026-04-01",
    );
    expect(
        "{{ due_date < today }} {{ today - due_date }} {{ (today + 14) | date('iso') }}",
        "true 33 2026-05-18",
    );
    expect(
        "{{ due_date == '2026-04-01' }} {{ due_date > '2026-01-01' }}",
        "true true",
    );
    expect(
        "{{ booked_at > due_date }} {{ sent_at | date('iso') }}",
        "false 2026-03-31",
    );
    expect("{{ '2026-12-24' | date('long') }}", "December 24, 2026");
}

#[test]
fn moments_are_shown_in_the_subjects_zone() {
    expect("{{ sent_at | datetime('iso') }}", "2026-03-31T00:30:00");
    expect("{{ sent_at | datetime }}", "Mar 31, 2026, 12:30\u{202f}AM");
    expect(
        "{{ case.started_at | datetime('iso') }}",
        "2026-04-01T01:33:20",
    );
    let world = World::of(&[("at", ColumnType::TimestampTz, Some("9223372036854775807"))]);
    assert_eq!(
        world.render("{{ at }}").as_deref(),
        Ok("9223372036854775807"),
        "infinity stays what it is"
    );
}

#[test]
fn infinite_and_ancient_dates_stay_texts() {
    for text in ["infinity", "0044-03-15 BC", "20260-01-01"] {
        let world = World::of(&[
            ("d", ColumnType::Date, Some(text)),
            ("t", ColumnType::Timestamp, Some(text)),
        ]);
        assert_eq!(world.render("{{ d }}{{ t }}"), Ok(format!("{text}{text}")));
        assert!(
            world
                .render("{{ d | date }}")
                .is_err_and(|error| error.message.contains("is not a date"))
        );
    }
}
