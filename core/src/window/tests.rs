//! Contact windows on the dates that the scenarios name, around clock changes, and as properties.

use chrono::{TimeDelta, Timelike};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::calendar::testing::{TzZones, amsterdam, local, utc};

fn window(days: &str, from: &str, to: &str) -> ContactWindow {
    serde_json::from_value(json!({"days": days, "from": from, "to": to})).unwrap()
}

fn opening(window: &ContactWindow, at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
    window.opening(at, "Europe/Amsterdam", &TzZones).unwrap()
}

#[test]
fn s14_new_york_in_the_night_that_loses_an_hour() {
    let ready = TzZones
        .to_utc("America/New_York", local("2026-03-07 21:30"))
        .unwrap();
    let (opens, closes) = window("mon-sun", "08:00", "21:00")
        .opening(ready, "America/New_York", &TzZones)
        .unwrap();
    assert_eq!(opens, utc("2026-03-08 12:00"));
    assert_eq!(closes, utc("2026-03-09 01:00"));
}

#[test]
fn s14_amsterdam_in_the_night_that_gains_an_hour() {
    let (opens, closes) = opening(
        &window("mon-sun", "08:00", "20:00"),
        amsterdam("2026-10-24 21:00"),
    );
    assert_eq!(opens, utc("2026-10-25 07:00"));
    assert_eq!(closes, utc("2026-10-25 19:00"));
}

#[test]
fn s14_a_boundary_in_the_changing_hour_is_one_moment() {
    let early = window("mon-sun", "02:30", "20:00");
    assert_eq!(
        opening(&early, utc("2026-03-29 00:00")).0,
        utc("2026-03-29 01:30"),
        "02:30 is skipped: 03:30 CEST"
    );
    assert_eq!(
        opening(&early, utc("2026-10-25 00:45")).0,
        utc("2026-10-25 01:30"),
        "02:45 CEST waits for 02:30 CET"
    );
    // From 02:30 to 03:00 there is nothing left of this night's window; the next night has one.
    assert_eq!(
        opening(
            &window("mon-sun", "02:30", "03:00"),
            utc("2026-03-29 00:00")
        )
        .0,
        utc("2026-03-30 00:30")
    );
    assert_eq!(
        opening(
            &window("sun", "02:30", "03:00"),
            amsterdam("2026-03-22 12:00")
        )
        .0,
        amsterdam("2026-04-05 02:30")
    );
}

#[test]
fn s1_s5_a_step_at_local_midnight_leaves_when_the_window_opens() {
    let office = window("mon-fri", "08:00", "20:00");
    for day in ["2026-04-15", "2026-05-04"] {
        let (opens, closes) = opening(&office, amsterdam(&format!("{day} 00:00")));
        assert_eq!(
            (opens, closes),
            (
                amsterdam(&format!("{day} 08:00")),
                amsterdam(&format!("{day} 20:00"))
            )
        );
    }
}

#[test]
fn rcv_28_saturday_morning_goes_out_on_monday_at_nine() {
    let hours = window("mon-fri", "09:00", "17:00");
    assert_eq!(
        opening(&hours, amsterdam("2026-06-06 10:00")).0,
        amsterdam("2026-06-08 09:00")
    );
}

#[test]
fn the_opening_belongs_to_the_window_and_the_closing_does_not() {
    let office = window("mon-fri", "08:00", "20:00");
    let at = |text: &str| opening(&office, amsterdam(text));
    let monday = amsterdam("2026-06-08 20:00");
    assert_eq!(
        at("2026-06-08 08:00"),
        (amsterdam("2026-06-08 08:00"), monday)
    );
    assert_eq!(
        at("2026-06-08 13:21"),
        (amsterdam("2026-06-08 13:21"), monday)
    );
    assert_eq!(
        at("2026-06-08 19:59"),
        (amsterdam("2026-06-08 19:59"), monday)
    );
    assert_eq!(at("2026-06-08 20:00").0, amsterdam("2026-06-09 08:00"));
    assert_eq!(at("2026-06-12 20:00").0, amsterdam("2026-06-15 08:00"));
}

#[test]
fn a_holiday_does_not_close_the_window() {
    let office = window("mon-fri", "08:00", "20:00");
    assert_eq!(
        opening(&office, amsterdam("2026-04-03 00:00")).0,
        amsterdam("2026-04-03 08:00"),
        "Good Friday"
    );
}

#[test]
fn a_day_that_the_clocks_leave_out_opens_no_window() {
    // Apia had no Friday 30 December 2011; what the clocks show for its 8:00 is Saturday's.
    let window = window("mon,fri", "08:00", "20:00");
    let opening = window.opening(utc("2011-12-30 08:00"), "Pacific/Apia", &TzZones);
    let (opens, closes) = opening.unwrap();
    let there = |at| TzZones.to_local("Pacific/Apia", at).unwrap();
    assert_eq!(
        (there(opens), there(closes)),
        (local("2012-01-02 08:00"), local("2012-01-02 20:00"))
    );
}

#[test]
fn midnight_at_the_end_of_the_day_is_24_00() {
    let late = window("sat", "10:00", "24:00");
    assert_eq!(
        opening(&late, amsterdam("2026-06-06 23:59")),
        (amsterdam("2026-06-06 23:59"), amsterdam("2026-06-07 00:00"))
    );
    assert_eq!(
        opening(&late, amsterdam("2026-06-07 00:00")).0,
        amsterdam("2026-06-13 10:00")
    );
    let always = window("mon-sun", "00:00", "24:00");
    // Cairo skips from 00:00 to 01:00 on Friday 24 April 2026.
    let night = utc("2026-04-23 21:59");
    assert_eq!(
        always.opening(night, "Africa/Cairo", &TzZones).unwrap(),
        (night, utc("2026-04-23 22:00"))
    );
    assert_eq!(
        always
            .opening(utc("2026-04-23 22:00"), "Africa/Cairo", &TzZones)
            .unwrap()
            .0,
        utc("2026-04-23 22:00")
    );
}

#[test]
fn days_are_names_and_ranges() {
    for (text, written) in [
        ("mon-fri", "mon-fri"),
        ("mon,wed,sat", "mon,wed,sat"),
        ("mon-sun", "mon-sun"),
        ("sat, sun", "sat,sun"),
        ("sun-thu", "mon-thu,sun"),
        ("tue,mon,thu-fri", "mon,tue,thu,fri"),
        ("wed", "wed"),
    ] {
        assert_eq!(text.parse::<Weekdays>().unwrap().to_string(), written);
    }
    for text in ["", "mon,", "Mon", "mon-fri-sun", "weekdays", "mon tue"] {
        let message = text.parse::<Weekdays>().unwrap_err().message;
        assert!(
            message.contains("unknown weekday") && message.contains("mon-fri"),
            "{message}"
        );
    }
}

#[test]
fn a_window_reads_and_writes_its_document_form() {
    let text = json!({"days": "mon-fri", "from": "08:00", "to": "24:00"});
    let window: ContactWindow = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(window).unwrap(), text);
    for (json, says) in [
        (
            json!({"days": "mon", "from": "20:00", "to": "08:00"}),
            "\"from\" must be before \"to\"",
        ),
        (
            json!({"days": "mon", "from": "08:00", "to": "08:00"}),
            "\"from\" must be before \"to\"",
        ),
        (
            json!({"days": "mon", "from": "8:00", "to": "20:00"}),
            "in \"from\" is no time of day",
        ),
        (
            json!({"days": "mon", "from": "08:00", "to": "24:01"}),
            "in \"to\" is no time of day",
        ),
        (
            json!({"days": "maandag", "from": "08:00", "to": "20:00"}),
            "unknown weekday \"maandag\"",
        ),
        (
            json!({"days": "mon", "from": "08:00"}),
            "missing field `to`",
        ),
        (
            json!({"days": "mon", "from": "08:00", "to": "20:00", "zone": "CET"}),
            "unknown field `zone`",
        ),
    ] {
        let error = serde_json::from_value::<ContactWindow>(json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
    let schema = serde_json::to_value(schemars::schema_for!(ContactWindow)).unwrap();
    assert_eq!(schema["title"], json!("ContactWindow"));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["required"], json!(["days", "from", "to"]));
    assert!(
        ["days", "from", "to"]
            .iter()
            .all(|f| schema["properties"][f]["description"].is_string())
    );
}

#[test]
fn an_unknown_zone_is_an_error() {
    let error = window("mon", "08:00", "20:00")
        .opening(utc("2026-01-01 00:00"), "Mars/Olympus", &TzZones)
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::TimeZone);
}

#[test]
fn the_end_of_dates_is_an_error_and_no_panic() {
    for at in [DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC] {
        let _ = window("mon", "08:00", "24:00").opening(at, "UTC", &TzZones);
    }
}

prop_compose! {
    fn any_window()(days in 1u8..128, from in 0u16..1440, length in 1u16..=1440) -> ContactWindow {
        ContactWindow { days: Weekdays(days), from, to: (from + length).min(1440) }
    }
}

fn any_zone() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Europe/Amsterdam",
        "America/New_York",
        "America/Havana",
        "Africa/Cairo",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "UTC",
    ])
}

fn any_moment() -> impl Strategy<Value = DateTime<Utc>> {
    (utc("2010-01-01 00:00").timestamp()..utc("2038-01-01 00:00").timestamp())
        .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}

proptest! {
    #[test]
    fn the_opening_is_not_before_and_inside_the_window(window in any_window(), at in any_moment(), zone in any_zone()) {
        let (opens, closes) = window.opening(at, zone, &TzZones).unwrap();
        prop_assert!(at <= opens && opens < closes);
        prop_assert!(opens - at <= TimeDelta::days(15));
        prop_assert_eq!(window.opening(opens, zone, &TzZones).unwrap(), (opens, closes), "inside it stays where it is");
        let there = TzZones.to_local(zone, opens).unwrap();
        // Where the clock does not change that day, the wall clock agrees.
        let unchanged = TzZones.to_utc(zone, there).unwrap() == opens
            && there.date().and_hms_opt(0, 0, 0).is_some_and(|midnight| {
                let end = there.date().succ_opt().unwrap().and_hms_opt(0, 0, 0).unwrap();
                TzZones.to_utc(zone, end).unwrap() - TzZones.to_utc(zone, midnight).unwrap() == TimeDelta::days(1)
            });
        if unchanged {
            prop_assert!(window.days.has(there.date()));
            let minute = there.hour() * 60 + there.minute();
            prop_assert!(u32::from(window.from) <= minute && minute < u32::from(window.to));
        }
    }

    #[test]
    fn a_later_moment_never_opens_earlier(window in any_window(), a in any_moment(), minutes in 0i64..20_000, zone in any_zone()) {
        let first = window.opening(a, zone, &TzZones).unwrap();
        let second = window.opening(a + TimeDelta::minutes(minutes), zone, &TzZones).unwrap();
        prop_assert!(first.0 <= second.0 && first.1 <= second.1);
    }

    #[test]
    fn the_days_written_are_the_days_read(days in 1u8..128) {
        prop_assert_eq!(Weekdays(days).to_string().parse::<Weekdays>().unwrap(), Weekdays(days));
    }
}
