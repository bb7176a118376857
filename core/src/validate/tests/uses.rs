//! What the shell is told to check against the catalogue.

use super::*;

#[test]
fn every_column_of_dates_and_texts_is_listed_once_a_place() {
    let columns = subject_columns(&compile(&dunning()));
    let lines: Vec<String> = columns
        .iter()
        .map(|c| format!("{}: {}: {}", c.place, c.column, c.used_as))
        .collect();
    let expect = [
        "step \"level_1\": due_date: a date counts from it",
        "step \"level_2\": due_date: a date counts from it",
        "step \"level_3\": due_date: a date counts from it",
        "step \"agency_note\": currency: the text uses it",
        "step \"agency_note\": number: the text uses it",
        "step \"agency_note\": open_amount: the text uses it",
        "template \"level_1\": currency: the text uses it",
        "template \"level_1\": customer_name: the text uses it",
        "template \"level_1\": due_date: the text uses it",
    ];
    assert_eq!(lines[..expect.len()], expect);
    let start = &subject_columns(&compile(&scope_10()))[0];
    assert_eq!(
        (start.place.as_str(), start.column.as_str(), start.used_as),
        ("start", "end_date", ColumnUse::Anchor)
    );
}

#[test]
fn every_sql_text_is_listed_with_what_it_may_use() {
    let mut document = dunning();
    *step(&mut document, "agency_note") = json!({
        "name": "agency_note", "kind": "update", "description": "d",
        "set": {"state": "'agency'", "handed_over": "now()"}, "next": "closed"
    });
    let texts = sql_texts(&compile(&document));
    let text = |place: &str, sql: &str, scope| SqlText {
        place: place.to_owned(),
        sql: sql.to_owned(),
        scope,
    };
    let write = |column: &str| SqlScope::Write {
        column: column.to_owned(),
    };
    assert_eq!(
        texts,
        [
            text(
                "start",
                "state = 'posted' and open_amount > 5",
                SqlScope::Start
            ),
            text(
                "stop rule 1",
                "state = 'paid' or open_amount <= 5",
                SqlScope::Subject
            ),
            text(
                "stop rule 2",
                "state in ('draft', 'cancelled')",
                SqlScope::Subject
            ),
            text(
                "step \"level_2_sms\"",
                "phone is not null",
                SqlScope::Subject
            ),
            text("step \"agency_note\"", "'agency'", write("state")),
            text("step \"agency_note\"", "now()", write("handed_over")),
        ]
    );
}
