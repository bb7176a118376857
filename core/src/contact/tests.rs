//! Contact policies on the cases that the requirements name: verdicts, hours, limits, and what parsing refuses.

use super::*;
use crate::calendar::Zones;
use crate::calendar::testing::{TzZones, amsterdam, utc};
use chrono::{DateTime, Utc};

const NL: &str = "Europe/Amsterdam";

fn local(at: DateTime<Utc>, zone: &str) -> String {
    let local = TzZones.to_local(zone, at).unwrap();
    local.format("%a %Y-%m-%d %H:%M").to_string()
}

/// The verdict on a contact, as text in the first zone.
fn judged(
    policy: &str,
    channel: &str,
    now: DateTime<Utc>,
    zones: &[&str],
    known: &Known,
) -> String {
    let policy = Policy::parse(policy).unwrap();
    let zones: Vec<String> = zones.iter().map(|z| (*z).to_owned()).collect();
    let question = Question {
        channel,
        now,
        zones: &zones,
        window: None,
    };
    match policy.judge(question, known, &TzZones) {
        Ok(Verdict::Now(_)) => "now".to_owned(),
        Ok(Verdict::Later { at, reason }) => {
            assert!(!reason.is_empty());
            local(at, &zones[0])
        }
        Ok(Verdict::Never(reason)) => format!("never: {reason}"),
        Err(error) => format!("error: {}", error.message),
    }
}

fn record(channel: &str, event: Event, at: &str, same_subject: bool) -> Record {
    Record {
        channel: channel.to_owned(),
        event,
        at: amsterdam(at),
        same_subject,
    }
}

fn calls(days: &[&str]) -> Known {
    let made = |day: &&str| record("call", Event::Attempt, day, true);
    Known {
        records: days.iter().map(made).collect(),
        ..Known::default()
    }
}

const SEVEN: &str = r#"{"windows": [{"channels": ["call"], "days": "mon-sun", "from": "08:00", "to": "20:00"}],
    "caps": [{"channels": ["call"], "at_most": 7, "days": 7, "per": "subject"}],
    "gaps": [{"channels": ["call"], "after": "conversation", "days": 7, "per": "subject"}]}"#;

#[test]
fn rcv_28_reached_on_a_saturday_goes_out_on_monday() {
    let policy = r#"{"windows": [{"days": "mon-fri", "from": "09:00", "to": "17:00"}]}"#;
    let known = Known::default();
    let at = |now: &str| judged(policy, "email", amsterdam(now), &[NL], &known);
    assert_eq!(at("2026-05-09 10:00"), "Mon 2026-05-11 09:00");
    assert_eq!(at("2026-05-11 09:00"), "now");
    assert_eq!(at("2026-05-11 17:00"), "Tue 2026-05-12 09:00");
}

#[test]
fn windows_are_for_channels_and_several_of_one_add_up() {
    let policy = r#"{"windows": [
        {"channels": ["sms", "call"], "days": "mon-fri", "from": "09:00", "to": "12:00"},
        {"channels": ["sms"], "days": "mon-fri", "from": "14:00", "to": "17:00"}]}"#;
    let known = Known::default();
    let at = |channel: &str, now: &str| judged(policy, channel, amsterdam(now), &[NL], &known);
    assert_eq!(at("sms", "2026-05-11 13:00"), "Mon 2026-05-11 14:00");
    assert_eq!(at("call", "2026-05-11 13:00"), "Tue 2026-05-12 09:00");
    assert_eq!(at("sms", "2026-05-11 16:59"), "now");
    assert_eq!(
        at("letter", "2026-05-10 03:00"),
        "now",
        "no window names it"
    );
}

#[test]
fn s16_seven_calls_in_seven_days_the_eighth_waits_for_the_first_to_fall_out() {
    let mut known = calls(&[
        "2026-03-02 10:00",
        "2026-03-03 10:00",
        "2026-03-04 10:00",
        "2026-03-05 10:00",
        "2026-03-06 10:00",
        "2026-03-07 10:00",
    ]);
    let now = amsterdam("2026-03-08 10:00");
    assert_eq!(judged(SEVEN, "call", now, &[NL], &known), "now");
    known
        .records
        .push(record("call", Event::Attempt, "2026-03-08 10:00", true));
    let now = amsterdam("2026-03-08 11:00");
    assert_eq!(
        judged(SEVEN, "call", now, &[NL], &known),
        "Mon 2026-03-09 08:00"
    );
    // About another debt they do not count; e-mails are no calls and are not counted.
    for record in &mut known.records {
        record.same_subject = false;
    }
    assert_eq!(judged(SEVEN, "call", now, &[NL], &known), "now");
    let mails = (0..9).map(|_| record("email", Event::Attempt, "2026-03-08 10:00", true));
    let known = Known {
        records: mails.collect(),
        ..Known::default()
    };
    assert_eq!(judged(SEVEN, "call", now, &[NL], &known), "now");
}

#[test]
fn s16_a_conversation_allows_the_next_call_seven_days_later() {
    let mut known = Known::default();
    known.records.push(record(
        "call",
        Event::Conversation,
        "2026-03-02 15:30",
        true,
    ));
    let at = |now: &str| judged(SEVEN, "call", amsterdam(now), &[NL], &known);
    assert_eq!(at("2026-03-03 10:00"), "Mon 2026-03-09 08:00");
    assert_eq!(at("2026-03-09 08:00"), "now");
    assert_eq!(
        judged(SEVEN, "email", amsterdam("2026-03-03 10:00"), &[NL], &known),
        "now"
    );
}

#[test]
fn gaps_count_days_or_exact_time_and_limits_push_each_other_on() {
    let policy = r#"{"windows": [{"days": "mon-fri", "from": "08:00", "to": "20:00"}],
        "gaps": [{"hours": 24}, {"channels": ["sms"], "days": 3}]}"#;
    let known = calls(&["2026-05-07 15:00"]);
    let at = |channel: &str, now: &str| judged(policy, channel, amsterdam(now), &[NL], &known);
    assert_eq!(at("email", "2026-05-07 16:00"), "Fri 2026-05-08 15:00");
    let known = Known {
        records: vec![record("sms", Event::Attempt, "2026-05-07 15:00", false)],
        ..Known::default()
    };
    // Three days later is a Sunday.
    assert_eq!(
        judged(policy, "sms", amsterdam("2026-05-07 16:00"), &[NL], &known),
        "Mon 2026-05-11 08:00"
    );
}

#[test]
fn s14_an_unknown_or_ambiguous_zone_leaves_the_hours_that_suit_all() {
    let policy = r#"{"zones": ["America/New_York", "America/Los_Angeles"],
        "windows": [{"days": "mon-sun", "from": "08:00", "to": "21:00"}]}"#;
    let parsed = Policy::parse(policy).unwrap();
    let zones = |row: Option<&str>| zones_of(row, &parsed.zones, NL, &TzZones);
    assert_eq!(zones(Some("America/New_York")), ["America/New_York"]);
    assert_eq!(zones(None), ["America/New_York", "America/Los_Angeles"]);
    assert_eq!(
        zones(Some("Mars/Base")),
        ["America/New_York", "America/Los_Angeles"]
    );
    let conflicting = "America/New_York, America/Chicago; America/New_York";
    assert_eq!(
        zones(Some(conflicting)),
        ["America/New_York", "America/Chicago"]
    );
    assert_eq!(zones_of(None, &[], NL, &TzZones), [NL]);

    let known = Known::default();
    let all = ["America/New_York", "America/Los_Angeles"];
    let at = |now: &str| judged(policy, "sms", utc(now), &all, &known);
    // 08:00 in New York is too early in Los Angeles; 20:00 there is too late in New York.
    assert_eq!(at("2026-05-04 12:00"), "Mon 2026-05-04 11:00");
    assert_eq!(at("2026-05-04 15:00"), "now");
    assert_eq!(at("2026-05-05 01:00"), "Tue 2026-05-05 11:00");
    // The same customer in New York alone, on the day the clocks change.
    let now = utc("2026-03-08 02:30");
    assert_eq!(
        judged(policy, "sms", now, &["America/New_York"], &known),
        "Sun 2026-03-08 08:00"
    );
}

#[test]
fn no_hour_that_suits_all_is_an_error_and_not_a_wait_for_ever() {
    let policy = r#"{"windows": [{"days": "mon-sun", "from": "09:00", "to": "10:00"}]}"#;
    let said = judged(
        policy,
        "sms",
        utc("2026-05-04 12:00"),
        &["Europe/Amsterdam", "Asia/Tokyo"],
        &Known::default(),
    );
    assert!(said.starts_with("error: no hour suits"), "{said}");
}

#[test]
fn refusals_and_missing_consent_are_for_good() {
    let policy = r#"{"consent": ["sms"]}"#;
    let now = utc("2026-05-04 12:00");
    let mut known = Known::default();
    assert!(judged(policy, "sms", now, &[NL], &known).starts_with("never: there is no consent"));
    assert_eq!(judged(policy, "email", now, &[NL], &known), "now");
    known.consent = true;
    assert_eq!(judged(policy, "sms", now, &[NL], &known), "now");
    known.refused = Some("opted out".to_owned());
    assert_eq!(
        judged(policy, "sms", now, &[NL], &known),
        "never: opted out"
    );
}

#[test]
fn a_policy_that_will_not_do_is_refused_with_all_that_is_wrong() {
    let refused = |text: &str| {
        let error = Policy::parse(text).unwrap_err();
        assert!(error.hint.is_some());
        format!(
            "{} {} {}",
            error.code.sqlstate(),
            error.message,
            error.detail.unwrap_or_default()
        )
    };
    assert!(refused("{").starts_with("22032"));
    assert!(refused(r#"{"windows": [], "windows": []}"#).starts_with("22023"));
    assert!(refused(r#"{"tea": 1}"#).contains("tea"));
    let all = refused(
        r#"{"windows": [{"days": "mon-fri", "from": "20:00", "to": "08:00"}, {"channels": ["fax"], "days": "mon", "from": "08:00", "to": "09:00"}],
            "caps": [{"at_most": 0, "days": 7}], "gaps": [{"days": 1, "hours": 1}], "fallback": ["sms", "sms", "call"]}"#,
    );
    for part in [
        "before",
        "\"fax\"",
        "at most 0 in 7",
        "either days",
        "twice",
        "\"call\"",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
}

#[test]
fn s17_the_chain_goes_on_after_the_channel_that_failed() {
    let reach = Policy::parse(r#"{"fallback": ["sms", "email", "letter"]}"#)
        .unwrap()
        .reach();
    assert_eq!(reach.next("sms"), Some("email"));
    assert_eq!(reach.next("email"), Some("letter"));
    assert_eq!(reach.next("letter"), None);
    assert_eq!(Reach::default().next("sms"), None);
}
