//! Date rules on the dates that the scenarios name, and what they refuse.

use serde_json::json;

use super::testing::in_amsterdam;
use super::*;
use crate::calendar::testing::{ShippedCalendars, amsterdam, date, local, utc};

fn rule(json: serde_json::Value) -> DateRule {
    serde_json::from_value(json).unwrap()
}

pub(super) fn resolve_with(
    rule: &DateRule,
    anchor: AnchorValue,
    roll: Roll,
    calendar: &str,
) -> Result<DateTime<Utc>, Error> {
    let calendars = ShippedCalendars::new();
    rule.resolve(anchor, &in_amsterdam(&calendars, calendar, roll))
}

/// The rule's result with TARGET and `following`, as in the scenarios.
fn resolve(json: serde_json::Value, anchor: AnchorValue) -> DateTime<Utc> {
    resolve_with(&rule(json), anchor, Roll::Following, "TARGET").unwrap()
}

fn day(text: &str) -> AnchorValue {
    AnchorValue::LocalDate(date(text))
}

/// A moment in Amsterdam.
fn moment(text: &str) -> AnchorValue {
    AnchorValue::Instant(amsterdam(text))
}

/// Local midnight in Amsterdam.
fn midnight(text: &str) -> DateTime<Utc> {
    amsterdam(&format!("{text} 00:00"))
}

#[test]
fn s1_as_23_months_before_the_end_of_a_report() {
    let end = day("2027-03-15");
    assert_eq!(
        resolve(json!({"anchor": "subject.end_date", "months": -11}), end),
        midnight("2026-04-15")
    );
    assert_eq!(
        resolve(json!({"anchor": "subject.end_date", "months": -7}), end),
        midnight("2026-08-17"),
        "08-15 is a Saturday"
    );
    assert_eq!(
        resolve(json!({"anchor": "subject.end_date", "months": -2}), end),
        midnight("2027-01-15")
    );
}

#[test]
fn s4_a_corrected_end_date_gives_the_new_dates() {
    let follow_up = json!({"anchor": "subject.end_date", "months": -7});
    assert_eq!(
        resolve(follow_up, day("2027-06-15")),
        midnight("2026-11-16"),
        "11-15 is a Sunday"
    );
    assert_eq!(
        resolve(
            json!({"anchor": "subject.end_date", "months": -11}),
            day("2028-03-15")
        ),
        midnight("2027-04-15")
    );
}

#[test]
fn s5_arw_06_thirty_sixty_ninety_days_after_the_due_date() {
    let due = day("2026-04-01");
    let level = |days| rule(json!({"anchor": "subject.due_date", "days": days}));
    let at = |days, roll| resolve_with(&level(days), due, roll, "TARGET").unwrap();
    assert_eq!(
        at(30, Roll::Following),
        midnight("2026-05-04"),
        "1 May is closed, then a weekend"
    );
    assert_eq!(
        at(60, Roll::Following),
        midnight("2026-06-01"),
        "05-31 is a Sunday"
    );
    assert_eq!(at(60, Roll::ModifiedFollowing), midnight("2026-05-29"));
    assert_eq!(at(90, Roll::Following), midnight("2026-06-30"));
}

#[test]
fn s8_ten_days_later_over_a_weekend() {
    assert_eq!(
        resolve(json!({"days": 10}), moment("2026-06-10 00:00")),
        midnight("2026-06-22")
    );
    assert_eq!(
        resolve(json!({"days": 10}), moment("2026-06-17 00:00")),
        midnight("2026-06-29")
    );
}

#[test]
fn s13_month_ends() {
    let eleven = json!({"anchor": "subject.end_date", "months": -11});
    assert_eq!(
        resolve(eleven.clone(), day("2027-01-31")),
        midnight("2026-03-02"),
        "from Sat 02-28, following"
    );
    let mut preceding = eleven.clone();
    preceding["roll"] = json!("preceding");
    assert_eq!(
        resolve(preceding, day("2027-01-31")),
        midnight("2026-02-27")
    );
    assert_eq!(
        resolve(eleven, day("2025-01-31")),
        midnight("2024-02-29"),
        "a leap year's Thursday"
    );
    let unrolled = |months| json!({"anchor": "subject.end_date", "months": months, "roll": "none"});
    assert_eq!(
        resolve(unrolled(-11), day("2027-01-31")),
        midnight("2026-02-28")
    );
    assert_eq!(
        resolve(unrolled(2), day("2026-01-31")),
        midnight("2026-03-31"),
        "from the anchor, never chained"
    );
    assert_eq!(
        resolve(unrolled(1), day("2026-01-31")),
        midnight("2026-02-28")
    );
}

#[test]
fn s14_a_step_at_half_past_two_in_the_night_of_a_clock_change_has_one_moment() {
    let at_0230 = |anchor| {
        resolve(
            json!({"anchor": "subject.d", "time": "02:30", "roll": "none"}),
            day(anchor),
        )
    };
    assert_eq!(
        at_0230("2026-03-29"),
        utc("2026-03-29 01:30"),
        "03:30 CEST, the first time after the gap that 02:30 becomes"
    );
    assert_eq!(
        at_0230("2026-10-25"),
        utc("2026-10-25 01:30"),
        "02:30 CET, the second of the two"
    );
    let plain = |stamp| {
        let anchor = AnchorValue::LocalTimestamp(local(stamp));
        resolve(json!({"anchor": "subject.ts", "roll": "none"}), anchor)
    };
    assert_eq!(plain("2026-03-29 02:30"), utc("2026-03-29 01:30"));
    assert_eq!(plain("2026-10-25 02:30"), utc("2026-10-25 01:30"));
}

#[test]
fn s14_the_first_of_two_equal_local_times_is_kept_as_the_moment_it_is() {
    let first = AnchorValue::Instant(utc("2026-10-26 00:30"));
    assert_eq!(
        resolve(json!({"anchor": "step.x"}), first),
        utc("2026-10-26 00:30")
    );
    // Sunday 02:30 CEST, an hour before 02:30 CET; `none` and a calendar that is open both leave it alone.
    let summer = AnchorValue::Instant(utc("2026-10-25 00:30"));
    assert_eq!(
        resolve(json!({"anchor": "step.x", "roll": "none"}), summer),
        utc("2026-10-25 00:30")
    );
    let open_on_sunday = crate::calendar::Calendar::new("X", [], [2026], []).unwrap();
    struct One(std::rc::Rc<crate::calendar::Calendar>);
    impl Calendars for One {
        fn calendar(&self, _: &str) -> Result<std::rc::Rc<crate::calendar::Calendar>, Error> {
            Ok(self.0.clone())
        }
    }
    let calendars = One(std::rc::Rc::new(open_on_sunday));
    let ctx = in_amsterdam(&calendars, "X", Roll::Following);
    assert_eq!(
        rule(json!({"anchor": "step.x"}))
            .resolve(summer, &ctx)
            .unwrap(),
        utc("2026-10-25 00:30")
    );
}

#[test]
fn s15_holidays_decide_where_a_step_falls() {
    let friday = json!({"anchor": "subject.d"});
    assert_eq!(
        resolve(friday.clone(), day("2026-04-03")),
        midnight("2026-04-07")
    );
    let nl = resolve_with(&rule(friday), day("2026-04-03"), Roll::Following, "NL").unwrap();
    assert_eq!(nl, midnight("2026-04-03"));
    let five =
        |calendar: &str| json!({"anchor": "subject.d", "business_days": 5, "calendar": calendar});
    assert_eq!(
        resolve(five("TARGET"), day("2026-04-01")),
        midnight("2026-04-10")
    );
    assert_eq!(
        resolve(five("NL"), day("2026-04-01")),
        midnight("2026-04-09")
    );
}

#[test]
fn s15_an_unknown_year_or_calendar_is_an_error() {
    let run = |rule: DateRule, anchor| {
        resolve_with(&rule, anchor, Roll::Following, "TARGET").unwrap_err()
    };
    let error = run(
        rule(json!({"anchor": "subject.d", "months": 12})),
        day("2040-06-01"),
    );
    assert_eq!(error.code, ErrorCode::Calendar);
    assert!(error.message.contains("2041") && error.hint.is_some());
    assert_eq!(
        run(
            rule(json!({"business_days": 1, "calendar": "XX"})),
            moment("2026-01-05 09:00")
        )
        .code,
        ErrorCode::Calendar
    );
    // Nothing to look up: no error.
    resolve(
        json!({"anchor": "subject.d", "months": 12, "roll": "none"}),
        day("2040-06-01"),
    );
    resolve(json!({"hours": 2}), moment("2045-06-01 09:00"));
}

#[test]
fn s24_two_business_days_over_labour_day() {
    assert_eq!(
        resolve(json!({"business_days": 2}), moment("2026-04-30 16:00")),
        midnight("2026-05-05")
    );
}

#[test]
fn arw_05_arw_16_days_count_from_the_local_day_of_a_moment() {
    // 22:30 UTC on 3 June is 4 June in Amsterdam.
    let late = AnchorValue::Instant(utc("2026-06-03 22:30"));
    assert_eq!(
        resolve(json!({"anchor": "case_start", "days": 1}), late),
        midnight("2026-06-05")
    );
    assert_eq!(
        resolve(
            json!({"anchor": "previous_done", "days": 1, "time": "17:15"}),
            late
        ),
        amsterdam("2026-06-05 17:15")
    );
    assert_eq!(
        resolve(json!({"anchor": "step.x", "business_days": -1}), late),
        midnight("2026-06-03")
    );
}

#[test]
fn months_come_first_then_days_then_business_days_then_roll_then_time() {
    // 31 Jan + 1 month = 28 Feb (Sat), + 1 day = Sun 1 Mar, + 1 business day = Mon 2 Mar.
    let all =
        json!({"anchor": "subject.d", "months": 1, "days": 1, "business_days": 1, "time": "09:30"});
    assert_eq!(
        resolve(all, day("2026-01-31")),
        amsterdam("2026-03-02 09:30")
    );
}

#[test]
fn at_once_means_at_once_on_a_sunday_too() {
    let sunday = moment("2026-05-31 13:37");
    for anchor in ["case_start", "previous_done"] {
        assert_eq!(
            resolve(json!({"anchor": anchor}), sunday),
            amsterdam("2026-05-31 13:37")
        );
        let own = json!({"anchor": anchor, "roll": "following"});
        assert_eq!(
            resolve(own, sunday),
            amsterdam("2026-06-01 13:37"),
            "a roll of its own is obeyed"
        );
    }
    assert_eq!(resolve(json!({}), sunday), amsterdam("2026-05-31 13:37"));
}

#[test]
fn a_moment_without_offset_is_kept_and_moves_by_whole_days_only_when_closed() {
    assert_eq!(
        resolve(json!({"anchor": "step.x"}), moment("2026-06-01 13:37")),
        amsterdam("2026-06-01 13:37")
    );
    assert_eq!(
        resolve(json!({"anchor": "step.x"}), moment("2026-05-31 13:37")),
        amsterdam("2026-06-01 13:37")
    );
    let stamp = AnchorValue::LocalTimestamp(local("2026-05-01 18:00"));
    assert_eq!(
        resolve(json!({"anchor": "subject.ts"}), stamp),
        amsterdam("2026-05-04 18:00")
    );
    assert_eq!(
        resolve(json!({"anchor": "subject.ts", "time": "08:00"}), stamp),
        amsterdam("2026-05-04 08:00")
    );
}

#[test]
fn hours_and_minutes_are_exact_and_never_rolled() {
    // Over the hour that is skipped on Sunday 29 March: three hours are three hours.
    assert_eq!(
        resolve(json!({"hours": 3}), moment("2026-03-29 00:30")),
        amsterdam("2026-03-29 04:30")
    );
    assert_eq!(
        resolve(
            json!({"hours": 1, "minutes": -90}),
            moment("2026-05-31 12:00")
        ),
        amsterdam("2026-05-31 11:30")
    );
    assert_eq!(
        resolve(
            json!({"anchor": "subject.d", "hours": 36}),
            day("2026-05-01")
        ),
        amsterdam("2026-05-02 12:00")
    );
    let stamp = AnchorValue::LocalTimestamp(local("2026-05-01 18:00"));
    assert_eq!(
        resolve(json!({"anchor": "subject.ts", "minutes": 5}), stamp),
        amsterdam("2026-05-01 18:05")
    );
}

#[test]
fn a_rule_that_contradicts_itself_is_found_and_does_not_run() {
    for (json, says) in [
        (
            json!({"hours": 1, "days": 1}),
            "hours and minutes cannot be combined with months, days or business_days",
        ),
        (
            json!({"minutes": 1, "business_days": -1}),
            "cannot be combined with months",
        ),
        (
            json!({"minutes": 1, "time": "08:00"}),
            "cannot be combined with time",
        ),
        (json!({"hours": 1, "roll": "following"}), "no effect"),
        (json!({"hours": 1, "calendar": "NL"}), "no effect"),
        (json!({"months": 1201}), "months is 1201"),
        (json!({"days": -36501}), "days is -36501"),
        (json!({"business_days": i32::MIN}), "business_days is"),
        (json!({"hours": i64::MIN}), "hours is"),
        (json!({"minutes": i64::MAX}), "minutes is"),
    ] {
        let findings = rule(json.clone()).findings();
        assert_eq!(findings.len(), 1, "{json}: {findings:?}");
        assert!(findings[0].0.contains(says), "{json}: {findings:?}");
        assert!(!findings[0].1.is_empty());
    }
    assert_eq!(
        rule(json!({"hours": 1, "days": 40000, "time": "08:00"}))
            .findings()
            .len(),
        3,
        "all of them at once"
    );
    for sound in [
        json!({}),
        json!({"hours": 1, "roll": "none"}),
        json!({"months": -1200, "days": 36500, "time": "23:59"}),
    ] {
        assert_eq!(rule(sound).findings(), []);
    }
    let both = rule(json!({"hours": 1, "days": 1}));
    assert_eq!(
        resolve_with(&both, day("2026-01-05"), Roll::None, "NL")
            .unwrap_err()
            .code,
        ErrorCode::Definition
    );
}

#[test]
fn a_rule_reads_and_writes_its_document_form() {
    let text = json!({"anchor": "subject.end_date", "months": -7, "time": "09:05", "roll": "modified_following", "calendar": "NL"});
    assert_eq!(serde_json::to_value(rule(text.clone())).unwrap(), text);
    assert_eq!(rule(json!({})), DateRule::default());
    assert_eq!(rule(json!({})).anchor, Anchor::PreviousDone);
    for (json, says) in [
        (json!({"day": 1}), "unknown field `day`"),
        (json!({"time": "24:00"}), "expected \"HH:MM\""),
        (json!({"time": "9:00"}), "expected \"HH:MM\""),
        (json!({"time": "09:60"}), "expected \"HH:MM\""),
        (json!({"days": 1.5}), "expected i32"),
        (json!({"roll": "next"}), "unknown variant"),
    ] {
        let error = serde_json::from_str::<DateRule>(&json.to_string())
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn the_schema_describes_every_field_and_requires_none() {
    let schema = serde_json::to_value(schemars::schema_for!(DateRule)).unwrap();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema.get("required"), None);
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), 9);
    for (name, property) in properties {
        assert!(property["description"].is_string(), "{name}");
    }
    assert_eq!(
        properties["time"]["pattern"],
        json!("^([01][0-9]|2[0-3]):[0-5][0-9]$")
    );
    assert_eq!(schema["$defs"]["Anchor"]["type"], json!("string"));
}

#[test]
fn whether_a_calendar_is_needed() {
    for (json, with_following, with_none) in [
        (json!({}), false, false),
        (json!({"roll": "following"}), true, true),
        (json!({"anchor": "step.x"}), true, false),
        (json!({"hours": 3}), false, false),
        (json!({"days": 3}), true, false),
        (json!({"days": 3, "roll": "none"}), false, false),
        (json!({"business_days": 3, "roll": "none"}), true, true),
    ] {
        let rule = rule(json.clone());
        assert_eq!(
            rule.needs_calendar(Roll::Following),
            with_following,
            "{json}"
        );
        assert_eq!(rule.needs_calendar(Roll::None), with_none, "{json}");
    }
}
